"""Sort order against Python's stable sort."""

from __future__ import annotations

import numpy as np
import pytest

from gpuql_kernels.sort import cpu


@pytest.mark.parametrize("size", [1, 31, 33, 1000])
@pytest.mark.parametrize("bits", [[1], [8], [64], [3, 5], [40, 40], [64, 1, 64], [1, 64], [20, 20, 24, 3]])
def test_order_is_stable(size: int, bits: list[int]) -> None:
    random = np.random.default_rng(size)
    arrays = [
        random.choice(np.array([0, (1 << width) - 1, 1, (1 << width) // 2], np.uint64), size)
        for width in bits
    ]
    rows = list(zip(*(array.tolist() for array in arrays), strict=True))
    assert cpu.order(arrays, bits).tolist() == sorted(range(size), key=lambda row: rows[row])


@pytest.mark.parametrize("count", [1, 5, 10, 100])
def test_smallest_keeps_ties(count: int) -> None:
    word = np.array([5, 1, 1, 9, 3, 3, 3, 2**63, 0, 7], np.uint64)
    threshold = sorted(word.tolist())[min(count, len(word)) - 1]
    assert cpu.smallest(word, count).tolist() == [i for i, w in enumerate(word.tolist()) if w <= threshold]
