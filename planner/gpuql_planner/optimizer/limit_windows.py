"""A filter on the rank of rows in their partition tells the window which rows nobody will see.

Before: ``Filter r <= 3 <- Window row_number() OVER (PARTITION BY a ORDER BY b) AS r <- Scan t``; after: the same with
``limit 3`` in the window, which then keeps the best rows of each partition rather than sort all.
"""

from __future__ import annotations

from dataclasses import replace

from gpuql_planner.logical.expressions import Attribute, AttributeRef, Call, Expression, Literal
from gpuql_planner.logical.nodes import Filter, LogicalNode, Window
from gpuql_planner.logical.visit import conjuncts, transform_plan

_RANKS = frozenset(("row_number", "rank", "dense_rank"))
#: Comparisons with the rank on the left, and what is to be added to the constant on the right for the highest rank.
_AT_MOST = {"le": 0, "lt": -1, "eq": 0}
_MIRRORED = {"ge": "le", "gt": "lt", "eq": "eq"}


def limit_windows(plan: LogicalNode) -> LogicalNode:
    """``plan`` with limits in windows of ranks that a filter above compares with constants."""
    return transform_plan(plan, lambda node: _limited(node) if isinstance(node, Filter) else node)


def _limited(node: Filter) -> LogicalNode:
    window = node.input
    if not isinstance(window, Window) or not _ranks_alike(window):
        return node
    ranks = {attribute for attribute, _ in window.calls}
    limit = window.limit
    for part in (part for predicate in node.predicates for part in conjuncts(predicate)):
        found = _highest_rank(part, ranks)
        if found is not None and (limit is None or found[1] < limit[1]):
            limit = found
    return node if limit == window.limit else Filter(replace(window, limit=limit), node.predicates)


def _ranks_alike(window: Window) -> bool:
    """All calls are ranks in the same order of the same partitions, so that rows beyond the limit change none."""
    first = window.calls[0][1]
    return all(
        call.function in _RANKS and (call.partition_by, call.order_by) == (first.partition_by, first.order_by)
        for _, call in window.calls
    )


def _highest_rank(predicate: Expression, ranks: set[Attribute]) -> tuple[Attribute, int] | None:
    if not isinstance(predicate, Call) or len(predicate.arguments) != 2:
        return None
    function, (one, other) = predicate.function, predicate.arguments
    if isinstance(one, Literal) and function in _MIRRORED:
        function, one, other = _MIRRORED[function], other, one
    if function not in _AT_MOST or not isinstance(one, AttributeRef) or one.attribute not in ranks:
        return None
    if not isinstance(other, Literal) or not other.dtype.is_integer:
        return None
    value = other.value  # read, so that the plan is not used for others
    return (one.attribute, max(0, value + _AT_MOST[function])) if isinstance(value, int) else None
