"""Rows that a join would drop are dropped before they are grouped or kept in a hash table.

Two cases, both by a SEMI join with the keys of the other side:

- a join with groups: only groups that can find a partner are computed (magic sets; Mumick and Pirahesh, "Implementation
  of Magic-sets in a Relational Database System", SIGMOD 1994);
- a LEFT or SINGLE join whose build side is far larger than its probe side: only build rows whose key occurs on the
  probe side are kept. (SEMI and ANTI joins build the smaller side instead: see ``physical.lower``.)

Before: ``Join inner on p = k <- (Filter <- Scan part, Aggregate by k <- Scan lineitem)``; after: the aggregate reads
``Join semi on k = p <- (Scan lineitem, Filter <- Scan part)``.
"""

from __future__ import annotations

from dataclasses import replace

from gpuql_planner.logical.expressions import Attribute, AttributeRef, Call, Expression
from gpuql_planner.logical.nodes import Aggregate, Filter, Join, JoinKind, LogicalNode, Project, Scan, Shared
from gpuql_planner.logical.visit import (
    output_set,
    pass_through,
    substitute,
    transform_plan,
    with_fresh_attributes,
    with_inputs,
)
from gpuql_planner.optimizer.cardinality import (
    column_estimate,
    equality_sides,
    estimate_rows,
    expression_estimate,
)
from gpuql_planner.optimizer.dependent_domain import fresh_like, fresh_shared_key
from gpuql_planner.optimizer.join_order import order_joins
from gpuql_planner.optimizer.statistics import equality_attributes
from gpuql_planner.thresholds import MAX_KEY_SHARE_TO_REDUCE, MIN_BUILD_RATIO, MIN_ROWS_TO_REDUCE
from gpuql_planner.types import BOOLEAN

_BUILD_REDUCIBLE = (JoinKind.LEFT, JoinKind.SINGLE)
_GROUPS_ON_RIGHT = (JoinKind.INNER, JoinKind.SEMI, JoinKind.ANTI, *_BUILD_REDUCIBLE)


def reduce_inputs(plan: LogicalNode) -> LogicalNode:
    """``plan`` with the inputs of selective joins reduced."""
    return transform_plan(plan, lambda node: _reduce(node) if isinstance(node, Join) else node)


def _reduce(node: Join) -> Join:
    if node.kind in _GROUPS_ON_RIGHT:
        right = _reduce_groups(node.right, node.left, node, right_side=True)
        if right is not None:
            return replace(node, right=right)
    if node.kind is JoinKind.INNER:
        left = _reduce_groups(node.left, node.right, node, right_side=False)
        if left is not None:
            return replace(node, left=left)
    return _reduce_build(node)


# --- groups -------------------------------------------------------------------------------------------------


def _reduce_groups(
    grouped: LogicalNode, other: LogicalNode, join: Join, *, right_side: bool
) -> LogicalNode | None:
    """``grouped`` computing only groups that occur in ``other``; None if it has no groups or that gains nothing."""
    for condition in join.conditions:
        pair = equality_sides(condition, join)
        if pair is None or not isinstance(condition, Call) or condition.function != "eq":
            continue
        key, partner = (pair[1], pair[0]) if right_side else pair
        if isinstance(key, AttributeRef) and isinstance(partner, AttributeRef):
            reduced = _into_groups(grouped, key.attribute, other, partner.attribute)
            if reduced is not None:
                return reduced
    return None


def _into_groups(
    node: LogicalNode, key: Attribute, other: LogicalNode, partner: Attribute
) -> LogicalNode | None:
    if isinstance(node, Filter):
        below = _into_groups(node.input, key, other, partner)
        return None if below is None else Filter(below, node.predicates)
    if isinstance(node, Project):
        expression = dict(node.expressions).get(key)
        if not isinstance(expression, AttributeRef):
            return None
        below = _into_groups(node.input, expression.attribute, other, partner)
        return None if below is None else Project(below, node.expressions)
    if not isinstance(node, Aggregate):
        return None
    grouping = dict(node.keys).get(key)
    if grouping is None or estimate_rows(node.input) < MIN_ROWS_TO_REDUCE:
        return None
    source = _smallest_source(other, partner)
    if source is None:
        return None
    plan, attribute = source
    present = expression_estimate(grouping, (node.input,)).distinct
    if column_estimate(plan, attribute).distinct > MAX_KEY_SHARE_TO_REDUCE * present:
        return None
    return with_inputs(node, (_semi(node.input, grouping, plan, attribute),))


def _semi(node: LogicalNode, key: Expression, source: LogicalNode, attribute: Attribute) -> LogicalNode:
    """Rows of ``node`` whose ``key`` occurs in ``source``, the join placed among those of ``node``."""
    if isinstance(node, Project):
        below = _semi(node.input, substitute(key, dict(node.expressions)), source, attribute)
        return Project(below, node.expressions)
    copy, names = with_fresh_attributes(source)
    keys = Project(copy, pass_through((names[attribute],)))
    condition = Call("eq", (key, AttributeRef(names[attribute])), BOOLEAN)
    return order_joins(Join(node, keys, JoinKind.SEMI, (condition,)))


def _smallest_source(node: LogicalNode, attribute: Attribute) -> tuple[LogicalNode, Attribute] | None:
    """A filtered table under ``node`` that has every value of ``attribute``, with the fewest distinct ones."""
    found = _sources(node, frozenset((attribute,)))
    return min(found, key=lambda pair: column_estimate(*pair).distinct, default=None)


def _sources(node: LogicalNode, equal: frozenset[Attribute]) -> list[tuple[LogicalNode, Attribute]]:
    """Filtered scans whose column contains all values that the ``equal`` columns take in ``node``."""
    if isinstance(node, Filter) and isinstance(node.input, Scan):
        return [(node, a) for a in node.outputs if a in equal]
    if isinstance(node, Filter):
        return _sources(node.input, equal)
    if isinstance(node, Project):
        inner = {e.attribute for a, e in node.expressions if a in equal and isinstance(e, AttributeRef)}
        return _sources(node.input, frozenset(inner))
    if not isinstance(node, Join):
        return []
    if node.kind in (JoinKind.INNER, JoinKind.SEMI):
        for one, other in zip(*equality_attributes(node), strict=True):
            if one in equal or other in equal:
                equal |= {one, other}
        return [*_sources(node.left, equal), *_sources(node.right, equal)]
    if node.kind in (JoinKind.CROSS, JoinKind.LEFT, JoinKind.SINGLE, JoinKind.ANTI, JoinKind.MARK):
        return _sources(node.left, equal & output_set(node.left))
    return []


# --- builds -------------------------------------------------------------------------------------------------


def _reduce_build(node: Join) -> Join:
    if node.kind not in _BUILD_REDUCIBLE:
        return node
    left_rows, right_rows = estimate_rows(node.left), estimate_rows(node.right)
    if right_rows < MIN_ROWS_TO_REDUCE or right_rows < MIN_BUILD_RATIO * left_rows:
        return node
    pairs = [(c, equality_sides(c, node)) for c in node.conditions]
    keys = [pair for c, pair in pairs if pair is not None and isinstance(c, Call) and c.function == "eq"]
    if not keys or not any(_selects(probe, build, node) for probe, build in keys):
        return node
    left, copy, names = _twice(node.left)
    columns, conditions = [], []
    for probe_key, build_key in keys:
        column = Attribute.fresh("key", probe_key.dtype)
        columns.append((column, substitute(probe_key, names)))
        conditions.append(Call("eq", (build_key, AttributeRef(column)), BOOLEAN))
    reduced = Join(node.right, Project(copy, tuple(columns)), JoinKind.SEMI, tuple(conditions))
    return replace(node, left=left, right=reduced)


def _selects(probe_key: Expression, build_key: Expression, node: Join) -> bool:
    """The probe side has few of the keys of the build side."""
    wanted = expression_estimate(probe_key, (node.left,)).distinct
    return wanted <= MAX_KEY_SHARE_TO_REDUCE * expression_estimate(build_key, (node.right,)).distinct


def _twice(plan: LogicalNode) -> tuple[LogicalNode, LogicalNode, dict[Attribute, Expression]]:
    """``plan``, a second use of it, and the attributes of the second by those of the first."""
    below = plan.input if isinstance(plan, Filter) else plan
    if isinstance(below, Scan):
        copy, names = with_fresh_attributes(plan)
        return plan, copy, {old: AttributeRef(new) for old, new in names.items()}
    key = fresh_shared_key()
    first = Shared(key, plan, plan.outputs)
    second = Shared(key, plan, tuple(map(fresh_like, plan.outputs)))
    return first, second, dict(zip(plan.outputs, map(AttributeRef, second.attributes), strict=True))
