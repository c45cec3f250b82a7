"""Sorting with the array module's radix sorts (see ``contract``): CuPy, or NumPy under the simulator."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from typing import Any

import numpy as np

from gpuql_kernels.array_module import array_module
from gpuql_kernels.sort.ties import LaterWords, order_ties, repeats_of
from gpuql_kernels.tasks import RunTasks, serially
from gpuql_kernels.thresholds import TOP_N_SAMPLE_ROWS

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
    rows = _order_words(words, bits)
    if later:
        xp = array_module(rows)
        order_ties(xp, rows, repeats_of(xp, words, rows), later, _order_with_repeats)
    return rows


def _order_with_repeats(words: list[Array], bits: list[int]) -> tuple[Array, Array]:
    rows = _order_words(words, bits)
    return rows, repeats_of(array_module(rows), words, rows)


def _order_words(words: list[Array], bits: list[int]) -> Array:
    """Sort by the last word first, each further sort keeps what the earlier ones made."""
    xp = array_module(words[0])
    packed, sizes = _pack(words, bits)
    result = _order_word(xp, packed[-1], sizes[-1])
    for word, size in zip(packed[-2::-1], sizes[-2::-1], strict=True):
        result = result[_order_word(xp, word[result], size)]
    return result


def sort(
    words: list[Array], bits: list[int], /, *, with_rows: bool, run_tasks: RunTasks = serially
) -> tuple[Array | None, Array]:
    """Order and keys."""
    (packed,), (size,) = _pack(words, bits)
    xp = array_module(packed)
    if not with_rows:
        return None, xp.sort(packed)
    rows = _order_word(xp, packed, size)
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


def _order_word(xp: Any, word: Array, bits: int) -> Array:
    """Stable order of one word in as few radix passes as its bits allow."""
    num_rows = len(word)
    row_bits = max(1, (num_rows - 1).bit_length())
    if 32 < bits <= 64 - row_bits:
        # With the row number in its low bits the key alone is moved, and no two are equal.
        combined = xp.sort((word << np.uint64(row_bits)) | xp.arange(num_rows, dtype=np.uint64))
        return (combined & np.uint64((1 << row_bits) - 1)).astype(np.int64)
    if bits <= 32:
        word = word.astype(np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32)
    return xp.argsort(word, kind="stable")


def smallest(word: Array, count: int, /) -> Array:
    """Rows up to the ``count``-th smallest."""
    xp = array_module(word)
    num_rows = len(word)
    if count >= num_rows:
        return xp.arange(num_rows)
    # The count-th smallest of a sample is no smaller than that of all: what exceeds it need not be sorted.
    sample_rows = max(TOP_N_SAMPLE_ROWS, isqrt(num_rows * count))
    candidates = word
    if 4 * sample_rows < num_rows:
        sample = xp.sort(word[:: num_rows // sample_rows])
        if count <= len(sample):
            candidates = word[word <= sample[count - 1]]
    return xp.flatnonzero(word <= xp.sort(candidates)[count - 1])


def gather(values: Array, rows: Array, /, *, run_tasks: RunTasks = serially) -> Array:
    """Rows of ``values``."""
    return values[rows]
