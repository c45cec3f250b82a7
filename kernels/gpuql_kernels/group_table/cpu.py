"""Insertion on the CPU; see ``contract``. Not safe for several threads on one table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from gpuql_kernels.scalar.cpu import group_slot

Array = Any


@njit(nogil=True, cache=True, error_model="numpy")
def _insert(slot_keys: Array, status: Array, keys: Array, slots: Array) -> None:
    for i in range(len(keys)):
        slots[i] = group_slot(slot_keys, status, 0, keys[i])


def insert(slot_keys: Array, status: Array, keys: Array, /) -> Array:
    """See ``contract.GroupTableKernels.insert``."""
    slots = np.empty(len(keys), np.int64)
    _insert(slot_keys, status, keys, slots)
    return slots
