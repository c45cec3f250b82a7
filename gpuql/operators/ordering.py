"""Order-preserving codes: a column as unsigned words that compare as its values do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from gpuql.columnar.column import Array, Column, StringArray
from gpuql.expressions.string_entries import remember
from gpuql.expressions.vectors import as_wide, is_wide, measured_bounds
from gpuql.operators.contract import RunContext
from gpuql.operators.keys import word_keys
from gpuql.thresholds import FIRST_SORT_BYTES, STRING_WORD_TASK_ROWS
from gpuql_kernels.sort.ties import LaterWords
from gpuql_planner.types import BIGINT, TypeId


@dataclass(frozen=True)
class Direction:
    """How one ORDER BY item is ordered."""

    descending: bool
    nulls_first: bool


def value_words(
    column: Column, context: RunContext, *, first_only: bool = False
) -> tuple[list[Array], list[int]]:
    """uint64 words, most significant first, and how many low bits each uses. NULL rows hold anything.

    Ascending words mean ascending values: NaN above all numbers, strings by bytes, intervals by length. With
    ``first_only`` columns that :func:`has_later_words` have only their first words here.
    """
    xp = context.xp
    if column.strings is not None:
        if _compared_by_bytes(column, context) and (first_only or not has_later_words(column, context)):
            return _string_words(column, context)
        ranks, count = string_ranks(column, context)
        return [ranks.astype(xp.uint64)], [max(1, (count - 1).bit_length())]
    if column.dtype.is_float:
        return _float_words(xp, column.values)
    if column.dtype.id is TypeId.INTERVAL:
        parts = word_keys(xp, column)
        return [_flip_sign(xp, parts[:, 0]), _flip_sign(xp, parts[:, 1])], [64, 64]
    if column.values.dtype == bool:
        return [column.values.astype(xp.uint64)], [1]
    if is_wide(column):
        wide = as_wide(xp, column)
        return [_flip_sign(xp, wide[:, 1]), wide[:, 0].astype(xp.int64).view(xp.uint64)], [64, 64]
    low, high = column.bounds if column.bounds is not None else measured_bounds(xp, column)
    values = column.values.astype(xp.int64)
    word = (values - low).view(xp.uint64) if low else values.view(xp.uint64)
    if column.validity is not None:
        word = xp.where(column.validity, word, xp.uint64(0))
    return [word], [max(1, (high - low).bit_length())]


def _flip_sign(xp: Any, values: Array) -> Array:
    return values.astype(xp.int64).view(xp.uint64) ^ xp.uint64(1 << 63)


def _float_words(xp: Any, values: Array) -> tuple[list[Array], list[int]]:
    """Floats as unsigned integers that compare alike; -0.0 as 0.0, every NaN above infinity."""
    values = values + values.dtype.type(0)  # a copy, in which -0.0 is 0.0
    values[xp.isnan(values)] = xp.nan
    size = 8 * values.itemsize
    integers = values.view(f"i{values.itemsize}")
    # Negative numbers have all bits flipped, the others the sign.
    flips = (integers >> (size - 1)) | integers.dtype.type(-(1 << (size - 1)))
    integers ^= flips
    return [integers.view(f"u{values.itemsize}").astype(xp.uint64, copy=False)], [size]


def _compared_by_bytes(column: Column, context: RunContext) -> bool:
    """Whether words of a string column are its bytes; else they are ranks, found by sorting distinct strings once."""
    strings = column.strings
    assert strings is not None, "a string column has strings"
    if len(strings) == 0 or (strings.unique and strings.sorted):
        return False
    return not strings.unique or len(strings) > len(column.values)


def has_later_words(column: Column, context: RunContext) -> bool:
    """Whether a column is one of strings that are compared by bytes, and some are longer than the first words."""
    strings = column.strings
    if strings is None or not _compared_by_bytes(column, context):
        return False
    return _longest(strings, context) > FIRST_SORT_BYTES


def later_words(column: Column, context: RunContext, *, descending: bool) -> list[LaterWords]:
    """What follows the first words of a column that :func:`has_later_words`, in the order asked for, NULLs all alike.

    Each source goes twice as far as the one before: few are needed even where strings are long and equal.
    """
    strings = column.strings
    assert strings is not None, "only strings have later words"
    xp = context.xp

    def masked(words: list[Array], rows: Array) -> list[Array]:
        words = [~word for word in words] if descending else words
        validity = column.validity
        return words if validity is None else [xp.where(validity[rows], word, xp.uint64(0)) for word in words]

    def lengths_of(rows: Array) -> Array:
        positions = column.values[rows].astype(xp.int64)
        lengths = strings.offsets[positions + 1] - strings.offsets[positions]
        return lengths if column.validity is None else xp.where(column.validity[rows], lengths, 0)

    def source(start: int, size: int) -> LaterWords:
        def words(rows: Array) -> tuple[list[Array], list[int]]:
            stop = min(start + size, int(lengths_of(rows).max()))
            found = _byte_words(column, context, rows, range(start, stop, 8))
            return masked(found, rows), [64] * len(found)

        return words

    def lengths_source(rows: Array) -> tuple[list[Array], list[int]]:
        return masked([lengths_of(rows).astype(xp.uint64)], rows), [64]

    sources = []
    start = size = FIRST_SORT_BYTES
    while start < _longest(strings, context):
        sources.append(source(start, size))
        start, size = start + size, 2 * size
    # "a" and "a\0" differ in length only.
    return [*sources, lengths_source] if _has_zero_bytes(strings) else sources


def _byte_words(column: Column, context: RunContext, rows: Array, skips: range) -> list[Array]:
    """The eight bytes after each of ``skips``, for some rows."""
    strings = column.strings
    assert strings is not None, "only strings have bytes"
    prefix_word = context.kernels.string_match.prefix_word
    if context.workers == 1:
        positions = column.values[rows]
        return [prefix_word(strings.offsets, strings.data, positions, skip) for skip in skips]
    words = [context.xp.empty(len(rows), context.xp.uint64) for _ in skips]

    def task(index: int) -> None:
        part = slice(index * STRING_WORD_TASK_ROWS, (index + 1) * STRING_WORD_TASK_ROWS)
        positions = column.values[rows[part]]
        for word, skip in zip(words, skips, strict=True):
            word[part] = prefix_word(strings.offsets, strings.data, positions, skip)

    context.run_tasks(-(-len(rows) // STRING_WORD_TASK_ROWS), task)
    return words


def _longest(strings: StringArray, context: RunContext) -> int:
    """Bytes of the longest string."""
    longest = strings.cache.get("longest")
    if longest is None:
        longest = int(context.xp.diff(strings.offsets).max())
        remember(strings, "longest", longest)
    return longest


def _has_zero_bytes(strings: StringArray) -> bool:
    found = strings.cache.get("zero bytes")
    if found is None:
        found = len(strings.data) > 0 and int(strings.data.min()) == 0
        remember(strings, "zero bytes", found)
    return found


def _string_words(column: Column, context: RunContext) -> tuple[list[Array], list[int]]:
    """The first bytes, eight a word, as many words as the longest string of all needs; others are filled with zeros."""
    xp = context.xp
    strings = column.strings
    assert strings is not None, "a string column has strings"
    prefix_word = context.kernels.string_match.prefix_word
    longest = _longest(strings, context)
    words = [
        prefix_word(strings.offsets, strings.data, column.values, skip)
        for skip in range(0, min(max(longest, 1), FIRST_SORT_BYTES), 8)
    ]
    bits = [64] * len(words)
    if longest <= FIRST_SORT_BYTES and _has_zero_bytes(strings):  # "a" and "a\0" differ in length only
        positions = column.values.astype(xp.int64)
        words.append((strings.offsets[positions + 1] - strings.offsets[positions]).astype(xp.uint64))
        bits.append(max(1, longest.bit_length()))
    return words, bits


def string_ranks(column: Column, context: RunContext) -> tuple[Array, int]:
    """Rank of each row's string (integers), equal for equal strings, and a bound above all ranks."""
    xp = context.xp
    strings = column.strings
    assert strings is not None, "a string column has strings"
    if len(strings) == 0:
        return xp.zeros(len(column.values), xp.int64), 1
    if strings.unique and strings.sorted:
        return column.values, len(strings)
    if strings.unique and len(strings) <= 4 * max(1, len(column.values)):
        ranks = strings.cache.get("ranks")
        if ranks is None:
            ranks = _ranks_of(strings, None, context)
            remember(strings, "ranks", ranks)
        return context.kernels.sort.gather(ranks, column.values), len(strings)
    return _ranks_of(strings, column.values, context), max(1, len(column.values))


def _ranks_of(strings: Any, rows: Array | None, context: RunContext) -> Array:
    """Rank of each string, by eight bytes at a time until all that differ are told apart."""
    xp = context.xp
    kernels = context.kernels
    positions = xp.arange(len(strings)) if rows is None else rows.astype(xp.int64)
    total = len(positions)
    ranks = xp.empty(total, xp.int64)
    lengths = strings.offsets[positions + 1] - strings.offsets[positions]
    open_items, group, skip = xp.arange(total), xp.zeros(total, xp.int64), 0
    # ``group`` is the rank of the first member of the set of items not told apart yet.
    while len(open_items):
        word = kernels.string_match.prefix_word(strings.offsets, strings.data, positions[open_items], skip)
        # Zero padding makes "a" and "a\0" look alike: the bytes left, at most 8, tell them apart.
        left = xp.clip(lengths[open_items] - skip, 0, 9)
        bits = max(1, total.bit_length())
        order = kernels.sort.order([group.astype(xp.uint64), word, left.astype(xp.uint64)], [bits, 64, 4])
        items, sorted_group = open_items[order], group[order]
        sorted_word, sorted_left = word[order], left[order]
        fresh = xp.ones(len(items), bool)
        fresh[1:] = (
            (sorted_group[1:] != sorted_group[:-1])
            | (sorted_word[1:] != sorted_word[:-1])
            | (sorted_left[1:] != sorted_left[:-1])
        )
        starts = xp.flatnonzero(fresh)
        member = xp.cumsum(fresh) - 1
        within_old = xp.arange(len(items)) - _first_of(xp, sorted_group)
        new_rank = sorted_group + within_old
        group_rank = new_rank[starts][member]
        sizes = xp.diff(xp.concatenate((starts, xp.asarray([len(items)]))))
        tied = (sizes[member] > 1) & (sorted_left == 9)  # the others have ended and are equal
        ranks[items] = group_rank
        open_items, group = items[tied], group_rank[tied]
        skip += 8
    return ranks


def _first_of(xp: Any, sorted_group: Array) -> Array:
    """Position of the first row of each run of equal values."""
    fresh = xp.ones(len(sorted_group), bool)
    fresh[1:] = sorted_group[1:] != sorted_group[:-1]
    starts = xp.flatnonzero(fresh)
    return starts[xp.cumsum(fresh) - 1]


def with_known_range(column: Column, context: RunContext) -> Column:
    """A column in the same order whose slices all get words of the same meaning from :func:`sort_words`.

    Strings become their ranks unless they are compared by bytes, and integers of unknown range have it measured.
    """
    if column.strings is not None:
        if _compared_by_bytes(column, context):
            return column
        ranks, count = string_ranks(column, context)
        return Column(BIGINT, ranks, column.validity, None, (0, max(0, count - 1)))
    if column.bounds is None and column.values.dtype.kind in "iu" and not is_wide(column):
        return replace(column, bounds=measured_bounds(context.xp, column))
    return column


def sort_words(
    column: Column, context: RunContext, *, descending: bool, nulls_first: bool, first_only: bool = False
) -> tuple[list[Array], list[int]]:
    """Words of one ORDER BY item: ascending words are the order asked for, NULLs included.

    ``first_only`` as in :func:`value_words`.
    """
    xp = context.xp
    words, bits = value_words(column, context, first_only=first_only)
    if descending:
        flipped = []
        for word, size in zip(words, bits, strict=True):
            flipped.append(xp.uint64((1 << size) - 1) - word)
        words = flipped
    if column.validity is None:
        return words, bits
    null_word = (~column.validity if not nulls_first else column.validity).astype(xp.uint64)
    # All NULLs are alike whatever their rows hold.
    words = [xp.where(column.validity, word, xp.uint64(0)) for word in words]
    if bits[0] < 64:
        words[0] = (null_word << xp.uint64(bits[0])) | words[0]
        bits = [bits[0] + 1, *bits[1:]]
        return words, bits
    return [null_word, *words], [1, *bits]


def value_from_words(
    column: Column, word: Array, bits: int, context: RunContext, direction: Direction
) -> tuple[Array, Array | None]:
    """Values and validity of rows whose words of ``bits`` bits :func:`sort_words` made of rows of ``column``.

    The column takes one word, and is not of strings but may hold positions. A -0.0 comes back as 0.0.
    """
    xp = context.xp
    validity = None
    if column.validity is not None:
        bits -= 1
        flags = (word >> xp.uint64(bits)).astype(bool)
        validity = flags if direction.nulls_first else ~flags
        word = word & xp.uint64((1 << bits) - 1)
    if direction.descending:
        word = xp.uint64((1 << bits) - 1) - word
    if validity is not None:
        word = xp.where(validity, word, xp.uint64(0))
    if column.values.dtype == bool:
        return word.astype(bool), validity
    if column.dtype.is_float:
        size = column.values.itemsize
        integers = word.astype(f"u{size}").view(f"i{size}")
        # As in _float_words: words of negative numbers have no leading bit, and all bits flipped.
        flips = ~(integers >> (bits - 1)) | integers.dtype.type(-(1 << (bits - 1)))
        return (integers ^ flips).view(column.values.dtype), validity
    low, _ = column.bounds if column.bounds is not None else measured_bounds(xp, column)
    return word.view(xp.int64) + low, validity
