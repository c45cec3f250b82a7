"""Groups whose rows all match one build row keep its number, not its columns."""

from __future__ import annotations

import pytest

import gpuql

ROWS = "[group] = np.int32(r_"


@pytest.fixture(scope="module")
def connection():  # type: ignore[no-untyped-def]
    connection = gpuql.connect(device="cpu", tier="compiled")
    connection.execute("CREATE TABLE fact AS SELECT range * 7 % 5000 AS who, range AS v FROM range(60000)")
    connection.execute(
        "CREATE TABLE part AS SELECT range AS id, CASE WHEN range % 3 > 0 THEN 'n' || range END AS name, "
        "CASE WHEN range % 4 > 0 THEN range % 9 END AS town FROM range(5000)"
    )
    connection.execute(
        "CREATE TABLE town AS SELECT range AS code, CASE WHEN range > 2 THEN 't' END AS label FROM range(9)"
    )
    return connection


@pytest.mark.parametrize(
    ("sql", "kept"),
    [
        ("SELECT who, name, town, sum(v) FROM fact JOIN part ON who = id GROUP BY ALL", True),
        ("SELECT who, any_value(name), sum(v) FROM fact JOIN part ON who = id GROUP BY who", True),
        ("SELECT who, any_value(label) FROM fact JOIN part ON who = id JOIN town ON town = code GROUP BY 1", True),
        ("SELECT v, any_value(name), sum(v) FROM fact JOIN part ON who = id GROUP BY v", False),
        ("SELECT who, any_value(name) FILTER (WHERE v > 9) FROM fact JOIN part ON who = id GROUP BY who", False),
        ("SELECT who, any_value(name), sum(v) FROM fact LEFT JOIN part ON who = id GROUP BY who", False),
    ],
)  # fmt: skip
def test_row_is_kept(connection: gpuql.Connection, sql: str, kept: bool) -> None:
    assert (ROWS in connection.explain(sql, codegen=True)) is kept
