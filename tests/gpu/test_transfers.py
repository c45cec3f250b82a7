"""Columns of every storage form go to the device and come back as they were."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.columnar.compressed import FrameOfReferenceColumn, RunLengthColumn
from gpuql.columnar.construct import column_from_python, column_to_python
from gpuql.columnar.encodings import encode_column
from gpuql.device import open_device
from gpuql.memory.connection_memory import unlimited_memory
from gpuql.memory.device_memory import DeviceQuery, device_memory
from gpuql_planner.types import BIGINT, BOOLEAN, DATE, DOUBLE, VARCHAR, decimal
from tests.gpu.tested_device import DEVICE, Connect

MANY = 5000


def with_nulls(values: list[Any]) -> list[Any]:
    return [None if number % 7 == 3 else value for number, value in enumerate(values)]


def integers(values: Any) -> Column:
    return encode_column(Column(BIGINT, np.asarray(values, np.int64)))


COLUMNS: dict[str, Callable[[], Column]] = {
    "integers": lambda: column_from_python(list(range(-50, 50)), BIGINT),
    "extreme integers": lambda: column_from_python([-(2**63), 2**63 - 1, None, 0], BIGINT),
    "doubles": lambda: column_from_python(with_nulls([0.5, -0.0, float("inf"), 1e308] * 9), DOUBLE),
    "booleans": lambda: column_from_python(with_nulls([True, False] * 20), BOOLEAN),
    "dates": lambda: column_from_python([datetime.date(1970, 1, 1), None, datetime.date(9999, 12, 31)], DATE),
    "wide decimals": lambda: column_from_python(
        [Decimal(10) ** 35, -(Decimal(10) ** 35), None, Decimal("0.01")], decimal(38, 2)
    ),
    "texts": lambda: column_from_python(with_nulls([f"text {n} äöü" for n in range(100)]), VARCHAR),
    "dictionary": lambda: encode_column(column_from_python(["a", "b", "", None] * 500, VARCHAR)),
    "empty": lambda: column_from_python([], VARCHAR),
    "only NULL": lambda: column_from_python([None] * 40, BIGINT),
    "offsets": lambda: integers(1_700_000_000_000_000 + np.arange(MANY) * 3 % 30_000),
    "runs": lambda: integers(np.repeat(np.arange(10), MANY // 10)),
}


@pytest.fixture
def query() -> Iterator[DeviceQuery]:
    """What a running query has of the device."""
    with device_memory(open_device(DEVICE)).running_query(unlimited_memory(), lambda: None) as running:
        yield running


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("name", COLUMNS)
def test_round_trip(name: str, kept: bool, query: DeviceQuery) -> None:
    column = COLUMNS[name]()
    expected = column_to_python(column)
    batch = Batch({1: column}, len(column))
    back = query.download(query.keep(batch) if kept else query.upload(batch)).columns[1]
    assert isinstance(back.values, np.ndarray)
    assert column_to_python(back) == expected


def test_the_forms_that_are_tested_are_those_meant() -> None:
    assert isinstance(COLUMNS["offsets"](), FrameOfReferenceColumn)
    assert isinstance(COLUMNS["runs"](), RunLengthColumn)


def test_a_column_is_sent_once(query: DeviceQuery) -> None:
    column = COLUMNS["integers"]()
    first = query.keep(Batch({1: column}, len(column))).columns[1]
    assert query.keep(Batch({2: column}, len(column))).columns[2] is first


def test_large_columns_through_sql(connect_device: Connect, num_rows: int) -> None:
    connection = connect_device()
    values = np.random.default_rng(1).integers(-(2**40), 2**40, num_rows)
    texts = np.array([f"text {number}" for number in range(97)])[values % 97]
    connection.register("frame", {"a": values, "b": values / 3, "c": texts})
    result = connection.sql("SELECT a, b, c FROM frame").collect().to_arrow()
    np.testing.assert_array_equal(result["a"].to_numpy(), values)
    np.testing.assert_array_equal(result["b"].to_numpy(), values / 3)
    assert result["c"].to_pylist()[:1000] == texts[:1000].tolist()
