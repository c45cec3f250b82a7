"""Groups that are the rows of a LEFT join's left side are aggregated before the join.

Before: ``Aggregate by t.k: count(u.x) <- Join left on t.k = u.k <- (Scan t, Scan u)`` with ``t.k`` unique; after:
``Project coalesce(count, 0) <- Join left on t.k = u.k <- (Scan t, Aggregate by u.k: count(x) <- Scan u)``: the join is
smaller and the second grouping is gone. Source: Yan and Larson, "Eager Aggregation and Lazy Aggregation" (VLDB 1995).
"""

from __future__ import annotations

from gpuql_planner.logical.expressions import (
    AggregateCall,
    Attribute,
    AttributeRef,
    Call,
    Expression,
    Literal,
)
from gpuql_planner.logical.nodes import Aggregate, Join, JoinKind, LogicalNode, Project
from gpuql_planner.logical.visit import output_set, references, transform_plan
from gpuql_planner.optimizer.cardinality import distinct_combinations, estimate_rows
from gpuql_planner.optimizer.statistics import equality_attributes, is_unique, null_from
from gpuql_planner.thresholds import MIN_REDUCTION_BEFORE_JOIN

#: Aggregates that skip NULL, so that a padded row adds nothing to them.
_SKIP_NULL = frozenset(("count", "sum", "min", "max", "avg"))


def aggregate_before_join(plan: LogicalNode) -> LogicalNode:
    """``plan`` with aggregates moved below LEFT joins where that computes the same groups from fewer rows."""
    return transform_plan(plan, lambda node: _move(node) if isinstance(node, Aggregate) else node)


def _move(node: Aggregate) -> LogicalNode:
    join = node.input
    if not isinstance(join, Join) or join.kind is not JoinKind.LEFT or not node.aggregates:
        return node
    left_keys, right_keys = equality_attributes(join)
    plain = all(isinstance(c, Call) and c.function == "eq" for c in join.conditions)
    if not plain or len(left_keys) != len(join.conditions) or not left_keys:
        return node
    group = {e.attribute for _, e in node.keys if isinstance(e, AttributeRef)}
    if len(group) != len(node.keys) or not group <= output_set(join.left) or not is_unique(join.left, group):
        return node
    right_set = output_set(join.right)
    if not all(_sees_right_only(call, right_set) for _, call in node.aggregates):
        return node
    groups = distinct_combinations([AttributeRef(a) for a in right_keys], join.right)
    if (
        groups * MIN_REDUCTION_BEFORE_JOIN > estimate_rows(join.right)
        or estimate_rows(join.left) * 2.0 < groups
    ):
        return node
    return _aggregate_right(node, join, right_keys)


def _sees_right_only(call: AggregateCall, right_set: frozenset[Attribute]) -> bool:
    if call.filter is not None or call.order_by:
        return False
    if call.function == "count_star":
        return True
    if call.function not in _SKIP_NULL:
        return False
    argument = call.arguments[0]
    return references(argument) <= right_set and null_from(argument, right_set)


def _aggregate_right(node: Aggregate, join: Join, right_keys: list[Attribute]) -> Project:
    calls, items = [], list(node.keys)
    for attribute, call in node.aggregates:
        inner = Attribute.fresh(attribute.name, attribute.dtype)
        calls.append((inner, call))
        items.append((attribute, _or_of_no_rows(inner, call)))
    keys = tuple((a, AttributeRef(a)) for a in dict.fromkeys(right_keys))
    grouped = Aggregate(join.right, keys, tuple(calls))
    return Project(Join(join.left, grouped, JoinKind.LEFT, join.conditions), tuple(items))


def _or_of_no_rows(attribute: Attribute, call: AggregateCall) -> Expression:
    """The group's value; for a left row without partner, that of its one padded row."""
    reference = AttributeRef(attribute)
    padded = {"count": 0, "count_star": 1}.get(call.function)
    if padded is None:
        return reference
    return Call("coalesce", (reference, Literal(padded, call.dtype)), call.dtype)
