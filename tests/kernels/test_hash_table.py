"""Join index on NumPy arrays against a dictionary of lists: small and compiled paths, dense and sparse keys."""

from __future__ import annotations

import numpy as np
import pytest

from gpuql_kernels.hash_table import cpu

SIZES = (0, 1, 2, 31, 32, 33, 65, 511, 512, 2000)


def keys_of(kind: str, size: int) -> np.ndarray:
    random = np.random.default_rng(size)
    if kind == "dense unique":
        return random.permutation(size).astype(np.int64) + 5
    if kind == "dense repeated":
        return random.integers(0, size // 3 + 1, size)
    if kind == "sparse unique":
        return random.permutation(size).astype(np.int64) * 1_000_003_000_017 - 2**40
    if kind == "sparse repeated":
        return random.integers(0, size // 3 + 1, size) * 1_000_003_000_017
    return random.choice(np.array([-(2**62), 2**62, 0, -1, 1]), size)


KINDS = ("dense unique", "dense repeated", "sparse unique", "sparse repeated", "extremes")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given_rows", [False, True])
def test_probe_and_contains(kind: str, size: int, given_rows: bool) -> None:
    keys = keys_of(kind, size)
    rows = np.arange(size) * 2 + 1 if given_rows else np.arange(size)
    index = cpu.build(keys, rows) if given_rows else cpu.build(keys)
    assert index.num_keys == size
    assert index.unique is (len(np.unique(keys)) == size)
    expected: dict[int, list[int]] = {}
    for key, row in zip(keys.tolist(), rows.tolist(), strict=True):
        expected.setdefault(key, []).append(row)
    for probe_size in (0, 1, 33, 700):
        probes = np.concatenate(
            [
                np.resize(keys, probe_size) if size else np.zeros(probe_size, np.int64),
                np.arange(probe_size) - probe_size // 2,
                np.array([-(2**63) + 1, 2**63 - 1, -1]),
            ]
        )
        probe_rows, build_rows = cpu.probe(index, probes)
        pairs = [(i, row) for i, key in enumerate(probes.tolist()) for row in expected.get(key, [])]
        assert list(zip(probe_rows.tolist(), build_rows.tolist(), strict=True)) == pairs
        assert cpu.contains(index, probes).tolist() == [key in expected for key in probes.tolist()]
