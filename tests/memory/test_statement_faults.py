"""Statements that write fail at every point: all of what they do is done or none of it, and nothing is left behind.

``GPUQL_FAULT_DEPTH=200`` makes each of the first 200 passings fail; without it a few of each statement do.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import gpuql
from gpuql.errors import GpuqlError
from gpuql.memory import faults
from tests.memory.fault_cases import ERRORS, tables

NUM_ROWS = 40_000
DEPTH = int(os.environ.get("GPUQL_FAULT_DEPTH", "0"))
POINTS = [faults.RESERVATION, faults.ALLOCATION, faults.FILE_WRITE, faults.FILE_READ]

#: Each changes table ``u``, or makes ``made`` or a file, under a limit below what it works on.
STATEMENTS = {
    "create": "CREATE TABLE made AS SELECT k, s, d * 2 AS e FROM u ORDER BY s DESC",
    "insert": "INSERT INTO u SELECT k + 1, s, g, d FROM l WHERE g < 5",
    "update": "UPDATE u SET k = -k, s = s || '!' WHERE g < 4",
    "delete": "DELETE FROM u WHERE k IN (SELECT k FROM r)",
    "merge": "MERGE INTO u USING r ON u.k = r.k WHEN MATCHED AND r.v < 500 THEN DELETE "
    "WHEN MATCHED THEN UPDATE SET d = r.v WHEN NOT MATCHED THEN INSERT VALUES (r.k, r.s, 0, 0)",
    "copy": "COPY (SELECT * FROM u ORDER BY s) TO '{folder}/made.parquet'",
}
STATE = "SELECT count(*), sum(k), min(s), max(s), sum(length(s)), count(g), sum(d > 50) FROM "


class Writer:
    """A connection whose table ``u`` is made anew before each statement."""

    def __init__(self, spill: Path, out: Path) -> None:
        settings = {"memory_limit": "4MB", "temp_directory": str(spill), "batch_rows": 4096}
        self.connection = gpuql.connect(device="cpu", threads=2, **settings)
        self.out = out
        for name, table in tables(NUM_ROWS).items():
            self.connection.register(name, table)

    def reset(self) -> None:
        self.connection.execute("DROP TABLE IF EXISTS made; CREATE OR REPLACE TABLE u AS SELECT * FROM l")
        for path in self.out.iterdir():
            path.unlink()

    def state(self) -> list[object]:
        """What can be seen of the tables and of the file."""
        found: list[object] = list(self.connection.sql(STATE + "u").fetchall())
        sources = [str(path) for path in self.out.iterdir()]
        if self.connection.sql("SELECT 1 FROM duckdb_tables() WHERE table_name = 'made'").fetchall():
            found += self.connection.sql("SELECT count(*), sum(k), sum(length(s)) FROM made").fetchall()
        for source in sources:
            found += self.connection.sql(f"{STATE} '{source}'").fetchall()
        return found

    def run(self, name: str) -> None:
        self.connection.execute(STATEMENTS[name].format(folder=self.out))

    def try_to_run(self, name: str) -> GpuqlError | None:
        try:
            self.run(name)
        except GpuqlError as error:
            return error.with_traceback(None)
        return None

    def held(self) -> tuple[int, int]:
        """Queries that run, and bytes that no account holds."""
        gc.collect()
        host = self.connection.memory.host
        kept = sum(account.held_bytes for account in host._accounts)
        return sum(account.running for account in host._accounts), host.used_bytes - kept


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Writer]:
    spill = tmp_path_factory.mktemp("spill")
    found = Writer(spill, tmp_path_factory.mktemp("out"))
    yield found
    found.connection.close()
    assert list(spill.iterdir()) == []


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("statement", STATEMENTS)
def test_all_or_nothing(writer: Writer, statement: str, point: str) -> None:
    writer.reset()
    before = writer.state()
    never = faults.Fault(point, 1 << 60, ERRORS[point])
    with faults.injected(never):
        writer.run(statement)
    after = writer.state()
    assert after != before
    passed = never.passed
    depth = range(1, min(DEPTH, passed) + 1) if DEPTH else sorted({passed // 2, passed} - {0})
    for nth in depth:
        writer.reset()
        with faults.injected(faults.Fault(point, nth, ERRORS[point])) as fault:
            error = writer.try_to_run(statement)
        assert error is None or fault.raised, f"{statement}: failed by itself: {error}"
        expected = after if error is None else before
        assert writer.state() == expected, f"{statement}, {point} {nth}"
        assert writer.held() == (0, 0), f"{statement}, {point} {nth}"
