"""add, subtract, multiply, divide, integer_divide, modulo, negate, abs on numbers.

Exact types run in the narrowest word that range analysis allows. Where declared ranges prove nothing the actual range
is measured; where that does not help either, the operation runs in 128 bits and is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpuql.columnar.column import Array, Column
from gpuql.expressions import bounds as ranges
from gpuql.expressions import temporal_arithmetic
from gpuql.expressions.cast import exact_to_float
from gpuql.expressions.vectors import (
    INT64_MAX,
    INT64_MIN,
    EvaluationContext,
    as_wide,
    declared_bounds,
    from_wide,
    integer_dtype,
    is_wide,
    joint_validity,
    make_column,
    measured_bounds,
)
from gpuql_kernels.int128 import words
from gpuql_planner.errors import ArithmeticOverflowError, DataError
from gpuql_planner.types import DataType, TypeId

_NOUNS = {
    "add": "addition",
    "subtract": "subtraction",
    "multiply": "multiplication",
    "integer_divide": "division",
    "modulo": "division",
    "negate": "negation",
    "abs": "absolute value",
}
_INT64 = (INT64_MIN, INT64_MAX)


class DivisionByZeroError(DataError):
    """An exact division or remainder by zero (SQLSTATE 22012)."""

    sqlstate = "22012"


def overflow(function: str, dtype: DataType) -> ArithmeticOverflowError:
    """The error for a result outside ``dtype``."""
    return ArithmeticOverflowError(f"overflow in {_NOUNS[function]} of {dtype}")


def _narrow_operation(xp: Any, function: str, left: Array, right: Array) -> Array:
    if function == "add":
        return left + right
    if function == "subtract":
        return left - right
    if function == "multiply":
        return left * right
    if function == "modulo":
        return xp.fmod(left, right)
    quotient = xp.floor_divide(left, right)
    # Floor division rounds down; SQL truncates toward zero.
    inexact = quotient * right != left
    return quotient + (inexact & ((left < 0) != (right < 0)))


def _wide_operation(xp: Any, function: str, left: Array, right: Array) -> tuple[Array, Array | None]:
    if function == "add":
        return words.add(xp, left, right)
    if function == "subtract":
        return words.subtract(xp, left, right)
    if function == "multiply":
        return words.multiply(xp, left, right)
    quotient, rest = words.divide(xp, left, right)
    return (quotient if function == "integer_divide" else rest), None


def exact_binary(
    function: str, dtype: DataType, left: Column, right: Column, context: EvaluationContext
) -> Column:
    """An arithmetic function on stored integers, checked against the limits of ``dtype``."""
    xp = context.xp
    validity = joint_validity(left, right)
    limits = dtype.limits
    assert limits is not None, "exact arithmetic has an exact result type"
    propagate = ranges.BINARY[function]
    left_range, right_range = declared_bounds(left), declared_bounds(right)
    result_range = propagate(left_range, right_range)
    if not ranges.within(result_range, limits) or not ranges.within(result_range, _INT64):
        left_range, right_range = measured_bounds(xp, left), measured_bounds(xp, right)
        result_range = propagate(left_range, right_range)
    word_range = ranges.union(ranges.union(result_range, left_range), right_range)
    assert word_range is not None, "all three ranges are known"
    if not is_wide(left) and not is_wide(right) and ranges.within(word_range, _INT64):
        word = integer_dtype(*word_range)
        values = _narrow_operation(xp, function, left.values.astype(word), right.values.astype(word))
        if not ranges.within(result_range, limits):
            outside = (values < max(limits[0], _INT64[0])) | (values > min(limits[1], _INT64[1]))
            _raise_if_any(outside, validity, function, dtype)
            result_range = _clip(result_range, limits)
        return make_column(xp, dtype, values, validity, result_range)
    wide, flagged = _wide_operation(xp, function, as_wide(xp, left), as_wide(xp, right))
    if flagged is not None:
        _raise_if_any(flagged, validity, function, dtype)
    if not ranges.within(result_range, limits):
        outside = words.less(xp, wide, words.from_python(xp, [limits[0]])) | words.less(
            xp, words.from_python(xp, [limits[1]]), wide
        )
        _raise_if_any(outside, validity, function, dtype)
        result_range = _clip(result_range, limits)
    return from_wide(xp, dtype, wide, validity, result_range)


def _clip(value: ranges.Range, limits: ranges.Range) -> ranges.Range:
    return max(value[0], limits[0]), min(value[1], limits[1])


def _raise_if_any(flagged: Array, validity: Array | None, function: str, dtype: DataType) -> None:
    if validity is not None:
        flagged = flagged & validity
    if bool(flagged.any()):
        raise overflow(function, dtype)


def _binary(function: str) -> Callable[..., Column]:
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        left, right = arguments
        if (
            left.dtype.is_temporal
            or right.dtype.is_temporal
            or TypeId.INTERVAL in (left.dtype.id, right.dtype.id)
        ):
            return temporal_arithmetic.apply(function, dtype, left, right, context)
        if dtype.is_float:
            values = _narrow_operation(context.xp, function, *_floats(dtype, left, right, context))
            return make_column(context.xp, dtype, values, joint_validity(left, right))
        return exact_binary(function, dtype, left, right, context)

    return apply


def _floats(dtype: DataType, left: Column, right: Column, context: EvaluationContext) -> tuple[Array, Array]:
    word = context.xp.float32 if dtype.id is TypeId.REAL else context.xp.float64
    return left.values.astype(word, copy=False), right.values.astype(word, copy=False)


def divide(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Floating-point division: x / 0 is infinite or NaN, as in IEEE 754."""
    left, right = arguments
    if left.dtype.id is TypeId.INTERVAL:
        return temporal_arithmetic.apply("divide", dtype, left, right, context)
    numerator, denominator = _floats(dtype, left, right, context)
    return make_column(context.xp, dtype, numerator / denominator, joint_validity(left, right))


def _without_zero(function: str, left: Column, right: Column, context: EvaluationContext) -> Column:
    """The divisor with NULL rows set to one; an error if a row to be divided has a zero divisor."""
    xp = context.xp
    zero = words.is_zero(right.values) if right.values.ndim == 2 else right.values == 0
    if not bool(zero.any()):
        return right
    validity = joint_validity(left, right)
    divided = zero if validity is None else zero & validity
    if bool(divided.any()):
        raise DivisionByZeroError(f"division by zero in {'//' if function == 'integer_divide' else '%'}")
    if right.values.ndim == 2:
        values = xp.where(zero[:, None], words.from_python(xp, [1]), right.values)
    else:
        values = xp.where(zero, right.values.dtype.type(1), right.values)
    if right.dtype.is_float:
        return Column(right.dtype, values, right.validity)
    low, high = declared_bounds(right)
    return Column(right.dtype, values, right.validity, None, (low, max(high, 1)))


def _division(function: str) -> Callable[..., Column]:
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        left, right = arguments
        if dtype.is_float and not left.dtype.is_float:
            divisor = _without_zero(function, left, right, context)
            numerator, denominator = exact_to_float(context.xp, left), exact_to_float(context.xp, divisor)
            values = context.xp.fmod(numerator, denominator)
            return make_column(context.xp, dtype, values, joint_validity(left, right))
        if dtype.is_float:
            numerator, denominator = _floats(dtype, left, right, context)
            if function == "modulo":
                values = context.xp.fmod(numerator, denominator)
            else:
                # Stays an exact quotient for floats, as in DuckDB, which only refuses zero.
                _without_zero(function, left, right, context)
                values = numerator / denominator
            return make_column(context.xp, dtype, values, joint_validity(left, right))
        return exact_binary(function, dtype, left, _without_zero(function, left, right, context), context)

    return apply


def negate(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Minus ``a``; intervals negate each component."""
    (value,) = arguments
    if dtype.is_float or dtype.id is TypeId.INTERVAL:
        return Column(dtype, -value.values, value.validity)
    zero = Column(dtype, context.xp.zeros(1, context.xp.int8), None, None, (0, 0))
    try:
        return exact_binary("subtract", dtype, zero, value, context)
    except ArithmeticOverflowError:
        raise overflow("negate", dtype) from None


def absolute(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Magnitude of ``a``."""
    (value,) = arguments
    if dtype.is_float:
        return Column(dtype, context.xp.abs(value.values), value.validity)
    known = declared_bounds(value)
    if known[0] >= 0:
        return Column(dtype, value.values, value.validity, None, value.bounds)
    limits = dtype.limits
    assert limits is not None, "exact arithmetic has an exact result type"
    flipped = negate(dtype, arguments, context) if -known[0] <= limits[1] else None
    if flipped is None:
        low = measured_bounds(context.xp, value)[0]
        if -low > limits[1]:
            raise overflow("abs", dtype)
        known = (low, known[1])
        flipped = negate(dtype, [Column(value.dtype, value.values, value.validity, None, known)], context)
    result_range = ranges.absolute(known)
    xp = context.xp
    if is_wide(value) or is_wide(flipped):
        original = as_wide(xp, value)
        wide = xp.where(words.negative(original)[:, None], as_wide(xp, flipped), original)
        return from_wide(xp, dtype, wide, value.validity, result_range)
    values = xp.where(value.values < 0, flipped.values, value.values)
    return make_column(xp, dtype, values, value.validity, result_range)


FUNCTIONS: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    "add": _binary("add"),
    "subtract": _binary("subtract"),
    "multiply": _binary("multiply"),
    "divide": divide,
    "integer_divide": _division("integer_divide"),
    "modulo": _division("modulo"),
    "negate": negate,
    "abs": absolute,
}
