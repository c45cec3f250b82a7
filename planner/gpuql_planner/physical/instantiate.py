"""A plan with other values for the literals of its statement (see ``gpuql_planner.logical.traced``).

Everything that holds no such literal stays the same object, so that what was made for a pipeline (machine code, say)
is found again.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

from gpuql_planner.logical.expressions import AttributeRef, Expression, Literal, SortKey
from gpuql_planner.logical.nodes import LogicalNode, Shared, Values
from gpuql_planner.logical.traced import SlotValues, TracedLiteral
from gpuql_planner.logical.window_calls import FrameBound, WindowFrame
from gpuql_planner.optimizer.dependent_domain import fresh_shared_key
from gpuql_planner.physical.nodes import (
    AggregateSink,
    BuildScan,
    CollectSink,
    FilterExec,
    HashJoinBuild,
    HashJoinProbe,
    LimitSink,
    PhysicalPlan,
    Pipeline,
    ProjectExec,
    RepeatExec,
    ResultScan,
    RunningSink,
    SortSink,
    TableScan,
    UnnestExec,
    ValuesSource,
    WindowSink,
)

#: What holds no expressions.
_LEAVES = (AttributeRef, Values, ValuesSource, ResultScan, BuildScan, LimitSink, CollectSink, RunningSink)
#: What is looked into, besides tuples.
_PARTS = (
    Expression,
    SortKey,
    LogicalNode,
    TableScan,
    FilterExec,
    ProjectExec,
    HashJoinProbe,
    RepeatExec,
    UnnestExec,
    HashJoinBuild,
    AggregateSink,
    SortSink,
    WindowSink,
    WindowFrame,
    FrameBound,
    Pipeline,
    PhysicalPlan,
)

#: Names of a class's fields: ``dataclasses.fields`` is slow.
_FIELD_NAMES: dict[type[Any], tuple[str, ...]] = {}

Part = TypeVar("Part", PhysicalPlan, LogicalNode)


def instantiate(plan: Part, values: SlotValues) -> Part:
    """``plan``, logical or physical, with plain literals: those of ``values`` where it has traced ones.

    The plan's trace must hold for ``values``.
    """
    result: Part = _Instantiation(values).part(plan)
    return result


class _Instantiation:
    def __init__(self, values: SlotValues) -> None:
        self._values = values
        self._done: dict[int, Any] = {}
        self._shared_keys: dict[int, int] = {}

    def part(self, part: Any) -> Any:
        if isinstance(part, TracedLiteral):
            return self._values.literal(part)
        if isinstance(part, tuple):
            new = tuple(map(self.part, part))
            return part if all(map(_is, part, new)) else new
        if not isinstance(part, _PARTS) or isinstance(part, (Literal, *_LEAVES)):
            return part
        known = self._done.get(id(part))
        if known is None:
            known = self._done[id(part)] = self._rebuilt(part)
        return known

    def _rebuilt(self, part: Any) -> Any:
        changes: dict[str, Any] = {}
        for name in _field_names(type(part)):
            old = getattr(part, name)
            new = self.part(old)
            if new is not old:
                changes[name] = new
        if changes and isinstance(part, Shared):  # other constants: no longer what the old key stands for
            changes["key"] = self._shared_keys.setdefault(part.key, fresh_shared_key())
        return replace(part, **changes) if changes else part


def _is(one: object, other: object) -> bool:
    return one is other


def _field_names(kind: type[Any]) -> tuple[str, ...]:
    known = _FIELD_NAMES.get(kind)
    if known is None:
        known = _FIELD_NAMES[kind] = tuple(field.name for field in fields(kind))
    return known
