"""Byte strings in one buffer: gathering, joining and deduplicating them, on NumPy or CuPy arrays."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column, StringArray


def string_array(entries: Iterable[bytes], *, unique: bool = False, sorted: bool = False) -> StringArray:
    """Entries in the given order; the flags are promises of the caller."""
    parts = list(entries)
    offsets = np.zeros(len(parts) + 1, dtype=np.int64)
    np.cumsum([len(part) for part in parts], out=offsets[1:])
    data = np.frombuffer(bytearray(b"".join(parts)), dtype=np.uint8)
    return StringArray(offsets, data, unique, sorted)


def sorted_dictionary(entries: Iterable[bytes]) -> tuple[StringArray, dict[bytes, int]]:
    """Unique sorted StringArray of ``entries``, and the position of each entry in it."""
    ordered = sorted(set(entries))
    return string_array(ordered, unique=True, sorted=True), {entry: i for i, entry in enumerate(ordered)}


def entry_bytes(strings: StringArray) -> list[bytes]:
    """All entries as Python bytes (copies device arrays to the host)."""
    offsets = strings.offsets.tolist()
    data = bytes(on_host(strings.data))
    return [data[start:stop] for start, stop in itertools.pairwise(offsets)]


def take_strings(strings: StringArray, positions: Array, *, xp: Any = np) -> StringArray:
    """Entries at ``positions`` (any order, repeats allowed), copied into a buffer of their own."""
    starts = strings.offsets[positions]
    if xp is np:
        from gpuql_kernels.string_match import cpu as string_kernels

        return StringArray(*string_kernels.gather(strings.data, starts, strings.offsets[1:][positions]))
    lengths = strings.offsets[1:][positions] - starts
    offsets = xp.zeros(len(positions) + 1, dtype=np.int64)
    xp.cumsum(lengths, out=offsets[1:])
    total = int(offsets[-1])
    if total == 0:
        data = xp.empty(0, dtype=np.uint8)
    else:
        data = strings.data[xp.arange(total, dtype=np.int64) + _repeat(starts - offsets[:-1], lengths, xp)]
    return StringArray(offsets, data)


def concat_string_arrays(arrays: Sequence[StringArray], *, xp: Any = np) -> StringArray:
    """All entries one after the other; neither unique nor sorted."""
    offsets = xp.zeros(sum(len(strings) for strings in arrays) + 1, dtype=np.int64)
    done_entries = 0
    done_bytes = 0
    parts = []
    for strings in arrays:
        start = int(strings.offsets[0])
        stop = int(strings.offsets[-1])
        count = len(strings)
        offsets[done_entries + 1 : done_entries + count + 1] = strings.offsets[1:] - start + done_bytes
        parts.append(strings.data[start:stop])
        done_entries += count
        done_bytes += stop - start
    data = xp.concatenate(parts) if parts else xp.empty(0, dtype=np.uint8)
    return StringArray(offsets, data)


def merge_dictionaries(arrays: Sequence[StringArray]) -> tuple[StringArray, list[np.ndarray[Any, Any]]]:
    """One unique sorted StringArray of all entries, and per input the new position of each old entry."""
    entries = [entry_bytes(strings) for strings in arrays]
    merged, position = sorted_dictionary(entry for part in entries for entry in part)
    return merged, [np.array([position[entry] for entry in part], dtype=np.int32) for part in entries]


def compact_strings(column: Column, *, xp: Any = np) -> Column:
    """Same strings without the entries that no row uses, if those are the most; else the column itself."""
    strings = column.strings
    if strings is None or len(strings) < 1024 or len(strings) < 4 * len(column):
        return column
    used, positions = xp.unique(column.values, return_inverse=True)
    taken = take_strings(strings, used.astype(np.int64), xp=xp)
    kept = StringArray(taken.offsets, taken.data, strings.unique, strings.sorted)
    return Column(column.dtype, narrow_positions(positions, len(used)), column.validity, kept)


def is_row_by_row(column: Column) -> bool:
    """Whether the string of row ``i`` is entry ``i`` of a host column's strings."""
    if column.strings is None or len(column.strings) != len(column):
        return False
    return bool(np.array_equal(column.values, np.arange(len(column), dtype=column.values.dtype)))


def narrow_positions(positions: Array, num_entries: int) -> Array:
    """Positions in the narrowest signed integer that holds ``num_entries - 1``."""
    for dtype in (np.int8, np.int16, np.int32):
        if num_entries <= np.iinfo(dtype).max + 1:
            return positions.astype(dtype, copy=False)
    return positions.astype(np.int64, copy=False)


def _repeat(values: Array, counts: Array, xp: Any) -> Array:
    """``numpy.repeat`` with an array of counts, which CuPy does not take."""
    if xp is np:
        return np.repeat(values, counts)
    ends = xp.cumsum(counts)
    rows = xp.searchsorted(ends, xp.arange(int(ends[-1]), dtype=ends.dtype), side="right")
    return values[rows]


def on_host(array: Array) -> np.ndarray[Any, Any]:
    """The array itself if it is NumPy's, else a copy from the device."""
    host = array if isinstance(array, np.ndarray) else array.get()
    return np.asarray(host)
