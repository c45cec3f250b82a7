"""A dependent join becomes a plain one: by the shape of its right side if that is enough, else over a domain.

1. No correlation: join. 2. Correlated predicates stand at the top: they become join conditions. 3. An aggregate without
keys: group by the correlation, LEFT join, and give the groups that do not exist what an aggregate of nothing gives.
4. Everything else: ``dependent_domain``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gpuql_planner.logical.expressions import (
    Attribute,
    AttributeRef,
    Call,
    Case,
    Expression,
    Literal,
)
from gpuql_planner.logical.nodes import (
    Aggregate,
    Filter,
    Join,
    JoinKind,
    Limit,
    LogicalNode,
    Project,
    Sort,
)
from gpuql_planner.logical.visit import (
    FALSE,
    conjunction,
    conjuncts,
    free_attributes,
    output_set,
    pass_through,
    references,
    substitute,
)
from gpuql_planner.optimizer.dependent_domain import (
    Domain,
    domain_equality,
    group_by,
    push_domain,
    sorted_attributes,
    zero_for_missing,
)
from gpuql_planner.optimizer.statistics import (
    at_most_one_row,
    equality_attributes,
    exactly_one_row,
    is_unique,
    never_null,
    non_null_attributes,
)
from gpuql_planner.types import BOOLEAN

_ONE_SIDED = (JoinKind.SEMI, JoinKind.ANTI, JoinKind.MARK)


def eliminate(
    left: LogicalNode,
    right: LogicalNode,
    kind: JoinKind,
    conditions: tuple[Expression, ...],
    mark: Attribute | None,
) -> LogicalNode:
    """Join ``left`` with ``right``, which may refer to attributes of ``left``, as plain joins."""
    outer = free_attributes(right) & output_set(left)
    if not outer:
        return plain_join(left, right, kind, conditions, mark)
    top = _peel(right)
    if not free_attributes(top.core) & outer:
        pulled = _pull_up(left, right, top, kind, conditions, mark)
        if pulled is not None:
            return pulled
    if isinstance(top.core, Aggregate) and not top.core.keys:
        return _group_by_correlation(left, right, top, kind, conditions, mark)
    return _over_domain(left, right, kind, conditions, mark)


def plain_join(
    left: LogicalNode,
    right: LogicalNode,
    kind: JoinKind,
    conditions: tuple[Expression, ...],
    mark: Attribute | None = None,
) -> LogicalNode:
    """A join of independent inputs, of the simplest kind that means the same."""
    conditions = tuple(part for condition in conditions for part in conjuncts(condition))
    if not conditions:
        if kind is JoinKind.INNER or (kind in (JoinKind.SINGLE, JoinKind.LEFT) and exactly_one_row(right)):
            kind = JoinKind.CROSS
        elif kind in _ONE_SIDED and not at_most_one_row(right):
            right = Limit(right, 1)
    elif kind is JoinKind.CROSS:
        kind = JoinKind.INNER
    join = Join(left, right, kind, conditions, mark)
    if kind is JoinKind.SINGLE and is_unique(right, equality_attributes(join)[1]):
        return replace(join, kind=JoinKind.LEFT)
    return join


@dataclass(frozen=True)
class _Top:
    """The projections and filters at the top of a plan, taken off: ``outputs`` as expressions over ``core``."""

    core: LogicalNode
    outputs: dict[Attribute, Expression]
    predicates: list[Expression]


def _peel(plan: LogicalNode) -> _Top:
    outputs: dict[Attribute, Expression] = {a: AttributeRef(a) for a in plan.outputs}
    predicates: list[Expression] = []
    node = plan
    while True:
        if isinstance(node, Project):
            below = dict(node.expressions)
            outputs = {a: substitute(e, below) for a, e in outputs.items()}
            predicates = [substitute(p, below) for p in predicates]
        elif isinstance(node, Filter):
            predicates.extend(part for p in node.predicates for part in conjuncts(p))
        elif not isinstance(node, Sort) or node.limit is not None or node.offset:
            return _Top(node, outputs, predicates)
        node = node.inputs[0]


def _pull_up(
    left: LogicalNode,
    right: LogicalNode,
    top: _Top,
    kind: JoinKind,
    conditions: tuple[Expression, ...],
    mark: Attribute | None,
) -> LogicalNode | None:
    """Case 2; None if NULLs or padded rows would come out differently."""
    outer = output_set(left)
    local = [p for p in top.predicates if references(p).isdisjoint(outer)]
    correlated = [p for p in top.predicates if not references(p).isdisjoint(outer)]
    inside = frozenset().union(*map(references, correlated), frozenset()) - outer
    if kind is JoinKind.MARK:
        known = non_null_attributes(left) | non_null_attributes(top.core)
        two_valued = [_two_valued(p, top.core, known, local) for p in correlated]
        if any(p is None for p in two_valued):
            return None
        correlated = [p for p in two_valued if p is not None]
    core = Filter(top.core, tuple(local)) if local else top.core
    if kind in _ONE_SIDED:
        over_core = tuple(substitute(c, top.outputs) for c in conditions)
        return plain_join(left, core, kind, (*over_core, *correlated), mark)
    computed = {a: e for a, e in top.outputs.items() if e != AttributeRef(a)}
    if kind in (JoinKind.INNER, JoinKind.CROSS):
        over_core = tuple(substitute(c, top.outputs) for c in conditions)
        joined = plain_join(left, core, JoinKind.INNER, (*over_core, *correlated))
        items = (*pass_through(left.outputs), *top.outputs.items())
        return Project(joined, items) if computed else joined
    if kind not in (JoinKind.LEFT, JoinKind.SINGLE):
        return None
    if any(not references(e).isdisjoint(outer) for e in computed.values()):
        return None  # a padded row must be NULL, not what the expression makes of NULLs
    if computed:
        kept = [a for a in top.core.outputs if a in inside and a not in top.outputs]
        core = Project(core, (*top.outputs.items(), *pass_through(kept)))
    return plain_join(left, core, kind, (*conditions, *correlated))


def _two_valued(
    predicate: Expression, core: LogicalNode, known: frozenset[Attribute], local: list[Expression]
) -> Expression | None:
    """An equal predicate that is false, not NULL, where ``predicate`` is NULL; may add to ``local``."""
    if never_null(predicate, known):
        return predicate
    if not isinstance(predicate, Call) or predicate.function != "eq":
        return None
    one, other = predicate.arguments
    inner = output_set(core)
    side = one if references(one) <= inner else other if references(other) <= inner else None
    if side is None or not references(side):
        return None
    if not never_null(side, known):
        local.append(Call("is_not_null", (side,), BOOLEAN))
    return Call("is_not_distinct_from", (one, other), BOOLEAN)


def _group_by_correlation(
    left: LogicalNode,
    right: LogicalNode,
    top: _Top,
    kind: JoinKind,
    conditions: tuple[Expression, ...],
    mark: Attribute | None,
) -> LogicalNode:
    """Case 3: the aggregate runs once for all outer rows, with one group per value of the correlation."""
    aggregate = top.core
    assert isinstance(aggregate, Aggregate), "the caller looked"
    outer = free_attributes(aggregate) & output_set(left)
    restored: dict[Attribute, Expression] = {}
    if outer:
        domain = Domain(left, outer)
        below, mapping = push_domain(aggregate.input, outer, domain)
        left = domain.outer_plan()
        grouped, restored = zero_for_missing(group_by(aggregate, below, mapping))
        matches = tuple(domain_equality(a, mapping[a], left, grouped) for a in sorted_attributes(outer))
        joined = plain_join(left, grouped, JoinKind.LEFT, matches)
    else:
        joined = plain_join(left, aggregate, JoinKind.CROSS, ())
    outputs = {a: substitute(e, restored) for a, e in top.outputs.items()}
    predicates = tuple(substitute(p, restored) for p in top.predicates)
    conditions = tuple(substitute(c, outputs) for c in conditions)
    return _one_row_join(joined, left, right, outputs, predicates, kind, conditions, mark)


def _one_row_join(
    joined: LogicalNode,
    left: LogicalNode,
    right: LogicalNode,
    outputs: dict[Attribute, Expression],
    predicates: tuple[Expression, ...],
    kind: JoinKind,
    conditions: tuple[Expression, ...],
    mark: Attribute | None,
) -> LogicalNode:
    """Finish a join in which each left row has one candidate, whose columns ``joined`` already holds."""
    exists = conjunction(predicates)
    matches = conjunction((*predicates, *conditions))
    kept = pass_through(left.outputs)
    if kind is JoinKind.SEMI:
        return Filter(joined, (matches,))
    if kind is JoinKind.ANTI:
        known = Call("coalesce", (matches, FALSE), BOOLEAN)
        return Filter(joined, (Call("not", (known,), BOOLEAN),))
    if kind is JoinKind.MARK:
        assert mark is not None, "a MARK join has a mark attribute"
        value = Case(((exists, conjunction(conditions)),), FALSE, BOOLEAN)
        return Project(joined, (*kept, (mark, value if predicates else conjunction(conditions))))
    items = tuple((a, outputs[a]) for a in right.outputs)
    if kind in (JoinKind.INNER, JoinKind.CROSS):
        below = Filter(joined, (matches,)) if predicates or conditions else joined
        return Project(below, (*kept, *items))
    if predicates or conditions:
        items = tuple((a, Case(((matches, e),), Literal(None, e.dtype), e.dtype)) for a, e in items)
    return Project(joined, (*kept, *items))


def _over_domain(
    left: LogicalNode,
    right: LogicalNode,
    kind: JoinKind,
    conditions: tuple[Expression, ...],
    mark: Attribute | None,
) -> LogicalNode:
    """Case 4: compute the right side once for each distinct value of the correlation."""
    outer = free_attributes(right) & output_set(left)
    domain = Domain(left, outer)
    pushed, mapping = push_domain(right, outer, domain)
    left = domain.outer_plan()
    mark_join = kind is JoinKind.MARK
    equalities = (
        domain_equality(a, mapping[a], left, pushed, three_valued=mark_join) for a in sorted_attributes(outer)
    )
    if kind is JoinKind.CROSS:
        kind = JoinKind.INNER
    return plain_join(left, pushed, kind, (*conditions, *equalities), mark)
