"""A second Python process that compiles generated functions and leaves their machine code on disk.

Numba holds the interpreter lock while it compiles, so that a compiling thread slows every query of its process many
times over. A process of its own, at low priority, costs queries next to nothing; loading what it left takes two
milliseconds.

Requests and answers are pickles on the process's standard input and output, answered in order. The process ends when
it has been idle for a while. When its input ends it goes on for some seconds with what it was sent, so that what a
short-lived program asked for is ready for the next one.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gpuql_kernels.codegen.argument_types import ArgumentType, numba_types
from gpuql_kernels.thresholds import COMPILER_DRAIN_SECONDS, COMPILER_IDLE_SECONDS, COMPILER_NICENESS

_START = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from gpuql_kernels.codegen.compiler_process import serve; serve()"
)


#: Processes let go of that may still be running; looked at now and then, so that the system can forget them.
_left: list[subprocess.Popen[bytes]] = []


class CompilerUnavailableError(Exception):
    """The process cannot be started, or ended before it answered."""


@dataclass(frozen=True, slots=True)
class CompileRequest:
    """Compile the generated module with this text, found in this cache directory, for these types."""

    name: str
    source: str
    types: tuple[ArgumentType, ...]
    directory: str


@dataclass(frozen=True, slots=True)
class CompileAnswer:
    """``compiled`` is false if the machine code was on disk already; ``error`` is empty on success."""

    compiled: bool
    error: str


class CompilerProcess:
    """Starts the process at the first request. One thread may send while another receives."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.Lock()
        self._receiving = threading.Lock()

    def send(self, request: CompileRequest) -> None:
        """Ask for a compilation.

        Errors: CompilerUnavailableError.
        """
        message = pickle.dumps(request)
        with self._lock:
            try:
                _write(self._running(), message)
            except OSError as error:
                self._abandon()
                raise CompilerUnavailableError(str(error)) from error

    def receive(self) -> CompileAnswer:
        """Wait for the next answer. Errors: CompilerUnavailableError; answers still owed are then lost."""
        process = self._process
        if process is None or process.stdout is None:
            raise CompilerUnavailableError("the compiler process is not running")
        try:
            with self._receiving:
                answer: CompileAnswer = pickle.load(process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            self.close()
            raise CompilerUnavailableError(f"the compiler process ended: {error}") from error
        return answer

    def close(self) -> None:
        """Let go of the process, which ends by itself once it has done what it was sent."""
        with self._lock:
            self._abandon()

    def _running(self) -> subprocess.Popen[bytes]:
        """The process, started anew if there is none, if it ended, or if it belongs to the process that forked us."""
        process = self._process
        if process is None or process.poll() is not None or self._owner != os.getpid():
            self._abandon()  # of one that has ended the pipes are still open
            process = self._process = _start()
            self._owner = os.getpid()
        return process

    def _abandon(self) -> None:
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        _left.append(process)
        if process.stdin is not None:
            with suppress(BrokenPipeError):  # it has ended already
                process.stdin.close()
        # Closing a stream that another thread reads would wait for that thread.
        if process.stdout is not None and self._receiving.acquire(blocking=False):
            process.stdout.close()
            self._receiving.release()


def _start() -> subprocess.Popen[bytes]:
    if getattr(sys, "frozen", False) or "python" not in Path(sys.executable or "").name.lower():
        raise OSError(f"no Python interpreter to start: {sys.executable!r}")
    _left[:] = [process for process in _left if process.poll() is None]
    # A session of its own: Ctrl-C in the terminal is meant for the queries.
    process = subprocess.Popen(
        [sys.executable, "-c", _START],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _write(process, pickle.dumps(sys.path))
    return process


def _write(process: subprocess.Popen[bytes], message: bytes) -> None:
    assert process.stdin is not None, "started with a pipe"
    process.stdin.write(message)
    process.stdin.flush()


# --- in the process itself ---


def serve() -> None:
    """Answer the requests on standard input."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing else may be written among the answers
    if hasattr(os, "nice"):
        os.nice(COMPILER_NICENESS)
    requests = _Requests(sys.stdin.buffer)
    while (request := requests.next()) is not None:
        answer = _compile(request)
        try:
            pickle.dump(answer, answers)
            answers.flush()
        except BrokenPipeError:
            continue  # nobody waits any more; the machine code is of use all the same


class _Requests:
    """Requests read from a stream as they come, so that the sender never waits for a compilation."""

    def __init__(self, stream: BinaryIO) -> None:
        self._queue: queue.SimpleQueue[CompileRequest | None] = queue.SimpleQueue()
        self._deadline: float | None = None
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def next(self) -> CompileRequest | None:
        """The next one; None if there is none for a while, or if the time after the end of the stream is up."""
        if self._deadline is not None and time.monotonic() > self._deadline:
            return None
        try:
            return self._queue.get(timeout=COMPILER_IDLE_SECONDS)
        except queue.Empty:
            return None

    def _read(self, stream: BinaryIO) -> None:
        try:
            while True:
                self._queue.put(pickle.load(stream))
        except EOFError:
            self._deadline = time.monotonic() + COMPILER_DRAIN_SECONDS
            self._queue.put(None)


def _compile(request: CompileRequest) -> CompileAnswer:
    from gpuql_kernels.codegen.cache import load_module, mark_on_disk, module_name

    os.environ["GPUQL_CACHE_DIR"] = request.directory
    try:
        if module_name(request.source) != request.name:
            return CompileAnswer(
                compiled=False, error="the generator's sources changed under a running process"
            )
        function = load_module(request.source).pipeline
        function.compile(numba_types(request.types))
        mark_on_disk(request.name)
        return CompileAnswer(compiled=not sum(function.stats.cache_hits.values()), error="")
    except Exception as error:  # the sender is told, and meets it again by a direct call
        return CompileAnswer(compiled=False, error=f"{type(error).__name__}: {error}")
