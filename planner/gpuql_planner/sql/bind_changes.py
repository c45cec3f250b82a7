"""UPDATE, DELETE and TRUNCATE as queries for the rows to change and their new values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.catalog import Field
from gpuql_planner.errors import BinderError, ParserError
from gpuql_planner.functions import as_condition, make_comparison, split_conjuncts
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Expression, Literal, SortKey
from gpuql_planner.logical.nodes import Filter, Join, JoinKind, LogicalNode, Project, Sort
from gpuql_planner.logical.visit import pass_through
from gpuql_planner.sql.bind_from import FromItem, scan
from gpuql_planner.sql.bind_joins import bind_join
from gpuql_planner.sql.change_statements import Action, ChangeRows, Repeated, Truncate
from gpuql_planner.sql.change_target import (
    NumberedRows,
    Target,
    assigned,
    bind_returning,
    bind_target,
    default_value,
    is_default,
    numbered_rows,
    with_generated,
)
from gpuql_planner.sql.scope import Scope, relation_of
from gpuql_planner.sql.statements import Query
from gpuql_planner.statement_errors import RepeatedColumn
from gpuql_planner.table_rules import Key, PendingTable
from gpuql_planner.types import BIGINT, INTEGER

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder


@dataclass(frozen=True)
class Assignment:
    """``SET column = value``; the value is None for DEFAULT."""

    field: Field
    value: exp.Expr | None
    node: exp.Expr


def bind_update(queries: QueryBinder, node: exp.Update) -> ChangeRows:
    """UPDATE target SET assignments FROM sources WHERE condition."""
    context = queries.context
    context.reject_other(node, "this", "expressions", "from_", "where", "returning", "with_")
    if not node.expressions:
        raise context.error(ParserError, "syntax error: UPDATE needs SET column = value", node.this)
    queries = _with(queries, node)
    target = bind_target(queries, node.this)
    rows = numbered_rows(queries, target, node.this)
    from_ = node.args.get("from_")
    item = rows.item if from_ is None else bind_join(queries, rows.item, exp.Join(this=from_.this))
    item = _filtered(queries, item, node.args.get("where"))
    assignments = bind_assignments(queries, target, node.expressions)
    returning = bind_returning(queries, target, node.args.get("returning"))
    plan, values, changed = _assign(queries, target, item, rows, assignments)
    columns = _needed(target, changed, everything=returning is not None)
    return ChangeRows(
        "UPDATE",
        target.name,
        target.table,
        row_changes(plan, AttributeRef(rows.number), Action.UPDATE, [values[f.name] for f in columns]),
        columns,
        changed,
        Repeated.LAST,
        is_sorted=True,
        returning=returning,
    )


def bind_delete(queries: QueryBinder, node: exp.Delete) -> ChangeRows:
    """DELETE FROM target USING sources WHERE condition."""
    context = queries.context
    context.reject_other(node, "this", "using", "where", "returning", "with_")
    queries = _with(queries, node)
    target = bind_target(queries, node.this)
    rows = numbered_rows(queries, target, node.this)
    item = rows.item
    for source in node.args.get("using") or ():
        item = bind_join(queries, item, exp.Join(this=source))
    item = _filtered(queries, item, node.args.get("where"))
    returning = bind_returning(queries, target, node.args.get("returning"))
    columns = target.table.fields if returning is not None else _referenced_columns(target)
    return ChangeRows(
        "DELETE",
        target.name,
        target.table,
        row_changes(
            item.plan, AttributeRef(rows.number), Action.DELETE, [rows.columns[f.name] for f in columns]
        ),
        tuple(columns),
        (),
        Repeated.FIRST,
        is_sorted=True,
        returning=returning,
    )


def bind_truncate(queries: QueryBinder, node: exp.TruncateTable) -> Truncate:
    """TRUNCATE [TABLE] name."""
    context = queries.context
    context.reject_other(node, "expressions")
    if len(node.expressions) != 1:
        raise context.unsupported("TRUNCATE of several tables", node)
    target = bind_target(queries, node.expressions[0])
    numbered_rows(queries, target, node.expressions[0])
    return Truncate(target.name, target.table)


def bind_conflict_update(
    queries: QueryBinder,
    target: Target,
    excluded: PendingTable,
    key: Key,
    replaced: Sequence[Field] | None,
    clause: exp.Expr | None,
    node: exp.Expr,
) -> ChangeRows:
    """DO UPDATE SET … WHERE …, or (``replaced``) these columns as in the new row, of rows with equal keys."""
    rows = numbered_rows(queries, target, node)
    new = scan(excluded)
    by_name = dict(zip((field.name for field in excluded.fields), new.outputs, strict=True))
    given = [field.name for field in target.given_fields]
    visible = relation_of(excluded.name, given, [by_name[name] for name in given])
    conditions = tuple(
        make_comparison("eq", AttributeRef(rows.columns[name]), AttributeRef(by_name[name]))
        for name in key.columns
    )
    plan: LogicalNode = Join(rows.item.plan, new, JoinKind.INNER, conditions)
    # The table's own columns come first: a bare name is the row that is there.
    parent = Scope([visible], parent=queries.parent)
    item = FromItem(plan, Scope(rows.item.scope.relations, parent=parent))
    if replaced is not None:
        chosen = {field.name: AttributeRef(by_name[field.name]) for field in replaced}
        plan, values, changed = _store(queries, target, item.plan, rows, chosen)
    else:
        assert clause is not None, "either a clause or replaced columns"
        item = _filtered(queries, item, clause.args.get("where"))
        assignments = bind_assignments(queries, target, clause.expressions)
        plan, values, changed = _assign(queries, target, item, rows, assignments)
    columns = target.table.fields
    query = row_changes(plan, AttributeRef(rows.number), Action.UPDATE, [values[f.name] for f in columns])
    return ChangeRows(
        "INSERT", target.name, target.table, query, columns, changed, Repeated.ERROR, is_sorted=True
    )


def row_changes(
    plan: LogicalNode,
    number: Expression,
    action: Action,
    values: Sequence[Attribute],
    *,
    ordered: bool = True,
) -> Query:
    """Query of a :class:`ChangeRows`: number and action of each row of ``plan``, then values; by number."""
    numbers = Attribute.fresh("number", BIGINT)
    actions = Attribute.fresh("action", INTEGER)
    copies = [Attribute.fresh(value.name, value.dtype) for value in values]
    items: list[tuple[Attribute, Expression]] = [(numbers, number), (actions, Literal(int(action), INTEGER))]
    items += [(copy, AttributeRef(value)) for copy, value in zip(copies, values, strict=True)]
    result: LogicalNode = Project(plan, tuple(items))
    if ordered:
        result = Sort(result, (SortKey(AttributeRef(numbers), descending=False, nulls_first=False),))
    return Query(result, ("number", "action", *(value.name for value in values)))


def bind_assignments(queries: QueryBinder, target: Target, nodes: Iterable[exp.Expr]) -> list[Assignment]:
    """The SET clause. Errors: BinderError for columns that are not there, generated, or set twice."""
    context = queries.context
    assignments: list[Assignment] = []
    for node in nodes:
        if not isinstance(node, exp.EQ):
            raise context.unsupported("this form of SET", node)
        columns, values = [node.this], [node.expression]
        if isinstance(node.this, exp.Tuple):
            columns = list(node.this.expressions)
            if not isinstance(node.expression, exp.Tuple):
                raise context.unsupported("SET of several columns to anything but as many values", node)
            values = list(node.expression.expressions)
        elif isinstance(node.this, exp.Paren):
            columns = [node.this.this]
        if len(columns) != len(values):
            raise context.error(
                BinderError, f"number of columns and values differ: {len(columns)} and {len(values)}", node
            )
        for column, value in zip(columns, values, strict=True):
            if not isinstance(column, exp.Column) or column.args.get("table") is not None:
                raise context.error(ParserError, "syntax error: SET takes the bare name of a column", column)
            field = target.given_field(context, column.name, column)
            if any(field.name == other.field.name for other in assignments):
                raise context.error(RepeatedColumn, f"column set twice: {field.name}", column)
            assignments.append(Assignment(field, None if is_default(value) else value, column))
    return assignments


def bind_value(queries: QueryBinder, target: Target, scope: Scope, assignment: Assignment) -> Expression:
    """The new value of an assignment, of the column's type."""
    from gpuql_planner.sql.bind_expressions import ExpressionBinder

    if assignment.value is None:
        return default_value(queries.context, target, assignment.field)
    bound = ExpressionBinder(queries.context, scope, queries, "SET").bind(assignment.value)
    return assigned(queries.context, bound, assignment.field, assignment.value)


def _with(queries: QueryBinder, node: exp.Expr) -> QueryBinder:
    with_ = node.args.get("with_")
    return queries if with_ is None else queries._with_tables(node, with_)


def _filtered(queries: QueryBinder, item: FromItem, where: exp.Expr | None) -> FromItem:
    from gpuql_planner.sql.bind_expressions import ExpressionBinder

    if where is None:
        return item
    context = queries.context
    condition = ExpressionBinder(context, item.scope, queries, "WHERE").bind(where.this)
    with context.locating(where.this):
        return FromItem(Filter(item.plan, split_conjuncts(as_condition(condition))), item.scope)


def _assign(
    queries: QueryBinder,
    target: Target,
    item: FromItem,
    rows: NumberedRows,
    assignments: Sequence[Assignment],
) -> tuple[LogicalNode, dict[str, Attribute], tuple[str, ...]]:
    chosen = {one.field.name: bind_value(queries, target, item.scope, one) for one in assignments}
    return _store(queries, target, item.plan, rows, chosen)


def _store(
    queries: QueryBinder,
    target: Target,
    plan: LogicalNode,
    rows: NumberedRows,
    chosen: Mapping[str, Expression],
) -> tuple[LogicalNode, dict[str, Attribute], tuple[str, ...]]:
    """The plan with new values; the attribute of each column's value as it will be; the columns that change."""
    fields = {field.name: field for field in target.table.fields}
    new = {name: Attribute.fresh(name, fields[name].dtype) for name in chosen}
    kept = [attribute for name, attribute in rows.columns.items() if name not in new]
    items = (
        *pass_through([*kept, rows.number]),
        *((new[name], value) for name, value in chosen.items()),
    )
    plan = Project(plan, items)
    plan, values = with_generated(queries.context, target, plan, {**rows.columns, **new}, list(chosen))
    changed = tuple(name for name in fields if values[name] is not rows.columns[name])
    return plan, values, changed


def _referenced_columns(target: Target) -> tuple[Field, ...]:
    """Columns of keys, to which foreign keys of other tables may refer."""
    keys = {name for key in target.rules.keys for name in key.columns}
    return tuple(field for field in target.table.fields if field.name in keys)


def _needed(target: Target, changed: Sequence[str], *, everything: bool) -> tuple[Field, ...]:
    """Columns whose new values are stored or looked at by rules."""
    if everything:
        return target.table.fields
    rules, wanted = target.rules, set(changed)
    for columns in (
        *(check.columns for check in rules.checks),
        *(key.columns for key in rules.keys),
        *(key.columns for key in rules.foreign_keys),
    ):
        if not wanted.isdisjoint(columns):
            wanted.update(columns)
    return tuple(field for field in target.table.fields if field.name in wanted)
