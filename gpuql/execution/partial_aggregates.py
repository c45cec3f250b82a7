"""Pipelines that leave partial results: how a fused aggregation takes a source in parts.

Generated code aggregates each part on its own. What it leaves are rows as :class:`PartialRows` keeps them, so that the
sink's operator can merge those of all parts, or move them to files.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.operators.accumulators.sums import Average
from gpuql.operators.aggregate import collects_rows
from gpuql.operators.aggregate_slots import Slot, make_slots
from gpuql_planner.logical.expressions import AggregateCall, Attribute
from gpuql_planner.physical.nodes import AggregateSink, Pipeline
from gpuql_planner.types import BIGINT

#: Functions whose only part is what the function gives itself.
_SELF_MERGING = frozenset(("count_star", "count", "count_if", "sum", "min", "max", "bool_and", "bool_or"))


@dataclass(frozen=True, eq=False)
class PartialAggregation:
    """A pipeline whose result is partial rows.

    ``columns`` has the attribute of each partial column in order; None for the place in the source of the value
    before it, which generated code does not know: any row will do.
    """

    pipeline: Pipeline
    columns: tuple[Attribute | None, ...]

    def rows(self, result: Batch, sequence: int, xp: Any) -> Batch:
        """Partial rows of a part with place ``sequence`` from what its pipeline left."""
        columns: list[Column] = []
        for attribute in self.columns:
            if attribute is not None:
                columns.append(result[attribute])
                continue
            place = xp.full(result.num_rows, sequence << 32, dtype=xp.int64)
            columns.append(Column(BIGINT, place, columns[-1].validity))
        return Batch(dict(enumerate(columns)), result.num_rows)


class PartialAggregations:
    """Derived once for each pipeline, as lowered code is kept by pipeline. Thread-safe; entries go with pipelines."""

    def __init__(self) -> None:
        self._derived: dict[int, tuple[weakref.ref[Pipeline], PartialAggregation | None]] = {}
        # Reentrant: a pipeline may be collected while this thread holds the lock.
        self._lock = threading.RLock()

    def of(self, pipeline: Pipeline) -> PartialAggregation | None:
        """The pipeline with partial results; None if some aggregate has none that generated code could leave."""
        number = id(pipeline)
        with self._lock:
            known = self._derived.get(number)
            if known is None:
                known = weakref.ref(pipeline, partial(self._forget, number)), _derived(pipeline)
                self._derived[number] = known
            return known[1]

    def _forget(self, number: int, _: weakref.ref[Pipeline]) -> None:
        with self._lock:
            self._derived.pop(number, None)


def _derived(pipeline: Pipeline) -> PartialAggregation | None:
    sink = pipeline.sink
    if not isinstance(sink, AggregateSink) or collects_rows(sink):
        return None
    columns: list[Attribute | None] = [attribute for attribute, _ in sink.keys]
    aggregates: list[tuple[Attribute, AggregateCall]] = []
    for slot in make_slots(sink):
        calls = _part_calls(slot)
        if calls is None:
            return None
        for call in calls:
            if call is None:
                columns.append(None)
                continue
            attribute = Attribute.fresh(slot.attribute.name, call.type)
            aggregates.append((attribute, call))
            columns.append(attribute)
    derived = replace(pipeline, sink=AggregateSink(sink.keys, tuple(aggregates)))
    return PartialAggregation(derived, tuple(columns))


def _part_calls(slot: Slot) -> tuple[AggregateCall | None, ...] | None:
    """Aggregates that give the parts of one; None for a place."""
    call = slot.call
    if call.function in _SELF_MERGING:
        return (call,)
    if call.function == "any_value":
        return (call, None)
    if call.function == "avg":
        assert isinstance(slot.accumulator, Average), "avg is an average"
        total = replace(call, function="sum", type=slot.accumulator.sum_type)
        return (total, replace(call, function="count", type=BIGINT))
    return None
