"""Sort order against Python's and NumPy's stable sorts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from gpuql_kernels.sort import cpu, cpu_key_bits, cpu_partitioned
from gpuql_kernels.tasks import RunTasks, serially

Array = Any


def on_threads(count: int, task: Callable[[int], None], /) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(task, range(count)))


@pytest.fixture(params=[serially, on_threads])
def run_tasks(request: pytest.FixtureRequest) -> RunTasks:
    runner: RunTasks = request.param
    return runner


@pytest.fixture
def small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part of the partitioned sort with few rows."""
    monkeypatch.setattr(cpu, "SMALL_SORT_ROWS", 1)
    monkeypatch.setattr(cpu_partitioned, "SORT_BUCKET_ROWS", 16)
    monkeypatch.setattr(cpu_partitioned, "MAX_SORT_BUCKETS", 64)
    monkeypatch.setattr(cpu_partitioned, "PARTITIONED_SORT_ROWS", 64)
    monkeypatch.setattr(cpu_partitioned, "PLAIN_SORT_ROWS", 4)
    monkeypatch.setattr(cpu_partitioned, "SORT_CELL_BITS", 6)
    monkeypatch.setattr(cpu_key_bits, "KEY_BITS_TASK_ROWS", 37)
    monkeypatch.setattr(cpu, "GATHER_TASK_ROWS", 37)


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


def spread(random: np.random.Generator, size: int, top: int) -> Array:
    return random.integers(0, top, size, np.uint64, endpoint=True)


def few_values(random: np.random.Generator, size: int, top: int) -> Array:
    return random.choice(spread(random, 5, top), size)


def outlier(random: np.random.Generator, size: int, top: int) -> Array:
    word = spread(random, size, min(top, 1000))
    word[size // 2] = top
    return word


def equal(random: np.random.Generator, size: int, top: int) -> Array:
    return np.full(size, top, np.uint64)


def doubles(random: np.random.Generator, size: int, top: int) -> Array:
    return (random.integers(0, 300, size) / 100).view(np.uint64) & np.uint64(top)


def low_bits_differ(random: np.random.Generator, size: int, top: int) -> Array:
    return np.uint64(top - min(top, 255)) + spread(random, size, min(top, 255))


DISTRIBUTIONS = [spread, few_values, outlier, equal, doubles, low_bits_differ]


@pytest.mark.usefixtures("small_buckets")
@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 5000])
@pytest.mark.parametrize(
    "bits", [[1], [5], [20], [63], [64], [10, 63], [64, 64], [64, 3, 64], [1, 64, 40, 64]]
)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_partitioned_order(
    size: int, bits: list[int], distribution: Callable[..., Array], run_tasks: RunTasks
) -> None:
    random = np.random.default_rng(size)
    words = [distribution(random, size, (1 << width) - 1) for width in bits]
    copies = [word.copy() for word in words]
    found = cpu.order(words, bits, run_tasks=run_tasks)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, np.lexsort(copies[::-1]))
    for word, copy in zip(words, copies, strict=True):
        np.testing.assert_array_equal(word, copy)


@pytest.mark.usefixtures("small_buckets")
@pytest.mark.parametrize("first", DISTRIBUTIONS)
@pytest.mark.parametrize("second", DISTRIBUTIONS)
def test_partitioned_order_of_mixed_words(
    first: Callable[..., Array], second: Callable[..., Array], run_tasks: RunTasks
) -> None:
    random = np.random.default_rng(7)
    words = [first(random, 3000, (1 << 40) - 1), second(random, 3000, (1 << 64) - 1)]
    np.testing.assert_array_equal(cpu.order(words, [40, 64], run_tasks=run_tasks), np.lexsort(words[::-1]))


@pytest.mark.usefixtures("small_buckets")
@pytest.mark.parametrize("size", [1, 64, 65, 5000])
@pytest.mark.parametrize("bits", [[1], [5], [20], [64], [10, 30], [1, 63]])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("with_rows", [False, True])
def test_partitioned_sort(
    size: int, bits: list[int], distribution: Callable[..., Array], with_rows: bool, run_tasks: RunTasks
) -> None:
    random = np.random.default_rng(size)
    words = [distribution(random, size, (1 << width) - 1) for width in bits]
    rows, keys = cpu.sort(words, bits, with_rows=with_rows, run_tasks=run_tasks)
    expected = np.lexsort(words[::-1])
    joined = words[0] if len(words) == 1 else (words[0] << np.uint64(bits[1])) | words[1]
    assert keys.dtype == np.uint64
    np.testing.assert_array_equal(keys, joined[expected])
    assert (rows is not None) == with_rows
    if rows is not None:
        np.testing.assert_array_equal(rows, expected)


def test_sort_of_few_rows() -> None:
    words = [np.array([3, 1, 3, 0], np.uint64), np.array([0, 1, 0, 1], np.uint64)]
    rows, keys = cpu.sort(words, [2, 1], with_rows=True)
    assert rows is not None
    assert rows.tolist() == [3, 1, 0, 2]
    assert keys.tolist() == [1, 3, 6, 6]
    assert cpu.sort(words, [2, 1], with_rows=False)[1].tolist() == [1, 3, 6, 6]


def test_partitioned_order_with_its_own_constants(run_tasks: RunTasks) -> None:
    random = np.random.default_rng(3)
    words = [few_values(random, 300_000, 1000), doubles(random, 300_000, (1 << 64) - 1)]
    words.append(low_bits_differ(random, 300_000, (1 << 64) - 1))
    words[2][:5] = range(5)
    for keys, bits in (([words[0]], [10]), ([words[1]], [64]), (words[:2], [10, 64]), ([words[2]], [64])):
        np.testing.assert_array_equal(cpu.order(keys, bits, run_tasks=run_tasks), np.lexsort(keys[::-1]))


@pytest.mark.parametrize("run_rows", [2, 20, 200, 10_000])
def test_runs_of_keys_that_differ_in_their_last_bits_only(run_rows: int) -> None:
    random = np.random.default_rng(run_rows)
    word = random.integers(0, 50_000 // run_rows, 50_000).astype(np.uint64) << np.uint64(20)
    word |= random.integers(0, 300, 50_000).astype(np.uint64)
    word[17] = (1 << 64) - 1
    np.testing.assert_array_equal(cpu.order([word], [64]), np.argsort(word, kind="stable"))


@pytest.mark.usefixtures("small_buckets")
@pytest.mark.parametrize("size", [1, 2, 300, 5000])
@pytest.mark.parametrize("first", [few_values, equal, outlier])
def test_later_words(size: int, first: Callable[..., Array], run_tasks: RunTasks) -> None:
    random = np.random.default_rng(size)
    words = [first(random, size, 1000), *(few_values(random, size, (1 << 64) - 1) for _ in range(3))]
    later = [
        lambda rows: ([], []),
        lambda rows: ([words[1][rows], words[2][rows]], [64, 64]),
        lambda rows: ([words[3][rows]], [64]),
    ]
    expected = np.lexsort(words[::-1])
    np.testing.assert_array_equal(cpu.order(words[:1], [10], later=later, run_tasks=run_tasks), expected)


@pytest.mark.parametrize("count", [1, 5, 10, 100])
def test_smallest_keeps_ties(count: int) -> None:
    word = np.array([5, 1, 1, 9, 3, 3, 3, 2**63, 0, 7], np.uint64)
    threshold = sorted(word.tolist())[min(count, len(word)) - 1]
    assert cpu.smallest(word, count).tolist() == [i for i, w in enumerate(word.tolist()) if w <= threshold]


@pytest.mark.usefixtures("small_buckets")
@pytest.mark.parametrize("dtype", ["bool", "i1", "i2", "f4", "i8", "f8"])
@pytest.mark.parametrize("size", [0, 1, 36, 37, 38, 1000])
def test_gather(dtype: str, size: int, run_tasks: RunTasks) -> None:
    random = np.random.default_rng(size)
    values = random.integers(0, 100, 50).astype(dtype)
    values.flags.writeable = False
    rows = random.integers(0, 50, size)
    found = cpu.gather(values, rows, run_tasks=run_tasks)
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values[rows])
    wide = random.integers(0, 100, (50, 2))
    np.testing.assert_array_equal(cpu.gather(wide, rows, run_tasks=run_tasks), wide[rows])
