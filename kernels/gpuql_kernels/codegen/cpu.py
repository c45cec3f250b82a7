"""Compile a program for the CPU: one call per morsel, no GIL held while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpuql_kernels.codegen.cache import load_module
from gpuql_kernels.codegen.emit import emit
from gpuql_kernels.codegen.program import Program


@dataclass
class CompilationCounter:
    """How many pipelines this process compiled, and how many it loaded as machine code from disk."""

    compiled: int = 0
    loaded: int = 0
    lock: Any = None

    def __post_init__(self) -> None:
        self.lock = threading.Lock()


counter = CompilationCounter()
_seen: set[str] = set()


@dataclass(frozen=True, eq=False)
class CompiledPipeline:
    """A generated function and its text. ``function`` takes the arguments of ``emit.parameter_names``."""

    source: str
    function: Callable[..., int]

    def account(self) -> None:
        """Count what the function's first call did: compile, or load from disk."""
        name = self.function.__module__
        if name in _seen:
            return
        with counter.lock:
            if name in _seen:
                return
            _seen.add(name)
            if sum(self.function.stats.cache_hits.values()) > 0:  # type: ignore[attr-defined]
                counter.loaded += 1
            else:
                counter.compiled += 1


def compile_program(program: Program) -> CompiledPipeline:
    """Generate and import the function; Numba compiles it, or loads it from disk, at its first call."""
    source = emit(program, "cpu")
    return CompiledPipeline(source, load_module(source).pipeline)
