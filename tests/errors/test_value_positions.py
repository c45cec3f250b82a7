"""Errors of values point at the expression that met them, however the query came to run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import gpuql
from gpuql.errors import Position

TIERS = [{"tier": "interpreted"}, {"tier": "compiled"}, {"optimizer": False}, {"batch_rows": 1}]


@pytest.fixture(params=TIERS, ids=str)
def connection(request: pytest.FixtureRequest) -> Iterator[gpuql.Connection]:
    with gpuql.connect(device="cpu", threads=1, **request.param) as opened:
        opened.execute("CREATE TABLE t AS SELECT range::INTEGER AS a, 'x' || range AS c FROM range(50)")
        yield opened


#: Where the expression begins is marked.
MARKED = [
    "SELECT a, ^a // (a - 7) FROM t",
    "SELECT sum(^a % (a - 7)) FROM t",
    "SELECT a FROM t WHERE a > 3 AND ^c::INTEGER = 1",
    "SELECT a FROM t GROUP BY a HAVING ^1 // (sum(a) - 7) > 0",
    "SELECT a FROM t ORDER BY ^1 // (a - 7)",
    "SELECT row_number() OVER (ORDER BY ^1 // (a - 7)) FROM t",
    "SELECT t.a FROM t JOIN t u ON t.a = u.a AND ^t.a // (u.a - 7) >= 0",
    "SELECT CASE WHEN a = 7 THEN ^c::DATE END FROM t",
    "SELECT a FROM t\nWHERE a IN (SELECT ^a // (a - 9)\n  FROM t)",
    "WITH w AS (SELECT ^a // (a - 7) AS x FROM t) SELECT max(x) FROM w",
    "SELECT list_transform([a], lambda x: ^10 // (x - 7)) FROM t",
    "SELECT 1; SELECT upper(c), abs(^c::INTEGER) FROM t",
]


@pytest.mark.parametrize("marked", MARKED)
def test_expression_is_pointed_at(connection: gpuql.Connection, marked: str) -> None:
    text = marked.replace("^", "")
    before = marked[: marked.index("^")]
    place = Position(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)
    for _ in range(2):  # the second time the plan is known
        with pytest.raises(gpuql.GpuqlError) as caught:
            connection.execute(text).fetchall()
        assert caught.value.position == place
        assert caught.value.statement == text


def test_a_plan_with_other_constants_points_into_its_own_text(connection: gpuql.Connection) -> None:
    assert len(connection.execute("SELECT 1000 + a, a // (a - 70) FROM t").fetchall()) == 50
    text = "SELECT 1 + a, a // (a - 7) FROM t"
    with pytest.raises(gpuql.GpuqlError) as caught:
        connection.execute(text).fetchall()
    assert caught.value.position == Position(1, text.index("a //") + 1)


def test_a_view_is_pointed_at_by_its_query(connection: gpuql.Connection) -> None:
    connection.execute("CREATE VIEW v AS SELECT a // (a - 7) AS x FROM t")
    with pytest.raises(gpuql.GpuqlError) as caught:
        connection.execute("SELECT 2;\nSELECT x FROM v").fetchall()
    assert caught.value.position == Position(2, 1)


def test_macros_are_pointed_at_where_they_are_called(connection: gpuql.Connection) -> None:
    connection.execute("CREATE MACRO inverse(x) AS 100 // (x - 7)")
    with pytest.raises(gpuql.GpuqlError) as caught:
        connection.execute("SELECT a, inverse(a) FROM t").fetchall()
    assert caught.value.position == Position(1, 11)


def test_rules_of_a_table_are_pointed_at_by_the_table(connection: gpuql.Connection) -> None:
    connection.execute("CREATE TABLE k (a INTEGER CHECK (100 // a > 1))")
    for statement in ("INSERT INTO k VALUES (0)", "INSERT INTO k SELECT a FROM t WHERE a = 0"):
        with pytest.raises(gpuql.GpuqlError) as caught:
            connection.execute(statement)
        assert caught.value.position == Position(1, 13)
    assert connection.execute("SELECT count(*) FROM k").fetchall() == [(0,)]


def test_frames_without_a_text_have_no_place(connection: gpuql.Connection) -> None:
    frame = connection.table("t").select(gpuql.col("c").cast("integer"))
    with pytest.raises(gpuql.ConversionError) as caught:
        frame.collect()
    assert caught.value.position is None
    assert "could not cast text" in str(caught.value)
