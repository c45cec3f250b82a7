"""ASOF joins within a memory limit."""

from __future__ import annotations

import duckdb

import gpuql

TABLES = (
    "CREATE TABLE l AS SELECT i, i % 7 AS k, (i * 7919) % 300007 AS t FROM (SELECT range AS i FROM range(150000))",
    "CREATE TABLE r AS SELECT i AS j, i % 7 AS k, (i * 9973) % 300007 AS t FROM (SELECT range AS i FROM range(90000))",
)
QUERY = "SELECT count(*), sum(i), sum(j), sum(l.t - r.t) FROM l ASOF LEFT JOIN r ON l.k = r.k AND l.t >= r.t"


def test_asof_join_of_more_than_memory() -> None:
    with gpuql.connect(device="cpu", memory_limit="4MB") as connection, duckdb.connect() as reference:
        for statement in TABLES:
            connection.execute(statement)
            reference.execute(statement)
        result = connection.sql(QUERY).collect()
        assert result.metrics is not None
        assert result.metrics.memory.spilled_bytes > 0
        assert [tuple(map(int, row)) for row in result.fetchall()] == [
            tuple(map(int, row)) for row in reference.execute(QUERY).fetchall()
        ]
