"""SET and RESET: settings, variables, and the search path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.errors import BinderError, CatalogError, ParserError, did_you_mean
from gpuql_planner.logical.expressions import Attribute, Literal
from gpuql_planner.logical.nodes import Project
from gpuql_planner.sql.bind_commands import bind_search_path
from gpuql_planner.sql.bind_values import ONE_ROW
from gpuql_planner.sql.context import BindContext
from gpuql_planner.sql.expand_macros import expand_macros
from gpuql_planner.sql.scope import Scope
from gpuql_planner.sql.statements import (
    Query,
    SetSearchPath,
    SetSessionVariable,
    SetVariable,
    Statement,
    Undefine,
)

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder

#: Settings that are where names are looked for.
SEARCH_PATH_SETTINGS = ("schema", "search_path")


def bind_set(queries: QueryBinder, node: exp.Set) -> Statement:
    """SET [VARIABLE] name = value; of a setting a bare word is text."""
    from gpuql_planner.sql.bind_expressions import ExpressionBinder

    context = queries.context
    items = node.expressions
    if len(items) != 1 or not isinstance(items[0].this, exp.EQ):
        raise context.unsupported("this form of SET", node)
    kind = str(items[0].args.get("kind") or "").upper()
    name, value = items[0].this.this, items[0].this.expression
    binder = ExpressionBinder(context, Scope(), queries, "SET")
    if kind == "VARIABLE":
        bound = binder.bind(expand_macros(context, value))
        output = Attribute.fresh(name.name, bound.dtype)
        query = Query(Project(ONE_ROW, ((output, bound),)), (name.name,))
        return SetSessionVariable(name.name, query)
    if kind not in ("", "SESSION", "LOCAL", "GLOBAL"):
        raise context.unsupported(f"SET {kind}", node)
    if isinstance(value, (exp.Column, exp.Var, exp.Identifier)):
        return _setting(context, name, value.name, value)
    literal = binder.bind(value)
    if not isinstance(literal, Literal):
        raise context.error(BinderError, f"value of SET must be a constant: {name.name}", value)
    return _setting(context, name, literal.value, value)


def _setting(context: BindContext, name: exp.Expr, value: object, node: exp.Expr) -> Statement:
    folded = name.name.lower()
    if folded in SEARCH_PATH_SETTINGS:
        return bind_search_path(context, str(value))
    check_setting(context, folded, name)
    if folded.lower() == "variable":
        raise context.error(ParserError, "syntax error: SET VARIABLE needs a name", node)
    return SetVariable(folded, value)


def check_setting(context: BindContext, name: str, node: exp.Expr | None) -> None:
    """CatalogError unless there is a setting of that name."""
    known = context.catalog.definitions("setting")
    if known and name.lower() not in known:
        names = [*known, *SEARCH_PATH_SETTINGS]
        hint = did_you_mean(name, names) or f"settings are {', '.join(known)}"
        raise context.error(CatalogError, f"setting not found: {name}", node, hint=hint)


def bind_reset(context: BindContext, text: str) -> Statement:
    """RESET name, RESET VARIABLE name."""
    words = text.split()
    if len(words) == 2 and words[0].lower() == "variable":
        return Undefine("variable", words[1].strip('"'), if_exists=True)
    if len(words) == 2 and words[0].lower() in ("session", "local", "global"):
        words = words[1:]
    if len(words) != 1 or not words[0].isidentifier():
        raise ParserError(f"syntax error: RESET needs the name of a setting: {text}", statement=context.text)
    name = words[0].lower()
    if name in SEARCH_PATH_SETTINGS:
        return SetSearchPath(("main",))
    check_setting(context, name, None)
    return SetVariable(name, None)
