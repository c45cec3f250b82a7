"""States of groups in registers, in a block's shared memory and in arrays of all blocks: the rows are DuckDB's."""

from __future__ import annotations

import os

import duckdb
import pytest

import gpuql

DEVICE = "cudasim" if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1" else "gpu"
AGGREGATES = """count(*), count(v), sum(v), min(v), max(v), avg(v), sum(f), min(f), max(f), any_value(k * 2),
    count(*) filter (where v > 0), sum(big), bool_or(v > 90)"""


@pytest.fixture(scope="module")
def connections():  # type: ignore[no-untyped-def]
    rows = """select range as i,
        case when range % 11 = 0 then null else (range * 7919) % 401 - 200 end as v,
        case when range % 13 = 0 then 'nan'::double when range % 17 = 0 then null else range / 8.0 - 40 end as f,
        (range * 104729) % 5000000000 - 2500000000 as big,
        range % 2 as two, range % 60 as many, range % 3000 as more
        from range(700)"""
    ours = gpuql.connect(device=DEVICE, tier="compiled")
    theirs = duckdb.connect()
    for connection in (ours, theirs):
        connection.execute(f"create table t as {rows}")
    return ours, theirs


def check(connections, sql: str, kept: str) -> None:  # type: ignore[no-untyped-def]
    ours, theirs = connections
    plan = ours.explain(sql, codegen=True)
    assert kept in plan
    expected = [tuple(map(str, row)) for row in theirs.execute(sql).fetchall()]
    assert [tuple(map(str, row)) for row in ours.execute(sql).fetchall()] == expected


@pytest.mark.parametrize(
    ("key", "kept"),
    [
        ("two", "t2_1"),  # a register for each accumulator of each group
        ("many", "cell = group *"),  # shared memory
        ("more", "cuda.atomic.add(s"),  # arrays that all blocks update
    ],
)
@pytest.mark.parametrize("condition", ["true", "v between -150 and 150", "i < 0", "i = 699"])
def test_states_are_put_together(connections, key: str, kept: str, condition: str) -> None:  # type: ignore[no-untyped-def]
    aggregates = AGGREGATES.replace("any_value(k * 2)", f"any_value({key} * 2)")
    sql = f"select {key}, {aggregates} from t where {condition} group by {key} order by {key}"
    check(connections, sql, kept)


@pytest.mark.parametrize("condition", ["true", "v > 100", "i < 0", "i = 3"])
def test_one_group_without_keys(connections, condition: str) -> None:  # type: ignore[no-untyped-def]
    aggregates = AGGREGATES.replace("any_value(k * 2)", "any_value(i) is not null")
    check(connections, f"select {aggregates} from t where {condition}", "t0_0")


def test_rows_put_out_by_several_threads_are_all_there(connections) -> None:  # type: ignore[no-untyped-def]
    check(connections, "select i, v from t where v > 0 and i % 3 = 1 order by i", "next_slot(status)")


@pytest.mark.parametrize(
    "keys",
    [
        "big * 900000000, i % 7 * 1000000000000000000",  # two words
        "i * 3000000000000000, -i * 4000000000000000, v",  # three
        "f",  # halves of the bits, and a value of the group
        "f, v, case when many = 3 then null else big * 3000000000 end",
    ],
)
def test_keys_of_several_words(connections, keys: str) -> None:  # type: ignore[no-untyped-def]
    """Also where more groups come than were expected, so that the table grows."""
    sql = f"select {keys}, count(*), sum(v), min(i) from t group by all order by all"
    check(connections, sql, "group_slot_of_words(table, status, capacity, key)")
