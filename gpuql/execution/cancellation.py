"""Cancelling a running query from another thread."""

from __future__ import annotations

import threading

from gpuql_planner.errors import InterruptError


class CancelToken:
    """A flag that workers look at between morsels. One per execution; setting it twice does no harm."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the query to stop; it raises InterruptError at its next check."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise InterruptError if the query was cancelled."""
        if self._event.is_set():
            raise InterruptError("query was cancelled")
