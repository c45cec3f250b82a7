"""Predicates move to where they drop rows first.

Through projections, sorts, unions, keys of aggregates and joins. An outer join whose padded rows a predicate or a
condition of an inner join above drops becomes an inner one; a LEFT join of which only padded rows are kept, ANTI; a
MARK join whose mark is a predicate, SEMI or ANTI. Conjuncts common to all branches of an OR are taken out, and from an
OR over several inputs each input gets the part that speaks of it alone. Constants equated with one side of a join key
hold for the other side too. A plan that is used several times drops the rows that no use of it keeps.

Before: ``Filter a = 1 <- Join inner on a = b <- (Scan t, Scan u)``; after: the join of ``Filter a = 1 <- Scan t`` with
``Filter b = 1 <- Scan u``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from gpuql_planner.logical.expressions import Attribute, AttributeRef, Call, Expression, InList, Literal
from gpuql_planner.logical.nodes import (
    Aggregate,
    Filter,
    Join,
    JoinKind,
    Limit,
    LogicalNode,
    Project,
    Repeat,
    Scan,
    Shared,
    Sort,
    UnionAll,
    Unnest,
    Values,
    Window,
)
from gpuql_planner.logical.visit import (
    FALSE,
    TRUE,
    compares_column_with_constant,
    conjunction,
    conjuncts,
    disjunction,
    disjuncts,
    is_volatile,
    output_set,
    pass_through,
    references,
    substitute,
    with_inputs,
    with_outputs,
)
from gpuql_planner.optimizer.fold_constants import empty
from gpuql_planner.optimizer.simplify import simplify_predicate
from gpuql_planner.optimizer.statistics import (
    equality_attributes,
    equated_columns,
    is_unique,
    never_null,
    non_null_attributes,
    rejects_null,
)
from gpuql_planner.types import BOOLEAN

Predicates = dict[Expression, None]  # an ordered set


def push_filters(plan: LogicalNode) -> LogicalNode:
    """``plan`` with every predicate as low as it can stand."""
    pusher = _Pusher({})
    pushed = pusher.push(plan, {})
    wanted = pusher.wanted_of_shared()
    return _Pusher(wanted).push(plan, {}) if wanted else pushed


def _as_set(predicates: Iterable[Expression]) -> Predicates:
    found: Predicates = {}
    for predicate in predicates:
        for part in conjuncts(predicate):
            for factored in _common_conjuncts(part):
                found[factored] = None
    return found


def _common_conjuncts(predicate: Expression) -> list[Expression]:
    """``(a AND b) OR (a AND c)`` as ``a`` and ``b OR c``."""
    branches = disjuncts(predicate)
    if len(branches) < 2:
        return [predicate]
    parts = [dict.fromkeys(conjuncts(branch)) for branch in branches]
    common = [part for part in parts[0] if all(part in other for other in parts[1:])]
    if not common:
        return [predicate]
    rest = [[part for part in branch if part not in common] for branch in parts]
    if not all(rest):
        return common  # one branch is the common part alone, so the others add nothing
    return [*common, disjunction(conjunction(branch) for branch in rest)]


def _filter(node: LogicalNode, predicates: Predicates) -> LogicalNode:
    """Filters that cannot go further down."""
    if not predicates:
        return node
    if FALSE in predicates:
        return empty(node.outputs)
    return Filter(node, tuple(predicates))


class _Pusher:
    """Moves predicates down. ``wanted``: what all rows that some use of a shared plan reads obey, by the plan's key."""

    def __init__(self, wanted: dict[int, Predicates]) -> None:
        self.shared: dict[int, LogicalNode] = {}
        self.wanted = wanted
        self.uses: dict[int, list[Predicates]] = {}

    def wanted_of_shared(self) -> dict[int, Predicates]:
        """What the uses of each shared plan ask of its rows: the OR of the predicates that met there, if all met some.

        The uses keep their predicates, so it only matters that no row is missing.
        """
        wanted = {}
        for key, uses in self.uses.items():
            asked = [use for use in uses if FALSE not in use]
            if asked and all(asked):
                wanted[key] = _as_set([_any_of(list(dict.fromkeys(map(conjunction, asked))))])
        return wanted

    def note_use(self, node: Shared, predicates: Predicates) -> None:
        """Remember what a use asks of the rows of its definition."""
        outputs = node.definition.outputs
        columns: dict[Attribute, Expression] = {
            use: AttributeRef(origin) for use, origin in zip(node.attributes, outputs, strict=True)
        }
        asked = {substitute(p, columns): None for p in predicates if not is_volatile(p)}
        self.uses.setdefault(node.key, []).append(asked)

    def push(self, node: LogicalNode, predicates: Predicates) -> LogicalNode:
        """``Filter predicates <- node`` with the predicates, and all those below, moved down."""
        match node:
            case Filter():
                own = _as_set(node.predicates)
                stay = {p: None for p in own if is_volatile(p)}
                moved = {p: None for p in own if p not in stay}
                return _filter(self.push(node.input, {**moved, **predicates}), stay)
            case Project():
                return self.through_project(node, predicates)
            case Join():
                return self.through_join(node, predicates)
            case Aggregate():
                return self.through_aggregate(node, predicates)
            case Window():
                return self.through_window(node, predicates)
            case UnionAll():
                return self.through_union(node, predicates)
            case Repeat():
                return Repeat(self.push(node.input, predicates), node.count)
            case Unnest():
                made = frozenset(node.made)
                below = {p: None for p in predicates if references(p).isdisjoint(made)}
                above = {p: None for p in predicates if p not in below}
                return _filter(replace(node, input=self.push(node.input, below)), above)
            case Sort() if node.limit is None and not node.offset:
                return replace(node, input=self.push(node.input, predicates))
            case Sort() | Limit():
                return _filter(with_inputs(node, (self.push(node.input, {}),)), predicates)
            case Shared():
                self.note_use(node, predicates)
                definition = self.shared.get(node.key)
                if definition is None:
                    outputs = node.definition.outputs
                    asked = self.wanted.get(node.key, {})
                    definition = with_outputs(self.push(node.definition, asked), outputs)
                    self.shared[node.key] = definition
                return _filter(with_inputs(node, (definition,)), predicates)
            case Scan() | Values():
                return _filter(node, predicates)
        return _filter(with_inputs(node, tuple(self.push(child, {}) for child in node.inputs)), predicates)

    def through_project(self, node: Project, predicates: Predicates) -> LogicalNode:
        below = dict(node.expressions)
        volatile = {a for a, e in below.items() if is_volatile(e)}
        stay = {p: None for p in predicates if volatile and not references(p).isdisjoint(volatile)}
        moved = _as_set(simplify_predicate(substitute(p, below)) for p in predicates if p not in stay)
        return _filter(Project(self.push(node.input, moved), node.expressions), stay)

    def through_aggregate(self, node: Aggregate, predicates: Predicates) -> LogicalNode:
        """Predicates over keys alone drop whole groups, so they can drop their rows."""
        keys = dict(node.keys)
        moved: Predicates = {}
        stay: Predicates = {}
        for predicate in predicates:
            used = references(predicate)
            if keys and used and used <= keys.keys():
                moved[substitute(predicate, keys)] = None
                continue
            stay[predicate] = None
            part = _part_over(predicate, frozenset(keys)) if keys else None
            if part is not None:
                moved[substitute(part, keys)] = None
        return _filter(with_inputs(node, (self.push(node.input, moved),)), stay)

    def through_window(self, node: Window, predicates: Predicates) -> LogicalNode:
        """Predicates over what all calls partition by drop whole partitions, so they can drop their rows."""
        keys: frozenset[Attribute] = frozenset.intersection(
            *(frozenset().union(*map(references, call.partition_by)) for _, call in node.calls)
        )
        moved: Predicates = {}
        stay: Predicates = {}
        for predicate in predicates:
            used = references(predicate)
            (moved if used and used <= keys else stay)[predicate] = None
        return _filter(with_inputs(node, (self.push(node.input, moved),)), stay)

    def through_union(self, node: UnionAll, predicates: Predicates) -> LogicalNode:
        sources = []
        for source in node.sources:
            columns: dict[Attribute, Expression] = {
                a: AttributeRef(origin) for a, origin in zip(node.attributes, source.outputs, strict=True)
            }
            moved = _as_set(substitute(p, columns) for p in predicates)
            sources.append(with_outputs(self.push(source, moved), source.outputs))
        return UnionAll(tuple(sources), node.attributes)

    # --- joins -----------------------------------------------------------------------------------------------

    def through_join(self, node: Join, predicates: Predicates) -> LogicalNode:
        mark = node.mark
        without = _without_partner(node, predicates)
        if without is not None:
            return self.push(*without)
        node, predicates = _simpler_kind(node, predicates)
        match node.kind:
            case JoinKind.INNER | JoinKind.CROSS:
                return self.inner(node, predicates)
            case JoinKind.LEFT | JoinKind.SINGLE:
                return self.left(node, predicates)
            case JoinKind.RIGHT:
                mirrored = Join(node.right, node.left, JoinKind.LEFT, node.conditions)
                pushed = self.left(mirrored, predicates)
                return _mirror_back(pushed)
            case JoinKind.SEMI | JoinKind.ANTI:
                return _with_mark(self.semi(node, predicates), node.kind, mark)
            case JoinKind.MARK:
                return self.mark(node, predicates)
        left, right = self.push(node.left, {}), self.push(node.right, {})
        return _filter(with_inputs(node, (left, right)), predicates)

    def inner(self, node: Join, predicates: Predicates) -> LogicalNode:
        everything = {**_as_set(node.conditions), **predicates}
        everything.update(_implied_by_equalities(everything))
        left_set, right_set = output_set(node.left), output_set(node.right)
        left, right, both = _divide(everything, left_set, right_set)
        for predicate in both:
            for side, target in ((left_set, left), (right_set, right)):
                part = _part_over(predicate, side)
                if part is not None:
                    target[part] = None
        kind = JoinKind.INNER if both else JoinKind.CROSS
        pushed_left = self.push(_without_padding(node.left, both), left)
        pushed_right = self.push(_without_padding(node.right, both), right)
        return Join(pushed_left, pushed_right, kind, tuple(both))

    def left(self, node: Join, predicates: Predicates) -> LogicalNode:
        """LEFT and SINGLE: predicates over the left side go down; those over padded rows stay above."""
        left_set, right_set = output_set(node.left), output_set(node.right)
        left, _, above = _divide(predicates, left_set, frozenset())
        conditions = _as_set(node.conditions)
        implied = _implied_by_equalities({**conditions, **left})
        right: Predicates = {}
        kept: Predicates = {}
        for condition in conditions:
            used = references(condition)
            (right if used and used <= right_set else kept)[condition] = None
        for condition in conditions:
            part = _part_over(condition, right_set)
            if part is not None and condition in kept:
                right[part] = None
        right.update((p, None) for p in implied if references(p) <= right_set)
        joined = Join(self.push(node.left, left), self.push(node.right, right), node.kind, tuple(kept))
        return _filter(joined, above)

    def semi(self, node: Join, predicates: Predicates) -> LogicalNode:
        """SEMI and ANTI put out left rows only, so all predicates go left."""
        left_set, right_set = output_set(node.left), output_set(node.right)
        conditions = _as_set(node.conditions)
        implied = _implied_by_equalities({**conditions, **predicates})
        left: Predicates = dict(predicates)
        right: Predicates = {}
        kept: Predicates = {}
        for condition in conditions:
            used = references(condition)
            if used and used <= right_set:
                right[condition] = None
            elif used and used <= left_set and node.kind is JoinKind.SEMI:
                left[condition] = None
            else:
                kept[condition] = None
        right.update((p, None) for p in implied if references(p) <= right_set)
        if node.kind is JoinKind.SEMI:
            left.update((p, None) for p in implied if references(p) <= left_set)
        pushed = self.push(node.left, left), self.push(node.right, right)
        return Join(pushed[0], pushed[1], node.kind, tuple(kept))

    def mark(self, node: Join, predicates: Predicates) -> LogicalNode:
        left, _, above = _divide(predicates, output_set(node.left), frozenset())
        pushed = self.push(node.left, left), self.push(node.right, {})
        return _filter(with_inputs(node, pushed), above)


def _divide(
    predicates: Predicates, left: frozenset[Attribute], right: frozenset[Attribute]
) -> tuple[Predicates, Predicates, Predicates]:
    """Predicates over the left side, over the right side, and the others; constants count as left."""
    parts: tuple[Predicates, Predicates, Predicates] = ({}, {}, {})
    for predicate in predicates:
        used = references(predicate)
        parts[0 if used <= left else 1 if used <= right else 2][predicate] = None
    return parts


def _without_partner(node: Join, predicates: Predicates) -> tuple[LogicalNode, Predicates] | None:
    """``LEFT JOIN … WHERE right key IS NULL`` as an ANTI join under NULLs, and the other predicates."""
    if node.kind is not JoinKind.LEFT:
        return None
    right_set = output_set(node.right)
    for predicate in predicates:
        if not isinstance(predicate, Call) or predicate.function != "is_null":
            continue
        (argument,) = predicate.arguments
        if not isinstance(argument, AttributeRef) or argument.attribute not in right_set:
            continue
        if any(rejects_null(condition, (argument.attribute,)) for condition in node.conditions):
            anti = Join(node.left, node.right, JoinKind.ANTI, node.conditions)
            columns = [(a, AttributeRef(a)) for a in node.left.outputs]
            nulls = [(a, Literal(None, a.dtype)) for a in node.right.outputs]
            return Project(anti, (*columns, *nulls)), {p: None for p in predicates if p is not predicate}
    return None


def _without_padding(node: LogicalNode, predicates: Predicates) -> LogicalNode:
    """Outer joins below whose padded rows the conditions of an inner join above drop keep fewer rows."""
    if isinstance(node, Filter):
        return replace(node, input=_without_padding(node.input, predicates))
    if not isinstance(node, Join):
        return node
    if node.kind in (JoinKind.LEFT, JoinKind.RIGHT, JoinKind.FULL):
        node, _ = _simpler_kind(node, predicates)
    keeps_left = node.kind in (JoinKind.INNER, JoinKind.CROSS, JoinKind.LEFT)
    keeps_right = node.kind in (JoinKind.INNER, JoinKind.CROSS, JoinKind.RIGHT)
    return replace(
        node,
        left=_without_padding(node.left, predicates) if keeps_left else node.left,
        right=_without_padding(node.right, predicates) if keeps_right else node.right,
    )


def _simpler_kind(node: Join, predicates: Predicates) -> tuple[Join, Predicates]:
    """A kind that keeps fewer rows, where the predicates drop the difference anyway."""
    left_set, right_set = output_set(node.left), output_set(node.right)
    kind = node.kind
    if kind is JoinKind.SINGLE and is_unique(node.right, equality_attributes(node)[1]):
        kind = JoinKind.LEFT
    drops_padded_left = any(rejects_null(p, left_set) for p in predicates)
    drops_padded_right = any(rejects_null(p, right_set) for p in predicates)
    if kind is JoinKind.FULL:
        if drops_padded_left and drops_padded_right:
            kind = JoinKind.INNER
        elif drops_padded_left:
            kind = JoinKind.LEFT
        elif drops_padded_right:
            kind = JoinKind.RIGHT
    elif (kind is JoinKind.LEFT and drops_padded_right) or (kind is JoinKind.RIGHT and drops_padded_left):
        kind = JoinKind.INNER
    if kind is JoinKind.MARK and node.mark is not None:
        return _without_mark(node, node.mark, predicates)
    return node if kind is node.kind else replace(node, kind=kind), predicates


def _without_mark(node: Join, mark: Attribute, predicates: Predicates) -> tuple[Join, Predicates]:
    """SEMI if the mark must be true; ANTI if it must be false and cannot be NULL."""
    reference = AttributeRef(mark)
    negated = Call("not", (reference,), BOOLEAN)
    if any(mark in references(p) and p not in (reference, negated) for p in predicates):
        return node, predicates
    rest = {p: None for p in predicates if p not in (reference, negated)}
    if reference in predicates and negated not in predicates:
        return replace(node, kind=JoinKind.SEMI, mark=None), rest
    if negated in predicates and reference not in predicates:
        known = non_null_attributes(node.left) | non_null_attributes(node.right)
        if all(never_null(condition, known) for condition in node.conditions):
            return replace(node, kind=JoinKind.ANTI, mark=None), rest
    return node, predicates


def _with_mark(node: LogicalNode, kind: JoinKind, mark: Attribute | None) -> LogicalNode:
    """A mark that became a predicate is a constant for whoever else reads it."""
    if mark is None:
        return node
    return Project(node, (*pass_through(node.outputs), (mark, TRUE if kind is JoinKind.SEMI else FALSE)))


def _mirror_back(node: LogicalNode) -> LogicalNode:
    if isinstance(node, Filter):
        return Filter(_mirror_back(node.input), node.predicates)
    if isinstance(node, Join) and node.kind is JoinKind.LEFT:
        return Join(node.right, node.left, JoinKind.RIGHT, node.conditions)
    return node


def _part_over(predicate: Expression, side: frozenset[Attribute]) -> Expression | None:
    """What an OR says about one side: the OR of each branch's conjuncts over it, or None if a branch has none."""
    branches = disjuncts(predicate)
    if len(branches) < 2:
        return None
    parts = []
    for branch in branches:
        over = [p for p in conjuncts(branch) if references(p) <= side and references(p)]
        if not over:
            return None
        parts.append(conjunction(over))
    return _any_of(list(dict.fromkeys(parts)))


def _any_of(parts: list[Expression]) -> Expression:
    """The OR of different predicates."""
    merged = _merge_equalities(parts)
    return merged if merged is not None else disjunction(parts)


def _merge_equalities(parts: list[Expression]) -> Expression | None:
    """``a = 1 OR a = 2`` as ``a IN (1, 2)``."""
    if len(parts) < 2:
        return None
    options: list[Expression] = []
    argument: Expression | None = None
    for part in parts:
        if not isinstance(part, Call) or part.function != "eq" or not isinstance(part.arguments[1], Literal):
            return None
        if argument is not None and part.arguments[0] != argument:
            return None
        argument = part.arguments[0]
        options.append(part.arguments[1])
    return None if argument is None else InList(argument, tuple(options))


def _implied_by_equalities(predicates: Predicates) -> Predicates:
    """From ``a = b`` and a predicate over ``a`` compared with constants, the same over ``b``."""
    pairs = [
        pair
        for p in predicates
        if isinstance(p, Call) and p.function == "eq" and (pair := equated_columns(p)) is not None
        if pair[0].dtype == pair[1].dtype and not pair[0].dtype.is_float
    ]
    found: Predicates = {}
    if not pairs:
        return found
    pending = [p for p in predicates if _speaks_of_one_column(p)]
    while pending:
        predicate = pending.pop()
        (column,) = references(predicate)
        for one, other in pairs:
            target = other if column == one else one if column == other else None
            if target is None:
                continue
            implied = substitute(predicate, {column: AttributeRef(target)})
            if implied not in found and implied not in predicates:
                found[implied] = None
                pending.append(implied)
    return found


def _speaks_of_one_column(predicate: Expression) -> bool:
    """A comparison of one plain column with constants; what holds for it holds for every equal column."""
    if isinstance(predicate, InList):
        return isinstance(predicate.argument, AttributeRef) and all(
            isinstance(option, Literal) for option in predicate.options
        )
    if isinstance(predicate, Call) and predicate.function in ("eq", "lt", "le", "gt", "ge"):
        return compares_column_with_constant(predicate.arguments)
    return False
