"""Two columns of one table joined with the same column of another: the optimizer once applied only one equality."""

from __future__ import annotations

import pytest

import gpuql


@pytest.mark.parametrize("optimizer", [True, False])
@pytest.mark.parametrize("tier", ["interpreted", "compiled"])
def test_both_equalities_hold(optimizer: bool, tier: str) -> None:
    connection = gpuql.connect(device="cpu", tier=tier, optimizer=optimizer, threads=1, verify_plans=True)
    connection.execute(
        "CREATE TABLE a AS SELECT i AS k, i % 2 AS j, CASE WHEN i < 0 THEN i END AS n FROM range(10) r(i)"
    )
    connection.execute("CREATE TABLE b AS SELECT i AS k, i % 3 AS m FROM range(5) r(i)")
    for query, expected in (
        ("SELECT a.k FROM a JOIN b ON a.k = b.k AND a.j = b.k ORDER BY 1", [(0,), (1,)]),
        ("SELECT a.k FROM a JOIN b ON a.k = b.k AND a.n = b.k", []),
        ("SELECT a.k, c.m FROM a, b, b c WHERE a.k = b.k AND b.m = a.k AND c.k = a.j AND c.m = a.k ORDER BY 1",
         [(0, 0), (1, 1)]),
        ("SELECT a.k FROM a JOIN b ON a.k = b.k AND a.j = b.k AND b.m = a.k AND b.m = a.j ORDER BY 1", [(0,), (1,)]),
    ):  # fmt: skip
        assert connection.execute(query).fetchall() == expected, query
