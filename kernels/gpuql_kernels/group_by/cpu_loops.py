"""Compiled loops of the grouping kernels; imported only by ``cpu`` once an input is large enough."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.compiled_loop import compiled_loop

Array = Any

#: Not that of group and join tables (``scalar.hashing``): keys that leave one of those in the order of its slots would
#: crowd a part of the table here.
_MULTIPLIER = np.uint64(0xC2B2AE3D27D4EB4F)


#: Rows looked up before those that are not found, or stand elsewhere, are looked at one by one.
_STAGE_ROWS = 1024


@compiled_loop
def _empty_table(bits: int) -> Array:
    """Slots of a key and its code, -1 for none."""
    table = np.empty((1 << bits, 2), np.int64)
    table[:, 1] = -1
    return table


@compiled_loop
def _free_slot(table: Array, key: int, shift: int) -> Any:
    """Where a key that is not in the table goes."""
    slot = np.int64((np.uint64(key) * _MULTIPLIER) >> np.uint64(shift))
    while table[slot, 1] >= 0:
        slot = (slot + 1) & (len(table) - 1)
    return slot


@compiled_loop
def factorize(keys: Array, most: int) -> Any:
    """Number distinct keys, in an open-addressing table that grows when half full.

    A stage of rows is looked up first, without a branch, so that cache misses overlap; keys that are new, or not in
    the slot that their hash says, follow one by one. Gives up once there are more than ``most``: then so many have a
    first row, and codes mean nothing.
    """
    total = len(keys)
    codes = np.empty(total, np.int64)
    bits = 12
    table = _empty_table(bits)
    first = np.empty(min(total, 2048) + 1, np.int64)
    missed = np.empty(_STAGE_ROWS, np.int64)
    base = count = 0
    while base < total and count <= most:
        end = min(base + _STAGE_ROWS, total)
        shift = np.uint64(64 - bits)
        num_missed = 0
        for i in range(base, end):
            slot = np.int64((np.uint64(keys[i]) * _MULTIPLIER) >> shift)
            code = table[slot, 1]
            codes[i] = code
            missed[num_missed] = i
            num_missed += int((code < 0) | (table[slot, 0] != keys[i]))
        for place in range(num_missed):
            i = missed[place]
            key = keys[i]
            mask = np.int64(len(table) - 1)
            slot = np.int64((np.uint64(key) * _MULTIPLIER) >> np.uint64(64 - bits))
            while table[slot, 1] >= 0 and table[slot, 0] != key:
                slot = (slot + 1) & mask
            if table[slot, 1] < 0:
                table[slot, 0] = key
                table[slot, 1] = count
                first[count] = i
                count += 1
                codes[i] = count - 1
                if count == len(first):
                    grown = np.empty(min(2 * count, total + 1), np.int64)
                    grown[:count] = first
                    first = grown
                if 2 * count > mask:
                    # Four times larger: few rebuilds, and a load of one half to one eighth.
                    bits += 2
                    table = _empty_table(bits)
                    for entry in range(count):
                        old = keys[first[entry]]
                        slot = _free_slot(table, old, 64 - bits)
                        table[slot, 0] = old
                        table[slot, 1] = entry
            else:
                codes[i] = table[slot, 1]
        base = end
    return codes, first[:count].copy()


@compiled_loop
def hash_keys(keys: Array) -> Array:
    """Hashes with all bits mixed. Each step can be undone, so different keys have different ones."""
    hashes = np.empty(len(keys), np.uint64)
    for i in range(len(keys)):
        value = np.uint64(keys[i]) * _MULTIPLIER
        value = (value ^ (value >> np.uint64(32))) * _MULTIPLIER
        hashes[i] = value ^ (value >> np.uint64(29))
    return hashes


@compiled_loop
def scatter(hashes: Array, rows: Array, num_bits: int) -> Any:
    """Hashes by their upper ``num_bits``, and where each partition ends: a stable counting sort. Fills ``rows``."""
    shift = np.uint64(64 - num_bits)
    places = np.zeros((1 << num_bits) + 1, np.int64)
    for i in range(len(hashes)):
        places[np.int64(hashes[i] >> shift) + 1] += 1
    for bound in range(1, len(places)):
        places[bound] += places[bound - 1]
    scattered = np.empty(len(hashes), np.uint64)
    for i in range(len(hashes)):
        hashed = hashes[i]
        partition = np.int64(hashed >> shift)
        place = places[partition]
        places[partition] = place + 1
        rows[place] = i
        scattered[place] = hashed
    return scattered, places[:-1].copy()


@compiled_loop
def first_of_hash(hashes: Array, rows: Array, ends: Array, result: Array) -> None:
    """Of each row the first with its hash, partition by partition (see ``scatter``), whose tables stay in the cache."""
    table = np.empty(1024, np.int64)
    begin = 0
    for end in ends:
        slots = 1024
        while slots < 2 * (end - begin):
            slots *= 2
        if slots > len(table):
            table = np.empty(slots, np.int64)
        table[:slots] = -1
        mask = np.uint64(slots - 1)
        for place in range(begin, end):
            hashed = hashes[place]
            slot = hashed & mask
            while table[slot] >= 0 and hashes[table[slot]] != hashed:
                slot = (slot + np.uint64(1)) & mask
            if table[slot] < 0:
                table[slot] = place
            result[rows[place]] = rows[table[slot]]
        begin = end


@compiled_loop
def number(representatives: Array) -> Array:
    """First rows in order; ``representatives``, the first equal row of each, become codes."""
    count = 0
    for i in range(len(representatives)):
        count += representatives[i] == i
    first = np.empty(count, np.int64)
    count = 0
    for i in range(len(representatives)):
        row = representatives[i]
        if row == i:
            first[count] = i
            representatives[i] = count
            count += 1
        else:
            representatives[i] = representatives[row]  # an earlier one, which is a code already
    return first


@compiled_loop
def sum_int64(values: Array, groups: Array, num_groups: int) -> Array:
    """Integer sums."""
    result = np.zeros(num_groups, np.int64)
    for i in range(len(groups)):
        result[groups[i]] += np.int64(values[i])
    return result


@compiled_loop
def sum_words(values: Array, groups: Array, num_groups: int) -> Array:
    """Two-word sums with carry."""
    result = np.zeros((num_groups, 2), np.int64)
    for i in range(len(groups)):
        group = groups[i]
        low = np.uint64(values[i, 0])
        total = np.uint64(result[group, 0]) + low
        result[group, 1] += values[i, 1] + np.int64(total < low)
        result[group, 0] = np.int64(total)
    return result


@compiled_loop
def minimum(values: Array, groups: Array, result: Array) -> None:
    """Fold the smaller value into ``result``."""
    for i in range(len(groups)):
        if values[i] < result[groups[i]]:
            result[groups[i]] = values[i]


@compiled_loop
def maximum(values: Array, groups: Array, result: Array) -> None:
    """Fold the larger value into ``result``."""
    for i in range(len(groups)):
        if values[i] > result[groups[i]]:
            result[groups[i]] = values[i]


_INTEGERS = ("int8", "int16", "int32", "int64")

#: The argument types that each loop meets; others are compiled when they come.
SIGNATURES = {
    factorize: ["(int64[::1], int64)"],
    hash_keys: ["(int64[::1],)"],
    scatter: ["(uint64[::1], int32[::1], int64)"],
    first_of_hash: ["(uint64[::1], int32[::1], int64[::1], int64[::1])"],
    number: ["(int64[::1],)"],
    sum_int64: [f"({word}[::1], int64[::1], int64)" for word in _INTEGERS],
    sum_words: ["(int64[:, ::1], int64[::1], int64)"],
    minimum: [f"({word}[::1], int64[::1], {word}[::1])" for word in (*_INTEGERS, "uint64", "float64")],
    maximum: [f"({word}[::1], int64[::1], {word}[::1])" for word in (*_INTEGERS, "uint64", "float64")],
}
