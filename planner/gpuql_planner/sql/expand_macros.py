"""Calls of macros: the body with arguments in the place of parameters.

As in DuckDB an argument is put in as written, so it means what it would mean where the parameter stands. Errors inside
a body point at the call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlglot import exp

from gpuql_planner.definitions import Macro, Overload
from gpuql_planner.errors import BinderError, ParserError
from gpuql_planner.sql.bind_commands import error_at, find_definition
from gpuql_planner.sql.column_names import column_name
from gpuql_planner.sql.context import BindContext
from gpuql_planner.sql.parse import parse_expression, parse_statements
from gpuql_planner.statement_errors import LimitExceeded, NoMatchingFunction, UndefinedFunction
from gpuql_planner.thresholds import MAX_VIEW_DEPTH


def expand_macros(context: BindContext, tree: exp.Expr) -> exp.Expr:
    """The tree with bodies in the place of calls; the tree itself is changed."""
    if not context.catalog.definitions("macro") and not context.catalog.definitions("table macro"):
        return tree
    return _expanded(context, tree, 0)


def _expanded(context: BindContext, tree: exp.Expr, depth: int) -> exp.Expr:
    def replace(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Anonymous):
            macro = _find(context, "table macro", str(node.this.name))
            return node if macro is None else _source(context, macro, node, depth)
        if isinstance(node, exp.Anonymous) and not isinstance(node.parent, exp.Table):
            macro = _find(context, "macro", str(node.name))
            return node if macro is None else _value(context, macro, node, depth)
        return node

    return tree.transform(replace, copy=False)


def _find(context: BindContext, kind: str, name: str) -> Macro | None:
    found = find_definition(context, kind, name.split("."))
    return found if isinstance(found, Macro) else None


def _value(context: BindContext, macro: Macro, call: exp.Anonymous, depth: int) -> exp.Expr:
    _check_depth(context, macro, call, depth)
    written = column_name(call)
    overload, given = _choose(context, macro, call)
    body = _substituted(_placed(parse_expression(overload.body), call), given)
    value = exp.Paren(this=_expanded(context, body, depth + 1))
    value.meta["written"] = written
    return value


def _source(context: BindContext, macro: Macro, table: exp.Table, depth: int) -> exp.Expr:
    _check_depth(context, macro, table, depth)
    overload, given = _choose(context, macro, table.this)
    body = _substituted(_placed(_query_tree(overload.body), table), given)
    alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(macro.name.rpartition(".")[2]))
    rows = exp.Subquery(this=_expanded(context, body, depth + 1), alias=alias)
    rows.set("joins", table.args.get("joins"))
    return rows


def _check_depth(context: BindContext, macro: Macro, call: exp.Expr, depth: int) -> None:
    if depth >= MAX_VIEW_DEPTH:
        raise context.error(
            LimitExceeded, f"macros call macros more than {MAX_VIEW_DEPTH} deep: {macro.name}", call
        )


def _query_tree(text: str) -> exp.Expr:
    parsed = parse_statements(text)
    tree = parsed[0].tree if len(parsed) == 1 else None
    if not isinstance(tree, (exp.Query, exp.Values)):
        raise ParserError("body of a table macro is not a query", statement=text)
    return tree


def _placed(tree: exp.Expr, call: exp.Expr) -> exp.Expr:
    """The tree, every node of which stands where the call stands."""
    start = min(
        (part.meta["start"] for part in call.walk() if part._meta and "start" in part.meta), default=None
    )
    for node in tree.walk():
        node.meta.clear()
        if start is not None:
            node.meta["start"] = start
    return tree


def _choose(context: BindContext, macro: Macro, call: exp.Expr) -> tuple[Overload, dict[str, exp.Expr]]:
    """The overload that takes the arguments, and what each parameter stands for."""
    positional: list[exp.Expr] = []
    named: dict[str, exp.Expr] = {}
    for argument in call.expressions:
        if isinstance(argument, (exp.PropertyEQ, exp.Kwarg)):
            folded = argument.this.name.lower()
            if folded in named:
                raise context.error(BinderError, f"argument is given twice: {folded}", argument)
            named[folded] = argument.expression
        elif named:
            raise context.error(BinderError, f"positional argument after a named one: {macro.name}", argument)
        else:
            positional.append(argument)
    for overload in macro.overloads:
        given = _given(overload, positional, named)
        if given is not None:
            return overload, {
                name: value if isinstance(value, exp.Expr) else _placed(parse_expression(value), call)
                for name, value in given.items()
            }
    candidates = ", ".join(f"{macro.name}{overload}" for overload in macro.overloads)
    raise context.error(
        NoMatchingFunction,
        f"macro does not take these arguments: {macro.name}",
        call,
        hint=f"candidates: {candidates}",
    )


def _given(
    overload: Overload, positional: Sequence[exp.Expr], named: Mapping[str, exp.Expr]
) -> dict[str, exp.Expr | str] | None:
    """Argument, or text of the default, by parameter; None if the arguments do not fit."""
    names = [parameter.name.lower() for parameter in overload.parameters]
    if len(positional) > len(names) or not set(named) <= set(names[len(positional) :]):
        return None
    given: dict[str, exp.Expr | str] = {}
    for place, parameter in enumerate(overload.parameters):
        folded = names[place]
        if place < len(positional):
            given[folded] = positional[place]
        elif folded in named:
            given[folded] = named[folded]
        elif parameter.default is not None:
            given[folded] = parameter.default
        else:
            return None
    return given


def _substituted(tree: exp.Expr, given: Mapping[str, exp.Expr]) -> exp.Expr:
    """The tree with each parameter's argument in its place."""

    def replace(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.Column) or node.args.get("table") is not None:
            return node
        value = given.get(node.name.lower())
        return node if value is None else exp.Paren(this=value.copy())

    return _unwrapped(tree.transform(replace, copy=False))


def _unwrapped(tree: exp.Expr) -> exp.Expr:
    """Without parentheses where the grammar takes no expression, as after LIMIT."""
    for limit in tree.find_all(exp.Limit, exp.Offset):
        inner = limit.expression
        while isinstance(inner, exp.Paren):
            inner = inner.this
        limit.set("expression", inner)
    return tree


def check_macro(context: BindContext, name: str, overload: Overload, offset: int, *, is_table: bool) -> None:
    """Refuse a body that calls itself, which would have no end."""
    tree = _query_tree(overload.body) if is_table else parse_expression(overload.body)
    for call in tree.find_all(exp.Anonymous):
        in_from = isinstance(call.parent, exp.Table)
        if str(call.name).lower() == name.lower() and in_from == is_table:
            kind = "table macro" if is_table else "macro"
            if _find(context, kind, name) is None and not _is_function(name):
                raise error_at(context, UndefinedFunction, f"function does not exist: {name}", offset)


def _is_function(name: str) -> bool:
    from gpuql_planner.functions import is_aggregate_function, is_scalar_function

    return is_aggregate_function(name) or is_scalar_function(name)
