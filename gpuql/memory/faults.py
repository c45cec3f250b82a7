"""Failures on request: the points where memory, files and devices can fail, so that tests make each of them fail.

Nothing here runs in normal use but :func:`passing`, which reads one variable.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: The points that code passes, by name.
RESERVATION = "reservation"
ALLOCATION = "allocation"
FILE_WRITE = "file write"
FILE_READ = "file read"
KERNEL_LAUNCH = "kernel launch"
POINTS = (RESERVATION, ALLOCATION, FILE_WRITE, FILE_READ, KERNEL_LAUNCH)


class Fault:
    """Counts how often ``point`` is passed, on any thread, and raises ``error()`` the ``nth`` time (from 1)."""

    def __init__(self, point: str, nth: int, error: Callable[[], BaseException]) -> None:
        if point not in POINTS:
            raise ValueError(f"unknown fault point: {point}")
        self.point = point
        self.nth = nth
        self.passed = 0
        self._error = error
        self._lock = threading.Lock()

    @property
    def raised(self) -> bool:
        """Whether the failure happened."""
        return self.passed >= self.nth

    def passing(self, point: str) -> None:
        """Count, and fail if it is time to."""
        if point != self.point:
            return
        with self._lock:
            self.passed += 1
            due = self.passed == self.nth
        if due:
            raise self._error()


_active: Fault | None = None


def passing(point: str) -> None:
    """Say that something that can fail comes next; raises what an injected fault says."""
    if _active is not None:
        _active.passing(point)


def passing_launch() -> None:
    """Say that a kernel is launched next."""
    passing(KERNEL_LAUNCH)


@contextmanager
def injected(fault: Fault) -> Iterator[Fault]:
    """Make ``fault`` happen inside the block, in the whole process; one at a time."""
    global _active
    if _active is not None:
        raise RuntimeError("another fault is injected already")
    _active = fault
    try:
        yield fault
    finally:
        _active = None
