"""``count(x)`` of a column without NULL counts rows, so the column need not be read.

Before: ``Aggregate count(o_orderkey)``; after: ``Aggregate count(*)``.
"""

from __future__ import annotations

from gpuql_planner.logical.expressions import AggregateCall, Attribute
from gpuql_planner.logical.nodes import Aggregate, LogicalNode
from gpuql_planner.logical.visit import transform_plan
from gpuql_planner.optimizer.statistics import never_null, non_null_attributes


def count_rows(plan: LogicalNode) -> LogicalNode:
    """``plan`` with ``count(*)`` for every count of what is never NULL."""
    return transform_plan(plan, lambda node: _rewrite(node) if isinstance(node, Aggregate) else node)


def _rewrite(node: Aggregate) -> Aggregate:
    if not any(call.function == "count" and not call.distinct for _, call in node.aggregates):
        return node
    known = non_null_attributes(node.input)
    aggregates = tuple((a, _count_star(call, known)) for a, call in node.aggregates)
    if all(new is old for (_, new), (_, old) in zip(aggregates, node.aggregates, strict=True)):
        return node
    return Aggregate(node.input, node.keys, aggregates)


def _count_star(call: AggregateCall, known: frozenset[Attribute]) -> AggregateCall:
    if call.function != "count" or call.distinct or not never_null(call.arguments[0], known):
        return call
    return AggregateCall("count_star", (), call.type, filter=call.filter)
