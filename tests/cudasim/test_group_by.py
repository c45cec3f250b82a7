from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpuql_kernels.codegen.program import STATUS_FULL
from gpuql_kernels.group_by import cpu, gpu
from tests.kernels.group_slots import insert_on_cpu, insert_on_grid

Array = Any
Copy = Callable[..., Array]
DTYPES = [
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float32",
    "float64",
    "bool",
]


def groups_of(size: int, num_groups: int) -> Array:
    return np.random.default_rng(size).integers(0, num_groups, size)


def values_of(dtype: str, size: int) -> Array:
    random = np.random.default_rng(size + 1)
    if dtype == "bool":
        return random.random(size) < 0.5
    if dtype.startswith("float"):
        return (random.standard_normal(size) * 1e3).astype(dtype)
    limits = np.iinfo(dtype)
    values = random.integers(limits.min, limits.max, size, dtype, endpoint=True)
    values[:2] = (limits.min, limits.max)[: min(2, size)]
    return values


def check(found: Array, expected: Array, get: Copy) -> None:
    found = get(found)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("distinct", [1, 3, 10**6])
def test_factorize(size: int, distinct: int, put: Copy, get: Copy) -> None:
    keys = np.random.default_rng(size).integers(-distinct, distinct, size)
    keys[:2] = (-(2**63), 2**63 - 1)[: min(2, size)]
    for found, expected in zip(gpu.factorize(put(keys)), cpu.factorize(keys), strict=True):
        check(found, expected, get)


@pytest.mark.parametrize("num_groups", [1, 3, 300])
def test_counts_and_integer_sums(size: int, num_groups: int, put: Copy, get: Copy) -> None:
    groups = groups_of(size, num_groups)
    check(gpu.count(put(groups), num_groups), cpu.count(groups, num_groups), get)
    for dtype in ("int8", "uint32", "bool", "int64"):
        values = values_of(dtype, size) // 2**20 if dtype == "int64" else values_of(dtype, size)
        check(
            gpu.sum_int64(put(values), put(groups), num_groups),
            cpu.sum_int64(values, groups, num_groups),
            get,
        )


@pytest.mark.parametrize("num_groups", [1, 3, 300])
def test_word_sums_wrap_as_128_bits(size: int, num_groups: int, put: Copy, get: Copy) -> None:
    groups = groups_of(size, num_groups)
    wide = np.stack((values_of("int64", size), values_of("int64", size)[::-1]), axis=-1)
    for values in (wide, wide[:, 0].copy(), values_of("int16", size)):
        found = gpu.sum_words(put(values), put(groups), num_groups)
        check(found, cpu.sum_words(values, groups, num_groups), get)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("num_groups", [1, 40])
def test_extremes(size: int, dtype: str, num_groups: int, put: Copy, get: Copy) -> None:
    groups, values = groups_of(size, num_groups), values_of(dtype, size)
    for name in ("minimum", "maximum"):
        found = getattr(gpu, name)(put(values), put(groups), num_groups)
        check(found, getattr(cpu, name)(values, groups, num_groups), get)


@pytest.mark.parametrize("name", ["bit_and", "bit_or", "bit_xor"])
def test_bits(size: int, name: str, put: Copy, get: Copy) -> None:
    groups, values = groups_of(size, 5), values_of("int64", size)
    check(gpu.combine(name, put(values), put(groups), 5), cpu.combine(name, values, groups, 5), get)


@pytest.mark.parametrize("num_groups", [2, 40, 300])
def test_floats_fold_in_row_order(small_size: int, num_groups: int, put: Copy, get: Copy) -> None:
    groups = groups_of(small_size, num_groups)
    for dtype in ("float64", "float32"):
        values = values_of(dtype, small_size) / 1024
        arguments = put(values), put(groups), num_groups
        expected = cpu.sum_float64(values, groups, num_groups).astype(np.float64)
        check(gpu.sum_float64(*arguments), expected, get)
        check(gpu.combine("product", *arguments), cpu.combine("product", values, groups, num_groups), get)


def test_floats_of_long_groups(simulated: bool, put: Copy, get: Copy) -> None:
    # Values whose sums are exact show that no row is lost or folded twice over three rounds of runs.
    size = 3000 if simulated else 200_000
    groups, values = groups_of(size, 2), np.arange(size, dtype=np.float64)
    groups[-1] = 4
    check(gpu.sum_float64(put(values), put(groups), 6), cpu.sum_float64(values, groups, 6), get)
    one = gpu.sum_float64(put(values), put(np.zeros(size, np.int64)), 1)
    assert get(one).tolist() == [size * (size - 1) / 2]
    signs = np.where(groups == 1, -1.0, 1.0)
    check(gpu.combine("product", put(signs), put(groups), 6), cpu.combine("product", signs, groups, 6), get)


def test_group_table(size: int, xp: Any, put: Copy, get: Copy) -> None:
    keys = np.random.default_rng(size).integers(0, 1 + size // 2, size) * (2**40 + 1)
    bits = 10 if size < 512 else 18
    table, status = xp.full((1 << bits, 2), -1, np.int64), xp.asarray(np.array([0, 0, 64 - bits], np.int64))
    slots = get(insert_on_grid(table, status, put(keys), xp))
    np.testing.assert_array_equal(get(table)[slots, 0], keys)
    assert get(status).tolist() == [0, len(np.unique(keys)), 64 - bits]
    assert np.count_nonzero(get(table)[:, 0] >= 0) == len(np.unique(keys))
    np.testing.assert_array_equal(get(insert_on_grid(table, status, put(keys[::-1].copy()), xp)), slots[::-1])
    # The CPU finds in that table what the GPU put there.
    host_table, host_status = get(table).copy(), get(status).copy()
    np.testing.assert_array_equal(insert_on_cpu(host_table, host_status, keys), slots)


def test_group_table_of_several_words(size: int, xp: Any, put: Copy, get: Copy) -> None:
    random = np.random.default_rng(size)
    keys = np.stack([random.integers(0, 1 + size // 8, size) << 40, random.integers(0, 3, size)], axis=1)
    bits = 10 if size < 512 else 18
    table, status = xp.full((1 << bits, 3), -1, np.int64), xp.asarray(np.array([0, 0, 64 - bits], np.int64))
    slots = get(insert_on_grid(table, status, put(keys), xp))
    np.testing.assert_array_equal(get(table)[slots, :2], keys)
    num_groups = len(np.unique(keys, axis=0)) if size else 0
    assert get(status).tolist() == [0, num_groups, 64 - bits]
    assert np.count_nonzero(get(table)[:, 0] >= 0) == num_groups
    # The CPU finds in that table what the GPU put there.
    host_table, host_status = get(table).copy(), get(status).copy()
    np.testing.assert_array_equal(insert_on_cpu(host_table, host_status, keys), slots)


def test_full_group_table(xp: Any, put: Copy, get: Copy) -> None:
    """More keys than slots: the table says that it is full, and nobody looks for room for ever."""
    for keys in (np.arange(40), np.arange(80).reshape(40, 2)):
        table, status = xp.full((16, 3), -1, np.int64), xp.asarray(np.array([0, 0, 60], np.int64))
        insert_on_grid(table, status, put(keys), xp)
        assert get(status)[0] == STATUS_FULL
        assert get(status)[1] <= 16
