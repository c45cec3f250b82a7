"""Functions of lists, UNNEST and aggregates of several values within a small limit of memory."""

from __future__ import annotations

import pytest

import gpuql

NESTED = """
    CREATE TABLE n AS SELECT i AS id, [i, i + 1, i * 2] AS l, [{'a': i, 'b': 'text' || i}, {'a': 1, 'b': 'x'}] AS s
    FROM range(20000) r(i)
"""
FLAT = "CREATE TABLE t AS SELECT i AS id, i % 1000 AS g, (i * 7919) % 50021 AS v FROM range(50021) r(i)"


@pytest.mark.parametrize(
    ("setup", "query", "expected"),
    [
        (NESTED, "SELECT count(*), sum(x.a) FROM (SELECT unnest(s) AS x FROM n)", (40_000, 200_010_000)),
        (NESTED, "SELECT sum(len(list_sort(list_concat(l, l)))) FROM n", (120_000,)),
        (NESTED, "SELECT count(*) FROM n, json_each(to_json(l))", (60_000,)),
        (
            FLAT,
            "SELECT count(*), sum(m) FROM (SELECT v, mode(g) AS m FROM t GROUP BY v)",
            (50_021, 24_975_210),
        ),
        (FLAT, "SELECT max(v, 3), min(v, 2) FROM t", ([50_020, 50_019, 50_018], [0, 1])),
        (FLAT, "SELECT count(m) FROM (SELECT v, arg_max(id, g, 3) AS m FROM t GROUP BY v)", (50_021,)),
    ],
)
def test_within_four_megabytes(setup: str, query: str, expected: tuple[object, ...]) -> None:
    with gpuql.connect(device="cpu") as free:
        free.execute(setup)
        whole = free.execute(query).fetchone()
    with gpuql.connect(device="cpu", memory_limit="4MB", threads=2) as connection:
        connection.execute(setup)
        assert connection.execute(query).fetchone() == whole
        assert connection.memory.host.used_bytes <= 4_000_000
    assert whole == expected
