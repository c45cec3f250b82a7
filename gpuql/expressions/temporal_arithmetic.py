"""add, subtract, multiply, divide where an argument is DATE, TIME, TIMESTAMP or INTERVAL."""

from __future__ import annotations

from typing import Any

from gpuql.columnar.column import Array, Column
from gpuql.expressions import bounds as ranges
from gpuql.expressions.calendar import MICROSECONDS_PER_DAY, add_months
from gpuql.expressions.infinity import infinite_rows, with_infinity, without_infinity
from gpuql.expressions.vectors import (
    EvaluationContext,
    constant_integer,
    declared_bounds,
    integer_dtype,
    is_constant,
    joint_validity,
    make_column,
    measured_bounds,
)
from gpuql_planner.errors import ArithmeticOverflowError, NotSupportedError, OutOfRangeError
from gpuql_planner.statement_errors import DatetimeOutOfRange
from gpuql_planner.types import INFINITE_DATE, DataType, TypeId

_MILLION = 1e6
_TIMESTAMP_LIMITS = (-(2**63) + 1, 2**63 - 2)  # the extremes stand for infinity in DuckDB


def apply(function: str, dtype: DataType, left: Column, right: Column, context: EvaluationContext) -> Column:
    """Temporal arithmetic by the types of both arguments and the result."""
    xp = context.xp
    kinds = (left.dtype.id, right.dtype.id)
    if function == "add" and kinds[0] is TypeId.INTERVAL and kinds[1] is not TypeId.INTERVAL:
        return apply(function, dtype, right, left, context)
    if function == "add" and left.dtype.is_integer:
        return apply(function, dtype, right, left, context)
    if function in ("multiply", "divide"):
        return _scale_interval(xp, function, dtype, left, right)
    if kinds == (TypeId.INTERVAL, TypeId.INTERVAL):
        values = left.values + right.values if function == "add" else left.values - right.values
        return make_column(xp, dtype, values, joint_validity(left, right))
    if kinds == (TypeId.TIMESTAMP, TypeId.TIMESTAMP) and dtype.id is TypeId.INTERVAL:
        if any(infinite_rows(xp, one) is not None for one in (left, right)):
            raise DatetimeOutOfRange("infinite timestamps cannot be subtracted")
        return _timestamp_difference(xp, dtype, left, right)
    rows = None if kinds == (TypeId.DATE, TypeId.DATE) else infinite_rows(xp, left)
    if rows is not None:
        finite = apply(function, dtype, without_infinity(xp, left, rows), right, context)
        return with_infinity(xp, finite, left, rows)
    if kinds[1] is TypeId.INTERVAL:
        return _shift(xp, dtype, left, right, 1 if function == "add" else -1)
    if kinds == (TypeId.DATE, TypeId.TIME):
        microseconds = left.values.astype(xp.int64) * MICROSECONDS_PER_DAY + right.values
        return make_column(xp, dtype, microseconds, joint_validity(left, right))
    if kinds == (TypeId.TIME, TypeId.DATE):
        return apply(function, dtype, right, left, context)
    if dtype.limits is not None:
        # DATE and integer days, DATE minus DATE: plain integers.
        return _plain(xp, function, dtype, left, right)
    raise NotSupportedError(f"operation is not supported: {left.dtype} {function} {right.dtype}")


def _plain(xp: Any, function: str, dtype: DataType, left: Column, right: Column) -> Column:
    propagate = ranges.BINARY[function]
    limits = dtype.limits
    assert limits is not None, "the caller checked that the result is one integer"
    if dtype.id is TypeId.DATE:
        limits = (1 - INFINITE_DATE, INFINITE_DATE - 1)
    result_range = propagate(declared_bounds(left), declared_bounds(right))
    if not ranges.within(result_range, limits):
        result_range = propagate(measured_bounds(xp, left), measured_bounds(xp, right))
    if not ranges.within(result_range, limits):
        raise ArithmeticOverflowError(f"{dtype} out of range in {function}")
    word = integer_dtype(*result_range)
    first, second = left.values.astype(word), right.values.astype(word)
    values = first + second if function == "add" else first - second
    return make_column(xp, dtype, values, joint_validity(left, right), result_range)


def _timestamp_difference(xp: Any, dtype: DataType, left: Column, right: Column) -> Column:
    difference = left.values.astype(xp.int64) - right.values.astype(xp.int64)
    size = xp.abs(difference)
    sign = xp.sign(difference)
    days, rest = sign * (size // MICROSECONDS_PER_DAY), sign * (size % MICROSECONDS_PER_DAY)
    values = xp.stack((xp.zeros_like(days), days, rest), axis=-1)
    return make_column(xp, dtype, values, joint_validity(left, right))


def _scale_interval(xp: Any, function: str, dtype: DataType, left: Column, right: Column) -> Column:
    if left.dtype.id is not TypeId.INTERVAL:
        left, right = right, left
    validity = joint_validity(left, right)
    if function == "multiply" and right.dtype.is_integer:
        return make_column(xp, dtype, left.values * right.values.astype(xp.int64)[:, None], validity)
    months, days, micros = (left.values[:, part].astype(xp.float64) for part in range(3))
    factor = right.values.astype(xp.float64)
    if function == "divide":
        nonzero = xp.where(factor == 0, 1.0, factor)
        months, days, micros = months / nonzero, days / nonzero, micros / nonzero
        zero = factor == 0 if validity is None else (factor == 0) & validity
        if bool(zero.any()):
            raise OutOfRangeError("division of an INTERVAL by zero")
    else:
        months, days, micros = months * factor, days * factor, micros * factor
    # Fractions carry to the finer unit, a month having 30 days and a day 24 hours, as in PostgreSQL.
    whole_months, whole_days = xp.trunc(months), xp.trunc(days)
    month_days = xp.rint((months - whole_months) * 30.0 * _MILLION) / _MILLION
    fraction = days - whole_days + month_days - xp.trunc(month_days)
    seconds = xp.rint(fraction * 86_400.0 * _MILLION) / _MILLION
    more_days = xp.trunc(seconds / 86_400.0)
    whole_days = whole_days + xp.trunc(month_days) + more_days
    micros = xp.rint(micros + (seconds - more_days * 86_400.0) * _MILLION)
    outside = ~((xp.abs(months) < 2.0**31) & (xp.abs(days) < 2.0**31) & (xp.abs(micros) < 2.0**63))
    if bool((outside if validity is None else outside & validity).any()):
        raise ArithmeticOverflowError(f"INTERVAL out of range in {function}")
    parts = [xp.where(outside, 0.0, part).astype(xp.int64) for part in (whole_months, whole_days, micros)]
    return make_column(xp, dtype, xp.stack(parts, axis=-1), validity)


def _shift(xp: Any, dtype: DataType, left: Column, interval: Column, sign: int) -> Column:
    """DATE, TIME or TIMESTAMP plus or minus an interval: months first, then days, then microseconds."""
    validity = joint_validity(left, interval)
    if left.dtype.id is TypeId.TIME:
        values = (left.values.astype(xp.int64) + sign * interval.values[:, 2]) % MICROSECONDS_PER_DAY
        return make_column(xp, dtype, values, validity)
    months, days, microseconds = (sign * interval.values[:, part] for part in range(3))
    start, clock = _split(xp, left)
    if not (is_constant(interval) and int(months[0]) == 0):
        start = add_months(xp, start, months)
    start = start + days
    if dtype.id is TypeId.DATE:
        return make_column(xp, dtype, start + microseconds // MICROSECONDS_PER_DAY, validity)
    _check_days(xp, start, validity, dtype)
    values = start * MICROSECONDS_PER_DAY + (microseconds if clock is None else clock + microseconds)
    column = make_column(xp, dtype, values, validity)
    value = constant_integer(column)
    return column if value is None else make_column(xp, dtype, values, validity, (value, value))


def _check_days(xp: Any, days: Array, validity: Array | None, dtype: DataType) -> None:
    limit = _TIMESTAMP_LIMITS[1] // MICROSECONDS_PER_DAY - 1
    outside = xp.abs(days) > limit
    if validity is not None:
        outside = outside & validity
    if bool(outside.any()):
        raise ArithmeticOverflowError(f"{dtype} out of range in addition of INTERVAL")


def _split(xp: Any, column: Column) -> tuple[Array, Array | None]:
    """Days and, for TIMESTAMP, microseconds since midnight."""
    values = column.values.astype(xp.int64)
    if column.dtype.id is TypeId.DATE:
        return values, None
    days = values // MICROSECONDS_PER_DAY
    return days, values - days * MICROSECONDS_PER_DAY
