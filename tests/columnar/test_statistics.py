from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pytest

from gpuql.columnar.column import Column
from gpuql.columnar.construct import column_from_python, null_column
from gpuql.columnar.statistics import column_statistics
from gpuql_planner import types
from gpuql_planner.types import DataType


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (types.BIGINT, [3, 1, 2], (1, 3, 0, 3, True, False)),
        (types.BIGINT, [1, 1, 2**40], (1, 2**40, 0, 2, False, True)),
        (types.BIGINT, [-(2**63), 2**63 - 1], (-(2**63), 2**63 - 1, 0, 2, True, True)),
        (types.BIGINT, [1, None], (1, 1, 1, 1, False, False)),
        (types.UBIGINT, [2**64 - 1, 2**64 - 2], (2**64 - 2, 2**64 - 1, 0, 2, True, False)),
        (types.HUGEINT, [2**100, -(2**100)], (-(2**100), 2**100, 0, 2, False, False)),
        (types.TINYINT, [-128, 127], (-128, 127, 0, 2, True, True)),
        (types.BOOLEAN, [True, True], (1, 1, 0, 1, False, True)),
        (types.DATE, [datetime.date(1970, 1, 2)], (1, 1, 0, 1, True, True)),
        (types.DOUBLE, [1.0, float("nan")], (1.0, None, 0, 2, False, False)),
        (types.DOUBLE, [float("nan")], (None, None, 0, 1, False, False)),
        (types.DOUBLE, [1.0, 2.0], (1.0, 2.0, 0, 2, False, True)),
        (types.VARCHAR, ["a", "b", "b"], (None, None, 0, 2, False, True)),
        (types.VARCHAR, ["b", "a"], (None, None, 0, 2, True, False)),
        (types.VARCHAR, [None, "a"], (None, None, 1, 1, False, False)),
        (types.INTEGER, [None], (None, None, 1, 0, False, False)),
    ],
)
def test_facts(dtype: DataType, values: list[Any], expected: tuple[Any, ...]) -> None:
    got = column_statistics(column_from_python(values, dtype))
    facts = (got.minimum, got.maximum, got.null_count, got.distinct_count, got.unique, got.sorted)
    assert facts == expected


def test_empty_column() -> None:
    got = column_statistics(null_column(types.BIGINT, 0))
    assert (got.minimum, got.null_count, got.distinct_count) == (None, 0, 0)


def test_estimates_of_wide_domains() -> None:
    rng = np.random.default_rng(1)
    keys = rng.permutation(200_000) * 1_000_003
    unique = column_statistics(Column(types.BIGINT, keys))
    assert unique.unique
    assert unique.distinct_count == 200_000
    almost = keys.copy()
    almost[5] = almost[6]
    assert not column_statistics(Column(types.BIGINT, almost)).unique
    few = column_statistics(Column(types.DOUBLE, rng.integers(0, 100, 300_000) * 0.1))
    assert few.distinct_count == 100


def test_unused_dictionary_entries_do_not_count() -> None:
    column = column_from_python(["a", "b", "c"], types.VARCHAR).take(np.array([1, 1]))
    assert column_statistics(column).distinct_count == 1


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint64])
@pytest.mark.parametrize("step", [1, 25])
def test_samples_count_narrow_domains(dtype: type[np.integer[Any]], step: int) -> None:
    """A sample decides where it shows every value, or each of those that occur several times."""
    low = {np.int8: -100, np.int64: -(2**62), np.uint64: 2**63 + 5}[dtype]
    offsets = np.arange(200_000) * 7919 % 6 * step
    values: np.ndarray[Any, Any] = np.array([low], dtype) + offsets.astype(dtype)
    logical = types.UBIGINT if dtype is np.uint64 else types.BIGINT
    found = column_statistics(Column(logical, values))
    assert (found.minimum, found.maximum, found.distinct_count) == (low, low + 5 * step, 6)
    assert not found.unique


def test_values_that_a_sample_misses_are_searched() -> None:
    """Many values that occur once each: the sample shows too few, so all rows are looked at."""
    values = np.concatenate([np.zeros(200_000, np.int64), np.arange(30_000)])
    assert column_statistics(Column(types.BIGINT, values)).distinct_count == 30_000
