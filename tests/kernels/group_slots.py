"""Many keys at once through the scalar functions by which generated code finds the slots of its groups."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from gpuql_kernels.grid.gpu import cuda, grid_kernel
from gpuql_kernels.scalar import cpu, gpu

Array = Any


@njit
def _fill(table: Array, status: Array, keys: Array, slots: Array) -> None:
    for i in range(len(keys)):
        slots[i] = cpu.group_slot(table, status, 0, keys[i])


@njit
def _fill_words(table: Array, status: Array, keys: Array, slots: Array) -> None:
    for i in range(len(keys)):
        slots[i] = cpu.group_slot_of_words(table, status, 0, keys[i])


@grid_kernel("int64, int64[:,::1], int64[::1], int64[::1], int64[::1]")
def _fill_grid(n: int, table: Array, status: Array, keys: Array, slots: Array) -> None:
    capacity = np.int64(len(table))
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        slots[i] = gpu.group_slot(table, status, capacity, keys[i])


@grid_kernel("int64, int64[:,::1], int64[::1], int64[:,::1], int64[::1]")
def _fill_grid_words(n: int, table: Array, status: Array, keys: Array, slots: Array) -> None:
    capacity = np.int64(len(table))
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        slots[i] = gpu.group_slot_of_words(table, status, capacity, keys[i])


def insert_on_cpu(table: Array, status: Array, keys: Array) -> Array:
    """Slots (int64, one per key) of int64 ``keys`` >= 0, (n,) or (n, words); those that are new are put in."""
    slots = np.empty(len(keys), np.int64)
    (_fill if keys.ndim == 1 else _fill_words)(table, status, keys, slots)
    return slots


def insert_on_grid(table: Array, status: Array, keys: Array, xp: Any) -> Array:
    """The same on a grid, of arrays of ``xp``; -1 for keys that a full table has no slot for."""
    slots = xp.empty(len(keys), np.int64)
    (_fill_grid if keys.ndim == 1 else _fill_grid_words)(len(keys), table, status, keys, slots)
    return slots
