"""Random aggregations by many columns at once: keys of several words, with NULLs and the ends of each type."""

from __future__ import annotations

import random

#: Columns that generated code groups by.
KEY_COLUMNS = (
    "i64", "u64", "i32", "u32", "i16", "d15", "d18", "ts", "tu", "dt", "s", "t", "b", "f", "r", "q", "k", "none_i",
)  # fmt: skip
_AGGREGATES = (
    "count(*)", "sum(i16)", "min(id)", "max(ts)", "count(s)", "min(f)", "max(d18)", "avg(i32)", "bool_or(b)",
    "count(*) FILTER (WHERE p)", "sum(d9)",
)  # fmt: skip


def wide_aggregation(rng: random.Random, tables: tuple[str, ...]) -> str:
    """A query that fuses, but for what reads the groups."""
    keys = rng.sample(KEY_COLUMNS, rng.choice((2, 3, 3, 4, 5, 7)))
    table = rng.choice(tables)
    where = rng.choice(("", "", " WHERE k > 2", " WHERE i16 IS NOT NULL", " WHERE id < 0", " WHERE b"))
    columns = ", ".join(keys)
    form = rng.random()
    if form < 0.25:
        return f"SELECT DISTINCT {columns} FROM {table}{where}"
    if form < 0.4:
        sides = (f"SELECT {columns} FROM {rng.choice(tables)}{where}" for _ in range(rng.choice((2, 3))))
        return " UNION ".join(sides)
    calls = ", ".join(rng.sample(_AGGREGATES, rng.choice((1, 2, 4))))
    if form < 0.5:
        return f"SELECT {columns}, {calls} FROM {table}{where} GROUP BY ROLLUP ({columns})"
    return f"SELECT {columns}, {calls} FROM {table}{where} GROUP BY {columns}"
