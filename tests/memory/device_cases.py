"""Operators that keep rows, as queries over small tables with duplicates, NULLs and NULL keys, and DuckDB's rows."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import numpy as np
import pyarrow as pa

from gpuql.bench.rows import Row
from gpuql.memory import query_memory
from gpuql.memory.device_memory import DeviceMemory
from gpuql.operators import sort, sorted_runs
from gpuql.session import Connection

#: By what they are about, then by name. Sums are of integers, so that no order of addition changes them.
CASES: dict[str, dict[str, str]] = {
    "join": {
        "inner": "SELECT l.k, l.g, r.v FROM l JOIN r ON l.k = r.k",
        "inner, aggregated": "SELECT count(*), sum(l.k), sum(r.v), min(l.s) FROM l JOIN r ON l.k = r.k",
        "inner by text": "SELECT l.k, r.s, r.v FROM l JOIN r ON l.s = r.s",
        "inner by two keys": "SELECT l.k, r.v FROM l JOIN r ON l.k = r.k AND l.s = r.s",
        "inner with residual": "SELECT l.k, r.v FROM l JOIN r ON l.k = r.k AND r.v % 5 > l.g",
        "inner with many to many": "SELECT a.g, count(*), sum(b.k) FROM l a JOIN r b ON a.m = b.m GROUP BY a.g",
        "inner of three": "SELECT l.k, r.v, q.v FROM l JOIN r ON l.k = r.k JOIN r q ON q.s = l.s",
        "left": "SELECT l.k, l.s, r.v FROM l LEFT JOIN r ON l.k = r.k",
        "left with residual": "SELECT l.k, r.v FROM l LEFT JOIN r ON l.k = r.k AND r.v > 500",
        "left with a condition on the left": "SELECT l.k, r.v FROM l LEFT JOIN r ON l.k = r.k AND l.g < 2",
        "left, no matches kept": "SELECT l.k FROM l LEFT JOIN r ON l.k = r.k WHERE r.k IS NULL",
        "right": "SELECT l.k, r.k, r.v FROM l RIGHT JOIN r ON l.k = r.k",
        "right with residual": "SELECT l.k, r.k FROM l RIGHT JOIN r ON l.k = r.k AND l.g = 1",
        "full": "SELECT l.k, r.k, l.s, r.v FROM l FULL JOIN r ON l.k = r.k",
        "full by text": "SELECT l.s, r.s FROM l FULL JOIN r ON l.s = r.s",
        "full with residual": "SELECT l.k, r.k FROM l FULL JOIN r ON l.k = r.k AND r.v > 500",
        "full with an empty side": "SELECT l.k, e.k FROM l FULL JOIN e ON l.k = e.k",
        "semi": "SELECT l.k, l.s FROM l WHERE EXISTS (SELECT 1 FROM r WHERE r.k = l.k)",
        "semi with residual": "SELECT l.k FROM l WHERE EXISTS (SELECT 1 FROM r WHERE r.k = l.k AND r.v % 5 > l.g)",
        "semi by text": "SELECT l.k FROM l WHERE l.s IN (SELECT s FROM r)",
        "anti": "SELECT l.k, l.s FROM l WHERE NOT EXISTS (SELECT 1 FROM r WHERE r.k = l.k)",
        "anti with residual": "SELECT k FROM l WHERE NOT EXISTS (SELECT 1 FROM r WHERE r.k = l.k AND r.v > 500)",
        "not in": "SELECT k, s FROM l WHERE k NOT IN (SELECT k FROM r WHERE k IS NOT NULL)",
        "not in with NULLs": "SELECT k, s FROM l WHERE k NOT IN (SELECT k FROM r)",
        "not in nothing": "SELECT k, s FROM l WHERE k NOT IN (SELECT k FROM e)",
        "mark": "SELECT k, k IN (SELECT k FROM r WHERE k IS NOT NULL) FROM l",
        "mark with NULLs": "SELECT k, k IN (SELECT k FROM r), s IN (SELECT s FROM r) FROM l",
        "mark of existence": "SELECT k, EXISTS (SELECT 1 FROM r WHERE r.k = l.k) OR g = 1 FROM l",
        "mark by group": "SELECT k FROM l WHERE v NOT IN (SELECT v FROM r WHERE r.m = l.m AND v IS NOT NULL)",
        "less than": "SELECT count(*), sum(l.k), sum(r.v) FROM l JOIN r ON l.v < r.v AND l.m = r.m",
        "only less than": "SELECT a.k, b.k FROM (SELECT k, v FROM l WHERE m < 20) a "
        "JOIN (SELECT k, v FROM r WHERE m < 20) b ON a.v + 800 < b.v",
        "left less than": "SELECT a.k, b.k FROM (SELECT k, v FROM l WHERE m < 20) a "
        "LEFT JOIN (SELECT k, v FROM r WHERE m < 20) b ON a.v + 900 < b.v",
        "cross": "SELECT count(*), sum(l.g + t.c) FROM l, (SELECT DISTINCT m % 20 AS c FROM r) t",
        "asof": "SELECT l.k, r.k FROM l ASOF JOIN (SELECT DISTINCT k FROM r WHERE k IS NOT NULL) r ON l.k >= r.k",
        "asof by text": "SELECT l.m, l.s, r.s FROM l ASOF LEFT JOIN (SELECT DISTINCT m, s FROM r) r "
        "ON l.m = r.m AND l.s >= r.s",
        "scalar subquery": "SELECT k, (SELECT sum(v) FROM r WHERE r.m = l.m) FROM l",
        "of a filtered side": "SELECT l.k, r.v FROM l JOIN r ON l.k = r.k WHERE r.v < 100 AND l.g = 3",
    },
    "aggregation": {
        "of all rows": "SELECT count(*), count(v), sum(k), min(s), max(s), avg(v) FROM l",
        "distinct keys": "SELECT k, count(*), sum(v), max(g) FROM l GROUP BY k",
        "distinct text": "SELECT s, count(*), sum(k) FROM l GROUP BY s",
        "two distinct keys": "SELECT k, s, count(*), sum(v) FROM l GROUP BY k, s",
        "few groups": "SELECT g, count(*), sum(k), min(s), max(v), avg(v) FROM l GROUP BY g",
        "hundreds of groups": "SELECT m, count(*), sum(k), min(s) FROM l GROUP BY m",
        "count distinct": "SELECT count(DISTINCT s), count(DISTINCT k), count(DISTINCT g), sum(DISTINCT v) FROM l",
        "count distinct in groups": "SELECT g, count(DISTINCT s), count(DISTINCT v), sum(DISTINCT m) FROM l GROUP BY g",
        "median": "SELECT median(k), quantile_disc(v, 0.25), quantile_cont(v, 0.9) FROM l",
        "median in groups": "SELECT g, median(k), median(v), quantile_disc(m, 0.1) FROM l GROUP BY g",
        "mode": "SELECT g, mode(m % 97 * (m % 2)), mad(v), entropy(m) FROM l GROUP BY g",
        "string_agg": "SELECT g, string_agg(s, ',' ORDER BY k, s) FROM l GROUP BY g",
        "string_agg of all": "SELECT string_agg(s, ';' ORDER BY s DESC, k) FROM l WHERE m < 20",
        "first": "SELECT m, first(s ORDER BY k, s), last(v ORDER BY k, s), arg_max(k, k), arg_min(s, k) "
        "FROM l GROUP BY m",
        "first of distinct keys": "SELECT k, s, first(v ORDER BY v) FROM l GROUP BY k, s",
        "with filters": "SELECT g, count(*) FILTER (v > 500), sum(k) FILTER (m < 9) FROM l GROUP BY g",
        "bits and booleans": "SELECT m, bool_and(v > 10), bool_or(g = 3), bit_xor(k) FROM l GROUP BY m",
        "having": "SELECT m, count(*) FROM l GROUP BY m HAVING count(*) > 9 AND sum(v) % 2 = 0",
        "grouping sets": "SELECT g, m, count(*), sum(k) FROM l GROUP BY GROUPING SETS ((g, m), (g), ())",
        "cube": "SELECT g, m, count(*), grouping(g, m), min(s) FROM l GROUP BY CUBE (g, m)",
        "of lists": "SELECT p, count(*), sum(k) FROM l GROUP BY p",
        "of nothing": "SELECT g, count(*), sum(v) FROM l WHERE k < 0 GROUP BY g",
        "distinct": "SELECT DISTINCT g, m FROM l",
        "distinct text of both": "SELECT DISTINCT s FROM (SELECT s FROM l UNION ALL SELECT s FROM r) t",
        "distinct on": "SELECT DISTINCT ON (m) m, k, s FROM l ORDER BY m, k DESC, s",
        "of groups": "SELECT c, count(*) FROM (SELECT k, count(*) AS c FROM r GROUP BY k) t GROUP BY c",
    },
    "set operation": {
        "union": "SELECT k FROM l UNION SELECT k FROM r",
        "union of text": "SELECT s, g FROM l UNION SELECT s, m FROM r",
        "union all": "SELECT k, s FROM l UNION ALL SELECT k, s FROM r",
        "intersect": "SELECT k FROM l INTERSECT SELECT k FROM r",
        "intersect of two": "SELECT k, s FROM l INTERSECT SELECT k, s FROM r",
        "intersect all": "SELECT m FROM l INTERSECT ALL SELECT m FROM r",
        "except": "SELECT k FROM l EXCEPT SELECT k FROM r",
        "except of text": "SELECT s FROM l EXCEPT SELECT s FROM r",
        "except all": "SELECT m, g FROM l EXCEPT ALL SELECT m, 1 FROM r",
        "except nothing": "SELECT k FROM l EXCEPT SELECT k FROM e",
        "three": "SELECT k FROM l UNION SELECT k FROM r EXCEPT SELECT v FROM r",
    },
    "sort": {
        "numbers": "SELECT k, v, s FROM l ORDER BY k, s",
        "numbers, last first": "SELECT k, g, s FROM l ORDER BY k DESC NULLS FIRST, s",
        "doubles": "SELECT d, k FROM l ORDER BY d DESC, k, v",
        "text": "SELECT s, k, v FROM l ORDER BY s, k",
        "text, last first": "SELECT s, k FROM l ORDER BY s DESC, k",
        "several keys": "SELECT g, m, s, k FROM l ORDER BY g DESC, m NULLS FIRST, s, k DESC",
        "computed keys": "SELECT k, s FROM l ORDER BY k % 10, length(s), s, k",
        "top numbers": "SELECT k, s FROM l ORDER BY k DESC, s LIMIT 20",
        "top of many": "SELECT k, s, v FROM l ORDER BY v, k, s LIMIT 700 OFFSET 300",
        "top text": "SELECT s, k FROM l ORDER BY s, k LIMIT 10 OFFSET 5",
        "top of groups": "SELECT m, sum(k) AS t FROM l GROUP BY m ORDER BY t DESC, m LIMIT 5",
        "limit of nothing": "SELECT k FROM l ORDER BY k LIMIT 5 OFFSET 100000",
        "joined rows": "SELECT l.s, r.v FROM l JOIN r ON l.k = r.k ORDER BY l.s, r.v",
        "ties": "SELECT g FROM l ORDER BY g",
        "lists": "SELECT p, k, s FROM l ORDER BY p DESC, k, s",
        "lists carried along": "SELECT p, s FROM l ORDER BY k, s",
    },
    "window": {
        "row number": "SELECT k, s, row_number() OVER (PARTITION BY g ORDER BY k, s) FROM l",
        "running sum": "SELECT k, s, sum(v) OVER (PARTITION BY m ORDER BY k, s) FROM l",
        "rank and lag": "SELECT k, s, rank() OVER (ORDER BY m), lag(v) OVER (ORDER BY s, k) FROM l",
        "frame": "SELECT k, max(v) OVER (ORDER BY k, s ROWS BETWEEN 5 PRECEDING AND 3 FOLLOWING) FROM l",
        "range": "SELECT k, count(*) OVER (PARTITION BY g ORDER BY v RANGE BETWEEN 9 PRECEDING AND 1 FOLLOWING) FROM l",
        "whole partitions": "SELECT k, s, v - avg(v) OVER (PARTITION BY m), count(*) OVER () FROM l",
        "qualify": "SELECT m, k FROM l QUALIFY row_number() OVER (PARTITION BY m ORDER BY k DESC, s) <= 2",
    },
    "more": {
        "all rows": "SELECT k, s, g, m, v, d, p FROM l",
        "filter": "SELECT k, s FROM l WHERE v > 250 AND s LIKE '%7%'",
        "recursive": "WITH RECURSIVE t(n, k) AS (SELECT 0, k FROM l WHERE k < 2000 UNION ALL "
        "SELECT n + 1, t.k + 7 FROM t JOIN r ON r.k = t.k + 7 WHERE n < 4) "
        "SELECT n, count(*), sum(k) FROM t GROUP BY n",
        "recursive, distinct": "WITH RECURSIVE t(k) AS (SELECT 7 * m FROM l UNION "
        "SELECT t.k + 7 FROM t WHERE t.k < 900) SELECT count(*), sum(k), max(k) FROM t",
        "cte": "WITH t AS MATERIALIZED (SELECT k, m, s FROM l WHERE v > 5) "
        "SELECT a.m, count(*), min(b.s) FROM t a JOIN t b ON a.k = b.k GROUP BY a.m",
    },
}

NUM_ROWS = 3000


def tables(num_rows: int = NUM_ROWS) -> dict[str, pa.Table]:
    """``l`` and ``r`` share half of their keys; ``r`` has some twice. ``e`` is empty."""
    rng = np.random.default_rng(7)
    left = rng.permutation(num_rows)
    twice = rng.integers(0, num_rows, num_rows // 4)
    right = np.concatenate([rng.permutation(num_rows)[: num_rows * 3 // 4], twice]) + num_rows // 2
    return {
        "l": pa.table(
            {
                "k": pa.array(left * 7, mask=left % 50 == 3),
                "s": pa.array([f"name {key % (num_rows - 9):07}" for key in left]),
                "g": pa.array(left % 7, mask=left % 11 == 3),
                "m": pa.array(left * 31 % 97, mask=left % 97 == 5),
                "v": pa.array(rng.integers(0, 1000, num_rows), mask=left % 13 == 1),
                "d": pa.array(rng.random(num_rows) * 100 - 50),
                "p": pa.array(
                    [None if key % 19 == 2 else [key % 5, None, key % 31][: key % 4] for key in left.tolist()]
                ),
            }
        ),
        "r": pa.table(
            {
                "k": pa.array(right * 7, mask=right % 60 == 7),
                "s": pa.array([None if key % 71 == 5 else f"name {key:07}" for key in right]),
                "m": pa.array(right * 17 % 97),
                "v": pa.array(rng.integers(0, 1000, len(right))),
            }
        ),
        "e": pa.table({"k": pa.array([], pa.int64()), "s": pa.array([], pa.string())}),
    }


def answers(data: Mapping[str, pa.Table], queries: Mapping[str, str]) -> dict[str, list[Row]]:
    """DuckDB's rows of each query, by name."""
    with duckdb.connect() as connection:
        for name, table in data.items():
            connection.register(name, table)
        return {name: connection.sql(sql).fetchall() for name, sql in queries.items()}


def scale_down() -> None:
    """Let operators work on parts, blocks and runs of a few kilobytes: the usual least sizes are more than all rows."""
    query_memory.MIN_PART_BYTES = 1 << 13
    query_memory.MIN_BLOCK_BYTES = 1 << 12
    sorted_runs.MIN_RUN_BLOCK_BYTES = 1 << 9
    sort.FEWEST_RUN_ROWS = 32


def filled(connection: Connection, data: Mapping[str, pa.Table]) -> Connection:
    """The connection, with tables of its own of these rows."""
    for name, table in data.items():
        connection.register("frame", table)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM frame")
        connection.unregister("frame")
    return connection


def left_behind(connection: Connection, memory: DeviceMemory) -> dict[str, int]:
    """What is held of both memories although no query runs; empty if nothing is."""
    host = connection.memory.host
    found = {
        "device bytes": memory.budget.used_bytes - memory.columns.used_bytes,
        "pinned bytes": memory.columns.used_bytes - memory.columns.reclaimable_bytes,
        "host bytes": host.used_bytes - sum(account.held_bytes for account in host._accounts),
        "queries": sum(account.running for account in host._accounts),
    }
    return {name: number for name, number in found.items() if number}
