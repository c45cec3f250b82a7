"""Aggregates over distinct values: first the distinct values of each group, then a plain aggregate.

Before: ``Aggregate by k: count(DISTINCT v)``; after: ``Aggregate by k: count(v) <- Aggregate by k, v``.
"""

from __future__ import annotations

from dataclasses import replace

from gpuql_planner.logical.expressions import AggregateCall, Attribute, AttributeRef, Expression
from gpuql_planner.logical.nodes import Aggregate, LogicalNode
from gpuql_planner.logical.visit import transform_plan

_SAME_WITHOUT_DISTINCT = frozenset(("min", "max", "any_value", "bool_and", "bool_or", "bit_and", "bit_or"))


def split_distinct(plan: LogicalNode) -> LogicalNode:
    """``plan`` without DISTINCT aggregates where all of a node's aggregates are over the same distinct values."""
    return transform_plan(plan, lambda node: _split(node) if isinstance(node, Aggregate) else node)


def _split(node: Aggregate) -> Aggregate:
    calls = [(a, _without_idle_distinct(c)) for a, c in node.aggregates]
    node = replace(node, aggregates=tuple(calls)) if any(c.distinct for _, c in node.aggregates) else node
    if not any(call.distinct for _, call in calls) or not all(_splittable(call) for _, call in calls):
        return node
    argument = calls[0][1].arguments[0]
    if any(call.arguments[0] != argument for _, call in calls):
        return node
    keys = [(Attribute.fresh(a.name, a.dtype, nullable=a.nullable), e) for a, e in node.keys]
    value = Attribute.fresh(_name(argument), argument.dtype)
    distinct = Aggregate(node.input, (*keys, (value, argument)), ())
    outer_keys = tuple((a, AttributeRef(inner)) for (a, _), (inner, _) in zip(node.keys, keys, strict=True))
    plain = tuple((a, replace(call, arguments=(AttributeRef(value),), distinct=False)) for a, call in calls)
    return Aggregate(distinct, outer_keys, plain)


def _without_idle_distinct(call: AggregateCall) -> AggregateCall:
    idle = call.distinct and call.function in _SAME_WITHOUT_DISTINCT
    return replace(call, distinct=False) if idle else call


def _splittable(call: AggregateCall) -> bool:
    """One argument, over distinct values or the same with and without; no filter and no order."""
    same = call.distinct or call.function in ("min", "max")
    return same and len(call.arguments) == 1 and call.filter is None and not call.order_by


def _name(expression: Expression) -> str:
    return expression.attribute.name if isinstance(expression, AttributeRef) else "value"
