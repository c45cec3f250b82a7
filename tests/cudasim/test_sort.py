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


@pytest.mark.parametrize("bits", [[1], [20], [64], [3, 4], [40, 24]])
def test_sort(size: int, bits: list[int], put: Copy, get: Copy) -> None:
    random = np.random.default_rng(size)
    words = [random.integers(0, 2**bit - 1, size, np.uint64, endpoint=True) for bit in bits]
    expected_rows, expected_keys = cpu.sort(words, bits, with_rows=True)
    rows, keys = gpu.sort([put(word) for word in words], bits, with_rows=True)
    np.testing.assert_array_equal(get(rows), expected_rows)
    np.testing.assert_array_equal(get(keys), expected_keys)
    rows, keys = gpu.sort([put(word) for word in words], bits, with_rows=False)
    assert rows is None
    np.testing.assert_array_equal(get(keys), expected_keys)


def test_later_words(size: int, put: Copy, get: Copy) -> None:
    random = np.random.default_rng(size)
    words = [random.integers(0, 3, size, np.uint64) for _ in range(4)]
    copies = [put(word) for word in words]

    def later(arrays: list[Any]) -> list[Any]:
        return [
            lambda rows: ([], []),
            lambda rows: ([arrays[1][rows], arrays[2][rows]], [2, 64]),
            lambda rows: ([arrays[3][rows]], [64]),
        ]

    found = get(gpu.order(copies[:1], [2], later=later(copies)))
    np.testing.assert_array_equal(found, np.lexsort(words[::-1]))
    np.testing.assert_array_equal(found, cpu.order(words[:1], [2], later=later(words)))


@pytest.mark.parametrize("dtype", ["bool", "i2", "f8"])
def test_gather(size: int, dtype: str, put: Copy, get: Copy) -> None:
    random = np.random.default_rng(size)
    values = random.integers(0, 9, 40).astype(dtype)
    rows = random.integers(0, 40, size)
    np.testing.assert_array_equal(get(gpu.gather(put(values), put(rows))), cpu.gather(values, rows))


@pytest.mark.parametrize("count", [1, 2, 30, 1000])
def test_smallest(size: int, count: int, put: Copy, get: Copy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "TOP_N_SAMPLE_ROWS", 4)
    word = np.random.default_rng(size).integers(0, 50, size, np.uint64) << np.uint64(57)
    found = get(gpu.smallest(put(word), count))
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, cpu.smallest(word, count))
