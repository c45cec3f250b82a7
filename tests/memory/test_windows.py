"""Window functions over more rows than memory holds, in many partitions and in one, give DuckDB's rows."""

from __future__ import annotations

import decimal
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuql

NUM_ROWS = 24_000
LIMIT = "1500KB"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows with unique ``id``: ``few`` has partitions larger than the limit, ``many`` has small ones."""
    rng = np.random.default_rng(11)

    def nullable(values: Any, kind: pa.DataType, share: float = 0.05) -> pa.Array:
        return pa.array(values, kind, mask=rng.random(NUM_ROWS) < share)

    columns = {
        "id": pa.array(rng.permutation(NUM_ROWS), pa.int64()),
        "few": nullable(np.where(rng.random(NUM_ROWS) < 0.9, 7, rng.integers(0, 3, NUM_ROWS)), pa.int32()),
        "many": nullable(rng.integers(0, 3_000, NUM_ROWS), pa.int32()),
        "tied": nullable(rng.integers(0, 40, NUM_ROWS), pa.int32()),
        "whole": nullable(rng.integers(-(10**6), 10**6, NUM_ROWS), pa.int64()),
        "double": nullable(rng.integers(0, 1_000, NUM_ROWS) / 8, pa.float64()),
        "text": nullable([f"text {n % 997} of row" for n in rng.integers(0, 10**6, NUM_ROWS)], pa.string()),
        "wide": nullable(
            [decimal.Decimal(int(n) * 10**20).scaleb(-2) for n in rng.integers(-500, 500, NUM_ROWS)],
            pa.decimal128(38, 2),
        ),
        "flag": nullable(rng.random(NUM_ROWS) < 0.3, pa.bool_()),
    }
    path = tmp_path_factory.mktemp("windows") / "rows.parquet"
    pq.write_table(pa.table(columns), path, row_group_size=2_000)
    return path


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[gpuql.Connection]:
    with gpuql.connect(
        device="cpu", threads=2, memory_limit=LIMIT, temp_directory=str(tmp_path), tier="interpreted"
    ) as connection:
        yield connection
        assert connection.memory.host.available_bytes == connection.memory.host.limit_bytes
        assert connection.memory.space.used_bytes == 0


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9) or (one != one and other != other)
    return bool(one == other)


def check(connection: gpuql.Connection, path: Path, calls: list[str]) -> None:
    """The calls, one query for all of them, whose rows are compared in the order of ``id``."""
    names = [f"v{number}" for number in range(len(calls))]
    inner = ", ".join(f"{call} AS {name}" for call, name in zip(calls, names, strict=True))
    query = f"SELECT * FROM (SELECT id, {inner} FROM '{path}') ORDER BY id"
    result = connection.sql(query).collect()
    expected = duckdb.sql(query).fetchall()
    rows = result.fetchall()
    assert len(rows) == len(expected)
    for row, wanted in zip(rows, expected, strict=True):
        assert all(map(same, row, wanted)), (calls, row, wanted)
    assert result.metrics.memory.spilled_bytes > 0


PARTITIONS = ["PARTITION BY few ", "PARTITION BY many ", ""]
CALLS = [
    ["row_number() OVER ({}ORDER BY id)", "ntile(7) OVER ({}ORDER BY id)"],
    [
        "rank() OVER ({}ORDER BY tied)",
        "dense_rank() OVER ({}ORDER BY tied)",
        "percent_rank() OVER ({}ORDER BY tied)",
        "cume_dist() OVER ({}ORDER BY tied)",
    ],
    [
        "lag(text) OVER ({}ORDER BY id)",
        "lead(wide, 3000, 0) OVER ({}ORDER BY id)",
        "lag(whole, tied) OVER ({}ORDER BY id)",
    ],
    ["first_value(text) OVER ({}ORDER BY id)", "last_value(double) OVER ({}ORDER BY tied, id)"],
    ["nth_value(whole, 5000) OVER ({}ORDER BY id)", "first_value(text IGNORE NULLS) OVER ({}ORDER BY id)"],
    ["sum(whole) OVER ({}ORDER BY id)", "count(text) OVER ({}ORDER BY id)", "avg(wide) OVER ({}ORDER BY id)"],
    [
        "sum(whole) OVER ({}ORDER BY tied)",
        "min(whole) OVER ({}ORDER BY tied)",
        "max(text) OVER ({}ORDER BY tied)",
    ],
    ["sum(double) OVER ({}ORDER BY id)", "avg(double) FILTER (WHERE flag) OVER ({}ORDER BY id)"],
    ["var_pop(double) OVER ({}ORDER BY id)", "arg_max(id, double) OVER ({}ORDER BY id)"],
    [
        "sum(wide) OVER ({})",
        "max(text) OVER ({})",
        "count(DISTINCT tied) OVER ({})",
        "median(double) OVER ({})",
    ],
    [
        "sum(whole) OVER ({}ORDER BY id ROWS BETWEEN 5000 PRECEDING AND 5 PRECEDING)",
        "max(double) OVER ({}ORDER BY id ROWS BETWEEN 10 PRECEDING AND 4000 FOLLOWING)",
        "count(*) OVER ({}ORDER BY id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)",
        "bit_xor(tied) OVER ({}ORDER BY id ROWS BETWEEN id % 3 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW)",
    ],
    [
        "sum(whole) OVER ({}ORDER BY tied RANGE BETWEEN 2 PRECEDING AND 1 FOLLOWING)",
        "count(*) OVER ({}ORDER BY tied RANGE BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)",
        "min(double) OVER ({}ORDER BY tied GROUPS BETWEEN 3 PRECEDING AND 1 PRECEDING)",
        "sum(whole) OVER ({}ORDER BY tied RANGE UNBOUNDED PRECEDING EXCLUDE GROUP)",
        "count(*) OVER ({}ORDER BY tied GROUPS BETWEEN CURRENT ROW AND 2 FOLLOWING EXCLUDE TIES)",
    ],
    [
        "sum(whole) OVER ({}ORDER BY double DESC NULLS FIRST RANGE BETWEEN 0.5 PRECEDING AND 2 FOLLOWING)",
        "count(*) OVER ({}ORDER BY whole DESC RANGE BETWEEN 1000 PRECEDING AND 1 PRECEDING)",
    ],
]


@pytest.mark.parametrize("partition", PARTITIONS, ids=["few", "many", "none"])
@pytest.mark.parametrize("calls", CALLS, ids=[calls[0].split("(")[0] for calls in CALLS])
def test_rows_are_right(connection: gpuql.Connection, path: Path, partition: str, calls: list[str]) -> None:
    check(connection, path, [call.format(partition) for call in calls])


def test_calls_of_different_windows(connection: gpuql.Connection, path: Path) -> None:
    check(
        connection,
        path,
        [
            "row_number() OVER (PARTITION BY few ORDER BY id)",
            "sum(whole) OVER (PARTITION BY few)",
            "rank() OVER (PARTITION BY few ORDER BY tied)",
            "lag(text) OVER (PARTITION BY many ORDER BY id)",
            "count(*) OVER ()",
        ],
    )


def test_best_of_each_group(connection: gpuql.Connection, path: Path) -> None:
    query = (
        f"SELECT id FROM '{path}' QUALIFY row_number() OVER (PARTITION BY few ORDER BY id) <= 2 ORDER BY id"
    )
    assert connection.sql(query).fetchall() == duckdb.sql(query).fetchall()
