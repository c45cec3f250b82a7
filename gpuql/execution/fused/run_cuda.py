"""Launches a compiled program over all rows at once, on a GPU or in Numba's simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.columnar.parts import mapped
from gpuql.execution.fused.arguments import Inputs
from gpuql.execution.fused.driver import Consumer
from gpuql.execution.fused.lower import FusedPipeline
from gpuql.execution.fused.states import fold_replicas, new_states, result_batch, used_slots
from gpuql.execution.fused.status import raise_status
from gpuql.memory import faults
from gpuql.memory.budget import Reservation
from gpuql.operators.contract import RowsResult, RunContext
from gpuql_kernels.codegen import program as ir
from gpuql_kernels.codegen.gpu import CompiledKernel, compile_program
from gpuql_kernels.grid.gpu import launch


class GridDriver:
    """A ``FusedDriver`` that launches one kernel over all rows."""

    on_grid = True

    def compile(self, program: ir.Program) -> CompiledKernel:
        """See ``FusedDriver``."""
        return compile_program(program)

    def ready(self, fused: FusedPipeline, compiled: CompiledKernel, inputs: Inputs, *, wait: bool) -> bool:
        """See ``FusedDriver``: kernels are compiled at their first launch."""
        return True

    def run_emit(
        self,
        fused: FusedPipeline,
        compiled: CompiledKernel,
        inputs: Inputs,
        context: RunContext,
        new_consumer: Callable[[], Consumer],
        *,
        in_order: bool,
    ) -> None:
        """See ``FusedDriver``. Few batches; in order, the program put out row numbers to sort by."""
        _run_emit(fused, compiled, inputs, context, new_consumer(), 0)

    def run_aggregate(
        self, fused: FusedPipeline, compiled: CompiledKernel, inputs: Inputs, context: RunContext
    ) -> RowsResult:
        """See ``FusedDriver``."""
        return _run_aggregate(fused, compiled, inputs, context)


def _launch(
    fused: FusedPipeline,
    compiled: CompiledKernel,
    inputs: Inputs,
    context: RunContext,
    capacity: int,
    status: Array,
    state: list[Array],
) -> tuple[int, int]:
    """Run the kernel; returns the status code and the count in ``status[1]``."""
    context.check_cancelled()
    num_rows = inputs.batch.num_rows
    launch(compiled.kernel, num_rows, status, capacity, fused.fanout, *state, *fused.arguments(inputs))
    code, count = (int(value) for value in status[:2].tolist())
    raise_status(code)
    return code, count


def _run_emit(
    fused: FusedPipeline,
    compiled: CompiledKernel,
    inputs: Inputs,
    context: RunContext,
    consume: Consumer,
    place: int,
) -> int:
    """Run a program that puts out rows; the place in order after them.

    Where memory has no room for as many rows as came in they are counted first, and where it has none for what goes
    out either, the halves of the rows are run one after the other.
    """
    num_rows = inputs.batch.num_rows
    row_bytes = _output_row_bytes(fused)
    capacity = max(1, num_rows)
    held = context.memory.try_reserve(capacity * row_bytes, "pipeline")
    if held is None:
        capacity = max(1, _launch_emit(fused, compiled, inputs, context, 0)[1])
        held = _reserve_unless_divisible(capacity * row_bytes, num_rows, context)
    while held is not None:
        with held:
            buffers, count = _launch_emit(fused, compiled, inputs, context, capacity)
            if count <= capacity:
                if 2 * count < capacity:  # rows that are kept would keep all of the buffers
                    buffers = [buffer[:count].copy() for buffer in buffers]
                    held.resize(count * row_bytes)
                consume(_output_batch(fused, buffers, count, context.xp), place)
                return place + 1
            del buffers
        capacity = count
        held = _reserve_unless_divisible(capacity * row_bytes, num_rows, context)
    for start, stop in ((0, num_rows // 2), (num_rows // 2, num_rows)):
        place = _run_emit(fused, compiled, _part(inputs, start, stop), context, consume, place)
    return place


def _reserve_unless_divisible(num_bytes: int, num_rows: int, context: RunContext) -> Reservation | None:
    """Memory for what ``num_rows`` rows give; None if there is too little, but for one row, which must have it."""
    if num_rows <= 1:
        return context.memory.reserve(num_bytes, "pipeline")
    return context.memory.try_reserve(num_bytes, "pipeline")


def _output_row_bytes(fused: FusedPipeline) -> int:
    """Bytes of a row put out; twice with its number and place, if rows are then brought into order."""
    total = sum(np.dtype(output.dtype).itemsize + output.operand.value.nullable for output in fused.outputs)
    ordered = any(output.attribute is None for output in fused.outputs)
    return max(1, 2 * total + 16 if ordered else total)


def _launch_emit(
    fused: FusedPipeline, compiled: CompiledKernel, inputs: Inputs, context: RunContext, capacity: int
) -> tuple[list[Array], int]:
    """Buffers with the first ``capacity`` rows that the program puts out, and how many it would put out."""
    xp = context.xp
    faults.passing(faults.ALLOCATION)
    status = xp.zeros(3, np.int64)
    buffers: list[Array] = []
    for output in fused.outputs:
        buffers.append(xp.empty(max(1, capacity), output.dtype))
        if output.operand.value.nullable:
            buffers.append(xp.empty(max(1, capacity), np.bool_))
    return buffers, _launch(fused, compiled, inputs, context, capacity, status, buffers)[1]


def _part(inputs: Inputs, start: int, stop: int) -> Inputs:
    """Inputs of some rows, in the form of all of them."""
    columns = {key: _rows(column, start, stop) for key, column in inputs.batch.columns.items()}
    computed = {key: _rows(column, start, stop) for key, column in inputs.computed.items()}
    return Inputs(Batch(columns, stop - start), inputs.results, inputs.evaluate, computed)


def _rows(column: Column, start: int, stop: int) -> Column:
    return mapped(column, lambda array: array[start:stop], column.strings)


def _output_batch(fused: FusedPipeline, buffers: list[Array], num_rows: int, xp: Any) -> Batch:
    """The rows put out; in source order if the program also put out row numbers."""
    arrays = iter(array[:num_rows] for array in buffers)
    columns: dict[int, Column] = {}
    order = None
    for output in fused.outputs:
        values = next(arrays)
        validity = next(arrays) if output.operand.value.nullable else None
        if output.attribute is None:
            order = xp.argsort(values, kind="stable")
            continue
        operand = output.operand
        columns[output.attribute.id] = Column(
            operand.dtype, values, validity, operand.strings, operand.bounds
        )
    batch = Batch(columns, num_rows)
    return batch if order is None else batch.take(order)


def _run_aggregate(
    fused: FusedPipeline, compiled: CompiledKernel, inputs: Inputs, context: RunContext
) -> RowsResult:
    """Run a program that ends in an aggregation."""
    sink = fused.program.sink
    if isinstance(sink, ir.GroupHash):
        return _run_hash(fused, sink, compiled, inputs, context)
    assert isinstance(sink, ir.Reduce | ir.GroupDense), "an aggregating sink"
    length = fused.domain * (sink.copies if isinstance(sink, ir.GroupDense) else 1)
    with context.memory.reserve(_state_bytes(sink, length), "aggregation"):
        return _run_dense(fused, sink, compiled, inputs, context, length)


def _run_dense(
    fused: FusedPipeline,
    sink: ir.Reduce | ir.GroupDense,
    compiled: CompiledKernel,
    inputs: Inputs,
    context: RunContext,
    length: int,
) -> RowsResult:
    xp = context.xp
    assert fused.aggregates is not None, "an aggregating sink"
    held = new_states(sink, length, xp)
    _launch(fused, compiled, inputs, context, 0, xp.zeros(3, np.int64), held.arguments)
    states = held.accumulators
    if fused.aggregates.row_count is None:
        return RowsResult([result_batch(fused, inputs, None, states, xp)])
    if isinstance(sink, ir.GroupDense):
        states = fold_replicas(sink, states, xp)
    packed = xp.flatnonzero(states[fused.aggregates.row_count])
    return RowsResult([result_batch(fused, inputs, packed, [state[packed] for state in states], xp)])


def _run_hash(
    fused: FusedPipeline, sink: ir.GroupHash, compiled: CompiledKernel, inputs: Inputs, context: RunContext
) -> RowsResult:
    """Launched again with a larger table when it fills up: the state starts afresh, so no row counts twice."""
    xp = context.xp
    bits = max(10, (4 * fused.estimated_groups - 1).bit_length())
    while True:
        with context.memory.reserve(_state_bytes(sink, 1 << bits), "aggregation"):
            status = xp.asarray(np.array([0, 0, 64 - bits], np.int64))
            states = new_states(sink, 1 << bits, xp)
            code, _ = _launch(fused, compiled, inputs, context, 1 << (bits - 1), status, states.arguments)
            if code != ir.STATUS_FULL:
                assert states.keys is not None, "a hash table has keys"
                slots = used_slots(states.keys, xp)
                kept = [state[slots] for state in states.accumulators]
                groups = context.memory.new_store("aggregation")
                groups.append(result_batch(fused, inputs, states.keys[slots], kept, xp))
                return RowsResult(groups)
            del states
        bits += 2


def _state_bytes(sink: ir.Sink, length: int) -> int:
    """Bytes of ``length`` states, and of the groups that are taken out of them: at most as many."""
    if isinstance(sink, ir.GroupHash):
        return 2 * 8 * sink.row_words * length
    assert isinstance(sink, ir.Reduce | ir.GroupDense), "an aggregating sink"
    state_bytes = sum(np.dtype(accumulator.dtype).itemsize for accumulator in sink.accumulators)
    return (2 * state_bytes + 8) * length
