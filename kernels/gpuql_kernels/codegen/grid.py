"""The CUDA form of a pipeline: every thread strides over the rows, several at a time, and threads meet in few places.

What costs on a GPU is waiting: for loads that depend on one another, and for other threads at one address. So early
predicates of several rows are evaluated without a branch, from loads that are all in flight at once; sums without a
group, or with a handful of groups, stay in registers and meet once a block; those of a few hundred groups stay in the
block's shared memory; and rows are put out with one atomic a warp rather than one a row.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial

from gpuql_kernels.codegen import program as ir
from gpuql_kernels.codegen.sinks import SinkEmitter, Update
from gpuql_kernels.thresholds import ROWS_PER_STEP

#: Threads of a warp.
WARP_LANES = 32
#: Bytes of shared memory that a block may declare on every supported GPU.
SHARED_BYTES = 48 * 1024


class GridEmitter(SinkEmitter):
    """Writes the body of a kernel."""

    row_index = "j"

    def cuda_body(self) -> None:
        """Prologue, the loop over the rows of this thread, epilogue."""
        self.open_state()
        steps = list(self.program.steps)
        early = list(itertools.takewhile(lambda step: isinstance(step, ir.Keep) and step.early, steps))
        predicates = [step.predicate for step in early if isinstance(step, ir.Keep)]
        self.line("stride = np.int64(cuda.gridsize(1))")
        if not predicates:
            with self.block("for i in range(np.int64(cuda.grid(1)), n, stride):"):
                self.line("j = np.uint64(i)")
                self.steps(steps)
        else:
            with self.block(f"for start in range(np.int64(cuda.grid(1)), n, {ROWS_PER_STEP} * stride):"):
                self.test_rows(predicates)
                with self.block(f"for k in range({ROWS_PER_STEP}):"), self.block("if (bits >> k) & 1:"):
                    self.line("i = start + k * stride")
                    self.line("j = np.uint64(i)")
                    self.steps(steps[len(early) :])
        self.close_state()

    def test_rows(self, predicates: list[ir.Value]) -> None:
        """Emit ``bits``: bit k says that row ``start + k * stride`` is there and fulfils all predicates."""
        self.line("bits = np.int32(0)")
        for k in range(ROWS_PER_STEP):
            known = dict(self.values), dict(self.truth_names)
            here = "True"
            if k:
                self.line(f"i = start + {k} * stride")
                here = self.name("i < n", "t")
                self.line("j = np.uint64(min(i, n - 1))")
            else:
                self.line("j = np.uint64(start)")
            truths = " & ".join(self.truth(predicate) for predicate in predicates)
            self.line(f"bits |= np.int32({here} & {truths}) << {k}")
            self.values, self.truth_names = known

    # --- rows put out ------------------------------------------------------------------------------------------------

    def put_row(self, sink: ir.Emit) -> None:
        """See ``SinkEmitter``. Rows beyond the capacity are counted only."""
        pairs = [self.value(value) for value in sink.values]
        self.line("slot = next_slot(status)")
        with self.block("if slot < capacity:"):
            self.store_row(pairs, "slot")

    # --- states ------------------------------------------------------------------------------------------------------

    def open_state(self) -> None:
        """States of this block and of this thread that no row has touched."""
        states = block_states(self.program.sink)
        if states is None:
            return
        self.open_shared(states)
        if states.in_registers:
            for group in range(states.groups):
                for position, accumulator in states.folded:
                    self.line(f"t{position}_{group} = {self.identity(accumulator)}")

    def close_state(self) -> None:
        """Hand what this thread and then this block found to the states of all."""
        states = block_states(self.program.sink)
        if states is None:
            return
        if states.in_registers:
            for group in range(states.groups):
                self.line(f"cell = {group * states.replicas} + (cuda.threadIdx.x & {states.replicas - 1})")
                for position, accumulator in states.folded:
                    self.update_block(position, accumulator, f"t{position}_{group}")
        self.close_shared(states)

    def update_states(self, sink: ir.Reduce | ir.GroupDense | ir.GroupHash) -> None:
        """See ``SinkEmitter``. Values come first: loads are not moved across the atomics of other updates."""
        if isinstance(sink, ir.GroupHash):
            with self.block("if group >= 0:"):
                self.update_all(sink)
            return
        states = block_states(sink)
        if states is None:
            assert isinstance(sink, ir.GroupDense), "other sinks have states of a block"
            if sink.replicas > 1:
                self.line(f"group = group * {sink.replicas} + (i & {sink.replicas - 1})")
        elif not states.in_registers:
            self.line(f"cell = group * {states.replicas} + (cuda.threadIdx.x & {states.replicas - 1})")
        self.update_all(sink)

    def update_all(self, sink: ir.Reduce | ir.GroupDense | ir.GroupHash) -> None:
        """One update for each accumulator."""
        for accumulator in sink.accumulators:
            if accumulator.filter is None and accumulator.value is not None:
                self.value(accumulator.value)
        for position, accumulator in enumerate(sink.accumulators):
            self.accumulate(accumulator, self.update_of(sink, position, accumulator))

    def update_of(
        self, sink: ir.Reduce | ir.GroupDense | ir.GroupHash, position: int, accumulator: ir.Accumulator
    ) -> Update:
        """What emits the update of one state."""
        states = None if is_written(accumulator) else block_states(sink)
        if states is None:
            array, index = self.state_of(sink, position, "0" if isinstance(sink, ir.Reduce) else "group")
            return partial(self.update_shared, accumulator, array, index)
        if states.in_registers:
            return partial(self.update_registers, states.groups, position, accumulator)
        return partial(self.update_block, position, accumulator)

    def update_registers(self, groups: int, position: int, accumulator: ir.Accumulator, value: str) -> None:
        """Update the register of the row's group: one of few, so each is tried."""
        if groups == 1:
            self.local(accumulator, f"t{position}_0", value)
            return
        new = self.name(value, "new")
        for group in range(groups):
            with self.block(f"if group == {group}:"):
                self.local(accumulator, f"t{position}_{group}", new)

    def update_shared(self, accumulator: ir.Accumulator, array: str, index: str, value: str) -> None:
        """Update state that many threads share."""
        kind = accumulator.kind
        where = f"({index})" if "," in index else index
        if kind in ("min", "max") and accumulator.dtype == "float64":
            self.float_extreme_shared(kind, array, where, value)
        elif kind in ("min", "max"):
            self.line(f"cuda.atomic.{kind}({array}, {where}, {value})")
        elif kind in ("any", "seen"):
            self.line(f"{array}[{where}] = {value}")
        else:
            self.line(f"cuda.atomic.add({array}, {where}, {value})")

    def float_extreme_shared(self, kind: str, state: str, group: str, value: str) -> None:
        """NaN is greater than all: ``nanmin`` replaces it, and ``max``, which leaves a NaN alone, never writes one."""
        new = self.fresh("new")
        self.line(f"{new} = {value}")
        with self.block(f"if {new} == {new}:"):
            self.line(f"cuda.atomic.{'nanmin' if kind == 'min' else 'max'}({state}, {group}, {new})")
        if kind == "max":
            with self.block("else:"):
                self.line(f"{state}[{group}] = {new}")

    # --- states of a block in shared memory --------------------------------------------------------------------------

    def open_shared(self, states: BlockStates) -> None:
        """Arrays of the block, one state per group and replica; integer sums are two words, added to one by one."""
        cells = states.groups * states.replicas
        for position, accumulator in states.folded:
            if is_two_words(accumulator):
                self.line(f"low{position} = cuda.shared.array({cells}, np.uint32)")
                self.line(f"high{position} = cuda.shared.array({cells}, np.int32)")
            else:
                self.line(f"own{position} = cuda.shared.array({cells}, np.{accumulator.dtype})")
        with self.block(f"for cell in range(cuda.threadIdx.x, {cells}, cuda.blockDim.x):"):
            for position, accumulator in states.folded:
                if is_two_words(accumulator):
                    self.line(f"low{position}[cell] = 0")
                    self.line(f"high{position}[cell] = 0")
                else:
                    self.line(f"own{position}[cell] = {self.identity(accumulator)}")
        self.line("cuda.syncthreads()")

    def update_block(self, position: int, accumulator: ir.Accumulator, value: str) -> None:
        """Update the block's state of the row's cell."""
        if is_two_words(accumulator):
            self.line(f"add_two_words(low{position}, high{position}, cell, {value})")
        else:
            self.update_shared(accumulator, f"own{position}", "cell", value)

    def close_shared(self, states: BlockStates) -> None:
        """Each thread folds the replicas of some groups and hands the outcome on."""
        if not states.folded:
            return
        replicas = states.replicas
        self.line("cuda.syncthreads()")
        self.line(f"groups = np.int64(min({states.groups}, len(s{states.folded[0][0]})))")
        with self.block("for group in range(np.int64(cuda.threadIdx.x), groups, np.int64(cuda.blockDim.x)):"):
            for position, accumulator in states.folded:
                self.line(f"t{position} = {self.identity(accumulator)}")
            with self.block(f"for cell in range(group * {replicas}, (group + 1) * {replicas}):"):
                for position, accumulator in states.folded:
                    if is_two_words(accumulator):
                        self.line(f"t{position} += join_words(low{position}[cell], high{position}[cell])")
                    else:
                        self.local(accumulator, f"t{position}", f"own{position}[cell]")
            for position, accumulator in states.folded:
                with self.block(f"if t{position} != {self.identity(accumulator)}:"):
                    self.update_shared(accumulator, f"s{position}", "group", f"t{position}")


@dataclass(frozen=True, eq=False)
class BlockStates:
    """States that a block keeps: ``replicas`` of each of ``groups`` groups; at first ``in_registers`` of its threads.

    ``folded`` are the accumulators, with their positions, that have such states.
    """

    groups: int
    replicas: int
    in_registers: bool
    folded: list[tuple[int, ir.Accumulator]]


def block_states(sink: ir.Sink) -> BlockStates | None:
    """What a block keeps for a sink; None if rows go to the state arrays at once."""
    if isinstance(sink, ir.Reduce):
        groups, replicas, in_registers = 1, WARP_LANES, True
    elif isinstance(sink, ir.GroupDense) and sink.shared_groups:
        groups, replicas, in_registers = sink.shared_groups, sink.replicas, sink.in_registers
    else:
        return None
    folded = [item for item in enumerate(sink.accumulators) if not is_written(item[1])]
    return BlockStates(groups, replicas, in_registers, folded)


def is_written(accumulator: ir.Accumulator) -> bool:
    """Whether rows write the state instead of adding to it: whoever comes last is right."""
    return accumulator.kind in ("any", "seen")


def is_two_words(accumulator: ir.Accumulator) -> bool:
    """Whether a block keeps the sum as two 32-bit words: shared memory adds such natively, wider ones by retrying."""
    return accumulator.kind in ("sum", "sum_low", "sum_high") and accumulator.dtype == "int64"


def shared_bytes(accumulators: tuple[ir.Accumulator, ...]) -> int:
    """Bytes of shared memory that one group's states take."""
    sizes = {"int32": 4, "float32": 4}
    return sum(sizes.get(accumulator.dtype, 8) for accumulator in accumulators if not is_written(accumulator))
