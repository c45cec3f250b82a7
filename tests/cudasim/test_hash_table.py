from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpuql_kernels.hash_table import cpu, gpu
from gpuql_kernels.scalar import hashing

Array = Any
LOW, HIGH = -(2**63), 2**63 - 1


def keys_of(kind: str, size: int) -> Array:
    random = np.random.default_rng(size)
    if kind == "dense":
        return random.permutation(size).astype(np.int64) - 5
    if kind == "dense repeated":
        return random.integers(-3, 1 + size // 3, size)
    sparse = random.permutation(size).astype(np.int64) * 0x123456789ABC - 7 * 2**40
    if kind == "sparse repeated":
        return sparse[random.integers(0, max(1, size // 2), size)] if size else sparse
    sparse[:2] = (LOW, HIGH)[: min(2, size)]
    return sparse


def same(left: Array | None, right: Array | None, get: Callable[[Array], Array]) -> None:
    assert (left is None) == (right is None)
    if left is not None:
        assert get(left).dtype == right.dtype
        np.testing.assert_array_equal(get(left), right)


@pytest.mark.parametrize("with_rows", [False, True])
@pytest.mark.parametrize("kind", ["dense", "dense repeated", "sparse", "sparse repeated"])
def test_same_pairs(
    kind: str, size: int, with_rows: bool, put: Callable[..., Array], get: Callable[..., Array]
) -> None:
    keys = keys_of(kind, size)
    rows = np.sort(np.random.default_rng(1).permutation(3 * size + 1)[:size]) if with_rows else None
    probes = np.concatenate((keys[::-1], keys[::2], np.array([LOW, HIGH, -1, 0, 1, 2**40]), keys + 1))
    expected = cpu.build(keys, rows)
    index = gpu.build(put(keys), put(rows))
    assert index.num_keys == expected.num_keys
    assert index.minimum == expected.minimum
    assert index.num_buckets == expected.num_buckets
    assert index.shift == expected.shift
    assert index.unique == expected.unique
    assert (index.slot_keys is None) == (expected.slot_keys is None)
    assert size < 31 or (index.slot_keys is None) == kind.startswith("dense")
    if index.slot_keys is None:
        # Buckets of open addressing depend on who came first; those of direct addressing do not.
        same(index.first, expected.first, get)
        same(index.starts, expected.starts, get)
        same(index.rows, expected.rows, get)
    for probe in (probes, probes[:0]):
        for found, pairs in zip(gpu.probe(index, put(probe)), cpu.probe(expected, probe), strict=True):
            same(found, pairs, get)
        same(gpu.contains(index, put(probe)), cpu.contains(expected, probe), get)


def test_rows_beyond_32_bits(put: Callable[..., Array], get: Callable[..., Array]) -> None:
    keys = np.array([3, 1, 3, 2], np.int64)
    rows = np.array([1, 2**33, 2**34, 2**35], np.int64)
    index = gpu.build(put(keys), put(rows))
    for found, pairs in zip(gpu.probe(index, put(keys)), cpu.probe(cpu.build(keys, rows), keys), strict=True):
        same(found, pairs, get)
    unique = gpu.build(put(keys[1:]), put(rows[1:]))
    same(unique.first, cpu.build(keys[1:], rows[1:]).first, get)


def test_all_keys_start_at_the_last_slot(
    simulated: bool, put: Callable[..., Array], get: Callable[..., Array], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not simulated:
        pytest.skip("compiled kernels keep the multiplier that they were compiled with")
    # Multiplied so, small positive keys hash to the greatest values: every chain wraps around.
    for module in (gpu, hashing):
        monkeypatch.setattr(module, "HASH_MULTIPLIER", np.uint64(2**64 - 1))
    keys = np.random.default_rng(0).integers(1, 10**6, 40)
    keys = np.concatenate((keys, keys[::3], np.array([10**9])))
    for built in (keys, np.unique(keys)):
        expected, index = cpu.build(built), gpu.build(put(built))
        assert index.slot_keys is not None
        probes = np.concatenate((keys, keys + 1))
        for found, pairs in zip(gpu.probe(index, put(probes)), cpu.probe(expected, probes), strict=True):
            same(found, pairs, get)
        same(gpu.contains(index, put(probes)), cpu.contains(expected, probes), get)
