"""Sinks as lines of source: rows put out, and states updated by one thread or by many."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gpuql_kernels.codegen import program as ir
from gpuql_kernels.codegen.probes import ProbeEmitter


class SinkEmitter(ProbeEmitter):
    """Emits what happens to a row at the end of the pipeline."""

    def open_state(self) -> None:
        """Bring state that lives in registers in from the state arrays."""
        sink = self.program.sink
        if isinstance(sink, ir.Emit) and self.on_cpu:
            self.line("count = status[1]")
        if isinstance(sink, ir.Reduce):
            for position, accumulator in enumerate(sink.accumulators):
                start = f"s{position}[0]" if self.on_cpu else self.identity(accumulator)
                self.line(f"t{position} = {start}")

    def close_state(self) -> None:
        """Write register state back."""
        sink = self.program.sink
        if isinstance(sink, ir.Emit) and self.on_cpu:
            self.line("status[1] = count")
        if isinstance(sink, ir.Reduce):
            for position, accumulator in enumerate(sink.accumulators):
                if self.on_cpu:
                    self.line(f"s{position}[0] = t{position}")
                else:
                    self.accumulate_shared(accumulator, f"s{position}", "0", f"t{position}")

    @staticmethod
    def identity(accumulator: ir.Accumulator) -> str:
        """Value that leaves any other unchanged."""
        if accumulator.kind == "min":
            return "MAX_INT64" if accumulator.dtype == "int64" else "NAN"
        if accumulator.kind == "max":
            return "MIN_INT64" if accumulator.dtype == "int64" else "NEGATIVE_INFINITY"
        return f"np.{accumulator.dtype}(0)"

    def sink(self) -> None:
        """What happens to a row that has come through all steps."""
        sink = self.program.sink
        if isinstance(sink, ir.Emit):
            self.emit_row(sink)
        elif isinstance(sink, ir.Reduce):
            for position, accumulator in enumerate(sink.accumulators):
                self.accumulate(accumulator, partial(self.local, accumulator, f"t{position}"))
        else:
            group = "group"
            terms = []
            for part in sink.keys:
                code, _ = self.key_code(part, checked=False)
                terms.append(code if len(sink.keys) == 1 else f"{code} * a{part.stride}")
            self.line(f"{group} = {' + '.join(terms)}")
            if isinstance(sink, ir.GroupDense) and sink.replicas > 1:
                self.line(f"{group} = {group} * {sink.replicas} + (i & {sink.replicas - 1})")
            if isinstance(sink, ir.GroupHash):
                self.line(f"{group} = group_slot(table, status, capacity, {group})")
                with self.block(f"if {group} >= 0:"):
                    self.accumulate_group(sink.accumulators, group)
            else:
                self.accumulate_group(sink.accumulators, group)

    def emit_row(self, sink: ir.Emit) -> None:
        """Append the row to the output arrays."""
        pairs = [self.value(value) for value in sink.values]
        if self.on_cpu:
            where = "count"
            self.store_row(pairs, where)
            self.line("count += 1")
            return
        self.line("slot = cuda.atomic.add(status, 1, 1)")
        with self.block("if slot < capacity:"):
            self.store_row(pairs, "slot")

    def store_row(self, pairs: list[tuple[str, str | None]], where: str) -> None:
        """Write values and validities at a position of the output arrays."""
        sink = self.program.sink
        assert isinstance(sink, ir.Emit), "only Emit stores rows"
        for position, ((value, valid), node) in enumerate(zip(pairs, sink.values, strict=True)):
            self.line(f"o{position}[{where}] = {value}")
            if node.nullable:
                self.line(f"m{position}[{where}] = {valid or 'True'}")

    def accumulate_group(self, accumulators: tuple[ir.Accumulator, ...], group: str) -> None:
        """Update all states of a group."""
        for position, accumulator in enumerate(accumulators):
            state, index = self.state_of(position, group)
            if self.on_cpu:
                update = partial(self.local, accumulator, f"{state}[{index}]")
            else:
                update = partial(self.accumulate_shared, accumulator, state, f"({index})")
            self.accumulate(accumulator, update)

    def state_of(self, position: int, group: str) -> tuple[str, str]:
        """Array and index of the state of accumulator ``position``."""
        sink = self.program.sink
        assert not isinstance(sink, ir.Emit), "only aggregates have states"
        if not isinstance(sink, ir.GroupHash):
            return f"s{position}", group
        array = "floats" if sink.accumulators[position].dtype.startswith("float") else "table"
        return array, f"{group}, {position + 1}"

    def accumulate(self, accumulator: ir.Accumulator, update: Callable[[str], None]) -> None:
        """Update with the row's value where the filter holds and the value is not NULL."""
        if accumulator.filter is not None:
            with self.block(f"if {self.truth(accumulator.filter)}:"):
                self.accumulate_value(accumulator, update)
        else:
            self.accumulate_value(accumulator, update)

    def accumulate_value(self, accumulator: ir.Accumulator, update: Callable[[str], None]) -> None:
        """Update with the row's value unless it is NULL."""
        if accumulator.value is None:
            update("1")
            return
        value, valid = self.value(accumulator.value)
        text = {
            "count": "1",
            "sum_low": f"np.int64({value}) & 0xFFFFFFFF",
            "sum_high": f"np.int64({value}) >> 32",
        }.get(accumulator.kind, f"np.{accumulator.dtype}({value})")
        if valid is None:
            update(text)
            return
        with self.block(f"if {valid}:"):
            update(text)

    def local(self, accumulator: ir.Accumulator, state: str, value: str) -> None:
        """Update state that one thread owns."""
        if accumulator.kind in ("min", "max"):
            less = "float_less" if accumulator.dtype == "float64" else "integer_less"
            new = self.fresh("new")
            self.line(f"{new} = {value}")
            order = f"{new}, {state}" if accumulator.kind == "min" else f"{state}, {new}"
            with self.block(f"if {less}({order}):"):
                self.line(f"{state} = {new}")
        elif accumulator.kind in ("any", "seen"):
            self.line(f"{state} = {value}")
        else:
            self.line(f"{state} += {value}")

    def accumulate_shared(self, accumulator: ir.Accumulator, state: str, group: str, value: str) -> None:
        """Update state that many threads share."""
        kind = accumulator.kind
        if kind in ("min", "max") and accumulator.dtype == "float64":
            self.float_extreme_shared(kind, state, group, value)
        elif kind in ("min", "max"):
            self.line(f"cuda.atomic.{kind}({state}, {group}, {value})")
        elif kind in ("any", "seen"):
            self.line(f"{state}[{group}] = {value}")
        else:
            self.line(f"cuda.atomic.add({state}, {group}, {value})")

    def float_extreme_shared(self, kind: str, state: str, group: str, value: str) -> None:
        """NaN is greater than all: ``nanmin`` replaces it, and ``max``, which leaves a NaN alone, never writes one."""
        new = self.fresh("new")
        self.line(f"{new} = {value}")
        with self.block(f"if {new} == {new}:"):
            self.line(f"cuda.atomic.{'nanmin' if kind == 'min' else 'max'}({state}, {group}, {new})")
        if kind == "max":
            with self.block("else:"):
                self.line(f"{state}[{group}] = {new}")
