from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpuql_kernels.sort import cpu, gpu

Copy = Callable[..., Any]


@pytest.mark.parametrize(
    "bits", [[1], [8], [16], [20], [40], [64], [3, 4], [40, 40], [64, 64, 2], [30, 30, 30]]
)
def test_order_is_the_same_and_stable(size: int, bits: list[int], put: Copy, get: Copy) -> None:
    random = np.random.default_rng(size)
    words = [
        random.integers(0, 2**bit - 1, size, np.uint64, endpoint=True) & np.uint64(2**63 + 7) for bit in bits
    ]
    found = get(gpu.order([put(word) for word in words], bits))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, np.lexsort(words[::-1]))
    np.testing.assert_array_equal(found, cpu.order(words, bits))


@pytest.mark.parametrize("count", [1, 2, 30, 1000])
def test_smallest(size: int, count: int, put: Copy, get: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "_SAMPLE_ROWS", 4)
    word = np.random.default_rng(size).integers(0, 50, size, np.uint64) << np.uint64(57)
    found = get(gpu.smallest(put(word), count))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, cpu.smallest(word, count))
