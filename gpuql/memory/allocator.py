"""What the C library and Arrow keep of freed memory, which a limit on memory has to count in.

Left alone, glibc raises the size from which blocks are mappings of their own, and returned when freed, as it meets such
blocks, up to 32 MiB; it keeps the rest in a heap for each thread, and Arrow keeps freed pages too. That is fast, and
can take as much again as a small limit allows.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time

from gpuql.thresholds import (
    BLOCKS_IN_LIMIT,
    HOLES_IN_LIMIT,
    LEAST_MAPPED_BYTES,
    SHARED_HEAP_LIMIT_BYTES,
    TRIMMING_SHARE,
)

#: ``malloc.h``: parameters of mallopt.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8


def return_freed_memory(limit_bytes: int) -> None:
    """Make allocators give freed memory back to the system, as befits a limit; from now on, for the whole process.

    Without effect on C libraries that have no ``mallopt``.
    """
    mapped_bytes = max(LEAST_MAPPED_BYTES, limit_bytes // BLOCKS_IN_LIMIT)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, mapped_bytes)
        mallopt(_TRIM_THRESHOLD, mapped_bytes)
        if limit_bytes < SHARED_HEAP_LIMIT_BYTES:
            mallopt(_ARENA_MAX, 1)
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is None:
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    else:
        pyarrow.set_memory_pool(pyarrow.system_memory_pool())


def return_holes() -> None:
    """Give the system the free pages between blocks of the C library's heap, which it keeps otherwise.

    For after a step that freed many small blocks; takes milliseconds. Without effect on C libraries that have no
    ``malloc_trim``.
    """
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


class HoleWatch:
    """Calls :func:`return_holes` as queries free memory, often enough for a limit, and rarely enough for their speed.

    Rows that wait in partitions are small blocks, and those that move to files leave holes between those that stay.
    Thread-safe.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._least_bytes = limit_bytes // HOLES_IN_LIMIT
        self._freed_bytes = 0
        self._not_before = 0.0
        self._lock = threading.Lock()

    def note_freed(self, num_bytes: int) -> None:
        """So many bytes were just freed, or will be at once."""
        self._freed_bytes += num_bytes  # two threads may lose a few; the next ones make up for it
        if self._freed_bytes < self._least_bytes or time.monotonic() < self._not_before:
            return
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._freed_bytes = 0
            started = time.monotonic()
            return_holes()
            ended = time.monotonic()
            self._not_before = ended + (ended - started) / TRIMMING_SHARE
        finally:
            self._lock.release()
