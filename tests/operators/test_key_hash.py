"""Hashes of key columns: equal for equal keys, however they are stored."""

from __future__ import annotations

import numpy as np
import pytest

from gpuql.columnar.column import Column, StringArray
from gpuql.columnar.construct import column_from_python
from gpuql.columnar.strings import string_array
from gpuql.expressions.vectors import as_wide
from gpuql.operators.contract import RunContext
from gpuql.operators.key_hash import hash_keys, split_rows
from gpuql_kernels.families import cpu_families
from gpuql_planner.types import BIGINT, DOUBLE, HUGEINT, DataType, TypeId

VARCHAR = DataType(TypeId.VARCHAR)


@pytest.fixture
def context() -> RunContext:
    return RunContext(np, cpu_families(), lambda: None)


def hashes(column: Column, context: RunContext, **options: int) -> list[int]:
    return list(hash_keys([column], len(column), context, **options).tolist())


def test_width_does_not_matter(context: RunContext) -> None:
    values = [-100, 0, 1, 127]
    expected = hashes(Column(BIGINT, np.array(values, np.int64)), context)
    assert len(set(expected)) == 4
    for dtype in (np.int8, np.int16, np.int32):
        assert hashes(Column(BIGINT, np.array(values, dtype)), context) == expected
    narrow = Column(HUGEINT, np.array(values, np.int8))
    assert hashes(narrow, context) == expected
    assert hashes(Column(HUGEINT, as_wide(np, narrow)), context) == expected


def test_large_values_in_one_word_or_two(context: RunContext) -> None:
    one = Column(HUGEINT, np.array([2**63, 2**64 - 1, 5], np.uint64))
    two = Column(HUGEINT, np.array([[-(2**63), 0], [-1, 0], [5, 0]], np.int64))
    assert hashes(one, context) == hashes(two, context)
    minus = Column(HUGEINT, np.array([-1], np.int64))
    assert hashes(minus, context)[0] != hashes(one, context)[1]


def test_equal_floats(context: RunContext) -> None:
    nan = np.array([np.nan, -np.nan, 0.0, -0.0])
    first, second, zero, minus_zero = hashes(Column(DOUBLE, nan), context)
    assert first == second
    assert zero == minus_zero != first


def test_dictionaries_and_plain_strings(context: RunContext) -> None:
    texts = ["b", "a", None, "", "b"]
    plain = string_array([b"b", b"a", b"", b"", b"b"])
    validity = np.array([text is not None for text in texts])
    expected = hashes(Column(VARCHAR, np.arange(5, dtype=np.int32), validity, plain), context)
    coded = column_from_python(texts, VARCHAR)
    assert hashes(coded, context) == expected
    assert expected[0] == expected[4]
    assert len(set(expected)) == 4
    nothing = StringArray(np.zeros(1, np.int64), np.zeros(0, np.uint8))
    null = Column(VARCHAR, np.zeros(1, np.int32), np.zeros(1, bool), nothing)
    assert hashes(null, context)[0] == expected[2]


def test_null_values_hide_what_stands_below(context: RunContext) -> None:
    column = Column(BIGINT, np.array([1, 2, 1]), np.array([False, False, True]))
    first, second, valid = hashes(column, context)
    assert first == second != valid


def test_levels_are_independent(context: RunContext) -> None:
    column = Column(BIGINT, np.arange(20_000))
    rows, bounds = split_rows([column], len(column), 4, context)
    left = column.take(rows[bounds[3] : bounds[4]])
    _, again = split_rows([left], len(left), 4, context, level=1)
    assert np.diff(again).min() > len(left) / 32


def test_split_keeps_equal_keys_together_and_rows_in_order(context: RunContext) -> None:
    keys = [Column(BIGINT, np.arange(10_000) % 300), Column(DOUBLE, (np.arange(10_000) % 7).astype(float))]
    rows, bounds = split_rows(keys, 10_000, 5, context)
    seen: dict[tuple[int, float], int] = {}
    for partition in range(32):
        part = rows[bounds[partition] : bounds[partition + 1]]
        assert (np.diff(part) > 0).all()
        for key in set(zip(keys[0].values[part].tolist(), keys[1].values[part].tolist(), strict=True)):
            assert seen.setdefault(key, partition) == partition
    assert sorted(rows.tolist()) == list(range(10_000))
