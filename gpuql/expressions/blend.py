"""One column put together row by row from several: what CASE, COALESCE, GREATEST and LEAST need."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_columns
from gpuql.expressions import bounds as ranges
from gpuql.expressions.vectors import as_wide, declared_bounds, is_null_constant, match_length
from gpuql_planner.types import DataType, TypeId


def blend(
    xp: Any, dtype: DataType, choices: list[tuple[Array, Column]], otherwise: Column, num_rows: int
) -> Column:
    """Rows of each choice where its mask is true (masks do not overlap), ``otherwise`` elsewhere.

    Masks have ``num_rows`` rows or one; columns too.
    """
    columns = [otherwise, *(column for _, column in choices)]
    masks = [match_length(xp, mask, num_rows) for mask, _ in choices]
    validity = _blend_validity(xp, columns, masks, num_rows)
    if dtype.is_bytes:
        return _blend_strings(xp, dtype, columns, masks, validity, num_rows)
    known: ranges.Range | None = None
    present = [column for column in columns if not is_null_constant(column)]
    if dtype.limits is not None and dtype.id is not TypeId.BOOLEAN and present:
        known = declared_bounds(present[0])
        for column in present[1:]:
            known = ranges.union(known, declared_bounds(column))
    values = _blend_values(xp, dtype, columns, masks, num_rows)
    return Column(dtype, values, validity, None, known)


def _blend_validity(xp: Any, columns: list[Column], masks: list[Array], num_rows: int) -> Array | None:
    if all(column.validity is None for column in columns):
        return None

    def of(column: Column) -> Array:
        return xp.ones(1, bool) if column.validity is None else column.validity

    validity = xp.array(xp.broadcast_to(of(columns[0]), (num_rows,)))
    for mask, column in zip(masks, columns[1:], strict=True):
        validity = xp.where(mask, of(column), validity)
    return None if bool(validity.all()) else validity


def _blend_values(
    xp: Any, dtype: DataType, columns: list[Column], masks: list[Array], num_rows: int
) -> Array:
    parts = [column.values for column in columns]
    if dtype.id is TypeId.INTERVAL:
        result = xp.broadcast_to(parts[0], (num_rows, 3))
        for mask, part in zip(masks, parts[1:], strict=True):
            result = xp.where(mask[:, None], part, result)
        return xp.ascontiguousarray(result)
    kinds = {part.dtype for part in parts}
    if any(part.ndim == 2 for part in parts) or (np.dtype(np.uint64) in kinds and len(kinds) > 1):
        result = xp.broadcast_to(as_wide(xp, columns[0]), (num_rows, 2))
        for mask, column in zip(masks, columns[1:], strict=True):
            result = xp.where(mask[:, None], as_wide(xp, column), result)
        if dtype.id is TypeId.UBIGINT:
            return xp.ascontiguousarray(result[:, 0]).view(np.uint64)
        return xp.ascontiguousarray(result)
    result = xp.broadcast_to(parts[0], (num_rows,))
    for mask, part in zip(masks, parts[1:], strict=True):
        result = xp.where(mask, part, result)
    return xp.ascontiguousarray(result)


def _blend_strings(
    xp: Any,
    dtype: DataType,
    columns: list[Column],
    masks: list[Array],
    validity: Array | None,
    num_rows: int,
) -> Column:
    # Joining the columns gives them one StringArray; a constant contributes a single row.
    starts, total = [], 0
    present = []
    for column in columns:
        starts.append(total)
        if column.strings is not None and len(column.strings) > 0:
            present.append(Column(dtype, column.values, None, column.strings))
            total += len(column.values)
    if not present:
        return Column(dtype, xp.zeros(num_rows, xp.int32), validity, columns[0].strings)
    joined = concat_columns(present, xp=xp)

    def rows_of(index: int) -> Array:
        column = columns[index]
        if column.strings is None or len(column.strings) == 0:
            return xp.zeros(1, joined.values.dtype)
        return joined.values[starts[index] : starts[index] + len(column.values)]

    values = xp.broadcast_to(rows_of(0), (num_rows,))
    for index, mask in enumerate(masks, 1):
        values = xp.where(mask, rows_of(index), values)
    return Column(dtype, xp.ascontiguousarray(values), validity, joined.strings)
