"""Sinks as lines of source, as far as both targets share them: which value updates which state, and when."""

from __future__ import annotations

from collections.abc import Callable

from gpuql_kernels.codegen import program as ir
from gpuql_kernels.codegen.probes import ProbeEmitter

#: Takes the text of a value and emits the update of one state.
Update = Callable[[str], None]


class SinkEmitter(ProbeEmitter):
    """Emits what happens to a row at the end of the pipeline; the targets say how states are kept."""

    def steps(self, remaining: list[ir.Step]) -> None:
        """Emit the first of the remaining steps around the others; the sink when none is left."""
        if not remaining:
            self.sink()
            return
        step, rest = remaining[0], remaining[1:]
        if isinstance(step, ir.Keep):
            self.keep(step.predicate, lambda: self.steps(rest))
        else:
            self.probe(step, lambda: self.steps(rest))

    def sink(self) -> None:
        """What happens to a row that has come through all steps."""
        sink = self.program.sink
        if isinstance(sink, ir.Emit):
            self.put_row(sink)
            return
        if isinstance(sink, ir.GroupHash):
            self.find_group(sink)
        elif isinstance(sink, ir.GroupDense):
            self.line(f"group = {self.packed_key(sink.keys)}")
        self.update_states(sink)

    def find_group(self, sink: ir.GroupHash) -> None:
        """Emit ``group``: the slot of the row's key."""
        if sink.key_words == 1:
            self.line(f"group = {self.packed_key(sink.keys)}")
            self.line("group = group_slot(table, status, capacity, group)")
            return
        words = [
            self.packed_key(tuple(part for part in sink.keys if part.word == word))
            for word in range(sink.key_words)
        ]
        self.line(f"key = ({', '.join(f'np.int64({word})' for word in words)})")
        self.line("group = group_slot_of_words(table, status, capacity, key)")

    def put_row(self, sink: ir.Emit) -> None:
        """Append the row to the output arrays."""
        raise NotImplementedError

    def update_states(self, sink: ir.Reduce | ir.GroupDense | ir.GroupHash) -> None:
        """Update the states of the row's ``group``, or the only ones."""
        raise NotImplementedError

    def packed_key(self, keys: tuple[ir.KeyPart, ...]) -> str:
        """Text of a word of the packed group key, whose parts are always in range."""
        terms = []
        for part in keys:
            code, _ = self.key_code(part, checked=False)
            terms.append(code if len(keys) == 1 else f"{code} * a{part.stride}")
        return " + ".join(terms)

    @staticmethod
    def identity(accumulator: ir.Accumulator) -> str:
        """Value that leaves any other unchanged."""
        if accumulator.kind == "min":
            return "MAX_INT64" if accumulator.dtype == "int64" else "NAN"
        if accumulator.kind == "max":
            return "MIN_INT64" if accumulator.dtype == "int64" else "NEGATIVE_INFINITY"
        return f"np.{accumulator.dtype}(0)"

    def store_row(self, pairs: list[tuple[str, str | None]], where: str) -> None:
        """Write values and validities at a position of the output arrays."""
        sink = self.program.sink
        assert isinstance(sink, ir.Emit), "only Emit stores rows"
        for position, ((value, valid), node) in enumerate(zip(pairs, sink.values, strict=True)):
            self.line(f"o{position}[{where}] = {value}")
            if node.nullable:
                self.line(f"m{position}[{where}] = {valid or 'True'}")

    def accumulate(self, accumulator: ir.Accumulator, update: Update) -> None:
        """Update with the row's value where the filter holds and the value is not NULL."""
        if accumulator.filter is not None:
            with self.block(f"if {self.truth(accumulator.filter)}:"):
                self.accumulate_value(accumulator, update)
        else:
            self.accumulate_value(accumulator, update)

    def accumulate_value(self, accumulator: ir.Accumulator, update: Update) -> None:
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

    @staticmethod
    def state_of(sink: ir.Sink, position: int, group: str) -> tuple[str, str]:
        """Array and index of the state of accumulator ``position``."""
        assert not isinstance(sink, ir.Emit), "only aggregates have states"
        if not isinstance(sink, ir.GroupHash):
            return f"s{position}", group
        array = "floats" if sink.accumulators[position].dtype.startswith("float") else "table"
        return array, f"{group}, {sink.key_words + position}"
