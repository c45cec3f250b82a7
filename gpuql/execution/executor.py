"""Runs a physical plan: pipelines one after the other, each fused if it can be, else interpreted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.columnar.table import ResidentTable
from gpuql.config import parse_bytes
from gpuql.device import Device
from gpuql.execution.cancellation import CancelToken
from gpuql.execution.fused.driver import FusedDriver
from gpuql.execution.host_results import bring_to_host, finished_rows, plain_rows
from gpuql.execution.metrics import PipelineMetrics, QueryMetrics
from gpuql.execution.morsels import Workers
from gpuql.execution.pipeline_run import ExecutionSettings, PipelineRunner
from gpuql.execution.recursion import LoopRun
from gpuql.memory.connection_memory import ConnectionMemory, host_failure, unlimited_memory
from gpuql.memory.device_errors import device_failure, device_shortage
from gpuql.memory.device_memory import DeviceQuery, device_memory
from gpuql.memory.faults import passing_launch
from gpuql.memory.query_memory import QueryMemory
from gpuql.memory.row_store import RowStore
from gpuql.operators.contract import RowsResult, RunContext
from gpuql_kernels.tasks import serially
from gpuql_planner.errors import OutOfMemoryError
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.physical.loops import last_readers
from gpuql_planner.physical.nodes import PhysicalPlan, Pipeline

#: How often parts are halved for each new attempt at a pipeline that a device has no room for.
_HALVINGS = (2, 2)


@dataclass(frozen=True, eq=False)
class QueryResult:
    """Rows of the result in order, as batches over the plan's outputs, and what the run measured."""

    batches: Sequence[Batch] | RowStore
    plan: PhysicalPlan
    metrics: QueryMetrics


class TableRows(Protocol):
    """Takes the rows of a query, from any thread."""

    def append(self, columns: Sequence[Column], num_rows: int, sequence: int) -> None:
        """Take some rows; ``sequence`` is their place among the others."""


@dataclass(frozen=True, eq=False)
class _Directed:
    """A ``RowCollector`` that passes rows on to a table."""

    target: TableRows
    outputs: Sequence[Attribute]

    def append(self, batch: Batch, sequence: int = 0) -> None:
        """See ``RowCollector``."""
        self.target.append([batch[attribute] for attribute in self.outputs], batch.num_rows, sequence)


class RowsThere:
    """The rows of a query where they were made, once :meth:`Executor.execute` has put them there.

    ``rows`` are plain columns on ``device``; the bytes count until ``release`` is called.
    """

    def __init__(self) -> None:
        self.rows = Batch({}, 0)
        self.device = ""
        self.metrics = QueryMetrics()
        self.release: Callable[[], None] = lambda: None

    def keep(self, result: RowsResult, context: RunContext, device: str, metrics: QueryMetrics) -> None:
        """Take the rows, as one batch. Errors: OutOfMemoryError."""
        self.rows, self.device, self.metrics = plain_rows(result, context.xp), device, metrics
        if context.device is not None:
            self.release = context.device.lasting(self.rows)


class Executor:
    """One device and its worker threads. Safe to use from several threads at once."""

    def __init__(self, device: Device, threads: int) -> None:
        self.device = device
        self.threads = threads
        self._lane = _Lane(device, threads)
        self._device_memory = device_memory(device) if device.launches_kernels else None
        self._host_lane: _Lane | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let the worker threads end; running queries finish first."""
        for lane in (self._lane, self._host_lane):
            if lane is not None:
                lane.workers.close()

    def execute(
        self,
        plan: PhysicalPlan,
        *,
        cancel: CancelToken,
        settings: ExecutionSettings,
        memory: ConnectionMemory,
        into: TableRows | RowsThere | None = None,
    ) -> QueryResult:
        """Run ``plan`` to its end within the limits of ``memory``.

        The rows go ``into`` a table if one is given, or stay where they were made.

        Errors: those of SQL and of readers; InterruptError once ``cancel`` is set; DeviceError if CUDA fails. A failed
        run leaves nothing behind.
        """
        host = memory.open_query(cancel.check)
        table = into is not None and not isinstance(into, RowsThere)
        try:
            if self._device_memory is None:
                return self._execute(plan, cancel, settings, memory, host, None, into)
            self._device_memory.limit(memory, parse_bytes(settings.gpu_memory_limit))
            with self._device_memory.running_query(host, cancel.check) as device:
                try:
                    return self._execute(plan, cancel, settings, memory, host, device, into)
                except (MemoryError, OutOfMemoryError) as error:
                    # Rows are there but cannot be brought together, nor to the host as they are.
                    shortage = device_shortage(error)
                    if shortage is None or settings.on_unsupported == "error" or table:
                        raise
                    failed = shortage.message
                    del shortage
            return self._execute(plan, cancel, settings, memory, host, None, into, moved=failed)
        except Exception as error:
            failure = device_failure(error) if self._device_memory is not None else None
            if failure is None and isinstance(error, MemoryError):
                failure = host_failure(error, memory)
            if failure is None:
                raise
            raise failure from error
        finally:
            host.close()

    def _execute(
        self,
        plan: PhysicalPlan,
        cancel: CancelToken,
        settings: ExecutionSettings,
        memory: ConnectionMemory,
        host: QueryMemory,
        device: DeviceQuery | None,
        into: TableRows | RowsThere | None,
        *,
        moved: str = "",
    ) -> QueryResult:
        """Run the plan on ``device``, or all of it on the host; ``moved`` says why if it was meant for a device."""
        started = time.perf_counter_ns()
        lane = self._host if moved else self._lane
        run = _Run(plan, lane, lane.context(cancel, settings, host, device), settings, moved=moved)
        run.metrics.memory = host.metrics
        if device is not None:
            run.metrics.device_memory = device.memory.metrics
        readers = _last_readers_of(plan)
        collector = None if into is None or isinstance(into, RowsThere) else _Directed(into, plan.outputs)
        for index in range(len(plan.pipelines)):
            cancel.check()
            if index in run.repeated:
                continue
            if index == len(plan.pipelines) - 1 and run.context.device is None and index not in run.loops:
                run.context.collector = collector
            self._run_step(run, index, cancel)
            for done in readers.get(index, ()):
                run.context.results.pop(done).close()
        result = run.context.results[len(plan.pipelines) - 1]
        assert isinstance(result, RowsResult), "the last sink keeps rows"
        rows: Sequence[Batch] | RowStore
        if isinstance(into, RowsThere):
            into.keep(result, run.context, run.lane.device.name, run.metrics)
            rows = []
        elif collector is not None:
            kept = result.batches
            for place, batch in enumerate(kept.drain() if isinstance(kept, RowStore) else kept):
                held = run.context.device
                collector.append(batch if held is None else held.download(batch), place)
            rows = []
        elif run.context.device is not None:
            rows = finished_rows(result, run.context.device, lambda: _lasting(memory))
        elif isinstance(result.batches, RowStore) and result.batches.is_spilled:
            result.batches.hand_over(_lasting(memory))
            rows = result.batches
        else:
            rows = list(result)
        run.metrics.pipelines = [run.measured[index] for index in range(len(plan.pipelines))]
        run.metrics.elapsed_ns = time.perf_counter_ns() - started
        return QueryResult(rows, plan, run.metrics)

    def _run_step(self, run: _Run, index: int, cancel: CancelToken) -> None:
        """Run a pipeline, or the loop that stands in its place."""
        loop = run.loops.get(index)
        if loop is None:
            self._run_pipeline(run, index, cancel)
            return
        inner = {body for other in run.plan.loops if other.result in loop.body for body in other.body}
        started = time.perf_counter_ns()

        def run_body() -> None:
            for step in loop.body:
                cancel.check()
                if step not in inner:
                    self._run_step(run, step, cancel)

        def run_as(step: int, pipeline: Pipeline) -> None:
            run.replaced[step] = pipeline
            self._run_pipeline(run, step, cancel)

        run.replaced.update(LoopRun(run.plan, loop, lambda: run.context).run(run_body, run_as))
        measured = PipelineMetrics(run.lane.device.name, moved=run.moved, reason="runs in rounds")
        measured.elapsed_ns = time.perf_counter_ns() - started
        measured.num_rows = run.context.results[index].num_rows
        for step in loop.body:  # of a loop that has ended before its first round
            run.measured.setdefault(step, PipelineMetrics(run.lane.device.name, reason="no round"))
        run.note(index, measured)

    def _run_pipeline(self, run: _Run, index: int, cancel: CancelToken) -> None:
        """Run one pipeline; where a device has no room for it, in smaller parts, and on the host if that is no help."""
        pipeline = run.replaced.get(index, run.plan.pipelines[index])
        for halvings in (*_HALVINGS, None):
            measured = PipelineMetrics(run.lane.device.name, moved=run.moved)
            started = time.perf_counter_ns()
            metrics = run.context.memory.metrics
            spilled_before = metrics.spilled_bytes
            failure = run.attempt(index, pipeline, measured)
            if failure is None:
                measured.elapsed_ns = time.perf_counter_ns() - started
                measured.num_rows = run.context.results[index].num_rows
                measured.spilled_bytes = metrics.spilled_bytes - spilled_before
                run.note(index, measured)
                return
            if halvings is None:
                if run.settings.on_unsupported == "error":
                    raise failure
                self._go_on_with_host(run, failure, cancel)
                self._run_pipeline(run, index, cancel)
                return
            for _ in range(halvings):
                run.context.memory.halve_parts()

    def _go_on_with_host(self, run: _Run, failure: OutOfMemoryError, cancel: CancelToken) -> None:
        """Let the rest of a query run on the CPU, with what earlier pipelines left on the device."""
        device = run.context.device
        assert device is not None, "only a device runs out of its memory"
        moved = self._host.context(cancel, run.settings, device.host, None)
        for index in list(run.context.results):
            moved.results[index] = bring_to_host(run.context.results[index], device)
        device.close()
        run.lane, run.context = self._host, moved
        run.moved = failure.message

    @property
    def _host(self) -> _Lane:
        """Where queries go on that a device has no room for."""
        with self._lock:
            if self._host_lane is None:
                self._host_lane = _Lane(Device("cpu", "GPU memory ran out"), self.threads)
            return self._host_lane

    def keep(self, table: ResidentTable, settings: ExecutionSettings, memory: ConnectionMemory) -> None:
        """Copy the columns of a table to the device, where queries will look for them; nothing to do on the CPU.

        Errors: OutOfMemoryError, DeviceError.
        """
        if self._device_memory is None:
            return
        host = memory.open_query(lambda: None)
        try:
            self._device_memory.limit(memory, parse_bytes(settings.gpu_memory_limit))
            columns, num_rows = table.read([field.name for field in table.fields])
            with self._device_memory.running_query(host, lambda: None) as device:
                device.keep(Batch(dict(enumerate(columns.values())), num_rows))
        except Exception as error:
            failure = device_failure(error)
            if failure is None:
                raise
            raise failure from error
        finally:
            host.close()

    def foresee(self, plan: PhysicalPlan, settings: ExecutionSettings) -> list[PipelineMetrics]:
        """Tier and reason of each pipeline, found by running the plan on no rows.

        What depends on the rows themselves can come out otherwise: how many they are, and whether join keys fit one
        word.
        """
        if self._device_memory is None:
            return self._foresee(plan, settings, None)
        with self._device_memory.running_query(unlimited_memory(), lambda: None) as device:
            return self._foresee(plan, settings, device)

    def _foresee(
        self, plan: PhysicalPlan, settings: ExecutionSettings, device: DeviceQuery | None
    ) -> list[PipelineMetrics]:
        context = RunContext(self.device.xp, self.device.kernels, lambda: None, device=device)
        if device is not None:
            context.memory = device.memory
        foreseen = []
        for index, pipeline in enumerate(plan.pipelines):
            expected, context.results[index] = self._lane.runner.foresee(pipeline, context, settings)
            foreseen.append(expected)
        return foreseen


class _Lane:
    """What runs pipelines on one device: of a GPU its host thread alone, which gives it large batches."""

    def __init__(self, device: Device, threads: int) -> None:
        self.device = device
        self.workers = Workers(1 if device.launches_kernels else threads)
        self.driver = _driver(device, self.workers)
        self.runner = PipelineRunner(device, self.workers, self.driver)

    def context(
        self,
        cancel: CancelToken,
        settings: ExecutionSettings,
        host: QueryMemory,
        device: DeviceQuery | None,
    ) -> RunContext:
        """What operators of a query share on this device."""
        one_thread = self.device.launches_kernels
        return RunContext(
            self.device.xp,
            self.device.kernels,
            cancel.check,
            integer_division=settings.integer_division,
            workers=self.workers.threads,
            run_tasks=serially if one_thread else partial(self.workers.run_tasks, check=cancel.check),
            memory=host if device is None else device.memory,
            device=device,
        )


@dataclass(eq=False)
class _Run:
    """A running query: the lane that it is in, and why it left the one that the plan has for it."""

    plan: PhysicalPlan
    lane: _Lane
    context: RunContext
    settings: ExecutionSettings
    metrics: QueryMetrics = field(default_factory=QueryMetrics)
    moved: str = ""
    measured: dict[int, PipelineMetrics] = field(default_factory=dict)
    replaced: dict[int, Pipeline] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.loops = {loop.result: loop for loop in self.plan.loops}
        self.repeated = {index for loop in self.plan.loops for index in loop.body}

    def note(self, index: int, measured: PipelineMetrics) -> None:
        """Keep what was measured of a pipeline; of one that runs in rounds, all of them together."""
        known = self.measured.get(index)
        if known is not None:
            measured.add(known)
        self.measured[index] = measured

    def attempt(self, index: int, pipeline: Pipeline, measured: PipelineMetrics) -> OutOfMemoryError | None:
        """Run a pipeline; the error if a device has no room for it, after all that the attempt kept was let go."""
        context = self.context
        if context.device is None:
            context.results[index] = self.lane.runner.run(pipeline, context, self.settings, measured)
            return None
        undo = context.device.attempt()
        try:
            context.results[index] = self.lane.runner.run(pipeline, context, self.settings, measured)
        except (MemoryError, OutOfMemoryError) as error:
            failure = device_shortage(error)
            if failure is None:
                raise
        else:
            return None
        failure = failure.with_traceback(None)  # its frames hold arrays
        failure.__cause__ = failure.__context__ = None
        undo()
        return failure


def _last_readers_of(plan: PhysicalPlan) -> dict[int, list[int]]:
    """See ``last_readers``; found once, and kept with the plan for its next runs."""
    known: dict[int, list[int]] | None = vars(plan).get("_last_readers")
    if known is None:
        known = vars(plan)["_last_readers"] = last_readers(plan.pipelines, plan.loops)
    return known


def _lasting(memory: ConnectionMemory) -> QueryMemory:
    """An account for a result, which outlives its query."""
    return memory.open_query(lambda: None, running=False)


def _driver(device: Device, workers: Workers) -> FusedDriver:
    if device.launches_kernels:
        from gpuql.execution.fused.run_cuda import GridDriver
        from gpuql_kernels.grid.gpu import call_before_launch

        call_before_launch(passing_launch)
        return GridDriver()
    from gpuql.execution.fused.run_cpu import MorselDriver

    return MorselDriver(workers)
