"""Random window calls: any function over any frame gives what DuckDB gives."""

from __future__ import annotations

import math
import random
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import gpuql

AGGREGATES = (
    *("sum(i)", "sum(m)", "sum(f)", "avg(i)", "avg(f)", "min(s)", "max(i)", "min(f)", "max(d)", "count(*)"),
    *("count(s)", "count(DISTINCT i)", "sum(DISTINCT i)", "bit_xor(i)", "bool_or(b)", "var_samp(f)"),
    *("median(i)", "quantile_disc(f, 0.3)", "string_agg(s, '-' ORDER BY id)", "arg_max(id, i + id / 1000)"),
    *("sum(i) FILTER (WHERE b)", "max(s) FILTER (WHERE i > 0)", "mode(b)", "stddev_pop(i)"),
)
VALUES = (
    *("first_value({})", "last_value({})", "nth_value({}, 2)", "first_value({} IGNORE NULLS)"),
    *("last_value({} IGNORE NULLS)", "nth_value({}, 3 IGNORE NULLS)", "lag({})", "lead({}, 2)"),
    *("lag({} IGNORE NULLS)", "lead({}, k)", "lag({}, -1)"),
)
NUMBERS = ("row_number()", "ntile(3)", "ntile(id + 1)")
RANKS = ("rank()", "dense_rank()", "percent_rank()", "cume_dist()")
OFFSETS = {"ROWS": ("0", "1", "3", "k"), "GROUPS": ("0", "1", "2"), "RANGE": ("0", "1", "2.5", "k")}

#: Aggregates that bring all rows of a frame together.
SLOW = ("DISTINCT", "median", "quantile", "string_agg", "mode")


def _table(generator: random.Random, num_rows: int) -> pa.Table:
    def column(make: Any, kind: pa.DataType) -> pa.Array:
        share = generator.choice((0.0, 0.2, 0.6))
        return pa.array([None if generator.random() < share else make() for _ in range(num_rows)], kind)

    ids = list(range(num_rows))
    generator.shuffle(ids)
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "g": column(lambda: generator.randint(0, 3), pa.int32()),
            "i": column(lambda: generator.randint(-9, 9), pa.int32()),
            "k": pa.array([generator.randint(0, 4) for _ in range(num_rows)], pa.int32()),
            "f": column(lambda: generator.choice((-1.5, 0.25, 2.0, 7.75, 1e6)), pa.float64()),
            "m": column(lambda: generator.randint(-(10**9), 10**9), pa.int64()),
            "s": column(
                lambda: generator.choice(("", "a", "b", "a longer text, of many bytes")), pa.string()
            ),
            "d": column(lambda: generator.randint(0, 60), pa.date32()),
            "b": column(lambda: generator.random() < 0.5, pa.bool_()),
        }
    )


def _bounds(generator: random.Random, unit: str) -> str:
    offset = OFFSETS[unit]
    ends = (
        "UNBOUNDED PRECEDING",
        f"{generator.choice(offset)} PRECEDING",
        "CURRENT ROW",
        f"{generator.choice(offset)} FOLLOWING",
        "UNBOUNDED FOLLOWING",
    )
    start = generator.randrange(4)
    stop = generator.randrange(max(1, start), 5)
    return f"{unit} BETWEEN {ends[start]} AND {ends[stop]}"


def _call(generator: random.Random) -> str:
    partition = generator.choice(("", "", "PARTITION BY g ", "PARTITION BY g, b ", "PARTITION BY i % 2 "))
    direction = generator.choice(("", " DESC", " NULLS FIRST", " DESC NULLS FIRST"))
    kind = generator.randrange(5)
    if kind == 0:
        key = generator.choice(("g", "i", "f", "s", "d", "g, i", "b, f"))
        return f"{generator.choice(RANKS)} OVER ({partition}ORDER BY {key}{direction})"
    unique = f"{generator.choice(('', 'i, ', 'f DESC, ', 's, '))}id{direction}"
    if kind == 1:
        return f"{generator.choice(NUMBERS)} OVER ({partition}ORDER BY {unique})"
    exclude = generator.choice(("", "", " EXCLUDE CURRENT ROW", " EXCLUDE GROUP", " EXCLUDE TIES"))
    if kind == 2:
        function = generator.choice(VALUES).format(generator.choice("ifsdb"))
        return f"{function} OVER ({partition}ORDER BY {unique} {_bounds(generator, 'ROWS')}{exclude})"
    unit = generator.choice(("ROWS", "ROWS", "GROUPS", "RANGE"))
    key = unique if unit == "ROWS" else generator.choice(("i", "f", "k", "g")) + direction
    return (
        f"{generator.choice(AGGREGATES)} OVER ({partition}ORDER BY {key} {_bounds(generator, unit)}{exclude})"
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6) or (one != one and other != other)
    return bool(one == other)


@pytest.mark.parametrize("limit", ["auto", "1MB"])
def test_random_windows(limit: str, seed: int, scale: float) -> None:
    generator = random.Random(seed)
    settings = {} if limit == "auto" else {"memory_limit": limit}
    with (
        gpuql.connect(device="cpu", tier="interpreted", **settings) as connection,
        duckdb.connect() as oracle,
    ):
        for _ in range(round((20 if limit == "auto" else 6) * scale)):
            num_rows = generator.choice((0, 1, 2, 7, 40, 300)) if limit == "auto" else 6_000
            table = _table(generator, num_rows)
            oracle.register("t", table)
            connection.register("t", table)
            for _ in range(8 if limit == "auto" else 2):
                calls = [_call(generator) for _ in range(generator.choice((1, 1, 3)))]
                if limit != "auto":  # DuckDB takes long for these over long frames, and so do we
                    calls = [call for call in calls if not any(word in call for word in SLOW)]
                    calls = calls or ["count(*) OVER (ORDER BY i RANGE BETWEEN 1 PRECEDING AND k FOLLOWING)"]
                values = ", ".join(f"{call} AS v{number}" for number, call in enumerate(calls))
                query = f"SELECT * FROM (SELECT id, {values} FROM t) ORDER BY id"
                expected = oracle.sql(query).fetchall()
                rows = connection.sql(query).fetchall()
                assert len(rows) == len(expected)
                for row, wanted in zip(rows, expected, strict=True):
                    assert all(map(_same, row, wanted)), (query, row, wanted, num_rows)
