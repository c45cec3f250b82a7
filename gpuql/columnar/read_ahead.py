"""Reading one part ahead while another is in hand."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
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
    """The same parts, made by a thread of their own.

    ``hold`` is asked for room before a part is made while another is in hand; without room it is made when that one is
    done with; None: there is always room. Errors: those of ``parts``.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="gpuql-read") as thread:
        held: HeldBytes | None = None
        try:
            part = thread.submit(next, parts, None).result()
            while part is not None:
                held = _NoBytes() if hold is None else hold()
                if held is None:
                    yield part
                    del part
                    part = thread.submit(next, parts, None).result()
                    continue
                following = thread.submit(next, parts, None)
                yield part
                del part
                part = following.result()
                held.release()
                held = None
        finally:
            if held is not None:
                held.release()
            thread.submit(parts.close).result()
