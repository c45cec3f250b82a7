"""Stopping queries that run: from another thread, and by Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gpuql.errors import InterruptError
from gpuql.execution.cancellation import CancelToken


class RunningQueries:
    """Cancel tokens of the queries that run now, so that all can be interrupted from another thread."""

    def __init__(self) -> None:
        self._tokens: set[CancelToken] = set()
        self._lock = threading.Lock()

    @contextmanager
    def token(self) -> Iterator[CancelToken]:
        """Token of a query that runs inside the ``with`` block."""
        token = CancelToken()
        with self._lock:
            self._tokens.add(token)
        try:
            yield token
        finally:
            with self._lock:
                self._tokens.discard(token)

    def cancel_all(self) -> int:
        """Ask all to stop; returns how many there were."""
        with self._lock:
            tokens = list(self._tokens)
        for token in tokens:
            token.cancel()
        return len(tokens)


@contextmanager
def cancelled_by_control_c(token: CancelToken) -> Iterator[None]:
    """Inside the block, Ctrl-C cancels the query of ``token``; KeyboardInterrupt follows once its workers stopped.

    Python would raise KeyboardInterrupt in the main thread at once, which leaves worker threads running. A second
    Ctrl-C does what Python does. Without effect off the main thread, and where the program handles SIGINT itself.
    """
    plain = signal.default_int_handler
    on_main_thread = threading.current_thread() is threading.main_thread()
    if not on_main_thread or signal.getsignal(signal.SIGINT) is not plain:
        yield
        return
    pressed = False

    def cancel(_signal: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        token.cancel()
        signal.signal(signal.SIGINT, plain)

    signal.signal(signal.SIGINT, cancel)
    try:
        yield
    except InterruptError:
        if pressed:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, plain)
    if pressed:
        raise KeyboardInterrupt
