"""Runs a physical plan: pipelines one after the other, each fused if it can be, else interpreted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol


from gpuql.columnar.batch import Batch
from gpuql.device import Device
from gpuql.execution.cancellation import CancelToken
from gpuql.execution.fused.arguments import Inputs
from gpuql.execution.fused.cache import Lowered, LoweringCache
from gpuql.execution.interpreted import SinkRun, run_interpreted, transform_operators
from gpuql.execution.metrics import PipelineMetrics, QueryMetrics
from gpuql.execution.morsels import Workers
from gpuql.execution.sources import open_source
from gpuql.operators.contract import JoinTable, RowsResult, RunContext
from gpuql_planner.errors import NotSupportedError
from gpuql_planner.physical.nodes import (
    CollectSink,
    LimitSink,
    PhysicalPlan,
    Pipeline,
    ResultScan,
    UnmatchedBuildScan,
)

if TYPE_CHECKING:
    from gpuql.execution.fused.lower import FusedPipeline

#: Fewer source rows than this are interpreted unless their generated code is loaded already.
SMALL_SOURCE_ROWS = 2048
#: With more source rows than this, interpreting takes longer than compiling first.
WAIT_FOR_COMPILER_ROWS = 50_000_000


class ExecutionSettings(Protocol):
    """The settings that execution reads; see ``gpuql.config``."""

    @property
    def tier(self) -> str:
        """"auto", "interpreted" or "compiled"."""

    @property
    def on_unsupported(self) -> str:
        """"fallback" or "error"."""

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
        self._workers = Workers(threads)
        self._fused = LoweringCache(self._compile, on_grid=device.launches_kernels)

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
            self.device.xp, self.device.kernels, cancel.check, integer_division=settings.integer_division
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
        return QueryResult(result.batches, plan, metrics)

    def _run(
        self, pipeline: Pipeline, context: RunContext, settings: ExecutionSettings, measured: PipelineMetrics
    ) -> RowsResult | JoinTable:
        source = open_source(pipeline.source, context)
        measured.num_source_rows = source.num_rows
        measured.num_bytes = _num_bytes(source)
        lowered = self._choose_tier(pipeline, source, context, settings, measured)
        if lowered is None:
            return run_interpreted(pipeline, source, self._workers, context, batch_rows=settings.batch_rows)
        return self._run_fused(pipeline, lowered, Inputs(source, context.results), context)

    def _choose_tier(
        self,
        pipeline: Pipeline,
        source: Batch,
        context: RunContext,
        settings: ExecutionSettings,
        measured: PipelineMetrics,
    ) -> Lowered | None:
        """The lowered pipeline if it is to run fused; None for the interpreter, with the reason in ``measured``."""
        if settings.tier == "interpreted":
            measured.reason = "tier = interpreted"
            return None
        if settings.tier == "auto" and source.num_rows < SMALL_SOURCE_ROWS and not self.device.launches_kernels:
            measured.reason = f"fewer than {SMALL_SOURCE_ROWS} rows"
            return None
        lowered = self._fused.lower(pipeline, Inputs(source, context.results), context)
        measured.reason = lowered.reason
        if lowered.fused is None:
            if settings.tier == "compiled" and settings.on_unsupported == "error":
                raise NotSupportedError(f"pipeline cannot be compiled: {lowered.reason}")
            return None
        if not self._compiled(lowered, source, context, settings):
            measured.reason = "compiling in the background"
            return None
        measured.tier = "fused"
        measured.source = lowered.compiled.source  # type: ignore[union-attr]
        return lowered

    def _compiled(self, lowered: Lowered, source: Batch, context: RunContext, settings: ExecutionSettings) -> bool:
        """See that machine code is there; False if it is still being made and the rows are few enough not to wait."""
        if self.device.launches_kernels:
            return True
        from gpuql.execution.fused import run_cpu

        fused, compiled = lowered.fused, lowered.compiled
        wait = compiled.ready or settings.tier == "compiled" or source.num_rows > WAIT_FOR_COMPILER_ROWS
        run_cpu.prepare(fused, compiled, Inputs(source, context.results), wait=wait)
        return wait

    def _compile(self, fused: FusedPipeline) -> Any:
        if self.device.launches_kernels:
            from gpuql_kernels.codegen.gpu import compile_program as compile_cuda

            return compile_cuda(fused.program)
        from gpuql_kernels.codegen.cpu import compile_program as compile_cpu

        return compile_cpu(fused.program)

    def _run_fused(
        self, pipeline: Pipeline, lowered: Lowered, inputs: Inputs, context: RunContext
    ) -> RowsResult | JoinTable:
        fused, compiled = lowered.fused, lowered.compiled
        assert fused is not None, "the caller checked"
        if self.device.launches_kernels:
            from gpuql.execution.fused import run_cuda

            if fused.aggregates is not None:
                return run_cuda.run_aggregate(fused, compiled, inputs, context)
            sink = SinkRun(pipeline.sink, context)
            transforms = transform_operators(pipeline.transforms[fused.num_transforms :])
            run_cuda.run_emit(fused, compiled, inputs, context, sink.consumer(transforms))
            return sink.result()
        from gpuql.execution.fused import run_cpu

        if fused.aggregates is not None:
            return run_cpu.run_aggregate(fused, compiled, inputs, self._workers, context)
        sink = SinkRun(pipeline.sink, context)
        transforms = transform_operators(pipeline.transforms[fused.num_transforms :])
        run_cpu.run_emit(
            fused,
            compiled,
            inputs,
            self._workers,
            context,
            lambda: sink.consumer(transforms),
            in_order=isinstance(pipeline.sink, LimitSink | CollectSink),
        )
        return sink.result()


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
    if isinstance(pipeline.source, UnmatchedBuildScan):
        reads.append(pipeline.source.build)
    return reads


def _num_bytes(batch: Batch) -> int:
    """Size of the arrays of a batch, dictionaries apart."""
    total = 0
    for column in batch.columns.values():
        total += column.values.nbytes
        if column.validity is not None:
            total += column.validity.nbytes
    return total


