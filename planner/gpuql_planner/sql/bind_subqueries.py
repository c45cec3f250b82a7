"""Subqueries in expressions: scalar, EXISTS, IN and comparisons with ANY or ALL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.errors import BinderError
from gpuql_planner.functions import coerce, make_call, make_not
from gpuql_planner.functions.comparison import NEGATED_COMPARISONS, comparison_type
from gpuql_planner.logical.expressions import (
    Attribute,
    AttributeRef,
    Exists,
    Expression,
    QuantifiedComparison,
    ScalarSubquery,
)
from gpuql_planner.logical.nodes import LogicalNode, Project

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_expressions import ExpressionBinder


@dataclass(frozen=True)
class QuerySource:
    """Plan of a subquery."""

    plan: LogicalNode


def bind_scalar_subquery(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    """Value of a subquery with one column."""
    plan = binder.bind_subplan(node).plan
    if len(plan.outputs) != 1:
        raise binder.context.error(
            BinderError, f"subquery used as a value returns several columns: {len(plan.outputs)}", node
        )
    return ScalarSubquery(plan)


def bind_exists(binder: ExpressionBinder, node: exp.Exists) -> Expression:
    """Whether a subquery has a row."""
    return Exists(binder.bind_subplan(node.this).plan)


def bind_in_query(binder: ExpressionBinder, node: exp.In, *, negated: bool) -> Expression:
    """``arguments [NOT] IN (query)``; NOT IN is ``ne ALL``."""
    plan = binder.bind_subplan(node.args["query"]).plan
    comparison, quantifier = ("ne", "all") if negated else ("eq", "any")
    return _quantified(binder, node.this, comparison, quantifier, plan)


def bind_quantified(binder: ExpressionBinder, comparison: str, left: exp.Expr, right: exp.Expr) -> Expression:
    """``left op ANY (query)`` and ``left op ALL (query)``."""
    query = right.this
    while isinstance(query, exp.Paren):
        query = query.this
    if comparison == "eq" and isinstance(right, exp.Any) and not isinstance(query, (exp.Subquery, exp.Query)):
        return make_call("list_equals_any", (binder.bind(query), binder.bind(left)))
    if not isinstance(query, (exp.Subquery, exp.Query)) or comparison not in NEGATED_COMPARISONS:
        raise binder.context.unsupported("ANY and ALL over anything but a query", right)
    plan = binder.bind_subplan(query).plan
    quantifier = "any" if isinstance(right, exp.Any) else "all"
    return _quantified(binder, left, comparison, quantifier, plan)


def _quantified(
    binder: ExpressionBinder, left: exp.Expr, comparison: str, quantifier: str, plan: LogicalNode
) -> Expression:
    nodes = left.expressions if isinstance(left, exp.Tuple) else [left]
    if len(nodes) != len(plan.outputs):
        raise binder.context.error(
            BinderError,
            f"subquery and left side have different numbers of columns: {len(plan.outputs)} and {len(nodes)}",
            left,
        )
    if len(nodes) > 1 and (comparison, quantifier) in (("ne", "any"), ("eq", "all")):
        raise binder.context.unsupported("<> ANY and = ALL for rows of several columns", left)
    if len(nodes) > 1 and comparison not in ("eq", "ne"):
        raise binder.context.unsupported("rows compared with anything but = and <>", left)
    arguments = [binder.bind(node) for node in nodes]
    arguments, plan = _same_types(arguments, plan)
    if len(nodes) > 1 and comparison == "ne":  # NOT IN of rows: not (equal to any)
        return make_not(QuantifiedComparison(tuple(arguments), "eq", "any", plan))
    return QuantifiedComparison(tuple(arguments), comparison, quantifier, plan)


def _same_types(arguments: Sequence[Expression], plan: LogicalNode) -> tuple[list[Expression], LogicalNode]:
    """Cast arguments and the plan's outputs to the types in which they are compared."""
    left: list[Expression] = []
    right: list[tuple[Attribute, Expression]] = []
    changed = False
    for argument, output in zip(arguments, plan.outputs, strict=True):
        reference = AttributeRef(output)
        dtype = comparison_type(argument, reference)
        left.append(coerce(argument, dtype))
        value = coerce(reference, dtype)
        if value is reference:
            right.append((output, value))
        else:
            changed = True
            right.append((Attribute.fresh(output.name, dtype), value))
    return left, Project(plan, tuple(right)) if changed else plan
