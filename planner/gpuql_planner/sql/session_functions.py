"""Functions that ask the session: settings, variables, the current schema, which are constants; and sequences."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.definitions import DATABASE, Sequence, Variable
from gpuql_planner.errors import CatalogError, did_you_mean
from gpuql_planner.functions import python_literal
from gpuql_planner.functions.session_functions import number_of_call
from gpuql_planner.logical.expressions import Call, Expression, Literal
from gpuql_planner.sql.bind_commands import find_definition
from gpuql_planner.statement_errors import InvalidParameterValue, NoMatchingFunction, UndefinedTable
from gpuql_planner.types import BIGINT, NULL, VARCHAR

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_expressions import ExpressionBinder


def bind_session_function(binder: ExpressionBinder, node: exp.Anonymous) -> Expression:
    """The value of a function of :data:`SESSION_FUNCTIONS`."""
    return SESSION_FUNCTIONS[str(node.name).lower()](binder, node)


def _database(binder: ExpressionBinder, node: exp.Anonymous) -> Expression:
    _no_arguments(binder, node)
    return Literal(DATABASE, VARCHAR)


def _schema(binder: ExpressionBinder, node: exp.Anonymous) -> Expression:
    _no_arguments(binder, node)
    return Literal(binder.context.catalog.search_path()[0], VARCHAR)


def _setting(binder: ExpressionBinder, node: exp.Anonymous) -> Expression:
    name = _text(binder, node)
    known = binder.context.catalog.definitions("setting")
    if name.lower() not in known:
        hint = did_you_mean(name, list(known))
        raise binder.context.error(CatalogError, f"setting not found: {name}", node, hint=hint)
    return python_literal(known[name.lower()])


def _variable(binder: ExpressionBinder, node: exp.Anonymous) -> Expression:
    found = binder.context.catalog.definitions("variable").get(_text(binder, node).lower())
    return found.value if isinstance(found, Variable) else Literal(None, NULL)


def _next_value(binder: ExpressionBinder, node: exp.Anonymous) -> Expression:
    return Call("nextval", (_sequence(binder, node), number_of_call()), BIGINT)


def _current_value(binder: ExpressionBinder, node: exp.Anonymous) -> Expression:
    return Call("currval", (_sequence(binder, node), number_of_call()), BIGINT)


def _sequence(binder: ExpressionBinder, node: exp.Anonymous) -> Literal:
    """The sequence itself as a constant, as its state is no part of the plan."""
    name = _text(binder, node)
    found = find_definition(binder.context, "sequence", [part.strip('"') for part in name.split(".")])
    if not isinstance(found, Sequence):
        known = [one.name for one in binder.context.catalog.definitions("sequence").values()]
        raise binder.context.error(
            UndefinedTable, f"sequence does not exist: {name}", node, hint=did_you_mean(name, known)
        )
    return Literal(found, VARCHAR)  # type: ignore[arg-type]


def _no_arguments(binder: ExpressionBinder, node: exp.Anonymous) -> None:
    if node.expressions:
        raise binder.context.error(
            NoMatchingFunction,
            f"wrong number of arguments for {node.name}: {len(node.expressions)} (expected 0)",
            node,
        )


def _text(binder: ExpressionBinder, node: exp.Anonymous) -> str:
    """The one argument, which must be a text constant."""
    arguments = [binder.bind(argument) for argument in node.expressions]
    if len(arguments) != 1:
        raise binder.context.error(
            NoMatchingFunction,
            f"wrong number of arguments for {node.name}: {len(arguments)} (expected 1)",
            node,
        )
    literal = arguments[0]
    value = literal.value if isinstance(literal, Literal) else None
    if not isinstance(value, str):
        raise binder.context.error(
            InvalidParameterValue, f"argument of {node.name} must be a text constant", node
        )
    return value


SESSION_FUNCTIONS: dict[str, Callable[[ExpressionBinder, exp.Anonymous], Expression]] = {
    "current_database": _database,
    "current_catalog": _database,
    "current_schema": _schema,
    "current_setting": _setting,
    "getvariable": _variable,
    "nextval": _next_value,
    "currval": _current_value,
}
