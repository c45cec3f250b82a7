"""NOT IN with a correlated subquery under OR, compiled: a NULL in another group once made the result NULL."""

from __future__ import annotations

import gpuql


def test_null_in_another_group_does_not_matter() -> None:
    connection = gpuql.connect(device="cpu", tier="compiled", threads=1)
    connection.execute("CREATE TABLE a AS SELECT * FROM (VALUES (1, 5), (2, 5), (3, 5), (1, NULL)) t(k, x)")
    connection.execute("CREATE TABLE b AS SELECT * FROM (VALUES (1, 6), (2, NULL), (4, 5)) t(k, x)")
    query = "SELECT k, x FROM a WHERE x NOT IN (SELECT x FROM b WHERE b.k = a.k) OR k > 9 ORDER BY k"
    assert connection.execute(query).fetchall() == [(1, 5), (3, 5)]
