"""Rows joined, put in order, and copied out of larger arrays, by all workers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column, StringArray
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.parts import is_small_dictionary, mapped, root_of, stored_arrays, string_bytes
from gpuql.columnar.strings import merge_dictionaries, narrow_positions
from gpuql.operators.contract import RunContext
from gpuql.thresholds import MAX_DICTIONARY_EXTENSIONS, SHARED_ROWS_PER_ENTRY, VIEW_SHARE


def joined(batches: list[Batch], context: RunContext) -> Batch:
    """All rows of the batches (at least one), a column by each task; empties ``batches``.

    Columns are let go of one after the other, so that few stand twice: see :func:`join_bytes_per_row`.
    """
    filled = [batch for batch in batches if batch.num_rows] or batches[:1]
    batches.clear()
    if len(filled) == 1:
        return filled[0]
    num_rows = sum(batch.num_rows for batch in filled)
    parts = {key: [batch.columns[key] for batch in filled] for key in filled[0].columns}
    filled.clear()
    keys = list(parts)
    columns: dict[int, Column] = {}

    def task(index: int) -> None:
        columns[keys[index]] = concat_columns(parts.pop(keys[index]), xp=context.xp)

    context.run_tasks(len(keys), task)
    return Batch({key: columns[key] for key in keys}, num_rows)


def join_bytes_per_row(rows: Batch, context: RunContext) -> float:
    """Bytes for each of ``rows`` while they are joined with others: of all columns, and of those that stand twice."""
    sizes = sorted(_column_bytes(column) for column in rows.columns.values())
    return (sum(sizes) + sum(sizes[-context.workers :])) / max(1, rows.num_rows)


def gathered(rows: Batch, order: Array, context: RunContext) -> Batch:
    """The rows at positions ``order`` (int64)."""
    return Batch(gathered_columns(rows.columns, order, context), len(order))


def gathered_columns(columns: Mapping[int, Column], order: Array, context: RunContext) -> dict[int, Column]:
    """Rows ``order`` of every column."""
    gather = context.kernels.sort.gather
    found = {}
    for key, column in columns.items():
        values = gather(column.values, order, run_tasks=context.run_tasks)
        validity = column.validity
        if validity is not None:
            validity = gather(validity, order, run_tasks=context.run_tasks)
        found[key] = Column(column.dtype, values, validity, column.strings, column.bounds)
    return found


def bytes_per_row(rows: Batch) -> float:
    """About how many bytes a row takes, with its share of the strings."""
    return sum(map(_column_bytes, rows.columns.values())) / max(1, rows.num_rows)


def idle_string_bytes(batches: Iterable[Batch]) -> int:
    """Bytes of strings that the batches keep in memory beyond those that :func:`bytes_per_row` counts for their rows.

    A few rows of a join, for example, keep all strings of its build rows.
    """
    whole: dict[int, int] = {}
    counted: dict[int, float] = {}
    for batch in batches:
        for column in batch.columns.values():
            strings = column.strings
            if strings is not None and len(strings):
                size = string_bytes(strings)
                whole[id(strings)] = size
                share = size * min(1.0, len(column) / len(strings))
                counted[id(strings)] = counted.get(id(strings), 0.0) + share
    return int(sum(max(0.0, size - counted[key]) for key, size in whole.items()))


def _column_bytes(column: Column) -> float:
    size = sum(array.nbytes for array in stored_arrays(column))
    strings = column.strings
    if strings is not None and len(strings):
        return float(size + string_bytes(strings) * min(1.0, len(column) / len(strings)))
    return float(size)


def with_own_strings(rows: Batch, context: RunContext) -> Batch:
    """The rows with no other strings than theirs, and in arrays of their own; small dictionaries stay as they are."""
    columns = {key: _standing_alone(column, context) for key, column in rows.columns.items()}
    return Batch(columns, rows.num_rows)


def _standing_alone(column: Column, context: RunContext) -> Column:
    strings = column.strings
    if strings is None or len(strings) == 0 or is_small_dictionary(strings):
        return mapped(column, _own, strings)
    xp = context.xp
    validity = None if column.validity is None else _own(column.validity)
    rows = column.values
    if 2 * len(strings) <= len(rows):
        return Column(column.dtype, _own(rows), validity, strings)
    if strings.unique:
        used, places = xp.unique(rows, return_inverse=True)
        if 2 * len(used) <= len(rows):
            own = _taken(strings, used, context)
            own = StringArray(own.offsets, own.data, unique=True, sorted=strings.sorted)
            return Column(column.dtype, narrow_positions(places, len(used)), validity, own)
    return _taken_column(column, strings, context)


def _taken_column(column: Column, strings: StringArray, context: RunContext) -> Column:
    """Each row with a string of its own."""
    own = _taken(strings, column.values, context)
    validity = None if column.validity is None else _own(column.validity)
    positions = narrow_positions(context.xp.arange(len(column)), len(column))
    return Column(column.dtype, positions, validity, own)


def _taken(strings: StringArray, positions: Array, context: RunContext) -> StringArray:
    positions = positions.astype(context.xp.int64)
    starts, ends = strings.offsets[positions], strings.offsets[positions + 1]
    offsets, data = context.kernels.string_match.gather(strings.data, starts, ends)
    return StringArray(offsets, data)


class SharedDictionaries:
    """Small dictionaries that columns of many batches are brought to, so that joining these copies no strings.

    A column whose dictionaries turn out to be many, or above ``most_bytes`` together, or of few rows for each entry,
    gets strings of its own.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._current: dict[int, StringArray | None] = {}
        self._num_extended: dict[int, int] = {}

    def applied(self, rows: Batch, context: RunContext) -> Batch:
        """The rows with positions in shared dictionaries, where there are any."""
        columns = {}
        for key, column in rows.columns.items():
            strings = column.strings
            if strings is not None and len(strings) and is_small_dictionary(strings):
                column = self._applied(key, column, strings, context)
            columns[key] = column
        return Batch(columns, rows.num_rows)

    def _applied(self, key: int, column: Column, strings: StringArray, context: RunContext) -> Column:
        if SHARED_ROWS_PER_ENTRY * len(strings) > len(column):
            self._current[key] = None
        current = self._current.setdefault(
            key, strings if string_bytes(strings) <= self._most_bytes else None
        )
        if current is strings:
            return column
        if current is None:
            return _taken_column(column, strings, context)
        merged, (_, positions) = merge_dictionaries([current, strings])
        if len(merged) > len(current) or not current.sorted:
            self._num_extended[key] = self._num_extended.get(key, 0) + 1
            if self._num_extended[key] > MAX_DICTIONARY_EXTENSIONS or string_bytes(merged) > self._most_bytes:
                self._current[key] = None
                return _taken_column(column, strings, context)
            offsets, data = context.xp.asarray(merged.offsets), context.xp.asarray(merged.data)
            current = StringArray(offsets, data, unique=True, sorted=True)
            self._current[key] = current
        values = narrow_positions(context.xp.asarray(positions)[column.values], len(current))
        return Column(column.dtype, values, column.validity, current)


def without_large_views(rows: Batch, resident: set[int]) -> Batch:
    """The rows with views of much larger arrays copied, unless these belong to tables (ids in ``resident``)."""

    def own_if_small(array: Array) -> Array:
        root = root_of(array)
        if array.nbytes < VIEW_SHARE * root.nbytes and id(root) not in resident:
            return array.copy()
        return array

    columns = {key: mapped(column, own_if_small, column.strings) for key, column in rows.columns.items()}
    return replace(rows, columns=columns)


def _own(array: Array) -> Array:
    return array if array.base is None else array.copy()
