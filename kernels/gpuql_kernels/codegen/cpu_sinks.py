"""Sinks of one CPU worker: states are its own, and rows go to buffers of its own."""

from __future__ import annotations

from functools import partial

from gpuql_kernels.codegen import program as ir
from gpuql_kernels.codegen.sinks import SinkEmitter


class CpuSinkEmitter(SinkEmitter):
    """Emits updates of states that one thread owns."""

    def open_state(self) -> None:
        """Bring state that lives in registers in from the state arrays."""
        sink = self.program.sink
        if isinstance(sink, ir.Emit):
            self.line("count = status[1]")
        if isinstance(sink, ir.Reduce):
            for position in range(len(sink.accumulators)):
                self.line(f"t{position} = s{position}[0]")

    def close_state(self) -> None:
        """Write register state back."""
        sink = self.program.sink
        if isinstance(sink, ir.Emit):
            self.line("status[1] = count")
        if isinstance(sink, ir.Reduce):
            for position in range(len(sink.accumulators)):
                self.line(f"s{position}[0] = t{position}")

    def put_row(self, sink: ir.Emit) -> None:
        """See ``SinkEmitter``."""
        self.store_row([self.value(value) for value in sink.values], "count")
        self.line("count += 1")

    def update_states(self, sink: ir.Reduce | ir.GroupDense | ir.GroupHash) -> None:
        """See ``SinkEmitter``."""
        if isinstance(sink, ir.GroupDense) and sink.replicas > 1:
            self.line(f"group = group * {sink.replicas} + (i & {sink.replicas - 1})")
        for position, accumulator in enumerate(sink.accumulators):
            if isinstance(sink, ir.Reduce):
                state = f"t{position}"
            else:
                array, index = self.state_of(sink, position, "group")
                state = f"{array}[{index}]"
            self.accumulate(accumulator, partial(self.local, accumulator, state))
