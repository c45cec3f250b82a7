"""Functions of the session and of no column: versions and names, random numbers, errors on purpose."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from gpuql_planner.functions.coercion import can_cast
from gpuql_planner.functions.mathematics import simple
from gpuql_planner.functions.signatures import Overload, implicit_distance, no_overload
from gpuql_planner.logical.expressions import Call, Expression, Literal
from gpuql_planner.types import BIGINT, BOOLEAN, DOUBLE, NULL, UINTEGER, UUID, VARCHAR, common_type

Resolver = Callable[[Sequence[Expression]], Expression]

_numbers = itertools.count(1)


def number_of_call() -> Literal:
    """An argument that makes every call of a volatile function differ from all others."""
    return Literal(next(_numbers), BIGINT)


def _constant(name: str, value: str) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        if arguments:
            raise no_overload(name, arguments, (Overload((), VARCHAR),))
        return Literal(value, VARCHAR)

    return resolve


def _version(arguments: Sequence[Expression]) -> Expression:
    if arguments:
        raise no_overload("version", arguments, (Overload((), VARCHAR),))
    return Call("version", (), VARCHAR)


def _random(arguments: Sequence[Expression]) -> Expression:
    if arguments:
        raise no_overload("random", arguments, (Overload((), DOUBLE),))
    return Call("random", (number_of_call(),), DOUBLE)


def _uuid(name: str) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        if arguments:
            raise no_overload(name, arguments, (Overload((), UUID),))
        return Call(name, (number_of_call(),), UUID)

    return resolve


def _set_seed(arguments: Sequence[Expression]) -> Expression:
    call = simple("setseed", Overload((DOUBLE,), NULL))(arguments)
    assert isinstance(call, Call), "an overload makes a call"
    return Call("setseed", (*call.arguments, number_of_call()), NULL)


def _error(arguments: Sequence[Expression]) -> Expression:
    """``error(message)``: fails for every row that asks for its value; fits any type."""
    return simple("error", Overload((VARCHAR,), NULL))(arguments)


def _constant_or_null(arguments: Sequence[Expression]) -> Expression:
    """The first argument where none of the others is NULL."""
    if len(arguments) < 2:
        raise no_overload("constant_or_null", arguments, (Overload((VARCHAR, VARCHAR), VARCHAR),))
    return Call("constant_or_null", tuple(arguments), arguments[0].dtype)


def _can_cast_implicitly(arguments: Sequence[Expression]) -> Expression:
    if len(arguments) != 2:
        raise no_overload("can_cast_implicitly", arguments, (Overload((VARCHAR, VARCHAR), BOOLEAN),))
    source, target = arguments
    if source.dtype.is_integer and target.dtype.is_integer:
        return Literal(common_type(source.dtype, target.dtype) == target.dtype, BOOLEAN)
    silent = implicit_distance(Call("", (), source.dtype), target.dtype)
    known = can_cast(source.dtype, target.dtype) and (silent is not None or target.dtype == VARCHAR)
    return Literal(known, BOOLEAN)


SESSION_FUNCTIONS: dict[str, Resolver] = {
    "version": _version,
    "current_database": _constant("current_database", "memory"),
    "current_schema": _constant("current_schema", "main"),
    "current_user": _constant("current_user", "duckdb"),
    "random": _random,
    "setseed": _set_seed,
    "uuid": _uuid("uuid"),
    "uuidv7": _uuid("uuidv7"),
    "uuid_extract_version": simple("uuid_extract_version", Overload((UUID,), UINTEGER)),
    "error": _error,
    "constant_or_null": _constant_or_null,
    "can_cast_implicitly": _can_cast_implicitly,
}
