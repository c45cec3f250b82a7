"""Recursive queries within a memory limit, and stopped by the user."""

from __future__ import annotations

import threading
import time

import pytest

import gpuql
from gpuql.errors import InterruptError


def test_rows_of_all_rounds_move_to_files() -> None:
    sql = (
        "WITH RECURSIVE r(n, v) AS (SELECT i, i FROM t UNION ALL SELECT n + 1000000, v + 1 FROM r WHERE n < 9000000)"
        " SELECT count(*), sum(n), sum(v) FROM r"
    )
    with gpuql.connect(device="cpu", memory_limit="4MB") as connection:
        connection.execute("CREATE TABLE t AS SELECT range AS i FROM range(50000)")
        result = connection.sql(sql).collect()
        assert result.fetchall() == [(500_000, 2_262_499_750_000, 12_502_000_000)]
        assert result.metrics is not None
        assert result.metrics.memory.spilled_bytes > 0


def test_distinct_rounds_within_a_limit() -> None:
    sql = "WITH RECURSIVE r(n) AS (SELECT i FROM t UNION SELECT n // 2 FROM r) SELECT count(*), sum(n) FROM r"
    with gpuql.connect(device="cpu", memory_limit="4MB") as connection:
        connection.execute("CREATE TABLE t AS SELECT range * 2 AS i FROM range(60000)")
        assert connection.execute(sql).fetchall() == [_halves([2 * i for i in range(60_000)])]


def _halves(start: list[int]) -> tuple[int, int]:
    found, last = set(start), set(start)
    while last:
        last = {number // 2 for number in last} - found
        found |= last
    return len(found), sum(found)


def test_a_recursion_without_end_can_be_interrupted() -> None:
    with gpuql.connect(device="cpu") as connection:
        cursor = connection.cursor()
        timer = threading.Timer(0.5, connection.interrupt)
        timer.start()
        started = time.monotonic()
        with pytest.raises(InterruptError):
            cursor.execute(
                "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT 1 - n FROM r) SELECT count(*) FROM r"
            )
        assert time.monotonic() - started < 30
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
