"""Stopping queries that run: from another thread, and by Ctrl-C."""

from __future__ import annotations

import importlib
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from gpuql.errors import InterruptError
from gpuql.execution.cancellation import CancelToken

#: What ``signal`` wraps. Its own functions look for handlers among the members of an enumeration, and find by an
#: exception that they are none: three times a query, each as expensive as several locks.
_signals: Any = importlib.import_module("_signal")


class RunningQueries:
    """Cancel tokens of the queries that run now, so that all can be interrupted from another thread."""

    def __init__(self) -> None:
        self._tokens: set[CancelToken] = set()
        self._lock = threading.Lock()

    def query(self) -> _RunningQuery:
        """A context manager that gives the token of the query which runs inside.

        There, Ctrl-C cancels the query; KeyboardInterrupt follows once its workers stopped. Python would raise it in
        the main thread at once, which leaves worker threads running. A second Ctrl-C does what Python does. Without
        effect off the main thread, and where the program handles SIGINT itself.
        """
        return _RunningQuery(self)

    def add(self, token: CancelToken) -> None:
        """A query begins."""
        with self._lock:
            self._tokens.add(token)

    def remove(self, token: CancelToken) -> None:
        """A query has ended."""
        with self._lock:
            self._tokens.discard(token)

    def cancel_all(self) -> int:
        """Ask all to stop; returns how many there were."""
        with self._lock:
            tokens = list(self._tokens)
        for token in tokens:
            token.cancel()
        return len(tokens)


class _RunningQuery:
    """See ``RunningQueries.query``."""

    __slots__ = ("_handles_control_c", "_pressed", "_running", "_token")

    def __init__(self, running: RunningQueries) -> None:
        self._running = running
        self._token = CancelToken()
        self._pressed = False
        self._handles_control_c = False

    def __enter__(self) -> CancelToken:
        self._running.add(self._token)
        if (
            threading.get_ident() == threading.main_thread().ident
            and _signals.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            self._handles_control_c = True
            _signals.signal(signal.SIGINT, self._cancel)
        return self._token

    def _cancel(self, _signal: int, _frame: FrameType | None) -> None:
        self._pressed = True
        self._token.cancel()
        _signals.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._handles_control_c:
            _signals.signal(signal.SIGINT, signal.default_int_handler)
        self._running.remove(self._token)
        if self._pressed and (error is None or isinstance(error, InterruptError)):
            raise KeyboardInterrupt from None
