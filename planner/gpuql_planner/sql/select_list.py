"""The select list with every ``*`` written out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from gpuql_planner.errors import BinderError, did_you_mean
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.sql.column_names import column_name
from gpuql_planner.sql.context import BindContext
from gpuql_planner.sql.scope import Relation, Scope


@dataclass(frozen=True)
class SelectItem:
    """One output: an expression's tree, or a column that a star stands for (with the star as ``source``)."""

    name: str
    node: exp.Expr | None
    attribute: Attribute | None
    source: exp.Expr
    has_alias: bool = False


def expand_select_list(
    context: BindContext, nodes: Sequence[exp.Expr], scope: Scope, *, nameless: bool = False
) -> list[SelectItem]:
    """Items in order; ``*``, ``t.*`` and COLUMNS(...) give one for each column.

    ``nameless`` says that nothing refers to the items by name, so that they need not be called after constants.
    """
    items: list[SelectItem] = []
    for node in nodes:
        if isinstance(node, exp.Star):
            items.extend(_star(context, node, scope, None, node))
        elif isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
            items.extend(_star(context, node.this, scope, str(node.table), node))
        elif isinstance(node, exp.Anonymous) and str(node.name).lower() == "columns":
            items.extend(_columns(context, node, scope))
        elif isinstance(node, exp.Alias):
            items.append(SelectItem(node.alias, node.this, None, node, has_alias=True))
        elif isinstance(node, exp.Aliases):
            raise context.unsupported("several aliases of one expression", node)
        elif isinstance(node, exp.Column):
            items.append(SelectItem(_name_as_created(node, scope), node, None, node))
        elif nameless and context.has_slots(node):
            items.append(SelectItem("value", node, None, node))
        else:
            context.depend_on_constants(node)
            items.append(SelectItem(column_name(node), node, None, node))
    return items


def _name_as_created(node: exp.Column, scope: Scope) -> str:
    """The column's name in the letters of its creator, however the query spells it."""
    for relation in scope.relations:
        if not node.table or relation.name.lower() == node.table.lower():
            column = relation.find(node.name.lower())
            if column is not None:
                return column.name
    return str(node.name)


def _relations(context: BindContext, scope: Scope, table: str | None, node: exp.Expr) -> list[Relation]:
    if table is None:
        if not scope.relations:
            raise context.error(BinderError, "* needs a FROM clause", node)
        return scope.relations
    relation = scope.relation(table)
    if relation is None:
        hint = did_you_mean(table, scope.relation_names())
        raise context.error(BinderError, f"table not found in FROM: {table}", node, hint=hint)
    return [relation]


def _star(
    context: BindContext, star: exp.Star, scope: Scope, table: str | None, node: exp.Expr
) -> list[SelectItem]:
    context.reject_other(star, "except_", "replace", "rename")
    excluded = {part.name.lower(): part for part in star.args.get("except_") or ()}
    replaced = {part.alias.lower(): part for part in star.args.get("replace") or ()}
    renamed = {part.this.name.lower(): part for part in star.args.get("rename") or ()}
    unused = {**excluded, **replaced, **renamed}
    items: list[SelectItem] = []
    for relation in _relations(context, scope, table, node):
        for column in relation.columns:
            folded = column.name.lower()
            if table is None and folded in relation.hidden:
                continue
            unused.pop(folded, None)
            if folded in excluded:
                continue
            name = renamed[folded].alias if folded in renamed else column.name
            if folded in replaced:
                items.append(SelectItem(name, replaced[folded].this, None, replaced[folded]))
                continue
            attribute = column.attribute
            if table is None:
                attribute = scope.replaced.get(attribute, attribute)
            items.append(SelectItem(name, None, attribute, node))
    for name, part in unused.items():
        hint = did_you_mean(name, scope.column_names())
        raise context.error(
            BinderError, f"column of EXCLUDE, REPLACE or RENAME not found: {name}", part, hint=hint
        )
    if not items:
        raise context.error(BinderError, "select list is empty after EXCLUDE", node)
    return items


def _columns(context: BindContext, node: exp.Anonymous, scope: Scope) -> list[SelectItem]:
    """COLUMNS('regex') or COLUMNS(*)."""
    argument = node.expressions[0] if len(node.expressions) == 1 else None
    if isinstance(argument, exp.Star):
        return _star(context, argument, scope, None, node)
    if not (isinstance(argument, exp.Literal) and argument.is_string):
        raise context.unsupported("COLUMNS of anything but * or a regular expression", node)
    try:
        pattern = re.compile(str(argument.this))
    except re.error as error:
        raise context.error(BinderError, f"regular expression of COLUMNS is wrong: {error}", node) from None
    star = exp.Star()
    items = [item for item in _star(context, star, scope, None, node) if pattern.search(item.name)]
    if not items:
        raise context.error(BinderError, f"no column matches: {argument.this}", node)
    return items
