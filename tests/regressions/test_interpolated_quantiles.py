"""Quantiles between two rows of exact types are rounded as DuckDB does it."""

from __future__ import annotations

import duckdb
import pytest

import gpuql


@pytest.mark.parametrize("dtype", ["DECIMAL(9,2)", "DECIMAL(18,2)", "DECIMAL(30,2)", "TIMESTAMP", "BIGINT"])
@pytest.mark.parametrize("fraction", ["0.5", "0.3", "0.25"])
def test_quantile_between_rows(dtype: str, fraction: str) -> None:
    value = "make_timestamp(v::BIGINT)" if dtype == "TIMESTAMP" else f"(v / 100.0)::{dtype}"
    pairs = [(0, 1), (1, 2), (0, 3), (-1, 0), (-2, -1), (-3, 0), (-5, 0), (2, 5), (-700, -675), (675, 700)]
    values = ", ".join(f"({group}, {v})" for group, pair in enumerate(pairs) for v in pair)
    oracle = duckdb.connect()
    oracle.execute(f"CREATE TABLE t AS SELECT g, {value} AS x FROM (VALUES {values}) t(g, v)")
    engine = gpuql.connect(device="cpu", tier="interpreted", threads=1)
    engine.register("t", oracle.sql("SELECT * FROM t").to_arrow_table())
    query = f"SELECT g, quantile_cont(x, {fraction}) FROM t GROUP BY g ORDER BY g"
    assert engine.execute(query).fetchall() == oracle.execute(query).fetchall()
