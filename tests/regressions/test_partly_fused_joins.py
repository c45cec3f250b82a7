"""A join whose residual has no generated form, after one that has: it once left its columns to the generated code."""

from __future__ import annotations

import gpuql


def test_filter_over_strings_of_two_tables_after_joins() -> None:
    connection = gpuql.connect(device="cpu", tier="compiled", threads=1)
    connection.execute("CREATE TABLE a AS SELECT i % 7 AS k, 'x' || (i % 3) AS s FROM range(50) r(i)")
    connection.execute("CREATE TABLE b AS SELECT i AS k, 'y' || (i % 2) AS s FROM range(5) r(i)")
    query = (
        "SELECT count(*), count(b.s), count(c.s) FROM a JOIN b ON a.k = b.k LEFT JOIN b c ON c.k = b.k + 1 "
        "WHERE coalesce(c.s, a.s) NOT LIKE 'y1%'"
    )
    assert connection.execute(query).fetchall() == [(21, 21, 14)]
