"""Compiled loops of the partitioning kernels; imported only by ``cpu`` once an input is large enough."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.compiled_loop import compiled_loop
from gpuql_kernels.partition.contract import MULTIPLIER, SECOND_MULTIPLIER
from gpuql_kernels.string_match import bytewise

Array = Any

_hash = compiled_loop(bytewise.hash_bytes)


@compiled_loop
def mix(hashes: Array, values: Array, mixed: Array) -> None:
    """One more column."""
    for i in range(len(values)):
        value = (hashes[i] ^ np.uint64(values[i])) * MULTIPLIER
        mixed[i] = (value ^ (value >> np.uint64(32))) * SECOND_MULTIPLIER


@compiled_loop
def hash_strings(offsets: Array, data: Array, rows: Array, hashes: Array) -> None:
    """Bytes and length."""
    for i in range(len(rows)):
        row = rows[i]
        hashes[i] = np.int64(_hash(data, offsets[row], offsets[row + 1]))


@compiled_loop
def split(hashes: Array, num_bits: int, rows: Array, bounds: Array) -> None:
    """Counting sort of row numbers; ``bounds`` comes zeroed."""
    shift = np.uint64(64 - num_bits)
    for i in range(len(hashes)):
        bounds[np.int64(hashes[i] >> shift) + 1] += 1
    for bound in range(1, len(bounds)):
        bounds[bound] += bounds[bound - 1]
    places = bounds[:-1].copy()
    for i in range(len(hashes)):
        partition = np.int64(hashes[i] >> shift)
        rows[places[partition]] = i
        places[partition] += 1


#: The argument types that each loop meets.
SIGNATURES = {
    mix: ["(uint64[::1], int64[::1], uint64[::1])"],
    hash_strings: ["(int64[::1], uint8[::1], int64[::1], int64[::1])"],
    split: ["(uint64[::1], int64, int64[::1], int64[::1])"],
}
