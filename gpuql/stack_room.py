"""Room on the stack for deep statements, and an error in words where even that is not enough."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gpuql.errors import ProgrammingError
from gpuql.thresholds import DEEPEST_FRAMES


class _StackRoom:
    """How many threads work on a statement now, and the limit to return to after the last of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._usual = 0

    def enter(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._usual = sys.getrecursionlimit()
                sys.setrecursionlimit(max(self._usual, DEEPEST_FRAMES))
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                sys.setrecursionlimit(self._usual)


_room = _StackRoom()


@contextmanager
def room_for_deep_statements() -> Iterator[None]:
    """Allow deep recursion inside the block (in all threads: Python has one limit).

    Errors: ProgrammingError where the statement is too deep even so.
    """
    _room.enter()
    try:
        yield
    except RecursionError:
        raise ProgrammingError("statement is nested too deeply") from None
    finally:
        _room.leave()
