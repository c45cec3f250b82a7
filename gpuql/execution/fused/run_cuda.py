"""Launches a compiled program over all rows at once, on a GPU or in Numba's simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.execution.fused.arguments import Inputs
from gpuql.execution.fused.driver import Consumer
from gpuql.execution.fused.lower import FusedPipeline
from gpuql.execution.fused.states import fold_replicas, new_states, result_batch
from gpuql.execution.fused.status import raise_status
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
        """See ``FusedDriver``. One batch; in order, the program put out row numbers to sort by."""
        _run_emit(fused, compiled, inputs, context, new_consumer())

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
) -> None:
    """Run a program that puts out rows; launched again with more room if they are more than expected."""
    xp = context.xp
    capacity = max(1, inputs.batch.num_rows)
    while True:
        status = xp.zeros(3, np.int64)
        buffers: list[Array] = []
        for output in fused.outputs:
            buffers.append(xp.empty(capacity, output.dtype))
            if output.operand.value.nullable:
                buffers.append(xp.empty(capacity, np.bool_))
        _, count = _launch(fused, compiled, inputs, context, capacity, status, buffers)
        if count <= capacity:
            break
        capacity = count
    consume(_output_batch(fused, buffers, count, xp), 0)


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
    xp, sink = context.xp, fused.program.sink
    assert fused.aggregates is not None, "an aggregating sink"
    if isinstance(sink, ir.GroupHash):
        return _run_hash(fused, sink, compiled, inputs, context)
    assert isinstance(sink, ir.Reduce | ir.GroupDense), "an aggregating sink"
    length = fused.domain * (sink.copies if isinstance(sink, ir.GroupDense) else 1)
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
        status = xp.asarray(np.array([0, 0, 64 - bits], np.int64))
        states = new_states(sink, 1 << bits, xp)
        code, _ = _launch(fused, compiled, inputs, context, 1 << (bits - 1), status, states.arguments)
        if code != ir.STATUS_FULL:
            break
        bits += 2
    assert states.keys is not None, "a hash table has keys"
    slots = xp.flatnonzero(states.keys >= 0)
    kept = [state[slots] for state in states.accumulators]
    return RowsResult([result_batch(fused, inputs, states.keys[slots], kept, xp)])
