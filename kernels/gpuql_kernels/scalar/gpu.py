"""The scalar functions as CUDA device functions, and find-or-insert shared by all threads.

``inline="always"`` lets kernels compile to PTX without a driver.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import cuda as _cuda

from gpuql_kernels.codegen.program import STATUS_FULL
from gpuql_kernels.scalar import arithmetic, hashing
from gpuql_kernels.scalar.arithmetic import MAX_INT64, MIN_INT64, NAN, NEGATIVE_INFINITY
from gpuql_kernels.scalar.hashing import HASH_MULTIPLIER, Array, Scalar

cuda: Any = _cuda

__all__ = [
    "MAX_INT64",
    "MIN_INT64",
    "NAN",
    "NEGATIVE_INFINITY",
    "add_overflows",
    "find_slot",
    "float_equal",
    "float_less",
    "group_slot",
    "integer_less",
    "multiply_overflows",
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

    As ``hashing.group_slot``; a slot is claimed by compare-and-swap, so every key ends in exactly one slot.
    """
    mask = np.int64(len(table) - 1)
    position = np.int64((np.uint64(key) * HASH_MULTIPLIER) >> np.uint64(status[2]))
    while True:
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
