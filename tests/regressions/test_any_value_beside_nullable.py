"""any_value() of a column without NULLs keeps its value where tables of groups are merged, beside one with NULLs."""

import duckdb
import pytest

import gpuql

TABLES = (
    "CREATE TABLE people AS SELECT a AS number, 7 * a AS code, CASE WHEN a % 5 = 0 THEN NULL ELSE a % 100 END AS first "
    "FROM range(30000) r(a)",
    "CREATE TABLE visits AS SELECT (a * 7919) % 30000 AS person, (a % 3) * 1000000 AS year FROM range(300000) r(a)",
)
QUERY = (
    "SELECT person, year, any_value(code) AS code, any_value(first) AS first "
    # Conditions that hold always and are not expected to: the table of groups has to grow.
    "FROM visits JOIN people ON person = number WHERE 2 * person >= person AND year + 1 > year "
    "AND 3 * person = person * 3 GROUP BY person, year"
)


@pytest.mark.parametrize("threads", [1, 2])
def test_rows(threads):
    ours, theirs = gpuql.connect(device="cpu", threads=threads, tier="compiled"), duckdb.connect()
    answers = []
    for connection in (ours, theirs):
        for table in TABLES:
            connection.execute(table)
        summed = f"SELECT count(*), sum(code), sum(first), count(first) FROM ({QUERY}) g"
        wrong = f"SELECT count(*) FROM ({QUERY}) g WHERE code <> 7 * person"
        answers.append((connection.execute(summed).fetchall(), connection.execute(wrong).fetchall()))
    assert answers[0] == answers[1]
