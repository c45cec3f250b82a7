"""Columns of more rows, and strings of more bytes, than 32 bits count. Runs and untouched zeros keep them small.

``GPUQL_HUGE_TESTS=1`` also runs those that take minutes or gigabytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import gpuql
from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column, StringArray
from gpuql.columnar.compressed import RunLengthColumn
from gpuql.columnar.statistics import column_statistics
from gpuql.columnar.strings import (
    compact_strings,
    concat_string_arrays,
    entry_bytes,
    string_array,
    take_strings,
)
from gpuql.columnar.table import ResidentTable
from gpuql.memory.block_file import BlockFile
from gpuql.memory.spill_space import SpillSpace
from gpuql.session import Connection
from gpuql_planner.catalog import Field
from gpuql_planner.types import BIGINT, VARCHAR

MANY_ROWS = 2**31 + 1000
huge = pytest.mark.skipif("GPUQL_HUGE_TESTS" not in os.environ, reason="takes long: set GPUQL_HUGE_TESTS=1")


def runs(values: list[int], ends: list[int]) -> RunLengthColumn:
    return RunLengthColumn(
        BIGINT, np.array(values, np.int8), np.array(ends), None, (min(values), max(values))
    )


def many_rows() -> ResidentTable:
    """Ten rows of group 0, then group 1 until after row 2**31, then 1000 rows of group 2."""
    strings = string_array([b"first", b"last"], unique=True, sorted=True)
    columns = {
        "seven": runs([7], [MANY_ROWS]),
        "grp": runs([0, 1, 2], [10, 2**31, MANY_ROWS]),
        "name": RunLengthColumn(
            VARCHAR, np.array([0, 1], np.int8), np.array([2**31 + 5, MANY_ROWS]), strings, None
        ),
    }
    fields = [Field("seven", BIGINT), Field("grp", BIGINT), Field("name", VARCHAR)]
    return ResidentTable("many", fields, MANY_ROWS, columns)


@pytest.fixture(scope="module", params=["compiled", "interpreted"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    with gpuql.connect(device="cpu", tier=request.param) as connection:
        connection.catalog.add_table(many_rows())
        connection.execute("CREATE TABLE named AS SELECT * FROM (VALUES (2, 'two'), (5, 'five')) AS t(k, n)")
        yield connection


def rows(connection: Connection, sql: str) -> list[tuple[object, ...]]:
    return connection.sql(sql).collect().fetchall()


def in_full(connection: Connection) -> None:
    """Passing over all rows takes the interpreter a minute."""
    if connection.settings.tier == "interpreted" and "GPUQL_HUGE_TESTS" not in os.environ:
        pytest.skip("takes long: set GPUQL_HUGE_TESTS=1")


def test_counts_and_sums(connection: Connection) -> None:
    in_full(connection)
    sql = "SELECT count(*), sum(seven), min(grp), max(grp), count(grp) FROM many"
    assert rows(connection, sql) == [(MANY_ROWS, 7 * MANY_ROWS, 0, 2, MANY_ROWS)]


def test_groups(connection: Connection) -> None:
    in_full(connection)
    sql = "SELECT grp, count(*) FROM many GROUP BY grp ORDER BY grp"
    assert rows(connection, sql) == [(0, 10), (1, 2**31 - 10), (2, 1000)]


def test_filtered_rows(connection: Connection) -> None:
    in_full(connection)
    sql = "SELECT count(*), min(name), max(name), sum(seven) FROM many WHERE grp = 2"
    assert rows(connection, sql) == [(1000, "first", "last", 7000)]


def test_probes(connection: Connection) -> None:
    in_full(connection)
    sql = "SELECT n, count(*) FROM many JOIN named ON grp = k GROUP BY n"
    assert rows(connection, sql) == [("two", 1000)]


def test_the_first_rows_cost_little(connection: Connection) -> None:
    assert rows(connection, "SELECT grp, name FROM many LIMIT 11") == [(0, "first")] * 10 + [(1, "first")]


@huge
def test_rows_far_behind(connection: Connection) -> None:
    sql = f"SELECT grp, name FROM many LIMIT 6 OFFSET {2**31 + 2}"
    assert rows(connection, sql) == [(2, "first")] * 3 + [(2, "last")] * 3
    assert rows(connection, f"SELECT grp FROM many LIMIT 5 OFFSET {MANY_ROWS}") == []


def test_statistics_of_many_rows() -> None:
    table = many_rows()
    facts = table.statistics("grp")
    assert (facts.minimum, facts.maximum, facts.distinct_count) == (0, 2, 3)
    assert (facts.null_count, facts.unique, facts.sorted) == (0, False, True)
    assert table.statistics("seven").distinct_count == 1
    few = column_statistics(runs([3, 4], [1, 2]))
    assert (few.unique, few.sorted) == (True, True)


def test_rows_at_positions_beyond_32_bits() -> None:
    column = many_rows().column("grp")
    assert column.take(np.array([9, 10, 2**31 - 1, 2**31, MANY_ROWS - 1])).values.tolist() == [0, 1, 1, 2, 2]
    part = Batch({1: column}, MANY_ROWS).slice(2**31 - 2, 2**31 + 2)
    assert part.columns[1].values.tolist() == [1, 1, 2, 2]


def long_strings() -> StringArray:
    """A first string of more than 2**31 zero bytes, which nobody touches, and three short ones behind it."""
    tail = b"one" + b"" + b"three"
    data = np.zeros(2**31 + 10 + len(tail), np.uint8)
    data[2**31 + 10 :] = np.frombuffer(tail, np.uint8)
    offsets = np.array([0, 2**31 + 10, 2**31 + 13, 2**31 + 13, 2**31 + 18])
    return StringArray(offsets, data)


def test_strings_behind_two_gigabytes() -> None:
    strings = long_strings()
    assert entry_bytes(take_strings(strings, np.array([3, 1, 2, 3]))) == [b"three", b"one", b"", b"three"]
    many = np.tile(np.array([3, 1]), 1000)
    assert entry_bytes(take_strings(strings, many)) == [b"three", b"one"] * 1000
    tail = StringArray(strings.offsets[1:], strings.data)
    assert entry_bytes(concat_string_arrays([tail, tail])) == [b"one", b"", b"three"] * 2
    column = Column(VARCHAR, np.array([1, 3], np.int8), None, strings)
    compacted = compact_strings(column)
    assert compacted.strings is not None
    assert [entry_bytes(take_strings(compacted.strings, compacted.values.astype(np.int64)))] == [
        [b"one", b"three"]
    ]


def test_strings_behind_two_gigabytes_in_files(tmp_path: Path) -> None:
    file = BlockFile(SpillSpace(tmp_path, None))
    for values in ([1, 2, 3], [3, 1]):
        batch = Batch({1: Column(VARCHAR, np.array(values, np.int8), None, long_strings())}, len(values))
        read = file.get(file.put(batch)).columns[1]
        assert read.strings is not None
        entries = entry_bytes(read.strings)
        assert [entries[i] for i in read.values.tolist()] == [[b"", b"one", b"", b"three"][i] for i in values]
    assert file.num_bytes < 1000
    file.close()


@huge
def test_queries_over_more_than_two_gigabytes_of_strings() -> None:
    num_rows, width = 24_000_000, 100
    letters = np.random.default_rng(0).integers(97, 123, num_rows * width, dtype=np.uint8)
    letters[-width:] = ord("!")
    strings = StringArray(np.arange(num_rows + 1) * width, letters)
    column = Column(VARCHAR, np.arange(num_rows, dtype=np.int32), None, strings)
    with gpuql.connect(device="cpu") as connection:
        connection.catalog.add_table(ResidentTable("t", [Field("s", VARCHAR)], num_rows, {"s": column}))
        assert rows(connection, "SELECT count(*), min(s) FROM t WHERE s LIKE '!!!%'") == [(1, "!" * width)]
        assert rows(connection, "SELECT sum(length(s)), min(s) FROM t") == [(num_rows * width, "!" * width)]
        assert rows(connection, f"SELECT s FROM t LIMIT 1 OFFSET {num_rows - 1}") == [("!" * width,)]
