"""Aggregates over whole partitions are grouped, not sorted, as long as memory has room: the same values either way."""

from __future__ import annotations

import duckdb
import pytest

import gpuql
from gpuql.bench.rows import difference

ROWS = (
    "SELECT i, nullif(i * 7 % 11, 3) AS k, 'g' || i % 5 AS g, nullif(i % 13, 4) AS v, i % 9 / 4 AS f "
    "FROM range(20000) r(i)"
)
CALLS = (
    "sum(v) OVER (PARTITION BY k), count(*) OVER (PARTITION BY g), avg(f) OVER (PARTITION BY k, g)",
    "min(g) OVER (PARTITION BY k), max(v) FILTER (WHERE f > 1) OVER (PARTITION BY g)",
    "count(DISTINCT v) OVER (PARTITION BY g), median(v) OVER (PARTITION BY k), any_value(g) OVER (PARTITION BY g)",
    "sum(v) OVER (PARTITION BY k ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING), "
    "count(v) OVER (PARTITION BY k RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)",
)


#: Values as long as their partitions.
LISTS = "list(i ORDER BY f, i DESC) OVER (PARTITION BY k), string_agg(g, '' ORDER BY i) OVER (PARTITION BY v, f, g)"


@pytest.mark.parametrize(
    ("calls", "memory_limit"),
    [*((calls, limit) for calls in CALLS for limit in ("1GB", "1MB")), (LISTS, "1GB")],
)
def test_values(calls: str, memory_limit: str) -> None:
    with (
        gpuql.connect(device="cpu", threads=2, memory_limit=memory_limit) as connection,
        duckdb.connect() as engine,
    ):
        connection.register("t", engine.sql(ROWS).to_arrow_table())
        found = connection.sql(f"SELECT i, {calls} FROM t").collect()
        rows = sorted(found.fetchall())
        assert difference(rows, sorted(engine.sql(f"SELECT i, {calls} FROM ({ROWS}) t").fetchall())) is None
        assert bool(found.metrics.memory.spilled_bytes) == (memory_limit == "1MB")


@pytest.mark.parametrize(
    ("call", "is_sorted"),
    [
        ("sum(v) OVER (PARTITION BY k)", False),
        ("sum(v) OVER (PARTITION BY k ORDER BY i)", True),
        ("row_number() OVER (PARTITION BY k)", True),
        ("first_value(v) OVER (PARTITION BY k)", True),
        ("sum(v) OVER (PARTITION BY k ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)", True),
        ("sum(v) OVER (PARTITION BY k ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)", False),
    ],
)
def test_plans_say_what_is_sorted(call: str, is_sorted: bool) -> None:
    with gpuql.connect(device="cpu") as connection:
        connection.execute("CREATE TABLE t (i INTEGER, k INTEGER, v INTEGER)")
        text = "\n".join(
            str(row[-1]) for row in connection.execute(f"EXPLAIN SELECT {call} FROM t").fetchall()
        )
    assert ("sorted by k" in text) == is_sorted
