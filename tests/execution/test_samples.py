"""Samples: which rows a seed chooses."""

from __future__ import annotations

import gpuql

QUERY = "SELECT i FROM t USING SAMPLE {sample} {seed}"


def rows(connection: gpuql.Connection, sample: str, seed: str = "") -> set[int]:
    return {row[0] for row in connection.execute(QUERY.format(sample=sample, seed=seed)).fetchall()}


def test_a_seed_chooses_the_same_rows_with_any_number_of_threads_and_size_of_batches() -> None:
    found = []
    for settings in ({"threads": 1}, {"threads": 2, "batch_rows": 1000}, {"memory_limit": "4MB"}):
        with gpuql.connect(device="cpu", **settings) as connection:
            connection.execute("CREATE TABLE t AS SELECT range AS i FROM range(100000)")
            found.append(
                [
                    rows(connection, "bernoulli(3%)", "REPEATABLE (7)"),
                    rows(connection, "system(20%)", "REPEATABLE (7)"),
                    rows(connection, "reservoir(50 ROWS)", "REPEATABLE (7)"),
                    rows(connection, "reservoir(5%)", "REPEATABLE (7)"),
                ]
            )
    assert found[0] == found[1] == found[2]
    bernoulli, system, reservoir, share = found[0]
    assert 2_700 < len(bernoulli) < 3_300
    assert 0 < len(system) < 50_000
    assert len(reservoir) == 50
    assert len(share) == 5_000


def test_without_a_seed_each_run_chooses_anew() -> None:
    with gpuql.connect(device="cpu") as connection:
        connection.execute("CREATE TABLE t AS SELECT range AS i FROM range(10000)")
        assert rows(connection, "100 ROWS") != rows(connection, "100 ROWS")
        assert rows(connection, "bernoulli(5%)") != rows(connection, "bernoulli(5%)")
        first = rows(connection, "100 ROWS", "REPEATABLE (1)")
        assert first != rows(connection, "100 ROWS", "REPEATABLE (2)")
        assert first == rows(connection, "100 ROWS", "REPEATABLE (1)")
