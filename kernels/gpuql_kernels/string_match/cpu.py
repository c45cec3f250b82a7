"""String kernels on NumPy arrays: plain Python for a few rows, compiled loops beyond (see ``contract``)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from gpuql_kernels.string_match.contract import ANY_CHARACTER, ANY_SEQUENCE, LikePattern, StringIndex
from gpuql_kernels.thresholds import SEARCH_SAMPLE_BYTES, SMALL_STRING_ROWS

Array = Any


def _loops() -> Any:
    from gpuql_kernels.string_match import cpu_loops

    return cpu_loops


def _all_rows(offsets: Array, rows: Array | None) -> Array:
    """Rows as int32 or int64: the loops are compiled for these two widths only."""
    if rows is None:
        return np.arange(len(offsets) - 1)
    return rows if rows.dtype == np.int64 else rows.astype(np.int32, copy=False)


def _strings(offsets: Array, data: Array, rows: Array | None) -> Iterator[bytes]:
    raw = np.ascontiguousarray(data).data
    if rows is None:
        starts, ends = offsets[:-1], offsets[1:]
    else:
        starts, ends = offsets[rows], offsets[rows.astype(np.int64) + 1]
    return (bytes(raw[start:end]) for start, end in zip(starts.tolist(), ends.tolist(), strict=True))


def _is_small(offsets: Array, rows: Array | None) -> bool:
    return (len(offsets) - 1 if rows is None else len(rows)) < SMALL_STRING_ROWS


def _bytes_array(literal: bytes) -> Array:
    # Writeable, so that the loops are compiled for one kind of array.
    return np.frombuffer(bytearray(literal), np.uint8) if literal else np.zeros(0, np.uint8)


def compare(
    offsets: Array, data: Array, rows: Array, other_offsets: Array, other_data: Array, other_rows: Array, /
) -> Array:
    """Order of string pairs."""
    if len(rows) < SMALL_STRING_ROWS:
        pairs = zip(
            _strings(offsets, data, rows), _strings(other_offsets, other_data, other_rows), strict=True
        )
        return np.fromiter(((a > b) - (a < b) for a, b in pairs), np.int8, len(rows))
    if rows.dtype != other_rows.dtype:
        rows, other_rows = rows.astype(np.int64), other_rows.astype(np.int64)
    return _loops().compare(
        offsets,
        data,
        _all_rows(offsets, rows),
        other_offsets,
        other_data,
        _all_rows(other_offsets, other_rows),
    )


def compare_literal(offsets: Array, data: Array, rows: Array | None, literal: bytes, /) -> Array:
    """Order against a constant."""
    if not literal:
        return _not_empty(offsets, rows).view(np.int8)
    if _is_small(offsets, rows):
        strings = _strings(offsets, data, rows)
        return np.array([(a > literal) - (a < literal) for a in strings], np.int8)
    return _loops().compare_literal(offsets, data, _all_rows(offsets, rows), _bytes_array(literal))


def _not_empty(offsets: Array, rows: Array | None) -> Array:
    """Whether strings have bytes: nothing is before the empty string."""
    if rows is None or len(rows) == 0:
        return offsets[1:] > offsets[:-1] if rows is None else np.zeros(0, bool)
    first_row = _run_of_rows(rows)
    if first_row is None:
        return offsets[1:][rows] > offsets[rows]
    bounds = offsets[first_row : first_row + len(rows) + 1]
    return bounds[1:] > bounds[:-1]


def like(offsets: Array, data: Array, rows: Array | None, pattern: LikePattern, /) -> Array:
    """LIKE."""
    if _is_small(offsets, rows):
        matches = _like_regex(pattern).fullmatch
        return np.array([matches(text) is not None for text in _strings(offsets, data, rows)], bool)
    if pattern.segments is None:
        return _loops().like_tokens(
            offsets, data, _all_rows(offsets, rows), np.array(pattern.tokens, np.int16)
        )
    lengths = [len(segment) for segment in pattern.segments]
    bounds = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    literal = _bytes_array(b"".join(pattern.segments))
    if len(lengths) > 2 and not lengths[0] and not lengths[-1]:
        first_row, num_rows = (0, len(offsets) - 1) if rows is None else _span(rows)
        # Strings of a part of a column, each of which stands for several rows, are searched once.
        if rows is None or num_rows <= 2 * len(rows):
            anchor = _rare_bytes(data[int(offsets[first_row]) :], pattern.segments[1])
            if anchor is not None:
                found = _loops().like_scan(offsets, data, first_row, num_rows, bounds, literal, *anchor)
                return found if rows is None else found[rows - first_row]
    return _loops().like_segments(offsets, data, _all_rows(offsets, rows), bounds, literal)


def _span(rows: Array) -> tuple[int, int]:
    """The lowest of the rows, and how many lie from there to the highest."""
    low = int(rows.min())
    return low, int(rows.max()) - low + 1


def _run_of_rows(rows: Array | None) -> int | None:
    """The first row if ``rows`` are consecutive, else None."""
    if rows is None:
        return 0
    first, last = int(rows[0]), int(rows[-1])
    if last - first != len(rows) - 1 or not np.array_equal(
        rows, np.arange(first, last + 1, dtype=rows.dtype)
    ):
        return None
    return first


_RARE_OCCURRENCES = SEARCH_SAMPLE_BYTES >> 6


def _rare_bytes(data: Array, segment: bytes) -> tuple[int, Array] | None:
    """Place of a byte of the segment, and distances of three others, that seldom stand so in ``data``.

    Two of the distances repeat the first if that pair is seldom enough. None if all four do often.
    """
    sample = data[:SEARCH_SAMPLE_BYTES]
    best, chosen = len(sample) + 1, None
    for place in range(min(len(segment), 16)):
        hits = sample == segment[place]
        for distance in range(1 if len(segment) > 1 else 0, min(len(segment) - place, 8)):
            partner = sample[distance:] == segment[place + distance]
            count = int(np.count_nonzero(hits[: len(partner)] & partner))
            if count < best:
                best, chosen = count, (place, distance)
    if chosen is None:
        return None
    place, distance = chosen
    distances = [distance]
    found = _together(sample, segment, place, distances)
    while len(found) > _RARE_OCCURRENCES and len(distances) < 3:
        more = range(1, min(len(segment) - place, 8))
        distances.append(
            min(more, key=lambda d: len(_together(sample, segment, place, [*distances, d])), default=distance)
        )
        found = _together(sample, segment, place, distances)
    if len(found) > _RARE_OCCURRENCES:
        return None
    return place, np.array([*distances, distance, distance][:3], np.int64)


def _together(sample: Array, segment: bytes, place: int, distances: list[int]) -> Array:
    """Positions of the byte at ``place`` in the sample that have their partners at the distances."""
    ends = max(0, len(sample) - max(distances))
    mask = sample[:ends] == segment[place]
    for distance in distances:
        mask &= sample[distance : distance + ends] == segment[place + distance]
    return np.flatnonzero(mask)


def _like_regex(pattern: LikePattern) -> re.Pattern[bytes]:
    parts = []
    for token in pattern.tokens:
        if token == ANY_SEQUENCE:
            parts.append(b".*")
        elif token == ANY_CHARACTER:
            parts.append(rb"(?:[\x00-\x7f]|[\xc0-\xff][\x80-\xbf]*)")
        else:
            parts.append(re.escape(bytes([token])))
    return re.compile(b"".join(parts), re.DOTALL)


def find(offsets: Array, data: Array, rows: Array | None, literal: bytes, /) -> Array:
    """First occurrence in bytes."""
    if _is_small(offsets, rows):
        return np.array([text.find(literal) for text in _strings(offsets, data, rows)], np.int64)
    return _loops().find(offsets, data, _all_rows(offsets, rows), _bytes_array(literal))


def character_count(offsets: Array, data: Array, rows: Array | None, /) -> Array:
    """Characters of each string: bytes that do not continue one."""
    if _is_small(offsets, rows):
        counts = [len(text.decode("utf-8", "replace")) for text in _strings(offsets, data, rows)]
        return np.array(counts, np.int64)
    return _loops().character_count(offsets, data, _all_rows(offsets, rows))


def character_range(
    offsets: Array, data: Array, rows: Array | None, start: int, length: int, /
) -> tuple[Array, Array]:
    """Byte range of a substring."""
    # The limits keep sums of both far from overflow; no string is that long.
    limit = 2**40
    start, length = max(-limit, min(limit, start)), max(-limit, min(limit, length))
    rows = _all_rows(offsets, rows)
    if len(rows) >= SMALL_STRING_ROWS:
        low, high = _loops().character_range(offsets, data, rows, start, length)
        return low, high
    starts, ends = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
    for index, row in enumerate(rows.tolist()):
        begin, end = int(offsets[row]), int(offsets[row + 1])
        first = [i for i in range(begin, end) if data[i] & 0xC0 != 0x80] + [end]
        from_, to = substring_positions(len(first) - 1, start, length)
        starts[index], ends[index] = first[from_], first[to]
    return starts, ends


def substring_positions(count: int, start: int, length: int) -> tuple[int, int]:
    """Characters ``low .. high - 1`` (from 0) of substring(text of ``count`` characters, start, length)."""
    if start > 0:
        low = start - 1
    elif start < 0:
        low = count + start
    else:
        low, length = -1 if length >= 0 else 0, length
    if length >= 0:
        high = low + length
    else:
        low, high = low + length, low
    low, high = max(0, min(low, count)), max(0, min(high, count))
    return low, max(low, high)


def gather(data: Array, starts: Array, ends: Array, /) -> tuple[Array, Array]:
    """Copy byte ranges."""
    offsets = np.zeros(len(starts) + 1, np.int64)
    np.cumsum(ends - starts, out=offsets[1:])
    if len(starts) >= SMALL_STRING_ROWS:
        return offsets, _loops().gather(data, starts, offsets)
    raw = np.ascontiguousarray(data).data
    joined = b"".join(raw[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True))
    return offsets, np.frombuffer(joined, np.uint8).copy()


def factorize(offsets: Array, data: Array, rows: Array | None, /) -> tuple[Array, Array]:
    """Number distinct strings."""
    if not _is_small(offsets, rows):
        return _factorize_many(offsets, data, _all_rows(offsets, rows))
    numbers: dict[bytes, int] = {}
    first: list[int] = []
    codes = np.zeros(len(offsets) - 1 if rows is None else len(rows), np.int64)
    for index, text in enumerate(_strings(offsets, data, rows)):
        code = numbers.setdefault(text, len(first))
        if code == len(first):
            first.append(index)
        codes[index] = code
    return codes, np.array(first, np.int64)


#: Strings of so many bytes fit one word together with their length.
_WORD_BYTES = 7


def _factorize_many(offsets: Array, data: Array, rows: Array) -> tuple[Array, Array]:
    from gpuql_kernels.group_by import cpu as group_by

    low, num_entries = _span(rows)
    if 2 * num_entries <= len(rows):
        # Strings stand for several rows each: they are compared once, then rows are integers.
        entry_codes, _ = _factorize_many(offsets, data, np.arange(low, low + num_entries))
        return group_by.factorize(entry_codes[rows - low])
    lengths = offsets[1:][rows] - offsets[rows]
    if int(lengths.max()) <= _WORD_BYTES:
        words = _loops().prefix_word(offsets, data, rows, 0) | lengths.view(np.uint64)
        return group_by.factorize(words.view(np.int64))
    del lengths
    loops = _loops()
    hashes = loops.hash_by_words(offsets, data, rows)
    found = group_by.few_distinct(hashes.view(np.int64))
    if found is None:
        codes = group_by.first_of_hash(hashes)
        if loops.equal_representatives(offsets, data, rows, codes):
            return codes, group_by.number_representatives(codes)
    elif loops.equal_first(offsets, data, rows, *found):
        return found
    # Two strings have the same hash, which chance alone does not bring about.
    del hashes, found
    codes, first = loops.factorize(offsets, data, rows)
    return codes, first


def lookup(
    offsets: Array, data: Array, other_offsets: Array, other_data: Array, other_rows: Array | None, /
) -> Array:
    """Find strings among distinct ones."""
    if _is_small(offsets, None) and _is_small(other_offsets, other_rows):
        numbers = {text: index for index, text in enumerate(_strings(offsets, data, None))}
        others = _strings(other_offsets, other_data, other_rows)
        return np.array([numbers.get(text, -1) for text in others], np.int64)
    index = string_index(offsets, data)
    return lookup_indexed(index, offsets, data, other_offsets, other_data, other_rows)


def string_index(offsets: Array, data: Array, /) -> StringIndex:
    """Index distinct strings by their hashes."""
    count = len(offsets) - 1
    slots = np.full(1 << max(4, (2 * count - 1).bit_length()), -1, np.int32 if count < 2**31 else np.int64)
    hashes = np.empty(count, np.uint64)
    _loops().fill_index(offsets, data, slots, hashes)
    return slots, hashes


def lookup_indexed(
    index: StringIndex,
    offsets: Array,
    data: Array,
    other_offsets: Array,
    other_data: Array,
    other_rows: Array | None,
    /,
) -> Array:
    """Find strings among indexed ones."""
    rows = _all_rows(other_offsets, other_rows)
    return _loops().lookup(*index, offsets, data, other_offsets, other_data, rows)


def prefix_word(offsets: Array, data: Array, rows: Array | None, skip: int, /) -> Array:
    """Eight bytes as a big-endian word."""
    if _is_small(offsets, rows):
        texts = (text[skip : skip + 8].ljust(8, b"\0") for text in _strings(offsets, data, rows))
        return np.array([int.from_bytes(text, "big") for text in texts], np.uint64)
    return _loops().prefix_word(offsets, data, _all_rows(offsets, rows), skip)
