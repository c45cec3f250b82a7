"""CAST and TRY_CAST between fixed-width types; text is in ``cast_text``.

Decimals round half away from zero, floats to integers round half to even, as in DuckDB.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gpuql.columnar.column import NATURAL_DTYPE, Array, Column
from gpuql.columnar.construct import null_column
from gpuql.expressions import bounds as ranges
from gpuql.expressions.calendar import MICROSECONDS_PER_DAY
from gpuql.expressions.infinity import infinite_rows, with_infinity, without_infinity
from gpuql.expressions.vectors import (
    INT64_MAX,
    INT64_MIN,
    EvaluationContext,
    as_wide,
    declared_bounds,
    from_wide,
    integer_dtype,
    is_wide,
    make_column,
    measured_bounds,
)
from gpuql_kernels.int128 import words
from gpuql_planner.errors import NotSupportedError
from gpuql_planner.statement_errors import CastOutOfRange, DatetimeOutOfRange
from gpuql_planner.types import BOOLEAN, TICKS_PER_SECOND, TIMESTAMP, DataType, TypeId

_TEXT = (TypeId.VARCHAR, TypeId.BLOB)
_INT64 = (INT64_MIN, INT64_MAX)


def evaluate_cast(
    column: Column, dtype: DataType, context: EvaluationContext, *, try_: bool = False, zone: str = ""
) -> Column:
    """``column`` as ``dtype``; rows that do not fit raise ConversionError, or become NULL if ``try_`` is set.

    ``zone`` is the time zone of what a TIMESTAMPTZ is made from or turned into.
    """
    source = column.dtype
    if source == dtype:
        return column
    xp = context.xp
    if source.id is TypeId.NULL:
        return null_column(dtype, len(column.values), xp=xp)
    if TypeId.JSON in (source.id, dtype.id):
        from gpuql.expressions.json_cast import cast_json

        return cast_json(column, dtype, context, try_=try_, zone=zone)
    if source.is_enum or dtype.is_enum:
        from gpuql.expressions.enum_cast import cast_enum

        return cast_enum(column, dtype, context, try_=try_)
    if source.is_nested or dtype.is_nested:
        from gpuql.expressions.nested_cast import cast_nested

        return cast_nested(column, dtype, context, try_=try_, zone=zone)
    if source.id in _TEXT or dtype.id in _TEXT:
        from gpuql.expressions import cast_text

        return cast_text.cast(column, dtype, context, try_=try_, zone=zone)
    if source.id is TypeId.BOOLEAN and dtype.is_numeric:
        bits = Column(DataType(TypeId.TINYINT), column.values.view(np.int8), column.validity, None, (0, 1))
        return evaluate_cast(bits, dtype, context, try_=try_)
    if dtype.id is TypeId.BOOLEAN and source.is_numeric:
        return Column(BOOLEAN, _nonzero(column), column.validity)
    if source.is_float and dtype.is_float:
        return _float_to_float(xp, column, dtype, try_=try_)
    if source.is_float and dtype.limits is not None and dtype.is_numeric:
        return _float_to_exact(xp, column, dtype, try_=try_)
    if dtype.is_float and source.limits is not None and source.is_numeric:
        return Column(dtype, exact_to_float(xp, column).astype(NATURAL_DTYPE[dtype.id]), column.validity)
    if source.is_numeric and dtype.is_numeric:
        return _exact_to_exact(xp, column, dtype, try_=try_)
    if TypeId.TIMESTAMPTZ in (source.id, dtype.id):
        from gpuql.expressions.zone_cast import cast_zoned

        return cast_zoned(column, dtype, context, zone=zone, try_=try_)
    if source.is_temporal and dtype.is_temporal:
        return _temporal(xp, column, dtype, try_=try_)
    if source.id is TypeId.TIME and dtype.id is TypeId.INTERVAL:
        zero = xp.zeros(len(column.values), xp.int64)
        return Column(dtype, xp.stack((zero, zero, column.values.astype(xp.int64)), axis=-1), column.validity)
    raise NotSupportedError(f"cast is not supported: {source} to {dtype}")


def _nonzero(column: Column) -> Array:
    return ~words.is_zero(column.values) if column.values.ndim == 2 else column.values != 0


def exact_to_float(xp: Any, column: Column) -> Array:
    """Doubles of an exact column, decimals unscaled."""
    values = column.values
    result = words.to_float64(xp, values) if values.ndim == 2 else values.astype(xp.float64)
    return result / 10.0**column.dtype.scale if column.dtype.scale else result


def _keep_valid(
    xp: Any,
    wrong: Array,
    validity: Array | None,
    dtype: DataType,
    source: DataType,
    describe: Any,
    *,
    try_: bool,
) -> Array | None:
    """Validity without rows of ``wrong``; raises if there are any and they may not become NULL."""
    if validity is not None:
        wrong = wrong & validity
    if not bool(wrong.any()):
        return validity
    if not try_:
        row = int(xp.flatnonzero(wrong)[0])
        raise CastOutOfRange(f"value out of range in cast from {source} to {dtype}: {describe(row)}")
    return ~wrong if validity is None else validity & ~wrong


def _float_to_float(xp: Any, column: Column, dtype: DataType, *, try_: bool) -> Column:
    values = column.values.astype(NATURAL_DTYPE[dtype.id])
    validity = column.validity
    if dtype.id is TypeId.REAL:
        wrong = xp.isinf(values) & ~xp.isinf(column.values)
        validity = _keep_valid(
            xp, wrong, validity, dtype, column.dtype, lambda row: float(column.values[row]), try_=try_
        )
    return Column(dtype, values, validity)


def _float_to_exact(xp: Any, column: Column, dtype: DataType, *, try_: bool) -> Column:
    values = column.values.astype(xp.float64)
    limits = dtype.limits
    assert limits is not None, "the caller checked that the target is exact"
    if dtype.is_decimal:
        scaled = values * 10.0**dtype.scale
        # Half away from zero. Adding a half first would round large odd numbers up.
        whole = xp.trunc(scaled)
        rounded = whole + xp.where(xp.abs(scaled - whole) >= 0.5, xp.copysign(1.0, scaled), 0.0)
    else:
        rounded = xp.rint(values)
    # The comparison fails for NaN, which therefore counts as out of range. Limits beyond 2**53 round up to a power
    # of two, which is itself out of range.
    high = float(limits[1])
    below = rounded < high if int(high) > limits[1] else rounded <= high
    inside = (rounded >= float(limits[0])) & below
    validity = _keep_valid(
        xp, ~inside, column.validity, dtype, column.dtype, lambda row: float(values[row]), try_=try_
    )
    rounded = xp.where(inside, rounded, 0.0)
    size = float(xp.abs(rounded).max()) if len(rounded) else 0.0
    if size < 2.0**63:
        known = None
        if size < 2.0**53 and len(rounded):
            known = (int(rounded.min()), int(rounded.max()))
        return make_column(xp, dtype, rounded.astype(xp.int64), validity, known)
    return from_wide(xp, dtype, words.from_float64(xp, rounded), validity, None)


def _exact_to_exact(xp: Any, column: Column, dtype: DataType, *, try_: bool) -> Column:
    digits = dtype.scale - column.dtype.scale
    limits = dtype.limits
    assert limits is not None, "the caller checked that the target is exact"
    known = _rescaled_bounds(declared_bounds(column), digits)
    if not ranges.within(known, limits) or (digits > 0 and not ranges.within(known, _INT64)):
        known = _rescaled_bounds(measured_bounds(xp, column), digits)
    fits = ranges.within(known, limits)
    validity = column.validity
    if digits == 0 and fits and not _needs_restoring(column, dtype):
        return Column(dtype, column.values, validity, None, known)
    if not is_wide(column) and ranges.within(known, _INT64):
        values = _rescale_narrow(xp, column, digits, known)
        if not fits:
            wrong = (values < limits[0]) | (values > limits[1])
            validity = _keep_valid(xp, wrong, validity, dtype, column.dtype, _describer(column), try_=try_)
            known = (max(known[0], limits[0]), min(known[1], limits[1]))
            values = xp.where(wrong, 0, values)
            known = (min(known[0], 0), max(known[1], 0))
        return make_column(xp, dtype, values, validity, known)
    wide = as_wide(xp, column)
    if digits > 0:
        wide, flagged = words.scale_up(xp, wide, digits)
    else:
        flagged = xp.zeros(len(wide), bool)
        if digits < 0:
            wide = words.scale_down(xp, wide, -digits)
    if not fits:
        wrong = flagged | _outside(xp, wide, limits)
        validity = _keep_valid(xp, wrong, validity, dtype, column.dtype, _describer(column), try_=try_)
        wide = xp.where(wrong[:, None], 0, wide)
        known = (min(0, max(known[0], limits[0])), max(0, min(known[1], limits[1])))
    return from_wide(xp, dtype, wide, validity, known)


def _needs_restoring(column: Column, dtype: DataType) -> bool:
    """The stored form of the source is not one of the target's: two words or uint64."""
    if column.values.ndim == 2:
        return dtype.id is not TypeId.HUGEINT and not dtype.is_decimal
    return bool(column.values.dtype == np.uint64) and dtype.id is not TypeId.UBIGINT


def _rescaled_bounds(known: ranges.Range, digits: int) -> ranges.Range:
    return ranges.scale_up(known, digits) if digits >= 0 else ranges.scale_down(known, -digits)


def _rescale_narrow(xp: Any, column: Column, digits: int, known: ranges.Range) -> Array:
    if digits == 0:
        return column.values
    if digits > 0:
        if digits > 18:
            # Only zeros can fit one word after such a step.
            return xp.zeros(len(column.values), xp.int64)
        word = integer_dtype(*known) if digits <= 9 else np.int64
        return column.values.astype(word) * word(10**digits)
    values = column.values.astype(xp.int64)
    if digits < -18:
        return xp.zeros(len(values), xp.int64)
    unit = 10**-digits
    size = xp.abs(values)
    # Adding half a unit to the magnitude could overflow, so the remainder decides instead.
    quotient = size // unit
    rounded = quotient + (size - quotient * unit >= unit // 2)
    return xp.where(values < 0, -rounded, rounded)


def _outside(xp: Any, wide: Array, limits: ranges.Range) -> Array:
    low, high = words.from_python(xp, [limits[0]]), words.from_python(xp, [limits[1]])
    return words.less(xp, wide, low) | words.less(xp, high, wide)


def _describer(column: Column) -> Any:
    from gpuql.columnar.construct import column_to_python

    return lambda row: column_to_python(column.slice(row, row + 1))[0]


def _to_ticks(xp: Any, column: Column, dtype: DataType, *, try_: bool) -> Column:
    """A timestamp in another unit, to the nearest one, half away from zero."""
    source, target = TICKS_PER_SECOND[column.dtype.id], TICKS_PER_SECOND[dtype.id]
    values = column.values.astype(xp.int64)
    if target >= source:
        factor = target // source
        limit = (2**63 - 2) // factor
        wrong = (values > limit) | (values < -limit)
        validity = _keep_valid(
            xp, wrong, column.validity, dtype, column.dtype, lambda row: int(values[row]), try_=try_
        )
        return make_column(xp, dtype, xp.where(wrong, 0, values) * factor, validity)
    unit = source // target
    size = xp.abs(values)
    whole = size // unit
    whole = whole + (size - whole * unit >= unit // 2)
    return make_column(xp, dtype, xp.where(values < 0, -whole, whole), column.validity)


def _temporal(xp: Any, column: Column, dtype: DataType, *, try_: bool = False) -> Column:
    rows = infinite_rows(xp, column)
    if rows is not None:
        if dtype.id is TypeId.TIME:
            validity = _keep_valid(
                xp, rows, column.validity, dtype, column.dtype, lambda _: "infinity", try_=try_
            )
            column = replace(column, validity=validity)
            return _temporal(xp, without_infinity(xp, column, rows), dtype, try_=try_)
        finite = _temporal(xp, without_infinity(xp, column, rows), dtype, try_=try_)
        return with_infinity(xp, finite, column, rows)
    if column.dtype.is_timestamp and dtype.is_timestamp:
        return _to_ticks(xp, column, dtype, try_=try_)
    if column.dtype.is_timestamp and column.dtype.id is not TypeId.TIMESTAMP:
        return _temporal(xp, _to_ticks(xp, column, TIMESTAMP, try_=try_), dtype, try_=try_)
    if dtype.is_timestamp and dtype.id is not TypeId.TIMESTAMP:
        return _to_ticks(xp, _temporal(xp, column, TIMESTAMP, try_=try_), dtype, try_=try_)
    values = column.values.astype(xp.int64)
    match column.dtype.id, dtype.id:
        case TypeId.DATE, TypeId.TIMESTAMP:
            unit = MICROSECONDS_PER_DAY
            known = declared_bounds(column)
            scaled = (known[0] * unit, known[1] * unit)
            if not ranges.within(scaled, _INT64):
                known = measured_bounds(xp, column)
                scaled = (known[0] * unit, known[1] * unit)
            if not ranges.within(scaled, _INT64):
                raise DatetimeOutOfRange("value out of range in cast from DATE to TIMESTAMP")
            return make_column(xp, dtype, values * unit, column.validity, scaled)
        case TypeId.TIMESTAMP, TypeId.DATE:
            bounds = column.bounds
            days = None
            if bounds is not None:
                days = (bounds[0] // MICROSECONDS_PER_DAY, bounds[1] // MICROSECONDS_PER_DAY)
            return make_column(xp, dtype, values // MICROSECONDS_PER_DAY, column.validity, days)
        case TypeId.TIMESTAMP, TypeId.TIME:
            clock = values % MICROSECONDS_PER_DAY
            return make_column(xp, dtype, clock, column.validity, (0, MICROSECONDS_PER_DAY - 1))
        case _:
            raise NotSupportedError(f"cast is not supported: {column.dtype} to {dtype}")
