"""Rows of one batch that reach an aggregation in several steps, some of them split already, keep their order.

Under a limit their places started anew after each split: a value was counted as distinct twice, and first() and last()
took rows from the middle.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

import gpuql
from gpuql.memory import query_memory

ROWS = 6_000
SOURCE = f"SELECT r::SMALLINT AS id, (r * 7919 % 3)::TINYINT AS few FROM range({ROWS}) t(r)"
TEXT = "'some longer text of row ' || id"
KEY = "nullif(few, few)"
QUERIES = (
    f"SELECT {KEY}, count(DISTINCT few), first({TEXT}), last({TEXT}), first(id) FROM {{}} GROUP BY {KEY}",
    f"SELECT {KEY}, count(DISTINCT few), sum(DISTINCT few), arg_max({TEXT}, few), last(id) FROM {{}} GROUP BY {KEY}",
    f"SELECT few, count(DISTINCT id % 7), first({TEXT}), last(id), count({TEXT}) FROM {{}} GROUP BY few",
    f"SELECT id % 401, count(DISTINCT few), first(id), last({TEXT}), median(id) FROM {{}} GROUP BY id % 401",
)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("threads", [1, 2])
def test_places(query: str, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "rows.parquet"
    with duckdb.connect(config={"threads": 1}) as oracle:
        oracle.execute(f"COPY ({SOURCE}) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)")
        sql = query.format(f"'{path}'")
        expected = oracle.sql(sql).fetchall()
    monkeypatch.setattr(query_memory, "MIN_PART_BYTES", 32 << 10)
    with gpuql.connect(
        device="cpu", tier="interpreted", threads=threads, memory_limit="400KB", temp_directory=str(tmp_path)
    ) as connection:
        found = connection.sql(sql).collect()
        assert sorted(map(repr, found.fetchall())) == sorted(map(repr, expected))
        assert found.metrics.memory.spilled_bytes
