"""Partitioning on CuPy arrays, or NumPy arrays under the simulator (see ``contract``). One thread, one row."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.array_module import array_module
from gpuql_kernels.grid.gpu import cuda, grid_kernel
from gpuql_kernels.partition.contract import MULTIPLIER, SECOND_MULTIPLIER
from gpuql_kernels.string_match import gpu_kernels as strings

Array = Any


@grid_kernel("int64, uint64[::1], uint64[::1], uint64[::1]")
def _mix(n: int, hashes: Array, values: Array, mixed: Array) -> None:
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        value = (hashes[i] ^ values[i]) * MULTIPLIER
        mixed[i] = (value ^ (value >> np.uint64(32))) * SECOND_MULTIPLIER


def mix(hashes: Array, values: Array, /) -> Array:
    """One more column."""
    xp = array_module(hashes)
    mixed = xp.empty(len(hashes), np.uint64)
    words = xp.ascontiguousarray(values, dtype=np.int64).view(np.uint64)
    _mix(len(hashes), xp.ascontiguousarray(hashes), words, mixed)
    return mixed


def hash_strings(offsets: Array, data: Array, rows: Array | None, /) -> Array:
    """Bytes and length."""
    xp = array_module(offsets)
    count = len(offsets) - 1 if rows is None else len(rows)
    hashes = xp.empty(count, np.uint64)
    positions = xp.zeros(0, np.int64) if rows is None else xp.ascontiguousarray(rows, dtype=np.int64)
    strings.hash_strings(count, offsets, data, positions, rows is not None, hashes)
    return hashes.view(np.int64)


def split(hashes: Array, num_bits: int, /) -> tuple[Array, Array]:
    """A stable sort of narrow partition numbers, which the device does by radix."""
    xp = array_module(hashes)
    bounds = np.zeros((1 << num_bits) + 1, np.int64)
    if num_bits == 0:
        bounds[1] = len(hashes)
        return xp.arange(len(hashes), dtype=np.int64), bounds
    numbers = (hashes >> np.uint64(64 - num_bits)).astype(np.uint8 if num_bits <= 8 else np.uint16)
    counts = xp.bincount(numbers.astype(np.int64), minlength=1 << num_bits)
    np.cumsum(counts if isinstance(counts, np.ndarray) else counts.get(), out=bounds[1:])
    return xp.argsort(numbers, kind="stable").astype(np.int64), bounds
