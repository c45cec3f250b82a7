"""Join index on NumPy arrays (see ``contract``): NumPy alone for small or dense inputs, compiled loops beyond."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.hash_table.contract import JoinIndex, is_dense, is_dense_when_repeated
from gpuql_kernels.thresholds import SMALL_JOIN_KEYS, SPARSE_TABLE_BYTES

Array = Any

_MULTIPLIER = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def _loops() -> Any:
    from gpuql_kernels.hash_table import cpu_loops

    return cpu_loops


def build(keys: Array, rows: Array | None = None, /, *, sparse_bytes: int = SPARSE_TABLE_BYTES) -> JoinIndex:
    """Index the keys."""
    num_keys = len(keys)
    if rows is None:
        rows = np.arange(num_keys)
    largest = int(rows.max()) if num_keys else 0
    word = np.int32 if max(largest, num_keys) < 2**31 - 1 else np.int64
    rows = rows.astype(word, copy=False)
    if num_keys == 0:
        return JoinIndex(0, 1, None, None, 0, np.full(1, -1, np.int32), None, None, 0)
    minimum, maximum = int(keys.min()), int(keys.max())
    span = maximum - minimum + 1
    if is_dense(span, num_keys, np.dtype(word).itemsize, sparse_bytes):
        buckets = keys - minimum
        first = _unique_rows(buckets, rows, span)
        if first is not None:
            return JoinIndex(minimum, span, None, None, 0, first, None, None, num_keys)
        if is_dense_when_repeated(span, num_keys):
            return _repeated(buckets, rows, minimum, span, None, None, 0)
    num_buckets = 1 << (2 * num_keys - 1).bit_length()
    shift = 64 - num_buckets.bit_length() + 1
    if num_keys < SMALL_JOIN_KEYS:
        slot_keys, slot_used, buckets = _insert_few(keys, num_buckets, shift)
    else:
        slot_keys, slot_used, buckets = _loops().insert(np.ascontiguousarray(keys), num_buckets, shift)
    first = _unique_rows(buckets, rows, num_buckets)
    if first is not None:
        return JoinIndex(0, num_buckets, slot_keys, slot_used, shift, first, None, None, num_keys)
    return _repeated(buckets, rows, 0, num_buckets, slot_keys, slot_used, shift)


def _insert_few(keys: Array, num_buckets: int, shift: int) -> tuple[Array, Array, Array]:
    slot_keys, slot_used = np.zeros(num_buckets, np.int64), np.zeros(num_buckets, bool)
    slots: dict[int, int] = {}
    buckets = np.empty(len(keys), np.int64)
    for index, key in enumerate(keys.tolist()):
        slot = slots.get(key)
        if slot is None:
            slot = (key * _MULTIPLIER & _MASK) >> shift
            while slot_used[slot]:
                slot = (slot + 1) & (num_buckets - 1)
            slots[key] = slot
            slot_used[slot] = True
            slot_keys[slot] = key
        buckets[index] = slot
    return slot_keys, slot_used, buckets


def _unique_rows(buckets: Array, rows: Array, num_buckets: int) -> Array | None:
    """Row of each bucket, -1 when empty; None if some bucket gets two."""
    if len(rows) < SMALL_JOIN_KEYS:
        first = np.full(num_buckets, -1, rows.dtype)
        first[buckets] = rows
        return first if bool((first[buckets] == rows).all()) else None
    first, unique = _loops().place_unique(buckets, rows, num_buckets)
    return first if unique else None


def _repeated(
    buckets: Array,
    rows: Array,
    minimum: int,
    num_buckets: int,
    slot_keys: Array | None,
    slot_used: Array | None,
    shift: int,
) -> JoinIndex:
    """Rows grouped by bucket."""
    num_keys = len(rows)
    if num_keys < SMALL_JOIN_KEYS:
        starts = np.zeros(num_buckets + 1, rows.dtype)
        np.cumsum(np.bincount(buckets, minlength=num_buckets), out=starts[1:])
        placed = rows[np.argsort(buckets, kind="stable")]
    else:
        starts, placed = _loops().place_repeated(buckets, rows, num_buckets)
    return JoinIndex(minimum, num_buckets, slot_keys, slot_used, shift, None, starts, placed, num_keys)


def _buckets(index: JoinIndex, keys: Array) -> Array:
    """Bucket of each key, -1 if it has none."""
    if index.slot_keys is None:
        # Keys far outside the domain must not wrap around into it.
        inside = (keys >= index.minimum) & (keys <= index.minimum + index.num_buckets - 1)
        return np.where(inside, keys - index.minimum, -1)
    assert index.slot_used is not None, "open addressing has both arrays"
    if len(keys) >= SMALL_JOIN_KEYS:
        return _loops().find(np.ascontiguousarray(keys), index.slot_keys, index.slot_used, index.shift)
    slots = (keys.astype(np.int64).view(np.uint64) * np.uint64(_MULTIPLIER)) >> np.uint64(index.shift)
    slots = slots.astype(np.int64)
    while True:
        used = index.slot_used[slots]
        other = used & (index.slot_keys[slots] != keys)
        if not other.any():
            return np.where(used, slots, -1)
        slots = np.where(other, (slots + 1) & (index.num_buckets - 1), slots)


def probe(index: JoinIndex, keys: Array, /) -> tuple[Array, Array]:
    """All pairs."""
    many = len(keys) >= SMALL_JOIN_KEYS
    if many and index.slot_keys is None and index.first is not None:
        probe_rows, build_rows = _loops().probe_unique_direct(keys, index.minimum, index.first)
        return probe_rows, build_rows
    buckets = _buckets(index, keys)
    if index.first is not None:
        rows = index.first[buckets]
        hits = np.flatnonzero((rows >= 0) & (buckets >= 0))
        return hits, rows[hits].astype(np.int64)
    assert index.starts is not None, "repeated keys have starts"
    assert index.rows is not None, "repeated keys have rows"
    if many:
        probe_rows, build_rows = _loops().probe_repeated(buckets, index.starts, index.rows)
        return probe_rows, build_rows
    found = np.flatnonzero(buckets >= 0)
    at = buckets[found]
    begin = index.starts[at].astype(np.int64)
    counts = index.starts[at + 1] - begin
    probe_rows = np.repeat(found, counts)
    ends = np.cumsum(counts)
    positions = np.arange(len(probe_rows)) + np.repeat(begin - (ends - counts), counts)
    return probe_rows, index.rows[positions].astype(np.int64)


def contains(index: JoinIndex, keys: Array, /) -> Array:
    """Whether each key has a build row."""
    if len(keys) >= SMALL_JOIN_KEYS and index.slot_keys is None and index.first is not None:
        return _loops().contains_unique_direct(keys, index.minimum, index.first)
    buckets = _buckets(index, keys)
    hit = buckets >= 0
    if index.slot_keys is not None:
        return hit
    if index.first is not None:
        return hit & (index.first[buckets] >= 0)
    assert index.starts is not None, "repeated keys have starts"
    safe = np.where(hit, buckets, 0)
    return hit & (index.starts[safe + 1] > index.starts[safe])
