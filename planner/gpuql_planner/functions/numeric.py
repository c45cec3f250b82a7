"""Mathematical functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gpuql_planner.functions.coercion import coerce, settled
from gpuql_planner.functions.signatures import Overload, call_overload, no_overload
from gpuql_planner.logical.expressions import Call, Expression, Literal
from gpuql_planner.statement_errors import InvalidParameterValue
from gpuql_planner.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    HUGEINT,
    INTEGER,
    MAX_DECIMAL_WIDTH,
    NULL,
    REAL,
    TIMESTAMP,
    TIMESTAMPTZ,
    TINYINT,
    TypeId,
    decimal,
)

Resolver = Callable[[Sequence[Expression]], Expression]

_DOUBLE_FUNCTIONS = [
    "sqrt",
    "cbrt",
    "exp",
    "ln",
    "log2",
    "log10",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "degrees",
    "radians",
]
#: DuckDB rounds unsigned integers as these.
_UNSIGNED = {
    TypeId.UTINYINT: BIGINT,
    TypeId.USMALLINT: BIGINT,
    TypeId.UINTEGER: BIGINT,
    TypeId.UBIGINT: HUGEINT,
}
_FLOAT_TESTS = ("isnan", "isinf", "isfinite")


def _double(name: str, count: int = 1) -> Resolver:
    overloads = (Overload((DOUBLE,) * count, DOUBLE),)
    return lambda arguments: call_overload(name, arguments, overloads)


def _float_test(name: str) -> Resolver:
    overloads = (
        Overload((DOUBLE,), BOOLEAN),
        Overload((REAL,), BOOLEAN),
        *(Overload((dtype,), BOOLEAN) for dtype in (DATE, TIMESTAMP, TIMESTAMPTZ) if name != "isnan"),
    )
    return lambda arguments: call_overload(name, arguments, overloads)


def _require_number(name: str, arguments: Sequence[Expression], counts: tuple[int, ...] = (1,)) -> Expression:
    if len(arguments) not in counts or not (arguments[0].dtype.is_numeric or arguments[0].dtype == NULL):
        raise no_overload(name, arguments, (Overload((DOUBLE,) * max(counts), DOUBLE),))
    return arguments[0]


def _absolute(arguments: Sequence[Expression]) -> Expression:
    argument = _require_number("abs", arguments)
    if argument.dtype == NULL:
        argument = coerce(argument, BIGINT)
    return Call("abs", (argument,), argument.dtype)


def _sign(arguments: Sequence[Expression]) -> Expression:
    return Call("sign", (_require_number("sign", arguments),), TINYINT)


def _floor_or_ceil(name: str) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        argument = _require_number(name, arguments)
        dtype = argument.dtype
        if dtype.is_integer or dtype == NULL:
            return coerce(argument, DOUBLE)
        result = decimal(dtype.width, 0) if dtype.is_decimal else dtype
        return Call(name, (argument,), result)

    return resolve


def _constant_digits(name: str, arguments: Sequence[Expression]) -> int | None:
    """Second argument as an int constant; 0 if absent, None if it is not constant."""
    if len(arguments) == 1:
        return 0
    digits = arguments[1]
    if isinstance(digits, Literal) and isinstance(digits.value, int) and digits.dtype.is_integer:
        return digits.value
    if not (digits.dtype.is_integer or digits.dtype == NULL):
        raise no_overload(name, arguments, (Overload((DOUBLE, INTEGER), DOUBLE),))
    return None


def _round_or_trunc(name: str) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        argument = _require_number(name, arguments, (1, 2))
        if argument.dtype == NULL:
            argument = coerce(argument, BIGINT)
        dtype = argument.dtype
        digits = _constant_digits(name, arguments)
        if dtype.is_decimal:
            if digits is None:
                raise InvalidParameterValue(f"number of digits must be constant for {dtype}: {name}")
            if digits >= dtype.scale:
                return argument
            carries = name == "round" and dtype.scale == 0  # 99 becomes 100
            result = decimal(min(dtype.width + carries, MAX_DECIMAL_WIDTH), max(digits, 0))
            return Call(name, (argument, Literal(digits, INTEGER)), result)
        if name == "round" and dtype.id in _UNSIGNED:
            dtype = _UNSIGNED[dtype.id]
            argument = coerce(argument, dtype)
        if len(arguments) == 1:
            return settled(argument) if dtype.is_integer else Call(name, (argument,), dtype)
        if dtype.is_integer and digits is not None and digits >= 0:
            return settled(argument)
        return Call(name, (argument, coerce(arguments[1], INTEGER)), dtype)

    return resolve


def _log(arguments: Sequence[Expression]) -> Expression:
    """``log(x)`` is base 10; ``log(b, x)`` is base ``b``."""
    if len(arguments) == 2:
        base, value = (
            call_overload("log10", (a,), (Overload((DOUBLE,), DOUBLE),), spelled="log") for a in arguments
        )
        return Call("divide", (value, base), DOUBLE)
    return call_overload("log10", arguments, (Overload((DOUBLE,), DOUBLE),), spelled="log")


def _pi(arguments: Sequence[Expression]) -> Expression:
    if arguments:
        raise no_overload("pi", arguments, (Overload((), DOUBLE),))
    return Literal(math.pi, DOUBLE)


NUMERIC_FUNCTIONS: dict[str, Resolver] = {
    **{name: _double(name) for name in _DOUBLE_FUNCTIONS},
    **{name: _float_test(name) for name in _FLOAT_TESTS},
    "power": _double("power", 2),
    "atan2": _double("atan2", 2),
    "abs": _absolute,
    "sign": _sign,
    "floor": _floor_or_ceil("floor"),
    "ceil": _floor_or_ceil("ceil"),
    "round": _round_or_trunc("round"),
    "trunc": _round_or_trunc("trunc"),
    "log": _log,
    "pi": _pi,
}
