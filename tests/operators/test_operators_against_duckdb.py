"""Joins of every kind, aggregates, sorts and limits, interpreted, against DuckDB on small and middling tables."""

from __future__ import annotations

import datetime
import math
from typing import Any

import duckdb
import pytest

import gpuql

SIZES = (0, 1, 31, 32, 33, 65, 5000)

TABLE = """
    SELECT i AS id,
           CASE WHEN i % 7 <> 3 THEN i % 5 END AS k,
           CASE WHEN i % 11 <> 0 THEN (i * 7919 % 1000003)::BIGINT END AS sparse,
           CASE WHEN i % 3 <> 1 THEN 'name ' || (i % 13) END AS s,
           'text ' || (i * 31 % 997) AS unique_text,
           CASE WHEN i % 5 <> 2 THEN (i * 37 % 101)::DECIMAL(9, 2) / 4 END::DECIMAL(9, 2) AS amount,
           CASE WHEN i % 9 = 0 THEN 'nan'::DOUBLE WHEN i % 4 = 0 THEN NULL WHEN i % 10 = 1 THEN -0.0
                ELSE (i % 17) / 8 END AS f,
           DATE '2020-01-01' + (i % 40)::INTEGER AS d,
           (i % 2 = 0) AS b,
           CASE WHEN i % 6 = 5 THEN 17014118346046923173168730371588::HUGEINT + i % 3 ELSE (i % 3)::HUGEINT END AS huge
    FROM range({size}) r(i)
"""

AGGREGATES = """
count(*) | count(s) | sum(id) | sum(amount) | sum(f) | avg(amount) | avg(id) | avg(f) | avg(d) | sum(huge) | avg(huge)
min(id) | max(amount) | min(s) | max(unique_text) | min(f) | max(f) | min(d) | max(d) | min(b) | max(huge) | min(huge)
bool_and(b) | bool_or(b) | var_samp(id) | var_pop(amount) | stddev_samp(amount) | stddev_pop(id)
median(id) | median(amount) | quantile_cont(id, 0.3) | quantile_disc(amount, 0.7) | median(d) | median(s) | median(f)
first(id ORDER BY id) | last(s ORDER BY id) | any_value(amount ORDER BY id) | arg_min(s, id) | arg_max(id, sparse)
string_agg(s, '|' ORDER BY id) | string_agg(DISTINCT s, ',' ORDER BY s) | count(DISTINCT k) | count(DISTINCT s)
sum(DISTINCT id % 10) | avg(DISTINCT amount) | count(DISTINCT f) | bit_and(id) | bit_or(id) | bit_xor(id) | product(f)
sum(id) FILTER (WHERE b) | count(*) FILTER (WHERE id > 10) | count(DISTINCT k) FILTER (WHERE b) | count_if(b)
sum(sparse * 1000000000) | sum(amount * amount) | max(sparse) | min(sparse) | sum(b::INTEGER) | count(DISTINCT huge)
"""

KEYS = (
    "",
    "k",
    "s",
    "k, s",
    "f",
    "unique_text",
    "sparse",
    "d, b",
    "id * 7 % 5003",
    "huge, k",
    "id, unique_text, sparse, f, huge",
)

JOINS = (
    "SELECT a.id, b.id FROM t a JOIN u b ON a.k = b.k AND a.s = b.s",
    "SELECT a.id, b.id FROM t a LEFT JOIN u b ON a.sparse = b.sparse",
    "SELECT a.id, b.id FROM t a RIGHT JOIN u b ON a.sparse = b.sparse AND a.id > b.k",
    "SELECT a.id, b.id FROM t a FULL JOIN u b ON a.unique_text = b.unique_text",
    "SELECT a.id, b.id FROM t a FULL JOIN u b ON a.id = b.id AND b.b",
    "SELECT count(*), sum(a.id), sum(b.id) FROM t a JOIN u b ON a.f = b.f AND a.d = b.d",
    "SELECT count(*), sum(a.id), sum(b.id) FROM t a JOIN u b ON a.huge = b.huge AND a.k = b.k",
    "SELECT a.id, b.id FROM t a JOIN u b ON a.sparse = b.id AND a.k = b.k AND a.s = b.s AND a.d = b.d",
    "SELECT count(*) FROM (SELECT * FROM t WHERE id < 70) a CROSS JOIN (SELECT * FROM u WHERE id < 70) b",
    "SELECT count(*) FROM (SELECT * FROM t WHERE id < 70) a JOIN (SELECT * FROM u WHERE id < 70) b ON a.id < b.k",
    "SELECT id FROM t WHERE sparse IN (SELECT sparse FROM u)",
    "SELECT id FROM t WHERE sparse NOT IN (SELECT sparse FROM u WHERE sparse IS NOT NULL)",
    "SELECT id FROM t WHERE sparse NOT IN (SELECT sparse FROM u)",
    "SELECT id, sparse IN (SELECT sparse FROM u) FROM t",
    "SELECT id, k IN (SELECT k FROM u WHERE u.id < t.id AND u.id < 60) FROM t WHERE id < 70",
    "SELECT id, (k, s) IN (SELECT k, s FROM u WHERE id < 60) FROM t WHERE id < 70",
    "SELECT id FROM t WHERE (k, s) NOT IN (SELECT k, s FROM u WHERE id < 40) AND id < 70",
    "SELECT id FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND u.id > t.id)",
    "SELECT id FROM t WHERE NOT EXISTS (SELECT 1 FROM u WHERE u.s = t.s AND u.id <> t.id)",
    "SELECT id, (SELECT max(u.id) FROM u WHERE u.k = t.k) FROM t",
    "SELECT k, s FROM t INTERSECT SELECT k, s FROM u",
    "SELECT k, s FROM t EXCEPT SELECT k, s FROM u WHERE id % 2 = 0",
    "SELECT k FROM t EXCEPT ALL SELECT k FROM u WHERE id % 2 = 0",
    "SELECT k FROM t INTERSECT ALL SELECT k FROM u WHERE id % 2 = 0",
    "SELECT count(*) FROM t a JOIN u b ON a.k IS NOT DISTINCT FROM b.k AND a.s IS NOT DISTINCT FROM b.s",
)

SORTS = (
    "id DESC",
    "k, id",
    "k DESC NULLS FIRST, id",
    "s, id",
    "s DESC, id DESC",
    "unique_text, id",
    "f, id",
    "f DESC NULLS FIRST, id",
    "huge, id",
    "amount NULLS FIRST, b, id",
    "d DESC, s NULLS FIRST, id",
    "sparse DESC, unique_text, id",
)


@pytest.fixture(scope="module", params=SIZES)
def engines(request: pytest.FixtureRequest) -> Any:
    oracle = duckdb.connect()
    oracle.execute(f"CREATE TABLE t AS {TABLE.format(size=request.param)}")
    oracle.execute(f"CREATE TABLE u AS {TABLE.format(size=request.param // 2 + 1)}")
    engine = gpuql.connect(device="cpu", tier="interpreted", threads=2)
    for name in ("t", "u"):
        engine.register(name, oracle.sql(f"SELECT * FROM {name}").to_arrow_table())
    return engine, oracle


def plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    return value


def close(left: Any, right: Any) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12)
    return bool(left == right)


def check(engines: Any, query: str, *, ordered: bool = False) -> None:
    engine, oracle = engines
    got = [tuple(plain(value) for value in row) for row in engine.sql(query).fetchall()]
    expected = [tuple(plain(value) for value in row) for row in oracle.execute(query).fetchall()]
    if not ordered:
        got, expected = sorted(got, key=repr), sorted(expected, key=repr)
    assert len(got) == len(expected)
    for mine, theirs in zip(got, expected, strict=True):
        assert all(close(a, b) for a, b in zip(mine, theirs, strict=True)), f"{mine}\n{theirs}"


@pytest.mark.parametrize("query", JOINS)
def test_join(engines: Any, query: str) -> None:
    check(engines, query)


@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("aggregates", AGGREGATES.strip().splitlines())
def test_aggregate(engines: Any, keys: str, aggregates: str) -> None:
    listed = ", ".join(aggregates.split(" | "))
    if not keys:
        check(engines, f"SELECT {listed} FROM t")
        return
    group = ", ".join(f"({key})" for key in keys.split(", "))
    check(engines, f"SELECT {keys}, {listed} FROM t GROUP BY {group}")


@pytest.mark.parametrize("order", SORTS)
@pytest.mark.parametrize("limit", ["", " LIMIT 10", " LIMIT 7 OFFSET 20", " LIMIT 0"])
def test_sort(engines: Any, order: str, limit: str) -> None:
    check(engines, f"SELECT id, unique_text FROM t ORDER BY {order}{limit}", ordered=True)


def test_limit_without_order(engines: Any) -> None:
    engine, _ = engines
    assert len(engine.sql("SELECT id FROM t LIMIT 5").fetchall()) == min(
        5, len(engine.sql("SELECT id FROM t").fetchall())
    )


@pytest.mark.parametrize("keys", ["k", "s, k", "f", "unique_text, sparse"])
def test_distinct(engines: Any, keys: str) -> None:
    check(engines, f"SELECT DISTINCT {keys} FROM t")
