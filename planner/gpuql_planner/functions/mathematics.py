"""Hyperbolic and special functions, number theory, bits, and numbers as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuql_planner.functions.coercion import coerce
from gpuql_planner.functions.signatures import Overload, call_overload, no_overload
from gpuql_planner.logical.expressions import Call, Expression, Literal
from gpuql_planner.statement_errors import InvalidParameterValue
from gpuql_planner.types import (
    BIGINT,
    BLOB,
    BOOLEAN,
    DOUBLE,
    HUGEINT,
    INTEGER,
    NULL,
    REAL,
    SMALLINT,
    TINYINT,
    UBIGINT,
    VARCHAR,
    TypeId,
)

Resolver = Callable[[Sequence[Expression]], Expression]


def simple(name: str, *overloads: Overload) -> Resolver:
    """A function of fixed parameter lists."""
    return lambda arguments: call_overload(name, arguments, overloads)


def _double(name: str) -> Resolver:
    return simple(name, Overload((DOUBLE,), DOUBLE))


def _whole_pair(name: str) -> Resolver:
    return simple(name, Overload((BIGINT, BIGINT), BIGINT), Overload((HUGEINT, HUGEINT), HUGEINT))


def _floored_modulo(arguments: Sequence[Expression]) -> Expression:
    """``fmod(x, y)``: the remainder with the sign of ``y``, as DuckDB's macro ``x - floor(x / y) * y``."""
    return call_overload("fmod", arguments, (Overload((DOUBLE, DOUBLE), DOUBLE),))


def _bit_count(arguments: Sequence[Expression]) -> Expression:
    if len(arguments) == 1 and arguments[0].dtype.is_integer:
        return Call("bit_count", (arguments[0],), TINYINT)
    overloads = [Overload((dtype,), TINYINT) for dtype in (INTEGER, BIGINT, TINYINT, SMALLINT, HUGEINT)]
    return call_overload("bit_count", arguments, overloads)


def _round_even(arguments: Sequence[Expression]) -> Expression:
    """``round_even(x, digits)``: halves go to the even neighbour; other numbers as ``round`` does."""
    if len(arguments) != 2 or not (arguments[0].dtype.is_numeric or arguments[0].dtype == NULL):
        raise no_overload("round_even", arguments, (Overload((DOUBLE, INTEGER), DOUBLE),))
    value, digits = arguments
    if not (isinstance(digits, Literal) and isinstance(digits.value, int)):
        raise InvalidParameterValue("number of digits must be constant: round_even")
    dtype = value.dtype
    if dtype.is_integer and digits.value >= 0:
        return value
    if dtype.is_decimal:
        from gpuql_planner.functions.numeric import NUMERIC_FUNCTIONS

        rounded = NUMERIC_FUNCTIONS["round"](arguments)
        if rounded is value or not isinstance(rounded, Call):
            return rounded
        return Call("round_even", rounded.arguments, rounded.type)
    return Call("round_even", (value, coerce(digits, INTEGER)), dtype)


def _digits(name: str) -> Resolver:
    """Numbers, text and bytes in base 2 or 16."""
    overloads = [Overload((dtype,), VARCHAR) for dtype in (BIGINT, UBIGINT, HUGEINT, VARCHAR, BLOB)]

    def resolve(arguments: Sequence[Expression]) -> Expression:
        if len(arguments) == 1 and arguments[0].dtype.id is TypeId.UBIGINT:
            return Call(name, tuple(arguments), VARCHAR)
        return call_overload(name, arguments, overloads)

    return resolve


MATHEMATICS: dict[str, Resolver] = {
    **{
        name: _double(name)
        for name in ["sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "cot", "gamma", "lgamma", "even"]
    },
    "signbit": simple("signbit", Overload((DOUBLE,), BOOLEAN), Overload((REAL,), BOOLEAN)),
    "nextafter": simple("nextafter", Overload((DOUBLE, DOUBLE), DOUBLE), Overload((REAL, REAL), REAL)),
    "fmod": _floored_modulo,
    "fdiv": simple("fdiv", Overload((DOUBLE, DOUBLE), DOUBLE)),
    "gcd": _whole_pair("gcd"),
    "lcm": _whole_pair("lcm"),
    "factorial": simple("factorial", Overload((INTEGER,), HUGEINT)),
    "binom": simple("binom", Overload((INTEGER, INTEGER), HUGEINT)),
    "bit_count": _bit_count,
    "round_even": _round_even,
    "to_base": simple("to_base", Overload((BIGINT, INTEGER, INTEGER), VARCHAR, 2)),
    "bin": _digits("bin"),
    "hex": _digits("hex"),
    "bar": simple("bar", Overload((DOUBLE, DOUBLE, DOUBLE, DOUBLE), VARCHAR, 3)),
    "format_bytes": simple("format_bytes", Overload((BIGINT,), VARCHAR)),
    "formatreadabledecimalsize": simple("formatreadabledecimalsize", Overload((BIGINT,), VARCHAR)),
    "parse_formatted_bytes": simple("parse_formatted_bytes", Overload((VARCHAR,), UBIGINT)),
}
