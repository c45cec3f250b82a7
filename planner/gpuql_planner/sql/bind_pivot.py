"""PIVOT: groups with one column for each value of an expression, or combination of values.

It is a grouped SELECT whose aggregates are filtered by the values. Where these are not written in the statement, they
are found by running a query while it is bound.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.catalog import PlanRunner
from gpuql_planner.errors import BinderError
from gpuql_planner.functions import is_aggregate_function
from gpuql_planner.sql.column_names import column_name
from gpuql_planner.statement_errors import LimitExceeded
from gpuql_planner.thresholds import MAX_PIVOT_COLUMNS

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import BoundQuery, QueryBinder


@dataclass(frozen=True)
class _Value:
    """A value that a column is made for: its name, and the condition that rows have it."""

    label: str
    condition: exp.Expr


def bind_pivot(queries: QueryBinder, node: exp.Pivot, source: exp.Expr) -> BoundQuery:
    """Plan and column names of ``source`` pivoted as ``node`` says."""
    context = queries.context
    context.depend_on_constants(node)
    elements = [*(node.args.get("fields") or ()), *(() if node.args.get("fields") else node.expressions)]
    using = list(node.expressions if node.args.get("fields") else node.args.get("using") or ())
    if not elements:
        raise context.error(BinderError, "PIVOT without ON", node)
    using = using or [exp.Anonymous(this="count", expressions=[exp.Star()])]
    alternatives = [_values(queries, element, source) for element in elements]
    num_columns = len(using)
    for values in alternatives:
        num_columns *= len(values)
    if num_columns > MAX_PIVOT_COLUMNS:
        raise context.error(LimitExceeded, f"PIVOT makes more than {MAX_PIVOT_COLUMNS} columns", node)
    groups = _groups(queries, node, source, elements, using)
    items: list[exp.Expr] = [group.copy() for group in groups]
    for combination in itertools.product(*alternatives):
        label = "_".join(value.label for value in combination)
        condition = _all([value.condition for value in combination])
        for aggregate in using:
            inner = aggregate.this if isinstance(aggregate, exp.Alias) else aggregate
            name = label + _suffix(aggregate, single=len(using) == 1)
            items.append(_named(_filtered(queries, inner, condition), name))
    select = exp.Select(expressions=items, from_=exp.From(this=source.copy()))
    if groups:
        select.set("group", exp.Group(expressions=[group.copy() for group in groups]))
    elif not any(alternatives):
        raise context.error(BinderError, "PIVOT finds no values and has no other columns", node)
    return queries.bind(select)


def _suffix(aggregate: exp.Expr, *, single: bool) -> str:
    if isinstance(aggregate, exp.Alias):
        return f"_{aggregate.alias}"
    return "" if single else f"_{column_name(aggregate)}"


def _named(tree: exp.Expr, name: str) -> exp.Expr:
    return exp.Alias(this=tree, alias=exp.Identifier(this=name, quoted=True))


def _all(conditions: Sequence[exp.Expr]) -> exp.Expr:
    whole = conditions[0].copy()
    for condition in conditions[1:]:
        whole = exp.And(this=whole, expression=condition.copy())
    return whole


# --- values ----------------------------------------------------------------------------------------------------------


def _values(queries: QueryBinder, element: exp.Expr, source: exp.Expr) -> list[_Value]:
    if isinstance(element, exp.In):
        if not element.expressions:
            raise queries.context.unsupported("PIVOT over anything but a list of values", element)
        return [_written(queries, element.this, option) for option in element.expressions]
    return _found(queries, element, source)


def _written(queries: QueryBinder, over: exp.Expr, option: exp.Expr) -> _Value:
    """A value of an IN list, called by its alias or as it is written."""
    alias = None
    if isinstance(option, (exp.PivotAlias, exp.Alias)):
        alias, option = option.args["alias"].name, option.this
    columns, parts = _parts(over), _parts(option)
    if len(columns) != len(parts):
        raise queries.context.error(BinderError, "values of PIVOT differ in length from its columns", option)
    label = "_".join(map(_label, parts)) if alias is None else str(alias)
    pairs = zip(columns, parts, strict=True)
    same = [exp.NullSafeEQ(this=column.copy(), expression=part.copy()) for column, part in pairs]
    return _Value(label, _all(same))


def _parts(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.Tuple):
        return list(node.expressions)
    return _parts(node.this) if isinstance(node, exp.Paren) else [node]


def _label(node: exp.Expr) -> str:
    if isinstance(node, exp.Cast):
        return _label(node.this)
    if isinstance(node, (exp.Literal, exp.Identifier, exp.Column)):
        return str(node.name)
    return str(node.sql("duckdb"))


def _found(queries: QueryBinder, over: exp.Expr, source: exp.Expr) -> list[_Value]:
    """The texts of the values that the rows have, in the order of the texts, NULL left out."""
    context = queries.context
    runner = context.catalog
    if not isinstance(runner, PlanRunner):
        raise context.unsupported("PIVOT without a list of values here", over)
    text = exp.Cast(this=over.copy(), to=exp.DataType.build("VARCHAR"))
    select = exp.Select(
        expressions=[text],
        from_=exp.From(this=source.copy()),
        where=exp.Where(this=exp.Not(this=exp.Is(this=over.copy(), expression=exp.Null()))),
        group=exp.Group(expressions=[text.copy()]),
        order=exp.Order(expressions=[exp.Ordered(this=text.copy(), nulls_first=False)]),
        limit=exp.Limit(expression=exp.Literal.number(MAX_PIVOT_COLUMNS + 1)),
    )
    query = replace(queries, parent=None).bind(select)  # what runs now can see no outer query
    labels = [str(row[0]) for row in runner.rows_of(query.plan, query.names)]
    return [_Value(label, exp.EQ(this=text.copy(), expression=exp.Literal.string(label))) for label in labels]


# --- groups ----------------------------------------------------------------------------------------------------------


def _groups(
    queries: QueryBinder,
    node: exp.Pivot,
    source: exp.Expr,
    elements: Sequence[exp.Expr],
    using: Sequence[exp.Expr],
) -> list[exp.Expr]:
    """The columns to group by: those of GROUP BY, else all that PIVOT does not mention."""
    group = node.args.get("group")
    if group is not None:
        queries.context.reject_other(group, "expressions")
        return list(group.expressions)
    mentioned = {
        column.name.lower()
        for tree in (*(e.this if isinstance(e, exp.In) else e for e in elements), *using)
        for column in tree.find_all(exp.Column)
    }
    every = queries.bind(exp.Select(expressions=[exp.Star()], from_=exp.From(this=source.copy())))
    return [
        exp.Column(this=exp.Identifier(this=name, quoted=True))
        for name in every.names
        if name.lower() not in mentioned
    ]


def _filtered(queries: QueryBinder, tree: exp.Expr, condition: exp.Expr) -> exp.Expr:
    """The tree with its one aggregate over the rows of a condition."""
    copy = tree.copy()
    holder = exp.Paren(this=copy)
    calls = [
        call
        for call in holder.find_all(exp.Anonymous)
        if is_aggregate_function(str(call.name)) and call.find_ancestor(exp.Query) is None
    ]
    if len(calls) != 1:
        raise queries.context.error(
            BinderError, f"USING of PIVOT needs one aggregate, not {len(calls)}", tree
        )
    outer: exp.Expr = calls[0]
    while isinstance(outer.parent, (exp.WithinGroup, exp.IgnoreNulls)):
        outer = outer.parent
    if isinstance(outer.parent, exp.Filter):
        where = outer.parent.expression
        where.set("this", exp.And(this=exp.Paren(this=where.this.copy()), expression=condition.copy()))
    else:
        place = exp.Placeholder()
        outer.replace(place)
        place.replace(exp.Filter(this=outer, expression=exp.Where(this=condition.copy())))
    inner: exp.Expr = holder.this
    return inner
