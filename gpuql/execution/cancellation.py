"""Cancelling a running query from another thread."""

from __future__ import annotations

from gpuql_planner.errors import InterruptError


class CancelToken:
    """A flag that workers look at between morsels. One per execution; setting it twice does no harm."""

    __slots__ = ("cancelled",)

    def __init__(self) -> None:
        #: Whether :meth:`cancel` was called.
        self.cancelled = False

    def cancel(self) -> None:
        """Ask the query to stop; it raises InterruptError at its next check."""
        self.cancelled = True

    def check(self) -> None:
        """Raise InterruptError if the query was cancelled."""
        if self.cancelled:
            raise InterruptError("query was cancelled")
