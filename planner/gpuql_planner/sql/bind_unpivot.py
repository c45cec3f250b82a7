"""UNPIVOT: columns become rows, each with the column's name and value.

One pass over the source: each row is joined with the names, and takes the value that belongs to each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.errors import BinderError
from gpuql_planner.functions import make_comparison
from gpuql_planner.functions.coercion import unify
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Call, Case, Expression, Literal
from gpuql_planner.logical.nodes import Filter, Join, JoinKind, LogicalNode, Project, Values
from gpuql_planner.logical.visit import pass_through, references
from gpuql_planner.sql.columns_expression import expanded, has_columns, is_star
from gpuql_planner.statement_errors import DatatypeMismatch
from gpuql_planner.types import BIGINT, BOOLEAN, NULL, VARCHAR

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_from import FromItem
    from gpuql_planner.sql.bind_query import BoundQuery, QueryBinder


@dataclass(frozen=True)
class _Entry:
    """What becomes one row: its name, and an expression for each value column."""

    label: str
    values: tuple[Expression, ...]


def bind_unpivot(queries: QueryBinder, node: exp.Pivot, item: FromItem) -> BoundQuery:
    """Plan and column names of ``item`` unpivoted as ``node`` says."""
    from gpuql_planner.sql.bind_query import BoundQuery

    context = queries.context
    context.depend_on_constants(node)
    name, value_names, nodes = _written(node)
    entries = [entry for part in nodes for entry in _entries(queries, part, item)]
    if not entries or any(len(entry.values) != len(value_names) for entry in entries):
        raise context.error(
            BinderError, f"UNPIVOT takes as many columns together as it has values: {len(value_names)}", node
        )
    used = {a for entry in entries for value in entry.values for a in references(value)}
    rest = [
        (column.name, column.attribute)
        for relation in item.scope.relations
        for column in relation.columns
        if column.name.lower() not in relation.hidden and column.attribute not in used
    ]
    number, label = Attribute.fresh("entry", BIGINT, nullable=False), Attribute.fresh(name, VARCHAR)
    rows = tuple((index, entry.label) for index, entry in enumerate(entries))
    plan: LogicalNode = Join(item.plan, Values((number, label), rows), JoinKind.CROSS)
    with context.locating(node):
        values = [
            _chosen(number, [entry.values[place] for entry in entries]) for place in range(len(value_names))
        ]
    outputs = [Attribute.fresh(n, v.dtype) for n, v in zip(value_names, values, strict=True)]
    kept = (*pass_through(dict.fromkeys(a for _, a in rest)), (label, AttributeRef(label)))
    plan = Project(plan, (*kept, *zip(outputs, values, strict=True)))
    if not node.args.get("include_nulls"):
        plan = Filter(plan, tuple(Call("is_not_null", (AttributeRef(a),), BOOLEAN) for a in outputs))
    return BoundQuery(plan, (*(n for n, _ in rest), name, *value_names))


def _written(node: exp.Pivot) -> tuple[str, list[str], list[exp.Expr]]:
    """Name of the column of names, those of values, and what to unpivot."""
    fields = node.args.get("fields")
    if fields:
        field = fields[0]
        return str(field.this.name), _names(node.expressions), list(field.expressions)
    into = node.args.get("into")
    if into is None:
        return "name", ["value"], list(node.expressions)
    return str(into.this.name), _names(into.expressions), list(node.expressions)


def _names(nodes: Sequence[exp.Expr]) -> list[str]:
    return [
        str(part.name)
        for node in nodes
        for part in (node.expressions if isinstance(node, exp.Tuple) else [node])
    ]


def _entries(queries: QueryBinder, node: exp.Expr, item: FromItem) -> list[_Entry]:
    from gpuql_planner.sql.bind_expressions import ExpressionBinder
    from gpuql_planner.sql.select_list import star_columns

    context = queries.context
    binder = ExpressionBinder(context, item.scope, queries, "UNPIVOT")
    star = star_columns(context, item.scope)
    alias = None
    if isinstance(node, (exp.PivotAlias, exp.Alias)):
        alias, node = str(node.args["alias"].name), node.this
    if is_star(node):
        return [_Entry(name, (binder.bind(tree),)) for name, tree in star(node)]
    if has_columns(node):
        return [_Entry(column.name, (binder.bind(tree),)) for column, tree in expanded(context, node, star)]
    parts = node.expressions if isinstance(node, exp.Tuple) else [node]
    while len(parts) == 1 and isinstance(parts[0], exp.Paren):
        parts = [parts[0].this]
    label = "_".join(_column_name(part, item) for part in parts) if alias is None else alias
    return [_Entry(label, tuple(binder.bind(part) for part in parts))]


def _column_name(node: exp.Expr, item: FromItem) -> str:
    """Name of a column as its creator wrote it, or an expression as it is written here."""
    if isinstance(node, exp.Column):
        for relation in item.scope.relations:
            column = relation.find(node.name.lower())
            if column is not None:
                return column.name
    return str(node.sql("duckdb"))


def _chosen(number: Attribute, values: Sequence[Expression]) -> Expression:
    """The value of the entry with that number. Text does not mix with other types."""
    texts = [value.dtype == VARCHAR for value in values if value.dtype != NULL]
    if any(texts) and not all(texts):
        kinds = ", ".join(dict.fromkeys(str(value.dtype) for value in values))
        raise DatatypeMismatch(
            f"columns of UNPIVOT have different types: {kinds}", hint="cast them to one type"
        )
    dtype, same = unify(list(values), construct="UNPIVOT")
    branches = tuple(
        (make_comparison("eq", AttributeRef(number), Literal(index, BIGINT)), value)
        for index, value in enumerate(same)
    )
    return Case(branches, Literal(None, dtype), dtype)
