"""Compiled loop of the group table; imported only once a table grows or is merged."""

from __future__ import annotations

from typing import Any

from numba import njit

from gpuql_kernels.scalar.cpu import group_slot, group_slot_of_words

Array = Any


@njit(nogil=True, cache=True, error_model="numpy")
def insert(table: Array, status: Array, keys: Array, slots: Array) -> None:
    """Slot of each key, in order; as ``group_slot`` finds it for the size of the table."""
    for i in range(len(keys)):
        slots[i] = group_slot(table, status, 0, keys[i])


@njit(nogil=True, cache=True, error_model="numpy")
def insert_words(table: Array, status: Array, keys: Array, slots: Array) -> None:
    """As :func:`insert`, for keys of several words: as ``group_slot_of_words`` finds them."""
    for i in range(len(keys)):
        slots[i] = group_slot_of_words(table, status, 0, keys[i])


#: The argument types that the loops meet.
SIGNATURES = {
    insert: ["(int64[:, ::1], int64[::1], int64[::1], int64[::1])"],
    insert_words: ["(int64[:, ::1], int64[::1], int64[:, ::1], int64[::1])"],
}
