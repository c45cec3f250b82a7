"""Random queries over the tables of ``tests.property.tables``: joins, groups, subqueries, set operations, limits."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.property.expressions import ExpressionGenerator

#: Columns that may be joined, left with right; some pairs have different types.
_JOIN_KEYS = (
    ("k", "k"), ("s", "s"), ("t", "s"), ("dt", "dt"), ("d9", "d9"), ("i8", "i16"), ("i16", "i32"), ("u8", "k"),
    ("b", "p"), ("w", "w"), ("ts", "dt"), ("h", "i32"), ("d38", "d15"), ("q", "q"), ("r", "q"), ("f", "f"),
    ("i64", "id"), ("id", "id"), ("i32", "k"), ("k", "i32"), ("k", "id"), ("id", "k"), ("s", "t"), ("none_s", "t"),
    ("none_i", "k"), ("none_s", "s"), ("u64", "k"), ("d4", "i8"), ("f", "i16"),
)  # fmt: skip
_JOIN_KINDS = ("JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN")


@dataclass(frozen=True)
class RandomQuery:
    """SQL text, and whether its order is total."""

    sql: str
    ordered: bool = False


class QueryGenerator:
    """Makes queries; the same random generator gives the same ones."""

    def __init__(self, rng: random.Random, tables: tuple[str, str] = ("tame", "other")) -> None:
        self.rng = rng
        self.tables = tables

    def query(self) -> RandomQuery:
        """One query of a random form."""
        form = self.rng.choice(
            (
                self._filtered, self._grouped, self._grouped, self._grouped, self._joined, self._joined,
                self._joined_groups, self._joined_groups, self._semi_joined, self._semi_joined, self._scalar_subquery,
                self._set_operation, self._distinct, self._top, self._nested, self._reduced, self._three_tables,
                self._marked, self._having, self._shared, self._ordered_groups, self._using,
            )
        )  # fmt: skip
        return form()

    # --- parts ----------------------------------------------------------------------------------------------------

    def _expressions(self, prefix: str | tuple[str, ...] = "") -> ExpressionGenerator:
        return ExpressionGenerator(self.rng, prefix)

    def _table(self) -> str:
        return (
            self.rng.choice((*self.tables, self.tables[0], self.tables[0]))
            if self.rng.random() > 0.03
            else "empty"
        )

    def _where(self, prefix: str | tuple[str, ...] = "", chance: float = 0.6) -> str:
        if self.rng.random() > chance:
            return ""
        return f" WHERE {self._expressions(prefix).condition(self.rng.choice((1, 2, 2, 3)))}"

    def _aggregate(self, prefix: str | tuple[str, ...] = "") -> str:
        rng, make = self.rng, self._expressions(prefix)
        first = prefix if isinstance(prefix, str) else prefix[0]
        chosen = rng.random()
        if chosen < 0.12:
            text = "count(*)"
        elif chosen < 0.22:
            text = f"count({make.any(2)})"
        elif chosen < 0.34:
            text = f"count(DISTINCT {make.any(1)})"
        elif chosen < 0.52:
            text = f"{rng.choice(('sum', 'avg', 'sum'))}({make.make(rng.choice(('integer', 'decimal')), 2)})"
        elif chosen < 0.58:
            text = f"{rng.choice(('sum', 'avg'))}({first}{rng.choice(('q', 'r', 'q * 2', 'd9'))})"
        elif chosen < 0.78:
            text = f"{rng.choice(('min', 'max'))}({make.any(2)})"
        elif chosen < 0.84:
            text = f"{rng.choice(('bool_and', 'bool_or'))}({make.make('boolean', 2)})"
        elif chosen < 0.88:
            text = f"sum(DISTINCT {make.make('integer', 1)})"
        elif chosen < 0.92:
            text = f"{rng.choice(('stddev_samp', 'var_pop'))}({first}{rng.choice(('i16', 'k', 'd9', 'q'))})"
        elif chosen < 0.96:
            text = f"{rng.choice(('bit_and', 'bit_or', 'bit_xor'))}({first}{rng.choice(('i16', 'k', 'i64', 'u8'))})"
        else:
            text = rng.choice(
                (f"median({first}i16)", f"count_if({first}b)", f"quantile_disc({first}d9, 0.3)")
            )
        if rng.random() < 0.25:
            text += f" FILTER (WHERE {make.condition(2)})"
        return text

    def _aggregates(self, prefix: str | tuple[str, ...] = "") -> list[str]:
        return [self._aggregate(prefix) for _ in range(self.rng.choice((1, 2, 3, 5)))]

    def _keys(self, prefix: str | tuple[str, ...] = "") -> list[str]:
        make = self._expressions(prefix)
        keys = []
        for _ in range(self.rng.choice((1, 1, 2, 3))):
            if self.rng.random() < 0.6:
                name = self.rng.choice(
                    ("k", "s", "t", "b", "p", "i8", "dt", "w", "d4", "u8", "q", "f", "h", "d38")
                )
                keys.append(self.rng.choice(make.prefixes) + name)
            else:
                key = make.any(2)
                if key.lstrip("(-").isdecimal():  # a number would be the position of a column
                    key = f"({key} + 0)"
                keys.append(key)
        return keys

    def _join_condition(self) -> str:
        pairs = self.rng.sample(_JOIN_KEYS, self.rng.choice((1, 1, 1, 2, 3)))
        operator = " IS NOT DISTINCT FROM " if self.rng.random() < 0.08 else " = "
        conditions = [f"a.{left}{operator}b.{right}" for left, right in pairs]
        if self.rng.random() < 0.3:
            conditions.append(self._expressions(("a.", "b.")).condition(2))
        return " AND ".join(conditions)

    def _join(self) -> str:
        kind = self.rng.choice(_JOIN_KINDS)
        return f"{self.tables[0]} a {kind} {self.rng.choice(self.tables)} b ON {self._join_condition()}"

    # --- forms ----------------------------------------------------------------------------------------------------

    def _filtered(self) -> RandomQuery:
        make = self._expressions()
        columns = ", ".join(["id", *(make.any(3) for _ in range(self.rng.choice((1, 3))))])
        return RandomQuery(f"SELECT {columns} FROM {self._table()}{self._where(chance=0.9)}")

    def _reduced(self) -> RandomQuery:
        return RandomQuery(f"SELECT {', '.join(self._aggregates())} FROM {self._table()}{self._where()}")

    def _grouped(self) -> RandomQuery:
        keys = self._keys()
        columns = ", ".join([*keys, *self._aggregates()])
        return RandomQuery(f"SELECT {columns} FROM {self._table()}{self._where()} GROUP BY {', '.join(keys)}")

    def _ordered_groups(self) -> RandomQuery:
        """Aggregates that depend on the order of rows, which ``id`` fixes."""
        make = self._expressions()
        direction = self.rng.choice(("", " DESC"))
        calls = (
            f"first({make.any(1)} ORDER BY id{direction})", f"last({make.any(1)} ORDER BY id{direction})",
            f"string_agg({make.make('string', 1)}, '|' ORDER BY id{direction})", f"arg_min({make.any(1)}, id)",
            f"arg_max({make.any(1)}, id)", f"string_agg(DISTINCT t, ',' ORDER BY t{direction})",
            "quantile_cont(i16, 0.3)", "quantile_disc(s, 0.5)", "median(d9)",
        )  # fmt: skip
        chosen = ", ".join(self.rng.sample(calls, 2))
        keys = ", ".join(self._keys())
        return RandomQuery(f"SELECT {keys}, {chosen} FROM {self._table()}{self._where()} GROUP BY {keys}")

    def _having(self) -> RandomQuery:
        keys = self._keys()
        having = self.rng.choice(
            ("count(*) > 3", "min(k) < 2", "sum(i16) > 0 OR count(s) < 2", "max(dt) IS NOT NULL")
        )
        return RandomQuery(
            f"SELECT {', '.join([*keys, self._aggregate()])} FROM {self._table()}{self._where()} "
            f"GROUP BY {', '.join(keys)} HAVING {having}"
        )

    def _joined(self) -> RandomQuery:
        make = self._expressions(("a.", "b."))
        columns = ", ".join(["a.id", "b.id", make.any(2)])
        return RandomQuery(f"SELECT {columns} FROM {self._join()}{self._where(('a.', 'b.'), 0.5)}")

    def _using(self) -> RandomQuery:
        keys = self.rng.choice(("k", "s", "k, t", "dt", "d9", "b", "q, p"))
        kind = self.rng.choice(_JOIN_KINDS)
        return RandomQuery(
            f"SELECT {keys}, a.id, b.id FROM {self.tables[0]} a {kind} {self.tables[1]} b USING ({keys})"
            f"{self._where(('a.', 'b.'), 0.3)}"
        )

    def _joined_groups(self) -> RandomQuery:
        prefixes = ("a.", "b.")
        source, where = self._join(), self._where(prefixes, 0.4)
        if self.rng.random() < 0.3:
            return RandomQuery(f"SELECT {', '.join(self._aggregates(prefixes))} FROM {source}{where}")
        keys = self._keys(prefixes)
        columns = ", ".join([*keys, *self._aggregates(prefixes)])
        return RandomQuery(f"SELECT {columns} FROM {source}{where} GROUP BY {', '.join(keys)}")

    def _three_tables(self) -> RandomQuery:
        kinds = [self.rng.choice(("JOIN", "LEFT JOIN", "JOIN")) for _ in range(2)]
        second = self.rng.choice(
            (
                "b.id = c.id", "a.id = c.id AND b.k = c.k", "a.k = c.id", "b.i16 = c.id", "a.k = c.id AND b.id = c.id",
                "a.id = c.id AND b.k = c.id", "a.t = c.s AND b.s = c.s AND a.k = c.id", "b.k = c.id AND b.i32 = c.id",
            )
        )  # fmt: skip
        where = self._where(("a.", "b.", "c."), 0.5)
        return RandomQuery(
            f"SELECT count(*), sum(a.id), sum(b.id), sum(c.k), {self._aggregate(('a.', 'b.', 'c.'))} "
            f"FROM tame a {kinds[0]} other b ON a.i8 = b.i8 AND a.t = b.t {kinds[1]} other c ON {second}{where}"
        )

    def _subquery_condition(self) -> str:
        rng = self.rng
        inner = self._expressions("b.")
        pair = rng.choice(_JOIN_KEYS)
        local = f" AND {inner.condition(2)}" if rng.random() < 0.4 else ""
        extra = rng.choice(("", "", " AND b.id <> a.id", " AND b.i16 < a.i16", " AND b.d9 > a.d15"))
        table = rng.choice(self.tables)
        not_ = rng.choice(("", "NOT "))
        form = rng.random()
        if form < 0.45:
            return f"{not_}EXISTS (SELECT 1 FROM {table} b WHERE a.{pair[0]} = b.{pair[1]}{extra}{local})"
        if form < 0.85:
            where = f" WHERE b.p{local}" if rng.random() < 0.6 else ""
            if rng.random() < 0.3:
                where = f" WHERE b.k = a.k{local}"
            return f"a.{pair[0]} {not_}IN (SELECT b.{pair[1]} FROM {table} b{where})"
        operator = rng.choice(("<", "=", ">="))
        function = rng.choice(("max", "min", "avg"))
        return f"a.i16 {operator} (SELECT {function}(b.i16) FROM {table} b WHERE b.k = a.k{local})"

    def _semi_joined(self) -> RandomQuery:
        conditions = [self._subquery_condition() for _ in range(self.rng.choice((1, 1, 2)))]
        if self.rng.random() < 0.5:
            conditions.append(self._expressions("a.").condition(2))
        connective = " AND " if self.rng.random() < 0.8 else " OR "
        columns = "a.id" if self.rng.random() < 0.5 else f"count(*), sum(a.id), {self._aggregate('a.')}"
        return RandomQuery(f"SELECT {columns} FROM {self.tables[0]} a WHERE {connective.join(conditions)}")

    def _marked(self) -> RandomQuery:
        return RandomQuery(
            f"SELECT a.id, {self._subquery_condition()}, {self._expressions('a.').any(2)} FROM {self.tables[0]} a"
        )

    def _scalar_subquery(self) -> RandomQuery:
        table = self.rng.choice(self.tables)
        pair = self.rng.choice(_JOIN_KEYS)
        where = f"b.{pair[1]} = a.{pair[0]}"
        if self.rng.random() < 0.3:
            where += f" AND {self._expressions(('a.', 'b.')).condition(1)}"
        inner = self._aggregate("b.")
        return RandomQuery(
            f"SELECT a.id, (SELECT {inner} FROM {table} b WHERE {where}), (SELECT max(id) FROM {table}) "
            f"FROM {self.tables[0]} a{self._where('a.', 0.3)}"
        )

    def _set_operation(self) -> RandomQuery:
        operator = self.rng.choice(
            ("UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL")
        )
        columns = ", ".join(
            self.rng.sample(("k", "s", "t", "b", "i8", "dt", "d4", "q", "f", "u8", "ts", "d38"), 2)
        )
        left = f"SELECT {columns} FROM {self.tables[0]}{self._where()}"
        right = f"SELECT {columns} FROM {self._table()}{self._where()}"
        text = f"{left} {operator} {right}"
        if self.rng.random() < 0.3:
            text = f"SELECT count(*) FROM ({text})"
        return RandomQuery(text)

    def _distinct(self) -> RandomQuery:
        return RandomQuery(f"SELECT DISTINCT {', '.join(self._keys())} FROM {self._table()}{self._where()}")

    def _top(self) -> RandomQuery:
        make = self._expressions()
        direction = self.rng.choice(
            ("", " DESC", " ASC NULLS FIRST", " DESC NULLS LAST", " DESC NULLS FIRST")
        )
        order = self.rng.choice(
            ("k", "s", "f", "d38", "h", "dt", "w", "q", f"({make.make('integer', 2)} + 0)", "b", "r")
        )
        limit = self.rng.choice(("", " LIMIT 10", " LIMIT 25 OFFSET 5", " LIMIT 0", " LIMIT 100000"))
        return RandomQuery(
            f"SELECT id, {order} AS o, {make.any(2)} FROM {self._table()}{self._where()} "
            f"ORDER BY o{direction}, id{self.rng.choice(('', ' DESC'))}{limit}",
            ordered=True,
        )

    def _nested(self) -> RandomQuery:
        make = self._expressions()
        inner = f"SELECT id, k, s, {make.any(2)} AS x, {make.any(2)} AS y FROM {self._table()}{self._where()}"
        outer = self.rng.choice(
            (
                "SELECT k, count(x), min(y), max(x) FROM ({}) GROUP BY k",
                "SELECT id, x FROM ({}) WHERE x IS NOT NULL OR k > 3",
                "SELECT x, count(*) FROM ({}) GROUP BY x",
                "SELECT l.id, l.y FROM ({}) l JOIN other r ON l.k = r.id",
                "SELECT count(*) FROM ({}) l LEFT JOIN other r ON l.x IS NOT NULL AND l.k = r.k",
                "SELECT s, count(DISTINCT x) FROM ({}) WHERE k < 9 GROUP BY s",
            )
        )
        return RandomQuery(outer.format(inner))

    def _shared(self) -> RandomQuery:
        inner = f"SELECT k, count(*) AS n, {self._aggregate()} AS v FROM {self._table()}{self._where()} GROUP BY k"
        return RandomQuery(
            f"WITH c AS ({inner}) SELECT l.k, l.n, r.v FROM c l JOIN c r ON l.k = r.k "
            "WHERE l.n >= (SELECT avg(n) FROM c)"
        )
