from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from gpuql.columnar.construct import (
    column_from_python,
    column_to_python,
    literal_column,
    null_column,
    stored_value,
    strings_from_python,
)
from gpuql_planner import types
from gpuql_planner.errors import ConversionError, OutOfRangeError
from gpuql_planner.logical.expressions import Interval
from gpuql_planner.types import DataType, decimal

EXAMPLES: list[tuple[DataType, list[Any]]] = [
    (types.BOOLEAN, [True, False]),
    (types.TINYINT, [-128, 127]),
    (types.BIGINT, [-(2**63), 2**63 - 1]),
    (types.UBIGINT, [0, 2**64 - 1]),
    (types.HUGEINT, [-(2**127), 2**127 - 1, 2**64, -1]),
    (types.DOUBLE, [1.5, float("inf")]),
    (types.REAL, [0.5]),
    (decimal(15, 2), [Decimal("-1.50"), Decimal("1234567890123.45")]),
    (decimal(38, 10), [Decimal("1234567890123456789012345678.0123456789"), Decimal(0)]),
    (types.VARCHAR, ["b", "", "ä", "b"]),
    (types.BLOB, [b"\x00", b"", b"\xff"]),
    (types.DATE, [datetime.date(1970, 1, 1), datetime.date(1, 1, 1), datetime.date(9999, 12, 31)]),
    (types.TIME, [datetime.time(23, 59, 59, 999999)]),
    (types.TIMESTAMP, [datetime.datetime(1969, 12, 31, 23, 59, 59, 1)]),
    (types.INTERVAL, [Interval(1, -2, 3)]),
]


@pytest.mark.parametrize(("dtype", "values"), EXAMPLES, ids=lambda x: str(x)[:20])
@pytest.mark.parametrize("nulls", [False, True])
def test_round_trip(dtype: DataType, values: list[Any], nulls: bool) -> None:
    values = [None, *values, None] if nulls else values
    column = column_from_python(values, dtype)
    assert len(column) == len(values)
    assert (column.validity is not None) == nulls
    assert column_to_python(column) == values


@pytest.mark.parametrize(("dtype", "values"), EXAMPLES, ids=lambda x: str(x)[:20])
def test_literal_and_null(dtype: DataType, values: list[Any]) -> None:
    assert column_to_python(literal_column(values[0], dtype, 3)) == values[:1] * 3
    assert column_to_python(literal_column(None, dtype, 2)) == [None, None]
    assert column_to_python(null_column(dtype, 0)) == []


def test_integers_take_the_narrowest_width_and_know_their_bounds() -> None:
    column = column_from_python([1, None, 200], types.BIGINT)
    assert column.values.dtype == np.int16
    assert column.bounds == (1, 200)


def test_strings_share_a_sorted_dictionary() -> None:
    column = strings_from_python(["b", "a", None, "b"])
    assert column.strings is not None
    assert column.strings.sorted
    assert len(column.strings) == 2
    assert column.values.tolist()[:2] == [1, 0]


def test_decimals_round_half_away_from_zero() -> None:
    assert stored_value(Decimal("-1.005"), decimal(5, 2)) == -101
    assert stored_value(1.1, decimal(5, 2)) == 110


def test_values_that_do_not_fit() -> None:
    with pytest.raises(OutOfRangeError, match="out of range"):
        stored_value(128, types.TINYINT)
    with pytest.raises(ConversionError, match="not of type"):
        stored_value("x", types.BIGINT)
    with pytest.raises(OutOfRangeError, match="Python"):
        column_to_python(column_from_python([5_000_000], types.DATE))
