"""INSERT: rows in the table's column order and types, and what happens to those that are there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.catalog import Field
from gpuql_planner.errors import BinderError
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Expression
from gpuql_planner.logical.nodes import LogicalNode, Project
from gpuql_planner.sql.bind_query import BoundQuery, keep_outputs
from gpuql_planner.sql.bind_values import ONE_ROW, bind_values
from gpuql_planner.sql.change_statements import Insert, OnConflict
from gpuql_planner.sql.change_target import (
    Target,
    assigned,
    bind_returning,
    bind_target,
    default_value,
    with_generated,
)
from gpuql_planner.sql.context import BindContext
from gpuql_planner.sql.statements import Query
from gpuql_planner.statement_errors import InvalidColumnReference, RepeatedColumn
from gpuql_planner.table_rules import Key, PendingTable

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder


def bind_insert(queries: QueryBinder, node: exp.Insert) -> Insert:
    """INSERT INTO: columns left out take their defaults."""
    context = queries.context
    context.reject_other(
        node, "this", "expression", "by_name", "with_", "default", "returning", "conflict", "alternative"
    )
    schema = node.this if isinstance(node.this, exp.Schema) else None
    target = bind_target(queries, schema.this if schema else node.this)
    with_ = node.args.get("with_")
    if with_ is not None:
        queries = queries._with_tables(node, with_)
    fields, source = _source(queries, node, target, list(schema.expressions) if schema else None)
    query = _in_table_order(context, target, fields, source, node)
    conflict = _conflict(queries, node, target, fields if schema or node.args.get("by_name") else None)
    returning = bind_returning(queries, target, node.args.get("returning"))
    return Insert(target.name, query, target.table, returning, conflict)


def _source(
    queries: QueryBinder, node: exp.Insert, target: Target, named: Sequence[exp.Expr] | None
) -> tuple[list[Field], BoundQuery]:
    """The columns that get values, and the rows of values."""
    context = queries.context
    if node.args.get("default"):
        return [], BoundQuery(ONE_ROW, ())
    if node.expression is None:
        raise context.unsupported("INSERT without VALUES or a query", node)
    if node.args.get("by_name"):
        if named is not None:
            raise context.error(BinderError, "BY NAME takes no list of columns", node)
        if not isinstance(node.expression, exp.Query):
            raise context.error(BinderError, "BY NAME needs a query, not VALUES", node.expression)
        source = queries.bind(node.expression)
        fields = [target.given_field(context, column, node) for column in source.names]
        _reject_repeated(context, fields, node)
    else:
        fields = (
            target.given_fields
            if named is None
            else [target.given_field(context, column.name, column) for column in named]
        )
        _reject_repeated(context, fields, node)
        source = _rows(queries, node.expression, target, fields)
    if len(source.names) != len(fields):
        raise context.error(
            BinderError,
            f"number of values and columns differ: {len(source.names)} and {len(fields)} "
            f"(table {target.table.name})",
            node.expression,
        )
    return fields, source


def _reject_repeated(context: BindContext, fields: Sequence[Field], node: exp.Expr) -> None:
    seen: set[str] = set()
    for field in fields:
        if field.name in seen:
            raise context.error(RepeatedColumn, f"column given twice: {field.name}", node)
        seen.add(field.name)


def _rows(queries: QueryBinder, node: exp.Expr, target: Target, fields: Sequence[Field]) -> BoundQuery:
    if isinstance(node, exp.Values) and not any(node.args.get(key) for key in ("order", "limit", "alias")):
        return bind_values(
            queries,
            node,
            targets=[field.dtype for field in fields],
            default=lambda index: default_value(queries.context, target, fields[index]),
        )
    return queries.bind(node)


def _in_table_order(
    context: BindContext, target: Target, fields: Sequence[Field], source: BoundQuery, node: exp.Insert
) -> Query:
    given = dict(zip((field.name for field in fields), source.plan.outputs, strict=True))
    values: dict[str, Attribute] = {}
    items: list[tuple[Attribute, Expression]] = []
    for field in target.given_fields:
        output = given.get(field.name)
        if output is None:
            attribute, value = (
                Attribute.fresh(field.name, field.dtype),
                default_value(context, target, field),
            )
        else:
            reference = AttributeRef(output)
            value = assigned(context, reference, field, node.expression)
            attribute = output if value is reference else Attribute.fresh(field.name, field.dtype)
        items.append((attribute, value))
        values[field.name] = attribute
    plan: LogicalNode = source.plan
    if tuple(attribute for attribute, _ in items) != plan.outputs:
        plan = Project(plan, tuple(items))
    plan, values = with_generated(context, target, plan, values)
    names = tuple(field.name for field in target.table.fields)
    return Query(keep_outputs(plan, tuple(values[name] for name in names)), names)


# --- ON CONFLICT, OR REPLACE, OR IGNORE ---


def _conflict(
    queries: QueryBinder, node: exp.Insert, target: Target, named: Sequence[Field] | None
) -> OnConflict | None:
    context = queries.context
    alternative = str(node.args.get("alternative") or "").upper()
    clause = node.args.get("conflict")
    if clause is None and not alternative:
        return None
    if clause is not None and alternative:
        raise context.error(BinderError, f"OR {alternative} and ON CONFLICT exclude each other", clause)
    if alternative not in ("", "REPLACE", "IGNORE"):
        raise context.unsupported(f"INSERT OR {alternative}", node)
    at = node.this if clause is None else clause
    keys = target.rules.keys
    if not keys:
        raise context.error(
            InvalidColumnReference,
            f"table has no PRIMARY KEY or UNIQUE to conflict with: {target.table.name}",
            at,
        )
    fields = tuple(replace(field, nullable=True) for field in target.table.fields)
    rows = PendingTable("excluded", fields)
    if alternative == "IGNORE":
        return OnConflict(keys, rows)
    if alternative == "REPLACE":
        only = _only_key(context, keys, at)
        replaced = target.given_fields if named is None else named
        chosen = [field for field in replaced if field.name not in only.columns]
        return _update(queries, target, rows, only, chosen, None, at)
    assert clause is not None, "a conflict clause"
    context.reject_other(
        clause, "duplicate", "expressions", "action", "conflict_keys", "where", "index_where"
    )
    if clause.args.get("duplicate") or clause.args.get("constraint"):
        raise context.unsupported("this form of ON CONFLICT", clause)
    action = clause.args.get("action")
    does_update = action is not None and action.name.upper() == "DO UPDATE"
    named_keys = clause.args.get("conflict_keys")
    if clause.args.get("index_where") or (clause.args.get("where") and not does_update):
        raise context.error(BinderError, "WHERE of ON CONFLICT belongs to DO UPDATE SET", clause)
    if named_keys:
        keys = (_named_key(context, target, named_keys, clause),)
    if not does_update:
        return OnConflict(keys, rows)
    key = _only_key(context, keys, clause)
    return _update(queries, target, rows, key, None, clause, clause)


def _only_key(context: BindContext, keys: Sequence[Key], node: exp.Expr) -> Key:
    if len(keys) > 1:
        raise context.error(
            InvalidColumnReference,
            "table has several keys: say with which to conflict, ON CONFLICT (columns)",
            node,
        )
    return keys[0]


def _named_key(context: BindContext, target: Target, nodes: Sequence[exp.Expr], clause: exp.Expr) -> Key:
    columns = []
    for ordered in nodes:
        column = ordered.this if isinstance(ordered, exp.Ordered) else ordered
        columns.append(target.field(context, column.name, column).name)
    for key in target.rules.keys:
        if set(key.columns) == set(columns) and len(key.columns) == len(columns):
            return key
    raise context.error(
        InvalidColumnReference,
        f"columns of ON CONFLICT are no PRIMARY KEY or UNIQUE: {', '.join(columns)}",
        clause,
    )


def _update(
    queries: QueryBinder,
    target: Target,
    rows: PendingTable,
    key: Key,
    replaced: Sequence[Field] | None,
    clause: exp.Expr | None,
    node: exp.Expr,
) -> OnConflict:
    from gpuql_planner.sql.bind_changes import bind_conflict_update

    update = bind_conflict_update(queries, target, rows, key, replaced, clause, node)
    return OnConflict((key,), rows, update)
