"""CAST of constant text has the type that was asked for, also beside a column of a narrower one."""

import duckdb
import pytest

import gpuql

EXPRESSIONS = [
    "CAST('2000000000' AS BIGINT) + k",
    "greatest(TRY_CAST('12' AS BIGINT), k)",
    "coalesce(k, TRY_CAST('12' AS BIGINT))",
    "CAST('7' AS SMALLINT) * s",
    "k - '12'::HUGEINT",
]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_type_and_value(expression):
    ours, theirs = gpuql.connect(device="cpu"), duckdb.connect()
    answers = []
    for connection in (ours, theirs):
        connection.execute("create table t as select 2000000000::integer as k, 2::smallint as s")
        query = f"select {expression} as v from t"
        kind = connection.execute(f"describe {query}").fetchall()[0][1]
        answers.append((kind, connection.execute(query).fetchall()))
    assert answers[0] == answers[1]
