"""Partitioning kernels: the same hashes from NumPy and from compiled loops, and rows split by them."""

from __future__ import annotations

import numpy as np
import pytest

from gpuql_kernels.partition import cpu

SIZES = (0, 1, 31, 33, cpu.SMALL_PARTITION_ROWS - 1, cpu.SMALL_PARTITION_ROWS, 9000)


def test_few_and_many_rows_hash_alike() -> None:
    values = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 2 * cpu.SMALL_PARTITION_ROWS)
    start = np.full(len(values), 12345, np.uint64)
    many = cpu.mix(cpu.mix(start, values), values[::-1])
    few = np.concatenate(
        [
            cpu.mix(cpu.mix(start[i : i + 100], values[i : i + 100]), values[::-1][i : i + 100])
            for i in range(0, len(values), 100)
        ]
    )
    assert many.tolist() == few.tolist()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("num_bits", [0, 1, 6, 16])
def test_split_is_a_stable_sort_by_leading_bits(size: int, num_bits: int) -> None:
    hashes = np.random.default_rng(size).integers(0, 2**64, size, dtype=np.uint64)
    rows, bounds = cpu.split(hashes, num_bits)
    numbers = [int(value) >> (64 - num_bits) for value in hashes]
    assert rows.dtype == bounds.dtype == np.int64
    assert rows.tolist() == sorted(range(size), key=lambda row: numbers[row])
    assert (
        bounds.tolist() == [sum(n < p for n in numbers) for p in range(2**num_bits + 1)]
        if num_bits < 8
        else True
    )
    assert bounds[0] == 0
    assert bounds[-1] == size


def test_sequential_keys_spread_at_every_start() -> None:
    values = np.arange(1 << 16)
    for start in (1, 0x9FB21C651E98DF25):
        mixed = cpu.mix(np.full(len(values), start, np.uint64), values)
        counts = np.bincount((mixed >> np.uint64(58)).astype(np.int64), minlength=64)
        assert counts.min() > 800
        assert counts.max() < 1250
    one, other = (cpu.mix(np.full(len(values), s, np.uint64), values) for s in (1, 0x9FB21C651E98DF25))
    together = values[(one >> np.uint64(58)) == 7]
    left = other[together] >> np.uint64(58)
    assert np.bincount(left.astype(np.int64), minlength=64).max() < 60


def test_strings_hash_by_their_bytes() -> None:
    offsets, data = np.array([0, 2, 4, 4, 6]), np.frombuffer(b"ababba", np.uint8)
    hashes = cpu.hash_strings(offsets, data, None)
    assert hashes.dtype == np.int64
    assert hashes[0] == hashes[1]
    assert len({int(value) for value in hashes}) == 3
    assert cpu.hash_strings(offsets, data, np.array([3, 0])).tolist() == [hashes[3], hashes[0]]
