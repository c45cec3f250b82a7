"""Wrong values at the Python API: typed errors that name what is wrong, and a connection that works afterwards."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gpuql
from gpuql.errors import CatalogError, InterfaceError, NotSupportedError, OutOfRangeError

MISUSES: dict[str, tuple[Callable[[Any], object], str]] = {
    "text that is none": (lambda c: c.sql(None), "statements must be text"),
    "parameters: a number": (lambda c: c.sql("SELECT ?", 5), "must be a list, tuple or dict: int"),
    "parameters: a text": (lambda c: c.sql("SELECT ?", "abc"), "must be a list, tuple or dict: str"),
    "parameters: a set": (lambda c: c.sql("SELECT ?", {1}), "must be a list, tuple or dict: set"),
    "parameters: too few": (lambda c: c.sql("SELECT ?, ?", [1]), r"parameter has no value: \$2"),
    "parameters: too many": (lambda c: c.sql("SELECT ?", [1, 2]), "more parameter values"),
    "parameters: an array": (lambda c: c.sql("SELECT ?", [np.array([1, 2])]), "ndarray of 2 values"),
    "parameters: an object": (lambda c: c.sql("SELECT ?", [object()]), "no SQL type: object"),
    "parameters: months": (lambda c: c.sql("SELECT ?", [np.timedelta64(1, "M")]), r"timedelta64\[M\]"),
    "sets of parameters": (lambda c: c.executemany("SELECT ?", 5), "sequence of parameter sets: int"),
    "rows to fetch": (lambda c: c.execute("SELECT 1").fetchmany(-1), "0 or more: -1"),
    "fetch before execute": (lambda c: c.cursor().fetchall(), "no statement was executed"),
    "name that is none": (lambda c: c.register(5, {"a": [1]}), "table name must be text"),
    "name that is empty": (lambda c: c.table(""), "table name must be text"),
}


@pytest.fixture
def connection() -> gpuql.Connection:
    return gpuql.connect(device="cpu")


@pytest.mark.parametrize("misuse", MISUSES)
def test_misuse(connection: gpuql.Connection, misuse: str) -> None:
    act, message = MISUSES[misuse]
    with pytest.raises(InterfaceError, match=message):
        act(connection)
    assert connection.sql("SELECT 1").fetchall() == [(1,)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pd.NaT, None),
        (pd.NA, None),
        (np.datetime64("NaT"), None),
        (np.datetime64("2020-01-01"), datetime.date(2020, 1, 1)),
        (np.datetime64("2020-01-01T01:02:03", "ns"), datetime.datetime(2020, 1, 1, 1, 2, 3)),
        (
            pd.Timestamp("2020-01-01", tz="Asia/Tokyo"),
            datetime.datetime(2019, 12, 31, 15, tzinfo=datetime.UTC),
        ),
        (np.float32(1.5), 1.5),
        (np.array(5), 5),
    ],
    ids=repr,
)
def test_values_of_numpy_and_pandas(connection: gpuql.Connection, value: object, expected: object) -> None:
    assert connection.sql("SELECT ?", [value]).fetchall() == [(expected,)]


@pytest.mark.parametrize(
    "value",
    [np.datetime64(1, "ns"), np.timedelta64(1, "ns"), pd.Timestamp(1), pd.Timedelta(1)],
    ids=lambda value: type(value).__name__,
)
def test_nanoseconds_are_not_dropped(connection: gpuql.Connection, value: object) -> None:
    with pytest.raises(OutOfRangeError, match="nanoseconds"):
        connection.sql("SELECT ?", [value])


@pytest.mark.parametrize("method", ["sql", "execute", "table", "unregister"])
def test_nothing_works_on_a_closed_connection(connection: gpuql.Connection, method: str) -> None:
    connection.execute("SELECT 1")
    frame = connection.sql("SELECT 1")
    connection.close()
    with pytest.raises(InterfaceError, match="closed"):
        getattr(connection, method)("t")
    for act in (
        connection.fetchall,
        connection.cursor,
        connection.commit,
        frame.collect,
        connection.__enter__,
    ):
        with pytest.raises(InterfaceError, match="closed"):
            act()


def test_registered_frames_are_named_as_such(connection: gpuql.Connection) -> None:
    connection.register("f", pa.table({"a": [1]}))
    for statement in ("DROP TABLE f", "INSERT INTO f VALUES (1)"):
        with pytest.raises(CatalogError, match="not a table but a registered frame: f"):
            connection.execute(statement)


def test_a_reader_can_be_asked_twice(connection: gpuql.Connection) -> None:
    reader = pa.table({"a": [1, 2]}).to_reader()
    other_name = reader
    assert connection.sql("SELECT count(*) FROM reader").fetchall() == [(2,)]
    assert connection.sql("SELECT sum(a) FROM other_name").fetchall() == [(3,)]
    assert other_name is reader


@pytest.mark.parametrize("path", [":memory:", "my.db", "folder/sales"])
def test_database_files_are_refused_by_name(path: str) -> None:
    with pytest.raises(NotSupportedError, match="database files are not supported") as caught:
        gpuql.connect(path)
    assert caught.value.hint is not None
    assert "the device" in caught.value.hint
