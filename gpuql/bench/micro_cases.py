"""Cases of ``gpuql bench micro``: for each an operator, its input and a statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """One operator: the columns that it needs, and a statement whose time is almost all that operator's."""

    name: str
    columns: tuple[str, ...]
    sql: str
    runs: int = 0  # 0: as many as asked for


#: Neighbours differ by a factor of 1.5 at most, two of them by one group: time that grows with the groups stays below
#: that factor, so a larger step is a cliff between strategies.
GROUP_COUNTS = tuple(
    sorted({1, 129, 10_000_000, *(1 << bits for bits in range(24)), *(3 << bits for bits in range(22))})
)


def group_case(groups: int) -> str:
    """Name of the case that groups into so many groups."""
    return f"group by, {groups:,} groups"


#: What every query costs is small, so its median takes more runs.
_FIXED_COST_RUNS = 200

CASES = (
    Case("fixed cost, SELECT 1", (), "SELECT 1", _FIXED_COST_RUNS),
    Case("fixed cost, one row of 1,000", (), "SELECT a FROM small WHERE a = 77", _FIXED_COST_RUNS),
    Case("filter and sum, 1 % of rows", ("a", "f"), "SELECT sum(f) FROM t WHERE a < 10"),
    Case("filter and sum, 50 % of rows", ("a", "f"), "SELECT sum(f) FROM t WHERE a < 500"),
    Case("arithmetic", ("f", "g"), "SELECT sum(f * (1 - g) + f * g) FROM t"),
    Case("semi-join, 143 keys", ("a", "f"), "SELECT sum(f) FROM t WHERE a IN (SELECT a FROM small)"),
    Case("join, 1 million keys", ("k1000000", "f"), "SELECT sum(f + v) FROM t JOIN million ON k1000000 = k"),
    *(
        Case(
            group_case(groups),
            (f"k{groups}", "f"),
            f"SELECT count(*) FROM (SELECT k{groups}, sum(f) AS s FROM t GROUP BY k{groups}) WHERE s < 0",
        )
        for groups in GROUP_COUNTS
    ),
    Case("top 100", ("f", "a"), "SELECT f, a FROM t ORDER BY f LIMIT 100"),
    Case("sort", ("f",), "SELECT count(*) FROM (SELECT f FROM t ORDER BY f LIMIT 1000000000 OFFSET 1)"),
    *(
        Case(
            f"window, {name}",
            ("k1000", "f", "a"),
            f"SELECT count(*) FROM (SELECT {call} AS v FROM t) WHERE v IS NULL",
        )
        for name, call in (
            ("row_number", "row_number() OVER (PARTITION BY k1000 ORDER BY f)"),
            ("rank", "rank() OVER (PARTITION BY a ORDER BY k1000)"),
            ("ntile", "ntile(100) OVER (ORDER BY f)"),
            ("lag", "lag(f) OVER (PARTITION BY k1000 ORDER BY f)"),
            ("first value", "first_value(f) OVER (PARTITION BY k1000 ORDER BY a)"),
            ("whole partition", "sum(a) OVER (PARTITION BY k1000)"),
            ("running sum", "sum(f) OVER (PARTITION BY k1000 ORDER BY f)"),
            ("sliding minimum", "min(a) OVER (ORDER BY f ROWS BETWEEN 100 PRECEDING AND CURRENT ROW)"),
            ("moving average", "avg(f) OVER (ORDER BY f ROWS BETWEEN 50 PRECEDING AND 50 FOLLOWING)"),
            ("range", "count(*) OVER (ORDER BY f RANGE BETWEEN 0.001 PRECEDING AND 0.001 FOLLOWING)"),
        )
    ),
    Case(
        "window, ten best of each",
        ("k1000", "f"),
        "SELECT sum(f) FROM (SELECT f FROM t QUALIFY row_number() OVER (PARTITION BY k1000 ORDER BY f DESC) <= 10)",
    ),
    *(
        Case(
            f"grouping sets, {name}",
            (*columns, "f"),
            f"SELECT count(*), sum(s) FROM (SELECT sum(f) AS s FROM t GROUP BY {groups})",
        )
        for name, columns, groups in (
            ("rollup of 2, 16,000 groups", ("a", "k16"), "ROLLUP (a, k16)"),
            ("rollup of 2, 1 million groups", ("a", "k1024"), "ROLLUP (a, k1024)"),
            ("cube of 3, 4,000 groups", ("k16", "k24", "k8"), "CUBE (k16, k24, k8)"),
            ("two keys apart", ("a", "k65536"), "GROUPING SETS ((a), (k65536))"),
            ("a word and a number", ("w", "k16"), "GROUPING SETS ((w, k16), (w), ())"),
        )
    ),
    *(
        Case(f"distinct, {name}", columns, sql)
        for name, columns, sql in (
            ("rows, 1,000", ("a",), "SELECT count(*) FROM (SELECT DISTINCT a FROM t)"),
            (
                "rows, 2 columns, 1 million",
                ("a", "k1024"),
                "SELECT count(*) FROM (SELECT DISTINCT a, k1024 FROM t)",
            ),
            (
                "rows, 10 million numbers",
                ("k10000000",),
                "SELECT count(*) FROM (SELECT DISTINCT k10000000 FROM t)",
            ),
            ("count, 1,000", ("a",), "SELECT count(DISTINCT a) FROM t"),
            ("count, 10 million numbers", ("k10000000",), "SELECT count(DISTINCT k10000000) FROM t"),
            ("count, floats", ("f",), "SELECT count(DISTINCT f) FROM t"),
            ("count, different strings", ("s",), "SELECT count(DISTINCT s) FROM t"),
            ("count, words", ("w",), "SELECT count(DISTINCT w) FROM t"),
            (
                "count by 16 groups",
                ("k16", "k1048576"),
                "SELECT sum(c) FROM (SELECT count(DISTINCT k1048576) AS c FROM t GROUP BY k16)",
            ),
            (
                "count by 1,000 groups",
                ("a", "k65536"),
                "SELECT sum(c) FROM (SELECT count(DISTINCT k65536) AS c FROM t GROUP BY a)",
            ),
            (
                "count by 65,536 groups",
                ("a", "k65536"),
                "SELECT sum(c) FROM (SELECT count(DISTINCT a) AS c FROM t GROUP BY k65536)",
            ),
            (
                "count and sum by 1,000 groups",
                ("a", "k1024", "f"),
                "SELECT sum(c), sum(s) FROM "
                "(SELECT count(DISTINCT k1024) AS c, sum(f) AS s, count(*) AS n FROM t GROUP BY a)",
            ),
            (
                "two counts by 16 groups",
                ("k16", "a", "k65536"),
                "SELECT sum(c), sum(d) FROM "
                "(SELECT count(DISTINCT a) AS c, count(DISTINCT k65536) AS d FROM t GROUP BY k16)",
            ),
        )
    ),
    Case("LIKE over different strings", ("s",), "SELECT count(*) FROM t WHERE s LIKE '%7%3%'"),
    Case("LIKE over a dictionary", ("w",), "SELECT count(*) FROM t WHERE w LIKE '%7%3%'"),
)


def make_column(name: str, num_rows: int, generator: np.random.Generator) -> Any:
    """Column ``name`` of the input table: see :data:`CASES` for which stands for what."""
    match name:
        case "a":
            return generator.integers(0, 1000, num_rows)
        case "f" | "g":
            return generator.random(num_rows)
        case "s":
            return np.char.add("item ", generator.permutation(num_rows).astype(str))
        case "w":
            return np.char.add("word ", generator.integers(0, 1000, num_rows).astype(str))
    assert name.startswith("k"), "the rest are keys"
    return generator.integers(0, int(name[1:]), num_rows)
