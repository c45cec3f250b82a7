"""The select list with every ``*`` written out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from gpuql_planner.errors import BinderError, did_you_mean
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.sql.column_names import column_name
from gpuql_planner.sql.columns_expression import (
    ATTRIBUTE,
    StarColumns,
    alias_of,
    column_of,
    expanded,
    filtered_star,
    has_columns,
    is_star_filter,
    unpacked,
)
from gpuql_planner.sql.context import BindContext
from gpuql_planner.sql.scope import Relation, Scope
from gpuql_planner.statement_errors import DatatypeMismatch, MissingFromEntry, UndefinedColumn
from gpuql_planner.types import TypeId, is_row


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
        elif _is_struct_star(node, scope):
            items.extend(_fields(context, node, scope))
        elif isinstance(node, exp.Column) and isinstance(node.this, exp.Star):
            items.extend(_star(context, node.this, scope, str(node.table), node))
        elif is_star_filter(node):
            star = filtered_star(context, node, star_columns(context, scope))
            items.extend(_item_of(name, tree, node) for name, tree in star)
        elif has_columns(node):
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


def _is_struct_star(node: exp.Expr, scope: Scope) -> bool:
    """``s.*`` of a column that is a struct."""
    if not (isinstance(node, exp.Column) and isinstance(node.this, exp.Star)):
        return False
    parts = [str(part.name) for part in node.parts[:-1]]
    if scope.relation(parts[0]) is not None:
        return len(parts) > 1
    return scope.find_local(parts[0], None) is not None


def _fields(context: BindContext, node: exp.Expr, scope: Scope) -> list[SelectItem]:
    """One item for each field of the struct before the star."""
    assert isinstance(node, exp.Column), "the caller checked"
    parts = list(node.parts[:-1])
    names = [str(part.name) for part in parts]
    qualified = scope.relation(names[0]) is not None
    attribute = scope.find_local(names[1], names[0]) if qualified else scope.find_local(names[0], None)
    dtype = None if attribute is None else attribute.dtype
    for name in names[2 if qualified else 1 :]:
        place = None if dtype is None or dtype.id is not TypeId.STRUCT else dtype.field(name)
        dtype = None if dtype is None or place is None else dtype.fields[place][1]
    if dtype is None or dtype.id is not TypeId.STRUCT or is_row(dtype):
        raise context.error(DatatypeMismatch, f"* of a value that is no struct: {'.'.join(names)}", node)
    base: exp.Expr = exp.Column(
        **{part: name.copy() for part, name in zip(("this", "table", "db"), reversed(parts), strict=False)}
    )
    return [
        SelectItem(name, exp.Dot(this=base.copy(), expression=exp.to_identifier(name)), None, node)
        for name, _ in dtype.fields
    ]


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
        raise context.error(MissingFromEntry, f"table not found in FROM: {table}", node, hint=hint)
    return [relation]


def _star(
    context: BindContext, star: exp.Star, scope: Scope, table: str | None, node: exp.Expr
) -> list[SelectItem]:
    context.reject_other(star, "except_", "replace", "rename", "ilike")
    pattern = star.args.get("ilike")
    if pattern is not None:
        plain = exp.Star(**{key: value for key, value in star.args.items() if key != "ilike"})
        filtering = exp.ILike(this=plain, expression=pattern)
        columns = filtered_star(context, filtering, star_columns(context, scope, table))
        return [_item_of(name, tree, node) for name, tree in columns]
    excluded = {_qualified(part): part for part in star.args.get("except_") or ()}
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
            qualified = f"{relation.name.lower()}.{folded}"
            unused.pop(qualified, None)
            if folded in excluded or qualified in excluded:
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
            UndefinedColumn, f"column of EXCLUDE, REPLACE or RENAME not found: {name}", part, hint=hint
        )
    if not items:
        raise context.error(BinderError, "select list is empty after EXCLUDE", node)
    return items


def star_columns(context: BindContext, scope: Scope, table: str | None = None) -> StarColumns:
    """What ``*`` and ``t.*`` stand for in a scope."""

    def columns(node: exp.Expr) -> list[tuple[str, exp.Expr]]:
        named = str(node.table) if isinstance(node, exp.Column) else table
        star = node if isinstance(node, exp.Star) else node.this
        return [(item.name, _tree_of(item)) for item in _star(context, star, scope, named, node)]

    return columns


def _qualified(part: exp.Expr) -> str:
    """Folded name of an excluded column, with its table where that is written."""
    table = str(part.table).lower() if isinstance(part, exp.Column) else ""
    return f"{table}.{part.name.lower()}" if table else part.name.lower()


def _tree_of(item: SelectItem) -> exp.Expr:
    if item.attribute is not None:
        return column_of(item.attribute, item.name)
    assert item.node is not None, "an item has a column or a tree"
    return item.node


def _item_of(name: str, tree: exp.Expr, source: exp.Expr, *, has_alias: bool = False) -> SelectItem:
    attribute = tree.meta.get(ATTRIBUTE) if isinstance(tree, exp.Column) else None
    if attribute is not None:
        return SelectItem(name, None, attribute, source)
    return SelectItem(name, tree, None, source, has_alias=has_alias)


def _columns(context: BindContext, node: exp.Expr, scope: Scope) -> list[SelectItem]:
    """An expression over COLUMNS: each is called after its column, or by the alias."""
    alias = str(node.alias) if isinstance(node, exp.Alias) else None
    tree = node.this if isinstance(node, exp.Alias) else node
    star = star_columns(context, scope)
    tree = unpacked(context, tree, star)
    if not has_columns(tree):  # columns as arguments: one expression
        name = column_name(tree) if alias is None else alias
        return [SelectItem(name, tree, None, node, has_alias=alias is not None)]
    items: list[SelectItem] = []
    for column, copy in expanded(context, tree, star):
        name = column.name if alias is None else alias_of(alias, column)
        items.append(_item_of(name, copy, node, has_alias=alias is not None))
    return items


def for_each_column(context: BindContext, node: exp.Expr, scope: Scope) -> list[exp.Expr]:
    """A condition or sort key over COLUMNS, once for each column; any other as it is."""
    if isinstance(node, exp.Star):
        return [tree for _, tree in star_columns(context, scope)(node)]
    if not has_columns(node):
        return [node]
    return [tree for _, tree in expanded(context, node, star_columns(context, scope))]
