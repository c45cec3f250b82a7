"""add, subtract, multiply, divide where an argument is DATE, TIME, TIMESTAMP or INTERVAL."""

from __future__ import annotations

from typing import Any

from gpuql.columnar.column import Array, Column
from gpuql.expressions import bounds as ranges
from gpuql.expressions.calendar import MICROSECONDS_PER_DAY, add_months
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
from gpuql_planner.errors import ArithmeticOverflowError, NotSupportedError
from gpuql_planner.types import DataType, TypeId

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
    if kinds[1] is TypeId.INTERVAL:
        return _shift(xp, dtype, left, right, 1 if function == "add" else -1)
    if kinds == (TypeId.TIMESTAMP, TypeId.TIMESTAMP) and dtype.id is TypeId.INTERVAL:
        return _timestamp_difference(xp, dtype, left, right)
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
    if function == "multiply":
        if not right.dtype.is_integer:
            raise NotSupportedError("operation is not supported: INTERVAL times a fraction; use an integer")
        return make_column(xp, dtype, left.values * right.values.astype(xp.int64)[:, None], validity)
    divisor = right.values.astype(xp.int64)[:, None]
    zero = divisor[:, 0] == 0
    nonzero = xp.where(divisor == 0, 1, divisor)
    # Remainders carry to the finer unit: a month has 30 days, a day 24 hours.
    months = xp.trunc(left.values[:, :1] / nonzero).astype(xp.int64)
    days_total = left.values[:, 1:2] + (left.values[:, :1] - months * nonzero) * 30
    days = xp.trunc(days_total / nonzero).astype(xp.int64)
    rest = left.values[:, 2:3] + (days_total - days * nonzero) * MICROSECONDS_PER_DAY
    values = xp.concatenate((months, days, xp.fix(rest / nonzero).astype(xp.int64)), axis=1)
    if bool(zero.any()):
        validity = ~zero if validity is None else validity & ~zero
    return make_column(xp, dtype, values, validity)


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
