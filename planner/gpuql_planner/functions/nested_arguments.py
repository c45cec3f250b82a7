"""Arguments of functions over lists, structs and maps: their kinds, and types that fit together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuql_planner.errors import BinderError
from gpuql_planner.functions.coercion import coerce, is_string_literal
from gpuql_planner.functions.signatures import describe_types
from gpuql_planner.logical.expressions import Expression, Literal
from gpuql_planner.statement_errors import InvalidParameterValue, NoMatchingFunction
from gpuql_planner.types import NULL, VARCHAR, DataType, TypeId, common_type, list_of

Resolver = Callable[[Sequence[Expression]], Expression]


def no_match(name: str, arguments: Sequence[Expression]) -> BinderError:
    """The error for arguments that a function does not take."""
    return NoMatchingFunction(
        f"no function matches the argument types: {describe_types(name, arguments)}",
        hint="add an explicit CAST to the argument that does not fit",
    )


def check_count(name: str, arguments: Sequence[Expression], low: int, high: int | None = None) -> None:
    """BinderError unless there are ``low`` to ``high`` arguments."""
    high = low if high is None else high
    if not low <= len(arguments) <= high:
        wanted = str(low) if low == high else f"{low} to {high}"
        raise NoMatchingFunction(
            f"wrong number of arguments for {name}: {len(arguments)} (expected {wanted})"
        )


def as_list(name: str, argument: Expression, arguments: Sequence[Expression]) -> Expression:
    """An argument that must be a list; an array is taken as one, a bare NULL as one of nothing."""
    if argument.dtype.is_array:
        return coerce(argument, list_of(argument.dtype.element))
    if argument.dtype == NULL:
        return coerce(argument, list_of(NULL))
    if argument.dtype.id is not TypeId.LIST:
        raise no_match(name, arguments)
    return argument


def as_map(name: str, argument: Expression, arguments: Sequence[Expression]) -> Expression:
    """An argument that must be a map."""
    if argument.dtype.id is not TypeId.MAP:
        raise no_match(name, arguments)
    return argument


def joint_type(name: str, types: Sequence[DataType], arguments: Sequence[Expression]) -> DataType:
    """The type that all take; text does not mix with others, but for labels of an ENUM."""
    result = NULL
    for dtype in types:
        common = common_type(result, dtype)
        texts = {result.id, dtype.id} <= {TypeId.VARCHAR, TypeId.NULL, TypeId.ENUM}
        mixes = common is not None and (common != VARCHAR or texts)
        if common is None or not mixes:
            raise no_match(name, arguments)
        result = common
    return result


def same_lists(
    name: str, lists: Sequence[Expression], arguments: Sequence[Expression]
) -> tuple[Expression, ...]:
    """Lists as lists of one type."""
    lists = [as_list(name, argument, arguments) for argument in lists]
    element = joint_type(name, [argument.dtype.element for argument in lists], arguments)
    return tuple(coerce(argument, list_of(element)) for argument in lists)


def list_and_element(
    name: str, values: Expression, element: Expression, arguments: Sequence[Expression]
) -> tuple[Expression, Expression]:
    """A list and a value as one of its elements; text constants follow the list."""
    values = as_list(name, values, arguments)
    if is_string_literal(element) and values.dtype.element != NULL:
        return values, coerce(element, values.dtype.element)
    joint = joint_type(name, (values.dtype.element, element.dtype), arguments)
    return coerce(values, list_of(joint)), coerce(element, joint)


def constant_text(name: str, argument: Expression) -> str:
    """The text of an argument that must be a constant."""
    if not isinstance(argument, Literal) or not isinstance(argument.value, str):
        raise InvalidParameterValue(f"argument must be a constant text: {name}")
    return argument.value


def constant_integer(name: str, argument: Expression) -> int:
    """The number of an argument that must be a constant."""
    value = argument.value if isinstance(argument, Literal) else None
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidParameterValue(f"argument must be a constant whole number: {name}")
    return value
