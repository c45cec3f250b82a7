"""Shapes of FROM and of nested correlated subqueries that the planner once refused or failed on."""

from __future__ import annotations

import duckdb
import pytest

import gpuql

SETUP = """
    CREATE TABLE x AS SELECT i AS id, i % 3 AS a, CASE WHEN i % 4 > 0 THEN i % 5 END AS b FROM range(9) r(i);
    CREATE TABLE y AS SELECT i AS id, i % 2 AS a, CASE WHEN i % 3 > 0 THEN i % 4 END AS b FROM range(7) r(i);
"""
QUERIES = (
    # The plan between two levels of correlation is shared by both of its uses.
    "SELECT id FROM x WHERE b = (SELECT max(y2.b) FROM y JOIN y y2 ON y.id = y2.a WHERE y2.b <> x.a "
    "AND y.id < (SELECT count(y3.id) FROM y y3 WHERE y3.id <> y.b))",
    "SELECT id, a IN (SELECT y2.a FROM y LEFT JOIN y y2 ON y.id = y2.b WHERE y2.id < x.id "
    "AND y2.b NOT IN (SELECT x3.b FROM x x3 WHERE x3.a = y.a)) FROM x",
    # Parentheses around joins.
    "SELECT count(*), sum(c.b) FROM ((x JOIN y ON x.a = y.a) LEFT JOIN y c ON c.id = x.b)",
    "SELECT count(*) FROM ((SELECT a AS n FROM x) t(m) JOIN y ON t.m = y.b)",
)


@pytest.mark.parametrize("optimizer", [True, False])
@pytest.mark.parametrize("query", QUERIES)
def test_rows_are_duckdbs(query: str, optimizer: bool) -> None:
    oracle = duckdb.connect()
    engine = gpuql.connect(
        device="cpu", tier="interpreted", optimizer=optimizer, threads=1, verify_plans=True
    )
    for connection in (oracle, engine):
        connection.execute(SETUP)
    found = engine.execute(query).fetchall()
    assert sorted(map(repr, found)) == sorted(map(repr, oracle.execute(query).fetchall()))
