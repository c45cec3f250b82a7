"""ENUM columns on their way in and out, under a memory limit, and where their errors point."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import gpuql
from gpuql_planner.errors import Position

TABLE = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE t (i INTEGER, m mood);
INSERT INTO t VALUES (1, 'happy'), (2, NULL), (3, 'sad'), (4, 'ok')
"""


@pytest.fixture
def connection() -> Iterator[gpuql.Connection]:
    with gpuql.connect(device="cpu") as opened:
        opened.execute(TABLE)
        yield opened


def test_arrow_and_frames(connection: gpuql.Connection) -> None:
    column = connection.sql("SELECT m FROM t ORDER BY i").to_arrow().column("m")
    assert column.type == pa.dictionary(pa.int32(), pa.string())
    assert column.to_pylist() == ["happy", None, "sad", "ok"]
    assert connection.sql("SELECT m FROM t ORDER BY m").to_polars()["m"].to_list() == [
        "sad",
        "ok",
        "happy",
        None,
    ]
    assert list(connection.sql("SELECT m FROM t ORDER BY i").to_pandas()["m"])[2:] == ["sad", "ok"]
    empty = connection.sql("SELECT m FROM t WHERE i > 9").to_arrow()
    assert empty.num_rows == 0


def test_a_result_with_enums_is_queried_again(connection: gpuql.Connection) -> None:
    cached = connection.sql("SELECT m FROM t").cache()
    assert cached.sort("m").fetchall() == [("sad",), ("ok",), ("happy",), (None,)]
    assert connection.sql("SELECT m FROM t").filter(gpuql.col("m") == "ok").fetchall() == [("ok",)]


@pytest.mark.parametrize("name", ["e.csv", "e.json", "e.parquet"])
def test_files(connection: gpuql.Connection, name: str, tmp_path: Path) -> None:
    connection.execute(f"COPY t TO '{tmp_path / name}'")
    connection.execute("CREATE TABLE back (i INTEGER, m mood)")
    connection.execute(f"COPY back FROM '{tmp_path / name}'")
    assert connection.execute("FROM back ORDER BY i").fetchall() == [
        (1, "happy"),
        (2, None),
        (3, "sad"),
        (4, "ok"),
    ]


def test_parameters_and_prepared_statements(connection: gpuql.Connection) -> None:
    assert connection.execute("SELECT i FROM t WHERE m = ?", ["ok"]).fetchall() == [(4,)]
    connection.execute("PREPARE find AS SELECT i FROM t WHERE m = $1::mood")
    assert connection.execute("EXECUTE find('sad')").fetchall() == [(3,)]
    with pytest.raises(gpuql.ConversionError):
        connection.execute("EXECUTE find('nosuch')")


@pytest.mark.parametrize(
    ("text", "kind", "column"),
    [
        ("SELECT CAST('nosuch' AS mood)", gpuql.ConversionError, 13),
        ("SELECT CAST('x' AS nosuch)", gpuql.CatalogError, None),
        ("CREATE TYPE e AS ENUM ('a', 'a')", gpuql.BinderError, 13),
        ("CREATE TYPE mood AS ENUM ('a')", gpuql.CatalogError, 13),
        ("DROP TYPE nosuch", gpuql.CatalogError, 11),
        ("SELECT m + 1 FROM t", gpuql.BinderError, 8),
    ],
)
def test_errors(connection: gpuql.Connection, text: str, kind: type[Exception], column: int | None) -> None:
    with pytest.raises(gpuql.GpuqlError) as caught:
        connection.execute(text)
    assert isinstance(caught.value, kind)
    if column is not None:
        assert caught.value.position == Position(1, column)


MANY = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'z', 'a');
CREATE TABLE many AS SELECT range AS r, CASE WHEN range % 7 = 0 THEN NULL ELSE
    (CASE range % 5 WHEN 0 THEN 'sad' WHEN 1 THEN 'ok' WHEN 2 THEN 'happy' WHEN 3 THEN 'z' ELSE 'a' END)::mood END AS m
    FROM range(60000)
"""

QUERIES = [
    "SELECT m, count(*), sum(r), min(r), max(m) FROM many GROUP BY m ORDER BY m",
    "SELECT count(*), sum(r) FROM many WHERE m > 'ok'::mood",
    "SELECT count(*), sum(r) FROM many WHERE m > 'ok'",
    "SELECT r, m FROM many ORDER BY m DESC NULLS LAST, r LIMIT 5 OFFSET 20000",
    "SELECT count(*) FROM (SELECT m, r FROM many ORDER BY m, r DESC LIMIT 59000)",
    "SELECT m, r % 100 AS g, count(*) AS n FROM many GROUP BY ALL ORDER BY n DESC, m, g LIMIT 7",
    "SELECT m, count(*) FROM many JOIN (SELECT DISTINCT m FROM many) USING (m) GROUP BY 1 ORDER BY 1",
    "SELECT count(DISTINCT m), count(DISTINCT (m::VARCHAR)) FROM many",
    "SELECT m FROM many WHERE r % 1000 = 1 UNION SELECT m FROM many WHERE r % 1000 = 2 ORDER BY 1",
]


@pytest.mark.parametrize(
    "settings", [{}, {"tier": "compiled"}, {"memory_limit": "2MB"}, {"tier": "interpreted"}]
)
def test_many_rows(settings: dict[str, str]) -> None:
    with gpuql.connect(device="cpu", threads=2, **settings) as ours, duckdb.connect() as other:
        ours.execute(MANY)
        other.execute(MANY)
        for query in QUERIES:
            assert ours.execute(query).fetchall() == other.execute(query).fetchall(), query
