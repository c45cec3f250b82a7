"""Functions over JSON that is kept as text."""

from __future__ import annotations

from collections.abc import Sequence

from gpuql_planner.errors import NotSupportedError
from gpuql_planner.functions.coercion import coerce
from gpuql_planner.functions.nested_arguments import Resolver, check_count, no_match
from gpuql_planner.logical.expressions import Call, Expression, Literal
from gpuql_planner.types import BIGINT, BOOLEAN, NULL, UBIGINT, VARCHAR, DataType, list_of


def _json(name: str, argument: Expression, arguments: Sequence[Expression]) -> Expression:
    if argument.dtype not in (VARCHAR, NULL):
        raise no_match(name, arguments)
    return coerce(argument, VARCHAR)


def _path(name: str, argument: Expression, arguments: Sequence[Expression], *, places: bool) -> Expression:
    """A path as text or, where ``places`` may be asked for, a place of an array."""
    if places and argument.dtype.is_integer:
        return coerce(argument, BIGINT)
    path = _json(name, argument, arguments)
    if (
        isinstance(path, Literal)
        and isinstance(path.value, str)
        and path.value.startswith("$")
        and "*" in path.value
    ):
        raise NotSupportedError(f"not supported: wildcards in a path of JSON: {path.value}")
    return path


def _with_path(name: str, result: DataType) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, 2)
        document = _json(name, arguments[0], arguments)
        return Call(name, (document, _path(name, arguments[1], arguments, places=True)), result)

    return resolve


def _path_optional(name: str, result: DataType) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        check_count(name, arguments, 1, 2)
        document = _json(name, arguments[0], arguments)
        paths = [_path(name, argument, arguments, places=False) for argument in arguments[1:]]
        return Call(name, (document, *paths), result)

    return resolve


def _valid(arguments: Sequence[Expression]) -> Expression:
    check_count("json_valid", arguments, 1)
    return Call("json_valid", (_json("json_valid", arguments[0], arguments),), BOOLEAN)


JSON_FUNCTIONS: dict[str, Resolver] = {
    **dict.fromkeys(("json_extract", "json_extract_path"), _with_path("json_extract", VARCHAR)),
    **dict.fromkeys(
        ("json_extract_string", "json_extract_path_text"), _with_path("json_extract_string", VARCHAR)
    ),
    "json_value": _with_path("json_value", VARCHAR),
    "json_exists": _with_path("json_exists", BOOLEAN),
    "json_valid": _valid,
    "json_type": _path_optional("json_type", VARCHAR),
    "json_array_length": _path_optional("json_array_length", UBIGINT),
    "json_keys": _path_optional("json_keys", list_of(VARCHAR)),
}
