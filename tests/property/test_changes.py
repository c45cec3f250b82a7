"""Random INSERT, UPDATE, DELETE and MERGE in a row, in and out of transactions: the tables are DuckDB's after each."""

from __future__ import annotations

import random
from collections.abc import Sequence

import duckdb
import pytest

import gpuql

_SEQUENCES = 6
_STATEMENTS = 30
_TABLES = {
    "t": "CREATE TABLE t (a INTEGER, b INTEGER DEFAULT 5, c VARCHAR)",
    "k": "CREATE TABLE k (a INTEGER PRIMARY KEY, b INTEGER CHECK (b <> 13), c VARCHAR NOT NULL)",
}


class _Writer:
    """Writes statements whose outcome does not depend on the order of rows."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def statement(self) -> str:
        """Any statement."""
        table = self._random.choice(list(_TABLES))
        kinds = [self._insert, self._insert, self._update, self._update_from, self._delete, self._merge]
        return self._random.choice(kinds)(table)

    def _number(self) -> str:
        return self._random.choice(["NULL", *map(str, range(-3, 15))])

    def _text(self) -> str:
        return self._random.choice(["NULL", "''", "'x'", "'yy'", "'été'", "'x' || 'z'"])

    def _rows(self, distinct: bool = False) -> str:
        count = self._random.randint(1, 4)
        keys: Sequence[object] = self._random.sample(range(-3, 15), count) if distinct else ()
        rows = [
            f"({keys[i] if distinct else self._number()}, {self._number()}, {self._text()})"
            for i in range(count)
        ]
        return ", ".join(rows)

    def _condition(self) -> str:
        return self._random.choice(
            [
                f"a > {self._number()}",
                f"b <= {self._number()} OR c = {self._text()}",
                f"a IN ({self._number()}, {self._number()})",
                "c IS NULL",
                "a % 3 = 1 AND b IS NOT NULL",
                "b = (SELECT max(b) FROM t)",
                "length(c) > 1",
            ]
        )

    def _insert(self, table: str) -> str:
        form = self._random.randrange(5)
        if form == 0:
            return f"INSERT INTO {table} (c, a) VALUES ({self._text()}, {self._number()})"
        if form == 1:
            return f"INSERT INTO {table} SELECT a + 20, b, c FROM {table} WHERE {self._condition()}"
        if form == 2 and table == "k":
            rows = self._rows(distinct=True)
            return f"INSERT INTO k VALUES {rows} ON CONFLICT (a) DO UPDATE SET b = k.b + excluded.b"
        if form == 3 and table == "k":
            return f"INSERT OR IGNORE INTO k VALUES {self._rows(distinct=True)}"
        return f"INSERT INTO {table} VALUES {self._rows()}"

    def _update(self, table: str) -> str:
        value = self._random.choice(
            ["b + 1", "a", self._number(), "CASE WHEN b > 3 THEN NULL ELSE b * 2 END", "DEFAULT"]
        )
        more = self._random.choice(["", f", c = {self._text()}", ", c = c || 'q'"])
        return f"UPDATE {table} SET b = {value}{more} WHERE {self._condition()}"

    def _update_from(self, table: str) -> str:
        rows = self._rows(distinct=True)
        return f"UPDATE {table} SET b = s.y FROM (VALUES {rows}) AS s(x, y, z) WHERE {table}.a = s.x"

    def _delete(self, table: str) -> str:
        if self._random.random() < 0.5:
            return f"DELETE FROM {table} WHERE {self._condition()} AND a % 2 = {self._random.randrange(2)}"
        return f"DELETE FROM {table} USING (VALUES {self._rows()}) AS s(x, y, z) WHERE {table}.a = s.x AND s.y > 5"

    def _merge(self, table: str) -> str:
        rows = self._rows(distinct=True)
        matched = self._random.choice(["UPDATE SET b = s.b + 1", "DELETE", "UPDATE", "DO NOTHING"])
        missing = self._random.choice(["INSERT", "INSERT (a, c) VALUES (s.a, 'new')", "DO NOTHING"])
        rest = self._random.choice(["", " WHEN NOT MATCHED BY SOURCE AND a > 10 THEN DELETE"])
        return (
            f"MERGE INTO {table} USING (VALUES {rows}) AS s(a, b, c) ON {table}.a = s.a "
            f"WHEN MATCHED AND s.b > 2 THEN {matched} WHEN NOT MATCHED THEN {missing}{rest}"
        )


def _outcome(connection: object, statement: str) -> object:
    """Rows, or that there was an error."""
    try:
        return connection.execute(statement).fetchall()  # type: ignore[attr-defined]
    except (duckdb.Error, gpuql.GpuqlError):
        return "error"


@pytest.mark.parametrize("seed", range(_SEQUENCES))
def test_tables_are_those_of_duckdb(seed: int) -> None:
    settings = {"memory_limit": "4MB"} if seed % 3 == 0 else {"batch_rows": 3} if seed % 3 == 1 else {}
    writer, chance = _Writer(seed), random.Random(-seed)
    with (
        gpuql.connect(device="cpu", threads=1, tier="interpreted", **settings) as ours,
        duckdb.connect() as theirs,
    ):
        for definition in _TABLES.values():
            ours.execute(definition)
            theirs.execute(definition)
        open_since = -1
        done: list[str] = []
        for number in range(_STATEMENTS):
            statements = [writer.statement()]
            if open_since < 0 and chance.random() < 0.15:
                statements, open_since = ["BEGIN", *statements], number
            elif open_since >= 0 and chance.random() < 0.3:
                statements.append(chance.choice(["COMMIT", "ROLLBACK"]))
                open_since = -1
            for statement in statements:
                done.append(statement)
                mine, expected = _outcome(ours, statement), _outcome(theirs, statement)
                if statement not in ("BEGIN", "COMMIT", "ROLLBACK"):
                    assert mine == expected, "\n".join(done)
            for table in _TABLES:
                query = f"SELECT * FROM {table} ORDER BY ALL"
                assert _outcome(ours, query) == _outcome(theirs, query), "\n".join(done)
