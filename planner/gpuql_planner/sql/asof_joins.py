"""ASOF and POSITIONAL joins, as passes over rows in order.

An ASOF join sorts the rows of both sides together, by the equality keys, then by the two sides of the inequality, then
so that a right row stands before or after the left rows that equal it. Of a left row the nearest right row before it is
then its only candidate: it joins if the conditions hold for the pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from gpuql_planner.errors import BinderError
from gpuql_planner.logical.expressions import (
    Attribute,
    AttributeRef,
    Call,
    Case,
    Expression,
    Literal,
    SortKey,
)
from gpuql_planner.logical.nodes import (
    Filter,
    Join,
    JoinKind,
    LogicalNode,
    Project,
    Running,
    Shared,
    Sort,
    UnionAll,
)
from gpuql_planner.logical.visit import conjunction, output_set, pass_through, references, substitute
from gpuql_planner.sql.context import BindContext, next_shared_key
from gpuql_planner.types import BIGINT, BOOLEAN

Items = tuple[tuple[Attribute, Expression], ...]

#: Comparisons with their sides exchanged.
_MIRRORED = {"ge": "le", "gt": "lt", "le": "ge", "lt": "gt"}
_EQUALITIES = ("eq", "is_not_distinct_from")


def positional_join(left: LogicalNode, right: LogicalNode) -> LogicalNode:
    """The first row with the first, the second with the second; NULL where one side has no more rows."""
    numbers = (Attribute.fresh("row", BIGINT, nullable=False), Attribute.fresh("row", BIGINT, nullable=False))
    same = Call("eq", (AttributeRef(numbers[0]), AttributeRef(numbers[1])), BOOLEAN)
    joined = Join(Running(left, numbers[0]), Running(right, numbers[1]), JoinKind.FULL, (same,))
    return Project(joined, pass_through((*left.outputs, *right.outputs)))


def asof_join(
    context: BindContext,
    node: exp.Expr,
    left: LogicalNode,
    right: LogicalNode,
    kind: JoinKind,
    conditions: Sequence[Expression],
) -> LogicalNode:
    """Each left row with the right row that is nearest by the inequality among ``conditions``.

    Conditions over right columns alone say which right rows count, those over left ones which left rows join. Of right
    rows that are equally near any one may be taken.
    """
    keys, inequality = _parts(context, node, left, right, conditions)
    right_set = output_set(right)
    own = tuple(c for c in conditions if references(c) and references(c) <= right_set)
    conditions = tuple(c for c in conditions if c not in own)
    if kind not in (JoinKind.RIGHT, JoinKind.FULL):
        rows = Filter(right, own) if own else right
        matched = _Matched(left, rows, keys, inequality, conjunction(conditions))
        return matched.joined(kind)
    number = Attribute.fresh("row", BIGINT, nullable=False)
    numbered = _Sharing(Running(right, number))
    copy, names = numbered.use()
    renamed: dict[Attribute, Expression] = {a: AttributeRef(names[a]) for a in right.outputs}
    if own:
        copy = Filter(copy, tuple(substitute(c, renamed) for c in own))
    matched = _Matched(
        left,
        copy,
        [(one, substitute(other, renamed)) for one, other in keys],
        (inequality[0], inequality[1], substitute(inequality[2], renamed)),
        substitute(conjunction(conditions), renamed),
    )
    return _with_unmatched(
        left, right, _Sharing(matched.joined(JoinKind.LEFT)), numbered, number, names, kind
    )


def _parts(
    context: BindContext,
    node: exp.Expr,
    left: LogicalNode,
    right: LogicalNode,
    conditions: Sequence[Expression],
) -> tuple[list[tuple[Expression, Expression]], tuple[str, Expression, Expression]]:
    """Pairs of equality keys, and the inequality with the left side's expression first."""
    left_set, right_set = output_set(left), output_set(right)
    keys: list[tuple[Expression, Expression]] = []
    found: list[tuple[str, Expression, Expression]] = []
    for condition in conditions:
        used = references(condition)
        if not (used & left_set and used & right_set):
            continue
        comparison = _comparison(condition, left_set, right_set)
        if comparison is None:
            raise context.unsupported(
                "ASOF join with a condition over both sides that is no comparison of one with the other", node
            )
        if comparison[0] in _EQUALITIES:
            keys.append(comparison[1:])
        else:
            found.append(comparison)
    if len(found) != 1:
        count = "no" if not found else "more than one"
        raise context.error(
            BinderError,
            f"ASOF join has {count} inequality between columns of both sides",
            node,
            hint="one of >=, >, <=, <, and any number of equalities",
        )
    return keys, found[0]


def _comparison(
    condition: Expression, left_set: frozenset[Attribute], right_set: frozenset[Attribute]
) -> tuple[str, Expression, Expression] | None:
    """Function, left side's expression and right side's expression of an equality or inequality between them."""
    if not isinstance(condition, Call) or condition.function not in (*_EQUALITIES, *_MIRRORED):
        return None
    (one, other), function = condition.arguments, condition.function
    if references(one) & right_set:
        one, other, function = other, one, _MIRRORED.get(function, function)
    separate = references(one) <= left_set and references(other) <= right_set
    return (function, one, other) if separate else None


@dataclass(frozen=True)
class _Matched:
    """The rows of both sides in order, and for each left row the only right row that it can join."""

    left: LogicalNode
    right: LogicalNode
    keys: list[tuple[Expression, Expression]]
    inequality: tuple[str, Expression, Expression]
    condition: Expression

    def joined(self, kind: JoinKind) -> LogicalNode:
        """The join, with the outputs of both sides, or of the left one."""
        pairs, matches = self._pairs()
        left = self.left.outputs
        if kind is JoinKind.SEMI:
            return Project(Filter(pairs, (matches,)), pass_through(left))
        if kind is JoinKind.ANTI:
            known = Call("coalesce", (matches, Literal(False, BOOLEAN)), BOOLEAN)  # noqa: FBT003
            return Project(Filter(pairs, (Call("not", (known,), BOOLEAN),)), pass_through(left))
        if kind is not JoinKind.LEFT:
            return Project(Filter(pairs, (matches,)), pass_through((*left, *self.right.outputs)))
        below, names = self._renamed(pairs)
        matches = substitute(matches, names)
        padded: Items = tuple(
            (a, Case(((matches, names[a]),), Literal(None, a.dtype), a.dtype)) for a in self.right.outputs
        )
        return Project(below, (*pass_through(left), *padded))

    def _renamed(self, pairs: LogicalNode) -> tuple[LogicalNode, dict[Attribute, Expression]]:
        """Right columns under other attributes, as what they become is not what they were."""
        fresh = {a: Attribute.fresh(a.name, a.dtype) for a in self.right.outputs}
        items: Items = (
            *pass_through(self.left.outputs),
            *((fresh[a], AttributeRef(a)) for a in self.right.outputs),
        )
        return Project(pairs, items), {a: AttributeRef(new) for a, new in fresh.items()}

    def _pairs(self) -> tuple[LogicalNode, Expression]:
        """Every left row with its candidate, NULLs if it has none, and whether they join."""
        function, one, other = self.inequality
        is_right = Attribute.fresh("is_right", BOOLEAN, nullable=False)
        ordering = [*self.keys, (one, other)]
        keys = [Attribute.fresh("key", left.dtype) for left, _ in ordering]
        columns = [Attribute.fresh(a.name, a.dtype) for a in (*self.left.outputs, *self.right.outputs)]
        union = UnionAll((self._side(0, ordering), self._side(1, ordering)), (*columns, *keys, is_right))
        descending = function in ("le", "lt")
        right_first = function in ("ge", "le")
        order = (
            *(SortKey(AttributeRef(key)) for key in keys[:-1]),
            SortKey(AttributeRef(keys[-1]), descending),
            SortKey(AttributeRef(is_right), right_first),
        )
        num_left = len(self.left.outputs)
        carried = tuple(zip(self.right.outputs, columns[num_left:], strict=True))
        passed = Running(Sort(union, order), None, is_right, carried)
        items: Items = (
            *((a, AttributeRef(c)) for a, c in zip(self.left.outputs, columns[:num_left], strict=True)),
            *pass_through(self.right.outputs),
        )
        return Project(passed, items), self.condition

    def _side(self, index: int, ordering: Sequence[tuple[Expression, Expression]]) -> LogicalNode:
        """The rows of one side in the form of both."""
        plan = (self.left, self.right)[index]
        items: list[tuple[Attribute, Expression]] = []
        for a in (*self.left.outputs, *self.right.outputs):
            value: Expression = AttributeRef(a) if a in output_set(plan) else Literal(None, a.dtype)
            items.append((Attribute.fresh(a.name, a.dtype), value))
        items.extend((Attribute.fresh("key", pair[index].dtype), pair[index]) for pair in ordering)
        items.append((Attribute.fresh("is_right", BOOLEAN, nullable=False), Literal(index == 1, BOOLEAN)))
        return Project(plan, tuple(items))


class _Sharing:
    """A plan that is used more than once and runs once."""

    def __init__(self, plan: LogicalNode) -> None:
        self._plan, self._key = plan, next_shared_key()

    def use(self) -> tuple[LogicalNode, dict[Attribute, Attribute]]:
        """One use, and the attributes that its columns have there."""
        names = {a: Attribute.fresh(a.name, a.dtype) for a in self._plan.outputs}
        return Shared(self._key, self._plan, tuple(names.values())), names


def _with_unmatched(
    left: LogicalNode,
    right: LogicalNode,
    matched: _Sharing,
    numbered: _Sharing,
    number: Attribute,
    names: dict[Attribute, Attribute],
    kind: JoinKind,
) -> LogicalNode:
    """RIGHT and FULL: the right rows that no left row joined follow, with NULLs on the left."""
    pairs, pair_names = matched.use()
    row = AttributeRef(pair_names[names[number]])
    if kind is JoinKind.RIGHT:
        pairs = Filter(pairs, (Call("is_not_null", (row,), BOOLEAN),))
    used, used_names = matched.use()
    rest, rest_names = numbered.use()
    same = Call("eq", (AttributeRef(rest_names[number]), AttributeRef(used_names[names[number]])), BOOLEAN)
    unmatched = Join(rest, used, JoinKind.ANTI, (same,))
    both: Items = (
        *((Attribute.fresh(a.name, a.dtype), AttributeRef(pair_names[a])) for a in left.outputs),
        *((Attribute.fresh(a.name, a.dtype), AttributeRef(pair_names[names[a]])) for a in right.outputs),
    )
    alone: Items = (
        *((Attribute.fresh(a.name, a.dtype), Literal(None, a.dtype)) for a in left.outputs),
        *((Attribute.fresh(a.name, a.dtype), AttributeRef(rest_names[a])) for a in right.outputs),
    )
    outputs = tuple(Attribute.fresh(a.name, a.dtype) for a in (*left.outputs, *right.outputs))
    union = UnionAll((Project(pairs, both), Project(unmatched, alone)), outputs)
    items = zip((*left.outputs, *right.outputs), map(AttributeRef, outputs), strict=True)
    return Project(union, tuple(items))
