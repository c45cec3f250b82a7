"""Join index on CuPy arrays, or NumPy arrays under the simulator (see ``contract``).

One thread handles one key, striding over the grid. A slot is claimed for a *row*, not a key: rows are small numbers of
which -1 is none, while every int64 may be a key. Keys never change, so whoever sees the row can read its key.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.array_module import array_module
from gpuql_kernels.grid.gpu import cuda, grid_kernel, upper_bound
from gpuql_kernels.hash_table.contract import JoinIndex, is_dense
from gpuql_kernels.scalar.gpu import find_slot
from gpuql_kernels.scalar.hashing import HASH_MULTIPLIER
from gpuql_kernels.thresholds import SPARSE_TABLE_BYTES

Array = Any


def row_dtype(largest: int) -> Any:
    """Narrowest dtype for row numbers up to ``largest`` on which atomics work."""
    return np.int32 if largest < 2**31 - 1 else np.int64


@grid_kernel(
    "int64, int64[::1], int32[::1], int64, int64[::1]",
    "int64, int64[::1], int64[::1], int64, int64[::1]",
)
def claim_slots(n: int, keys: Array, owners: Array, shift: int, slots: Array) -> None:
    """Slot of each key; ``owners`` (-1 for empty) ends with the smallest row of each slot's key."""
    mask = np.int64(len(owners) - 1)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        key = keys[i]
        slot = np.int64((np.uint64(key) * HASH_MULTIPLIER) >> np.uint64(shift))
        while True:
            owner = np.int64(owners[slot])
            if owner < 0:
                owner = np.int64(cuda.atomic.cas(owners, slot, -1, i))
                if owner < 0:
                    break
            if keys[owner] == key:
                # Looking before the atomic spares rows of a frequent key the queue for one address.
                if i < owner:
                    cuda.atomic.min(owners, slot, i)
                break
            slot = (slot + 1) & mask
        slots[i] = slot


def number_by_first(xp: Any, owners: Array) -> tuple[Array, Array]:
    """Codes by first occurrence and each code's first row, from the smallest row equal to each row."""
    is_first = owners == xp.arange(len(owners), dtype=owners.dtype)
    codes = xp.cumsum(is_first, dtype=np.int64) - 1
    return codes[owners], xp.flatnonzero(is_first)


@grid_kernel(
    "int64, int64[::1], int32[::1], int32[::1], int64[::1]",
    "int64, int64[::1], int64[::1], int64[::1], int64[::1]",
)
def _place_unique(n: int, buckets: Array, rows: Array, first: Array, repeated: Array) -> None:
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        if repeated[0] == 0 and cuda.atomic.cas(first, buckets[i], -1, rows[i]) != -1:
            repeated[0] = 1


@grid_kernel("int64, int64[::1], int64[::1]")
def _count_buckets(n: int, buckets: Array, counts: Array) -> None:
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        cuda.atomic.add(counts, buckets[i], 1)


@grid_kernel("int64, int64[::1], int64, int64, int64[::1]")
def _direct_buckets(n: int, keys: Array, minimum: int, maximum: int, buckets: Array) -> None:
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        key = keys[i]
        # Keys far outside the domain must not wrap around into it.
        buckets[i] = key - minimum if minimum <= key and key <= maximum else -1


@grid_kernel("int64, int64[::1], int64[::1], boolean[::1], int64, int64[::1]")
def _slot_buckets(
    n: int, keys: Array, slot_keys: Array, slot_used: Array, shift: int, buckets: Array
) -> None:
    mask = np.int64(len(slot_keys) - 1)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        buckets[i] = find_slot(slot_keys, slot_used, mask, shift, keys[i])


@grid_kernel("int64, int64[::1], int32[::1], int64[::1]", "int64, int64[::1], int64[::1], int64[::1]")
def _first_rows(n: int, buckets: Array, first: Array, found: Array) -> None:
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        bucket = buckets[i]
        found[i] = first[bucket] if bucket >= 0 else -1


@grid_kernel("int64, int64[::1], int32[::1], int64[::1]", "int64, int64[::1], int64[::1], int64[::1]")
def _count_matches(n: int, buckets: Array, starts: Array, counts: Array) -> None:
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        bucket = buckets[i]
        counts[i] = starts[bucket + 1] - starts[bucket] if bucket >= 0 else 0


@grid_kernel(
    "int64, int64[::1], int64[::1], int32[::1], int32[::1], int64[::1], int64[::1]",
    "int64, int64[::1], int64[::1], int64[::1], int64[::1], int64[::1], int64[::1]",
)
def _expand_matches(
    n: int, ends: Array, buckets: Array, starts: Array, rows: Array, probe_rows: Array, build_rows: Array
) -> None:
    """One thread per pair, not per key: a key with many matches delays nobody."""
    for pair in range(cuda.grid(1), n, cuda.gridsize(1)):
        i = upper_bound(ends, pair)
        begin = ends[i - 1] if i > 0 else np.int64(0)
        probe_rows[pair] = i
        build_rows[pair] = rows[starts[buckets[i]] + (pair - begin)]


def build(keys: Array, rows: Array | None = None, /, *, sparse_bytes: int = SPARSE_TABLE_BYTES) -> JoinIndex:
    """Index the keys."""
    xp = array_module(keys)
    num_keys = len(keys)
    if num_keys == 0:
        return JoinIndex(0, 1, None, None, 0, xp.full(1, -1, np.int32), None, None, 0)
    keys = xp.ascontiguousarray(keys, dtype=np.int64)
    extremes = [keys.min(), keys.max()] if rows is None else [keys.min(), keys.max(), rows.max()]
    # One transfer for all that decides the form of the index.
    minimum, maximum, *largest = xp.stack([extreme.astype(np.int64) for extreme in extremes]).tolist()
    word = row_dtype(max([num_keys, *largest]))
    rows = xp.arange(num_keys, dtype=word) if rows is None else xp.ascontiguousarray(rows, dtype=word)
    span = maximum - minimum + 1
    if is_dense(span, num_keys, np.dtype(word).itemsize, sparse_bytes):
        return _place(xp, keys - minimum, rows, minimum, span, None, None, 0)
    num_buckets = 1 << (2 * num_keys - 1).bit_length()
    shift = 64 - num_buckets.bit_length() + 1
    owners = xp.full(num_buckets, -1, row_dtype(num_keys))
    buckets = xp.empty(num_keys, np.int64)
    claim_slots(num_keys, keys, owners, shift, buckets)
    slot_used = owners >= 0
    # Position -1 of an empty slot reads the last key, which nobody looks at.
    return _place(xp, buckets, rows, 0, num_buckets, keys[owners], slot_used, shift)


def _place(
    xp: Any,
    buckets: Array,
    rows: Array,
    minimum: int,
    num_buckets: int,
    slot_keys: Array | None,
    slot_used: Array | None,
    shift: int,
) -> JoinIndex:
    """Put rows into their buckets, in the unique form if no bucket gets two."""
    num_keys = len(rows)
    first = xp.full(num_buckets, -1, rows.dtype)
    repeated = xp.zeros(1, np.int64)
    _place_unique(num_keys, buckets, rows, first, repeated)
    if not int(repeated[0]):
        return JoinIndex(minimum, num_buckets, slot_keys, slot_used, shift, first, None, None, num_keys)
    counts = xp.zeros(num_buckets, np.int64)
    _count_buckets(num_keys, buckets, counts)
    starts = xp.zeros(num_buckets + 1, rows.dtype)
    starts[1:] = xp.cumsum(counts)
    # A narrow key halves the passes of the radix sort.
    narrow = buckets.astype(np.uint32) if num_buckets <= 2**32 else buckets
    placed = rows[xp.argsort(narrow, kind="stable")]
    return JoinIndex(minimum, num_buckets, slot_keys, slot_used, shift, None, starts, placed, num_keys)


def _buckets(xp: Any, index: JoinIndex, keys: Array) -> Array:
    """Bucket of each key, -1 if it has none."""
    keys = xp.ascontiguousarray(keys, dtype=np.int64)
    buckets = xp.empty(len(keys), np.int64)
    if index.slot_keys is None:
        maximum = index.minimum + index.num_buckets - 1
        _direct_buckets(len(keys), keys, index.minimum, maximum, buckets)
    else:
        _slot_buckets(len(keys), keys, index.slot_keys, index.slot_used, index.shift, buckets)
    return buckets


def _found_rows(xp: Any, index: JoinIndex, buckets: Array) -> Array:
    found = xp.empty(len(buckets), np.int64)
    _first_rows(len(buckets), buckets, index.first, found)
    return found


def _match_counts(xp: Any, index: JoinIndex, buckets: Array) -> Array:
    counts = xp.empty(len(buckets), np.int64)
    _count_matches(len(buckets), buckets, index.starts, counts)
    return counts


def probe(index: JoinIndex, keys: Array, /) -> tuple[Array, Array]:
    """All pairs."""
    xp = array_module(keys)
    buckets = _buckets(xp, index, keys)
    if index.unique:
        found = _found_rows(xp, index, buckets)
        hits = xp.flatnonzero(found >= 0)
        return hits, found[hits]
    ends = xp.cumsum(_match_counts(xp, index, buckets))
    num_pairs = int(ends[-1]) if len(keys) else 0
    probe_rows = xp.empty(num_pairs, np.int64)
    build_rows = xp.empty(num_pairs, np.int64)
    _expand_matches(num_pairs, ends, buckets, index.starts, index.rows, probe_rows, build_rows)
    return probe_rows, build_rows


def contains(index: JoinIndex, keys: Array, /) -> Array:
    """Whether each key has a build row."""
    xp = array_module(keys)
    buckets = _buckets(xp, index, keys)
    if index.slot_keys is not None:
        return buckets >= 0
    if index.unique:
        return _found_rows(xp, index, buckets) >= 0
    return _match_counts(xp, index, buckets) > 0
