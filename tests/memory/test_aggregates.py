"""Aggregations of more groups, or larger groups, than memory has room for: DuckDB's rows, and nothing left behind."""

from __future__ import annotations

import datetime
import gc
import math
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

import gpuql
from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.columnar.strings import string_array
from gpuql.memory.budget import Budget
from gpuql.memory.query_memory import host_memory
from gpuql.memory.row_store import RowStore
from gpuql.memory.spill_space import SpillSpace
from gpuql.operators.collected_rows import CollectedRows
from gpuql.operators.contract import RunContext
from gpuql.operators.partitioned_groups import GroupRows
from gpuql_kernels.families import cpu_families
from gpuql_planner.physical.nodes import AggregateSink
from gpuql_planner.types import VARCHAR

ROWS = 100_000

TABLE = f"""
    SELECT i AS id,
           (i * 7919 % 1000003)::BIGINT AS k,
           CASE WHEN i % 7 <> 3 THEN i % 5 END AS few,
           CASE WHEN i % 11 <> 0 THEN 'key number ' || (i * 31 % 200003) END AS text_key,
           CASE WHEN i % 3 = 0 THEN 7 ELSE i END AS skewed,
           'name ' || (i % 13) AS s,
           CASE WHEN i % 5 <> 2 THEN (i * 37 % 1009)::DECIMAL(9, 2) / 4 END::DECIMAL(9, 2) AS amount,
           CASE WHEN i % 4 = 0 THEN NULL ELSE (i * 29 % 100019) / 8 END AS f,
           DATE '2020-01-01' + (i % 40)::INTEGER AS d,
           (i % 2 = 0) AS b,
           CASE WHEN i % 6 = 5 THEN 17014118346046923173168730371588::HUGEINT + i % 3 ELSE (i % 3)::HUGEINT END AS huge
    FROM range({ROWS}) r(i)
"""

#: Of as many groups as rows, or nearly.
MANY_GROUPS = (
    "SELECT k, count(*), sum(amount), avg(f), min(s), max(d) FROM t GROUP BY k",
    "SELECT text_key, count(*), sum(id), min(amount), max(huge), any_value(length(text_key)) FROM t GROUP BY text_key",
    "SELECT id, f, s, count(*), var_samp(id), bool_or(b), arg_max(s, amount) FROM t GROUP BY id, f, s",
    "SELECT skewed, count(*), sum(f), first(id ORDER BY id), count(DISTINCT s) FROM t GROUP BY skewed",
    "SELECT huge, k, sum(huge), bit_xor(id), count(*) FILTER (WHERE b) FROM t GROUP BY huge, k",
    "SELECT DISTINCT k, text_key FROM t",
    "SELECT count(*), sum(n), max(total) FROM (SELECT k, count(*) n, sum(amount) total FROM t GROUP BY k)",
    "SELECT text_key, string_agg(s, '|' ORDER BY id), median(f), count(DISTINCT d) FROM t GROUP BY text_key",
)

#: Of one or few groups, which need all of their rows.
LARGE_GROUPS = (
    "SELECT count(DISTINCT k), sum(DISTINCT few), count(DISTINCT text_key) FROM t",
    "SELECT count(DISTINCT k), count(*), sum(amount), avg(DISTINCT f), max(DISTINCT s) FROM t",
    "SELECT few, count(DISTINCT k), sum(id), count(DISTINCT text_key) FILTER (WHERE b) FROM t GROUP BY few",
    "SELECT median(k), quantile_cont(f, 0.3), quantile_disc(amount, 0.7), median(id), median(d) FROM t",
    "SELECT few, b, median(f), quantile_cont(amount, 0.9), quantile_disc(s, 0.5) FROM t GROUP BY few, b",
    "SELECT first(id ORDER BY f, id), last(s ORDER BY k), arg_min(s, k), count(*) FROM t",
    "SELECT median(DISTINCT amount), quantile_disc(DISTINCT f, 0.25), stddev_samp(DISTINCT amount) FROM t",
    "SELECT string_agg(s, '|' ORDER BY f NULLS FIRST, id), length(string_agg(s, '')) FROM t WHERE few = 1",
    "SELECT few, string_agg(left(s, 1), '' ORDER BY id), string_agg(DISTINCT s, '-' ORDER BY s) FROM t GROUP BY few",
    "SELECT skewed = 7, median(id), count(DISTINCT k) FROM t GROUP BY skewed = 7",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[tuple[Any, ...]]]]:
    path = tmp_path_factory.mktemp("aggregates") / "t.parquet"
    oracle = duckdb.connect()
    oracle.execute("SET preserve_insertion_order = true")
    oracle.execute(f"COPY ({TABLE}) TO '{path}' (ROW_GROUP_SIZE 40000)")
    oracle.execute(f"CREATE VIEW t AS SELECT * FROM '{path}'")
    return path, {query: rows(oracle.execute(query).fetchall()) for query in (*MANY_GROUPS, *LARGE_GROUPS)}


def rows(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted((tuple(plain(value) for value in row) for row in found), key=repr)


def plain(value: Any) -> Any:
    if isinstance(value, float):
        return "nan" if math.isnan(value) else float(f"{value:.9g}")
    return value.isoformat() if isinstance(value, datetime.datetime | datetime.date) else value


def same(mine: Any, theirs: Any) -> bool:
    if isinstance(mine, float) and isinstance(theirs, float):
        return math.isclose(mine, theirs, rel_tol=1e-7)
    return bool(mine == theirs)


@pytest.fixture(params=["interpreted", "compiled"])
def limited(request: pytest.FixtureRequest, data: Any, tmp_path: Path) -> Iterator[gpuql.Connection]:
    with gpuql.connect(
        device="cpu", threads=2, tier=request.param, memory_limit="3MB", temp_directory=str(tmp_path)
    ) as engine:
        engine.execute(f"CREATE VIEW t AS SELECT * FROM '{data[0]}'")
        yield engine


def check(engine: gpuql.Connection, query: str, data: Any) -> Any:
    result = engine.sql(query).collect()
    metrics = result.metrics
    found, expected = rows(result.fetchall()), data[1][query]
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        assert all(same(a, b) for a, b in zip(mine, theirs, strict=True)), f"{mine}\n{theirs}"
    if isinstance(result.batches, RowStore):
        result.batches.close()
    assert engine.memory.host.available_bytes == engine.memory.host.limit_bytes
    assert engine.memory.space.used_bytes == 0
    return metrics


@pytest.mark.parametrize("query", MANY_GROUPS)
def test_many_groups(limited: gpuql.Connection, query: str, data: Any) -> None:
    metrics = check(limited, query, data)
    assert metrics.memory.partitions > 1
    assert metrics.memory.spilled_bytes > 0
    assert metrics.memory.peak_bytes <= limited.memory.host.limit_bytes


@pytest.mark.parametrize("query", LARGE_GROUPS)
def test_large_groups(limited: gpuql.Connection, query: str, data: Any) -> None:
    metrics = check(limited, query, data)
    assert metrics.memory.peak_bytes <= limited.memory.host.limit_bytes


def test_a_text_longer_than_memory_is_refused(limited: gpuql.Connection) -> None:
    with pytest.raises(gpuql.OutOfMemoryError, match="string_agg needs more host memory than is left"):
        limited.sql("SELECT string_agg(text_key, ',' ORDER BY id) FROM t").collect()
    assert limited.memory.host.available_bytes == limited.memory.host.limit_bytes
    assert limited.memory.space.used_bytes == 0


@pytest.mark.parametrize("tier", ["interpreted", "compiled"])
def test_groups_of_a_table_in_memory(tier: str, data: Any, tmp_path: Path) -> None:
    """States of generated code that the budget refuses: the rows are aggregated in parts instead."""
    with gpuql.connect(
        device="cpu", threads=2, tier=tier, memory_limit="1GB", temp_directory=str(tmp_path)
    ) as engine:
        oracle = duckdb.connect()
        engine.register("t", oracle.sql(f"SELECT * FROM '{data[0]}'").to_arrow_table())
        query = "SELECT k, count(*), sum(amount), avg(f), max(d), any_value(k % 7), min(b) FROM t GROUP BY k"
        whole = engine.sql(query).collect()
        engine.set_variable("memory_limit", f"{engine.memory.host.used_bytes + (4 << 20)}")
        result = engine.sql(query).collect()
        assert rows(result.fetchall()) == rows(whole.fetchall())
        assert len(set(result.schema.values()) - set(whole.schema.values())) == 0
        aggregation = result.metrics.pipelines[0]
        assert aggregation.num_source_rows == ROWS
        assert aggregation.tier == ("fused" if tier == "compiled" else "interpreted")
        assert (aggregation.num_parts > 1) == (tier == "compiled")
        assert result.metrics.memory.partitions > 1


@pytest.mark.parametrize("batch_rows", ["1000", "131072"])
def test_rows_meet_ordered_aggregates_in_source_order(batch_rows: str, data: Any, tmp_path: Path) -> None:
    query = "SELECT first(id), last(id), string_agg((id // 20 % 7)::VARCHAR, '') FROM t WHERE id % 20 = 3"
    text = "".join(str(number // 20 % 7) for number in range(3, ROWS, 20))
    expected = [(3, ROWS - 17, text)]
    for tier in ("interpreted", "compiled"):
        for limit in ("3MB", "1GB"):
            with gpuql.connect(
                device="cpu", threads=2, tier=tier, memory_limit=limit, temp_directory=str(tmp_path)
            ) as engine:
                engine.execute(f"SET batch_rows = {batch_rows}")
                engine.execute(f"CREATE VIEW t AS SELECT * FROM '{data[0]}'")
                assert engine.sql(query).fetchall() == expected, (tier, limit)


def test_strings_of_rows_in_files_are_let_go_of(tmp_path: Path) -> None:
    budget = Budget("host memory", "memory_limit", 2_000_000)
    memory = host_memory(budget, SpillSpace(tmp_path / "spill", None), lambda: None)
    form = CollectedRows(AggregateSink((), ()))
    state = GroupRows(form, RunContext(np, cpu_families(), lambda: None, memory=memory))
    known = []
    for place in range(40):
        strings = string_array([b"%0100d" % row for row in range(2000)])
        known.append(weakref.ref(strings))
        column = Column(VARCHAR, np.arange(2000, dtype=np.int32), None, strings)
        state.keep(Batch({0: column}, 2000), place)
        del strings, column
    gc.collect()
    assert sum(one() is not None for one in known) <= 10
    assert state.num_bytes > 4 * budget.limit_bytes, "all are counted, wherever they are"
    memory.close()


@pytest.mark.parametrize("limit", ["120KB", "160KB", "200KB", "240KB"])
def test_a_dictionary_that_few_rows_of_a_partition_use_does_not_go_with_them(limit: str) -> None:
    rows = "SELECT i * 17 % 97 AS m, 'name ' || lpad((i % 900)::VARCHAR, 46, '0') AS s FROM range(3000) r(i)"
    with gpuql.connect(
        device="cpu", memory_limit=limit, threads=1, tier="interpreted", batch_rows=64
    ) as connection:
        connection.register("t", duckdb.sql(rows).to_arrow_table())
        query = "SELECT count(*) FROM (SELECT DISTINCT m, s || '!' FROM t)"
        result = connection.sql(query).collect()
        assert result.fetchall() == [(3000,)]
        assert result.metrics.memory.partitions
