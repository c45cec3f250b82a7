"""Recursive WITH tables: an anchor, UNION [ALL], and a step over the rows of the round before."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from gpuql_planner.errors import BinderError, ParserError
from gpuql_planner.functions import explicit_cast
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Call, Expression
from gpuql_planner.logical.nodes import Join, JoinKind, LogicalNode, Project, Recursive, WorkingScan
from gpuql_planner.logical.visit import free_attributes
from gpuql_planner.sql.bind_query import BoundQuery, QueryBinder, refers_to, rename
from gpuql_planner.sql.bind_set_operations import distinct
from gpuql_planner.sql.context import CommonTable, next_shared_key
from gpuql_planner.statement_errors import InvalidRecursion
from gpuql_planner.types import BOOLEAN, INTEGER, NULL


def bind_recursive(queries: QueryBinder, table: CommonTable) -> BoundQuery:
    """Plan of a WITH table that refers to itself. Columns have the names and types of the anchor."""
    context = queries.context
    union = _union(queries, table)
    anchor = queries.bind(union.this)
    names = rename(context, anchor.names, table.column_names, table.name, union)
    anchor_plan = _typed(anchor.plan)
    key = next_shared_key()
    attributes = tuple(
        Attribute.fresh(name, output.dtype) for name, output in zip(names, anchor_plan.outputs, strict=True)
    )
    inner = CommonTable(table.name, table.tree, (), {}, None, working=(key, attributes), names=names)
    step = replace(queries, environment={**queries.environment, table.name.lower(): inner}).bind(
        union.expression
    )
    if len(step.names) != len(names):
        raise context.error(
            BinderError,
            f"set operation over different numbers of columns: {len(names)} and {len(step.names)}",
            union.expression,
        )
    with context.locating(union.expression):
        step_plan = _cast(step.plan, attributes)
    if not inner.is_used:
        raise context.error(
            InvalidRecursion, f"recursive WITH table does not read itself in its step: {table.name}", union
        )
    if union.args.get("distinct"):
        anchor_plan, step_plan = distinct(anchor_plan), _new_rows(distinct(step_plan), key, attributes)
    plan = Recursive(key, anchor_plan, step_plan, attributes)
    if free_attributes(plan):
        raise context.unsupported("recursive WITH that refers to columns of an outer query", union)
    return BoundQuery(plan, anchor.names)


def working_rows(table: CommonTable) -> BoundQuery:
    """One use of a recursive table in its own step."""
    assert table.working is not None, "the caller looked"
    table.is_used = True
    key, attributes = table.working
    fresh = tuple(Attribute.fresh(a.name, a.dtype) for a in attributes)
    return BoundQuery(WorkingScan(key, fresh), table.names)


def _union(queries: QueryBinder, table: CommonTable) -> exp.Union:
    context, tree = queries.context, table.tree
    while isinstance(tree, (exp.Subquery, exp.Paren)):
        tree = tree.this
    if not isinstance(tree, exp.Union):
        raise context.error(
            InvalidRecursion,
            f"circular reference of a WITH table that is no UNION: {table.name}",
            tree,
            hint="WITH RECURSIVE name AS (anchor UNION ALL step)",
        )
    for clause in ("order", "limit", "offset"):
        if tree.args.get(clause) is not None:
            raise context.error(
                ParserError, f"{clause.upper()} of a recursive WITH table is not allowed", tree.args[clause]
            )
    context.reject_other(tree, "this", "expression", "distinct")
    if refers_to(tree.this, table.name):
        raise context.error(
            InvalidRecursion,
            f"circular reference in the anchor of a recursive WITH table: {table.name}",
            tree.this,
        )
    return tree


def _typed(plan: LogicalNode) -> LogicalNode:
    """A column of NULLs takes a type that the step can give values of."""
    if all(output.dtype != NULL for output in plan.outputs):
        return plan
    items: list[tuple[Attribute, Expression]] = []
    for output in plan.outputs:
        value: Expression = AttributeRef(output)
        if output.dtype == NULL:
            items.append((Attribute.fresh(output.name, INTEGER), explicit_cast(value, INTEGER)))
        else:
            items.append((output, value))
    return Project(plan, tuple(items))


def _cast(plan: LogicalNode, attributes: tuple[Attribute, ...]) -> LogicalNode:
    if all(output.dtype == a.dtype for output, a in zip(plan.outputs, attributes, strict=True)):
        return plan
    items: list[tuple[Attribute, Expression]] = []
    for output, a in zip(plan.outputs, attributes, strict=True):
        value: Expression = AttributeRef(output)
        if output.dtype == a.dtype:
            items.append((output, value))
        else:
            items.append((Attribute.fresh(output.name, a.dtype), explicit_cast(value, a.dtype)))
    return Project(plan, tuple(items))


def _new_rows(plan: LogicalNode, key: int, attributes: tuple[Attribute, ...]) -> LogicalNode:
    """The rows of ``plan`` that no round had before; NULLs are equal."""
    known = WorkingScan(key, tuple(Attribute.fresh(a.name, a.dtype) for a in attributes), total=True)
    same = tuple(
        Call("is_not_distinct_from", (AttributeRef(new), AttributeRef(old)), BOOLEAN)
        for new, old in zip(plan.outputs, known.outputs, strict=True)
    )
    return Join(plan, known, JoinKind.ANTI, same)
