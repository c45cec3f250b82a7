"""FROM: tables, views, WITH tables, subqueries, table functions, and the joins between them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.catalog import Table, View
from gpuql_planner.errors import BinderError, did_you_mean
from gpuql_planner.logical.expressions import Attribute, Literal
from gpuql_planner.logical.nodes import LogicalNode, Scan
from gpuql_planner.sql.bind_sample import sampled
from gpuql_planner.sql.bind_series import bind_series
from gpuql_planner.sql.bind_unnest import bind_json_rows, bind_unnest_source
from gpuql_planner.sql.bind_values import ONE_ROW
from gpuql_planner.sql.names import known_name
from gpuql_planner.sql.scope import Scope, relation_of
from gpuql_planner.statement_errors import (
    InvalidDefinition,
    InvalidParameterValue,
    LimitExceeded,
    UndefinedFunction,
    UndefinedTable,
)
from gpuql_planner.thresholds import MAX_VIEW_DEPTH
from gpuql_planner.types import TypeId

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import BoundQuery, QueryBinder


@dataclass(frozen=True)
class FromItem:
    """Plan and visible columns of a part of FROM. ``lateral`` says that the plan refers to items on its left."""

    plan: LogicalNode
    scope: Scope
    lateral: bool = False


def bind_from(queries: QueryBinder, select: exp.Select) -> FromItem:
    """Everything after FROM; one row of no columns if there is none."""
    from gpuql_planner.sql.bind_joins import bind_join

    from_ = select.args.get("from_")
    if from_ is None:
        return FromItem(ONE_ROW, Scope(parent=queries.parent))
    item = bind_source(queries, from_.this, Scope(parent=queries.parent))
    for first, *others in _comma_groups(select.args.get("joins") or ()):
        if _is_comma(first) and any(map(_depends_on_grouping, others)):
            item = _bind_comma_group(queries, item, first, others)
            continue
        for join in (first, *others):
            item = bind_join(queries, item, join)
    for lateral in select.args.get("laterals") or ():
        raise queries.context.unsupported("LATERAL VIEW", lateral)
    return item


def _is_comma(join: exp.Join) -> bool:
    return not any(join.args.get(part) for part in ("method", "side", "kind", "on", "using"))


def _comma_groups(joins: Iterable[exp.Join]) -> list[list[exp.Join]]:
    """Joins cut before each comma: JOIN binds tighter than a comma."""
    groups: list[list[exp.Join]] = []
    for join in joins:
        if not groups or _is_comma(join):
            groups.append([])
        groups[-1].append(join)
    return groups


def _depends_on_grouping(join: exp.Join) -> bool:
    """Whether ``a, b JOIN c`` and ``(a CROSS JOIN b) JOIN c`` differ: rows of c without a match, columns by name."""
    side, method = (str(join.args.get(part) or "").upper() for part in ("side", "method"))
    is_full = str(join.args.get("kind") or "").upper() == "OUTER"
    by_name = bool(join.args.get("using")) or method == "NATURAL"
    return side in ("RIGHT", "FULL") or is_full or by_name or method == "POSITIONAL"


def _bind_comma_group(
    queries: QueryBinder, left: FromItem, first: exp.Join, others: Sequence[exp.Join]
) -> FromItem:
    """``left`` with every row of the joins after a comma, which may refer to columns of ``left`` like a subquery."""
    from gpuql_planner.sql.bind_joins import bind_join, join_items

    seen = Scope(list(left.scope.relations), parent=left.scope.parent, merged=dict(left.scope.merged))
    inner = queries.nested(seen)
    item = bind_source(inner, first.this, Scope(parent=seen))
    for join in others:
        item = bind_join(inner, item, join)
    return join_items(queries, left, note_lateral(item, seen), first)


def bind_source(queries: QueryBinder, node: exp.Expr, left: Scope) -> FromItem:
    """One table, subquery or parenthesised join. ``left`` is what a lateral subquery sees.

    The scope of the result has the parent of ``left``.
    """
    from gpuql_planner.sql.bind_joins import bind_join

    context = queries.context
    if node.args.get("pivots"):
        return _bind_pivots(queries, node, left)
    match node:
        case exp.Table():
            context.reject_other(node, "this", "alias", "db", "catalog", "joins", "sample")
            series = _lateral_series(node)
            if _is_json_rows(node):
                item = bind_json_rows(queries, node, left)
            elif series is not None:
                item = bind_unnest_source(queries, series, left)
            else:
                item = _bind_table(queries, node)
        case exp.Subquery() if _holds_source(node):
            context.reject_other(node, "this", "joins", "sample", "alias")
            item = bind_source(queries, node.this, left)
            if node.args.get("alias") is not None:
                item = _renamed_join(queries, node, item)
        case exp.Subquery():
            context.reject_other(
                node, "this", "alias", "with_", "order", "limit", "offset", "joins", "sample"
            )
            item = _bind_subquery(queries, node, left)
        case exp.Lateral() if isinstance(node.this, exp.Unnest):
            context.reject_other(node, "this", "alias")
            inner = node.this.copy()
            if node.args.get("alias") is not None:
                inner.set("alias", node.args["alias"].copy())
            item = bind_unnest_source(queries, inner, left)
        case exp.Unnest():
            item = bind_unnest_source(queries, node, left)
        case exp.Lateral():
            context.reject_other(node, "this", "alias")
            item = _bind_subquery(queries, node, left)
        case exp.Values():
            context.reject_other(node, "expressions", "alias", "order", "limit", "offset")
            item = aliased_query(queries, node, queries.nested(left).bind(node), "")
            item = note_lateral(item, left)
        case _:
            raise context.unsupported(f"{type(node).__name__} in FROM", node)
    sample = node.args.get("sample")
    if sample is not None and (isinstance(node, exp.Table) or _holds_source(node)):
        item = replace(item, plan=sampled(context, item.plan, sample))
    for join in node.args.get("joins") or ():
        item = bind_join(queries, item, join)
    return item


def _renamed_join(queries: QueryBinder, node: exp.Expr, item: FromItem) -> FromItem:
    """A join in parentheses with an alias: one relation of all its columns."""
    from gpuql_planner.sql.bind_query import BoundQuery, keep_outputs

    if item.lateral:
        raise queries.context.unsupported("an alias of a join with LATERAL", node)
    columns = [
        (column.name, item.scope.replaced.get(column.attribute, column.attribute))
        for relation in item.scope.relations
        for column in relation.columns
        if column.name.lower() not in relation.hidden
    ]
    attributes = tuple(attribute for _, attribute in columns)
    query = BoundQuery(keep_outputs(item.plan, attributes), tuple(name for name, _ in columns))
    return aliased_query(queries, node, query, "")


def _bind_pivots(queries: QueryBinder, node: exp.Expr, left: Scope) -> FromItem:
    """A source with PIVOT or UNPIVOT clauses after it, and the joins that follow them."""
    from gpuql_planner.sql.bind_joins import bind_join
    from gpuql_planner.sql.bind_pivot import bind_pivot
    from gpuql_planner.sql.bind_unpivot import bind_unpivot

    context = queries.context
    clauses = node.args["pivots"]
    if len(clauses) > 1:
        raise context.unsupported("several PIVOT clauses after one table", clauses[1])
    pivot = clauses[0]
    understood = ("expressions", "fields", "unpivot", "group", "alias", "include_nulls")
    derived = ("columns", "pivot_column_naming", "identify_pivot_strings", "prefixed_pivot_columns")
    context.reject_other(pivot, *understood, *derived, "default_on_null", "value_columns_first")
    source = node.copy()
    source.set("pivots", None)
    source.set("joins", None)
    if pivot.args.get("unpivot"):
        query = bind_unpivot(queries, pivot, bind_source(queries, source, left))
    else:
        query = bind_pivot(queries, pivot, source)
    item = aliased_query(queries, pivot, query, str(node.alias_or_name))
    for join in node.args.get("joins") or ():
        item = bind_join(queries, item, join)
    return item


def _holds_source(node: exp.Expr) -> bool:
    """Parentheses around a table or join, not around a query."""
    inner = node.this
    if not isinstance(inner, exp.Subquery):
        return isinstance(inner, exp.Table)
    return any(inner.args.get(part) for part in ("joins", "alias", "pivots")) or _holds_source(inner)


def _bind_subquery(queries: QueryBinder, node: exp.Expr, left: Scope) -> FromItem:
    inner = node.this if isinstance(node, exp.Lateral) else node
    if not isinstance(inner, (exp.Subquery, exp.Query, exp.Values, exp.Pivot)):
        raise queries.context.unsupported("LATERAL over anything but a query", node)
    query = queries.nested(left).bind(inner)
    alias = node.args.get("alias")
    if alias is not None and inner is not node and inner.args.get("alias") is not None:
        raise queries.context.unsupported("two aliases of one subquery", node)
    item = aliased_query(queries, node, query, "")
    return note_lateral(item, left)


def note_lateral(item: FromItem, left: Scope) -> FromItem:
    """Mark the item as lateral if binding it took columns from its left."""
    item.scope.parent = left.parent
    return replace(item, lateral=bool(left.captured))


def aliased_query(queries: QueryBinder, node: exp.Expr, query: BoundQuery, default: str) -> FromItem:
    """A finished query as a relation under its alias."""
    from gpuql_planner.sql.bind_query import rename

    alias = node.args.get("alias")
    name, columns = default, ()
    if alias is not None:
        name = alias.name or default
        columns = tuple(column.name for column in alias.columns)
    relation = relation_of(name, query.names, query.plan.outputs)
    if columns:
        names = rename(queries.context, tuple(c.name for c in relation.columns), columns, name, node)
        relation = relation_of(name, names, query.plan.outputs)
    return FromItem(query.plan, Scope([relation], parent=queries.parent))


def _bind_table(queries: QueryBinder, node: exp.Table) -> FromItem:
    from gpuql_planner.sql.bind_query import BoundQuery

    if isinstance(node.this, exp.Func):
        return _bind_table_function(queries, node)
    name = node.name
    if not node.args.get("db"):
        common = queries.environment.get(name.lower())
        if common is not None:
            return aliased_query(queries, node, queries.bind_common_table(common, node), common.name)
    source = _resolve(queries, node)
    if isinstance(source, View):
        return _in_schema(
            aliased_query(queries, node, _bind_view(queries, source, node), node.name), node, source
        )
    plan = scan(source)
    names = tuple(column for _, column in plan.columns)
    return _in_schema(aliased_query(queries, node, BoundQuery(plan, names), _short_name(name)), node, source)


def _in_schema(item: FromItem, node: exp.Table, source: Table | View) -> FromItem:
    """Note the schema of a table that has no alias, so that its columns may be named with it."""
    prefix, _, rest = source.name.partition(".")
    if node.args.get("alias") is None and rest.lower() == node.name.lower() != source.name.lower():
        item.scope.relations[0].schema = prefix
    return item


def _short_name(name: str) -> str:
    """Name under which a table is known if it has no alias; for a file, its stem."""
    if "/" not in name and "." not in name:
        return name
    return name.rsplit("/", 1)[-1].split(".", 1)[0] or name


def scan(table: Table) -> Scan:
    """Scan of all columns of a table."""
    return Scan(
        table,
        tuple(
            (Attribute.fresh(field.name, field.dtype, nullable=field.nullable), field.name)
            for field in table.fields
        ),
    )


def _resolve(queries: QueryBinder, node: exp.Table) -> Table | View:
    catalog = queries.context.catalog
    with queries.context.locating(node):
        name = known_name(queries, node)
        found = catalog.resolve(name)
    if found is None:
        known = [*catalog.relation_names(), *(table.name for table in queries.environment.values())]
        raise queries.context.error(
            UndefinedTable,
            f"table does not exist: {name}",
            node,
            hint=did_you_mean(name, known) or _file_hint(node),
        )
    return found


def _file_hint(node: exp.Table) -> str | None:
    """What to write where a name looks like that of a file, whose extension says nothing about its format."""
    stem, _, extension = node.name.rpartition(".")
    if node.db or not (stem and extension.isalnum()):
        return None
    return "if it is a file: read_parquet('...'), read_csv('...') or read_json('...')"


def _bind_view(queries: QueryBinder, view: View, node: exp.Expr) -> BoundQuery:
    """The view's query, bound from its text in the catalog of now."""
    from gpuql_planner.sql.bind import bind_query_text
    from gpuql_planner.sql.bind_query import rename

    context = queries.context
    if view.name.lower() in context.views:
        raise context.error(InvalidDefinition, f"view refers to itself: {view.name}", node)
    if len(context.views) >= MAX_VIEW_DEPTH:
        raise context.error(LimitExceeded, f"views refer to views more than {MAX_VIEW_DEPTH} deep", node)
    query = bind_query_text(
        view.sql,
        context.catalog,
        views=(*context.views, view.name.lower()),
        integer_division=context.integer_division,
    )
    names = rename(context, query.names, view.column_names or (), view.name, node)
    return type(query)(query.plan, names)


def _bind_table_function(queries: QueryBinder, node: exp.Table) -> FromItem:
    from gpuql_planner.sql.bind_query import BoundQuery

    context, call = queries.context, node.this
    name = str(call.name).lower() if isinstance(call, exp.Anonymous) else call.sql_name().lower()
    positional: list[object] = []
    named: dict[str, object] = {}
    for argument in call.expressions:
        if isinstance(argument, (exp.EQ, exp.PropertyEQ, exp.Kwarg)):
            named[argument.this.name.lower()] = _constant(queries, argument.expression)
        elif named:
            raise context.error(BinderError, f"positional argument after a named one: {name}", argument)
        else:
            positional.append(_constant(queries, argument))
    if name in ("range", "generate_series") and not named:
        return aliased_query(queries, node, bind_series(queries, name, positional, node), name)
    with context.locating(node):
        table = context.catalog.table_function(name, positional, named)
    if table is not None:
        plan: LogicalNode = scan(table)
        return aliased_query(
            queries, node, BoundQuery(plan, tuple(field.name for field in table.fields)), name
        )
    raise context.error(UndefinedFunction, f"table function does not exist: {name}", node)


def _is_json_rows(node: exp.Table) -> bool:
    return isinstance(node.this, exp.Anonymous) and node.this.name.lower() in ("json_each", "json_tree")


def _lateral_series(node: exp.Table) -> exp.Unnest | None:
    """``range(a, b)`` of columns as UNNEST of a list; None for constants and everything else."""
    call = node.this
    name = call.name.lower() if isinstance(call, exp.Anonymous) else ""
    if name not in ("range", "generate_series"):
        return None
    if not any(argument.find(exp.Column) for argument in call.expressions):
        return None
    alias = node.args.get("alias")
    if alias is None:
        alias = exp.TableAlias(this=exp.to_identifier(name))
    alias = alias.copy()
    if not alias.columns:
        alias.set("columns", [exp.to_identifier(name)])
    return exp.Unnest(expressions=[call.copy()], alias=alias)


def _constant(queries: QueryBinder, node: exp.Expr) -> object:
    """Python value of a table function's argument: a constant, a parameter, or a list of them."""
    from gpuql_planner.sql.bind_expressions import ExpressionBinder

    if isinstance(node, exp.Array):
        return [_constant(queries, item) for item in node.expressions]
    if isinstance(node, exp.Struct):
        return {item.this.name: _constant(queries, item.expression) for item in node.expressions}
    if isinstance(node, exp.Column):  # names such as DATE in {'d': DATE}
        return node.name
    literal = ExpressionBinder(queries.context, Scope(), queries, "table function arguments").bind(node)
    if not isinstance(literal, Literal):
        raise queries.context.error(
            InvalidParameterValue, "arguments of table functions must be constants", node
        )
    if literal.type.id is TypeId.TIMESTAMPTZ and isinstance(literal.value, datetime.datetime):
        return literal.value.replace(tzinfo=datetime.UTC)
    return literal.value
