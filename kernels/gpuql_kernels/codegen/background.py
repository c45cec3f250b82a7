"""Compilation that no query waits for: one thread hands generated functions to the compiler process.

Without such a process (no interpreter to start) the thread compiles itself. One thread, because the compiler holds
the interpreter lock most of the time; more would only slow the queries down.
"""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gpuql_kernels.codegen.compiler_process import (
    CompileAnswer,
    CompileRequest,
    CompilerProcess,
    CompilerUnavailableError,
)
from gpuql_kernels.thresholds import MAX_COMPILER_FAILURES


@dataclass(frozen=True, eq=False, slots=True)
class CompileJob:
    """A function to compile. None of the callables may raise.

    ``request`` says what the compiler process is asked, ``finish`` takes its answer (and loads the machine code), or
    None if there is no process: then it compiles.
    """

    request: Callable[[], CompileRequest]
    finish: Callable[[CompileAnswer | None], None]


class BackgroundCompiler:
    """Runs jobs in order of submission on a daemon thread, which starts with the first job.

    At the end of the Python process, jobs that the compiler process has not seen yet are sent to it, which goes on
    with them for some seconds. A job that this process compiles itself is finished, and the rest dropped: machine
    code must not be written by a thread that is frozen halfway.
    """

    def __init__(self) -> None:
        self._jobs: deque[CompileJob] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._busy = False
        self._sending = False
        self._stopped = False
        self._compiling_here = threading.Lock()
        self._process = CompilerProcess()
        self._failures = 0

    def submit(self, job: CompileJob) -> None:
        """Queue ``job``."""
        with self._changed:
            if self._stopped:
                return
            self._jobs.append(job)
            # A thread of the process that forked this one does not run here.
            if self._thread is None or not self._thread.is_alive():
                if self._thread is None:
                    atexit.register(self.stop)
                self._thread = threading.Thread(target=self._work, name="gpuql-compiler", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until no job is left; False if the time ran out first."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._jobs and not self._busy, timeout_seconds)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._stopped)
                if self._stopped:
                    return
                jobs = list(self._jobs)
                self._jobs.clear()
                self._busy = self._sending = True
            try:
                self._run(jobs)
            finally:
                with self._changed:
                    self._busy = self._sending = False
                    self._changed.notify_all()

    def _run(self, jobs: list[CompileJob]) -> None:
        """Send all requests, then take the answers."""
        sent = self._send(jobs)
        with self._changed:
            self._sending = False
            self._changed.notify_all()
        for position, job in enumerate(jobs):
            answer = None
            if position < sent:
                try:
                    answer = self._process.receive()
                except CompilerUnavailableError:
                    self._failures += 1
                    sent = 0
            with self._compiling_here:
                if not self._stopped:
                    job.finish(answer)

    def _send(self, jobs: list[CompileJob]) -> int:
        """How many of the requests the compiler process took."""
        if self._failures >= MAX_COMPILER_FAILURES:
            return 0
        for position, job in enumerate(jobs):
            try:
                self._process.send(job.request())
            except CompilerUnavailableError:
                self._failures += 1
                return position
        return len(jobs)

    def stop(self) -> None:
        """Take no more jobs, and leave those that wait to the compiler process."""
        with self._changed:
            self._stopped = True
            jobs = list(self._jobs)
            self._jobs.clear()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._sending)
        with self._compiling_here:
            self._send(jobs)
            self._process.close()


background = BackgroundCompiler()
