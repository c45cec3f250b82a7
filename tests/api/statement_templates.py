"""Random statements with holes for constants, and constants to fill them with."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

#: Constants by kind. Each pool mixes plain values with those at which planning might decide otherwise: limits of
#: narrow types, other digits, empty and malformed texts.
POOLS: dict[str, tuple[str, ...]] = {
    "integer": (
        "0",
        "1",
        "2",
        "3",
        "5",
        "7",
        "10",
        "127",
        "128",
        "255",
        "300",
        "32767",
        "32768",
        "2147483647",
        "2147483648",
        "9223372036854775807",
        "9223372036854775808",
        "-1",
        "-128",
        "-129",
        "-2147483648",
    ),
    "small": ("0", "1", "2", "3", "4", "5"),
    "decimal": ("0.0", "0.1", "0.5", "1.5", "2.5", "9.9", "-0.5", "1.0", "2.00", "1.25", "0.001", "12345.67"),
    "text": ("'a'", "'b'", "'ab'", "''", "'A'", "'1'", "'2'", "'zz'", "'it''s'", "'%'", "'7.5'"),
    "pattern": ("'a%'", "'%b'", "'%a%'", "'_'", "'%'", "''", "'a_%'", "'ab'", "'%%'", "'a%b%'"),
    "date": ("'1994-01-01'", "'1994-02-28'", "'1996-02-29'", "'1993-12-31'", "'1994-01-02'", "'2000-01-31'"),
    "timestamp": ("'1994-01-01'", "'1994-01-01 00:00:00'", "'1994-01-01 12:30:00'", "'1996-02-29 23:59:59'"),
    "odd": ("'1994-01-01'", "'x'", "'12'", "''", "'1994-13-01'", "' 3 '", "'true'"),
    "fraction": ("0.5", "0.25", "0.0", "1.0", "0.9"),
}

#: Columns of the tables ``t`` and ``u`` by kind; ``DATA`` makes them.
COLUMNS: dict[str, tuple[str, ...]] = {
    "integer": ("i8", "i16", "i32", "i64"),
    "decimal": ("d52", "d184"),
    "number": ("i8", "i32", "i64", "d52", "d184", "f64"),
    "text": ("s",),
    "date": ("d",),
    "timestamp": ("ts",),
}

DATA = """
SELECT (i % 23 - 11)::TINYINT AS i8, (i * 37 % 601 - 300)::SMALLINT AS i16, (i * 7919 % 100)::INTEGER AS i32,
       CASE WHEN i % 9 = 0 THEN NULL ELSE i * 104729 % 5000000000 END::BIGINT AS i64,
       ((i * 31 % 2001 - 1000) / 100)::DECIMAL(5,2) AS d52, (i * 1.25)::DECIMAL(18,4) AS d184,
       CASE WHEN i % 7 = 0 THEN NULL ELSE (i % 16) / 2 END::DOUBLE AS f64,
       CASE i % 8 WHEN 0 THEN NULL WHEN 1 THEN 'a' WHEN 2 THEN 'b' WHEN 3 THEN 'ab' WHEN 4 THEN 'A'
            WHEN 5 THEN '' WHEN 6 THEN 'a%b' ELSE '1' END AS s,
       CASE WHEN i % 11 = 0 THEN NULL ELSE DATE '1993-12-25' + (i % 40)::INTEGER END AS d,
       TIMESTAMP '1993-12-31 22:00:00' + (i % 50)::INTEGER * INTERVAL 1 HOUR AS ts, i % 3 = 0 AS b,
       i::INTEGER AS k
FROM generate_series(1, {rows}) AS g(i)
"""


@dataclass(frozen=True)
class Template:
    """Text with ``{0}``, ``{1}`` … where constants of ``kinds`` go."""

    text: str
    kinds: tuple[str, ...]

    def filled(self, choose: random.Random) -> str:
        """The text with constants; often some of them are equal."""
        known: dict[str, str] = {}
        constants = []
        for kind in self.kinds:
            constant = choose.choice(POOLS[kind])
            if kind in known and choose.random() < 0.4:
                constant = known[kind]
            known[kind] = constant
            constants.append(constant)
        return self.text.format(*constants)


class TemplateMaker:
    """Makes random templates of queries over the tables ``t`` and ``u``."""

    def __init__(self, choose: random.Random) -> None:
        self._choose = choose
        self._kinds: list[str] = []

    def template(self) -> Template:
        """One more template."""
        self._kinds = []
        shapes: list[Callable[[], str]] = [
            self._plain,
            self._plain,
            self._grouped,
            self._joined,
            self._nested,
            self._united,
            self._computed,
            self._shared,
            self._limited,
        ]
        text = self._choose.choice(shapes)()
        return Template(text, tuple(self._kinds))

    # --- queries ---

    def _plain(self) -> str:
        return f"SELECT k, i32, s FROM t WHERE {self._condition(2)} ORDER BY ALL"

    def _limited(self) -> str:
        order = f"ORDER BY ALL LIMIT {self._hole('small')} OFFSET {self._hole('small')}"
        return f"SELECT k, d52 FROM t WHERE {self._condition(1)} {order}"

    def _grouped(self) -> str:
        key = self._choose.choice([self._number, lambda: "s", lambda: f"i32 % {self._hole('small')}"])()
        having = self._choose.choice(
            ["", f"HAVING count(*) > {self._hole('small')}", f"HAVING sum(i32) >= {self._hole('integer')}"]
        )
        inside = self._choose.choice([self._number(), f"CASE WHEN {self._condition(1)} THEN i32 END"])
        where = f"WHERE {self._condition(1)}"
        select = f"SELECT {key} AS key, count(*) AS n, sum({inside}) AS total FROM t {where}"
        return f"{select} GROUP BY {self._choose.choice(['key', '1', 'ALL'])} {having} ORDER BY ALL"

    def _joined(self) -> str:
        kind = self._choose.choice(["JOIN", "LEFT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN"])
        extra = f"AND {self._qualified('t')}" if self._choose.random() < 0.6 else ""
        where = "" if self._choose.random() < 0.4 else f"WHERE {self._qualified('t')}"
        columns = "t.k, t.s" if kind in ("SEMI JOIN", "ANTI JOIN") else "t.k, u.k, t.s"
        return f"SELECT {columns} FROM t {kind} u ON t.k = u.k {extra} {where} ORDER BY ALL"

    def _qualified(self, table: str) -> str:
        column = self._choose.choice(["i32", "i64", "d52"])
        return f"{table}.{column} {self._operator()} {self._hole('integer')}"

    def _nested(self) -> str:
        inner = self._choose.choice(
            [
                lambda: f"k IN (SELECT k FROM u WHERE {self._condition(1)})",
                lambda: f"k NOT IN (SELECT k + {self._hole('small')} FROM u WHERE {self._condition(1)})",
                lambda: f"EXISTS (SELECT 1 FROM u WHERE u.k = t.k AND u.i32 > {self._hole('integer')})",
                lambda: f"i32 > (SELECT avg(i32) * {self._hole('decimal')} FROM u WHERE u.i8 = t.i8)",
                lambda: f"i32 > (SELECT {self._hole('small')} + min(i32) FROM u WHERE {self._condition(1)})",
            ]
        )()
        return f"SELECT k, s FROM t WHERE {inner} AND {self._condition(1)} ORDER BY ALL"

    def _united(self) -> str:
        operation = self._choose.choice(["UNION", "UNION ALL", "INTERSECT", "EXCEPT"])
        first = f"SELECT {self._number()} AS x, s FROM t WHERE {self._condition(1)}"
        second = f"SELECT {self._number()}, {self._hole('text')} FROM u WHERE {self._condition(1)}"
        return f"({first}) {operation} ({second}) ORDER BY ALL"

    def _computed(self) -> str:
        items = ", ".join(f"{self._value()} AS c{index}" for index in range(3))
        unnamed = self._choose.choice(["", f", {self._number()}", f", {self._hole('integer')}"])
        return f"SELECT k, {items}{unnamed} FROM t WHERE {self._condition(1)} ORDER BY ALL"

    def _shared(self) -> str:
        if self._choose.random() < 0.5:
            part = f"SELECT i8, count(*) AS n FROM t WHERE {self._condition(1)} GROUP BY i8"
            return (
                f"WITH w AS ({part}) SELECT a.i8, a.n, b.n FROM w AS a JOIN w AS b ON a.n = b.n ORDER BY ALL"
            )
        column, operator = self._choose.choice(["i32", "d52", "i64"]), self._operator()
        parts = [
            f"(SELECT i8, sum(i32) AS n FROM t WHERE {column} {operator} {self._hole('small')} GROUP BY i8)"
            for _ in range(2)
        ]
        return f"SELECT a.i8, a.n, b.n FROM {parts[0]} AS a JOIN {parts[1]} AS b ON a.i8 = b.i8 ORDER BY ALL"

    # --- expressions ---

    def _hole(self, kind: str) -> str:
        self._kinds.append(kind)
        return f"{{{len(self._kinds) - 1}}}"

    def _column(self, kind: str) -> str:
        return self._choose.choice(COLUMNS[kind])

    def _operator(self) -> str:
        return self._choose.choice(["=", "<>", "<", "<=", ">", ">="])

    def _number(self) -> str:
        column = self._column("number")
        return self._choose.choice(
            [
                lambda: f"{column} + {self._hole('integer')}",
                lambda: f"{self._hole('small')} * {column}",
                lambda: f"{column} - {self._hole('decimal')}",
                lambda: f"{column} * (1 - {self._hole('decimal')})",
                lambda: f"i32 // {self._hole('small')}",
                lambda: f"i32 / {self._hole('small')}",
                lambda: f"coalesce({column}, {self._hole('small')})",
                lambda: f"round(d184, {self._hole('small')})",
                lambda: f"greatest(i32, {self._hole('integer')}, {self._hole('integer')})",
                lambda: f"nullif(i32, {self._hole('small')})",
                lambda: f"CASE i32 WHEN {self._hole('small')} THEN {self._hole('small')} ELSE i8 END",
                lambda: f"({self._hole('integer')} + {self._hole('small')}) * i8",
                lambda: f"-{self._hole('small')} + i16",
                lambda: column,
            ]
        )()

    def _value(self) -> str:
        return self._choose.choice(
            [
                self._number,
                lambda: f"substring(s, {self._hole('small')}, {self._hole('small')})",
                lambda: f"s || {self._hole('text')}",
                lambda: f"CASE WHEN {self._condition(1)} THEN {self._hole('text')} ELSE s END",
                lambda: f"d + {self._hole('small')}",
                lambda: f"d + INTERVAL {self._hole('small')} MONTH",
                lambda: f"date_trunc('month', ts - INTERVAL {self._hole('small')} DAY)",
                lambda: f"CAST({self._hole('odd')} AS {self._choose.choice(['DATE', 'INTEGER', 'VARCHAR'])})",
                lambda: (
                    f"TRY_CAST({self._hole('odd')} AS {self._choose.choice(['DATE', 'INTEGER', 'DOUBLE'])})"
                ),
                lambda: f"{self._hole('integer')} {self._operator()} {self._hole('integer')}",
                lambda: f"replace(s, {self._hole('text')}, {self._hole('text')})",
                lambda: f"{self._hole('text')} IS NULL",
                lambda: f"CAST(i32 AS DECIMAL(9,2)) + {self._hole('decimal')}",
            ]
        )()

    def _condition(self, depth: int) -> str:
        if depth > 0 and self._choose.random() < 0.6:
            word = self._choose.choice(["AND", "OR", "AND"])
            return f"({self._condition(depth - 1)} {word} {self._condition(depth - 1)})"
        prefix = "NOT " if self._choose.random() < 0.15 else ""
        return (
            prefix
            + self._choose.choice(
                [
                    self._compare_number,
                    self._compare_number,
                    self._between,
                    self._in_list,
                    self._compare_date,
                    self._compare_timestamp,
                    self._compare_text,
                    self._like,
                    self._twice,
                    self._constant,
                ]
            )()
        )

    def _compare_number(self) -> str:
        constant = self._hole(self._choose.choice(["integer", "small", "decimal"]))
        number = self._choose.choice([lambda: self._column("number"), self._number])()
        if self._choose.random() < 0.3:
            return f"{constant} {self._operator()} {number}"
        return f"{number} {self._operator()} {constant}"

    def _between(self) -> str:
        kind = self._choose.choice(["integer", "decimal", "small"])
        low, high = self._hole(kind), self._hole(kind)
        if self._choose.random() < 0.4:
            low, high = f"{low} - {self._hole(kind)}", f"{high} + {self._hole(kind)}"
        return f"{self._column('number')} BETWEEN {low} AND {high}"

    def _in_list(self) -> str:
        column, kind = self._choose.choice(
            [
                ("i8", "integer"),
                ("i32", "small"),
                ("d52", "decimal"),
                ("i64", "integer"),
                ("s", "text"),
                ("d", "date"),
                ("d52", "small"),
                ("f64", "decimal"),
            ]
        )
        options = ", ".join(self._hole(kind) for _ in range(self._choose.randint(1, 4)))
        return f"{column} {self._choose.choice(['IN', 'NOT IN'])} ({options})"

    def _compare_date(self) -> str:
        operator = self._operator()
        return self._choose.choice(
            [
                lambda: f"d {operator} DATE {self._hole('date')}",
                lambda: f"d {operator} {self._hole('date')}",
                lambda: f"d {operator} DATE {self._hole('date')} + INTERVAL {self._hole('small')} MONTH",
                lambda: f"d {operator} DATE {self._hole('date')} - INTERVAL {self._hole('text')} DAY",
                lambda: f"d {operator} TIMESTAMP {self._hole('timestamp')}",
                lambda: f"d {operator} {self._hole('odd')}",
                lambda: f"year(d) = {self._hole('small')} + 1992",
            ]
        )()

    def _compare_timestamp(self) -> str:
        operator = self._operator()
        return self._choose.choice(
            [
                lambda: f"ts {operator} {self._hole('timestamp')}",
                lambda: f"ts {operator} DATE {self._hole('date')}",
                lambda: (
                    f"ts {operator} TIMESTAMP {self._hole('timestamp')} + INTERVAL {self._hole('small')} HOUR"
                ),
            ]
        )()

    def _compare_text(self) -> str:
        left = self._choose.choice(["s", "upper(s)", "coalesce(s, '')"])
        return f"{left} {self._operator()} {self._hole('text')}"

    def _like(self) -> str:
        word = self._choose.choice(["LIKE", "NOT LIKE", "ILIKE"])
        return f"s {word} {self._hole('pattern')}"

    def _twice(self) -> str:
        column = self._choose.choice(["i32", "i64", "d52", "d"])
        kind = "date" if column == "d" else "small"
        first, second = self._operator(), self._operator()
        return f"({column} {first} {self._hole(kind)} AND {column} {second} {self._hole(kind)})"

    def _constant(self) -> str:
        kind = self._choose.choice(["small", "text", "decimal"])
        return f"{self._hole(kind)} {self._operator()} {self._hole(kind)}"
