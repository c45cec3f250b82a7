"""Compile a program for the CPU: one call per morsel, no GIL held while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from gpuql_kernels.codegen.argument_types import ArgumentType, argument_types, numba_types
from gpuql_kernels.codegen.background import CompileJob, background
from gpuql_kernels.codegen.cache import (
    cache_directory,
    is_on_disk,
    load_module,
    mark_on_disk,
    module_name,
)
from gpuql_kernels.codegen.compiler_process import CompileAnswer, CompileRequest
from gpuql_kernels.codegen.emit import emit
from gpuql_kernels.codegen.program import Program


@dataclass
class CompilationCounter:
    """Pipelines compiled for this process, by itself or its compiler process, and those that were on disk before."""

    compiled: int = 0
    loaded: int = 0
    errors: list[str] = field(default_factory=list)


counter = CompilationCounter()
_pipelines: dict[str, CompiledPipeline] = {}
_lock = threading.Lock()


class CompiledPipeline:
    """A generated function and its text; one object per text in a process.

    ``function`` takes the arguments of ``emit.parameter_names``. Its first call compiles it, or loads its machine
    code from disk; :meth:`prepare` does either ahead, :meth:`prepare_in_background` leaves it to another process.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.name = module_name(source)
        self._function: Callable[..., int] | None = None
        self._ready = False
        self._queued = False
        self._preparing = threading.Lock()

    @property
    def function(self) -> Callable[..., int]:
        """The function; importing its module costs about a millisecond."""
        if self._function is None:
            self._function = load_module(self.source).pipeline
        return self._function

    @property
    def ready(self) -> bool:
        """Machine code is loaded, or on disk, so that a call need not compile."""
        return self._ready or is_on_disk(self.name)

    def prepare(self, arguments: Sequence[Any]) -> None:
        """Compile or load for the types of ``arguments``."""
        if not self._ready:
            self._prepare(argument_types(arguments))

    def _prepare(self, types: tuple[ArgumentType, ...]) -> None:
        with self._preparing:
            if self._ready:
                return
            self.function.compile(numba_types(types))  # type: ignore[attr-defined]
            hits = sum(self.function.stats.cache_hits.values())  # type: ignore[attr-defined]
            # What the compiler process left on disk is counted when it answers.
            if not (hits and self._queued):
                _count(compiled=not hits)
            mark_on_disk(self.name)
            self._ready = True

    def prepare_in_background(self, arguments: Sequence[Any]) -> None:
        """Have it compiled, once; a failure is kept in ``counter.errors`` and met again by a direct call."""
        with self._preparing:
            if self._queued:
                return
            self._queued = True
        types = argument_types(arguments)

        def request() -> CompileRequest:
            return CompileRequest(self.name, self.source, types, str(cache_directory()))

        def finish(answer: CompileAnswer | None) -> None:
            if answer is not None:
                if answer.error:
                    counter.errors.append(f"{self.name}: {answer.error}")
                    return
                _count(compiled=answer.compiled)
            try:
                self._prepare(types)
            except Exception as error:
                counter.errors.append(f"{self.name}: {error}")

        background.submit(CompileJob(request, finish))


def _count(*, compiled: bool) -> None:
    with _lock:
        if compiled:
            counter.compiled += 1
        else:
            counter.loaded += 1


def compile_program(program: Program) -> CompiledPipeline:
    """The compiled form of a program; equal texts share one object."""
    source = emit(program, "cpu")
    with _lock:
        known = _pipelines.get(source)
        if known is None:
            known = _pipelines[source] = CompiledPipeline(source)
        return known
