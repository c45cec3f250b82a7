"""Folds over frames and searches: compiled loops, NumPy alone and the GPU's form give what plain Python gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpuql_kernels.thresholds import SMALL_WINDOW_ROWS
from gpuql_kernels.window import cpu, gpu
from gpuql_kernels.window.contract import FOLDS
from gpuql_kernels.window.doubling import neutral_element

#: Frames more than these are folded by compiled loops.
COUNTS = [1, 31, 32, 33, 65, SMALL_WINDOW_ROWS + 1]
ROWS = [0, 1, 2, 16, 17, 32, 33, 65, 257, 5000]

STEPS: dict[str, Callable[[Any], Any]] = {
    "sum": np.sum,
    "product": np.prod,
    "minimum": np.min,
    "maximum": np.max,
    "bit_and": np.bitwise_and.reduce,
    "bit_or": np.bitwise_or.reduce,
    "bit_xor": np.bitwise_xor.reduce,
}


def frames(generator: np.random.Generator, num_rows: int, count: int, shape: str) -> tuple[Any, Any]:
    if shape == "running":
        stop = np.sort(generator.integers(0, num_rows + 1, count))
        return np.zeros(count, np.int64), stop
    if shape == "sliding":
        middle = np.arange(count) * num_rows // max(count, 1)
        return np.maximum(middle - 20, 0), np.minimum(middle + 5, num_rows)
    ends = np.sort(generator.integers(0, num_rows + 1, (count, 2)), axis=1)
    return ends[:, 0].copy(), ends[:, 1].copy()


@pytest.mark.parametrize("shape", ["running", "sliding", "random"])
@pytest.mark.parametrize("name", FOLDS)
def test_folds(name: str, shape: str) -> None:
    generator = np.random.default_rng(3)
    for num_rows in ROWS:
        if name in ("sum", "product"):
            values = generator.integers(-2, 3, num_rows) / 2
        else:
            values = generator.integers(-(2**40), 2**40, num_rows)
        for count in COUNTS if num_rows in (17, 5000) else COUNTS[:2]:
            start, stop = frames(generator, num_rows, count, shape)
            neutral = neutral_element(np, name, values.dtype)
            found = cpu.fold(name, values, start, stop)
            assert found.dtype == values.dtype
            np.testing.assert_allclose(gpu.fold(name, values, start, stop), found, rtol=1e-12)
            for place in range(0, count, max(1, count // 50)):
                rows = values[start[place] : stop[place]]
                wanted = STEPS[name](rows) if len(rows) else neutral
                np.testing.assert_allclose(found[place], wanted, rtol=1e-12)


def test_rows_outside_a_frame_have_no_part_in_it() -> None:
    values = np.ones(SMALL_WINDOW_ROWS + 100)
    values[50], values[60] = np.inf, 1e300
    start = np.arange(len(values) - 10)
    for kernels in (cpu, gpu):
        found = kernels.fold("sum", values, start, start + 10)
        assert (found[61:] == 10).all()
        assert np.isinf(found[45])


@pytest.mark.parametrize("past_equal", [False, True])
@pytest.mark.parametrize("num_values", [1, 33, SMALL_WINDOW_ROWS + 7])
def test_searches(num_values: int, past_equal: bool) -> None:
    generator = np.random.default_rng(5)
    for num_keys in (1, 2, 65, 3000):
        keys = np.sort(generator.integers(0, 2 * num_keys, num_keys).astype(np.uint64))
        values = generator.integers(0, 2 * num_keys + 1, num_values).astype(np.uint64)
        ends = np.sort(generator.integers(0, num_keys + 1, (num_values, 2)), axis=1)
        low, high = ends[:, 0].copy(), ends[:, 1].copy()
        places = np.searchsorted(keys, values, side="right" if past_equal else "left")
        wanted = np.clip(places, low, high)
        for kernels in (cpu, gpu):
            np.testing.assert_array_equal(
                kernels.search(keys, values, low, high, past_equal=past_equal), wanted
            )
