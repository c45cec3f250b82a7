"""EXPORT DATABASE and IMPORT DATABASE: what comes back is what there was, also from another folder and for DuckDB."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import gpuql
from gpuql_planner.errors import GpuqlError, InputError, ParserError

SETUP = (
    "CREATE SCHEMA s",
    "CREATE SEQUENCE q START 5",
    "CREATE TYPE mood AS ENUM ('a', 'b')",
    "CREATE TABLE fk_target (i INTEGER PRIMARY KEY, s VARCHAR DEFAULT 'x', CHECK (i > 0))",
    "INSERT INTO fk_target VALUES (1, 'a'), (2, NULL), (3, ''), (4, 'a,\"b')",
    "CREATE TABLE a_first (i INTEGER REFERENCES fk_target(i), twice INT GENERATED ALWAYS AS (i * 2))",
    "INSERT INTO a_first VALUES (1), (NULL)",
    'CREATE TABLE s."Odd name" AS SELECT 1.5::DECIMAL(4,2) AS d, [1, NULL] AS l, \'{"k": 1}\'::JSON AS j',
    'ALTER TABLE s."Odd name" ADD COLUMN a INT[2]',
    "CREATE TABLE moods (m mood)",
    "INSERT INTO moods VALUES ('b')",
    "CREATE VIEW v AS SELECT i + 1 AS j FROM fk_target",
    "CREATE MACRO f(x) AS x + 1",
    "CREATE MACRO tf(n) AS TABLE SELECT i FROM fk_target WHERE i < n",
    "CREATE TEMP TABLE gone AS SELECT 1",
    "SELECT nextval('q')",
)
QUERIES = (
    "FROM fk_target ORDER BY i",
    "FROM a_first ORDER BY i",
    'FROM s."Odd name"',
    "FROM moods",
    "FROM v ORDER BY j",
    "SELECT f(1)",
    "FROM tf(3) ORDER BY i",
    "SELECT nextval('q')",
    "SELECT table_name, estimated_size FROM gpuql_tables() WHERE NOT temporary ORDER BY ALL",
)


@pytest.mark.parametrize(
    "options", ["", "(FORMAT parquet)", "(FORMAT csv, DELIMITER '|')", "(FORMAT parquet, COMPRESSION zstd)"]
)
def test_round_trip(tmp_path: Path, options: str) -> None:
    with gpuql.connect(device="cpu") as source, gpuql.connect(device="cpu") as target:
        for statement in SETUP:
            source.execute(statement)
        source.execute(f"EXPORT DATABASE '{tmp_path / 'out'}' {options}")
        (tmp_path / "out").rename(tmp_path / "moved")
        target.execute(f"IMPORT DATABASE '{tmp_path / 'moved'}'")
        for query in QUERIES:
            assert target.execute(query).fetchall() == source.execute(query).fetchall(), query
        with pytest.raises(GpuqlError):
            target.execute("INSERT INTO fk_target VALUES (1, 'again')")
        with pytest.raises(GpuqlError):
            target.execute("FROM gone")


def test_duckdb_reads_it(tmp_path: Path) -> None:
    with gpuql.connect(device="cpu") as source, duckdb.connect() as other:
        for statement in SETUP:
            source.execute(statement)
        source.execute(f"EXPORT DATABASE '{tmp_path}'")
        other.execute(f"IMPORT DATABASE '{tmp_path}'")
        for query in QUERIES[:7]:
            if "Odd" not in query:  # DuckDB's lists and JSON are other Python values
                assert other.execute(query).fetchall() == source.execute(query).fetchall(), query


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("IMPORT DATABASE '/nowhere/at/all'", InputError),
        ("EXPORT DATABASE 5", ParserError),
        ("EXPORT DATABASE 'x' (FORMAT orc)", ParserError),
        ("EXPORT TABLE 'x'", ParserError),
        ("IMPORT DATABASE", ParserError),
        ("EXPORT DATABASE '/proc/no/such'", InputError),
    ],
)
def test_errors(statement: str, error: type[GpuqlError]) -> None:
    with gpuql.connect(device="cpu") as connection, pytest.raises(error) as caught:
        connection.execute(statement)
    assert caught.value.position is not None
