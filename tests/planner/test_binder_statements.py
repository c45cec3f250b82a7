"""Statements other than queries."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from gpuql_planner.catalog import Field
from gpuql_planner.logical.format import format_logical
from gpuql_planner.logical.nodes import Values
from gpuql_planner.logical.verify import verify
from gpuql_planner.sql.bind import bind_statements
from gpuql_planner.sql.statements import (
    CreateTable,
    CreateView,
    Drop,
    Explain,
    Insert,
    Query,
    SetVariable,
)
from gpuql_planner.types import INTEGER, VARCHAR, decimal
from tests.planner.binder_catalog import bind_one, small_catalog


def test_create_table_with_columns() -> None:
    statement = bind_one("CREATE TABLE IF NOT EXISTS z (a INT NOT NULL, b DECIMAL(10,2), c VARCHAR(20))")
    assert statement == CreateTable(
        "z",
        (Field("a", INTEGER, nullable=False), Field("b", decimal(10, 2)), Field("c", VARCHAR)),
        None,
        or_replace=False,
        if_not_exists=True,
    )


def test_create_table_as_gives_every_column_a_name_and_type() -> None:
    statement = bind_one("CREATE OR REPLACE TABLE z AS SELECT i, i, NULL AS nothing FROM t")
    assert isinstance(statement, CreateTable)
    assert [(field.name, field.dtype) for field in statement.fields] == [
        ("i", INTEGER),
        ("i_1", INTEGER),
        ("nothing", INTEGER),
    ]
    assert statement.or_replace
    assert statement.query is not None
    verify(statement.query.plan)
    assert [output.dtype for output in statement.query.plan.outputs] == [INTEGER] * 3


def test_create_view_keeps_the_text_of_its_query() -> None:
    text = "CREATE VIEW v(a) AS (SELECT CAST(i AS VARCHAR)\n FROM t) ; SELECT 1"
    statement = bind_statements(text, small_catalog())[0]
    assert statement == CreateView("v", "(SELECT CAST(i AS VARCHAR)\n FROM t)", ("a",))


def test_drop() -> None:
    assert bind_one("DROP TABLE IF EXISTS z") == Drop("table", "z", if_exists=True)
    assert bind_one("DROP VIEW totals") == Drop("view", "totals")


def test_insert_values_are_constants_of_the_column_types() -> None:
    statement = bind_one(
        "INSERT INTO t VALUES (1, 'a', 2.5, '2020-01-31', 'true', 1), (DEFAULT, 2, NULL, NULL, NULL, 2)"
    )
    assert isinstance(statement, Insert)
    assert isinstance(statement.query.plan, Values)
    assert statement.query.plan.rows == (
        (1, "a", Decimal("2.50"), datetime.date(2020, 1, 31), True, 1.0),
        (None, "2", None, None, None, 2.0),
    )


def test_insert_puts_columns_in_table_order() -> None:
    statement = bind_one("INSERT INTO u (k) SELECT i FROM t")
    assert isinstance(statement, Insert)
    verify(statement.query.plan)
    assert format_logical(statement.query.plan).startswith("Project NULL AS i#7, i#1\n")
    assert statement.query.names == ("i", "k")


def test_insert_casts_a_query() -> None:
    statement = bind_one("INSERT INTO u SELECT i, x FROM t")
    assert isinstance(statement, Insert)
    assert "CAST(i#1 AS BIGINT) AS i#7, CAST(x#6 AS INTEGER) AS k#8" in format_logical(statement.query.plan)


def test_insert_by_name_and_with() -> None:
    statement = bind_one("INSERT INTO u BY NAME SELECT 1 AS k, 2 AS i")
    assert isinstance(statement, Insert)
    assert [output.dtype for output in statement.query.plan.outputs] == [
        output.dtype
        for output in bind_one("SELECT * FROM u").plan.outputs  # type: ignore[union-attr]
    ]
    statement = bind_one("WITH a AS (SELECT * FROM u) INSERT INTO u SELECT * FROM a")
    assert isinstance(statement, Insert)


@pytest.mark.parametrize(
    ("prefix", "mode"),
    [("EXPLAIN", "plan"), ("EXPLAIN ANALYZE", "analyze"), ("EXPLAIN (CODEGEN)", "codegen")],
)
def test_explain(prefix: str, mode: str) -> None:
    statement = bind_one(f"{prefix} SELECT i FROM t WHERE i = ?", parameters=[1])
    assert isinstance(statement, Explain)
    assert statement.mode == mode
    assert isinstance(statement.statement, Query)


def test_describe_and_show() -> None:
    described = bind_one("DESCRIBE t")
    assert isinstance(described, Query)
    assert described.names == ("column_name", "column_type", "null", "key", "default", "extra")
    described = bind_one("DESCRIBE SELECT i + 1 AS j FROM t")
    assert isinstance(described, Query)
    assert isinstance(described.plan, Values)
    assert described.plan.rows == (("j", "INTEGER", "YES", None, None, None),)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("SET threads = 4", "threads", 4),
        ("SET Device TO 'cpu'", "device", "cpu"),
        ("SET device = gpu", "device", "gpu"),
        ("SET verify = true", "verify", True),
        ("RESET threads", "threads", None),
    ],
)
def test_settings(text: str, name: str, value: object) -> None:
    assert bind_one(text) == SetVariable(name, value)


def test_integer_division_setting() -> None:
    [statement] = bind_statements("SELECT 7 / 2, 7.0 / 2", small_catalog(), integer_division=True)
    assert isinstance(statement, Query)
    assert [str(output.dtype) for output in statement.plan.outputs] == ["INTEGER", "DOUBLE"]
