"""Joins in one pipeline become loops within each other, of which Python allows 20."""

import gpuql


def test_thirty_joins_without_keys_run_interpreted() -> None:
    with gpuql.connect(device="cpu", tier="compiled") as connection:
        nested = "SELECT " + "(SELECT " * 30 + "1" + ")" * 30
        assert connection.execute(nested).fetchall() == [(1,)]


def test_thirty_joins_that_multiply_rows() -> None:
    pairs = "(SELECT a % 10 AS k, a AS v FROM range(20) r(a))"
    joins = " ".join(f"JOIN {pairs} t{i} ON t{i}.k = f.a AND t{i}.v < 10" for i in range(30))
    with gpuql.connect(device="cpu", tier="compiled") as connection:
        rows = connection.execute(f"SELECT count(*) FROM range(10) f(a) {joins}").fetchall()
    assert rows == [(10,)]
