"""Partitioning on NumPy arrays (see ``contract``): NumPy alone for few rows, compiled loops beyond."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.partition.contract import MULTIPLIER, SECOND_MULTIPLIER
from gpuql_kernels.thresholds import SMALL_PARTITION_ROWS

Array = Any


def _loops() -> Any:
    from gpuql_kernels.partition import cpu_loops

    return cpu_loops


def mix(hashes: Array, values: Array, /) -> Array:
    """One more column."""
    values = np.ascontiguousarray(values, np.int64)
    if len(values) >= SMALL_PARTITION_ROWS:
        mixed = np.empty(len(values), np.uint64)
        _loops().mix(hashes, values, mixed)
        return mixed
    mixed = (hashes ^ values.view(np.uint64)) * MULTIPLIER
    return (mixed ^ (mixed >> np.uint64(32))) * SECOND_MULTIPLIER


def hash_strings(offsets: Array, data: Array, rows: Array | None, /) -> Array:
    """Bytes and length."""
    positions = np.arange(len(offsets) - 1) if rows is None else np.ascontiguousarray(rows, np.int64)
    hashes = np.empty(len(positions), np.int64)
    _loops().hash_strings(offsets, data, positions, hashes)
    return hashes


def split(hashes: Array, num_bits: int, /) -> tuple[Array, Array]:
    """Counting sort of row numbers."""
    bounds = np.zeros((1 << num_bits) + 1, np.int64)
    if num_bits == 0:
        bounds[1] = len(hashes)
        return np.arange(len(hashes)), bounds
    if len(hashes) >= SMALL_PARTITION_ROWS:
        rows = np.empty(len(hashes), np.int64)
        _loops().split(hashes, num_bits, rows, bounds)
        return rows, bounds
    numbers = (hashes >> np.uint64(64 - num_bits)).astype(np.int64)
    np.cumsum(np.bincount(numbers, minlength=1 << num_bits), out=bounds[1:])
    return np.argsort(numbers, kind="stable"), bounds
