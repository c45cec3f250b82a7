"""Limits move towards the rows they drop; a limit over a sort becomes a top-N.

Before: ``Limit 10 <- Project a <- Sort b <- Scan t``; after: ``Project a <- Sort b limit 10 <- Scan t``.
"""

from __future__ import annotations

from dataclasses import replace

from gpuql_planner.logical.nodes import Join, JoinKind, Limit, LogicalNode, Project, Sort, UnionAll
from gpuql_planner.logical.visit import transform_plan, with_inputs
from gpuql_planner.optimizer.fold_constants import empty

_KEEPS_LEFT_ROWS = (JoinKind.LEFT, JoinKind.MARK)


def push_limits(plan: LogicalNode) -> LogicalNode:
    """``plan`` with limits as low as the order of rows allows."""
    return transform_plan(plan, lambda node: _push(node) if isinstance(node, Limit) else node)


def _push(node: Limit) -> LogicalNode:
    below = node.input
    if node.limit == 0:
        return empty(node.outputs)
    if node.limit is None and not node.offset:
        return below
    if isinstance(below, Project):
        return replace(below, input=_push(replace(node, input=below.input)))
    if isinstance(below, (Sort, Limit)):
        limit, offset = _combined(below.limit, below.offset, node.limit, node.offset)
        return empty(node.outputs) if limit == 0 else replace(below, limit=limit, offset=offset)
    if node.limit is None:
        return node
    needed = node.limit + node.offset
    if isinstance(below, UnionAll):
        return with_inputs(
            node, (UnionAll(tuple(_at_most(s, needed) for s in below.sources), below.attributes),)
        )
    if isinstance(below, Join) and below.kind in _KEEPS_LEFT_ROWS:
        return with_inputs(node, (replace(below, left=_at_most(below.left, needed)),))
    return node


def _at_most(node: LogicalNode, limit: int) -> LogicalNode:
    if isinstance(node, Limit) and node.limit is not None and node.limit <= limit:
        return node
    return _push(Limit(node, limit))


def _combined(
    inner_limit: int | None, inner_offset: int, outer_limit: int | None, outer_offset: int
) -> tuple[int | None, int]:
    """Rows ``outer`` of rows ``inner``, as one range."""
    if inner_limit is None:
        return outer_limit, inner_offset + outer_offset
    left = max(inner_limit - outer_offset, 0)
    return (left if outer_limit is None else min(left, outer_limit)), inner_offset + outer_offset
