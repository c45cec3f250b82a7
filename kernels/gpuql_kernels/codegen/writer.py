"""Text of a generated function: lines, nested blocks, fresh names."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from gpuql_kernels.codegen import program as ir


class FunctionWriter:
    """Collects the lines of one function for one target ("cpu" or "cuda").

    ``values`` and ``truths`` memoise the names of emitted expressions within the current block.
    """

    def __init__(self, program: ir.Program, target: str) -> None:
        self.program = program
        self.target = target
        self.on_cpu = target == "cpu"
        self.lines: list[str] = []
        self.depth = 1
        self.counter = 0
        self.values: dict[Hashable, tuple[str, str | None]] = {}
        self.truth_names: dict[int, tuple[str, str]] = {}

    def line(self, text: str) -> None:
        """Append a line at the current depth."""
        self.lines.append("    " * self.depth + text)

    def fresh(self, prefix: str) -> str:
        """A name that was not used before."""
        self.counter += 1
        return f"{prefix}_{self.counter}"

    def name(self, text: str, prefix: str = "v") -> str:
        """Assign ``text`` to a fresh variable."""
        variable = self.fresh(prefix)
        self.line(f"{variable} = {text}")
        return variable

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        """Lines under ``header``; expressions memoised inside are forgotten after it."""
        self.line(header)
        self.depth += 1
        values, truths = dict(self.values), dict(self.truth_names)
        length = len(self.lines)
        yield
        if len(self.lines) == length:
            self.line("pass")
        self.depth -= 1
        self.values, self.truth_names = values, truths
