"""Functions compiled in the compiler process are loaded by the process that asked, and found by later ones."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from gpuql_kernels.codegen import cache, cpu
from gpuql_kernels.codegen.argument_types import argument_types, numba_types
from gpuql_kernels.codegen.background import BackgroundCompiler, CompileJob, background
from gpuql_kernels.codegen.compiler_process import (
    CompileAnswer,
    CompileRequest,
    CompilerProcess,
    CompilerUnavailableError,
)

SOURCE = """
from numba import njit

@njit(nogil=True, cache=True, error_model="numpy")
def pipeline(n, values):
    total = {start}
    for i in range(n):
        total += values[i]
    return total
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is on disk yet, and nothing is left there."""
    monkeypatch.setenv("GPUQL_CACHE_DIR", str(tmp_path))


def request_for(source: str, arguments: Sequence[Any]) -> CompileRequest:
    return CompileRequest(
        cache.module_name(source), source, argument_types(arguments), str(cache.cache_directory())
    )


def job_for(request: CompileRequest, answers: list[CompileAnswer | None]) -> CompileJob:
    return CompileJob(lambda: request, answers.append)


@pytest.mark.parametrize(
    "argument",
    [
        7,
        -(2**62),
        True,
        1.5,
        np.int8(3),
        np.float32(2),
        np.zeros(3, np.int16),
        np.zeros((2, 2), np.int64),
        np.zeros(8, np.int32)[::2],
        np.zeros((2, 3), np.int64).T,
        np.zeros(0, bool),
        np.frombuffer(b"bytes", np.uint8),
    ],
    ids=repr,
)
def test_types_are_those_numba_finds(argument: Any) -> None:
    """Otherwise a call would compile again what was compiled ahead."""
    assert numba_types(argument_types([argument])) == (numba.typeof(argument),)  # type: ignore[no-untyped-call]


def test_pipeline_is_compiled_elsewhere_and_loaded_here() -> None:
    assert background.wait(900)  # for what earlier tests asked for
    pipeline = cpu.CompiledPipeline(SOURCE.format(start=1))
    arguments = [0, np.zeros(1, np.int32)]
    before = (cpu.counter.compiled, cpu.counter.loaded, list(cpu.counter.errors))
    assert not pipeline.ready
    pipeline.prepare_in_background(arguments)
    assert background.wait(300)
    assert pipeline.ready
    assert cpu.counter.errors == before[2]
    assert (cpu.counter.compiled, cpu.counter.loaded) == (before[0] + 1, before[1])
    assert sum(pipeline.function.stats.cache_misses.values()) == 0
    assert pipeline.function(3, np.array([1, 2, 3], np.int32)) == 7


@pytest.fixture
def process() -> Iterator[CompilerProcess]:
    with closing(CompilerProcess()) as made:
        yield made


@pytest.fixture
def compiler() -> Iterator[BackgroundCompiler]:
    made = BackgroundCompiler()
    yield made
    made.stop()


def test_second_request_finds_machine_code_on_disk(process: CompilerProcess) -> None:
    request = request_for(SOURCE.format(start=2), [0, np.zeros(1, np.int64)])
    process.send(request)
    process.send(request)
    assert process.receive() == CompileAnswer(compiled=True, error="")
    assert process.receive().error == ""
    process.close()
    process.send(request)  # a new process
    assert process.receive() == CompileAnswer(compiled=False, error="")


def test_errors_of_the_compiler_come_back(compiler: BackgroundCompiler) -> None:
    answers: list[CompileAnswer | None] = []
    compiler.submit(job_for(request_for(SOURCE.format(start="'text'"), [0, np.zeros(1)]), answers))
    compiler.submit(job_for(request_for(SOURCE.format(start=3), [0, np.zeros(1)]), answers))
    assert compiler.wait(300)
    assert [answer is not None and answer.error.partition(":")[0] for answer in answers] == [
        "TypingError",
        "",
    ]


def test_without_an_interpreter_to_start_jobs_are_done_here(
    compiler: BackgroundCompiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/server")
    answers: list[CompileAnswer | None] = []
    for start in (4, 5):
        compiler.submit(job_for(request_for(SOURCE.format(start=start), [0, np.zeros(1)]), answers))
    assert compiler.wait(300)
    assert answers == [None, None]


def test_a_killed_process_is_noticed_and_replaced(process: CompilerProcess) -> None:
    request = request_for(SOURCE.format(start=6), [0, np.zeros(1)])
    process.send(request)
    running = process._process
    assert running is not None
    running.kill()
    running.wait()
    with pytest.raises(CompilerUnavailableError):
        process.receive()
    process.send(request)
    assert process.receive().error == ""


def test_requests_of_a_process_that_ends_are_still_done() -> None:
    """A short-lived program ends before its code is compiled; the next one finds it."""
    source = SOURCE.format(start=8)
    program = (
        "import sys, numpy as np; from gpuql_kernels.codegen import cpu; "
        "cpu.CompiledPipeline(sys.argv[1]).prepare_in_background([0, np.zeros(1)])"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    subprocess.run(
        [sys.executable, "-c", program, source], check=True, env={**os.environ, "PYTHONPATH": path}
    )
    for _ in range(3000):
        if cache.is_on_disk(cache.module_name(source)):
            break
        time.sleep(0.1)
    assert cache.is_on_disk(cache.module_name(source))
