"""Grouping kernels against plain Python, on both sides of the size at which compiled loops start."""

from __future__ import annotations

import numpy as np
import pytest

from gpuql_kernels.group_by import cpu
from gpuql_kernels.int128 import words
from gpuql_kernels.scalar.hashing import salt_of, table_code
from tests.kernels.group_slots import insert_on_cpu

SIZES = (1, 31, 33, 4095, 4096, 9000)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("distinct", [1, 7, 5000])
def test_factorize_numbers_by_first_occurrence(size: int, distinct: int) -> None:
    keys = np.random.default_rng(size).integers(0, distinct, size) * 1_000_003 - 2**40
    codes, first = cpu.factorize(keys)
    seen = list(dict.fromkeys(keys.tolist()))
    assert codes.tolist() == [seen.index(key) for key in keys.tolist()] if size < 100 else True
    assert keys[first].tolist() == seen
    assert (keys[first][codes] == keys).all()


@pytest.mark.parametrize("keys", ["distinct", "repeated", "in order", "two at first", "extreme"])
def test_many_distinct_keys_are_numbered_in_partitions(keys: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "PARTITIONED_GROUP_ROWS", 5000)
    monkeypatch.setattr(cpu, "GROUP_TABLE_KEYS", 500)
    random = np.random.default_rng(3)
    values = {
        "distinct": random.permutation(20_000) << 40,
        "repeated": random.integers(0, 6000, 20_000) * 1_000_003,
        "in order": np.arange(20_000) // 3,
        "two at first": np.concatenate((np.arange(9000) % 2, np.arange(11_000))),
        "extreme": np.concatenate((random.integers(-(2**63), 2**63 - 1, 7000), [-(2**63), 2**63 - 1, 0, -1])),
    }[keys]
    split: list[int] = []
    first_of_hash = cpu.first_of_hash
    monkeypatch.setattr(cpu, "first_of_hash", lambda hashes: split.append(1) or first_of_hash(hashes))
    codes, first = cpu.factorize(values)
    numbers: dict[int, int] = {}
    assert codes.tolist() == [numbers.setdefault(value, len(numbers)) for value in values.tolist()]
    assert values[first].tolist() == list(numbers)
    assert first.tolist() == sorted(first.tolist())
    assert split == [1]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64, np.float64])
@pytest.mark.parametrize("num_groups", [1, 5])
def test_reductions(size: int, dtype: type, num_groups: int) -> None:
    random = np.random.default_rng(size)
    values = random.integers(-100, 100, size).astype(dtype)
    groups = random.integers(0, num_groups, size)
    members = [values[groups == group] for group in range(num_groups)]
    assert cpu.count(groups, num_groups).tolist() == [len(part) for part in members]
    np.testing.assert_allclose(cpu.sum_float64(values, groups, num_groups), [part.sum() for part in members])
    if dtype is not np.float64:
        totals = [int(part.sum(dtype=np.int64)) for part in members]
        assert cpu.sum_int64(values, groups, num_groups).tolist() == totals
    for kernel, function in ((cpu.minimum, min), (cpu.maximum, max)):
        result = kernel(values, groups, num_groups)
        for group, part in enumerate(members):
            if len(part):
                assert result[group] == function(part)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", ["one word", "two words"])
def test_sum_words_is_exact(size: int, shape: str) -> None:
    random = np.random.default_rng(size)
    values = random.integers(-(2**63), 2**63 - 1, size)
    groups = random.integers(0, 3, size)
    numbers = values.tolist()
    if shape == "two words":
        numbers = [value << 40 for value in numbers]
        values = words.from_python(np, numbers)
    totals = words.to_python(cpu.sum_words(values, groups, 3))
    expected = [
        sum(n for n, g in zip(numbers, groups.tolist(), strict=True) if g == group) for group in range(3)
    ]
    assert totals == expected


def test_folds() -> None:
    values, groups = np.array([6, 3, 12, 5]), np.array([0, 0, 1, 1])
    assert cpu.combine("bit_and", values, groups, 2).tolist() == [2, 4]
    assert cpu.combine("bit_or", values, groups, 2).tolist() == [7, 13]
    assert cpu.combine("bit_xor", values, groups, 2).tolist() == [5, 9]
    assert cpu.combine("product", values, groups, 2).tolist() == [18.0, 60.0]


@pytest.mark.parametrize("words", [2, 3, 5])
@pytest.mark.parametrize("differing", ["all", "first", "last"])
def test_keys_of_several_words(words: int, differing: str) -> None:
    """Every key has one slot, whichever of its words tell it from the others, and the table says how many there are."""
    random = np.random.default_rng(words)
    keys = np.full((20_000, words), 7, np.int64)
    columns = {"all": slice(None), "first": slice(0, 1), "last": slice(words - 1, words)}[differing]
    keys[:, columns] = random.integers(0, 30 if differing == "all" else 9000, keys[:, columns].shape) << 48
    bits = 16
    table = np.full((1 << bits, words + 1), -1, np.int64)
    status = np.array([0, 0, table_code(bits, 3)], np.int64)
    slots = insert_on_cpu(table, status, keys)
    np.testing.assert_array_equal(table[slots, :words], keys)
    assert status[1] == len(np.unique(keys, axis=0)) == len(np.unique(slots))
    assert np.count_nonzero(table[:, 0] >= 0) == status[1]
    np.testing.assert_array_equal(insert_on_cpu(table, status, keys[::-1].copy()), slots[::-1])


def test_keys_in_the_order_of_another_table() -> None:
    """What leaves one table in the order of its slots must not crowd a part of the next one."""
    keys = np.random.default_rng(3).integers(0, 2**62, 1 << 16)
    bits = 17
    table, status = np.full((1 << bits, 2), -1, np.int64), np.array([0, 0, table_code(bits, 5)], np.int64)
    insert_on_cpu(table, status, keys)
    ordered = table[table[:, 0] >= 0, 0]
    for salt, most in ((7, 200), (5, 1 << 15)):
        other, status = np.full((1 << 15, 2), -1, np.int64), np.array([0, 0, table_code(15, salt)], np.int64)
        slots = np.sort(insert_on_cpu(other, status, ordered[: 1 << 14].copy()))
        ends = np.flatnonzero(np.concatenate(([True], np.diff(slots) > 1, [True])))
        assert np.diff(ends).max() < most
    assert salt_of(table_code(15, 5)) == 5
    codes, first = cpu.factorize(ordered)
    assert (codes == np.arange(len(keys))).all()
    assert len(first) == len(keys)
