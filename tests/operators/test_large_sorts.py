"""Sorts that partition, and top-N that filters by its threshold: enough rows for both, against DuckDB."""

from __future__ import annotations

import itertools
from typing import Any

import duckdb
import numpy as np
import pytest

import gpuql
from gpuql.columnar.column import Column
from gpuql.operators import top_n
from gpuql.operators.contract import RunContext
from gpuql_planner.types import BIGINT, DOUBLE

ROWS = 140_000

TABLE = f"""
    SELECT i AS id,
           CASE WHEN h % 7 <> 3 THEN h % 3 END AS few,
           CASE WHEN h % 11 <> 0 THEN (h % 1000003)::BIGINT END AS sparse,
           (h % 18446744073709551557)::UBIGINT AS huge_unsigned,
           CASE WHEN h % 5 <> 2 THEN (h % 100000)::DECIMAL(9, 2) / 4 END::DECIMAL(9, 2) AS amount,
           CASE WHEN h % 9001 = 0 THEN 'nan'::DOUBLE WHEN h % 4 = 0 THEN NULL WHEN h % 10 = 1 THEN -0.0
                WHEN h % 10 = 2 THEN 0.0 ELSE (h % 2000003)::DOUBLE / 7 - 100 END AS f,
           ((h % 1000)::REAL / 3) AS r,
           CASE WHEN h % 3 <> 1 THEN 'name ' || (h % 13) END AS word,
           'text ' || (h % 900001) AS text,
           'a text that is longer than three words ' || (h % 50021) AS long_text,
           CASE WHEN h % 4 < 2 THEN 'a' || repeat(chr(0), (h % 3)::INTEGER) ELSE repeat('b', (h % 40)::INTEGER) END
               AS with_zeros,
           DATE '2020-01-01' + (h % 4000)::INTEGER AS d,
           (h % 2 = 0) AS b,
           17014118346046923173168730371588::HUGEINT * (h % 3) + h % 5 AS huge,
           to_months((h % 5)::INTEGER) + to_days((h % 90)::INTEGER) AS span
    FROM (SELECT i, hash(i) AS h FROM range({ROWS}) r(i))
"""

KEYS = (
    "few",
    "few DESC NULLS FIRST, text",
    "sparse",
    "sparse DESC",
    "sparse NULLS FIRST",
    "huge_unsigned",
    "huge_unsigned DESC",
    "amount, f",
    "f",
    "f DESC",
    "f NULLS FIRST, sparse DESC NULLS FIRST",
    "f DESC NULLS FIRST",
    "r, text DESC",
    "word, sparse",
    "word DESC, few, f",
    "text",
    "text DESC",
    "long_text, id DESC",
    "with_zeros, few",
    "d, b, amount DESC",
    "b DESC",
    "huge, few",
    "span DESC, sparse",
    "sparse % 100, few",
)


@pytest.fixture(scope="module")
def engines() -> Any:
    oracle = duckdb.connect()
    oracle.execute(f"CREATE TABLE t AS {TABLE}")
    engine = gpuql.connect(device="cpu", threads=3)
    engine.register("source", oracle.sql("SELECT * FROM t").to_arrow_table())
    engine.execute("CREATE TABLE t AS SELECT * FROM source")
    yield engine, oracle
    engine.close()


@pytest.mark.parametrize("tier", ["interpreted", "auto"])
@pytest.mark.parametrize("keys", KEYS)
def test_sort(engines: Any, keys: str, tier: str) -> None:
    engine, oracle = engines
    engine.set_variable("tier", tier)
    query = f"SELECT id FROM t ORDER BY {keys}, id"
    assert engine.sql(query).fetchall() == oracle.execute(query).fetchall()


@pytest.mark.parametrize("keys", KEYS)
def test_sort_keeps_the_order_of_equal_rows(engines: Any, keys: str) -> None:
    engine, oracle = engines
    engine.set_variable("tier", "interpreted")
    got = engine.sql(f"SELECT id FROM t ORDER BY {keys}").fetchall()
    assert got == oracle.execute(f"SELECT id FROM t ORDER BY {keys}, id").fetchall()


@pytest.mark.parametrize("limit", ["LIMIT 1", "LIMIT 10 OFFSET 90", "LIMIT 9000", "LIMIT 20 OFFSET 110000"])
@pytest.mark.parametrize("keys", KEYS)
def test_top_n(engines: Any, keys: str, limit: str) -> None:
    engine, oracle = engines
    engine.set_variable("tier", "interpreted")
    query = f"SELECT id, text, few FROM t ORDER BY {keys}, id {limit}"
    assert engine.sql(query).fetchall() == oracle.execute(query).fetchall()


@pytest.mark.parametrize("keys", KEYS)
def test_top_n_of_generated_code(engines: Any, keys: str) -> None:
    engine, oracle = engines
    engine.set_variable("tier", "compiled")
    query = f"SELECT id, text, few FROM t WHERE few > 0 ORDER BY {keys}, id LIMIT 10 OFFSET 90"
    assert engine.sql(query).fetchall() == oracle.execute(query).fetchall()


def test_key_columns_of_the_result(engines: Any) -> None:
    engine, oracle = engines
    query = (
        "SELECT f, 1 / f, sparse, r, d, b, amount, word, text FROM t WHERE f IS NOT NULL "
        "ORDER BY f, sparse, r, d, b, amount, word, text, id"
    )
    got, expected = engine.sql(query).fetchall(), oracle.execute(query).fetchall()
    assert repr(got) == repr(expected)


@pytest.mark.parametrize("key", ["sparse", "amount", "r", "d", "huge_unsigned", "word", "id", "few"])
@pytest.mark.parametrize("direction", ["", "DESC"])
def test_key_alone(engines: Any, key: str, direction: str) -> None:
    engine, oracle = engines
    query = f"SELECT {key} FROM t ORDER BY {key} {direction}"
    assert engine.sql(query).fetchall() == oracle.execute(query).fetchall()


VALUES = (None, float("nan"), -1.5, 0.0, 2.0)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("nulls_first", [False, True])
@pytest.mark.parametrize("threshold", [(a, b) for a in VALUES for b in (None, 1, 3)])
def test_threshold_on_two_keys(
    descending: bool, nulls_first: bool, threshold: tuple[float | None, int | None]
) -> None:
    """Rows left out never come before the threshold's row; rows kept never come after it."""
    from gpuql_kernels.families import cpu_families

    context = RunContext(np, cpu_families(), lambda: None)
    rows = [*itertools.product(VALUES, (None, 0, 1, 3)), threshold]
    keys = [
        Column(
            BIGINT if number else DOUBLE,
            np.array([row[number] or 0 for row in rows], np.int64 if number else np.float64),
            np.array([row[number] is not None for row in rows]),
        )
        for number in (0, 1)
    ]
    directions = [top_n.Direction(descending, nulls_first), top_n.Direction(not descending, nulls_first)]

    def rank(row: tuple[Any, ...]) -> list[Any]:
        ranked: list[Any] = []
        for value, direction in zip(row, directions, strict=True):
            sign = -1 if direction.descending else 1
            number = (1, 0.0) if value is not None and value != value else (0, value or 0.0)
            ranked.append((0 if nulls_first else 2) if value is None else 1)
            ranked.append((sign * number[0], sign * number[1]))
        return ranked

    thresholds = top_n.threshold_of(keys, len(rows) - 1, context)
    last = rank(threshold)
    for with_ties in (False, True):
        found = top_n.rows_within(keys, thresholds, directions, context, with_ties=with_ties)
        kept = list(range(len(rows))) if found is None else found.tolist()
        before = [i for i, row in enumerate(rows) if rank(row) < last or (with_ties and rank(row) == last)]
        assert set(before) <= set(kept)
        assert kept == sorted(kept)
        if found is not None and threshold[0] == threshold[0]:
            assert kept == before
