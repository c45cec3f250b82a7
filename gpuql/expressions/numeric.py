"""Rounding, powers, logarithms, trigonometry and bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpuql.columnar.column import NATURAL_DTYPE, Array, Column
from gpuql.expressions import bounds as ranges
from gpuql.expressions.cast import evaluate_cast, exact_to_float
from gpuql.expressions.infinity import infinite_rows
from gpuql.expressions.vectors import (
    EvaluationContext,
    as_wide,
    constant_integer,
    declared_bounds,
    from_wide,
    is_wide,
    joint_validity,
    make_column,
    measured_bounds,
)
from gpuql_kernels.int128 import words
from gpuql_planner.errors import ArithmeticOverflowError, NotSupportedError, OutOfRangeError
from gpuql_planner.types import DataType, decimal


def _floating(name: str) -> Callable[..., Column]:
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        xp = context.xp
        values = [_as_float(xp, argument) for argument in arguments]
        result = getattr(xp, name)(*values)
        return make_column(xp, dtype, result.astype(NATURAL_DTYPE[dtype.id]), joint_validity(*arguments))

    return apply


def _as_float(xp: Any, column: Column) -> Array:
    if column.dtype.is_float:
        return column.values
    return exact_to_float(xp, column)


def _predicate(name: str) -> Callable[..., Column]:
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        xp = context.xp
        (column,) = arguments
        rows = infinite_rows(xp, column)
        if rows is not None:
            result = ~rows if name == "isfinite" else rows
        elif not column.dtype.is_float:
            result = xp.full(len(column.values), name == "isfinite", bool)
        else:
            result = getattr(xp, name)(column.values)
        return make_column(xp, dtype, result, column.validity)

    return apply


def round_to(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """round(x [, digits]): half away from zero; negative digits round before the point."""
    xp = context.xp
    column = arguments[0]
    digits = 0
    if len(arguments) > 1:
        found = constant_integer(arguments[1])
        if found is None:
            return _round_by_rows(dtype, column, arguments[1], context)
        digits = max(-400, min(400, found))
    if column.dtype.is_float:
        return make_column(xp, dtype, _round_float(xp, column.values, digits), column.validity)
    return _round_exact(column, dtype, digits, context)


def _round_float(xp: Any, values: Array, digits: Any) -> Array:
    if isinstance(digits, int) and digits == 0:
        return _half_away(xp, values)
    unit = 10.0 ** xp.abs(digits) if not isinstance(digits, int) else 10.0 ** min(abs(digits), 308)
    up = _half_away(xp, values * unit) / unit
    down = _half_away(xp, values / unit) * unit
    result = xp.where(xp.asarray(digits) >= 0, up, down)
    return xp.where(xp.isfinite(result), result, values).astype(values.dtype)


def _half_away(xp: Any, values: Array) -> Array:
    whole = xp.trunc(values)
    # Adding a zero of the other sign would make -0.0 a 0.0, and 1 / round(x) the other infinity.
    return xp.where(xp.abs(values - whole) >= 0.5, whole + xp.copysign(1.0, values), whole)


def _round_by_rows(dtype: DataType, column: Column, digits: Column, context: EvaluationContext) -> Column:
    """Digits that differ by row: only for floats, where the result type does not depend on them."""
    xp = context.xp
    if not column.dtype.is_float:
        raise NotSupportedError("digits of round must be a constant for exact numbers")
    result = _round_float(xp, column.values, digits.values.astype(xp.int64))
    return make_column(xp, dtype, result, joint_validity(column, digits))


def _round_exact(column: Column, dtype: DataType, digits: int, context: EvaluationContext) -> Column:
    """Drop digits by a cast to a smaller scale, then restore the scale of the result."""
    scale = column.dtype.scale
    if digits >= scale:
        return evaluate_cast(column, dtype, context)
    dropped = scale - digits
    if dropped > 38:
        xp = context.xp
        return Column(dtype, xp.zeros(len(column.values), xp.int8), column.validity, None, (0, 0))
    # Seen as DECIMAL(38, dropped), the value loses exactly these digits when cast to scale 0.
    seen = Column(decimal(38, dropped), column.values, column.validity, None, declared_bounds(column))
    kept = evaluate_cast(seen, decimal(38, 0), context)
    # What is left counts units of 10**-digits.
    missing = dtype.scale - digits
    if missing <= 0:
        return Column(dtype, kept.values, kept.validity, None, kept.bounds)
    labelled = Column(decimal(38 - missing, 0), kept.values, kept.validity, None, kept.bounds)
    grown = evaluate_cast(labelled, decimal(38, missing), context)
    return _relabel(context.xp, grown, dtype)


def _relabel(xp: Any, column: Column, dtype: DataType) -> Column:
    limits = dtype.limits
    bounds = column.bounds
    if limits is not None and bounds is not None and not ranges.within(bounds, limits):
        bounds = measured_bounds(xp, column)  # declared bounds are only an upper estimate
        if not ranges.within(bounds, limits):
            raise ArithmeticOverflowError(f"overflow in rounding of {dtype}")
    return Column(dtype, column.values, column.validity, None, bounds)


def _step(name: str) -> Callable[..., Column]:
    """floor, ceil or trunc: to scale 0 for exact numbers."""

    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        xp = context.xp
        column = arguments[0]
        digits = 0
        if len(arguments) > 1:
            found = constant_integer(arguments[1])
            if found is None:
                raise NotSupportedError(f"digits of {name} must be a constant")
            digits = found
        if column.dtype.is_float:
            unit = 10.0**digits
            values = (
                getattr(xp, name)(column.values * unit) / unit if digits else getattr(xp, name)(column.values)
            )
            return make_column(xp, dtype, values.astype(NATURAL_DTYPE[dtype.id]), column.validity)
        if dtype.is_float:
            values = getattr(xp, name)(exact_to_float(xp, column))
            return make_column(xp, dtype, values, column.validity)
        dropped = column.dtype.scale - digits
        if dropped <= 0:
            return evaluate_cast(column, dtype, context)
        return _drop_digits(xp, name, column, dropped, dtype, digits)

    return apply


def _drop_digits(xp: Any, name: str, column: Column, dropped: int, dtype: DataType, digits: int) -> Column:
    unit = 10**dropped
    restore = 10 ** max(0, dtype.scale - digits)
    known = declared_bounds(column)
    result = ((known[0] // unit - 1) * restore, (known[1] // unit + 1) * restore)
    wide_input = as_wide(xp, column)
    if not is_wide(column) and dropped <= 18 and ranges.within(result, (-(2**63), 2**63 - 1)):
        values = column.values.astype(xp.int64)
        floor = values // unit
        if name == "ceil":
            floor = -(-values // unit)
        elif name == "trunc":
            floor = floor + ((values < 0) & (floor * unit != values))
        return make_column(xp, dtype, floor * restore, column.validity, result)
    quotient, rest = words.divide(xp, wide_input, words.from_python(xp, [unit]))
    inexact = ~words.is_zero(rest)
    step = xp.zeros(len(quotient), xp.int64)
    if name == "floor":
        step = -(inexact & words.negative(wide_input)).astype(xp.int64)
    elif name == "ceil":
        step = (inexact & ~words.negative(wide_input)).astype(xp.int64)
    adjusted, _ = words.add(xp, quotient, words.from_int64(xp, step))
    if restore > 1:
        adjusted, _ = words.multiply(xp, adjusted, words.from_python(xp, [restore]))
    return from_wide(xp, dtype, adjusted, column.validity, result)


def sign(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """-1, 0 or 1."""
    xp = context.xp
    (column,) = arguments
    if column.values.ndim == 2:
        values = xp.where(words.is_zero(column.values), 0, xp.where(words.negative(column.values), -1, 1))
    elif column.dtype.is_float:
        values = xp.where(xp.isnan(column.values), 0, xp.sign(column.values))
    elif column.values.dtype.kind == "u":
        values = column.values != 0
    else:
        values = xp.sign(column.values)
    return make_column(xp, dtype, values.astype(NATURAL_DTYPE[dtype.id]), column.validity, (-1, 1))


def cbrt(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Cube root."""
    xp = context.xp
    return make_column(xp, dtype, xp.cbrt(_as_float(xp, arguments[0])), arguments[0].validity)


def _bitwise(name: str) -> Callable[..., Column]:
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        xp = context.xp
        left, right = arguments
        function = getattr(xp, name)
        if is_wide(left) or is_wide(right):
            wide = function(as_wide(xp, left), as_wide(xp, right))
            return from_wide(xp, dtype, wide, joint_validity(left, right), None)
        values = function(left.values.astype(xp.int64), right.values.astype(xp.int64))
        return make_column(xp, dtype, values, joint_validity(left, right))

    return apply


def bit_not(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """All bits flipped; an unsigned type keeps its width."""
    xp = context.xp
    (column,) = arguments
    limits = dtype.limits
    assert limits is not None, "bits belong to integers"
    if limits[0] == 0 and not is_wide(column):
        values = column.values.astype(xp.uint64) ^ xp.uint64(limits[1])
        return from_wide(xp, dtype, words.from_int64(xp, values), column.validity, None)
    flipped = ~column.values
    if column.values.dtype == xp.uint64:
        return make_column(xp, dtype, flipped, column.validity)
    known = None if column.bounds is None else (-column.bounds[1] - 1, -column.bounds[0] - 1)
    return make_column(xp, dtype, flipped, column.validity, known)


def shift_left(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Left shift; overflow, negative values and shifts beyond the width are errors, as in DuckDB."""
    xp = context.xp
    left, right = arguments
    validity = joint_validity(left, right)
    limits = dtype.limits
    assert limits is not None, "bits belong to integers"
    width = (limits[1] - limits[0] + 1).bit_length() - 1
    amount = right.values.astype(xp.int64)
    wrong = (amount < 0) | (amount >= width)
    value = as_wide(xp, left)
    wrong = wrong | words.negative(value)
    power = xp.asarray([words.from_python(xp, [2**k])[0] for k in range(127)])[xp.clip(amount, 0, 126)]
    shifted, flagged = words.multiply(xp, value, power)
    wrong = wrong | flagged | words.less(xp, words.from_python(xp, [limits[1]]), shifted)
    if validity is not None:
        wrong = wrong & validity
    if bool(wrong.any()):
        raise OutOfRangeError(f"left shift out of range of {dtype}")
    return from_wide(xp, dtype, shifted, validity, None)


def shift_right(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Arithmetic right shift; a shift outside the width gives 0."""
    xp = context.xp
    left, right = arguments
    validity = joint_validity(left, right)
    limits = dtype.limits
    assert limits is not None, "bits belong to integers"
    width = (limits[1] - limits[0] + 1).bit_length() - 1
    amount = right.values.astype(xp.int64)
    inside = (amount >= 0) & (amount < width)
    if is_wide(left):
        power = xp.asarray([words.from_python(xp, [2**k])[0] for k in range(127)])[xp.clip(amount, 0, 126)]
        quotient, rest = words.divide(xp, as_wide(xp, left), power)
        down = (words.negative(as_wide(xp, left)) & ~words.is_zero(rest)).astype(xp.int64)
        shifted, _ = words.subtract(xp, quotient, words.from_int64(xp, down))
        return from_wide(xp, dtype, xp.where(inside[:, None], shifted, 0), validity, None)
    values = left.values.astype(xp.int64) >> xp.clip(amount, 0, 63)
    return make_column(xp, dtype, xp.where(inside, values, 0), validity)


def pi(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """The circle constant."""
    return Column(dtype, context.xp.full(1, 3.141592653589793))


FUNCTIONS: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    "round": round_to,
    "floor": _step("floor"),
    "ceil": _step("ceil"),
    "trunc": _step("trunc"),
    "sign": sign,
    "sqrt": _floating("sqrt"),
    "cbrt": cbrt,
    "exp": _floating("exp"),
    "ln": _floating("log"),
    "log2": _floating("log2"),
    "log10": _floating("log10"),
    "power": _floating("power"),
    "sin": _floating("sin"),
    "cos": _floating("cos"),
    "tan": _floating("tan"),
    "asin": _floating("arcsin"),
    "acos": _floating("arccos"),
    "atan": _floating("arctan"),
    "atan2": _floating("arctan2"),
    "degrees": _floating("degrees"),
    "radians": _floating("radians"),
    "pi": pi,
    "isnan": _predicate("isnan"),
    "isinf": _predicate("isinf"),
    "isfinite": _predicate("isfinite"),
    "bit_and": _bitwise("bitwise_and"),
    "bit_or": _bitwise("bitwise_or"),
    "xor": _bitwise("bitwise_xor"),
    "bit_not": bit_not,
    "shift_left": shift_left,
    "shift_right": shift_right,
}
