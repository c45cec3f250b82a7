"""mode(x ORDER BY y) takes the first of equally frequent values, also of groups too large for memory."""

from __future__ import annotations

import pytest

import gpuql

ROWS = 60_000
#: Each of the numbers below 20,000 occurs three times: every choice is a tie.
SETUP = f"CREATE TABLE t AS SELECT i, i * 7919 % 20000 AS v FROM range({ROWS}) r(i)"


@pytest.mark.parametrize("memory_limit", ["4MB", "1GB"])
def test_ties_are_decided_by_the_order(memory_limit: str) -> None:
    with gpuql.connect(device="cpu", memory_limit=memory_limit, threads=1) as connection:
        connection.execute(SETUP)
        found = connection.execute(
            "SELECT mode(v ORDER BY v), mode(v ORDER BY v DESC), mode(v ORDER BY i DESC), mode(v ORDER BY i) FROM t"
        ).fetchall()
    assert found == [(0, 19_999, (ROWS - 1) * 7919 % 20_000, 0)]
