"""Drives a compiled program over morsels on worker threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.columnar.compressed import FrameOfReferenceColumn, RunLengthColumn
from gpuql.execution.fused.arguments import Inputs
from gpuql.execution.fused.driver import Consumer
from gpuql.execution.fused.group_tables import GroupTable, GroupTables
from gpuql.execution.fused.lower import FusedPipeline
from gpuql.execution.fused.state_memory import StateMemory, kept_result
from gpuql.execution.fused.states import States, fold_replicas, merge, new_states, result_batch
from gpuql.execution.fused.status import raise_status
from gpuql.execution.morsels import Morsel, Workers, cut, cut_at
from gpuql.memory import faults
from gpuql.operators.contract import RowsResult, RunContext
from gpuql.thresholds import INITIAL_GROUPS, MAX_MORSEL_ROWS
from gpuql_kernels.codegen import program as ir
from gpuql_kernels.codegen.cpu import CompiledPipeline, compile_program
from gpuql_kernels.thresholds import CHUNK_ROWS


@dataclass(eq=False)
class _Call:
    """Everything that one worker passes to the generated function, but for the morsel's slices."""

    function: Callable[..., int]
    arguments: list[Any]
    columns: list[int]
    fanout: int
    mask: Array = field(default_factory=lambda: np.empty(CHUNK_ROWS, np.bool_))
    selection: Array = field(default_factory=lambda: np.empty(CHUNK_ROWS, np.int32))

    def run(self, start: int, stop: int, status: Array, capacity: int, state: list[Array]) -> int:
        """Rows taken of ``start`` to ``stop``; raises what the status says, FULL excepted."""
        arguments = self.arguments.copy()
        for position in self.columns:
            arguments[position] = arguments[position][start:stop]
        taken = self.function(
            stop - start, status, capacity, self.fanout, self.mask, self.selection, *state, *arguments
        )
        if status[0]:
            raise_status(int(status[0]))
        return int(taken)


def _calls(fused: FusedPipeline, compiled: CompiledPipeline, inputs: Inputs) -> Callable[[], _Call]:
    arguments = fused.arguments(inputs)
    columns = [i for i, argument in enumerate(fused.program.arguments) if argument.kind == "column"]
    return lambda: _Call(compiled.function, arguments, columns, fused.fanout)


class MorselDriver:
    """A ``FusedDriver`` that calls the generated function once per morsel, on worker threads."""

    on_grid = False

    def __init__(self, workers: Workers) -> None:
        self.workers = workers

    def compile(self, program: ir.Program) -> CompiledPipeline:
        """See ``FusedDriver``."""
        return compile_program(program)

    def ready(self, fused: FusedPipeline, compiled: CompiledPipeline, inputs: Inputs, *, wait: bool) -> bool:
        """See ``FusedDriver``."""
        wait = wait or compiled.ready
        _prepare(fused, compiled, inputs, wait=wait)
        return wait

    def run_emit(
        self,
        fused: FusedPipeline,
        compiled: CompiledPipeline,
        inputs: Inputs,
        context: RunContext,
        new_consumer: Callable[[], Consumer],
        *,
        in_order: bool,
    ) -> None:
        """See ``FusedDriver``. In order, each batch holds rows of one morsel; else rows of several share a batch."""
        _run_emit(fused, compiled, inputs, self.workers, context, new_consumer, in_order=in_order)

    def run_aggregate(
        self, fused: FusedPipeline, compiled: CompiledPipeline, inputs: Inputs, context: RunContext
    ) -> RowsResult:
        """See ``FusedDriver``."""
        return _run_aggregate(fused, compiled, inputs, self.workers, context)


def _prepare(fused: FusedPipeline, compiled: CompiledPipeline, inputs: Inputs, *, wait: bool) -> None:
    """Compile or load the program's function, now or (not ``wait``) in the background."""
    sink = fused.program.sink
    state = _output_arrays(fused, 1) if isinstance(sink, ir.Emit) else new_states(sink, 1, np).arguments
    status, mask, selection = np.zeros(3, np.int64), np.empty(1, np.bool_), np.empty(1, np.int32)
    # No rows: types are all that counts, and slices of no rows decode nothing.
    passed = [
        value[0:0] if argument.kind == "column" else value
        for value, argument in zip(fused.arguments(inputs), fused.program.arguments, strict=True)
    ]
    arguments = [0, status, 0, fused.fanout, mask, selection, *state, *passed]
    if wait:
        compiled.prepare(arguments)
    else:
        compiled.prepare_in_background(arguments)


def _run_emit(
    fused: FusedPipeline,
    compiled: CompiledPipeline,
    inputs: Inputs,
    workers: Workers,
    context: RunContext,
    new_consumer: Callable[[], Consumer],
    *,
    in_order: bool,
) -> None:
    make_call = _calls(fused, compiled, inputs)
    num_rows = inputs.batch.num_rows
    # Without output columns rows are only counted, and a buffer of nothing is never full.
    row_bytes = sum(np.dtype(output.dtype).itemsize + 1 for output in fused.outputs)
    room = max(1024, context.memory.part_bytes // max(row_bytes, 1))
    capacity = max(fused.fanout, min(1 << 17, max(num_rows, 1), room)) if fused.outputs else 1 << 62

    def work(morsels: Iterator[Morsel]) -> None:
        call, consume = make_call(), new_consumer()
        status = np.zeros(3, np.int64)
        buffers = _output_arrays(fused, capacity)
        last = 0
        for morsel in morsels:
            context.check_cancelled()
            start = morsel.start
            last = morsel.sequence
            while start < morsel.stop:
                start += call.run(start, morsel.stop, status, capacity, buffers)
                if start < morsel.stop:  # full
                    context.check_cancelled()
                    status[0] = 0
                    consume(_output_batch(fused, buffers, int(status[1])), last)
                    buffers = _output_arrays(fused, capacity)
                    status[1] = 0
            if in_order and status[1]:
                consume(_output_batch(fused, buffers, int(status[1])), last)
                buffers = _output_arrays(fused, capacity)
                status[1] = 0
        consume(_output_batch(fused, buffers, int(status[1])), last)

    workers.run(_cut(fused, inputs, workers), work)


def _cut(fused: FusedPipeline, inputs: Inputs, workers: Workers) -> list[Morsel]:
    """Even morsels; smaller where rows multiply, so that a call takes about as long and cancelling is prompt."""
    first, stop = inputs.rows or (0, inputs.batch.num_rows)
    morsels = cut(stop - first, workers.threads, max_rows=max(1, MAX_MORSEL_ROWS // fused.fanout))
    return [Morsel(m.sequence, first + m.start, first + m.stop) for m in morsels] if first else morsels


def _output_arrays(fused: FusedPipeline, capacity: int) -> list[Array]:
    faults.passing(faults.ALLOCATION)
    arrays = []
    for output in fused.outputs:
        arrays.append(np.empty(capacity, output.dtype))
        if output.operand.value.nullable:
            arrays.append(np.empty(capacity, np.bool_))
    return arrays


def _output_batch(fused: FusedPipeline, buffers: list[Array], num_rows: int) -> Batch:
    """The first ``num_rows`` of the buffers; copied when they are much shorter, so that buffers can be freed."""
    arrays = iter(buffers)
    columns: dict[int, Column] = {}
    for output in fused.outputs:
        values = _shortened(next(arrays), num_rows)
        validity = _shortened(next(arrays), num_rows) if output.operand.value.nullable else None
        operand = output.operand
        assert output.attribute is not None, "row numbers are put out on a grid only"
        columns[output.attribute.id] = Column(
            operand.dtype, values, validity, operand.strings, operand.bounds
        )
    return Batch(columns, num_rows)


def _shortened(array: Array, num_rows: int) -> Array:
    view = array[:num_rows]
    return view.copy() if 2 * num_rows < len(array) else view


def _run_aggregate(
    fused: FusedPipeline, compiled: CompiledPipeline, inputs: Inputs, workers: Workers, context: RunContext
) -> RowsResult:
    make_call = _calls(fused, compiled, inputs)
    sink = fused.program.sink
    with StateMemory(context) as memory:
        if isinstance(sink, ir.GroupHash):
            return _run_hash(fused, sink, make_call, inputs, workers, context, memory)
        assert isinstance(sink, ir.Reduce | ir.GroupDense), "an aggregating sink"
        return _run_dense(fused, sink, make_call, inputs, workers, context, memory)


def _run_dense(
    fused: FusedPipeline,
    sink: ir.Reduce | ir.GroupDense,
    make_call: Callable[[], _Call],
    inputs: Inputs,
    workers: Workers,
    context: RunContext,
    memory: StateMemory,
) -> RowsResult:
    length = fused.domain * (sink.copies if isinstance(sink, ir.GroupDense) else 1)
    group_bytes = sum(np.dtype(accumulator.dtype).itemsize for accumulator in sink.accumulators)
    copies_made = workers.threads if fused.clustered_by is None else 1
    memory.take(length * group_bytes * copies_made)
    shared = new_states(sink, length, np) if fused.clustered_by is not None else None
    states: list[States] = []
    lock = threading.Lock()

    def work(morsels: Iterator[Morsel]) -> None:
        call = make_call()
        status = np.zeros(3, np.int64)
        faults.passing(faults.ALLOCATION)
        own = new_states(sink, length, np) if shared is None else shared
        for morsel in morsels:
            # One group can be all rows of a clustered source: then its morsel is, too.
            for start in range(morsel.start, morsel.stop, MAX_MORSEL_ROWS):
                context.check_cancelled()
                call.run(start, min(start + MAX_MORSEL_ROWS, morsel.stop), status, 0, own.arguments)
        with lock:
            states.append(own)

    workers.run(_morsels(fused, inputs, workers), work)
    copies = [state.accumulators for state in (states if shared is None else states[:1])]
    if isinstance(sink, ir.GroupDense):
        folded = [fold_replicas(sink, copy, np) for copy in copies]
        return kept_result(_dense_result(fused, sink, inputs, folded, workers), context)
    for other in copies[1:]:
        merge(sink.accumulators, copies[0], other, slice(None), np)
    return RowsResult([result_batch(fused, inputs, None, copies[0], np)])


def _morsels(fused: FusedPipeline, inputs: Inputs, workers: Workers) -> list[Morsel]:
    """Even morsels; when groups are clustered, cut between groups so that no two workers meet in one."""
    num_rows = inputs.batch.num_rows
    morsels = _cut(fused, inputs, workers)
    if fused.clustered_by is None:
        return morsels
    first, stop = inputs.rows or (0, num_rows)
    starts = [morsel.start for morsel in morsels if first < morsel.start < stop]
    cuts = set(_group_starts(inputs.batch.columns[fused.clustered_by], starts).tolist())
    return cut_at(sorted({row for row in cuts if first < row < stop} | {first, stop})) or morsels


def _group_starts(column: Column, rows: list[int]) -> Array:
    """First rows of the groups that ``rows`` are in; the values of the column ascend, and are not decoded."""
    if isinstance(column, RunLengthColumn):
        runs = np.searchsorted(column.run_ends, rows, side="right")
        return np.concatenate((np.zeros(1, np.int64), column.run_ends))[runs]
    values = column.offsets if isinstance(column, FrameOfReferenceColumn) else column.values
    return np.searchsorted(values, values[rows], side="left")


def _dense_result(
    fused: FusedPipeline, sink: ir.GroupDense, inputs: Inputs, copies: list[list[Array]], workers: Workers
) -> list[Batch]:
    """Groups that saw a row, in key order.

    Workers take ranges of the domain, merge the copies of the states there, and make a batch of each.
    """
    assert fused.aggregates is not None, "an aggregating sink"
    row_count = fused.aggregates.row_count
    assert row_count is not None, "groups are told from gaps by their rows"
    batches: dict[int, Batch] = {}

    def work(morsels: Iterator[Morsel]) -> None:
        for morsel in morsels:
            part, *others = ([state[morsel.start : morsel.stop] for state in copy] for copy in copies)
            for other in others:
                merge(sink.accumulators, part, other, slice(None), np)
            groups = np.flatnonzero(part[row_count])
            if len(groups) < morsel.stop - morsel.start:
                part = [state[groups] for state in part]
            batches[morsel.sequence] = result_batch(fused, inputs, groups + morsel.start, part, np)

    workers.run(cut(fused.domain, workers.threads), work)
    return [batches[sequence] for sequence in sorted(batches)]


def _run_hash(
    fused: FusedPipeline,
    sink: ir.GroupHash,
    make_call: Callable[[], _Call],
    inputs: Inputs,
    workers: Workers,
    context: RunContext,
    memory: StateMemory,
) -> RowsResult:
    # Groups of one aggregation may be the rows of the next.
    kept = GroupTables(sink, fused.group_keys[0].attribute.id & 0xFFFF, memory)
    tables: list[GroupTable] = []
    lock = threading.Lock()

    def work(morsels: Iterator[Morsel]) -> None:
        call = make_call()
        table = kept.new(max(fused.fanout, min(fused.estimated_groups, INITIAL_GROUPS)))
        for morsel in morsels:
            context.check_cancelled()
            start = morsel.start
            while start < morsel.stop:
                start += call.run(start, morsel.stop, table.status, table.capacity, table.states.arguments)
                if start < morsel.stop:  # full
                    table = kept.grown(table)
        with lock:
            tables.append(table)

    workers.run(_cut(fused, inputs, workers), work)
    batches: dict[int, Batch] = {}

    def take(keys: Array, states: list[Array], place: int) -> None:
        batches[place] = result_batch(fused, inputs, keys, states, np)

    kept.merge(tables, context, take)
    return kept_result([batches[place] for place in sorted(batches)], context)
