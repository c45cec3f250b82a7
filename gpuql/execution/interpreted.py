"""Tier 0: transforms and sink of a pipeline as operators over whole batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.execution.computed import with_computed
from gpuql.execution.fanout import pipeline_fanout
from gpuql.execution.morsels import Morsel, Workers, cut
from gpuql.execution.needed_columns import needed_after
from gpuql.memory import faults
from gpuql.operators.aggregate import AggregateOperator
from gpuql.operators.collect import CollectOperator
from gpuql.operators.contract import (
    PartwiseSink,
    RunContext,
    SinkOperator,
    SinkResult,
    TransformOperator,
)
from gpuql.operators.filter import FilterOperator
from gpuql.operators.hash_join_build import HashJoinBuildOperator
from gpuql.operators.hash_join_probe import HashJoinProbeOperator
from gpuql.operators.limit import LimitOperator
from gpuql.operators.project import ProjectOperator
from gpuql.operators.repeat import RepeatOperator
from gpuql.operators.running import RunningOperator
from gpuql.operators.sort import SortOperator
from gpuql.operators.unnest import UnnestOperator
from gpuql.operators.window import WindowOperator
from gpuql.thresholds import BATCH_ROWS, MAX_BATCH_PAIRS, PAIR_BYTES, SHARED_PARTIAL_ROWS
from gpuql_planner.physical import nodes

_TRANSFORMS: dict[type, Callable[[Any], TransformOperator]] = {
    nodes.ProjectExec: ProjectOperator,
    nodes.HashJoinProbe: HashJoinProbeOperator,
    nodes.RepeatExec: RepeatOperator,
    nodes.UnnestExec: UnnestOperator,
}
_SINKS: dict[type, Callable[[Any], SinkOperator]] = {
    nodes.HashJoinBuild: HashJoinBuildOperator,
    nodes.AggregateSink: AggregateOperator,
    nodes.SortSink: SortOperator,
    nodes.WindowSink: WindowOperator,
    nodes.LimitSink: LimitOperator,
    nodes.CollectSink: CollectOperator,
    nodes.RunningSink: RunningOperator,
}


def max_pairs(context: RunContext) -> int:
    """Pairs that the probes of one batch may give."""
    return min(MAX_BATCH_PAIRS, context.memory.part_bytes // PAIR_BYTES)


def transform_operators(transforms: Sequence[nodes.Transform], sink: nodes.Sink) -> list[TransformOperator]:
    """One operator per transform."""
    return [
        FilterOperator(transform, needed)
        if isinstance(transform, nodes.FilterExec)
        else _TRANSFORMS[type(transform)](transform)
        for transform, needed in zip(transforms, needed_after(transforms, sink), strict=True)
    ]


def _operators_of(pipeline: nodes.Pipeline) -> list[TransformOperator]:
    """Operators of its transforms; they have no state, and stay with the pipeline for its next runs."""
    known: list[TransformOperator] | None = vars(pipeline).get("_operators")
    if known is None:
        known = vars(pipeline)["_operators"] = transform_operators(pipeline.transforms, pipeline.sink)
    return known


def sink_operator(sink: nodes.Sink) -> SinkOperator:
    """The operator of a sink."""
    return _SINKS[type(sink)](sink)


class SinkRun:
    """A sink and the states of its workers, over one or more parts of a source."""

    def __init__(self, sink: nodes.Sink, context: RunContext, operator: SinkOperator | None = None) -> None:
        self.operator = operator or sink_operator(sink)
        self.context = context
        self.states: list[Any] = []
        self._idle: list[Any] = []
        self._lock = threading.Lock()

    def consumer(self, transforms: Sequence[TransformOperator]) -> Callable[[Batch, int], None]:
        """A function of one worker that passes a batch through the transforms into the sink."""
        with self._lock:
            if self._idle:
                state = self._idle.pop()
            else:
                state = self.operator.new_state(self.context)
                self.states.append(state)

        def consume(batch: Batch, sequence: int) -> None:
            # NaN and infinity are values like others in SQL: NumPy is not to warn. The setting is one of each thread.
            with np.errstate(all="ignore"):
                faults.passing(faults.ALLOCATION)
                for operator in transforms:
                    batch = operator.process(batch, self.context)
                self.operator.consume(state, batch, sequence, self.context)

        return consume

    def release_consumers(self) -> None:
        """Say that no worker runs: the states of those that did go to the next ones."""
        self._idle = list(self.states)

    def absorb(self, partial: Batch, sequence: int) -> None:
        """Give an aggregation rows that are partial results already, when no worker runs; all workers share them."""
        operator, context = self.operator, self.context
        assert isinstance(operator, AggregateOperator), "others have no partial results"
        shares = max(1, min(context.workers, partial.num_rows // SHARED_PARTIAL_ROWS))
        while len(self.states) < shares:
            self.states.append(operator.new_state(context))
        self._idle = list(self.states)
        size = max(1, -(-partial.num_rows // shares))

        def keep(index: int) -> None:
            rows = partial if shares == 1 else partial.slice(index * size, (index + 1) * size)
            operator.absorb(self.states[index], rows, sequence)

        with np.errstate(all="ignore"):
            context.run_tasks(shares, keep)

    def is_full(self) -> bool:
        """Whether more rows cannot change the result; asked after each part of the source, when no worker runs."""
        if self.states and isinstance(self.operator, PartwiseSink):
            with np.errstate(all="ignore"):
                self.operator.end_part(self.states, self.context)
        return self.operator.is_full(self.states)

    def result(self) -> SinkResult:
        """What the sink leaves."""
        faults.passing(faults.ALLOCATION)
        with np.errstate(all="ignore"):
            return self.operator.combine(self.states, self.context)


def run_interpreted(
    pipeline: nodes.Pipeline,
    source: Batch,
    workers: Workers,
    context: RunContext,
    sink: SinkRun,
    *,
    sequence: int = 0,
    batch_rows: int = BATCH_ROWS,
    computed: Mapping[int, Column] | None = None,
) -> int:
    """Feed the rows of ``source`` to ``sink``, batch by batch, in order from place ``sequence``; the place after them.

    ``computed`` columns are not computed again (see ``with_computed``).
    """
    if computed:
        nodes_to_run, source = with_computed(pipeline.transforms, source, computed)
        transforms = transform_operators(nodes_to_run, pipeline.sink)
    else:
        transforms = _operators_of(pipeline)

    def work(morsels: Iterator[Morsel]) -> None:
        consume = sink.consumer(transforms)
        for morsel in morsels:
            context.check_cancelled()
            consume(source.slice(morsel.start, morsel.stop), sequence + morsel.sequence)

    sink_node = pipeline.sink
    if pipeline.transforms or isinstance(sink_node, nodes.AggregateSink):
        fanout = pipeline_fanout(pipeline, context.results)
        max_rows = max(1, min(batch_rows, max_pairs(context) // fanout))
        morsels = cut(source.num_rows, workers.threads, max_rows=max_rows)
    elif isinstance(sink_node, nodes.SortSink) and sink_node.limit is not None:
        morsels = cut(source.num_rows, workers.threads)  # one comparison per row: larger batches cost less
    else:  # rows only pass through: nothing to share out
        stop = source.num_rows
        if isinstance(sink_node, nodes.LimitSink) and sink_node.limit is not None:
            stop = min(stop, sink_node.offset + sink_node.limit)  # the rest is not even decoded
        morsels = [Morsel(0, 0, stop)]
    workers.run(morsels, work)
    sink.release_consumers()
    return sequence + len(morsels)
