"""Room on the stack for deep statements, and an error in words where even that is not enough."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import wraps
from types import TracebackType
from typing import ParamSpec, TypeVar

from gpuql.errors import ProgrammingError
from gpuql.thresholds import DEEPEST_FRAMES

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


class _StackRoom:
    """How many threads work on a statement now, and the limit to return to after the last of them.

    A context manager, which may be entered again within itself, and a decorator.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._usual = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._usual = sys.getrecursionlimit()
                sys.setrecursionlimit(max(self._usual, DEEPEST_FRAMES))
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                sys.setrecursionlimit(self._usual)
        if isinstance(error, RecursionError):
            raise ProgrammingError("statement is nested too deeply") from None

    def __call__(self, function: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
        @wraps(function)
        def within(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
            with self:
                return function(*args, **kwargs)

        return within


_room = _StackRoom()


def room_for_deep_statements() -> _StackRoom:
    """Allow deep recursion inside the block (in all threads: Python has one limit).

    Errors: ProgrammingError where the statement is too deep even so.
    """
    return _room
