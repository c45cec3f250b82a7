"""Windows of ranks that a filter limits leave rows out before they are sorted, and none that is asked for."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import gpuql
from gpuql.operators import window

QUERIES = [
    "SELECT id FROM t QUALIFY row_number() OVER (PARTITION BY g ORDER BY o, id) <= 3",
    "SELECT id, s FROM t QUALIFY rank() OVER (PARTITION BY g ORDER BY o DESC NULLS FIRST) < 2",
    "SELECT id FROM t QUALIFY dense_rank() OVER (ORDER BY o) = 2",
    "SELECT id FROM t QUALIFY 2 >= row_number() OVER (PARTITION BY g, s ORDER BY id) AND g > 3",
    "SELECT id FROM t QUALIFY row_number() OVER (PARTITION BY g ORDER BY id) <= 0",
    "SELECT id, r, k FROM (SELECT id, row_number() OVER (PARTITION BY g ORDER BY o, id) AS r, "
    "rank() OVER (PARTITION BY g ORDER BY o, id) AS k FROM t) WHERE r <= 7 AND k <= 5",
    "SELECT id FROM t QUALIFY row_number() OVER (PARTITION BY g ORDER BY o, id) <= 3 AND sum(id) OVER () > 0",
]


@pytest.mark.parametrize("batch_rows", [50, 1 << 17])
@pytest.mark.parametrize("query", QUERIES)
def test_rows_are_duckdbs(query: str, batch_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "WINDOW_LIMIT_ROWS", 200)
    generator = np.random.default_rng(2)
    num_rows = 3_000
    orders = pa.array(generator.integers(0, 99, num_rows), mask=generator.random(num_rows) < 0.05)
    texts = pa.array([f"text {n}" for n in generator.integers(0, 7, num_rows)])
    t = pa.table(
        {
            "id": generator.permutation(num_rows),
            "g": generator.integers(0, 9, num_rows),
            "o": orders,
            "s": texts,
        }
    )
    with gpuql.connect(device="cpu", threads=2, tier="interpreted", batch_rows=batch_rows) as connection:
        connection.register("t", t)
        found = connection.sql(query).fetchall()
    assert sorted(found) == sorted(duckdb.sql(query).fetchall())
    assert t.num_rows == num_rows


def test_explain_shows_the_limit() -> None:
    with gpuql.connect(device="cpu") as connection:
        connection.execute("CREATE TABLE t AS SELECT * FROM (VALUES (1, 2)) AS v(a, b)")
        query = "SELECT a FROM t QUALIFY row_number() OVER (PARTITION BY a ORDER BY b) < 4"
        text = "\n".join(str(row[0]) for row in connection.sql(f"EXPLAIN {query}").fetchall())
    assert "limit 3" in text
