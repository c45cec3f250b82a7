"""What the processor, its memory and its disk deliver, measured on arrays made for that.

Every function takes the best of a few short rounds: what disturbs a round only makes it slower.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

#: Written and read back by :func:`disk_bytes_per_second` at most.
_DISK_BYTES = 256 << 20
_ROUNDS = 3


def best_seconds(action: Callable[[], object], rounds: int = _ROUNDS) -> float:
    """Shortest wall time of ``rounds`` calls, in seconds."""
    shortest = float("inf")
    for _ in range(rounds):
        started = time.perf_counter_ns()
        action()
        shortest = min(shortest, (time.perf_counter_ns() - started) / 1e9)
    return max(shortest, 1e-9)


def read_bytes_per_second(threads: int, num_bytes: int = 128 << 20) -> float:
    """Bytes per second that ``threads`` threads read, each from an array of ``num_bytes`` of its own."""
    arrays = [np.ones(num_bytes // 8, np.int64) for _ in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        seconds = best_seconds(lambda: list(pool.map(np.bitwise_or.reduce, arrays)))
    return sum(array.nbytes for array in arrays) / seconds


def copy_bytes_per_second(threads: int, num_bytes: int = 128 << 20) -> float:
    """Bytes per second that ``threads`` threads copy; read and written bytes both count."""
    sources = [np.ones(num_bytes // 8, np.int64) for _ in range(threads)]
    targets = [np.zeros_like(source) for source in sources]
    with ThreadPoolExecutor(threads) as pool:
        seconds = best_seconds(lambda: list(pool.map(np.copyto, targets, sources)), 5)
    return 2 * sum(source.nbytes for source in sources) / seconds


def gather_ns(num_bytes: int, num_lookups: int = 1 << 20) -> float:
    """Nanoseconds per lookup of 8 bytes at independent random places of ``num_bytes``, on one thread."""
    table = np.arange(num_bytes // 8, dtype=np.int64)
    places = np.random.default_rng(1).integers(0, len(table), num_lookups)
    found = np.empty(num_lookups, np.int64)
    return best_seconds(lambda: np.take(table, places, out=found, mode="clip")) / num_lookups * 1e9


def latency_ns(num_bytes: int, num_steps: int = 1 << 18) -> float:
    """Nanoseconds per lookup where each place is known only once the one before was read, on one thread.

    Compiles a loop of a few lines, which takes some tenths of a second.
    """
    from numba import njit

    @njit
    def follow(successor: Any, steps: int) -> int:
        place = 0
        for _ in range(steps):
            place = successor[place]
        return place

    # One cycle through all cache lines, one entry in each: no line is met again before all others were.
    entries_per_line = 8
    lines = max(2, num_bytes // 64)
    order = np.random.default_rng(1).permutation(lines)
    successor = np.zeros(lines * entries_per_line, np.int64)
    successor[order * entries_per_line] = np.roll(order, -1) * entries_per_line
    follow(successor, 1)
    return best_seconds(lambda: follow(successor, num_steps)) / num_steps * 1e9


def cache_bytes() -> list[int]:
    """Sizes of the data caches of one core from the fastest to the last level; empty where the system hides them."""
    sizes: dict[int, int] = {}
    for folder in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind = (folder / "type").read_text(encoding="ascii").strip()
            text = (folder / "size").read_text(encoding="ascii").strip()
            level = int((folder / "level").read_text(encoding="ascii"))
        except OSError:
            continue
        if kind != "Instruction":
            factor = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:], 1)
            sizes[level] = int(text.rstrip("KMG")) * factor
    return [sizes[level] for level in sorted(sizes)]


def disk_bytes_per_second(folder: str | None = None) -> tuple[float, float]:
    """Bytes per second written to, and read from, a file in ``folder`` (the temporary folder by default).

    Written bytes are on the disk at the end; the system is asked to forget them before they are read back. At most a
    quarter of the free space is used. Errors: OSError if the folder cannot be written to.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        free = os.fstatvfs(file.fileno())
        num_bytes = min(_DISK_BYTES, free.f_bavail * free.f_frsize // 4) >> 20 << 20
        if num_bytes == 0:
            raise OSError(f"no space left in {folder or tempfile.gettempdir()}")
        block = np.random.default_rng(1).bytes(1 << 20)

        def write() -> None:
            file.seek(0)
            for _ in range(num_bytes >> 20):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())

        def read() -> None:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(0)
            while file.read(1 << 20):
                pass

        return num_bytes / best_seconds(write, 1), num_bytes / best_seconds(read, 2)


def hash_rows_per_second(kernels: Any, keys: Any, finish: Callable[[], object]) -> tuple[float, float]:
    """Rows per second put into, and looked up in, a join index over ``keys`` (int64, sparse, in device memory).

    ``kernels`` are the device's static families; ``finish`` waits for the device.
    """

    def build() -> Any:
        index = kernels.hash_table.build(keys)
        finish()
        return index

    index = build()

    def probe() -> None:
        kernels.hash_table.contains(index, keys)
        finish()

    probe()
    return len(keys) / best_seconds(build), len(keys) / best_seconds(probe)


def sort_rows_per_second(kernels: Any, word: Any, finish: Callable[[], object]) -> float:
    """Rows per second brought into the order of ``word`` (uint64, in device memory), with their row numbers."""

    def sort() -> None:
        kernels.sort.sort([word], [64], with_rows=True)
        finish()

    sort()
    return len(word) / best_seconds(sort)


def sparse_keys(num_rows: int) -> Any:
    """Distinct int64 keys in random order, too far apart to be addressed directly."""
    random = np.random.default_rng(7)
    return random.permutation(num_rows).astype(np.int64) * np.int64(1_000_003) % np.int64((1 << 61) - 1)


def random_words(num_rows: int) -> Any:
    """Random uint64 words."""
    return np.random.default_rng(7).integers(0, 2**64 - 1, num_rows, np.uint64, endpoint=True)


def access_sizes() -> Sequence[tuple[str, int]]:
    """Names and bytes of tables that fit the second cache level, the last one, and neither."""
    caches = cache_bytes()
    second = caches[1] if len(caches) > 1 else 1 << 20
    last = caches[-1] if len(caches) > 1 else 32 << 20
    # Four times the last level is memory for sure; a quarter of a gigabyte keeps the measurement short.
    return (("l2", second // 2), ("llc", max(second, last // 4)), ("dram", min(4 * last, 1 << 28)))
