"""Functions of ENUM types: first and last label, all labels, the place of a value's label."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuql_planner.logical.expressions import Call, Expression, Literal
from gpuql_planner.statement_errors import InvalidParameterValue, NoMatchingFunction
from gpuql_planner.types import UTINYINT, VARCHAR, DataType, list_of

Resolver = Callable[[Sequence[Expression]], Expression]


def _enum_type(name: str, arguments: Sequence[Expression], count: int = 1) -> DataType:
    if len(arguments) != count:
        raise NoMatchingFunction(f"wrong number of arguments for {name}: {len(arguments)} (expected {count})")
    for argument in arguments:
        if argument.dtype.is_enum:
            return argument.dtype
    raise NoMatchingFunction(f"argument must be of an ENUM type: {name}({arguments[0].dtype})")


def _first(arguments: Sequence[Expression]) -> Expression:
    return Literal(_enum_type("enum_first", arguments).labels[0], VARCHAR)


def _last(arguments: Sequence[Expression]) -> Expression:
    return Literal(_enum_type("enum_last", arguments).labels[-1], VARCHAR)


def _code(arguments: Sequence[Expression]) -> Expression:
    _enum_type("enum_code", arguments)
    return Call("enum_code", tuple(arguments), UTINYINT)


def _range(arguments: Sequence[Expression]) -> Expression:
    return _labels(_enum_type("enum_range", arguments).labels)


def _range_boundary(arguments: Sequence[Expression]) -> Expression:
    """Labels from one to another; NULL is the first or the last."""
    labels = _enum_type("enum_range_boundary", arguments, 2).labels
    places: list[int] = []
    for argument, missing in zip(arguments, (0, len(labels) - 1), strict=True):
        if not isinstance(argument, Literal):
            raise InvalidParameterValue("arguments of enum_range_boundary must be constants")
        places.append(argument.value if isinstance(argument.value, int) else missing)
    return _labels(labels[places[0] : places[1] + 1])


def _labels(labels: Sequence[str]) -> Expression:
    return Call("list_value", tuple(Literal(label, VARCHAR) for label in labels), list_of(VARCHAR))


ENUM_FUNCTIONS: dict[str, Resolver] = {
    "enum_first": _first,
    "enum_last": _last,
    "enum_code": _code,
    "enum_range": _range,
    "enum_range_boundary": _range_boundary,
}
