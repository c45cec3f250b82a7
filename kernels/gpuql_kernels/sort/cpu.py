"""Sorting on NumPy arrays (see ``contract``): NumPy alone for few rows, a partitioned sort beyond."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuql_kernels.sort.ties import LaterWords, order_ties, repeats_of
from gpuql_kernels.tasks import RunTasks, serially
from gpuql_kernels.thresholds import GATHER_TASK_ROWS, SMALL_SORT_ROWS

Array = Any


def order(
    words: list[Array],
    bits: list[int],
    /,
    *,
    later: Sequence[LaterWords] = (),
    run_tasks: RunTasks = serially,
    consume: bool = False,
) -> Array:
    """Stable order."""
    if len(words[0]) >= SMALL_SORT_ROWS:
        from gpuql_kernels.sort.cpu_partitioned import order_large

        return order_large(words, bits, run_tasks, later, consume=consume)
    rows = order_few(words, bits)
    if later:
        order_ties(np, rows, repeats_of(np, words, rows), later, order_few_with_repeats)
    return rows


def order_few_with_repeats(words: list[Array], bits: list[int]) -> tuple[Array, Array]:
    """Stable order, and which keys in it equal the one before."""
    rows = order_few(words, bits)
    return rows, repeats_of(np, words, rows)


def order_few(words: list[Array], bits: list[int]) -> Array:
    """Stable order, by NumPy alone."""
    num_rows = len(words[0])
    packed, packed_bits = _pack(words, bits)
    row_bits = max(1, (num_rows - 1).bit_length())
    if len(packed) == 1:
        if packed_bits[0] + row_bits <= 64:
            # The row number in the low bits makes every key distinct: an unstable, vectorised sort is then stable.
            rows = np.arange(num_rows, dtype=np.uint64)
            combined = np.sort((packed[0] << np.uint64(row_bits)) | rows)
            return (combined & np.uint64((1 << row_bits) - 1)).astype(np.int64)
        return np.argsort(packed[0], kind="stable")
    return np.lexsort(packed[::-1])


def sort(
    words: list[Array], bits: list[int], /, *, with_rows: bool, run_tasks: RunTasks = serially
) -> tuple[Array | None, Array]:
    """Order and keys."""
    if len(words[0]) >= SMALL_SORT_ROWS:
        from gpuql_kernels.sort.cpu_partitioned import sort_large

        return sort_large(words, bits, run_tasks, with_rows=with_rows)
    (packed,), _ = _pack(words, bits)
    if not with_rows:
        return None, np.sort(packed)
    rows = order([packed], [sum(bits)])
    return rows, packed[rows]


def _pack(words: list[Array], bits: list[int]) -> tuple[list[Array], list[int]]:
    """Join neighbouring words that fit 64 bits together."""
    packed, sizes = [words[0]], [bits[0]]
    for word, size in zip(words[1:], bits[1:], strict=True):
        if sizes[-1] + size <= 64 and size < 64:
            packed[-1] = (packed[-1] << np.uint64(size)) | word
            sizes[-1] += size
        else:
            packed.append(word)
            sizes.append(size)
    return packed, sizes


def smallest(word: Array, count: int, /) -> Array:
    """Rows up to the ``count``-th smallest."""
    if count >= len(word):
        return np.arange(len(word))
    threshold = np.partition(word, count - 1)[count - 1]
    return np.flatnonzero(word <= threshold)


def gather(values: Array, rows: Array, /, *, run_tasks: RunTasks = serially) -> Array:
    """Rows of ``values``."""
    if len(rows) < SMALL_SORT_ROWS or values.ndim != 1:
        return values[rows]
    from gpuql_kernels.sort import cpu_loops

    out = np.empty(len(rows), values.dtype)
    # Bytes are moved as they are, so one loop per width serves all types.
    source, target = (array.view(f"u{values.itemsize}") for array in (values, out))

    def task(index: int) -> None:
        part = slice(index * GATHER_TASK_ROWS, (index + 1) * GATHER_TASK_ROWS)
        cpu_loops.gather(source, rows[part], target[part])

    run_tasks(-(-len(rows) // GATHER_TASK_ROWS), task)
    return out
