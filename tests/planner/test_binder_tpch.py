"""All TPC-H queries bind, and to the column names and types that DuckDB gives them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from tests.planner.binder_catalog import bind_query, tpch_catalog, tpch_columns

QUERIES = sorted((Path(__file__).parents[2] / "bench" / "queries" / "tpch").glob("q*.sql"))


@pytest.fixture(scope="module")
def oracle() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    for table, columns in tpch_columns().items():
        connection.execute(f"CREATE TABLE {table} ({', '.join(map(' '.join, columns))})")
    return connection


def test_there_are_22_queries() -> None:
    assert [path.name for path in QUERIES] == [f"q{number:02}.sql" for number in range(1, 23)]


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_query_binds_to_the_columns_of_duckdb(path: Path, oracle: duckdb.DuckDBPyConnection) -> None:
    text = path.read_text()
    query = bind_query(text, tpch_catalog())
    bound = [(name, str(output.dtype)) for name, output in zip(query.names, query.plan.outputs, strict=True)]
    expected = [(str(name), str(dtype)) for name, dtype, *_ in oracle.execute(text).description]
    assert bound == expected
