from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from gpuql.columnar.construct import column_to_python
from gpuql.columnar.table import ResidentTable
from gpuql.io.arrow_source import is_frame, table_from_object
from gpuql_planner.errors import ConversionError, InputError, NotSupportedError

ARROW = pa.table({"k": [1, 2], "s": ["a", None]})


def contents(table: ResidentTable) -> dict[str, list[Any]]:
    return {field.name: column_to_python(table.column(field.name)) for field in table.fields}


@pytest.mark.parametrize(
    "frame",
    [
        ARROW,
        ARROW.to_batches()[0],
        ARROW.to_reader(),
        ARROW.to_pandas(),
        pl.from_arrow(ARROW),
        pl.DataFrame(ARROW.to_pydict()).lazy(),
        {"k": [1, 2], "s": ["a", None]},
        {"k": np.array([1, 2]), "s": pa.array(["a", None])},
        [{"k": 1, "s": "a"}, {"k": 2}],
        duckdb.sql("SELECT * FROM (VALUES (1::BIGINT, 'a'), (2, NULL)) t(k, s)"),
    ],
    ids=lambda frame: type(frame).__module__ + "." + type(frame).__name__,
)
def test_frames(frame: object) -> None:
    assert is_frame(frame)
    table = table_from_object("t", frame)
    assert table.num_rows == 2
    assert [str(field.dtype) for field in table.fields] == ["BIGINT", "VARCHAR"]
    assert contents(table) == {"k": [1, 2], "s": ["a", None]}


def test_numpy() -> None:
    structured = np.array([(1, 2.5), (3, 4.5)], dtype=[("i", "i2"), ("f", "f8")])
    assert contents(table_from_object("t", structured)) == {"i": [1, 3], "f": [2.5, 4.5]}
    assert contents(table_from_object("t", np.arange(4).reshape(2, 2))) == {
        "column0": [0, 2],
        "column1": [1, 3],
    }
    days = np.array(["2024-01-01", "NaT"], dtype="M8[D]")
    table = table_from_object("t", {"d": days, "m": days.astype("M8[M]"), "u": np.array(["x", "yz"])})
    assert contents(table) == {
        "d": [datetime.date(2024, 1, 1), None],
        "m": [datetime.date(2024, 1, 1), None],
        "u": ["x", "yz"],
    }


def test_pandas_and_polars_types() -> None:
    frame = pd.DataFrame(
        {
            "t": pd.to_datetime(["2024-01-01 10:00", None]),
            "c": pd.Categorical(["x", "y"]),
            "i": pd.array([1, None], dtype="Int64"),
        }
    )
    assert contents(table_from_object("t", frame)) == {
        "t": [datetime.datetime(2024, 1, 1, 10), None],
        "c": ["x", "y"],
        "i": [1, None],
    }
    polars = pl.DataFrame({"d": [Decimal("1.50"), None], "c": pl.Series(["a", "b"], dtype=pl.Categorical)})
    assert contents(table_from_object("t", polars)) == {"d": [Decimal("1.50"), None], "c": ["a", "b"]}
    assert contents(table_from_object("t", pd.Series([1, 2], name="v"))) == {"v": [1, 2]}


def test_repeated_names() -> None:
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert contents(table_from_object("t", table)) == {"a": [1], "a_1": [2]}


@pytest.mark.parametrize(
    ("frame", "error", "text"),
    [
        (5, NotSupportedError, "not a table"),
        ({"a": [1], "b": [1, 2]}, ConversionError, "length"),
        ({"a": [1, "x"]}, ConversionError, "cannot be turned"),
        ({"a": 5}, NotSupportedError, "sequence"),
        ({}, InputError, "no columns"),
        (np.zeros((2, 2, 2)), NotSupportedError, "dimensions"),
        ([1, 2], NotSupportedError, "dicts"),
    ],
)
def test_refusals(frame: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        table_from_object("t", frame)


def test_frames_whose_libraries_arrow_does_not_take_as_they_are() -> None:
    repeated = pd.DataFrame([[1, 2]], columns=["a", "a"])
    assert contents(table_from_object("t", repeated)) == {"a": [1], "a_1": [2]}
    assert contents(table_from_object("t", pl.Series("v", [1, 2]))) == {"v": [1, 2]}
    assert contents(table_from_object("t", {"a": np.arange(2, dtype=">i8")})) == {"a": [0, 1]}


def test_objects_in_polars_are_refused() -> None:
    with pytest.raises(NotSupportedError, match="Object"):
        table_from_object("t", pl.DataFrame({"a": [object()]}))


class Broken:
    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        raise RuntimeError("the other side hung up")


@pytest.mark.parametrize("frame", [Broken(), pl.LazyFrame({"a": [1]}).select("zz")], ids=["stream", "lazy"])
def test_errors_of_the_object_itself_are_conversion_errors(frame: object) -> None:
    with pytest.raises(ConversionError, match="cannot be turned into columns: t"):
        table_from_object("t", frame)


def strings(entries: bytes, offsets: list[int], validity: bytes | None = None) -> Any:
    bitmap = None if validity is None else pa.py_buffer(validity)
    buffers = [bitmap, pa.py_buffer(np.array(offsets, dtype=np.int32)), pa.py_buffer(entries)]
    return pa.table({"s": pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)})


def test_text_must_be_utf8_but_under_null() -> None:
    table = table_from_object("t", strings(b"ok\xff\xfe", [0, 2, 4]))
    with pytest.raises(ConversionError, match="text is not UTF-8: column s"):
        table.column("s")
    hidden = table_from_object("t", strings(b"\xc3\xa9\xff\xfe", [0, 2, 4], validity=b"\x01"))
    assert contents(hidden) == {"s": ["\u00e9", None]}
