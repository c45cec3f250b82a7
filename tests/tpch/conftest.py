from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

import gpuql
from gpuql.bench.data import suite_files
from gpuql.bench.queries import load_queries
from gpuql.bench.suites import TPCH

Rows = list[tuple[Any, ...]]


@pytest.fixture(scope="session")
def tables() -> dict[str, Path]:
    """TPC-H at scale 0.01 as Parquet, by table; generated once into the user's cache."""
    return suite_files(TPCH, 0.01, None)


@pytest.fixture(scope="session")
def queries() -> dict[int, str]:
    return load_queries("tpch")


@pytest.fixture(scope="session")
def expected(tables: dict[str, Path], queries: dict[int, str]) -> dict[int, Rows]:
    """DuckDB's rows per query."""
    con = duckdb.connect()
    for name, path in tables.items():
        con.execute(f"create table {name} as from '{path}'")
    return {number: con.execute(text).fetchall() for number, text in queries.items()}


@pytest.fixture(scope="session")
def load(tables: dict[str, Path]) -> Callable[..., gpuql.Connection]:
    """Connect with settings and load the tables."""

    def connect(**settings: Any) -> gpuql.Connection:
        con = gpuql.connect(**{"device": "cpu", **settings})
        for name, path in tables.items():
            con.execute(f"create table {name} as select * from '{path}'")
        return con

    return connect
