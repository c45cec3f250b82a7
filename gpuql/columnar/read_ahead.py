"""Reading one part ahead while another is in hand."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

T = TypeVar("T")


class HeldBytes(Protocol):
    """Bytes of memory held for a step of work."""

    def release(self) -> None:
        """Give them back."""


#: Asks for bytes; None if there is no room.
TryReserve = Callable[[int], HeldBytes | None]


class _NoBytes:
    """Stands for room where nobody counts."""

    def release(self) -> None:
        """Nothing to give back."""


def read_ahead(parts: Generator[T], hold: Callable[[], HeldBytes | None] | None) -> Iterator[T]:
    """The same parts, each made by another thread while the one before is in hand.

    ``hold`` is asked for room for that; without room a part is made when the one before is done with. None: there is
    always room. Errors: those of ``parts``.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="gpuql-read") as thread:
        held: HeldBytes | None = None
        following: Future[T | None] | None = None
        try:
            part = next(parts, None)
            while part is not None:
                held = _NoBytes() if hold is None else hold()
                if held is not None:
                    following = thread.submit(next, parts, None)
                yield part
                del part
                if following is None or held is None:
                    part = next(parts, None)
                    continue
                part = following.result()
                following = None
                held.release()
                held = None
        finally:
            if following is not None:
                following.exception()
            if held is not None:
                held.release()
            parts.close()
