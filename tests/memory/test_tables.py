"""Tables and files under a budget: columns come and go, rows stay the same, bytes add up."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gpuql
from gpuql.columnar.table import STATISTICS_THREAD, ResidentTable
from gpuql.memory.kept_column import KeptColumn
from gpuql_planner.errors import IntegrityError, OutOfMemoryError

Connect = Callable[..., gpuql.Connection]

#: A table of about 40 bytes a row: integers, decimals, dates, few and many strings, NULLs, runs, offsets.
WIDE = """
    SELECT a AS k, a % 1000 AS small, (a * 7919) % 1000003 AS big, 5000000000 + a % 100 AS off, a // 5000 AS run,
           CAST(a % 10000 AS DECIMAL(15, 2)) AS price, DATE '1992-01-01' + CAST(a % 2000 AS INTEGER) AS day,
           'word ' || (a % 50) AS word, 'text of row ' || a AS text, CASE WHEN a % 3 = 0 THEN NULL ELSE a END AS maybe,
           a * 0.5 AS half, a % 2 = 0 AS flag
    FROM range({rows}) r(a)
"""
QUERIES = (
    "SELECT count(*), sum(k), min(big), max(big), sum(off), sum(run), sum(price), min(day), max(day) FROM t",
    "SELECT word, count(*), sum(maybe), sum(half), count(maybe) FROM t WHERE flag GROUP BY word ORDER BY word",
    "SELECT text, k, price FROM t WHERE big < 300 ORDER BY k",
    "SELECT count(text), sum(length(text)), sum(small) FROM t WHERE text LIKE '%7%'",
    "SELECT run, count(*) FROM t WHERE day >= DATE '1995-01-01' GROUP BY run ORDER BY run",
)


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    opened = []

    def connect(limit: str, **settings: Any) -> gpuql.Connection:
        connection = gpuql.connect(
            device="cpu", memory_limit=limit, temp_directory=str(tmp_path / "spill"), **settings
        )
        opened.append(connection)
        return connection

    yield connect
    for connection in opened:
        connection.close()


def wide_table(connection: gpuql.Connection, rows: int, name: str = "t") -> None:
    connection.execute(f"CREATE TABLE {name} AS {WIDE.format(rows=rows)}")


def expected_rows(rows: int) -> list[list[Any]]:
    with duckdb.connect() as oracle:
        oracle.execute(f"CREATE TABLE t AS {WIDE.format(rows=rows)}")
        return [oracle.execute(query).fetchall() for query in QUERIES]


def resident(connection: gpuql.Connection, name: str) -> ResidentTable:
    found = connection.catalog.resolve(name)
    assert isinstance(found, ResidentTable)
    return found


def handle(connection: gpuql.Connection, table: str, column: str) -> KeptColumn:
    kept = resident(connection, table)._columns[column]
    assert isinstance(kept, KeptColumn)
    return kept


def settled_bytes(connection: gpuql.Connection) -> int:
    """Bytes in use once background work is done."""
    _wait_for_statistics()
    gc.collect()
    connection.memory.columns.settle()
    return connection.memory.host.used_bytes


@pytest.mark.parametrize("tier", ["interpreted", "auto"])
def test_a_table_larger_than_the_limit(connect: Connect, tier: str) -> None:
    rows = 120_000
    connection = connect("3MB", tier=tier)
    wide_table(connection, rows)
    table = resident(connection, "t")
    total = sum(handle(connection, "t", field.name).num_bytes for field in table.fields)
    assert total > 2 * connection.memory.host.limit_bytes
    assert connection.memory.space.used_bytes > connection.memory.host.limit_bytes
    for query, expected in zip(QUERIES, expected_rows(rows), strict=True):
        result = connection.sql(query).collect()
        assert result.fetchall() == expected
    assert connection.memory.host.peak_bytes <= 1.1 * connection.memory.host.limit_bytes
    parts = connection.sql("SELECT sum(length(text)) FROM t").collect().metrics.pipelines[0].num_parts
    assert parts > 3


def test_columns_go_to_the_file_once_and_come_back(connect: Connect) -> None:
    connection = connect("1GB")
    wide_table(connection, 50_000)
    before = [connection.sql(query).fetchall() for query in QUERIES]
    held = settled_bytes(connection)
    assert held > 0
    freed = connection.memory.columns.reclaim(1 << 40)
    assert freed == held - settled_bytes(connection)
    written = connection.memory.space.used_bytes
    assert written > freed // 2  # small dictionaries stay in memory
    assert not any(handle(connection, "t", field.name).is_here for field in resident(connection, "t").fields)
    assert [connection.sql(query).fetchall() for query in QUERIES] == before
    assert handle(connection, "t", "k").is_here
    connection.memory.columns.reclaim(1 << 40)
    assert (
        connection.memory.space.used_bytes == written
    )  # columns do not change: they are in the file already
    assert [connection.sql(query).fetchall() for query in QUERIES] == before


def test_every_kind_of_column_comes_back_as_it_was(connect: Connect) -> None:
    connection = connect("1GB")
    wide_table(connection, 30_000)
    connection.execute(
        "CREATE TABLE more AS SELECT CAST(a AS HUGEINT) * 100000000000000000000 AS huge, "
        "INTERVAL (a) DAY AS span, CAST(NULL AS INTEGER) AS nothing, CAST(a AS REAL) AS f, "
        "CAST('b' || a AS BLOB) AS blob FROM range(3000) r(a)"
    )
    for name in ("t", "more"):
        fields = [field.name for field in resident(connection, name).fields]
        before = connection.sql(f"SELECT * FROM {name}").fetchall()
        forms = {field: handle(connection, name, field).whole().form for field in fields}
        connection.memory.columns.reclaim(1 << 40)
        assert connection.sql(f"SELECT * FROM {name}").fetchall() == before
        assert {field: handle(connection, name, field).whole().form for field in fields} == forms
        connection.memory.columns.reclaim(1 << 40)
        some = [handle(connection, name, field).rows(1234, 1240) for field in fields]
        assert [len(column) for column in some] == [6] * len(fields)
        rows = connection.sql(f"SELECT * FROM {name} LIMIT 6 OFFSET 1234").fetchall()
        assert rows == before[1234:1240]


def test_pinned_columns_stay(connect: Connect) -> None:
    connection = connect("1GB")
    wide_table(connection, 20_000)
    kept = handle(connection, "t", "k")
    assert kept.pin(10_000) is not None
    connection.memory.columns.reclaim(1 << 40)
    assert kept.is_here
    assert not handle(connection, "t", "text").is_here
    kept.unpin()
    connection.memory.columns.reclaim(1 << 40)
    assert not kept.is_here


def test_a_scan_that_happens_once_does_not_drive_out_what_is_in_use(connect: Connect) -> None:
    connection = connect("8MB")
    connection.execute("CREATE TABLE hot AS SELECT a, a % 7 AS b FROM range(300000) r(a)")
    connection.execute(
        "CREATE TABLE cold AS SELECT (a * 7919) % 1000003 AS c FROM range(1000000) r(a), range(3) s(b)"
    )
    for _ in range(3):
        connection.sql("SELECT sum(a) FROM hot WHERE b < 3").fetchall()
    assert handle(connection, "hot", "a").is_here
    expected = duckdb.sql(
        "SELECT sum((a * 7919) % 1000003) FROM range(1000000) r(a), range(3) s(b)"
    ).fetchall()
    assert connection.sql("SELECT sum(c) FROM cold").fetchall() == expected
    assert handle(connection, "hot", "a").is_here
    assert not handle(connection, "cold", "c").is_here


def test_what_is_used_again_takes_the_place_of_what_is_not(connect: Connect) -> None:
    connection = connect("4MB")
    connection.execute("CREATE TABLE old AS SELECT (a * 7) % 300007 AS a FROM range(300000) r(a)")
    connection.execute("CREATE TABLE new AS SELECT (a * 11) % 300007 AS a FROM range(300000) r(a)")
    connection.execute("CREATE TABLE third AS SELECT (a * 13) % 300007 AS a FROM range(300000) r(a)")
    for name in ("old", "new", "third"):
        for _ in range(3):
            connection.sql(f"SELECT sum(a) FROM {name}").fetchall()
        assert handle(connection, name, "a").is_here


def test_shared_strings_count_once(connect: Connect) -> None:
    connection = connect("1GB")
    connection.execute("CREATE TABLE t AS SELECT 'text ' || (a % 20000) AS s FROM range(100000) r(a)")
    one = settled_bytes(connection)
    strings = handle(connection, "t", "s").whole().strings
    assert strings is not None
    shared = int(strings.offsets.nbytes + strings.data.nbytes)
    connection.execute("CREATE TABLE u AS SELECT s, s AS again FROM t WHERE s <> 'text 7'")
    two = handle(connection, "u", "s").whole()
    if two.strings is strings:
        assert settled_bytes(connection) < one + 2 * (one - shared) + shared
    connection.execute("DROP TABLE t")
    connection.execute("DROP TABLE u")
    del strings, two
    assert settled_bytes(connection) == 0


def test_dropped_tables_free_memory_and_files(connect: Connect) -> None:
    connection = connect("4MB")
    wide_table(connection, 100_000)
    connection.sql(QUERIES[0]).fetchall()
    assert connection.memory.space.used_bytes > 0
    connection.execute("DROP TABLE t")
    assert settled_bytes(connection) == 0
    assert connection.memory.space.used_bytes == 0
    assert connection.memory.space.num_files == 0
    wide_table(connection, 1000)
    connection.execute(f"CREATE OR REPLACE TABLE t AS {WIDE.format(rows=2000)}")
    assert connection.sql("SELECT count(*) FROM t").fetchall() == [(2000,)]
    connection.close()
    assert settled_bytes(connection) == 0


def _wait_for_statistics() -> None:
    """Until no thread gathers statistics: it holds the columns that it reads."""
    for thread in threading.enumerate():
        if thread.name == STATISTICS_THREAD:
            thread.join()


def test_statements_that_fail_leave_nothing(connect: Connect) -> None:
    connection = connect("4MB", max_temp_directory_size="2MB")
    with pytest.raises(OutOfMemoryError, match="temporary files would exceed"):
        wide_table(connection, 400_000)
    assert settled_bytes(connection) == 0
    assert connection.memory.space.used_bytes == 0
    connection.execute("CREATE TABLE n (a BIGINT NOT NULL)")
    with pytest.raises(IntegrityError, match=r"n\.a"):
        connection.execute(
            "INSERT INTO n SELECT CASE WHEN a = 99999 THEN NULL ELSE a END FROM range(100000) r(a)"
        )
    assert connection.sql("SELECT count(*) FROM n").fetchall() == [(0,)]
    assert settled_bytes(connection) == 0


def test_inserts_into_a_table_larger_than_the_limit(connect: Connect) -> None:
    connection = connect("4MB")
    connection.execute("CREATE TABLE t (k BIGINT, s VARCHAR, d DOUBLE)")
    oracle = duckdb.connect()
    oracle.execute("CREATE TABLE t (k BIGINT, s VARCHAR, d DOUBLE)")
    for start in (0, 100, 200_000, 200_003):
        count = 150_000 if start % 1000 == 0 else 3
        insert = (
            f"INSERT INTO t SELECT CASE WHEN a % 5 = 0 THEN NULL ELSE a * {start + 1} END, "
            f"CASE WHEN {start} > 0 THEN 'few ' || (a % 9) ELSE 'many ' || a END, a / 4 FROM range({count}) r(a)"
        )
        connection.execute(insert)
        oracle.execute(insert)
        query = "SELECT count(*), sum(k), count(s), sum(length(s)), sum(d), count(k) FROM t"
        assert connection.sql(query).fetchall() == oracle.execute(query).fetchall()
    assert connection.memory.space.used_bytes > 0
    query = "SELECT k, s, d FROM t WHERE d < 1 ORDER BY s, k, d"
    assert connection.sql(query).fetchall() == oracle.execute(query).fetchall()
    oracle.close()


def write_file(path: Path, rows: int, factor: int = 1) -> str:
    keys = np.arange(rows)
    table = pa.table(
        {"k": keys * factor, "w": [f"w{k % 100}" for k in keys], "t": [f"text {k}" for k in keys]}
    )
    pq.write_table(table, path, row_group_size=10_000)
    return str(path)


def test_decoded_columns_of_files_are_kept_while_the_file_stays(connect: Connect, tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.parquet", 50_000)
    connection = connect("1GB")
    query = f"SELECT sum(k), count(DISTINCT w) FROM '{path}'"
    expected = [(49_999 * 25_000, 100)]
    assert connection.sql(query).fetchall() == expected
    held = settled_bytes(connection)
    assert held > 0
    assert connection.sql(query).fetchall() == expected
    assert settled_bytes(connection) == held
    connection.memory.columns.reclaim(1 << 40)
    assert settled_bytes(connection) == 0
    assert connection.sql(query).fetchall() == expected
    time.sleep(0.01)
    write_file(tmp_path / "a.parquet", 50_000, factor=2)
    assert connection.sql(query).fetchall() == [(2 * 49_999 * 25_000, 100)]
    gc.collect()
    assert settled_bytes(connection) <= held + 4 * 50_000  # what was read of the old file is gone


def test_columns_of_files_beyond_what_may_be_pinned(connect: Connect, tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.parquet", 100_000)
    connection = connect("2MB")
    columns = connection.memory.columns
    assert connection.sql(f"SELECT sum(k) FROM '{path}'").fetchall() == [(99_999 * 50_000,)]
    held = settled_bytes(connection)
    assert held == 400_000
    columns.note_pinned(900_000)  # as if other queries had much in their hands
    for _ in range(3):
        assert connection.sql(f"SELECT sum(k) FROM '{path}'").fetchall() == [(99_999 * 50_000,)]
    columns.note_pinned(-900_000)
    assert settled_bytes(connection) == held
    columns.reclaim(1 << 40)
    assert settled_bytes(connection) == 0


def test_a_file_larger_than_the_limit(connect: Connect, tmp_path: Path) -> None:
    path = write_file(tmp_path / "a.parquet", 300_000)
    connection = connect("3MB")
    for _ in range(2):
        result = connection.sql(f"SELECT sum(k), count(t), sum(length(t)) FROM '{path}'").collect()
        expected = duckdb.sql(f"SELECT sum(k), count(t), sum(length(t)) FROM '{path}'").fetchall()
        assert result.fetchall() == expected
        assert result.metrics.pipelines[0].num_parts > 3
    assert connection.memory.host.peak_bytes <= connection.memory.host.limit_bytes


def test_registered_frames_count_their_encoded_copies_only(connect: Connect) -> None:
    connection = connect("1GB")
    shared = pa.table({"f": np.arange(100_000) / 3})
    copied = pa.table({"i": np.arange(100_000) % 100})
    connection.register("shared", shared)
    connection.register("copied", copied)
    connection.sql("SELECT sum(f) FROM shared").fetchall()
    assert settled_bytes(connection) == 0
    connection.sql("SELECT sum(i) FROM copied").fetchall()
    assert settled_bytes(connection) == 100_000
    connection.memory.columns.reclaim(1 << 40)
    assert connection.sql("SELECT sum(i) FROM copied").fetchall() == [(4_950_000,)]
    connection.unregister("copied")
    connection.execute("SELECT 1")
    assert settled_bytes(connection) == 0


def test_many_readers_while_columns_come_and_go(connect: Connect) -> None:
    rows = 60_000
    connection = connect("6MB", threads=2)
    wide_table(connection, rows)
    expected = expected_rows(rows)
    failures: list[BaseException] = []

    def read(first: int) -> None:
        try:
            for position in range(first, first + 6):
                query = QUERIES[position % len(QUERIES)]
                assert connection.sql(query).fetchall() == expected[position % len(QUERIES)]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        connection.memory.columns.reclaim(1 << 20)
        time.sleep(0.005)
    for thread in threads:
        thread.join()
    assert not failures
    connection.execute("DROP TABLE t")
    _wait_for_statistics()
    assert settled_bytes(connection) == 0
