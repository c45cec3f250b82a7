"""Deep and long statements: an answer or a typed error, in any thread, and never a crash."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import pytest

import gpuql
from gpuql import col
from gpuql.errors import ProgrammingError

DEEP: dict[str, Callable[[int], str]] = {
    "calls": lambda n: "SELECT " + "abs(" * n + "a" + ")" * n + " FROM range(2) t(a)",
    "parentheses": lambda n: "SELECT " + "(" * n + "a" + ")" * n + " FROM range(2) t(a)",
    "not": lambda n: "SELECT " + "NOT " * n + "a > 5 FROM range(2) t(a)",
    "case": lambda n: (
        "SELECT " + "CASE WHEN a = 7 THEN 7 ELSE " * n + "a" + " END" * n + " FROM range(2) t(a)"
    ),
    "sum": lambda n: "SELECT " + " + ".join(["a"] * n) + " FROM range(2) t(a)",
    "union": lambda n: " UNION ALL ".join(["SELECT 1"] * n),
    "subqueries": lambda n: "SELECT * FROM (" * n + "SELECT 1" + ")" * n,
    "with": lambda n: (
        "WITH c0 AS (SELECT 1 AS a)"
        + "".join(f", c{i} AS (SELECT a + 1 AS a FROM c{i - 1})" for i in range(1, n))
        + f" SELECT * FROM c{n - 1}"
    ),
}


@pytest.fixture
def connection() -> gpuql.Connection:
    return gpuql.connect(device="cpu")


@pytest.mark.parametrize("form", DEEP)
def test_eighty_levels_run(connection: gpuql.Connection, form: str) -> None:
    assert connection.execute(DEEP[form](80)).fetchall()
    assert sys.getrecursionlimit() < 5000, "the limit is raised while a statement runs only"


@pytest.mark.parametrize("form", [form for form in DEEP if form != "with"])
def test_thousands_of_levels_are_an_error_in_any_thread(connection: gpuql.Connection, form: str) -> None:
    answers: list[object] = []

    def run() -> None:
        try:
            answers.append(connection.execute(DEEP[form](6000)).fetchall())
        except gpuql.GpuqlError as error:
            answers.append(error.message)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(timeout=300)
    assert answers == ["statement is nested too deeply"]
    assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_long_statements(connection: gpuql.Connection) -> None:
    conditions = " AND ".join(f"a <> {i}" for i in range(5, 5005))
    rows = connection.execute(f"SELECT count(*) FROM range(10) t(a) WHERE {conditions}").fetchall()
    assert rows == [(5,)]
    items = ", ".join(map(str, range(0, 20_000, 2)))
    rows = connection.execute(f"SELECT count(*) FROM range(10) t(a) WHERE a IN ({items})").fetchall()
    assert rows == [(5,)]
    wide = connection.from_dict({f"column_{i}": [i, i + 1] for i in range(500)})
    assert len(wide.filter(col("column_7") > 7).collect().fetchall()[0]) == 500


def test_deep_frames(connection: gpuql.Connection) -> None:
    frame = connection.from_dict({"a": [1, 2]})
    expression = col("a")
    for _ in range(500):
        expression = expression + 1  # type: ignore[assignment]
    assert frame.select(expression).collect().fetchall() == [(501,), (502,)]
    for _ in range(5000):
        expression = expression + 1  # type: ignore[assignment]
    with pytest.raises(ProgrammingError, match="nested too deeply"):
        frame.select(expression).collect()
