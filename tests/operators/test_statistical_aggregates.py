"""Moments, modes, entropies and deviations: within a small memory limit, in parts, and against DuckDB."""

from __future__ import annotations

import math
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

import gpuql

QUERIES = [
    "select k, entropy(i), entropy(s), mad(x), mad(i), count(*) from t group by k order by k",
    "select entropy(i), mad(x), skewness(x), corr(y, x), fsum(x), kurtosis(y), sem(x) from t",
    "select k, corr(x, y), regr_slope(y, x), regr_r2(y, x), arg_min_null(i, x) from t group by k order by k",
    "select mode(m), mode(s) from t",
    "select k, mode(m), regr_count(y, x), favg(x), mad(x) from t group by k order by k",
]


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """150,000 rows of few groups and many values; one value of ``m`` and ``s`` is the most frequent in each group."""
    generator = np.random.default_rng(7)
    rows = 150_000
    numbers = generator.integers(0, 40_000, rows)
    common = generator.random(rows) < 0.05
    return pa.table(
        {
            "k": generator.integers(0, 4, rows),
            "i": numbers,
            "m": np.where(common, 77, numbers),
            "x": generator.normal(size=rows),
            "y": generator.normal(size=rows),
            "s": [
                "common" if c else f"value {n}"
                for c, n in zip(common.tolist(), numbers.tolist(), strict=True)
            ],
        }
    )


def rows_match(got: list[Any], expected: list[Any]) -> bool:
    return len(got) == len(expected) and all(
        a == b or (isinstance(a, float) and math.isclose(a, b, rel_tol=1e-8, abs_tol=1e-9))
        for one, other in zip(got, expected, strict=True)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("memory_limit", ["16MB", "2GB"])
def test_as_duckdb(query: str, memory_limit: str, table: pa.Table) -> None:
    with duckdb.connect() as reference:
        reference.register("t", table)
        expected = reference.execute(query).fetchall()
    with gpuql.connect(device="cpu", memory_limit=memory_limit, threads=2) as connection:
        connection.register("t", table)
        assert rows_match(connection.sql(query).fetchall(), expected)
