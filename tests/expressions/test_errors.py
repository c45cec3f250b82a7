"""Errors of evaluation: raised for rows whose value SQL needs, and for no others."""

from __future__ import annotations

from typing import Any

import pytest

import gpuql
from gpuql_planner import errors


@pytest.fixture(scope="module")
def engine() -> Any:
    connection = gpuql.connect(device="cpu", tier="interpreted", threads=1)
    connection.execute(
        "CREATE TABLE t AS SELECT * FROM (VALUES (1, 0, 'x', 9223372036854775807::BIGINT), "
        "(2, 5, '12', 1::BIGINT), (3, NULL, NULL, NULL)) v(id, i, s, big)"
    )
    return connection


RAISING = [
    ("id // i", errors.DataError, "22012"),
    ("id % i", errors.DataError, "22012"),
    ("big + 1", errors.ArithmeticOverflowError, "22003"),
    ("big * 2", errors.ArithmeticOverflowError, "22003"),
    ("0 - big - 2", errors.ArithmeticOverflowError, "22003"),
    ("(id * 100)::TINYINT * id::TINYINT", errors.DataError, None),
    ("s::INTEGER", errors.ConversionError, "22018"),
    ("big::INTEGER", errors.ConversionError, "22003"),
    ("big::DECIMAL(5, 2)", errors.ConversionError, "22003"),
    (
        "'2020-13-01'::VARCHAR || s = '' OR ('2020-1' || id || '-40')::DATE IS NULL",
        errors.ConversionError,
        "22018",
    ),
    ("(SELECT u.id FROM t u WHERE u.id >= t.id)", errors.DataError, "21000"),
    ("lpad(s, 5, '')", errors.DataError, "22000"),
    ("regexp_matches(s, '(')", errors.DataError, "2201B"),
]


@pytest.mark.parametrize(("expression", "error", "state"), RAISING)
def test_raises(engine: Any, expression: str, error: type[Exception], state: str | None) -> None:
    with pytest.raises(error) as caught:
        engine.sql(f"SELECT {expression} FROM t").fetchall()
    if state is not None:
        assert caught.value.sqlstate == state


QUIET = [
    ("CASE WHEN i <> 0 THEN id // i END", [None, 0, None]),
    ("CASE WHEN i = 0 THEN -1 ELSE id // i END", [-1, 0, None]),
    ("i <> 0 AND id // i = 0", [False, True, None]),
    ("i = 0 OR id // i = 0", [True, True, None]),
    ("CASE WHEN s = 'x' THEN 0 ELSE s::INTEGER END", [0, 12, None]),
    ("coalesce(i + 1, s::INTEGER)", [1, 6, None]),
    ("CASE WHEN big < 10 THEN big + 1 END", [None, 2, None]),
]


@pytest.mark.parametrize(("expression", "expected"), QUIET)
def test_rows_not_taken_raise_nothing(engine: Any, expression: str, expected: list[Any]) -> None:
    assert [row[0] for row in engine.sql(f"SELECT {expression} FROM t ORDER BY id").fetchall()] == expected


def test_filtered_rows_raise_nothing(engine: Any) -> None:
    assert engine.sql("SELECT id FROM t WHERE i <> 0 AND id // i = 0").fetchall() == [(2,)]
