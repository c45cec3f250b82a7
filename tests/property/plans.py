"""Random queries over tiny integer tables: deep trees of joins, subqueries and groups, in which nothing can fail.

They are for the optimizer: each is cheap, so thousands of plan shapes can be compared.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import duckdb

TABLES = ("x", "y", "z")
COLUMNS = ("id", "a", "b", "c", "s")


def create_tiny_tables(oracle: duckdb.DuckDBPyConnection, seed: int) -> None:
    """Tables of 0 to 12 rows: ``id`` unique, ``a`` few values, ``b`` and ``c`` with NULLs, ``s`` a string."""
    rng = random.Random(f"{seed} tiny")
    for name in TABLES:
        rows = [
            f"({number}, {rng.randint(0, 3)}, {rng.choice(('NULL', 0, 1, 2, 3, 4))}, {rng.choice(('NULL', 1, 2, 9))}, "
            f"{rng.choice(('NULL', repr('p'), repr('q'), repr('')))})"
            for number in range(rng.choice((5, 8, 12)))
        ]
        oracle.execute(f"CREATE TABLE {name} (id INTEGER, a INTEGER, b INTEGER, c INTEGER, s VARCHAR)")
        oracle.execute(f"INSERT INTO {name} VALUES {', '.join(rows)}")


class PlanGenerator:
    """Makes queries; the same random generator gives the same ones."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._aliases = 0

    def query(self) -> str:
        """A query without a promised order."""
        self._aliases = 0
        return self._select(3, ())[0]

    # --- FROM -----------------------------------------------------------------------------------------------------

    def _alias(self) -> str:
        self._aliases += 1
        return f"t{self._aliases}"

    def _source(self, depth: int, outer: Sequence[str]) -> tuple[str, list[str]]:
        """A table, subquery or join, and its columns."""
        form = self.rng.random()
        if depth <= 0 or form < 0.35:
            alias = self._alias()
            return f"{self.rng.choice(TABLES)} {alias}", [f"{alias}.{name}" for name in COLUMNS]
        if form < 0.5:
            text, width = self._select(depth - 1, ())
            alias = self._alias()
            names = [f"n{i}" for i in range(width)]
            return f"({text}) {alias}({', '.join(names)})", [f"{alias}.{name}" for name in names]
        left, left_columns = self._source(depth - 1, outer)
        right, right_columns = self._source(depth - 1 if self.rng.random() < 0.5 else 0, outer)
        kind = self.rng.choice(
            ("JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN")
        )
        columns = left_columns + right_columns
        if kind == "CROSS JOIN":
            return f"({left} CROSS JOIN {right})", columns
        conditions = [
            self._equality(left_columns, right_columns) for _ in range(self.rng.choice((1, 1, 2, 2)))
        ]
        if self.rng.random() < 0.35 and kind != "FULL JOIN":
            conditions.append(self._condition(0, columns))
        return f"({left} {kind} {right} ON {' AND '.join(conditions)})", columns

    def _equality(self, left: Sequence[str], right: Sequence[str]) -> str:
        one, other = self.rng.choice(left), self.rng.choice(right)
        if one.endswith(".s") != other.endswith(".s") or ".n" in one + other:
            one, other = f"CAST({one} AS VARCHAR)", f"CAST({other} AS VARCHAR)"
        operator = self.rng.choice(("=", "=", "=", "=", "IS NOT DISTINCT FROM"))
        return f"{one} {operator} {other}"

    # --- conditions -----------------------------------------------------------------------------------------------

    def _numbers(self, columns: Sequence[str]) -> list[str]:
        return [c for c in columns if c.split(".")[1] in ("id", "a", "b", "c")] or ["1"]

    def _condition(self, depth: int, columns: Sequence[str]) -> str:
        rng = self.rng
        numbers = self._numbers(columns)
        one, other = rng.choice(numbers), rng.choice(numbers)
        form = rng.random()
        if depth > 0 and form < 0.45:
            return self._subquery_condition(depth - 1, columns)
        if form < 0.6:
            return f"{one} {rng.choice(('=', '<', '>=', '<>', '='))} {rng.randint(0, 4)}"
        if form < 0.72:
            return f"{one} {rng.choice(('=', '<', '=', '<>'))} {other}"
        if form < 0.78:
            return f"{rng.choice(columns)} IS {rng.choice(('', 'NOT '))}NULL"
        if form < 0.83:
            return f"{one} IN (1, {rng.randint(2, 4)}{rng.choice(('', ', NULL'))})"
        if form < 0.87:
            return f"{one} = {other} + 1"
        if form < 0.9:
            return f"coalesce({one}, {other}) > 1"
        inner = (self._condition(depth, columns), self._condition(0, columns))
        if form < 0.97:
            return f"({inner[0]} {rng.choice(('OR', 'OR', 'AND'))} {inner[1]})"
        return f"NOT ({inner[0]})"

    def _subquery_condition(self, depth: int, columns: Sequence[str]) -> str:
        rng = self.rng
        source, inner = self._source(min(depth, 1), columns)
        outer = rng.choice(self._numbers(columns))
        value = rng.choice(self._numbers(inner))
        parts = []
        if rng.random() < 0.75:
            parts.append(
                f"{rng.choice(self._numbers(inner))} {rng.choice(('=', '=', '=', '<', '<>'))} {outer}"
            )
        if rng.random() < 0.4:
            parts.append(self._condition(depth, inner))
        where = f" WHERE {' AND '.join(parts)}" if parts else ""
        tested = rng.choice(self._numbers(columns))
        form = rng.random()
        if form < 0.4:
            return f"{rng.choice(('', 'NOT '))}EXISTS (SELECT 1 FROM {source}{where})"
        if form < 0.75:
            return f"{tested} {rng.choice(('', 'NOT '))}IN (SELECT {value} FROM {source}{where})"
        function = rng.choice(
            ("count(*)", f"max({value})", f"sum({value})", f"min({value})", f"count({value})")
        )
        return f"{tested} {rng.choice(('<', '=', '>='))} (SELECT {function} FROM {source}{where})"

    # --- SELECT ---------------------------------------------------------------------------------------------------

    def _select(self, depth: int, outer: Sequence[str]) -> tuple[str, int]:
        """A query and its number of columns."""
        rng = self.rng
        source, columns = self._source(depth, outer)
        parts = [self._condition(depth, columns) for _ in range(rng.choice((0, 1, 1, 2)))]
        where = f" WHERE {' AND '.join(parts)}" if parts else ""
        form = rng.random()
        chosen = rng.sample(columns, min(len(columns), rng.choice((1, 2, 3))))
        if form < 0.3:
            keys = ", ".join(chosen)
            calls = ", ".join(self._aggregate(columns) for _ in range(rng.choice((1, 2))))
            having = f" HAVING count(*) > {rng.randint(0, 2)}" if rng.random() < 0.25 else ""
            return f"SELECT {keys}, {calls} FROM {source}{where} GROUP BY {keys}{having}", len(
                chosen
            ) + calls.count("(")
        if form < 0.4:
            return f"SELECT {self._aggregate(columns)}, {self._aggregate(columns)} FROM {source}{where}", 2
        if form < 0.5:
            return f"SELECT DISTINCT {', '.join(chosen)} FROM {source}{where}", len(chosen)
        if form < 0.56 and depth:
            other = rng.choice(TABLES)
            operator = rng.choice(("UNION", "UNION ALL", "EXCEPT", "INTERSECT", "EXCEPT ALL"))
            number = rng.choice(self._numbers(columns))
            return f"SELECT {number} FROM {source}{where} {operator} SELECT b FROM {other}", 1
        if form < 0.66 and depth:
            correlated, inner = self._source(0, columns)
            value, key = rng.choice(self._numbers(inner)), rng.choice(self._numbers(inner))
            function = rng.choice(("count(*)", f"max({value})", f"sum({value})"))
            scalar = (
                f"(SELECT {function} FROM {correlated} WHERE {key} = {rng.choice(self._numbers(columns))})"
            )
            return f"SELECT {', '.join(chosen)}, {scalar} FROM {source}{where}", len(chosen) + 1
        return f"SELECT {', '.join(chosen)} FROM {source}{where}", len(chosen)

    def _aggregate(self, columns: Sequence[str]) -> str:
        number = self.rng.choice(self._numbers(columns))
        return self.rng.choice(
            ("count(*)", f"sum({number})", f"min({number})", f"max({number})", f"count({number})")
        )
