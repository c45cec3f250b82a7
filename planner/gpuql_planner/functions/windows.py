"""Window functions that are not aggregates: names, argument casts and result types, as in DuckDB 2.0."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuql_planner.functions.coercion import explicit_cast
from gpuql_planner.functions.signatures import describe_types
from gpuql_planner.logical.expressions import Expression, Literal
from gpuql_planner.statement_errors import NoMatchingFunction
from gpuql_planner.types import BIGINT, DOUBLE, DataType

Signature = tuple[tuple[Expression, ...], DataType]


def _counted(name: str, arguments: Sequence[Expression], least: int, most: int) -> None:
    if not least <= len(arguments) <= most:
        raise NoMatchingFunction(
            f"no window function matches the argument types: {describe_types(name, arguments)}"
        )


def _number(name: str, arguments: Sequence[Expression]) -> Signature:
    _counted(name, arguments, 0, 0)
    return (), BIGINT


def _share(name: str, arguments: Sequence[Expression]) -> Signature:
    _counted(name, arguments, 0, 0)
    return (), DOUBLE


def _ntile(name: str, arguments: Sequence[Expression]) -> Signature:
    _counted(name, arguments, 1, 1)
    return (explicit_cast(arguments[0], BIGINT),), BIGINT


def _neighbour(name: str, arguments: Sequence[Expression]) -> Signature:
    _counted(name, arguments, 1, 3)
    value = arguments[0]
    offset = explicit_cast(arguments[1], BIGINT) if len(arguments) > 1 else Literal(1, BIGINT)
    default = explicit_cast(arguments[2], value.dtype) if len(arguments) > 2 else Literal(None, value.dtype)
    return (value, offset, default), value.dtype


def _value(name: str, arguments: Sequence[Expression]) -> Signature:
    _counted(name, arguments, 1, 1)
    return tuple(arguments), arguments[0].dtype


def _nth_value(name: str, arguments: Sequence[Expression]) -> Signature:
    _counted(name, arguments, 2, 2)
    return (arguments[0], explicit_cast(arguments[1], BIGINT)), arguments[0].dtype


WINDOW_FUNCTIONS: dict[str, Callable[[str, Sequence[Expression]], Signature]] = {
    "row_number": _number,
    "rank": _number,
    "dense_rank": _number,
    "percent_rank": _share,
    "cume_dist": _share,
    "ntile": _ntile,
    "lag": _neighbour,
    "lead": _neighbour,
    "first_value": _value,
    "last_value": _value,
    "nth_value": _nth_value,
}

WINDOW_ALIASES = {"rank_dense": "dense_rank"}

#: Functions that may leave out NULLs.
IGNORES_NULLS = frozenset({"lag", "lead", "first_value", "last_value", "nth_value"})


def is_window_function(name: str) -> bool:
    """Whether a function of that name (case-insensitive) needs OVER."""
    folded = name.lower()
    return folded in WINDOW_FUNCTIONS or folded in WINDOW_ALIASES


def resolve_window_function(name: str, arguments: Sequence[Expression]) -> tuple[str, Signature]:
    """Canonical name, arguments cast to what the function takes, and result type. Errors: BinderError."""
    folded = name.lower()
    canonical = WINDOW_ALIASES.get(folded, folded)
    return canonical, WINDOW_FUNCTIONS[canonical](folded, arguments)
