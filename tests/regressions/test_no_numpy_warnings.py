"""NaN and infinity are values: no NumPy warning reaches the user, whatever thread or tier computes."""

from __future__ import annotations

import math
import warnings

import pytest

import gpuql


@pytest.mark.parametrize("tier", ["interpreted", "compiled"])
def test_sums_of_opposite_infinities(tier: str) -> None:
    connection = gpuql.connect(device="cpu", tier=tier, threads=2)
    connection.execute(
        "CREATE TABLE t AS SELECT i % 3 AS k, CASE WHEN i = 0 THEN 'inf'::DOUBLE WHEN i = 99999 THEN '-inf'::DOUBLE "
        "ELSE i / 4 END AS x FROM range(100000) r(i)"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = connection.execute(
            "SELECT k, sum(x), isnan(max(x - x)) FROM t GROUP BY k ORDER BY k"
        ).fetchall()
        assert math.isnan(found[0][1])
        assert found[0][2]
        assert found[1:] == [(k, sum(range(k, 100000, 3)) / 4, False) for k in (1, 2)]
        connection.execute("SELECT count(*) FROM t WHERE x * 1e300 * 1e300 > 0 AND x / 0 > 1").fetchall()
