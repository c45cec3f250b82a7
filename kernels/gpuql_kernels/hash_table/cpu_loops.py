"""Compiled loops of the join index; imported only by ``cpu`` once an input is large enough."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.compiled_loop import compiled_loop

Array = Any
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@compiled_loop
def insert(keys: Array, num_buckets: int, shift: int) -> Any:
    """Open-addressing table of distinct keys, and the bucket of each key."""
    slot_keys = np.zeros(num_buckets, np.int64)
    slot_used = np.zeros(num_buckets, np.bool_)
    buckets = np.empty(len(keys), np.int64)
    mask = np.int64(num_buckets - 1)
    for i in range(len(keys)):
        key = keys[i]
        slot = np.int64((np.uint64(key) * _MULTIPLIER) >> np.uint64(shift))
        while slot_used[slot] and slot_keys[slot] != key:
            slot = (slot + 1) & mask
        slot_used[slot] = True
        slot_keys[slot] = key
        buckets[i] = slot
    return slot_keys, slot_used, buckets


@compiled_loop
def find(keys: Array, slot_keys: Array, slot_used: Array, shift: int) -> Array:
    """Bucket of each key in an open-addressing table, -1 if absent."""
    buckets = np.empty(len(keys), np.int64)
    mask = np.int64(len(slot_keys) - 1)
    for i in range(len(keys)):
        key = keys[i]
        slot = np.int64((np.uint64(key) * _MULTIPLIER) >> np.uint64(shift))
        while slot_used[slot] and slot_keys[slot] != key:
            slot = (slot + 1) & mask
        buckets[i] = slot if slot_used[slot] else -1
    return buckets


@compiled_loop
def place_unique(buckets: Array, rows: Array, num_buckets: int) -> Any:
    """Row of each bucket, and whether no bucket holds two."""
    first = np.full(num_buckets, -1, rows.dtype)
    for i in range(len(buckets)):
        if first[buckets[i]] != -1:
            return first, False
        first[buckets[i]] = rows[i]
    return first, True


@compiled_loop
def place_repeated(buckets: Array, rows: Array, num_buckets: int) -> Any:
    """Rows grouped by bucket in their given order: a counting sort."""
    starts = np.zeros(num_buckets + 1, rows.dtype)
    for i in range(len(buckets)):
        starts[buckets[i] + 1] += 1
    for b in range(num_buckets):
        starts[b + 1] += starts[b]
    cursor = starts[:-1].copy()
    placed = np.empty(len(rows), rows.dtype)
    for i in range(len(buckets)):
        bucket = buckets[i]
        placed[cursor[bucket]] = rows[i]
        cursor[bucket] += 1
    return starts, placed


@compiled_loop
def probe_unique_direct(keys: Array, minimum: int, first: Array) -> Any:
    """Pairs of a direct-address table of unique keys, in one pass."""
    probe_rows = np.empty(len(keys), np.int64)
    build_rows = np.empty(len(keys), np.int64)
    count = 0
    size = np.uint64(len(first))
    for i in range(len(keys)):
        # Read as unsigned, a key below the minimum is beyond the table as well.
        bucket = np.uint64(keys[i] - minimum)
        row = first[bucket] if bucket < size else first.dtype.type(-1)
        probe_rows[count] = i
        build_rows[count] = row
        count += row >= 0
    return probe_rows[:count], build_rows[:count]


@compiled_loop
def contains_unique_direct(keys: Array, minimum: int, first: Array) -> Array:
    """Membership in a direct-address table of unique keys."""
    found = np.empty(len(keys), np.bool_)
    size = np.uint64(len(first))
    for i in range(len(keys)):
        bucket = np.uint64(keys[i] - minimum)
        found[i] = bucket < size and first[bucket] >= 0
    return found


@compiled_loop
def probe_repeated(buckets: Array, starts: Array, rows: Array) -> Any:
    """Pairs of buckets (-1 for none) that may hold several rows."""
    total = 0
    for i in range(len(buckets)):
        bucket = buckets[i]
        if bucket >= 0:
            total += int(starts[bucket + 1] - starts[bucket])
    probe_rows = np.empty(total, np.int64)
    build_rows = np.empty(total, np.int64)
    count = 0
    for i in range(len(buckets)):
        bucket = buckets[i]
        if bucket >= 0:
            for k in range(starts[bucket], starts[bucket + 1]):
                probe_rows[count] = i
                build_rows[count] = rows[k]
                count += 1
    return probe_rows, build_rows


#: The argument types that each loop meets with fewer than 2**31 build rows.
SIGNATURES = {
    insert: ["(int64[::1], int64, int64)"],
    find: ["(int64[::1], int64[::1], boolean[::1], int64)"],
    place_unique: ["(int64[::1], int32[::1], int64)"],
    place_repeated: ["(int64[::1], int32[::1], int64)"],
    probe_unique_direct: ["(int64[::1], int64, int32[::1])"],
    contains_unique_direct: ["(int64[::1], int64, int32[::1])"],
    probe_repeated: ["(int64[::1], int32[::1], int32[::1])"],
}
