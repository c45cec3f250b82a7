"""Queries that keep rows in every way there is, over tables larger than the budget, and failures at every point."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

import gpuql
from gpuql.bench.rows import Row, difference
from gpuql.errors import GpuqlError
from gpuql.memory import faults
from gpuql.session import Connection

QUERIES: dict[str, str] = {
    "inner join": "SELECT count(*), sum(l.k), sum(r.v), min(l.s) FROM l JOIN r ON l.k = r.k",
    "left join": "SELECT l.g, count(r.k), sum(l.k) FROM l LEFT JOIN r ON l.k = r.k AND r.v > 10 GROUP BY l.g",
    "full join": "SELECT count(*), count(l.k), count(r.k), sum(r.v) FROM l FULL JOIN r ON l.s = r.s",
    "not in": "SELECT count(*), sum(k) FROM l WHERE k NOT IN (SELECT k FROM r)",
    "semi join": "SELECT k, s FROM l WHERE EXISTS (SELECT 1 FROM r WHERE r.k = l.k AND r.v < l.k) AND g < 3",
    "distinct groups": "SELECT count(*), sum(c), max(m) FROM "
    "(SELECT k, s, count(*) c, sum(d) m FROM l GROUP BY k, s) t",
    "distinct and median": "SELECT count(DISTINCT s), median(k), sum(DISTINCT g) FROM l",
    "sort": "SELECT s, k, d FROM l ORDER BY s DESC, k",
    "set operation": "SELECT count(*), sum(k) FROM (SELECT k FROM l EXCEPT SELECT k FROM r) t",
    "cte": "WITH t AS MATERIALIZED (SELECT k, k % 97 AS m, s FROM l WHERE d > 5) "
    "SELECT a.m, count(*), min(b.s) FROM t a JOIN t b ON a.k = b.k GROUP BY a.m ORDER BY a.m",
    "top": "SELECT k, s FROM l ORDER BY d, k LIMIT 500 OFFSET 300",
    "window": "SELECT count(*), sum(a), sum(b * length(s)), min(a) FROM (SELECT s, lag(k) OVER (PARTITION BY g "
    "ORDER BY k) AS a, row_number() OVER (ORDER BY s DESC) AS b FROM l) t",
    "grouping sets": "SELECT g, k % 1000 AS m, count(*), min(s) FROM l GROUP BY ROLLUP (g, k % 1000)",
    "recursive": "WITH RECURSIVE t(n, k) AS (SELECT 0, k FROM l WHERE g < 4 UNION ALL SELECT n + 1, t.k "
    "FROM t JOIN r ON r.k = t.k WHERE n < 2) SELECT n, count(*), sum(k) FROM t GROUP BY n",
    "asof": "SELECT count(*), sum(v), max(r.s) FROM l ASOF JOIN r ON l.k >= r.k",
    "union and limit": "SELECT k FROM l UNION ALL SELECT k FROM r ORDER BY k LIMIT 10",
}

#: What fails at each point in real life.
ERRORS: dict[str, Callable[[], BaseException]] = {
    faults.RESERVATION: lambda: gpuql.errors.OutOfMemoryError("injected: nothing is left"),
    faults.ALLOCATION: lambda: MemoryError("injected"),
    faults.FILE_WRITE: lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    faults.FILE_READ: lambda: OSError(errno.EIO, os.strerror(errno.EIO)),
    faults.KERNEL_LAUNCH: lambda: MemoryError("injected"),
}


#: Tables may have a file of their own, for columns that memory had no room for.
NUM_TABLES = 2


def tables(num_rows: int) -> dict[str, pa.Table]:
    """Two tables whose distinct keys overlap by half."""
    rng = np.random.default_rng(42)
    left, right = rng.permutation(num_rows), rng.permutation(num_rows) + num_rows // 2
    return {
        "l": pa.table(
            {
                "k": pa.array(left * 1_000_003 % (1 << 40)),
                "s": pa.array([f"name {key:09}" for key in left]),
                "g": pa.array(left % 7, mask=left % 11 == 3),
                "d": pa.array(rng.random(num_rows) * 100),
            }
        ),
        "r": pa.table(
            {
                "k": pa.array(right * 1_000_003 % (1 << 40)),
                "s": pa.array([f"name {key:09}" for key in right]),
                "v": pa.array(rng.integers(0, 1000, num_rows)),
            }
        ),
    }


@dataclass
class Trial:
    """A connection under a small limit, and the right answers."""

    connection: Connection
    answers: dict[str, list[Row]]

    def rows(self, name: str) -> list[Row]:
        """Rows of a query, whose result is let go of."""
        result = self.connection.sql(QUERIES[name]).collect()
        rows: list[Row] = result.fetchall()
        result.close()
        return rows

    def held(self) -> dict[str, int]:
        """What the connection holds when no query runs, tables apart."""
        host, space = self.connection.memory.host, self.connection.memory.space
        running = [account for account in host._accounts if account.running]
        kept = sum(account.held_bytes for account in host._accounts)
        files = max(0, space.num_files - NUM_TABLES)
        return {"running": len(running), "unaccounted": host.used_bytes - kept, "files": files}

    def passes(self, name: str, point: str) -> int:
        """How often an undisturbed query passes ``point``."""
        never = faults.Fault(point, 1 << 60, ERRORS[point])
        with faults.injected(never):
            self.check(name)
        return never.passed

    def check(self, name: str) -> None:
        """The query gives the right rows."""
        assert difference(self.rows(name), self.answers[name]) is None, name

    def fail(self, name: str, point: str, nth: int) -> str:
        """Let the ``nth`` passing of ``point`` fail: the right rows or a typed error, and nothing stays behind."""
        before = self.held()
        fault = faults.Fault(point, nth, ERRORS[point])
        outcome = "same rows"
        with faults.injected(fault):
            try:
                self.check(name)
            except GpuqlError as error:
                outcome = type(error).__name__ if fault.raised else f"failed by itself: {error}"
        if self.held() != before:
            gc.collect()
        assert self.held() == before, f"{name}, {point} {nth}: {outcome}"
        return outcome
