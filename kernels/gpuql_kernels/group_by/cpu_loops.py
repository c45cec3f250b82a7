"""Compiled loops of the grouping kernels; imported only by ``cpu`` once an input is large enough."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Array = Any

#: Not that of group and join tables (``scalar.hashing``): keys that leave one of those in the order of its slots would
#: crowd a part of the table here.
_MULTIPLIER = np.uint64(0xC2B2AE3D27D4EB4F)


@njit(cache=True, nogil=True, error_model="numpy")
def factorize(keys: Array, most: int) -> Any:
    """Number distinct keys, in an open-addressing table that grows when half full.

    Gives up once there are more than ``most``: then so many have a first row, and codes mean nothing.
    """
    total = len(keys)
    codes = np.empty(total, np.int64)
    bits = 12
    table_codes = np.full(1 << bits, -1, np.int32)
    table_keys = np.empty(1 << bits, np.int64)
    first = np.empty(min(total, 2048) + 1, np.int64)
    count = 0
    shift = np.uint64(64 - bits)
    mask = np.int64((1 << bits) - 1)
    for i in range(total):
        key = keys[i]
        slot = np.int64((np.uint64(key) * _MULTIPLIER) >> shift)
        while table_codes[slot] >= 0 and table_keys[slot] != key:
            slot = (slot + 1) & mask
        code = np.int64(table_codes[slot])
        if code < 0:
            code = np.int64(count)
            table_codes[slot] = code
            table_keys[slot] = key
            first[count] = i
            count += 1
            if count > most:
                break
            if count == len(first):
                grown = np.empty(min(2 * count, total + 1), np.int64)
                grown[:count] = first
                first = grown
            if 2 * count > mask:
                # Four times larger: few rebuilds, and a load of one half to one eighth.
                bits += 2
                shift = np.uint64(64 - bits)
                mask = np.int64((1 << bits) - 1)
                table_codes = np.full(1 << bits, -1, np.int32)
                table_keys = np.empty(1 << bits, np.int64)
                for entry in range(count):
                    old = keys[first[entry]]
                    slot = np.int64((np.uint64(old) * _MULTIPLIER) >> shift)
                    while table_codes[slot] >= 0:
                        slot = (slot + 1) & mask
                    table_codes[slot] = entry
                    table_keys[slot] = old
        codes[i] = code
    return codes, first[:count].copy()


@njit(cache=True, nogil=True, error_model="numpy")
def hash_keys(keys: Array) -> Array:
    """Hashes with all bits mixed. Each step can be undone, so different keys have different ones."""
    hashes = np.empty(len(keys), np.uint64)
    for i in range(len(keys)):
        value = np.uint64(keys[i]) * _MULTIPLIER
        value = (value ^ (value >> np.uint64(32))) * _MULTIPLIER
        hashes[i] = value ^ (value >> np.uint64(29))
    return hashes


@njit(cache=True, nogil=True, error_model="numpy")
def scatter(hashes: Array, num_bits: int) -> Any:
    """Hashes by their upper ``num_bits``, with their rows, and where each partition ends: a stable counting sort."""
    shift = np.uint64(64 - num_bits)
    places = np.zeros((1 << num_bits) + 1, np.int64)
    for i in range(len(hashes)):
        places[np.int64(hashes[i] >> shift) + 1] += 1
    for bound in range(1, len(places)):
        places[bound] += places[bound - 1]
    rows = np.empty(len(hashes), np.int64)
    scattered = np.empty(len(hashes), np.uint64)
    for i in range(len(hashes)):
        hashed = hashes[i]
        partition = np.int64(hashed >> shift)
        place = places[partition]
        places[partition] = place + 1
        rows[place] = i
        scattered[place] = hashed
    return scattered, rows, places[:-1].copy()


@njit(cache=True, nogil=True, error_model="numpy")
def first_of_hash(hashes: Array, rows: Array, ends: Array) -> Array:
    """Of each row the first with its hash, partition by partition (see ``scatter``), whose tables stay in the cache."""
    result = np.empty(len(rows), np.int64)
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
    return result


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def sum_int64(values: Array, groups: Array, num_groups: int) -> Array:
    """Integer sums."""
    result = np.zeros(num_groups, np.int64)
    for i in range(len(groups)):
        result[groups[i]] += np.int64(values[i])
    return result


@njit(cache=True, nogil=True, error_model="numpy")
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


@njit(cache=True, nogil=True, error_model="numpy")
def minimum(values: Array, groups: Array, result: Array) -> None:
    """Fold the smaller value into ``result``."""
    for i in range(len(groups)):
        if values[i] < result[groups[i]]:
            result[groups[i]] = values[i]


@njit(cache=True, nogil=True, error_model="numpy")
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
    scatter: ["(uint64[::1], int64)"],
    first_of_hash: ["(uint64[::1], int64[::1], int64[::1])"],
    number: ["(int64[::1],)"],
    sum_int64: [f"({word}[::1], int64[::1], int64)" for word in _INTEGERS],
    sum_words: ["(int64[:, ::1], int64[::1], int64)"],
    minimum: [f"({word}[::1], int64[::1], {word}[::1])" for word in (*_INTEGERS, "uint64", "float64")],
    maximum: [f"({word}[::1], int64[::1], {word}[::1])" for word in (*_INTEGERS, "uint64", "float64")],
}
