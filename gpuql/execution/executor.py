"""Runs a physical plan: pipelines one after the other, each fused if it can be, else interpreted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.device import Device
from gpuql.execution.cancellation import CancelToken
from gpuql.execution.fused.driver import FusedDriver
from gpuql.execution.metrics import PipelineMetrics, QueryMetrics
from gpuql.execution.morsels import Workers
from gpuql.execution.pipeline_run import ExecutionSettings, PipelineRunner
from gpuql.execution.transfer import download
from gpuql.memory.connection_memory import ConnectionMemory
from gpuql.memory.pool import prepare_memory
from gpuql.memory.query_memory import QueryMemory
from gpuql.memory.row_store import RowStore
from gpuql.operators.contract import RowsResult, RunContext
from gpuql_kernels.tasks import serially
from gpuql_planner.physical.nodes import BuildScan, PhysicalPlan, Pipeline, ResultScan


@dataclass(frozen=True, eq=False)
class QueryResult:
    """Rows of the result in order, as batches over the plan's outputs, and what the run measured."""

    batches: Sequence[Batch] | RowStore
    plan: PhysicalPlan
    metrics: QueryMetrics


class Executor:
    """One device and its worker threads. Safe to use from several threads at once."""

    def __init__(self, device: Device, threads: int) -> None:
        self.device = device
        self.threads = threads
        prepare_memory(device)
        self._workers = Workers(threads)
        self._driver = _driver(device, self._workers)
        self._runner = PipelineRunner(device, self._workers, self._driver)

    def close(self) -> None:
        """Let the worker threads end; running queries finish first."""
        self._workers.close()

    def execute(
        self,
        plan: PhysicalPlan,
        *,
        cancel: CancelToken,
        settings: ExecutionSettings,
        memory: ConnectionMemory,
    ) -> QueryResult:
        """Run ``plan`` to its end within the limits of ``memory``.

        Errors: those of SQL and of readers; InterruptError once ``cancel`` is set. A failed run leaves nothing
        behind.
        """
        held = memory.open_query(cancel.check)
        try:
            return self._execute(plan, cancel, settings, memory, held)
        finally:
            held.close()

    def _execute(
        self,
        plan: PhysicalPlan,
        cancel: CancelToken,
        settings: ExecutionSettings,
        memory: ConnectionMemory,
        held: QueryMemory,
    ) -> QueryResult:
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
            memory=held,
        )
        metrics = QueryMetrics(memory=held.metrics)
        readers = _last_readers(plan)
        for index, pipeline in enumerate(plan.pipelines):
            cancel.check()
            measured = PipelineMetrics(pipeline.device)
            metrics.pipelines.append(measured)
            pipeline_started = time.perf_counter_ns()
            spilled_before = held.metrics.spilled_bytes
            context.results[index] = self._runner.run(pipeline, context, settings, measured)
            measured.elapsed_ns = time.perf_counter_ns() - pipeline_started
            measured.num_rows = context.results[index].num_rows
            measured.spilled_bytes = held.metrics.spilled_bytes - spilled_before
            for done in readers.get(index, ()):
                context.results.pop(done).close()
        result = context.results[len(plan.pipelines) - 1]
        assert isinstance(result, RowsResult), "the last sink keeps rows"
        metrics.elapsed_ns = time.perf_counter_ns() - started
        return QueryResult(self._finished(result, memory), plan, metrics)

    def _finished(self, result: RowsResult, memory: ConnectionMemory) -> Sequence[Batch] | RowStore:
        """The rows for the user, who owns what is in memory; those moved away stay so in an account of their own."""
        if self.device.xp is not np:
            return [download(batch, self.device.xp) for batch in result]
        if isinstance(result.batches, RowStore) and result.batches.is_spilled:
            result.batches.hand_over(memory.open_query(lambda: None, running=False))
            return result.batches
        return list(result)

    def foresee(self, plan: PhysicalPlan, settings: ExecutionSettings) -> list[PipelineMetrics]:
        """Tier and reason of each pipeline, found by running the plan on no rows.

        What depends on the rows themselves can come out otherwise: how many they are, and whether join keys fit one
        word.
        """
        context = RunContext(self.device.xp, self.device.kernels, lambda: None)
        foreseen = []
        for index, pipeline in enumerate(plan.pipelines):
            expected, context.results[index] = self._runner.foresee(pipeline, context, settings)
            foreseen.append(expected)
        return foreseen


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
