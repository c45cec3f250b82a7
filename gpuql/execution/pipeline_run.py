"""Runs one pipeline: part by part of its source, each part fused if it can be, else interpreted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.columnar.concat import concat_columns
from gpuql.device import Device
from gpuql.execution.fused.arguments import Inputs
from gpuql.execution.fused.cache import Lowered, LoweringCache
from gpuql.execution.fused.driver import FusedDriver
from gpuql.execution.fused.reachable_rows import reachable_rows
from gpuql.execution.fused.refusal import StatesDoNotFit
from gpuql.execution.interpreted import (
    SinkRun,
    run_interpreted,
    transform_operators,
)
from gpuql.execution.metrics import PipelineMetrics
from gpuql.execution.morsels import Morsel, Workers, cut
from gpuql.execution.partial_aggregates import PartialAggregations
from gpuql.execution.partitioned_probe import probes_partitions, run_partitioned
from gpuql.execution.sources import empty_source, known_rows
from gpuql.execution.transfer import DeviceRows, HostRows, SourceRows
from gpuql.expressions.evaluate import evaluate
from gpuql.memory.device_memory import device_memory
from gpuql.memory.row_store import RowStore
from gpuql.operators.aggregate import AggregateOperator, depends_on_order
from gpuql.operators.contract import RunContext, SinkResult
from gpuql.thresholds import (
    BATCH_ROWS,
    GROUP_BYTES,
    MAX_BATCH_PAIRS,
    MIN_MORSEL_ROWS,
    SMALL_SOURCE_ROWS,
    WAIT_FOR_COMPILER_ROWS,
)
from gpuql_planner.errors import NotSupportedError
from gpuql_planner.logical.expressions import Expression
from gpuql_planner.physical.nodes import AggregateSink, CollectSink, LimitSink, Pipeline, RunningSink


class ExecutionSettings(Protocol):
    """The settings that execution reads; see ``gpuql.config``."""

    @property
    def tier(self) -> str:
        """One of auto, interpreted, compiled."""

    @property
    def on_unsupported(self) -> str:
        """One of fallback, error."""

    @property
    def batch_rows(self) -> int:
        """Rows of an interpreted batch."""

    @property
    def integer_division(self) -> bool:
        """Whether / on integers divides integers."""

    @property
    def gpu_memory_limit(self) -> str:
        """Bytes of a GPU as text, or auto."""


class PipelineRunner:
    """What all pipelines of an executor share. Safe to use from several threads at once."""

    def __init__(self, device: Device, workers: Workers, driver: FusedDriver) -> None:
        self._device = device
        self._workers = workers
        self._rows: SourceRows = DeviceRows() if device.launches_kernels else HostRows()
        self._driver = driver
        self._fused = LoweringCache(driver)
        self._partials = PartialAggregations()
        if device.launches_kernels:
            device_memory(device).columns.tell_when_dropped(self._fused.forget_strings)

    def run(
        self, pipeline: Pipeline, context: RunContext, settings: ExecutionSettings, measured: PipelineMetrics
    ) -> SinkResult:
        """Run ``pipeline`` to its end, and note in ``measured`` how.

        A source that memory has no room for is taken in parts, one after the other, into one sink.
        """
        if probes_partitions(pipeline, context.results):
            feeder = _Feeder(self, self._workers, settings, measured)
            return run_partitioned(pipeline, feeder, context, measured, self._batch_rows(settings))
        parts = self._rows.open(pipeline.source, context)
        first = next(parts)
        second = next(parts, None)
        whole = self._rows.whole(first, pipeline.source, context) if second is None else None
        if whole is not None:
            return self._run_whole(pipeline, whole, context, settings, measured)
        sink = SinkRun(pipeline.sink, context)
        sequence = 0
        with closing(self._rows.arriving(_rest(first, second, parts), pipeline.source, context)) as arriving:
            del first, second
            for part in arriving:
                sequence = self.run_part(pipeline, part, sink, sequence, settings, measured)
                if sink.is_full():
                    break
        return sink.result()

    def run_source(
        self, pipeline: Pipeline, sink: SinkRun, settings: ExecutionSettings, measured: PipelineMetrics
    ) -> None:
        """Feed all rows of the source to ``sink``, part by part."""
        sequence = 0
        parts = self._rows.open(pipeline.source, sink.context)
        with closing(self._rows.arriving(parts, pipeline.source, sink.context)) as arriving:
            for part in arriving:
                sequence = self.run_part(pipeline, part, sink, sequence, settings, measured)
                if sink.is_full():
                    break

    def foresee(
        self, pipeline: Pipeline, context: RunContext, settings: ExecutionSettings
    ) -> tuple[PipelineMetrics, SinkResult]:
        """Tier and reason of a pipeline, and what its sink leaves of no rows."""
        expected = PipelineMetrics(pipeline.device)
        empty = empty_source(pipeline.source, context)
        source = self._rows.whole(empty, pipeline.source, context)
        assert source is not None, "no rows need no parts"
        inputs = Inputs(source, context.results, partial(self._evaluate, context))
        rows = known_rows(pipeline.source)
        if settings.tier == "interpreted":
            expected.reason = "tier = interpreted"
        elif settings.tier == "auto" and rows is not None and self._is_small(rows):
            expected.reason = f"fewer than {SMALL_SOURCE_ROWS} rows"
        else:
            lowered = self._fused.lower(pipeline, inputs, context)
            expected.reason = lowered.reason
            expected.tier = "interpreted" if lowered.fused is None else "fused"
        sink = SinkRun(pipeline.sink, context)
        run_interpreted(pipeline, source, self._workers, context, sink)
        return expected, sink.result()

    # --- a source as a whole, and in parts ---------------------------------------------------------------------------

    def _run_whole(
        self,
        pipeline: Pipeline,
        source: Batch,
        context: RunContext,
        settings: ExecutionSettings,
        measured: PipelineMetrics,
    ) -> SinkResult:
        inputs, lowered = self._inputs(pipeline, source, context, settings, measured)
        if lowered is not None and lowered.fused is not None and lowered.fused.aggregates is not None:
            try:
                with np.errstate(all="ignore"):  # sums of infinities may merge to NaN, which is no error
                    return self._driver.run_aggregate(lowered.fused, lowered.compiled, inputs, context)
            except StatesDoNotFit:
                sink = SinkRun(pipeline.sink, context)
                self._run_smaller_parts(pipeline, source, sink, 0, settings, measured)
                return sink.result()
        sink = SinkRun(pipeline.sink, context)
        self._feed(pipeline, inputs, lowered, sink, 0, context, settings)
        return sink.result()

    def run_part(
        self,
        pipeline: Pipeline,
        source: Batch,
        sink: SinkRun,
        sequence: int,
        settings: ExecutionSettings,
        measured: PipelineMetrics,
    ) -> int:
        """Feed the rows of one part to ``sink``, in order from place ``sequence``; the place after them."""
        context = sink.context
        derived = self._partials.of(pipeline) if isinstance(sink.operator, AggregateOperator) else None
        run = pipeline if derived is None else derived.pipeline
        inputs, lowered = self._inputs(run, source, context, settings, measured, is_part=True)
        if lowered is None or lowered.fused is None or lowered.fused.aggregates is None:
            return self._feed(pipeline, inputs, lowered, sink, sequence, context, settings)
        if derived is None:
            measured.tier, measured.reason = "interpreted", "aggregates of parts are not generated"
            return self._feed(pipeline, inputs, None, sink, sequence, context, settings)
        try:
            with np.errstate(all="ignore"):
                result = self._driver.run_aggregate(lowered.fused, lowered.compiled, inputs, context)
        except StatesDoNotFit:
            return self._run_smaller_parts(pipeline, source, sink, sequence, settings, measured)
        batches = result.batches.drain() if isinstance(result.batches, RowStore) else result.batches
        for batch in batches:
            sink.absorb(derived.rows(batch, sequence, context.xp), sequence)
        return sequence + 1

    def _run_smaller_parts(
        self,
        pipeline: Pipeline,
        source: Batch,
        sink: SinkRun,
        sequence: int,
        settings: ExecutionSettings,
        measured: PipelineMetrics,
    ) -> int:
        """Feed rows whose groups do not fit in parts of fewer rows, interpreted if they are few already."""
        context = sink.context
        size = max(MIN_MORSEL_ROWS, min(source.num_rows // 4, context.memory.part_bytes // GROUP_BYTES))
        if size >= source.num_rows:
            inputs = Inputs(source, context.results, partial(self._evaluate, context))
            return self._feed(pipeline, inputs, None, sink, sequence, context, settings)
        measured.num_parts -= 1  # its rows come again
        measured.num_source_rows -= source.num_rows
        measured.num_bytes -= sum(column.nbytes for column in source.columns.values())
        for start in range(0, source.num_rows, size):
            part = source.slice(start, start + size)
            sequence = self.run_part(pipeline, part, sink, sequence, settings, measured)
        return sequence

    def _inputs(
        self,
        pipeline: Pipeline,
        source: Batch,
        context: RunContext,
        settings: ExecutionSettings,
        measured: PipelineMetrics,
        *,
        is_part: bool = False,
    ) -> tuple[Inputs, Lowered | None]:
        measured.num_parts += 1
        measured.num_source_rows += source.num_rows
        measured.num_bytes += sum(column.nbytes for column in source.columns.values())
        self._device.load_ahead(source.num_rows)
        inputs = Inputs(source, context.results, partial(self._evaluate, context), is_part=is_part)
        lowered = self._choose_tier(pipeline, inputs, context, settings, measured)
        if lowered is not None and not is_part and not self._driver.on_grid:
            start, stop = reachable_rows(pipeline, source, context.results)
            if stop - start < source.num_rows:
                measured.num_source_rows -= source.num_rows - (stop - start)
                inputs = replace(inputs, rows=(start, stop))
        return inputs, lowered

    def _feed(
        self,
        pipeline: Pipeline,
        inputs: Inputs,
        lowered: Lowered | None,
        sink: SinkRun,
        sequence: int,
        context: RunContext,
        settings: ExecutionSettings,
    ) -> int:
        """Pass rows through the transforms into ``sink``; the place in order after them."""
        if lowered is None:
            return run_interpreted(
                pipeline,
                inputs.batch,
                self._workers,
                context,
                sink,
                sequence=sequence,
                batch_rows=self._batch_rows(settings),
                computed=inputs.computed,
            )
        fused, compiled = lowered.fused, lowered.compiled
        assert fused is not None, "the caller checked"
        transforms = transform_operators(pipeline.transforms[fused.num_transforms :], pipeline.sink)
        in_order = isinstance(pipeline.sink, LimitSink | CollectSink | RunningSink) or (
            isinstance(pipeline.sink, AggregateSink) and depends_on_order(pipeline.sink)
        )
        last = sequence

        def new_consumer():  # type: ignore[no-untyped-def]
            consume = sink.consumer(transforms)

            def shifted(batch: Batch, place: int) -> None:
                nonlocal last
                last = max(last, sequence + place)
                consume(batch, sequence + place)

            return shifted

        self._driver.run_emit(fused, compiled, inputs, context, new_consumer, in_order=in_order)
        sink.release_consumers()
        return last + 1

    # --- tiers -------------------------------------------------------------------------------------------------------

    def _choose_tier(
        self,
        pipeline: Pipeline,
        inputs: Inputs,
        context: RunContext,
        settings: ExecutionSettings,
        measured: PipelineMetrics,
    ) -> Lowered | None:
        """The lowered pipeline if it is to run fused; None for the interpreter, with the reason in ``measured``."""
        if settings.tier == "interpreted":
            measured.reason = "tier = interpreted"
            return None
        if settings.tier == "auto" and self._is_small(inputs.batch.num_rows):
            measured.reason = f"fewer than {SMALL_SOURCE_ROWS} rows"
            return None
        lowered = self._fused.lower(pipeline, inputs, context)
        measured.reason = lowered.reason
        if lowered.fused is None:
            if settings.tier == "compiled" and settings.on_unsupported == "error":
                raise NotSupportedError(f"pipeline cannot be compiled: {lowered.reason}")
            return None
        wait = settings.tier == "compiled" or inputs.batch.num_rows > WAIT_FOR_COMPILER_ROWS
        if not self._driver.ready(lowered.fused, lowered.compiled, inputs, wait=wait):
            measured.reason = "compiling in the background"
            return None
        measured.tier = "fused"
        measured.source = lowered.compiled.source
        return lowered

    def _batch_rows(self, settings: ExecutionSettings) -> int:
        """A device has no cache to stay in, and each kernel of a small batch costs a launch."""
        if self._driver.on_grid and settings.batch_rows == BATCH_ROWS:
            return MAX_BATCH_PAIRS
        return settings.batch_rows

    def _is_small(self, num_rows: int) -> bool:
        return num_rows < SMALL_SOURCE_ROWS and not self._driver.on_grid

    def _evaluate(self, context: RunContext, expression: Expression, batch: Batch) -> Column:
        """Interpret an expression over all rows, on all workers, or at once on a device."""
        if self._driver.on_grid:
            context.check_cancelled()
            return evaluate(expression, batch, context)
        parts: dict[int, Column] = {}

        def work(morsels: Iterator[Morsel]) -> None:
            for morsel in morsels:
                context.check_cancelled()
                rows = batch.slice(morsel.start, morsel.stop)
                parts[morsel.sequence] = evaluate(expression, rows, context)

        self._workers.run(cut(batch.num_rows, self._workers.threads), work)
        return concat_columns([parts[sequence] for sequence in sorted(parts)], xp=context.xp)


@dataclass(frozen=True, eq=False)
class _Feeder:
    """See ``partitioned_probe.Feeder``. What comes from the source is measured; how it goes on is said of the last."""

    runner: PipelineRunner
    workers: Workers
    settings: ExecutionSettings
    measured: PipelineMetrics

    def source(self, pipeline: Pipeline, sink: SinkRun) -> None:
        """All rows of the source."""
        self.runner.run_source(pipeline, sink, self.settings, self.measured)

    def part(self, pipeline: Pipeline, part: Batch, sink: SinkRun, sequence: int) -> int:
        """These rows."""
        measured = PipelineMetrics(self.measured.device)
        sequence = self.runner.run_part(pipeline, part, sink, sequence, self.settings, measured)
        self.measured.tier, self.measured.reason = measured.tier, measured.reason
        self.measured.source = measured.source or self.measured.source
        return sequence


def _rest(first: Batch, second: Batch | None, others: Iterator[Batch]) -> Iterator[Batch]:
    """All parts; none is held on to."""
    yield first
    del first
    if second is not None:
        yield second
    del second
    yield from others
