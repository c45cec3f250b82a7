"""What two keys of grouping sets mean must be told apart, or is refused."""

from __future__ import annotations

import pytest

import gpuql


@pytest.mark.parametrize(
    "query",
    [
        "SELECT n FROM t GROUP BY ROLLUP (trunc(n), n)",
        "SELECT n FROM t GROUP BY CUBE (n, round(n))",
        "SELECT trunc(n), n FROM t GROUP BY ROLLUP (1, 2)",
        "SELECT trunc(n) AS m FROM t GROUP BY ROLLUP (m, n)",
    ],
)
def test_a_column_beside_another_form_of_it(query: str) -> None:
    with gpuql.connect(device="cpu") as connection:
        connection.execute("CREATE TABLE t (n INTEGER)")
        with pytest.raises(
            gpuql.NotSupportedError, match="keys of grouping sets that both are column n"
        ) as caught:
            connection.execute(query)
    assert caught.value.position is not None


@pytest.mark.parametrize("keys", ["n, t.n", "trunc(n)", "(n), N", "trunc(n), trunc(t.n)"])
def test_the_same_form_is_one_key(keys: str) -> None:
    with gpuql.connect(device="cpu") as connection:
        connection.execute("CREATE TABLE t AS SELECT i::INTEGER AS n FROM range(2) r(i)")
        rows = connection.execute(
            f"SELECT DISTINCT trunc(n) AS m FROM t GROUP BY ROLLUP ({keys}) ORDER BY m"
        ).fetchall()
    assert rows == [(0,), (1,), (None,)]
