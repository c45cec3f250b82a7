"""Text functions and pattern matching."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuql_planner.functions.coercion import coerce
from gpuql_planner.functions.signatures import Overload, call_overload, no_overload
from gpuql_planner.logical.expressions import Call, Expression, Literal
from gpuql_planner.statement_errors import NoMatchingFunction
from gpuql_planner.types import BIGINT, BLOB, BOOLEAN, INTEGER, VARCHAR

Resolver = Callable[[Sequence[Expression]], Expression]

#: Longest text there can be: the length of a substring without an upper end.
_NO_UPPER_END = 2**31 - 1


def _simple(name: str, *overloads: Overload) -> Resolver:
    return lambda arguments: call_overload(name, arguments, overloads)


def _text(count: int, result_name: str, *, optional: int = 0) -> Resolver:
    return _simple(result_name, Overload((VARCHAR,) * count, VARCHAR, count - optional))


def _test(name: str, count: int = 2, *, optional: int = 0) -> Resolver:
    return _simple(name, Overload((VARCHAR,) * count, BOOLEAN, count - optional))


def _negated(name: str) -> Resolver:
    test = _test(name, 3)
    return lambda arguments: Call("not", (test(arguments),), BOOLEAN)


def _substring(arguments: Sequence[Expression]) -> Expression:
    overloads = (Overload((VARCHAR, BIGINT, BIGINT), VARCHAR, 2),)
    call = call_overload("substring", arguments, overloads)
    if len(call.arguments) == 2:
        return Call("substring", (*call.arguments, Literal(_NO_UPPER_END, BIGINT)), VARCHAR)
    return call


def _as_text(name: str, arguments: Sequence[Expression], minimum: int) -> tuple[Expression, ...]:
    if len(arguments) < minimum:
        raise no_overload(name, arguments, (Overload((VARCHAR,) * max(minimum, 2), VARCHAR),))
    return tuple(coerce(argument, VARCHAR) for argument in arguments)


def _concat(arguments: Sequence[Expression]) -> Expression:
    return Call("concat", _as_text("concat", arguments, 1), VARCHAR)


def _concat_with_separator(arguments: Sequence[Expression]) -> Expression:
    return Call("concat_ws", _as_text("concat_ws", arguments, 2), VARCHAR)


def _concat_operator(arguments: Sequence[Expression]) -> Expression:
    left, right = arguments
    if left.dtype == right.dtype == BLOB:
        return Call("concat_operator", (left, right), BLOB)
    if BLOB in (left.dtype, right.dtype):
        raise NoMatchingFunction(
            f"no operator || for {left.dtype} and {right.dtype}", hint="add an explicit CAST"
        )
    return Call("concat_operator", _as_text("||", arguments, 2), VARCHAR)


def _regexp_extract(arguments: Sequence[Expression]) -> Expression:
    """Always with the group number, 0 being the whole match."""
    overloads = (Overload((VARCHAR, VARCHAR, INTEGER, VARCHAR), VARCHAR, 2),)
    call = call_overload("regexp_extract", arguments, overloads)
    if len(call.arguments) == 2:
        return Call("regexp_extract", (*call.arguments, Literal(0, INTEGER)), VARCHAR)
    return call


STRING_FUNCTIONS: dict[str, Resolver] = {
    "upper": _text(1, "upper"),
    "lower": _text(1, "lower"),
    "reverse": _text(1, "reverse"),
    "trim": _text(2, "trim", optional=1),
    "ltrim": _text(2, "ltrim", optional=1),
    "rtrim": _text(2, "rtrim", optional=1),
    "replace": _text(3, "replace"),
    "translate": _text(3, "translate"),
    "length": _simple("length", Overload((VARCHAR,), BIGINT)),
    "strlen": _simple("strlen", Overload((VARCHAR,), BIGINT)),
    "strpos": _simple("strpos", Overload((VARCHAR, VARCHAR), BIGINT)),
    "ascii": _simple("ascii", Overload((VARCHAR,), INTEGER)),
    "unicode": _simple("unicode", Overload((VARCHAR,), INTEGER)),
    "chr": _simple("chr", Overload((INTEGER,), VARCHAR)),
    "left": _simple("left", Overload((VARCHAR, BIGINT), VARCHAR)),
    "right": _simple("right", Overload((VARCHAR, BIGINT), VARCHAR)),
    "repeat": _simple("repeat", Overload((VARCHAR, BIGINT), VARCHAR)),
    "lpad": _simple("lpad", Overload((VARCHAR, INTEGER, VARCHAR), VARCHAR)),
    "rpad": _simple("rpad", Overload((VARCHAR, INTEGER, VARCHAR), VARCHAR)),
    "split_part": _simple("split_part", Overload((VARCHAR, VARCHAR, BIGINT), VARCHAR)),
    "substring": _substring,
    "concat": _concat,
    "concat_ws": _concat_with_separator,
    "concat_operator": _concat_operator,
    "starts_with": _test("starts_with"),
    "ends_with": _test("ends_with"),
    "contains": _test("contains"),
    "like": _test("like"),
    "like_escape": _test("like_escape", 3),
    "ilike": _test("ilike"),
    "ilike_escape": _test("ilike_escape", 3),
    "not_like_escape": _negated("like_escape"),
    "not_ilike_escape": _negated("ilike_escape"),
    "regexp_matches": _test("regexp_matches", 3, optional=1),
    "regexp_full_match": _test("regexp_full_match", 3, optional=1),
    "regexp_replace": _text(4, "regexp_replace", optional=1),
    "regexp_extract": _regexp_extract,
}
