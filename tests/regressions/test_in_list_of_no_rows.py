"""An IN list with NULL over no rows: NULL, a constant of one row, once made the result one row long."""

from __future__ import annotations

import pytest

import gpuql


@pytest.mark.parametrize("tier", ["interpreted", "compiled"])
def test_in_list_with_null_over_no_rows(tier: str) -> None:
    connection = gpuql.connect(device="cpu", tier=tier, threads=1)
    connection.execute("CREATE TABLE t AS SELECT 1 AS a WHERE false")
    assert (
        connection.execute("SELECT a + 1 IN (1, NULL) FROM t WHERE a IN (2, NULL) OR a > 3").fetchall() == []
    )
