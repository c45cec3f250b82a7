"""Optimized and merely unnested plans, written back as SQL, give DuckDB's answers to the original query."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from gpuql_planner.optimizer import optimize
from gpuql_planner.physical.lower import lower
from gpuql_planner.physical.verify import verify
from gpuql_planner.sql.bind import bind_statements
from gpuql_planner.sql.statements import Query
from tests.plans.small_data import create_small_tables, small_catalog
from tests.plans.to_sql import plan_to_sql

_TEXT = (Path(__file__).parents[1] / "plans" / "queries.sql").read_text()
QUERIES = [text.strip() for text in re.sub(r"(?m)^--.*$", "", _TEXT).split(";") if text.strip()]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as opened:
        create_small_tables(opened)
        yield opened


def _rows(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[str, ...]]:
    found = connection.execute(sql).fetchall()
    return sorted(tuple(map(_text, row)) for row in found)


def _text(value: object) -> str:
    if value is None or isinstance(value, (bool, str)):
        return repr(value)
    return f"{float(value):.9g}"  # type: ignore[arg-type]


@pytest.mark.parametrize("sql", QUERIES)
def test_same_rows_as_duckdb(sql: str, connection: duckdb.DuckDBPyConnection) -> None:
    statement = bind_statements(sql, small_catalog())[0]
    assert isinstance(statement, Query)
    expected = _rows(connection, sql)
    for enabled in (False, True):
        plan = optimize(statement.plan, verify=True, enabled=enabled)
        assert plan.outputs == statement.plan.outputs
        assert _rows(connection, plan_to_sql(plan)) == expected
        verify(lower(plan, statement.names, device="cpu"))
