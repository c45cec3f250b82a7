"""GROUPING SETS, ROLLUP and CUBE: which keys each set groups by, and the plan that computes them all.

One branch of a UNION ALL for each set. A set whose aggregates can be put together from those of a larger set reads
that set's groups and not the rows again, so that a ROLLUP reads its input once. Everything else reads the input, which
runs once and is shared.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from gpuql_planner.functions import make_aggregate
from gpuql_planner.functions.coercion import coerce
from gpuql_planner.logical.expressions import (
    AggregateCall,
    Attribute,
    AttributeRef,
    Call,
    Expression,
    Literal,
)
from gpuql_planner.logical.nodes import Aggregate, LogicalNode, Project, Scan, Shared, UnionAll
from gpuql_planner.logical.visit import free_attributes, references, substitute, with_fresh_attributes
from gpuql_planner.sql.bind_values import ONE_ROW
from gpuql_planner.sql.context import BindContext, next_shared_key
from gpuql_planner.statement_errors import LimitExceeded
from gpuql_planner.thresholds import MAX_GROUPING_SETS
from gpuql_planner.types import BIGINT, DOUBLE

#: A set of grouping keys, in the order in which they are written.
KeySet = tuple[Expression, ...]

_SET_NODES = (exp.Rollup, exp.Cube, exp.GroupingSets)

#: Aggregates of a group that are the same aggregate of those of its parts.
_SELF_MERGING = frozenset(
    ("sum", "min", "max", "any_value", "bool_and", "bool_or", "bit_and", "bit_or", "bit_xor")
)
#: Aggregates of a group that are the sum of those of its parts. Of no rows those in _COUNTS are 0, others NULL.
_COUNTS = frozenset(("count", "count_star"))
_SUMMED = _COUNTS | {"count_if"}


def has_grouping_sets(nodes: Iterable[exp.Expr]) -> bool:
    """Whether a GROUP BY has more than one set of keys."""
    return any(isinstance(node, _SET_NODES) for node in nodes)


def key_sets(
    context: BindContext, nodes: Sequence[exp.Expr], bind: Callable[[exp.Expr], Expression]
) -> list[KeySet]:
    """The sets that the elements of a GROUP BY stand for: one of each element, put together, in all ways.

    ``bind`` gives the key that an expression, position or alias means.
    """
    together: list[KeySet] = [()]
    for node in nodes:
        sets = _sets_of(context, node, bind)
        if len(together) * len(sets) > MAX_GROUPING_SETS:
            raise context.error(LimitExceeded, f"more than {MAX_GROUPING_SETS} grouping sets", node)
        together = [_joined(one, other) for one in together for other in sets]
    return together


def _joined(*parts: Iterable[Expression]) -> KeySet:
    return tuple(dict.fromkeys(itertools.chain.from_iterable(parts)))


def _sets_of(context: BindContext, node: exp.Expr, bind: Callable[[exp.Expr], Expression]) -> list[KeySet]:
    if isinstance(node, exp.GroupingSets):
        return [found for part in node.expressions for found in _sets_of(context, part, bind)]
    if not isinstance(node, (exp.Rollup, exp.Cube)):
        return [_composite(node, bind)]
    parts = [_composite(part, bind) for part in node.expressions]
    if isinstance(node, exp.Rollup):
        return [_joined(*parts[:length]) for length in range(len(parts), -1, -1)]
    if 2 ** len(parts) > MAX_GROUPING_SETS:
        raise context.error(LimitExceeded, f"more than {MAX_GROUPING_SETS} grouping sets", node)
    chosen = itertools.product((True, False), repeat=len(parts))
    return [_joined(*itertools.compress(parts, choice)) for choice in chosen]


def _composite(node: exp.Expr, bind: Callable[[exp.Expr], Expression]) -> KeySet:
    """Keys of ``a`` or ``(a, b)``."""
    if isinstance(node, exp.Tuple):
        return _joined(key for part in node.expressions for key in _composite(part, bind))
    if isinstance(node, exp.Paren):
        return _composite(node.this, bind)
    return (bind(node),)


@dataclass(frozen=True)
class GroupedColumns:
    """What the aggregation over several sets puts out.

    ``keys``, NULL in the rows of sets that do not have them; ``aggregates``; and ``groupings``: for each call of
    GROUPING, its arguments.
    """

    keys: dict[Expression, Attribute]
    aggregates: dict[AggregateCall, Attribute]
    groupings: dict[KeySet, Attribute]


def grouping_number(arguments: KeySet, keys: Iterable[Expression]) -> int:
    """Value of GROUPING: a bit for each argument, the last one lowest, set where the argument is no key."""
    grouped = set(keys)
    number = 0
    for argument in arguments:
        number = 2 * number + (argument not in grouped)
    return number


def plan_grouping_sets(source: LogicalNode, sets: Sequence[KeySet], columns: GroupedColumns) -> LogicalNode:
    """The union of ``source`` grouped by each set; outputs are keys, aggregates, groupings."""
    calls = tuple(dict.fromkeys(part for call in columns.aggregates for part in _parts(call)))
    parents = _parents(sets, calls, source)
    if not any(parent is not None for parent in parents):
        calls = tuple(columns.aggregates)
    readers = sum(parent is None for parent in parents)
    inputs = _Input(source, readers)
    levels: list[_Level | None] = [None] * len(sets)
    for index in sorted(range(len(sets)), key=lambda i: -len(sets[i])):
        parent = parents[index]
        shared = index in parents
        if parent is None:
            level = _group_rows(inputs.use((*columns.keys, *calls)), sets[index], columns, calls)
        else:
            below = levels[parent]
            assert below is not None, "a parent has more keys or comes first"
            level = _group_groups(below, sets[index], calls)
        levels[index] = level.shared() if shared else level
    branches = [
        _branch(level, keys, columns) for level, keys in zip(levels, sets, strict=True) if level is not None
    ]
    outputs = (*columns.keys.values(), *columns.aggregates.values(), *columns.groupings.values())
    return UnionAll(tuple(branches), outputs)


def _parents(sets: Sequence[KeySet], calls: Sequence[AggregateCall], source: LogicalNode) -> list[int | None]:
    """For each set the one whose groups it is computed from: the smallest that has all its keys, and more."""
    correlated = free_attributes(source) or any(
        not references(e) <= frozenset(source.outputs) for e in (*itertools.chain(*sets), *calls)
    )
    if correlated or not all(map(_can_merge, calls)):
        return [None] * len(sets)
    contents = [frozenset(keys) for keys in sets]
    found: list[int | None] = []
    for index, keys in enumerate(contents):
        larger = [
            other
            for other, others in enumerate(contents)
            if others > keys or (others == keys and other < index)
        ]
        found.append(min(larger, key=lambda other: (len(contents[other]), other), default=None))
    return found


def _parts(call: AggregateCall) -> tuple[AggregateCall, ...]:
    """Aggregates that merge, from which the call's value follows; the call itself where there are none."""
    if not _is_average(call):
        return (call,)
    return tuple(replace(call, function=part.function, type=part.type) for part in _sum_and_count(call))


def _is_average(call: AggregateCall) -> bool:
    return call.function == "avg" and not call.distinct and call.arguments[0].dtype.is_numeric


def _sum_and_count(call: AggregateCall) -> tuple[AggregateCall, AggregateCall]:
    return make_aggregate("sum", call.arguments), make_aggregate("count", call.arguments)


def _value(call: AggregateCall, parts: dict[AggregateCall, Attribute]) -> Expression:
    """The value of an aggregate from the columns of a level."""
    if call in parts:
        return AttributeRef(parts[call])
    total, count = (coerce(AttributeRef(parts[part]), DOUBLE) for part in _parts(call))
    return coerce(Call("divide", (total, count), DOUBLE), call.type)


def _can_merge(call: AggregateCall) -> bool:
    if call.distinct or call.order_by:
        return False
    if call.function in _SUMMED:
        return True
    return call.function in _SELF_MERGING and _merged(call, AttributeRef(_part(call))).type == call.type


def _part(call: AggregateCall) -> Attribute:
    return Attribute.fresh(call.function, call.type)


def _merged(call: AggregateCall, part: Expression) -> AggregateCall:
    return make_aggregate("sum" if call.function in _SUMMED else call.function, [part])


class _Input:
    """The rows to group, for as many readers as there are: read again if that is cheap, else kept and shared."""

    def __init__(self, source: LogicalNode, readers: int) -> None:
        self._source, self._readers = source, readers
        self._key = next_shared_key()

    def use(self, expressions: Iterable[Expression]) -> tuple[LogicalNode, dict[Expression, Expression]]:
        """The rows, and each of the expressions over them."""
        if self._readers == 1:
            return self._source, {e: e for e in expressions}
        mapping: dict[Attribute, Attribute]
        plan: LogicalNode
        if isinstance(self._source, Scan) or free_attributes(self._source):
            plan, mapping = with_fresh_attributes(self._source)
        else:
            fresh = tuple(replace(a, id=_part_like(a).id) for a in self._source.outputs)
            mapping = dict(zip(self._source.outputs, fresh, strict=True))
            plan = Shared(self._key, self._source, fresh)
        names: dict[Attribute, Expression] = {old: AttributeRef(new) for old, new in mapping.items()}
        return plan, {e: substitute(e, names) for e in expressions}


def _part_like(attribute: Attribute) -> Attribute:
    return Attribute.fresh(attribute.name, attribute.dtype, nullable=attribute.nullable)


@dataclass(frozen=True)
class _Level:
    """The groups of one set: its plan, and where its keys and aggregates are."""

    plan: LogicalNode
    keys: dict[Expression, Attribute]
    aggregates: dict[AggregateCall, Attribute]

    def shared(self) -> _Level:
        """The same, to be used more than once."""
        return replace(self, plan=Shared(next_shared_key(), self.plan, self.plan.outputs))

    def use(self) -> _Level:
        """One use of a shared level, under attributes of its own; any other level as it is."""
        if not isinstance(self.plan, Shared):
            return self
        fresh = {a: _part_like(a) for a in self.plan.outputs}
        return _Level(
            replace(self.plan, attributes=tuple(fresh[a] for a in self.plan.outputs)),
            {key: fresh[a] for key, a in self.keys.items()},
            {call: fresh[a] for call, a in self.aggregates.items()},
        )


def _group_rows(
    rows: tuple[LogicalNode, dict[Expression, Expression]],
    keys: KeySet,
    columns: GroupedColumns,
    calls: Sequence[AggregateCall],
) -> _Level:
    source, over_source = rows
    group = {key: _part_like(columns.keys[key]) for key in keys}
    parts = {call: _part(call) for call in calls}
    if not group and not parts:
        return _Level(ONE_ROW, {}, {})
    aggregates: list[tuple[Attribute, AggregateCall]] = []
    for call, part in parts.items():
        renamed = over_source[call]
        assert isinstance(renamed, AggregateCall), "renaming attributes keeps the call"
        aggregates.append((part, renamed))
    items = tuple((attribute, over_source[key]) for key, attribute in group.items())
    return _Level(Aggregate(source, items, tuple(aggregates)), group, parts)


def _group_groups(level: _Level, keys: KeySet, calls: Sequence[AggregateCall]) -> _Level:
    """Groups of fewer keys from those of more."""
    below = level.use()
    group = {key: _part_like(below.keys[key]) for key in keys}
    if not group and not calls:
        return _Level(ONE_ROW, {}, {})
    merged = {call: _merged(call, AttributeRef(below.aggregates[call])) for call in calls}
    sums = {call: Attribute.fresh(call.function, whole.type) for call, whole in merged.items()}
    items = tuple((attribute, AttributeRef(below.keys[key])) for key, attribute in group.items())
    plan: LogicalNode = Aggregate(below.plan, items, tuple((sums[call], merged[call]) for call in calls))
    parts: dict[AggregateCall, Attribute] = dict(sums)
    restored: list[tuple[Attribute, Expression]] = []
    for call, total in sums.items():
        value: Expression = AttributeRef(total)
        if call.function in _COUNTS:
            parts[call] = _part(call)
            value = Call("coalesce", (coerce(value, call.type), Literal(0, call.type)), call.type)
        restored.append((parts[call], value))
    if parts != sums:
        plan = Project(plan, (*((a, AttributeRef(a)) for a in group.values()), *restored))
    return _Level(plan, group, parts)


def _branch(level: _Level, keys: KeySet, columns: GroupedColumns) -> LogicalNode:
    """The groups of a set as rows of the union."""
    below = level.use()
    items: list[tuple[Attribute, Expression]] = []
    for key, output in columns.keys.items():
        present = below.keys.get(key)
        value = Literal(None, output.dtype) if present is None else AttributeRef(present)
        items.append((Attribute.fresh(output.name, output.dtype), value))
    items.extend(
        (Attribute.fresh(output.name, output.dtype), _value(call, below.aggregates))
        for call, output in columns.aggregates.items()
    )
    items.extend(
        (Attribute.fresh(output.name, BIGINT), Literal(grouping_number(arguments, keys), BIGINT))
        for arguments, output in columns.groupings.items()
    )
    return Project(below.plan, tuple(items))
