"""Hashes of key columns, by which rows are split into partitions: equal keys have equal hashes, however stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column, StringArray
from gpuql.expressions.string_entries import per_row
from gpuql.operators.contract import RunContext
from gpuql.operators.keys import integer_keys, word_keys

#: What NULL hashes as.
_NULL_WORD = 0x2545F4914F6CDD1D
#: Levels of a recursive split begin from hashes that differ by this (odd, without structure).
_LEVEL_STEP = 0x9FB21C651E98DF25
_MASK = (1 << 64) - 1


def hash_keys(columns: Sequence[Column], num_rows: int, context: RunContext, *, level: int = 0) -> Array:
    """Hash of each row's keys, uint64 (num_rows,).

    Equal keys (NULL equals NULL, NaN equals NaN, -0.0 equals 0.0) have equal hashes, whatever the width, dictionary or
    encoding of the columns, on every device. Hashes of different ``level`` are independent, for rows that one split
    left together. Not the same from one version to the next: never written down.
    """
    xp = context.xp
    hashes = xp.full(num_rows, np.uint64((level + 1) * _LEVEL_STEP & _MASK), dtype=np.uint64)
    for column in columns:
        for word in _words(column, context):
            if column.validity is not None:
                word = xp.where(column.validity, word, xp.int64(_NULL_WORD))
            hashes = context.kernels.partition.mix(hashes, word)
    return hashes


def split_rows(
    columns: Sequence[Column], num_rows: int, num_bits: int, context: RunContext, *, level: int = 0
) -> tuple[Array, Array]:
    """Rows by partition: ``rows`` int64 (n,) and ``bounds`` int64 (2**num_bits + 1,) on the host.

    Partition ``p`` holds ``rows[bounds[p]:bounds[p + 1]]``, ascending; rows with equal keys share one.
    """
    hashes = hash_keys(columns, num_rows, context, level=level)
    rows, bounds = context.kernels.partition.split(hashes, num_bits)
    return rows, bounds


def hash_bytes_per_row(columns: Sequence[Column]) -> int:
    """Bytes for each row that :func:`split_rows` takes at its peak: two hashes, a key word or two, the row number."""
    return 8 * (4 + max((_num_words(column) for column in columns), default=0))


def _num_words(column: Column) -> int:
    return 2 if column.values.ndim == 2 or column.validity is not None else 1


def _words(column: Column, context: RunContext) -> list[Array]:
    """int64 words that are equal when the values are; those beyond the first only where they say more."""
    xp = context.xp
    if column.strings is not None:
        kernel = context.kernels.partition

        def compute(strings: StringArray, positions: Array | None) -> Array:
            return kernel.hash_strings(strings.offsets, strings.data, positions)

        return [per_row(xp, column, "partition hash", compute, np.int64(0))]
    integers = integer_keys(xp, column)
    if integers is None:
        words = word_keys(xp, column)
        return [_folded(xp, words)]
    if integers.dtype == np.uint64:
        # Beyond int64 such a value may elsewhere stand in two words, whose upper one is zero.
        return [_folded(xp, xp.stack((integers.view(np.int64), xp.zeros(len(integers), np.int64)), axis=-1))]
    return [integers.astype(np.int64, copy=False)]


def _folded(xp: Any, words: Array) -> Array:
    """One word for two: the low one, changed by the high one only where it is more than the sign of the low one."""
    low, high = words[:, 0], words[:, 1]
    return low ^ ((high - (low >> 63)) * xp.int64(_NULL_WORD | 1))
