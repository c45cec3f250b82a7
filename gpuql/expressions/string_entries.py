"""Functions of one string column, computed once per distinct string where that is less work than once per row."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from gpuql.columnar.column import Array, Column, StringArray
from gpuql.columnar.strings import on_host
from gpuql.thresholds import KEPT_DICTIONARY_RESULTS, KEPT_ENTRIES_PER_ROW


def constant_bytes(column: Column) -> bytes:
    """The string of a constant, non-NULL column."""
    strings = column.strings
    assert strings is not None, "a string column has strings"
    position = int(column.values[0])
    start, end = int(strings.offsets[position]), int(strings.offsets[position + 1])
    return bytes(on_host(strings.data[start:end]).tobytes())


def constant_text(column: Column) -> str:
    """The text of a constant, non-NULL VARCHAR column."""
    return constant_bytes(column).decode("utf-8", "surrogateescape")


def per_row(
    xp: Any,
    column: Column,
    key: Hashable,
    compute: Callable[[StringArray, Array | None], Array],
    default: Any,
) -> Array:
    """One value for each row, as ``compute(strings, positions)`` gives for positions (None: all entries).

    ``key`` names the function and its constants for the cache of the StringArray; ``default`` fills the result if
    there are no strings at all (every row is NULL).
    """
    strings = column.strings
    assert strings is not None, "a string column has strings"
    num_rows = len(column.values)
    if len(strings) == 0:
        return xp.full(num_rows, default)
    cached = strings.cache.get(key)
    if cached is not None:
        return cached[column.values]
    if strings.unique and len(strings) <= KEPT_ENTRIES_PER_ROW * max(num_rows, 1):
        result = compute(strings, None)
        remember(strings, key, result)
        return result[column.values]
    return compute(strings, column.values)


def remember(strings: StringArray, key: Hashable, result: Any) -> None:
    """Keep a result over all entries; the oldest ones make room."""
    cache = strings.cache
    if len(cache) >= KEPT_DICTIONARY_RESULTS:
        # list() copies the keys in one step, so workers that drop entries at the same time do no harm.
        for oldest in list(cache)[: KEPT_DICTIONARY_RESULTS // 4]:
            cache.pop(oldest, None)
    cache[key] = result


def map_strings(
    xp: Any,
    column: Column,
    key: Hashable,
    compute: Callable[[StringArray, Array | None], tuple[StringArray, Array | None]],
) -> Column:
    """A string column computed from a string column.

    ``compute(strings, positions)`` returns one string for each position, as a StringArray and positions into it (None
    when they are 0, 1, 2, …).
    """
    strings = column.strings
    assert strings is not None, "a string column has strings"
    if len(strings) == 0:
        return column
    num_rows = len(column.values)
    cached = strings.cache.get(key)
    if cached is None and strings.unique and len(strings) <= KEPT_ENTRIES_PER_ROW * max(num_rows, 1):
        cached = compute(strings, None)
        remember(strings, key, cached)
    if cached is not None:
        result, codes = cached
        values = column.values if codes is None else codes[column.values]
        return Column(column.dtype, values, column.validity, result)
    result, codes = compute(strings, column.values)
    values = xp.arange(num_rows, dtype=xp.int32 if num_rows < 2**31 else xp.int64) if codes is None else codes
    return Column(column.dtype, values, column.validity, result)
