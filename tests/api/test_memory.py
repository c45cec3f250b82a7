"""What was dropped or replaced is let go, however many plans and compiled pipelines knew it."""

from __future__ import annotations

import gc
import weakref

import pytest

import gpuql
from gpuql.columnar.table import ResidentTable


def table(connection: gpuql.Connection, name: str) -> ResidentTable:
    found = connection.catalog.resolve(name)
    assert isinstance(found, ResidentTable)
    return found


def make(connection: gpuql.Connection, round_number: int) -> None:
    connection.execute(
        "CREATE OR REPLACE TABLE t AS "
        f"SELECT a, 'text {round_number} ' || (a % 100) AS s, a * 0.5 AS f FROM range(2000) r(a)"
    )


@pytest.mark.parametrize("tier", ["interpreted", "compiled"])
def test_replaced_and_dropped_tables_leave_memory(tier: str) -> None:
    with gpuql.connect(device="cpu", tier=tier) as connection:
        columns: list[weakref.ref[object]] = []
        for round_number in range(6):
            make(connection, round_number)
            columns += [weakref.ref(table(connection, "t").column("s").strings)]
            for literal in range(10):
                connection.execute(
                    f"SELECT count(*), sum(f) FROM t WHERE a < {literal} AND s <> 'x{literal}'"
                )
                connection.execute(f"SELECT s, count(*) FROM t WHERE s LIKE '%{literal}%' GROUP BY s")
        gc.collect()
        assert [reference() is not None for reference in columns] == [False] * 5 + [True]
        connection.execute("DROP TABLE t")
        connection.execute("SELECT 1")
        gc.collect()
        assert columns[-1]() is None


def test_closing_lets_go_of_tables() -> None:
    connection = gpuql.connect(device="cpu")
    make(connection, 0)
    strings = weakref.ref(table(connection, "t").column("s").strings)
    frame = connection.sql("SELECT count(*) FROM t")
    assert frame.fetchall() == [(2000,)]
    del frame
    connection.close()
    gc.collect()
    assert strings() is None
