"""Insertion on a GPU or under the simulator; see ``contract``. All threads share the table."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.array_module import array_module
from gpuql_kernels.grid.gpu import cuda, grid_kernel
from gpuql_kernels.scalar.gpu import group_slot, group_slot_of_words

Array = Any


@grid_kernel("int64, int64[:,::1], int64[::1], int64[::1], int64[::1]")
def _insert(n: int, table: Array, status: Array, keys: Array, slots: Array) -> None:
    capacity = np.int64(len(table))
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        slots[i] = group_slot(table, status, capacity, keys[i])


@grid_kernel("int64, int64[:,::1], int64[::1], int64[:,::1], int64[::1]")
def _insert_words(n: int, table: Array, status: Array, keys: Array, slots: Array) -> None:
    capacity = np.int64(len(table))
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        slots[i] = group_slot_of_words(table, status, capacity, keys[i])


def insert(table: Array, status: Array, keys: Array, /) -> Array:
    """See ``contract.GroupTableKernels.insert``."""
    xp = array_module(keys)
    slots = xp.empty(len(keys), np.int64)
    insert_all = _insert if keys.ndim == 1 else _insert_words
    insert_all(len(keys), table, status, xp.ascontiguousarray(keys, dtype=np.int64), slots)
    return slots
