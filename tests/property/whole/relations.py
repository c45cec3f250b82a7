"""Random FROM clauses: tables, derived tables, VALUES, UNNEST, PIVOT and joins of every kind."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from tests.property.whole.expressions import ScopedExpressions
from tests.property.whole.scopes import SCALARS, Column, Query, Relation
from tests.property.whole.world import World

#: Cross products and chains of joins stay below this (guessed) number of rows.
_MOST_ROWS = 600
_KINDS = (
    "inner", "inner", "inner", "left", "left", "right", "full", "cross", "comma", "semi", "anti", "asof", "lateral",
    "using", "natural", "positional", "unnest",
)  # fmt: skip
_TESTS = ("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN")
_WORDS = {"inner": "JOIN", "left": "LEFT JOIN", "right": "RIGHT JOIN", "full": "FULL JOIN"}


class Makes(Protocol):
    """What makes derived tables: the maker of queries."""

    def derived(self, outer: Sequence[Column], *, families: Sequence[str] | None = None) -> Query: ...


class RelationMaker:
    """Makes FROM clauses over the tables of ``world`` and the queries in ``shared`` (CTEs by name)."""

    def __init__(self, rng: random.Random, world: World, queries: Makes) -> None:
        self.rng = rng
        self.world = world
        self.queries = queries
        self.shared: dict[str, Query] = {}
        self._aliases = 0

    def alias(self) -> str:
        """A name that no other relation of the query has."""
        self._aliases += 1
        return f"r{self._aliases}"

    def source(self, depth: int, outer: Sequence[Column]) -> Relation:
        """A FROM clause with at most ``depth`` joins or so; ``outer``: columns that derived tables may refer to."""
        found = self.primary(depth, outer)
        for _ in range(self.rng.choice((0, 0, 1, 1, 1, 2)) if depth > 0 else self.rng.choice((0, 0, 0, 1))):
            found = self._join(found, depth, outer)
        return found

    def primary(self, depth: int, outer: Sequence[Column]) -> Relation:
        """One relation, without a join."""
        form = self.rng.random()
        if self.shared and form < 0.25:
            name = self.rng.choice(list(self.shared))
            alias = self.alias()
            return Relation(f"{name} {alias}", self.shared[name].under(alias))
        if depth > 0 and form < 0.45:
            return self._derived(())
        if form < 0.5:
            return self.rng.choice((self._values, self._range, self._pivot, self._unpivot))()
        return self._table()

    # --- single relations -----------------------------------------------------------------------------------------

    def _table(self, *, most_rows: int = 100) -> Relation:
        tables = [t for t in self.world.tables if len(t.rows) <= most_rows]
        weights = [{"e": 1, "m": 3}.get(t.name, 5) for t in tables]
        table = self.rng.choices(tables, weights)[0]
        alias = self.alias()
        return Relation(f"{table.name} {alias}", table.scope(alias), (f"{alias}.id",), len(table.rows))

    def _derived(self, outer: Sequence[Column], families: Sequence[str] | None = None) -> Relation:
        query = self.queries.derived(outer, families=families)
        alias = self.alias()
        return Relation(f"({query.sql}) {alias}", query.under(alias))

    def _values(self) -> Relation:
        alias = self.alias()
        make = ScopedExpressions(self.rng, ())
        families = [self.rng.choice(SCALARS) for _ in range(self.rng.choice((1, 2, 3)))]
        rows = [
            f"({', '.join(make.literal(f) for f in families)})" for _ in range(self.rng.choice((1, 2, 4)))
        ]
        names = [f"v{number}" for number in range(len(families))]
        columns = tuple(Column(f"{alias}.{name}", f) for name, f in zip(names, families, strict=True))
        return Relation(f"(VALUES {', '.join(rows)}) {alias}({', '.join(names)})", columns, (), 4)

    def _range(self) -> Relation:
        alias = self.alias()
        call = self.rng.choice(
            ("range(5)", "generate_series(-2, 6, 2)", "range(0)", "generate_series(3, 1, -1)")
        )
        return Relation(f"{call} {alias}(n)", (Column(f"{alias}.n", "integer"),), (f"{alias}.n",), 5)

    def _pivot(self) -> Relation:
        """Values of ``s`` as columns; without IN, PIVOT finds them itself."""
        table = self._table()
        alias, inner = self.alias(), table.key[0].split(".")[0]
        make = ScopedExpressions(self.rng, table.columns)
        key, value = make.make("boolean", 1), make.make("integer", 1)
        source = f"SELECT {key} AS g, {inner}.k AS p, {value} AS v FROM {table.text}"
        call = self.rng.choice(("sum(v)", "max(v)", "count(*)", "count(v)", "min(v)"))
        text = f"(PIVOT ({source}) ON p IN (0, 1, 2) USING {call} GROUP BY g) {alias}"
        columns = [Column(f"{alias}.g", "boolean"), *(Column(f'{alias}."{n}"', "integer") for n in range(3))]
        return Relation(text, tuple(columns), (f"{alias}.g",), 3)

    def _unpivot(self) -> Relation:
        table = self._table(most_rows=20)
        alias = self.alias()
        make = ScopedExpressions(self.rng, table.columns)
        parts = ", ".join(f"CAST({make.column('integer')} AS HUGEINT) AS {name}" for name in ("p", "q"))
        nulls = self.rng.choice((" ", " INCLUDE NULLS "))
        source = f"(SELECT {table.key[0]} AS id, {parts} FROM {table.text})"
        text = f"{source} UNPIVOT{nulls}(v FOR n IN (p, q)) {alias}"
        columns = (
            Column(f"{alias}.id", "integer"),
            Column(f"{alias}.n", "string"),
            Column(f"{alias}.v", "integer"),
        )
        return Relation(text, columns, (f"{alias}.id", f"{alias}.n"), 40)

    # --- joins ----------------------------------------------------------------------------------------------------

    def _join(self, left: Relation, depth: int, outer: Sequence[Column]) -> Relation:
        kind = self.rng.choice(_KINDS)
        match kind:
            case "unnest" if any(c.family in ("list", "texts") for c in left.columns):
                return self._unnest(left)
            case "lateral" if depth > 0 and left.num_rows < 200:
                return self._lateral(left, outer)
            case "asof" if any(c.family == "integer" for c in left.columns):
                return self._asof(left)
            case "using" | "natural" if depth > 0:
                return self._by_name(kind, outer) if left.num_rows < 200 else left
            case "positional" if " " not in left.text.replace(" r", "", 1):
                right = self._table()
                both = (*left.columns, *right.columns)
                return Relation(f"{left.text} POSITIONAL JOIN {right.text}", both, (*left.key, *right.key))
            case "cross" | "comma":
                return self._cross(left, ", " if kind == "comma" else " CROSS JOIN ")
            case "semi" | "anti":
                right = self.primary(depth - 1, ())
                condition = self._condition(left, right)
                return replace(left, text=f"{left.text} {kind.upper()} JOIN {right.text} ON {condition}")
        right = self.primary(depth - 1, ())
        key = (*left.key, *right.key) if left.key and right.key else ()
        word = _WORDS.get(kind, "JOIN")
        text = f"{left.text} {word} {right.text} ON {self._condition(left, right)}"
        rows = min(_MOST_ROWS, max(left.num_rows, right.num_rows) * 4)
        return Relation(text, (*left.columns, *right.columns), key, rows)

    def _condition(self, left: Relation, right: Relation) -> str:
        """Mostly an equality, often more; any condition where few rows meet."""
        both = (*left.columns, *right.columns)
        make = ScopedExpressions(self.rng, both)
        if left.num_rows * right.num_rows < _MOST_ROWS and self.rng.random() < 0.15:
            return make.condition(2)
        family = self.rng.choice(
            ("integer", "integer", "integer", "string", "date", "boolean", "decimal", "list")
        )
        parts = [self._equality(family, left, right)]
        while self.rng.random() < 0.3:
            parts.append(self._equality(self.rng.choice(SCALARS), left, right))
        if self.rng.random() < 0.35:
            parts.append(make.condition(self.rng.choice((1, 2))))
        return " AND ".join(parts)

    def _equality(self, family: str, left: Relation, right: Relation) -> str:
        sides = [ScopedExpressions(self.rng, relation.columns) for relation in (left, right)]
        texts = [side.few(family) if self.rng.random() < 0.85 else side.make(family, 1) for side in sides]
        return self.rng.choices((" = ", " IS NOT DISTINCT FROM "), (8, 1))[0].join(texts)

    def _cross(self, left: Relation, word: str) -> Relation:
        right = self._table(most_rows=15) if self.rng.random() < 0.7 else self._range()
        if left.num_rows * right.num_rows > _MOST_ROWS:
            return left
        key = (*left.key, *right.key) if left.key and right.key else ()
        rows = left.num_rows * max(1, right.num_rows)
        return Relation(f"{left.text}{word}{right.text}", (*left.columns, *right.columns), key, rows)

    def _asof(self, left: Relation) -> Relation:
        """The inequality is over the unique ``id`` of the right side: of equally near rows any could be taken."""
        right = self._table()
        word = self.rng.choice(("ASOF JOIN", "ASOF LEFT JOIN"))
        near = ScopedExpressions(self.rng, left.columns).column("integer")
        parts = [f"{near} {self.rng.choice(('>=', '>', '<=', '<'))} {right.key[0]}"]
        if self.rng.random() < 0.6:
            parts.insert(0, self._equality(self.rng.choice(("integer", "string", "boolean")), left, right))
        return Relation(
            f"{left.text} {word} {right.text} ON {' AND '.join(parts)}", (*left.columns, *right.columns), left.key,
            left.num_rows,
        )  # fmt: skip

    def _lateral(self, left: Relation, outer: Sequence[Column]) -> Relation:
        right = self._derived((*left.columns, *outer))
        form = self.rng.choice(
            (", LATERAL {}", " LEFT JOIN LATERAL {} ON TRUE", " JOIN LATERAL {} ON TRUE", ", {}")
        )
        rows = min(_MOST_ROWS, left.num_rows * 10)
        return Relation(left.text + form.format(right.text), (*left.columns, *right.columns), (), rows)

    def _unnest(self, left: Relation) -> Relation:
        make = ScopedExpressions(self.rng, left.columns)
        family, element = self.rng.choice((("list", "integer"), ("texts", "string")))
        if not make.has(family):
            family, element = {"list": ("texts", "string"), "texts": ("list", "integer")}[family]
        value = make.column(family) if self.rng.random() < 0.7 else make.make(family, 1)
        alias = self.alias()
        columns = [*left.columns, Column(f"{alias}.v", element)]
        form = self.rng.choice((", unnest({}) {}(v)", " LEFT JOIN unnest({}) {}(v) ON TRUE", " ordinality"))
        key: tuple[str, ...] = ()
        if form == " ordinality":
            form = ", unnest({}) WITH ORDINALITY {}(v, o)"
            columns.append(Column(f"{alias}.o", "integer"))
            key = (*left.key, f"{alias}.o") if left.key else ()
        text = left.text + form.format(value, alias)
        return Relation(text, tuple(columns), key, min(_MOST_ROWS, left.num_rows * 3))

    def _by_name(self, kind: str, outer: Sequence[Column]) -> Relation:
        """A join by names, of two derived tables whose columns have the same ones: ``c0``, or ``c0`` and ``c1``."""
        families = [
            self.rng.choice(("integer", "string", "date", "boolean")) for _ in range(self.rng.choice((1, 2)))
        ]
        left = self._derived((), [*families, self.rng.choice(SCALARS)])
        right = self._derived((), families)
        word = self.rng.choice(_TESTS)
        names = [f"c{number}" for number in range(len(families))]
        text = (
            f"{left.text} NATURAL {word} {right.text}"
            if kind == "natural"
            else f"{left.text} {word} {right.text} USING ({', '.join(names)})"
        )
        columns = [Column(name, family) for name, family in zip(names, families, strict=True)]
        sides = [left.columns] if word in ("SEMI JOIN", "ANTI JOIN") else [left.columns, right.columns]
        return Relation(text, (*columns, *(column for side in sides for column in side)), (), 100)
