"""Random whole queries over a world: every clause of the language, composed at random.

What has no determined answer is not made: LIMIT stands only where the order is total (over all columns of the output
or a key of the rows), aggregates that depend on the order of rows have ORDER BY over a key, sums of floating-point
numbers appear only in the output of the outermost query, where rows are compared with a tolerance; neither samples
nor the time of day are read.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.property.whole.calls import aggregate, total_order, window
from tests.property.whole.expressions import ScopedExpressions
from tests.property.whole.relations import RelationMaker
from tests.property.whole.scopes import SCALARS, Column, Query
from tests.property.whole.world import World

#: Families by which rows can be told apart: equal values of these look the same.
DISTINGUISHABLE = (*SCALARS, "time", "uuid", "blob", "list", "texts", "struct")
_SET_OPERATIONS = ("UNION", "UNION ALL", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL")
#: Subqueries and derived tables of one query.
_MOST_QUERIES = 6


@dataclass
class Select:
    """Clauses of one SELECT."""

    items: list[Column]
    source: str
    distinct: str = ""
    where: str = ""
    group: str = ""
    having: str = ""
    qualify: str = ""
    windows: list[str] = field(default_factory=list)
    tail: str = ""

    def sql(self, names: Sequence[str]) -> str:
        """Its text, with ``names`` for the items."""
        items = ", ".join(f"{c.text} AS {name}" for c, name in zip(self.items, names, strict=True))
        clauses = (
            ("FROM", self.source), ("WHERE", self.where), ("GROUP BY", self.group), ("HAVING", self.having),
            ("WINDOW", ", ".join(self.windows)), ("QUALIFY", self.qualify),
        )  # fmt: skip
        rest = "".join(f" {word} {text}" for word, text in clauses if text)
        return f"SELECT {self.distinct}{items}{rest}{self.tail}"


class QueryMaker:
    """Makes queries; the same random generator gives the same ones."""

    def __init__(self, rng: random.Random, world: World) -> None:
        self.rng = rng
        self.relations = RelationMaker(rng, world, self)
        self._nesting = 0
        self._made = 0

    def query(self) -> Query:
        """A whole query."""
        shared = self._shared() if self.rng.random() < 0.2 else ""
        depth = self.rng.choices((0, 1, 2), (4, 4, 1))[0]
        body = self._body(depth, (), None, is_exact=self.rng.random() < 0.5)
        return Query(shared + body.sql, body.columns, body.is_ordered)

    def derived(self, outer: Sequence[Column], *, families: Sequence[str] | None = None) -> Query:
        """A query for FROM; ``outer``: columns of the query around it, which it may use."""
        return self._inner(outer, families)

    def _inner(self, outer: Sequence[Column], families: Sequence[str] | None) -> Query:
        self._nesting += 1
        self._made += 1
        try:
            depth = 1 if self._nesting < 2 and self._made < _MOST_QUERIES else 0
            return self._body(depth, outer, families, is_exact=True)
        finally:
            self._nesting -= 1

    def subquery(self, kind: str, outer: Sequence[Column]) -> str:
        """A subquery in an expression, mostly a correlated one."""
        if self._nesting >= 2 or self._made >= _MOST_QUERIES:
            return {"any": "SELECT 1 WHERE FALSE"}.get(kind, "SELECT NULL")
        reach = outer if self.rng.random() < 0.7 else ()
        word, _, family = kind.partition(" ")
        if word == "any":
            return self._inner(reach, None).sql
        if word == "column":
            return self._inner(reach, [family]).sql
        return self._scalar(family, reach)

    def _scalar(self, family: str, outer: Sequence[Column]) -> str:
        """One row at most: an aggregate, or LIMIT 1 in a total order."""
        self._nesting += 1
        self._made += 1
        relation = self.relations.source(0, outer)
        make = self.expressions(relation.columns, outer)
        where = f" WHERE {self._correlation(make)}" if self.rng.random() < 0.8 else ""
        value = make.make(family, 1)
        if not any(
            c.text in value for c in relation.columns
        ):  # an aggregate of outer columns would be the outer query's
            value = ScopedExpressions(self.rng, relation.columns).make(family, 1)
        self._nesting -= 1
        if relation.key and self.rng.random() < 0.3:
            order = total_order(self.rng, relation.key)
            skipped = self.rng.choice(("", "", " OFFSET 1"))
            return f"SELECT {value} FROM {relation.text}{where} ORDER BY {order} LIMIT 1{skipped}"
        call = f"max({value})"
        if family in ("integer", "decimal") and self.rng.random() < 0.5:
            call = (
                f"sum({value})"
                if family == "decimal"
                else self.rng.choice((f"sum({value})", "count(*)", f"count({value})"))
            )
        return f"SELECT {call} FROM {relation.text}{where}"

    def _correlation(self, make: ScopedExpressions) -> str:
        if make.outer and self.rng.random() < 0.7:
            outer = self.rng.choice(make.outer)
            if outer.family in DISTINGUISHABLE and make.has(outer.family):
                operator = self.rng.choice(("=", "=", "<", "IS NOT DISTINCT FROM"))
                condition = f"{make.own(outer.family)} {operator} {outer.text}"
                return f"{condition} AND {make.condition(1)}" if self.rng.random() < 0.3 else condition
        return make.mostly(2)

    def expressions(
        self, columns: Sequence[Column], outer: Sequence[Column] = (), shared: Sequence[Column] | None = None
    ) -> ScopedExpressions:
        """Expressions of ``columns``, some with subqueries."""
        subqueries = self.subquery if self._nesting < 2 and self.rng.random() < 0.7 else None
        return ScopedExpressions(self.rng, columns, outer=outer, subqueries=subqueries, shared=shared)

    # --- common table expressions ---------------------------------------------------------------------------------

    def _shared(self) -> str:
        parts = []
        is_recursive = False
        for _ in range(self.rng.choice((1, 1, 2))):
            name = f"w{len(parts)}"
            if self.rng.random() < 0.25:
                query, is_recursive = self._recursive(name), True
                parts.append(f"{name}(c0, c1) AS ({query.sql})")
            else:
                query = self._inner((), None)
                hint = self.rng.choice(("", "", "MATERIALIZED ", "NOT MATERIALIZED "))
                parts.append(f"{name} AS {hint}({query.sql})")
            self.relations.shared[name] = query
        return f"WITH {'RECURSIVE ' if is_recursive else ''}{', '.join(parts)} "

    def _recursive(self, name: str) -> Query:
        table = self.relations.primary(0, ())
        make = ScopedExpressions(self.rng, table.columns)
        items = f"CAST({make.column('integer')} % 3 AS INTEGER) AS c0, {make.column('integer')} % 5 AS c1"
        start = f"SELECT {items} FROM {table.text}"
        word = self.rng.choice(("UNION", "UNION ALL", "UNION"))
        if self.rng.random() < 0.5:
            step = f"SELECT {name}.c0 + 1, {name}.c1 FROM {name} WHERE {name}.c0 < 4"
        else:
            step = f"SELECT {name}.c0 + 1, j.k FROM {name} JOIN x j ON j.id = {name}.c1 WHERE {name}.c0 < 4"
        return Query(f"{start} {word} {step}", (Column("c0", "integer"), Column("c1", "integer")))

    # --- bodies ---------------------------------------------------------------------------------------------------

    def _body(
        self, depth: int, outer: Sequence[Column], families: Sequence[str] | None, *, is_exact: bool
    ) -> Query:
        form = self.rng.random()
        if depth > 0 and form < 0.13:
            return self._set_operation(outer, families)
        if form < 0.5:
            return self._grouped(depth, outer, families, is_exact=is_exact)
        return self._plain(depth, outer, families, is_exact=is_exact)

    def _finish(self, select: Select, *, may_limit: bool = True) -> Query:
        names = [f"c{number}" for number in range(len(select.items))]
        columns = tuple(
            Column(name, item.family, item.is_exact) for name, item in zip(names, select.items, strict=True)
        )
        text = select.sql(names)
        if may_limit and self.rng.random() < 0.3:
            return self._ordered(text, columns)
        return Query(text, columns)

    def _ordered(self, text: str, columns: tuple[Column, ...]) -> Query:
        """In an order over all columns, maybe with a limit: rows that tie are equal."""
        if not all(c.is_exact and c.family in DISTINGUISHABLE for c in columns):
            return Query(text, columns)
        order = total_order(self.rng, [c.text for c in columns])
        (limit,) = self.rng.choices(
            ("", " LIMIT 3", " LIMIT 10", " LIMIT 5 OFFSET 2", " LIMIT 0", " OFFSET 4", " LIMIT 40%"),
            (4, 3, 4, 3, 1, 1, 2),
        )
        return Query(f"{text} ORDER BY {order}{limit}", columns, is_ordered=True)

    def _items(self, make: ScopedExpressions, families: Sequence[str] | None, depth: int) -> list[Column]:
        if families is not None:
            return [Column(make.make(f, depth), f) for f in families]
        items = [make.anything(depth) for _ in range(self.rng.choice((1, 2, 3)))]
        if make.columns and self.rng.random() < 0.7:
            items.append(self.rng.choice(make.columns))
        if self._nesting and self.rng.random() < 0.6:  # something that joins may meet on
            items.insert(0, Column(make.few("integer"), "integer"))
        return items

    def _plain(
        self, depth: int, outer: Sequence[Column], families: Sequence[str] | None, *, is_exact: bool
    ) -> Query:
        relation = self.relations.source(depth, outer)
        make = self.expressions(relation.columns, outer)
        select = Select(self._items(make, families, self.rng.choice((1, 2, 2))), relation.text)
        if self.rng.random() < 0.55:
            select.where = self._correlation(make) if outer else make.mostly(self.rng.choice((1, 2, 2, 3)))
        form = self.rng.random()
        if form < 0.3:
            self._add_windows(select, make, relation.key, is_exact=is_exact, is_free=families is None)
        elif form < 0.42 and all(c.family in DISTINGUISHABLE for c in select.items):
            select.distinct = "DISTINCT "
        elif form < 0.5 and relation.key:
            chosen = [make.column(self.rng.choice(SCALARS)) for _ in range(self.rng.choice((1, 2)))]
            chosen = [f"({text} IS NULL)" for text in chosen[:1]] if self.rng.random() < 0.2 else chosen
            if all(any(c.text in text for c in make.columns) for text in chosen):
                select.distinct = f"DISTINCT ON ({', '.join(chosen)}) "
                select.tail = (
                    f" ORDER BY {total_order(self.rng, chosen)}, {total_order(self.rng, relation.key)}"
                )
                return self._finish(select, may_limit=False)
        elif form < 0.55 and families is None:
            family, element = self.rng.choice((("list", "integer"), ("texts", "string")))
            select.items.append(Column(f"unnest({make.make(family, 1)})", element))
        elif form < 0.62 and relation.key:
            limit = self.rng.choice(("", " LIMIT 4", " LIMIT 7 OFFSET 1", " LIMIT 100"))
            select.tail = f" ORDER BY {total_order(self.rng, (*self._sort_keys(make), *relation.key))}{limit}"
            return self._finish(select, may_limit=False)
        return self._finish(select)

    def _sort_keys(self, make: ScopedExpressions) -> list[str]:
        keys = [make.make(self.rng.choice(SCALARS), 1) for _ in range(self.rng.choice((0, 1, 2)))]
        return [key for key in keys if any(c.text in key for c in make.columns)]  # a constant is refused

    def _add_windows(
        self, select: Select, make: ScopedExpressions, key: Sequence[str], *, is_exact: bool, is_free: bool
    ) -> None:
        plain = ScopedExpressions(self.rng, make.columns)
        made = [window(plain, key) for _ in range(self.rng.choice((1, 1, 2, 3)))]
        made = [c for c in made if c.is_exact or not is_exact]
        if made and self.rng.random() < 0.15:
            call, _, words = made[0].text.partition(" OVER (")
            select.windows.append(f"v AS ({words}")
            made[0] = Column(f"{call} OVER v", made[0].family, made[0].is_exact)
        exact = [c for c in made if c.is_exact]
        if exact and self.rng.random() < 0.35:
            reach = ScopedExpressions(
                self.rng, (*exact, *self.rng.sample(plain.columns, min(3, len(plain.columns))))
            )
            chosen = self.rng.choice(exact)
            select.qualify = (
                f"{chosen.text} <= {self.rng.choice((1, 2, 3))}"
                if chosen.family == "integer"
                else reach.condition(1)
            )
        if is_free:
            select.items += made

    def _grouped(
        self, depth: int, outer: Sequence[Column], families: Sequence[str] | None, *, is_exact: bool
    ) -> Query:
        relation = self.relations.source(depth, outer)
        make = self.expressions(relation.columns, outer)
        keys = self._keys(make)
        calls = [aggregate(self._plainly(make), relation.key) for _ in range(self.rng.choice((1, 2, 2, 3)))]
        if is_exact:
            calls = [c for c in calls if c.is_exact] or [Column("count(*)", "integer")]
        select = Select([], relation.text)
        if self.rng.random() < 0.5:
            select.where = self._correlation(make) if outer else make.mostly(2)
        if keys:
            self._add_groups(select, keys, calls)
            if outer:  # DuckDB 2.0 gives NULL for GROUPING of no rows in a correlated subquery
                calls = [c for c in calls if "GROUPING(" not in c.text]
        exact = [c for c in calls if c.is_exact]
        # Subqueries may use keys; an aggregate in a subquery would be that query's own.
        after = self.expressions((*keys, *exact), outer, shared=keys)
        if self.rng.random() < 0.3:
            select.having = after.mostly(self.rng.choice((1, 2)))
        if families is not None:
            select.items = self._items(after, families, 1)
        else:
            select.items = [*keys, *calls]
            if self.rng.random() < 0.4:
                select.items += [after.anything(1)]
            if keys and self.rng.random() < 0.2:
                grouped = [c.text for c in keys] if not self._has_sets(select) else []
                self._add_windows(select, after, grouped, is_exact=is_exact, is_free=True)
        if (
            select.distinct == ""
            and self.rng.random() < 0.07
            and not any(c.family not in DISTINGUISHABLE for c in select.items)
        ):
            select.distinct = "DISTINCT " if all(c.is_exact for c in select.items) else ""
        # DuckDB 2.0 loses the one row of an aggregate over no rows in a correlated subquery with ORDER BY.
        return self._finish(select, may_limit=bool(select.group) or not outer)

    @staticmethod
    def _plainly(make: ScopedExpressions) -> ScopedExpressions:
        """Without outer columns, which may not stand in aggregates of subqueries, seldom with subqueries."""
        subqueries = make.subqueries if make.rng.random() < 0.2 and not make.outer else None
        return ScopedExpressions(make.rng, make.columns, subqueries=subqueries)

    @staticmethod
    def _has_sets(select: Select) -> bool:
        return any(word in select.group for word in ("ROLLUP", "CUBE", "SETS"))

    def _keys(self, make: ScopedExpressions) -> list[Column]:
        keys: list[Column] = []
        own = [c for c in make.columns if c.family in DISTINGUISHABLE]
        for _ in range(self.rng.choice((0, 1, 1, 1, 2, 2, 3))):
            if own and self.rng.random() < 0.75:
                key = (
                    self.rng.choice(own)
                    if self.rng.random() < 0.6
                    else Column(make.few("integer"), "integer")
                )
            else:
                family = self.rng.choice(SCALARS)
                key = Column(self._plainly(make).make(family, 1), family)
            is_number = key.text.lstrip("(-").rstrip(")").isdecimal()  # would be the position of an item
            if not is_number and all(key.text != other.text for other in keys):
                keys.append(key)
        return keys

    def _add_groups(self, select: Select, keys: Sequence[Column], calls: list[Column]) -> None:
        texts = [c.text for c in keys]
        joined = ", ".join(texts)
        form = self.rng.random()
        if form < 0.75:
            select.group = joined
            return
        if form < 0.85:
            select.group = f"ROLLUP ({joined})"
        elif form < 0.92:
            select.group = f"CUBE ({joined})"
        else:
            sets = [", ".join(self.rng.sample(texts, self.rng.randint(0, len(texts)))) for _ in range(2)]
            select.group = f"GROUPING SETS (({joined}), ({sets[0]}), ({sets[1]}))"
        calls.append(Column(f"GROUPING({joined})", "integer"))

    def _union_by_name(
        self, left: Query, operator: str, outer: Sequence[Column], chosen: Sequence[str]
    ) -> Query:
        """The right side has some of the left side's columns, in another order, and maybe one that the left has not."""
        kept = self.rng.sample(range(len(chosen)), self.rng.randint(1, len(chosen)))
        more = [self.rng.choice(SCALARS)] if self.rng.random() < 0.4 else []
        families = [chosen[place] for place in kept] + more
        names = [f"c{place}" for place in kept] + [f"c{len(chosen)}" for _ in more]
        right = self._inner(outer, families)
        items = ", ".join(f"i.c{place} AS {name}" for place, name in enumerate(names))
        text = f"({left.sql}) {operator} BY NAME (SELECT {items} FROM ({right.sql}) i)"
        columns = tuple(Column(f"c{number}", family) for number, family in enumerate([*chosen, *more]))
        return self._ordered(text, columns) if self.rng.random() < 0.3 else Query(text, columns)

    def _set_operation(self, outer: Sequence[Column], families: Sequence[str] | None) -> Query:
        chosen = (
            list(families)
            if families is not None
            else [self.rng.choice(SCALARS) for _ in range(self.rng.choice((1, 2, 3)))]
        )
        left = self._inner(outer, chosen)
        operator = self.rng.choice(_SET_OPERATIONS)
        if operator.startswith("UNION") and self.rng.random() < 0.25:
            return self._union_by_name(left, operator, outer, chosen)
        right = self._inner(outer, chosen)
        text = f"({left.sql}) {operator} ({right.sql})"
        if self.rng.random() < 0.2:
            text = f"{text} {self.rng.choice(('UNION ALL', 'UNION', 'EXCEPT'))} ({self._inner(outer, chosen).sql})"
        columns = tuple(Column(f"c{number}", family) for number, family in enumerate(chosen))
        return self._ordered(text, columns) if self.rng.random() < 0.3 else Query(text, columns)
