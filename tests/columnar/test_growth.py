"""Statistics of a table that grew by small batches say nothing that is not so."""

from __future__ import annotations

import random
from typing import Any

import pytest

import gpuql
from gpuql.columnar.statistics import column_statistics
from gpuql.columnar.table import ResidentTable
from gpuql.errors import UniqueViolation

VALUES: dict[str, tuple[str, Any]] = {
    "ascending": ("BIGINT", lambda number, random: number),
    "descending": ("BIGINT", lambda number, random: -number),
    "far apart": ("BIGINT", lambda number, random: number * 10**9),
    "mixed": ("INTEGER", lambda number, random: random.randrange(2000)),
    "few": ("TINYINT", lambda number, random: random.randrange(3)),
    "huge": ("HUGEINT", lambda number, random: random.randrange(2**100)),
    "decimals": ("DECIMAL(12, 2)", lambda number, random: number / 4),
    "floats": ("DOUBLE", lambda number, random: random.choice((number / 4, "nan", "inf", "-inf"))),
    "text": ("VARCHAR", lambda number, random: f"t{random.randrange(500)}"),
    "own text": ("VARCHAR", lambda number, random: f"t{number}"),
    "dates": ("DATE", lambda number, random: f"{2000 + number % 20}-01-01"),
}


def table_of(connection: gpuql.Connection) -> ResidentTable:
    table = connection.catalog.resolve("t")
    assert isinstance(table, ResidentTable)
    return table


@pytest.mark.parametrize("nulls", [0.0, 0.2])
@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("asks_between", [True, False])
def test_what_is_known_is_so(kind: str, nulls: float, asks_between: bool) -> None:
    dtype, value = VALUES[kind]
    source = random.Random(f"{kind} {nulls}")
    with gpuql.connect(device="cpu") as connection:
        connection.execute(f"CREATE TABLE t (x {dtype})")
        number = 0
        for batch_rows in (200, 1, 5, 1, 3, 10, 1, 1, 40):
            rows = []
            for _ in range(batch_rows):
                number += 1
                is_null = source.random() < nulls
                rows.append("(NULL)" if is_null else f"('{value(number, source)}'::{dtype})")
            connection.execute(f"INSERT INTO t VALUES {', '.join(rows)}")
            if not asks_between and batch_rows not in (200, 40):
                continue
            table = table_of(connection)
            known, counted = table.statistics("x"), column_statistics(table.column("x"))
            assert known.null_count == counted.null_count
            assert known.minimum in (counted.minimum, None)
            assert known.maximum in (counted.maximum, None)
            assert not known.unique or counted.unique
            assert not known.sorted or counted.sorted
            assert known.distinct_count
            assert known.distinct_count <= number


def test_few_rows_behind_many_do_not_make_all_be_counted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with gpuql.connect(device="cpu") as connection:
        connection.execute("CREATE TABLE t AS SELECT i AS x FROM range(1000) r(i)")
        table_of(connection).statistics("x")
        connection.execute("INSERT INTO t VALUES (1000), (1001)")
        connection.execute("INSERT INTO t VALUES (1002)")
        monkeypatch.setattr("gpuql.columnar.table.column_statistics", None)
        known = table_of(connection).statistics("x")
    assert (known.minimum, known.maximum, known.distinct_count) == (0, 1002, 1003)
    assert known.unique
    assert known.sorted


def test_many_rows_behind_few_are_counted() -> None:
    with gpuql.connect(device="cpu") as connection:
        connection.execute("CREATE TABLE t AS SELECT i % 2 AS x FROM range(100) r(i)")
        assert table_of(connection).statistics("x").distinct_count == 2
        connection.execute("INSERT INTO t SELECT i FROM range(100) r(i)")
        assert table_of(connection).statistics("x").distinct_count == 100


@pytest.mark.parametrize("key", [(5, "a"), (1, "c"), (10, "x"), (0, "")])
def test_keys_within_and_beyond_the_range_are_compared(key: tuple[int, str]) -> None:
    number, text = key
    rows = {(i, name) for i in range(1, 10) for name in "ab"}
    with gpuql.connect(device="cpu") as connection:
        connection.execute("CREATE TABLE t (x INTEGER, y VARCHAR, PRIMARY KEY (x, y))")
        connection.execute("INSERT INTO t SELECT i, y FROM range(1, 10) r(i), (VALUES ('a'), ('b')) v(y)")
        if key in rows:
            with pytest.raises(UniqueViolation):
                connection.execute(f"INSERT INTO t VALUES ({number}, '{text}')")
        else:
            connection.execute(f"INSERT INTO t VALUES ({number}, '{text}')")
            with pytest.raises(UniqueViolation):
                connection.execute(f"INSERT INTO t VALUES ({number}, '{text}')")
