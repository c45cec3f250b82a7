"""Queries whose answers follow from each other, without an oracle: ternary partitioning (TLP) and NoREC.

Sources: Rigger and Su, "Finding Bugs in Database Systems via Query Partitioning" (OOPSLA 2020) and "Detecting
Optimization Bugs in Database Engines via Non-optimizing Reference Engine Construction" (ESEC/FSE 2020).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.property.whole.expressions import ScopedExpressions
from tests.property.whole.queries import DISTINGUISHABLE, QueryMaker
from tests.property.whole.world import World


@dataclass(frozen=True)
class Relationship:
    """Two queries that give the same rows; ``is_unoptimized``: the second one runs without the optimizer."""

    kind: str
    whole: str
    parts: str
    is_unoptimized: bool = False


def relationships(rng: random.Random, world: World) -> list[Relationship]:
    """Relationships of one random FROM clause and one random predicate, subqueries included."""
    maker = QueryMaker(rng, world)
    relation = maker.relations.source(rng.choice((0, 1, 1)), ())
    make = maker.expressions(relation.columns)
    predicate = make.condition(rng.choice((1, 2, 3)))
    plain = ScopedExpressions(rng, relation.columns)
    found = [
        _rows(plain, relation.text, predicate),
        _aggregates(plain, relation.text, predicate),
        _unoptimized(relation.text, predicate),
    ]
    keys = [c.text for c in relation.columns if c.family in DISTINGUISHABLE]
    if keys:
        found.append(_groups(plain, relation.text, rng.sample(keys, 1)))
        found.append(_distinct(plain, relation.text, predicate, rng.sample(keys, 1)))
    return found


def _thirds(predicate: str) -> tuple[str, str, str]:
    return predicate, f"NOT ({predicate})", f"({predicate}) IS NULL"


def _rows(make: ScopedExpressions, source: str, predicate: str) -> Relationship:
    """Each row satisfies exactly one of ``p``, ``NOT p`` and ``p IS NULL``."""
    values = ", ".join(f"{make.anything(1).text} AS c{number}" for number in range(2))
    whole = f"SELECT {values} FROM {source}"
    return Relationship(
        "TLP", whole, " UNION ALL ".join(f"({whole} WHERE {part})" for part in _thirds(predicate))
    )


def _distinct(make: ScopedExpressions, source: str, predicate: str, keys: Sequence[str]) -> Relationship:
    whole = f"SELECT DISTINCT {keys[0]} AS c0 FROM {source}"
    return Relationship(
        "TLP, DISTINCT", whole, " UNION ".join(f"({whole} WHERE {part})" for part in _thirds(predicate))
    )


def _aggregates(make: ScopedExpressions, source: str, predicate: str) -> Relationship:
    """Aggregates of the whole from those of the three parts."""
    number, value = make.make("integer", 1), make.make(make.rng.choice(("date", "string", "decimal")), 1)
    calls = f"count(*) AS c0, sum({number}) AS c1, min({value}) AS c2, max({value}) AS c3"
    parts = " UNION ALL ".join(f"(SELECT {calls} FROM {source} WHERE {part})" for part in _thirds(predicate))
    return Relationship(
        "TLP, aggregates",
        f"SELECT {calls} FROM {source}",
        f"SELECT sum(c0)::BIGINT AS c0, sum(c1) AS c1, min(c2) AS c2, max(c3) AS c3 FROM ({parts})",
    )


def _groups(make: ScopedExpressions, source: str, keys: Sequence[str]) -> Relationship:
    """Each group satisfies exactly one of HAVING ``p``, ``NOT p`` and ``p IS NULL``."""
    columns = [f"count({make.anything(1).text})", f"max({make.make('integer', 1)})"]
    predicate = make.rng.choice((
        f"{columns[0]} > {columns[1]}", f"{columns[1]} > 0", f"{columns[1]} < 3 AND {columns[0]} <> 1",
        f"bool_or({make.condition(1)})",
    ))  # fmt: skip
    whole = f"SELECT {keys[0]} AS c0, {columns[0]} AS c1 FROM {source} GROUP BY {keys[0]}"
    return Relationship(
        "TLP, HAVING", whole, " UNION ALL ".join(f"({whole} HAVING {part})" for part in _thirds(predicate))
    )


def _unoptimized(source: str, predicate: str) -> Relationship:
    """A filter, which the optimizer takes apart, against a value of each row, which it leaves alone."""
    return Relationship(
        "NoREC",
        f"SELECT count(*) AS c0 FROM {source} WHERE {predicate}",
        f"SELECT count(CASE WHEN {predicate} THEN 1 END) AS c0 FROM {source}",
        is_unoptimized=True,
    )
