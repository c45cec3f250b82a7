"""Runs a physical plan: pipelines one after the other, each fused if it can be, else interpreted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.columnar.concat import concat_columns
from gpuql.device import Device
from gpuql.execution.cancellation import CancelToken
from gpuql.execution.fused.arguments import Inputs
from gpuql.execution.fused.cache import Lowered, LoweringCache
from gpuql.execution.fused.driver import FusedDriver
from gpuql.execution.interpreted import SinkRun, run_interpreted, transform_operators
from gpuql.execution.metrics import PipelineMetrics, QueryMetrics
from gpuql.execution.morsels import Morsel, Workers, cut
from gpuql.execution.sources import empty_source, known_rows, open_source
from gpuql.execution.transfer import Uploads, download
from gpuql.expressions.evaluate import evaluate
from gpuql.memory.pool import prepare_memory
from gpuql.operators.contract import JoinTable, RowsResult, RunContext
from gpuql_kernels.tasks import serially
from gpuql_planner.errors import NotSupportedError
from gpuql_planner.logical.expressions import Expression
from gpuql_planner.physical.nodes import (
    BuildScan,
    CollectSink,
    LimitSink,
    PhysicalPlan,
    Pipeline,
    ResultScan,
)

#: Fewer source rows than this are interpreted unless their generated code is loaded already.
SMALL_SOURCE_ROWS = 2048
#: With more source rows than this, interpreting takes longer than compiling first.
WAIT_FOR_COMPILER_ROWS = 50_000_000


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


@dataclass(frozen=True, eq=False)
class QueryResult:
    """Rows of the result in order, as batches over the plan's outputs, and what the run measured."""

    batches: list[Batch]
    plan: PhysicalPlan
    metrics: QueryMetrics


class Executor:
    """One device and its worker threads. Safe to use from several threads at once."""

    def __init__(self, device: Device, threads: int) -> None:
        self.device = device
        self.threads = threads
        prepare_memory(device)
        self._workers = Workers(threads)
        self._uploads = Uploads(device.xp)
        self._driver = _driver(device, self._workers)
        self._fused = LoweringCache(self._driver)

    def close(self) -> None:
        """Let the worker threads end; running queries finish first."""
        self._workers.close()

    def execute(self, plan: PhysicalPlan, *, cancel: CancelToken, settings: ExecutionSettings) -> QueryResult:
        """Run ``plan`` to its end.

        Errors: those of SQL and of readers; InterruptError once ``cancel`` is set. A failed run leaves nothing
        behind.
        """
        started = time.perf_counter_ns()
        context = RunContext(
            self.device.xp,
            self.device.kernels,
            cancel.check,
            integer_division=settings.integer_division,
            workers=1 if self._driver.on_grid else self.threads,
            run_tasks=serially
            if self._driver.on_grid
            else partial(self._workers.run_tasks, check=cancel.check),
        )
        metrics = QueryMetrics()
        readers = _last_readers(plan)
        for index, pipeline in enumerate(plan.pipelines):
            cancel.check()
            measured = PipelineMetrics(pipeline.device)
            metrics.pipelines.append(measured)
            pipeline_started = time.perf_counter_ns()
            context.results[index] = self._run(pipeline, context, settings, measured)
            measured.elapsed_ns = time.perf_counter_ns() - pipeline_started
            measured.num_rows = context.results[index].num_rows
            for done in readers.get(index, ()):
                del context.results[done]
        result = context.results[len(plan.pipelines) - 1]
        assert isinstance(result, RowsResult), "the last sink keeps rows"
        metrics.elapsed_ns = time.perf_counter_ns() - started
        return QueryResult([download(batch, self.device.xp) for batch in result.batches], plan, metrics)

    def foresee(self, plan: PhysicalPlan, settings: ExecutionSettings) -> list[PipelineMetrics]:
        """Tier and reason of each pipeline, found by running the plan on no rows.

        What depends on the rows themselves can come out otherwise: how many they are, and whether join keys fit one
        word.
        """
        context = RunContext(self.device.xp, self.device.kernels, lambda: None)
        foreseen = []
        for index, pipeline in enumerate(plan.pipelines):
            expected = PipelineMetrics(pipeline.device)
            source = self._uploads.batch(empty_source(pipeline.source, context))
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
            context.results[index] = run_interpreted(pipeline, source, self._workers, context)
            foreseen.append(expected)
        return foreseen

    def _is_small(self, num_rows: int) -> bool:
        return num_rows < SMALL_SOURCE_ROWS and not self._driver.on_grid

    def _run(
        self, pipeline: Pipeline, context: RunContext, settings: ExecutionSettings, measured: PipelineMetrics
    ) -> RowsResult | JoinTable:
        source = self._uploads.batch(open_source(pipeline.source, context))
        measured.num_source_rows = source.num_rows
        measured.num_bytes = _num_bytes(source)
        self.device.load_ahead(source.num_rows)
        inputs = Inputs(source, context.results, partial(self._evaluate, context))
        lowered = self._choose_tier(pipeline, inputs, context, settings, measured)
        if lowered is None:
            return run_interpreted(
                pipeline,
                source,
                self._workers,
                context,
                batch_rows=settings.batch_rows,
                computed=inputs.computed,
            )
        return self._run_fused(pipeline, lowered, inputs, context)

    def _evaluate(self, context: RunContext, expression: Expression, batch: Batch) -> Column:
        """Interpret an expression over all rows, on all workers."""
        parts: dict[int, Column] = {}

        def work(morsels: Iterator[Morsel]) -> None:
            for morsel in morsels:
                context.check_cancelled()
                rows = batch.slice(morsel.start, morsel.stop)
                parts[morsel.sequence] = evaluate(expression, rows, context)

        self._workers.run(cut(batch.num_rows, self.threads), work)
        return concat_columns([parts[sequence] for sequence in sorted(parts)], xp=context.xp)

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

    def _run_fused(
        self, pipeline: Pipeline, lowered: Lowered, inputs: Inputs, context: RunContext
    ) -> RowsResult | JoinTable:
        fused, compiled = lowered.fused, lowered.compiled
        assert fused is not None, "the caller checked"
        if fused.aggregates is not None:
            with np.errstate(all="ignore"):  # partial sums of infinities may merge to NaN, which is no error
                return self._driver.run_aggregate(fused, compiled, inputs, context)
        sink = SinkRun(pipeline.sink, context)
        transforms = transform_operators(pipeline.transforms[fused.num_transforms :], pipeline.sink)
        in_order = isinstance(pipeline.sink, LimitSink | CollectSink)
        self._driver.run_emit(
            fused, compiled, inputs, context, lambda: sink.consumer(transforms), in_order=in_order
        )
        return sink.result()


def _driver(device: Device, workers: Workers) -> FusedDriver:
    if device.launches_kernels:
        from gpuql.execution.fused.run_cuda import GridDriver

        return GridDriver()
    from gpuql.execution.fused.run_cpu import MorselDriver

    return MorselDriver(workers)


def _last_readers(plan: PhysicalPlan) -> dict[int, list[int]]:
    """For each pipeline, the earlier ones whose results nobody reads after it."""
    last: dict[int, int] = {}
    for index, pipeline in enumerate(plan.pipelines):
        for read in _reads(pipeline):
            last[read] = index
    readers: dict[int, list[int]] = {}
    for read, index in last.items():
        readers.setdefault(index, []).append(read)
    return readers


def _reads(pipeline: Pipeline) -> list[int]:
    reads = [transform.build for transform in pipeline.transforms if hasattr(transform, "build")]
    if isinstance(pipeline.source, ResultScan):
        reads.extend(pipeline.source.pipelines)
    if isinstance(pipeline.source, BuildScan):
        reads.append(pipeline.source.build)
    return reads


def _num_bytes(batch: Batch) -> int:
    """Size of the arrays of a batch, dictionaries apart."""
    return sum(column.nbytes for column in batch.columns.values())
