"""One thread that compiles generated functions while queries run interpreted.

One, because the compiler holds the interpreter lock most of the time; more would only slow the queries down.
"""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Callable


class BackgroundCompiler:
    """Runs jobs in order of submission on a daemon thread, which starts with the first job.

    At the end of the process the job in progress is finished and the rest dropped: machine code must not be written
    by a thread that is frozen halfway.
    """

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._busy = False
        self._stopped = False

    def submit(self, job: Callable[[], None]) -> None:
        """Queue ``job``, which must not raise."""
        with self._changed:
            if self._stopped:
                return
            self._jobs.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="gpuql-compiler", daemon=True)
                self._thread.start()
                atexit.register(self._stop)
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
                job = self._jobs.popleft()
                self._busy = True
            try:
                job()
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._jobs.clear()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()


background = BackgroundCompiler()
