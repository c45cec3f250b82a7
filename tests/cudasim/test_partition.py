"""Partitioning kernels: the grid gives what the compiled loops give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpuql_kernels.partition import cpu, gpu

Array = Any
Copy = Callable[..., Array]


def test_partition(size: int, put: Copy, get: Copy) -> None:
    values = np.random.default_rng(size).integers(-(2**63), 2**63 - 1, size)
    start = np.full(size, 77, np.uint64)
    hashes = cpu.mix(start, values)
    mixed = gpu.mix(put(start), put(values))
    np.testing.assert_array_equal(get(mixed), hashes)
    for num_bits in (0, 6, 9):
        rows, bounds = gpu.split(mixed, num_bits)
        expected_rows, expected_bounds = cpu.split(hashes, num_bits)
        np.testing.assert_array_equal(get(rows), expected_rows)
        np.testing.assert_array_equal(bounds, expected_bounds)


@pytest.mark.parametrize("chosen", [None, [2, 0, 1]])
def test_string_hashes(chosen: list[int] | None, put: Copy, get: Copy) -> None:
    offsets, data = np.array([0, 3, 3, 7]), np.frombuffer(b"abcdefg", np.uint8)
    rows = None if chosen is None else np.array(chosen)
    found = gpu.hash_strings(put(offsets), put(data.copy()), None if rows is None else put(rows))
    np.testing.assert_array_equal(get(found), cpu.hash_strings(offsets, data, rows))
