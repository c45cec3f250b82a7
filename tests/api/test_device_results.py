"""Columns of a result as arrays where the query ran: here the CPU; ``tests/memory`` has a device."""

from __future__ import annotations

import numpy as np
import pytest

import gpuql
from gpuql.errors import ProgrammingError


@pytest.fixture
def connection() -> gpuql.Connection:
    return gpuql.connect(device="cpu")


def test_columns_are_as_wide_as_their_types(connection: gpuql.Connection) -> None:
    result = connection.sql(
        "SELECT range AS a, range::DOUBLE / 2 AS b, DATE '1970-01-11' AS c, 1.25::DECIMAL(9, 2) AS d, "
        "(range % 3)::TINYINT AS e FROM range(5)"
    ).to_device()
    assert (result.device, result.num_rows) == ("cpu", 5)
    assert result.columns == list(result) == ["a", "b", "c", "d", "e"]
    assert [result[name].values.dtype.name for name in result] == [
        "int64",
        "float64",
        "int32",
        "int64",
        "int8",
    ]
    assert np.asarray(result["a"]).tolist() == [0, 1, 2, 3, 4]
    assert np.from_dlpack(result["b"]).tolist() == [0, 0.5, 1, 1.5, 2]
    assert set(np.asarray(result["c"]).tolist()) == {10}
    assert set(np.asarray(result["d"]).tolist()) == {125}
    assert "5 rows on cpu" in repr(result)


def test_nulls_are_told_apart(connection: gpuql.Connection) -> None:
    column = connection.sql("SELECT * FROM (VALUES (1), (NULL), (3)) t(v)").to_device()["v"]
    assert column.validity is not None
    assert column.validity.tolist() == [True, False, True]
    assert column.values[[0, 2]].tolist() == [1, 3]
    with pytest.raises(ProgrammingError, match="NULLs"):
        np.from_dlpack(column)


def test_texts_are_positions_offsets_and_bytes(connection: gpuql.Connection) -> None:
    column = connection.sql("SELECT * FROM (VALUES ('a'), ('bcd'), ('')) t(v)").to_device()["v"]
    assert column.offsets is not None
    texts = [
        bytes(column.data[column.offsets[i] : column.offsets[i + 1]]).decode() for i in column.values.tolist()
    ]
    assert texts == ["a", "bcd", ""]
    with pytest.raises(ProgrammingError, match="texts"):
        np.asarray(column)


def test_repeated_names_and_results_of_commands(connection: gpuql.Connection) -> None:
    assert connection.sql("SELECT 1 AS a, 2 AS a").to_device().columns == ["a", "a_1"]
    made = connection.sql("CREATE TABLE t AS SELECT 7 AS a").to_device()
    assert made.device == "cpu"
    assert connection.sql("SELECT a FROM t WHERE a > 7").to_device()["a"].values.tolist() == []


def test_a_cached_frame_is_a_table_of_its_rows(connection: gpuql.Connection) -> None:
    frame = connection.sql("SELECT range AS a, range * 2 AS r, 'x' AS a FROM range(5)")
    cached = frame.cache(on_device=True)
    assert cached.columns == ["a", "r", "a"]
    assert cached.fetchall() == frame.fetchall()
    assert "Scan cached" in cached.explain()
    assert cached.filter(gpuql.col("r") >= 4).collect().num_rows == 3
    assert connection.sql("CREATE TABLE t AS SELECT 7 AS a").cache().fetchall()
