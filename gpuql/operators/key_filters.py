"""Bitmaps of the key values that a build side holds: a probe that misses them needs no lookup.

One bit per possible code of a key column, so a bitmap is far smaller than the index and mostly stays in cache.
"""

from __future__ import annotations

from typing import Any

from gpuql.columnar.column import Array
from gpuql.operators.contract import KeyEncoding
from gpuql.operators.keys import key_size
from gpuql.thresholds import MAX_FILTER_BITS, MAX_SHARE_PRESENT
from gpuql_kernels.hash_table.contract import JoinIndex


def key_filters(
    encoding: KeyEncoding, index: JoinIndex, packed: Array, xp: Any, *, max_bits: int = MAX_FILTER_BITS
) -> tuple[Array | None, ...]:
    """One bitmap per key column (bit ``code & 7`` of byte ``code >> 3``), or None where it would not pay.

    ``packed`` are the int64 keys in the index. A direct-address index of one column needs no bitmap. Memory: one byte
    for each possible code of a column, of which no more than ``max_bits`` are looked at.
    """
    if not encoding.packable or index.num_keys == 0 or index.slot_keys is None:
        return tuple(None for _ in encoding.columns)
    filters: list[Array | None] = []
    for column, stride in zip(encoding.columns, encoding.strides, strict=True):
        size = key_size(column)
        if size > max_bits:
            filters.append(None)
            continue
        present = xp.zeros(-(-size // 8) * 8, bool)
        codes = packed // stride if stride != 1 else packed
        present[codes % size if len(encoding.columns) > 1 else codes] = True
        if float(present.sum()) > MAX_SHARE_PRESENT * size:
            filters.append(None)
            continue
        filters.append(xp.packbits(present, bitorder="little"))
    return tuple(filters)
