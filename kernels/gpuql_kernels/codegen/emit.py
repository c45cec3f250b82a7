"""Program to Python source that Numba compiles, for CPU morsels or for a CUDA grid.

The text depends on the shape of the query alone: literals, table sizes and key domains are arguments. Names are
positional (``a3`` is argument 3), so user text never reaches it.

Shape of a CPU function (one call per morsel of ``n`` rows)::

    for base in range(0, n, CHUNK):
        mask loop     early predicates, branch-free so that it vectorises
        select loop   positions of kept rows
        stage loops   one per filter or lookup that gives at most one match: each shrinks the selection without a
                      branch, so cache misses of many rows overlap and nothing is mispredicted
        row loop      what is left of the steps, and the sink, nested

It returns the number of source rows taken; fewer than ``n`` with status FULL asks for more room and a further call.
A CUDA kernel (``grid``) enumerates rows by grid stride and reports FULL for the whole launch.
"""

from __future__ import annotations

import itertools

from gpuql_kernels.codegen import program as ir
from gpuql_kernels.codegen.grid import GridEmitter
from gpuql_kernels.codegen.stages import StageEmitter, is_stage
from gpuql_kernels.thresholds import CHUNK_ROWS

_CPU_IMPORTS = "from numba import njit\n\nfrom gpuql_kernels.scalar.cpu import *"
_CUDA_IMPORTS = "from numba import cuda\n\nfrom gpuql_kernels.scalar.gpu import *"


def emit(program: ir.Program, target: str) -> str:
    """Source text of ``pipeline`` for ``target`` "cpu" or "cuda"; equal programs give equal text."""
    if target == "cpu":
        loops = LoopEmitter(program, target)
        loops.cpu_body()
        decorator = "@njit(nogil=True, cache=True, error_model='numpy')"
        return _module(program, target, _CPU_IMPORTS, decorator, loops.lines)
    grid = GridEmitter(program, target)
    grid.cuda_body()
    return _module(program, target, _CUDA_IMPORTS, "@cuda.jit(cache=True)", grid.lines)


def state_names(sink: ir.Sink) -> list[str]:
    """Names of the sink's state arguments, in the order in which a caller passes them."""
    if isinstance(sink, ir.Emit):
        return [
            name
            for position, value in enumerate(sink.values)
            for name in ([f"o{position}", f"m{position}"] if value.nullable else [f"o{position}"])
        ]
    if isinstance(sink, ir.GroupHash):
        return ["table", "floats"]
    return [f"s{position}" for position in range(len(sink.accumulators))]


def parameter_names(program: ir.Program, target: str) -> list[str]:
    """All parameters of the generated function in order."""
    scratch = ["mask", "selection"] if target == "cpu" else []
    arguments = [f"a{position}" for position in range(len(program.arguments))]
    return ["n", "status", "capacity", "fanout", *scratch, *state_names(program.sink), *arguments]


def _module(program: ir.Program, target: str, imports: str, decorator: str, lines: list[str]) -> str:
    """The whole module: imports, declared argument types, the function."""
    parameters = ", ".join(parameter_names(program, target))
    types = ", ".join(f"{a.kind} {a.dtype}" for a in program.arguments)
    body = "\n".join(lines)
    return (
        f"import numpy as np\n{imports}\n\n# {types}\n\n\n{decorator}\ndef pipeline({parameters}):\n{body}\n"
    )


class LoopEmitter(StageEmitter):
    """Writes the body of a CPU function."""

    def cpu_body(self) -> None:
        """Loops over chunks: mask, stages, then what is left of the steps, and the sink."""
        self.open_state()
        steps = list(self.program.steps)
        early = list(itertools.takewhile(lambda step: isinstance(step, ir.Keep) and step.early, steps))
        staged = list(itertools.takewhile(is_stage, steps[len(early) :]))
        rest = steps[len(early) + len(staged) :]
        for step in staged:
            if isinstance(step, ir.Probe):
                self.open_stage(step)
        with self.block(f"for base in range(0, n, {CHUNK_ROWS}):"):
            self.line(f"m = min({CHUNK_ROWS}, n - base)")
            for position, argument in enumerate(self.program.arguments):
                if argument.kind == "column":
                    self.line(f"c{position} = a{position}[base:base + m]")
            if early:
                self.mask_and_select([step.predicate for step in early if isinstance(step, ir.Keep)])
                self.selecting = True
            for step in staged:
                self.stage(step)
            with self.selected_rows("kept"):
                self.row_body(rest)
        self.close_state()
        self.line("return n")

    def row_body(self, steps: list[ir.Step]) -> None:
        """The steps of one row, after a look at the room that is left."""
        if isinstance(self.program.sink, ir.Emit | ir.GroupHash):
            used = "count" if isinstance(self.program.sink, ir.Emit) else "status[1]"
            with self.block(f"if {used} + fanout > capacity:"):
                self.line(f"status[0] = {ir.STATUS_FULL}")
                self.close_state()
                self.line("return base + i")
        self.steps(steps)
