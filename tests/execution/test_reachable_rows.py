"""Joins by a column that a table is sorted by: only rows that they can match are read, and the answer is the same."""

from __future__ import annotations

import re

import pytest

import gpuql

ROWS = 40_000
#: How the sorted column is made of the row number: plain, runs, offsets from a reference, negative ones, a date.
SORTED = {
    "plain": "i * 100003",
    "runs": "i // 500",
    "offsets": "2450815 + i // 60 * 2",
    "negative": "i - 20000",
    "date": "date '2001-01-01' + (i // 30)::integer",
}
#: Build sides: a range, its ends, none at all, NULLs among the keys and some beyond the last row.
BUILDS = (
    "n between 300 and 320",
    "n in (0, 39999)",
    "false",
    "n > 38000 or n is null",
)


@pytest.fixture(scope="module", params=SORTED)
def connection(request: pytest.FixtureRequest) -> gpuql.Connection:
    connection = gpuql.connect(device="cpu", threads=2, tier="compiled")
    made = SORTED[request.param]
    connection.execute(
        f"create table facts as select {made} as k, i as v, i % 7 as g, i % 50 as h from range({ROWS}) r(i)"
    )
    connection.execute(
        f"""create table keys as select case when n % 97 = 5 then null else {made.replace("i", "n")} end as k,
            n, n % 3 as m from range(0, 45000, 3) r(n) union all select null, null, null"""
        if request.param != "date"
        else """create table keys as select date '2001-01-01' + (n // 30)::integer as k, n, n % 3 as m
            from range(0, 45000, 7) r(n) union all select null, null, null"""
    )
    return connection


def _both(connection: gpuql.Connection, query: str) -> None:
    answers = []
    for tier in ("compiled", "interpreted"):
        connection.execute(f"set tier = '{tier}'")
        answers.append(sorted(map(str, connection.sql(query).fetchall())))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize("join", ["join", "left join", "right join", "full join", "semi join", "anti join"])
def test_the_same_rows(connection: gpuql.Connection, join: str, build: str) -> None:
    keys = f"(select distinct k from keys where {build})"
    _both(connection, f"select g, count(*), sum(v) from facts f {join} {keys} b on f.k = b.k group by g")


@pytest.mark.parametrize("build", BUILDS[:3])
def test_rows_and_groups_of_the_sorted_column(connection: gpuql.Connection, build: str) -> None:
    keys = f"(select distinct k from keys where {build}) b"
    _both(connection, f"select f.k, v, h from facts f join {keys} on f.k = b.k where h < 40 and v > 10")
    _both(connection, f"select f.k, sum(v) from facts f join {keys} on f.k = b.k group by f.k")
    _both(connection, f"select v * 1000003 as w, sum(h) from facts f join {keys} on f.k = b.k group by w")


def test_few_rows_are_read() -> None:
    connection = gpuql.connect(device="cpu", tier="compiled")
    connection.execute("create table facts as select i // 10 as k, i as v from range(100000) r(i)")
    connection.execute("create table keys as select n as k, n % 100 as m from range(10000) r(n)")
    query = "select sum(v) from facts join keys using (k) where keys.k between 500 and 509"
    assert connection.sql(query).fetchall() == [(sum(range(5000, 5100)),)]
    text = connection.sql("select sum(v) from facts join (select k from keys where m + k = 1010) using (k)")
    read = re.findall(r"rows in ([\d,]+),", text.explain(analyze=True))
    assert read == ["10,000", "510", "1"]  # keys 955 and 1005, and ten rows each between them
