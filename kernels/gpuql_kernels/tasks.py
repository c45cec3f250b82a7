"""How a kernel asks its caller for threads: kernels start none themselves."""

from __future__ import annotations

from collections.abc import Callable

#: Calls ``task(0) … task(count - 1)``, several at once if it has the threads, and returns when all are done.
RunTasks = Callable[[int, Callable[[int], None]], None]


def serially(count: int, task: Callable[[int], None], /) -> None:
    """Tasks one after the other on the calling thread."""
    for index in range(count):
        task(index)
