"""Filters and lookups with at most one match as loops of their own over a chunk of rows (CPU only).

Each loop shrinks the selection without a branch, so that cache misses of many rows overlap and nothing is
mispredicted. What a lookup found stays in an array of the chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from gpuql_kernels.codegen import program as ir
from gpuql_kernels.codegen.cpu_sinks import CpuSinkEmitter
from gpuql_kernels.thresholds import CHUNK_ROWS


class StageEmitter(CpuSinkEmitter):
    """Emits stages. ``selecting``: the rows of a chunk that go on are listed in ``selection``."""

    def __init__(self, program: ir.Program, target: str) -> None:
        super().__init__(program, target)
        self.selecting = False

    def mask_and_select(self, predicates: list[ir.Value]) -> None:
        """Loops that list the rows of the chunk for which all predicates are true."""
        with self.block("for i in range(m):"):
            truths = [self.truth(predicate) for predicate in predicates]
            self.line(f"mask[i] = {' & '.join(truths)}")
        self.line("kept = 0")
        with self.block("for i in range(m):"):
            self.line("selection[kept] = i")
            self.line("kept += mask[i]")

    @contextmanager
    def selected_rows(self, count: str) -> Iterator[None]:
        """Loop over the rows selected so far (``count`` of them), or over all rows of the chunk."""
        if not self.selecting:
            with self.block("for i in range(m):"):
                yield
            return
        with self.block(f"for position in range({count}):"):
            self.line("i = np.int64(selection[position])")
            yield

    def open_stage(self, probe: ir.Probe) -> None:
        """Arrays of a chunk in which a stage leaves its result: the matched row, or the mark, of each row."""
        number = self.ordinal(probe)
        if probe.kind == "mark":
            self.line(f"found{number} = np.empty({CHUNK_ROWS}, np.bool_)")
            self.line(f"known{number} = np.empty({CHUNK_ROWS}, np.bool_)")
        elif probe.kind not in ("semi", "anti"):
            assert probe.index is not None, "a stage looks up one row"
            assert probe.index.first is not None, "a stage looks up one row"
            dtype = self.program.arguments[probe.index.first].dtype
            self.line(f"rows{number} = np.empty({CHUNK_ROWS}, np.{dtype})")

    def stage(self, step: ir.Step) -> None:
        """The loop, or loops, of one step."""
        if isinstance(step, ir.Keep):
            self.refine(lambda: self.truth(step.predicate))
            return
        shrinks = step.kind in ("inner", "right", "semi")
        filters = [part for part in step.keys if part.filter is not None]
        if shrinks and filters:
            self.refine(lambda: " & ".join(self.passes_filter(part) for part in filters))
        if shrinks or step.kind == "anti":
            self.refine(lambda: self.lookup_stage(step, filtered=shrinks))
        else:
            with self.selected_rows("kept"):
                self.lookup_stage(step, filtered=False)
        self.staged.add(self.ordinal(step))

    def refine(self, condition: Callable[[], str]) -> None:
        """Loop that keeps the selected rows for which the emitted condition is true."""
        self.line(f"live = {'kept' if self.selecting else 'm'}")
        self.line("kept = 0")
        with self.selected_rows("live"):
            hit = condition()
            self.line("selection[kept] = i")
            self.line(f"kept += {hit}")
        self.selecting = True

    def passes_filter(self, part: ir.KeyPart) -> str:
        """Name of a bool: the row's key is among those of the bitmap."""
        code, test = self.key_code(replace(part, filter=None), checked=part.table is None)
        safe = self.name(f"{code} if {test} else np.int64(0)" if test else code, "g")
        bit = f"((a{part.filter}[{safe} >> 3] >> ({safe} & 7)) & 1) != 0"
        return self.name(f"({test}) & ({bit})" if test else bit, "t")

    def lookup_stage(self, probe: ir.Probe, *, filtered: bool) -> str:
        """Emit the lookup of one row and leave its result; gives the condition under which the row goes on."""
        number, index = self.ordinal(probe), probe.index
        assert index is not None, "stages have keys"
        self.bucket(probe, number, filtered=filtered)
        bucket = self.name(f"max(b{number}, np.int64(0))", "g")
        if index.first is None:
            starts = f"a{index.starts}"
            found = f"(b{number} >= 0) & ({starts}[{bucket}] < {starts}[{bucket} + 1])"
        else:
            self.line(f"r{number} = np.int64(a{index.first}[{bucket}])")
            self.line(f"r{number} = r{number} if b{number} >= 0 else np.int64(-1)")
            found = f"r{number} >= 0"
        if probe.residual is not None:
            self.line(f"e{number} = False")
            with self.block(f"if {found}:"):
                self.line(f"e{number} = {self.truth(probe.residual)}")
        else:
            self.line(f"e{number} = {found}")
        if probe.kind == "mark":
            self.mark(probe, number, f"e{number}")
            self.line(f"found{number}[i] = e{number}")
            self.line(f"known{number}[i] = u{number}")
        elif probe.kind not in ("semi", "anti"):
            self.line(f"rows{number}[i] = r{number} if e{number} else -1")
        if probe.matched is not None:
            with self.block(f"if e{number}:"):
                self.line(f"a{probe.matched}[r{number}] = True")
        return f"not e{number}" if probe.kind == "anti" else f"e{number}"


def is_stage(step: ir.Step) -> bool:
    """Whether a step gives at most one row for each row, so that it can be a loop of its own."""
    if isinstance(step, ir.Keep):
        return True
    if step.index is None:
        return False
    if step.index.first is not None:
        return True
    return step.kind in ("semi", "anti", "mark") and step.residual is None
