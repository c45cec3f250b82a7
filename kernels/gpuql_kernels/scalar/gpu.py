"""The scalar functions as CUDA device functions, and find-or-insert shared by all threads.

``inline="always"`` lets kernels compile to PTX without a driver.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import config as _numba_config
from numba import cuda as _cuda

from gpuql_kernels.codegen.program import STATUS_FULL
from gpuql_kernels.scalar import arithmetic, hashing
from gpuql_kernels.scalar.arithmetic import MAX_INT64, MIN_INT64, NAN, NEGATIVE_INFINITY
from gpuql_kernels.scalar.hashing import HASH_MULTIPLIER, TABLE_STEP, Array, Scalar

cuda: Any = _cuda
numba_config: Any = _numba_config

__all__ = [
    "MAX_INT64",
    "MIN_INT64",
    "NAN",
    "NEGATIVE_INFINITY",
    "add_overflows",
    "add_two_words",
    "find_slot",
    "float_bits",
    "float_equal",
    "float_less",
    "group_slot",
    "group_slot_of_words",
    "integer_less",
    "join_words",
    "multiply_overflows",
    "next_slot",
    "rescale_down",
    "subtract_overflows",
]

_compile = cuda.jit(device=True, inline="always")

add_overflows = _compile(arithmetic.add_overflows)
float_equal = _compile(arithmetic.float_equal)
float_less = _compile(arithmetic.float_less)
integer_less = _compile(arithmetic.integer_less)
multiply_overflows = _compile(arithmetic.multiply_overflows)
rescale_down = _compile(arithmetic.rescale_down)
subtract_overflows = _compile(arithmetic.subtract_overflows)
find_slot = _compile(hashing.find_slot)


@_compile
def group_slot(table: Array, status: Array, capacity: Scalar, key: Scalar) -> Scalar:
    """Slot of group ``key`` (>= 0), inserted if new; all threads share the table. -1 and status FULL if it is full.

    As ``hashing.group_slot``; a slot is claimed by compare-and-swap, so every key ends in exactly one slot. Threads
    that saw room at the same moment can fill a table to the last slot: nobody goes round it twice.
    """
    mask = np.int64(len(table) - 1)
    code = np.uint64(status[2])
    multiplier = HASH_MULTIPLIER + (code >> np.uint64(6)) * TABLE_STEP
    position = np.int64((np.uint64(key) * multiplier) >> (code & np.uint64(63)))
    for _ in range(len(table)):
        found = table[position, 0]
        if found == -1:
            if status[1] >= capacity:
                status[0] = STATUS_FULL
                return np.int64(-1)
            found = cuda.atomic.cas(table, (position, 0), np.int64(-1), np.int64(key))
            if found == -1:
                cuda.atomic.add(status, 1, 1)
                return position
        if found == key:
            return position
        position = (position + 1) & mask
    status[0] = STATUS_FULL
    return np.int64(-1)


@_compile
def group_slot_of_words(table: Array, status: Array, capacity: Scalar, key: Array) -> Scalar:
    """As :func:`group_slot` for a ``key`` of several words, each >= 0; hashed as ``hashing.group_slot_of_words`` does.

    The words of a slot are claimed one after the other, each by compare-and-swap, and whoever claims a word goes on to
    the next one: a word never changes once it is there, so all threads agree on whether a slot holds their key, none
    waits for another, and whoever claims the last word has made the group.
    """
    mixed = np.uint64(key[0])
    for word in range(1, len(key)):
        mixed = mixed * HASH_MULTIPLIER
        mixed = (mixed ^ (mixed >> np.uint64(32))) + np.uint64(key[word])
    mask = np.int64(len(table) - 1)
    code = np.uint64(status[2])
    multiplier = HASH_MULTIPLIER + (code >> np.uint64(6)) * TABLE_STEP
    position = np.int64((mixed * multiplier) >> (code & np.uint64(63)))
    for _ in range(len(table)):
        claimed = False
        same = True
        for word in range(len(key)):
            if same:
                found = table[position, word]
                claimed = found == -1
                if claimed:
                    if word == 0 and status[1] >= capacity:
                        status[0] = STATUS_FULL
                        return np.int64(-1)
                    found = cuda.atomic.cas(table, (position, word), np.int64(-1), np.int64(key[word]))
                    claimed = found == -1
                same = claimed or found == key[word]
        if same:
            if claimed:
                cuda.atomic.add(status, 1, 1)
            return position
        position = (position + 1) & mask
    status[0] = STATUS_FULL
    return np.int64(-1)


@_compile
def add_two_words(low: Array, high: Array, cell: Scalar, value: Scalar) -> None:
    """Add an int64 to the sum kept at ``cell`` of ``low`` (uint32) and ``high`` (int32), atomically in each word.

    The words are right together once all threads are done. Most values touch the low word only.
    """
    part = np.int64(value) & np.int64(0xFFFFFFFF)
    before = np.int64(cuda.atomic.add(low, cell, np.uint32(part)))
    more = (np.int64(value) >> 32) + ((before + part) >> 32)
    if more != 0:
        cuda.atomic.add(high, cell, np.int32(more))


@_compile
def join_words(low: Scalar, high: Scalar) -> Scalar:
    """The int64 of two words."""
    return (np.int64(high) << 32) + np.int64(low)


def _next_slot_of_thread(status: Array) -> Scalar:
    """As :func:`_next_slot_of_warp`, thread by thread, where there are no warps."""
    return cuda.atomic.add(status, 1, 1)


def _next_slot_of_warp(status: Array) -> Scalar:
    """Count a row in ``status[1]``; its number. The threads of a warp that come together share one atomic.

    Source: warp-aggregated atomics (Adinetz, NVIDIA developer blog, 2014).
    """
    together = cuda.activemask()
    lane = cuda.laneid
    rank = cuda.popc(together & ((np.int64(1) << lane) - 1))
    leader = cuda.ffs(together) - 1
    first = np.int64(0)
    if lane == leader:
        first = cuda.atomic.add(status, 1, np.int64(cuda.popc(together)))
    return cuda.shfl_sync(together, first, leader) + rank


def _float_bits_on_device(value: Scalar) -> Scalar:
    """As ``arithmetic.float_bits``, with the device's instruction for the bits."""
    if value == 0:
        return np.int64(0)
    if value != value:
        return np.int64(0x7FF8000000000000)
    return cuda.libdevice.double_as_longlong(np.float64(value))


float_bits = _compile(arithmetic.float_bits if numba_config.ENABLE_CUDASIM else _float_bits_on_device)
next_slot = _compile(_next_slot_of_thread if numba_config.ENABLE_CUDASIM else _next_slot_of_warp)
