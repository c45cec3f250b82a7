"""Joins of every kind with less memory than their build rows take: DuckDB's rows, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import gpuql
from gpuql.memory import query_memory
from gpuql.memory.row_store import RowStore
from gpuql.operators import row_partitions

#: Parts of sources are so small that little memory and few rows are enough to test with.
LIMIT = "400KB"
PART_BYTES = 32 << 10
ROWS = 5_000

#: ``i`` and ``s`` are in both tables, with NULLs, up to three times; ``i`` is wider in one of them.
LEFT_ROWS = f"""
    SELECT r AS id, CASE WHEN r % 50 <> 7 THEN (r * 7919 % 4001)::INTEGER END AS i,
           CASE WHEN r % 40 <> 3 THEN 'key of ' || (r * 104729 % 4001) END AS s,
           (r % 1000) AS x, CASE WHEN r % 3 = 0 THEN -0.0 WHEN r % 31 = 1 THEN 'nan'::DOUBLE ELSE r % 1301 END AS f,
           CASE WHEN r % 70 <> 9 THEN ('17014118346046923173168730371588'::HUGEINT + r % 2203)::DECIMAL(38, 0) END AS h
    FROM range({ROWS}) t(r)
"""
RIGHT_ROWS = f"""
    SELECT r AS id, CASE WHEN r % 60 <> 11 THEN (r * 15485863 % 4507)::BIGINT + 5000000000 * (r % 100 // 99) END AS i,
           CASE WHEN r % 30 <> 5 THEN 'key of ' || (r * 611953 % 4507) END AS s,
           (r * 13 % 1000) AS x, (r % 1709)::DOUBLE AS f,
           CASE WHEN r % 80 <> 9 THEN ('17014118346046923173168730371588'::HUGEINT + r % 2801)::DECIMAL(38, 0) END AS h
    FROM range({ROWS}) t(r)
"""
#: Half of all rows have one key, of which the product would be large: only some rows of the left table.
HOT_LEFT = f"""
    SELECT r AS id, CASE WHEN r % 2 = 0 THEN 77 ELSE r END AS i, 'no' || r % 7 AS s, r % 1000 AS x
    FROM range({ROWS}) t(r)
"""
HOT_RIGHT = f"""
    SELECT r AS id, CASE WHEN r % 2 = 0 THEN 77 ELSE r * 2 END AS i, 'no' AS s, r % 9 AS x FROM range({ROWS}) t(r)
"""

CONDITIONS = {
    "integers": "a.i = b.i",
    "strings": "a.s = b.s",
    "two keys": "a.i = b.i AND a.s = b.s",
    "null-safe": "a.i IS NOT DISTINCT FROM b.i AND a.x = b.x",
    "residual": "a.i = b.i AND a.x < b.x",
    "expressions": "a.i + 1 = b.i * 1 AND upper(a.s) = upper(b.s)",
    "floats": "a.f = b.f AND a.id % 100 = b.id % 100",
    "two words": "a.h = b.h",
    "no keys": "a.id < b.id - 4990",
}

KINDS = {
    "inner": "SELECT a.id, b.*, a.s FROM {left} a JOIN {right} b ON {condition}",
    "left": "SELECT a.id, b.*, a.x FROM {left} a LEFT JOIN {right} b ON {condition}",
    "right": "SELECT a.id, a.s, b.* FROM {left} a RIGHT JOIN {right} b ON {condition}",
    "full": "SELECT a.id, a.i, b.* FROM {left} a FULL JOIN {right} b ON {condition}",
    "semi": "SELECT a.id, a.s FROM {left} a WHERE EXISTS (SELECT * FROM {right} b WHERE {condition})",
    "anti": "SELECT a.id, a.x FROM {left} a WHERE NOT EXISTS (SELECT * FROM {right} b WHERE {condition})",
}

OTHERS = {
    "mark": "SELECT a.id, a.i IN (SELECT b.i FROM {right} b) FROM {left} a",
    "mark without null": "SELECT a.id, a.i IN (SELECT b.i FROM {right} b WHERE b.i IS NOT NULL) FROM {left} a",
    "mark of strings": "SELECT a.id, a.s IN (SELECT b.s FROM {right} b) OR a.x > 990 FROM {left} a",
    "not in": "SELECT a.id FROM {left} a WHERE a.i NOT IN (SELECT b.i FROM {right} b WHERE b.i IS NOT NULL)",
    "not in with null": "SELECT a.id FROM {left} a WHERE a.i NOT IN (SELECT b.i FROM {right} b)",
    "mark of two": "SELECT a.id, (a.i, a.x) IN (SELECT b.i, b.x FROM {right} b WHERE b.id % 9 = 0) FROM {left} a"
    " WHERE a.id % 19 = 0",
    "mark of nothing": "SELECT a.id, a.i IN (SELECT b.i FROM {right} b WHERE b.id < 0) FROM {left} a",
    "single": "SELECT a.id, (SELECT b.x FROM {right} b WHERE b.id = a.i) FROM {left} a",
    "two joins": "SELECT a.id, b.id, c.id FROM {left} a JOIN {right} b ON a.i = b.i LEFT JOIN {right} c ON a.s = c.s",
    "three joins, grouped": "SELECT c.x % 50, count(*), sum(b.id), min(a.s) FROM {left} a JOIN {right} b ON a.i = b.i"
    " LEFT JOIN {right} c ON a.s = c.s JOIN {left} d ON d.id = c.id GROUP BY c.x % 50",
    "sorted": "SELECT a.id, b.id FROM {left} a JOIN {right} b ON a.i = b.i ORDER BY a.id, b.id LIMIT 100 OFFSET 500",
    "limited": "SELECT count(*) FROM (SELECT a.id FROM {left} a JOIN {right} b ON a.i = b.i LIMIT 777)",
    "counted": "SELECT count(*) FROM {left} a JOIN {right} b ON a.i = b.i",
    "nothing": "SELECT a.id, b.s FROM {left} a JOIN {right} b ON a.i = b.i AND a.id < 0",
}

#: Joins of these queries whose build rows have no room; of the others it is one.
NUM_LARGE_JOINS = {
    "two joins": 2,
    "three joins, grouped": 3,
    "nothing": 0,
    "mark of nothing": 0,
    "mark of two": 0,
}

HOT = {
    "inner": "SELECT b.x, count(*), sum(a.id) FROM {left} a JOIN {right} b ON a.i = b.i"
    " WHERE a.id % 50 = 0 GROUP BY b.x",
    "inner, few left": "SELECT a.id, b.id FROM {left} a JOIN {right} b ON a.i = b.i WHERE a.id % 4000 = 0",
    "left": "SELECT b.x, count(*), sum(a.id) FROM {left} a LEFT JOIN {right} b ON a.i = b.i"
    " AND a.x + b.x = 900 GROUP BY b.x",
    "right": "SELECT a.x, count(*), sum(b.id) FROM {left} a RIGHT JOIN {right} b ON a.i = b.i"
    " AND a.x + b.x = 1 GROUP BY a.x",
    "full": "SELECT b.x, count(*), sum(a.id) FROM {left} a FULL JOIN {right} b ON a.i = b.i"
    " AND a.x + b.x = 900 GROUP BY b.x",
    "semi": "SELECT a.id FROM {left} a WHERE EXISTS (SELECT * FROM {right} b WHERE a.i = b.i AND a.x + b.x = 900)",
    "anti": "SELECT a.id FROM {left} a WHERE NOT EXISTS (SELECT * FROM {right} b WHERE a.i = b.i AND a.x < b.x)",
    "mark": "SELECT a.id, a.i IN (SELECT b.i FROM {right} b) FROM {left} a",
    "mark with residual": "SELECT a.id, a.i IN (SELECT b.i FROM {right} b"
    " WHERE b.x > a.x) FROM {left} a WHERE a.id < 300",
    "marks of two joins": "SELECT a.id, a.id % 7 = 1 OR EXISTS (SELECT * FROM {right} b WHERE b.i = a.i AND b.x > a.x)"
    " OR a.x IN (SELECT b.x FROM {right} b WHERE b.id < 3) FROM {left} a WHERE a.id < 300",
    "semi of equal keys": "SELECT a.id FROM {left} a"
    " WHERE EXISTS (SELECT * FROM {right} b WHERE b.s = a.s AND b.x = a.x - 1)",
    "anti of equal keys": "SELECT a.id FROM {left} a WHERE NOT EXISTS (SELECT * FROM {right} b"
    " WHERE b.s || '0' = a.s)",
}


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Parquet files of the tables, quoted for SQL."""
    folder = tmp_path_factory.mktemp("joins")
    found = {}
    queries = {"left": LEFT_ROWS, "right": RIGHT_ROWS, "hot_left": HOT_LEFT, "hot_right": HOT_RIGHT}
    for name, query in queries.items():
        path = folder / f"{name}.parquet"
        duckdb.sql(f"COPY ({query}) TO '{path}' (ROW_GROUP_SIZE 4096)")
        found[name] = f"'{path}'"
    return found


@pytest.fixture(scope="module")
def answers() -> dict[str, list[tuple[str, ...]]]:
    """DuckDB's rows by query."""
    return {}


@pytest.fixture
def connection(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[gpuql.Connection]:
    """Little memory; afterwards all of it is free, and no file is left."""
    tier, _, splits = request.param.partition(", ")
    monkeypatch.setattr(query_memory, "MIN_PART_BYTES", PART_BYTES)
    if splits:
        # Two partitions instead of many: rows have to be split again and again.
        monkeypatch.setattr(row_partitions, "JOIN_SPLIT_BITS", 1)
        monkeypatch.setattr(row_partitions, "NUM_PARTITIONS", 2)
    with gpuql.connect(
        device="cpu", tier=tier, memory_limit=LIMIT, temp_directory=str(tmp_path), threads=2
    ) as connected:
        yield connected
        # Columns of files may be kept as long as nobody wants their bytes.
        assert connected.memory.host.available_bytes == connected.memory.host.limit_bytes
        assert connected.memory.space.num_files == 0


def in_order(rows: list[tuple[Any, ...]]) -> list[tuple[str, ...]]:
    return sorted(tuple(map(repr, row)) for row in rows)


def check(connection: gpuql.Connection, query: str, answers: dict[str, list[tuple[str, ...]]]) -> list[str]:
    """Compare with DuckDB; what the joins that had no room for a table say of themselves."""
    if query not in answers:
        answers[query] = in_order(duckdb.sql(query).fetchall())
    result = connection.sql(query).collect()
    found = in_order(result.fetchall())
    assert len(found) == len(answers[query])
    assert found == answers[query]
    if isinstance(result.batches, RowStore):
        result.batches.close()
    memory = result.metrics.memory
    assert memory.peak_bytes <= connection.memory.host.limit_bytes
    return [join for pipeline in result.metrics.pipelines for join in pipeline.joins]


#: What each way of running is tested with.
MODES = {
    "interpreted": tuple(CONDITIONS),
    "interpreted, many splits": ("strings", "residual", "expressions", "no keys"),
    "compiled": ("integers", "strings", "residual"),
}
KIND_CASES = [
    (mode, kind, keys) for mode, conditions in MODES.items() for kind in KINDS for keys in conditions
]


@pytest.mark.parametrize(("connection", "kind", "keys"), KIND_CASES, indirect=["connection"])
def test_kinds(
    connection: gpuql.Connection, names: dict[str, str], answers: Any, kind: str, keys: str
) -> None:
    joins = check(connection, KINDS[kind].format(condition=CONDITIONS[keys], **names), answers)
    needs_no_rows = (
        kind in ("semi", "anti") and keys == "no keys"
    )  # one build row with the largest id decides
    assert needs_no_rows or joins


@pytest.mark.parametrize("query", OTHERS)
@pytest.mark.parametrize("connection", ["interpreted", "compiled"], indirect=True)
def test_other_queries(connection: gpuql.Connection, names: dict[str, str], answers: Any, query: str) -> None:
    joins = check(connection, OTHERS[query].format(**names), answers)
    assert len(joins) == NUM_LARGE_JOINS.get(query, 1)


@pytest.mark.parametrize("query", HOT)
@pytest.mark.parametrize("connection", ["interpreted", "interpreted, many splits", "compiled"], indirect=True)
def test_hot_keys(connection: gpuql.Connection, names: dict[str, str], answers: Any, query: str) -> None:
    hot = {"left": names["hot_left"], "right": names["hot_right"]}
    joins = check(connection, HOT[query].format(**hot), answers)
    assert not joins or "blocks" in joins[0] or query == "semi of equal keys"


@pytest.mark.parametrize("connection", ["interpreted", "compiled"], indirect=True)
def test_second_row_of_a_scalar_subquery(connection: gpuql.Connection, names: dict[str, str]) -> None:
    query = f"SELECT a.id, (SELECT b.id FROM {names['right']} b WHERE b.i = a.i) FROM {names['left']} a"
    with pytest.raises(gpuql.DataError, match="scalar subquery returned more than one row"):
        connection.sql(query).collect()
