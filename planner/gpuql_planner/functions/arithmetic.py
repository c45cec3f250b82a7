"""Result types of ``+ - * / // %`` and bit operators on numbers, dates and intervals, as in DuckDB 2.0."""

from __future__ import annotations

from gpuql_planner.errors import OutOfRangeError
from gpuql_planner.functions import zoned
from gpuql_planner.functions.coercion import (
    coerce,
    is_integer_literal,
    is_null_literal,
    is_string_literal,
    unified_type,
)
from gpuql_planner.logical.expressions import Call, Cast, Expression, Interval, Literal
from gpuql_planner.logical.traced import derive
from gpuql_planner.statement_errors import NoMatchingFunction
from gpuql_planner.types import (
    BIGINT,
    DATE,
    DOUBLE,
    INTEGER,
    INTERVAL,
    MAX_DECIMAL_WIDTH,
    NULL,
    REAL,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    DataType,
    TypeId,
    common_type,
    decimal,
    integer_as_decimal,
)

#: Digits that one 64-bit word holds; products of two such decimals stay in one word if their scale allows.
_WORD_DIGITS = 18

_SYMBOLS = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "modulo": "%",
    "divide": "/",
    "integer_divide": "//",
}


def make_add(left: Expression, right: Expression) -> Expression:
    """``left + right``."""
    left, right = _adapt_text(_as_timestamp(left), _as_timestamp(right), "add")
    temporal = _add_temporal(left, right) or _add_temporal(right, left)
    if temporal is not None:
        return temporal
    return _sum("add", left, right)


def make_subtract(left: Expression, right: Expression) -> Expression:
    """``left - right``."""
    left, right = _adapt_text(_as_timestamp(left), _as_timestamp(right), "subtract")
    temporal = _subtract_temporal(left, right)
    if temporal is not None:
        return temporal
    return _sum("subtract", left, right)


def _as_timestamp(expression: Expression) -> Expression:
    """Timestamps of other precisions are added and subtracted as TIMESTAMP."""
    return coerce(expression, TIMESTAMP) if expression.dtype.is_timestamp else expression


def make_multiply(left: Expression, right: Expression) -> Expression:
    """``left * right``."""
    left, right = _adapt_text(left, right, "multiply")
    if left.dtype == INTERVAL or right.dtype == INTERVAL:
        interval, factor = (left, right) if left.dtype == INTERVAL else (right, left)
        if factor.dtype.is_float or factor.dtype.is_decimal:
            return Call("multiply", (interval, coerce(factor, DOUBLE)), INTERVAL)
        if not (factor.dtype.is_integer or factor.dtype == NULL):
            raise NoMatchingFunction(
                f"no operator * for {left.dtype} and {right.dtype}", hint="add an explicit CAST"
            )
        return Call("multiply", (interval, coerce(factor, BIGINT)), INTERVAL)
    dtype = _arithmetic_type("multiply", left, right)
    if not dtype.is_decimal:
        return Call("multiply", (coerce(left, dtype), coerce(right, dtype)), dtype)
    left, right = _as_decimal(left), _as_decimal(right)
    width = left.dtype.width + right.dtype.width
    scale = left.dtype.scale + right.dtype.scale
    if scale > MAX_DECIMAL_WIDTH:
        raise OutOfRangeError(f"scale of a decimal product exceeds {MAX_DECIMAL_WIDTH}: {scale}")
    one_word = max(left.dtype.width, right.dtype.width) <= _WORD_DIGITS and scale < _WORD_DIGITS
    width = min(width, _WORD_DIGITS if one_word else MAX_DECIMAL_WIDTH)
    return Call("multiply", (left, right), decimal(max(width, scale), scale))


def make_divide(left: Expression, right: Expression) -> Expression:
    """``left / right``, always floating point: REAL if one side is REAL and none DOUBLE."""
    left, right = _adapt_text(left, right, "divide")
    if left.dtype == INTERVAL and (right.dtype.is_numeric or right.dtype == NULL):
        return Call("divide", (left, coerce(right, DOUBLE)), INTERVAL)
    return _quotient("divide", left, right)


def _quotient(name: str, left: Expression, right: Expression) -> Expression:
    _require_numbers(name, left, right)
    sides = (left.dtype, right.dtype)
    dtype = REAL if REAL in sides and DOUBLE not in sides else DOUBLE
    return Call(name, (coerce(left, dtype), coerce(right, dtype)), dtype)


def make_integer_divide(left: Expression, right: Expression) -> Expression:
    """``left // right``: truncated for integers; for other numbers ``/`` that refuses zero, as in DuckDB."""
    left, right = _adapt_text(left, right, "integer_divide")
    dtype = _arithmetic_type("integer_divide", left, right)
    if not dtype.is_integer:
        return _quotient("integer_divide", left, right)
    return Call("integer_divide", (coerce(left, dtype), coerce(right, dtype)), dtype)


def make_modulo(left: Expression, right: Expression) -> Expression:
    """``left % right``, with the sign of the left side.

    Exact sides that share no DECIMAL give a DOUBLE; they stay exact as arguments, so that zero is still refused.
    """
    left, right = _adapt_text(left, right, "modulo")
    dtype = _arithmetic_type("modulo", left, right)
    if dtype.is_decimal and _exceeds_decimal(left.dtype, right.dtype):
        return Call("modulo", (_as_decimal(left), _as_decimal(right)), DOUBLE)
    return Call("modulo", (coerce(left, dtype), coerce(right, dtype)), dtype)


def _exceeds_decimal(left: DataType, right: DataType) -> bool:
    """Whether no DECIMAL holds the whole digits of both sides and the fractions of both."""
    sides = [integer_as_decimal(side) if side.is_integer else side for side in (left, right)]
    return max(s.width - s.scale for s in sides) + max(s.scale for s in sides) > MAX_DECIMAL_WIDTH


def make_negate(argument: Expression) -> Expression:
    """``- argument``; a negated constant is a constant."""
    if isinstance(argument, Literal) and argument.dtype == INTERVAL:
        return derive(_backwards, argument) or argument
    dtype = argument.dtype
    if dtype == INTERVAL:
        return Call("multiply", (argument, Literal(-1, BIGINT)), INTERVAL)
    if dtype == NULL:
        argument, dtype = coerce(argument, BIGINT), BIGINT
    if not dtype.is_numeric:
        raise NoMatchingFunction(f"no operator - for {dtype}")
    return Call("negate", (argument,), dtype)


def _backwards(interval: Literal) -> Literal | None:
    value = interval.value
    if not isinstance(value, Interval):  # NULL
        return None
    return Literal(Interval(-value.months, -value.days, -value.microseconds), INTERVAL)


def make_bit_operation(name: str, left: Expression, right: Expression) -> Expression:
    """``& | xor << >>`` on integers of one type; BIGINT where neither of two small types holds the other."""
    left, right = _adapt_text(left, right, name)
    dtype = unified_type((left, right), construct=name)
    if dtype == NULL:
        dtype = BIGINT
    if dtype.id in (TypeId.SMALLINT, TypeId.INTEGER) and dtype not in (left.dtype, right.dtype):
        dtype = BIGINT
    if not dtype.is_integer:
        raise NoMatchingFunction(
            f"no operator {name} for {left.dtype} and {right.dtype}", hint="bit operators take integers"
        )
    return Call(name, (coerce(left, dtype), coerce(right, dtype)), dtype)


def make_bit_not(argument: Expression) -> Expression:
    """``~ argument`` on an integer."""
    if argument.dtype == NULL:
        argument = coerce(argument, BIGINT)
    if not argument.dtype.is_integer:
        raise NoMatchingFunction(f"no operator ~ for {argument.dtype}", hint="bit operators take integers")
    return Call("bit_not", (argument,), argument.dtype)


def _sum(name: str, left: Expression, right: Expression) -> Expression:
    dtype = _arithmetic_type(name, left, right)
    if dtype.is_decimal:
        types = [_as_decimal(side).dtype for side in (left, right)]
        scale = max(t.scale for t in types)
        width = max(t.width - t.scale for t in types) + scale + 1
        dtype = decimal(min(width, MAX_DECIMAL_WIDTH), scale)
    return Call(name, (coerce(left, dtype), coerce(right, dtype)), dtype)


def _as_decimal(expression: Expression) -> Expression:
    dtype = expression.dtype
    return coerce(expression, integer_as_decimal(dtype)) if dtype.is_integer else expression


def _require_numbers(name: str, left: Expression, right: Expression) -> None:
    for side in (left, right):
        if not (side.dtype.is_numeric or side.dtype == NULL):
            raise NoMatchingFunction(
                f"no operator {_SYMBOLS[name]} for {left.dtype} and {right.dtype}",
                hint="add an explicit CAST",
            )


def _arithmetic_type(name: str, left: Expression, right: Expression) -> DataType:
    """Common type of two numbers; mixed signs widen to BIGINT at least, as DuckDB's overload choice does."""
    _require_numbers(name, left, right)
    if left.dtype == right.dtype == NULL:
        return BIGINT
    if is_null_literal(left) or is_null_literal(right):
        return common_type(left.dtype, right.dtype) or NULL
    dtype = unified_type((left, right), construct=_SYMBOLS[name])
    sides = (left.dtype, right.dtype)
    if (
        dtype.is_integer
        and dtype not in sides
        and not (is_integer_literal(left) or is_integer_literal(right))
    ):
        return common_type(dtype, BIGINT) or dtype
    return dtype


def _adapt_text(left: Expression, right: Expression, name: str) -> tuple[Expression, Expression]:
    """Give a string literal the type of the other side."""
    if is_string_literal(left) and not is_string_literal(right):
        if right.dtype == TIMESTAMPTZ and name == "add":
            return coerce(left, INTERVAL), right
        return coerce(left, _text_becomes(right.dtype)), right
    if is_string_literal(right) and not is_string_literal(left):
        dtype = _text_becomes(left.dtype)
        if left.dtype in (DATE, TIMESTAMP, TIMESTAMPTZ) and name == "add":
            dtype = INTERVAL
        return left, coerce(right, dtype)
    return left, right


def _text_becomes(other: DataType) -> DataType:
    return DOUBLE if other.is_decimal else other


def _add_temporal(left: Expression, right: Expression) -> Expression | None:
    """``left + right`` with the temporal value on the left; None if this is not such a sum."""
    match left.dtype.id, right.dtype.id:
        case TypeId.DATE, _ if right.dtype.is_integer:
            return Call("add", (left, coerce(right, INTEGER)), DATE)
        case ((TypeId.DATE | TypeId.TIMESTAMP), TypeId.INTERVAL):
            return Call("add", (left, right), TIMESTAMP)
        case TypeId.TIMESTAMPTZ, TypeId.INTERVAL:
            return zoned.add_interval(left, right)
        case TypeId.TIME, TypeId.INTERVAL:
            return Call("add", (left, right), TIME)
        case TypeId.INTERVAL, TypeId.INTERVAL:
            return Call("add", (left, right), INTERVAL)
        case TypeId.DATE, TypeId.TIME:
            return Call("add", (left, Cast(right, INTERVAL)), TIMESTAMP)
        case (
            (TypeId.DATE | TypeId.TIMESTAMP | TypeId.TIMESTAMPTZ | TypeId.TIME | TypeId.INTERVAL),
            TypeId.NULL,
        ):
            return Literal(None, left.dtype)
        case _:
            return None


def _subtract_temporal(left: Expression, right: Expression) -> Expression | None:
    if zoned.any_zoned((left, right)) and all(
        side.dtype in (DATE, TIMESTAMP, TIMESTAMPTZ) for side in (left, right)
    ):
        return zoned.difference(left, right)
    match left.dtype.id, right.dtype.id:
        case TypeId.DATE, TypeId.DATE:
            return Call("subtract", (left, right), BIGINT)
        case TypeId.DATE, _ if right.dtype.is_integer:
            return Call("subtract", (left, coerce(right, INTEGER)), DATE)
        case ((TypeId.DATE | TypeId.TIMESTAMP), TypeId.INTERVAL):
            return Call("subtract", (left, right), TIMESTAMP)
        case TypeId.TIMESTAMPTZ, TypeId.INTERVAL:
            return zoned.subtract_interval(left, right)
        case TypeId.TIME, TypeId.INTERVAL:
            return Call("subtract", (left, right), TIME)
        case ((TypeId.DATE | TypeId.TIMESTAMP), (TypeId.DATE | TypeId.TIMESTAMP)):
            return Call("subtract", (coerce(left, TIMESTAMP), coerce(right, TIMESTAMP)), INTERVAL)
        case TypeId.INTERVAL, TypeId.INTERVAL:
            return Call("subtract", (left, right), INTERVAL)
        case (
            (TypeId.DATE | TypeId.TIMESTAMP | TypeId.TIMESTAMPTZ | TypeId.TIME | TypeId.INTERVAL),
            TypeId.NULL,
        ):
            return Literal(None, left.dtype)
        case _:
            return None
