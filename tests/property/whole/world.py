"""Small random tables as SQL text that both engines run: NULLs, duplicates, empty tables, the ends of each type."""

from __future__ import annotations

import datetime
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.property.tables import COLUMNS, EXTREME, TAME, ColumnSpec, Scale
from tests.property.whole.scopes import Column

#: Values of the ENUM type.
_MOODS = ("sad", "ok", "happy")

#: Rows that one INSERT statement of a table adds; each becomes a part of its own.
_ROWS_OF_AN_INSERT = 40


def _time(rng: random.Random, scale: Scale) -> datetime.time:
    return rng.choice(
        (datetime.time(), datetime.time(23, 59, 59, 999_999), datetime.time(9, rng.randrange(60)))
    )


def _interval(rng: random.Random, scale: Scale) -> str:
    return f"{rng.randint(-2, 3)} months {rng.randint(-40, 40)} days {rng.choice((0, 0, -5, 90))} minutes"


def _zoned(rng: random.Random, scale: Scale) -> str:
    return f"2020-0{rng.randint(1, 3)}-01 0{rng.randrange(9)}:00:00+0{rng.randrange(3)}"


def _nanoseconds(rng: random.Random, scale: Scale) -> str:
    return f"2020-01-0{rng.randint(1, 3)} 00:00:00.{rng.choice(('000000001', '5', '123456789'))}"


def _uuid(rng: random.Random, scale: Scale) -> str:
    return f"{rng.choice('0489f')}0000000-0000-4000-8000-00000000000{rng.randrange(4)}"


def _blob(rng: random.Random, scale: Scale) -> str:
    return "".join(rng.choice(("a", "B", "\\x00", "\\xFF")) for _ in range(rng.randrange(4)))


def _integers(rng: random.Random, scale: Scale) -> list[int | None]:
    return [rng.choice((None, -1, 0, 1, 2, 2, 7)) for _ in range(rng.choice((0, 1, 2, 3, 5)))]


def _texts(rng: random.Random, scale: Scale) -> list[str | None]:
    return [rng.choice((None, "", "a", "b", "é", "a b")) for _ in range(rng.choice((0, 1, 2, 3)))]


def _struct(rng: random.Random, scale: Scale) -> dict[str, Any]:
    return {"x": rng.choice((None, 0, 1, 2)), "y": rng.choice((None, "", "a", "b"))}


def _map(rng: random.Random, scale: Scale) -> dict[str, Any]:
    return {key: rng.choice((None, 0, 1, 5)) for key in rng.sample(("a", "b", "c"), rng.randrange(3))}


_NESTED = (
    ColumnSpec("tm", "TIME", "time", _time, 0.1),
    ColumnSpec("iv", "INTERVAL", "interval", _interval, 0.1),
    ColumnSpec("en", "mood", "string", lambda rng, _: rng.choice(_MOODS), 0.1),
    ColumnSpec("tz", "TIMESTAMPTZ", "zoned", _zoned, 0.1),
    ColumnSpec("tn", "TIMESTAMP_NS", "nanoseconds", _nanoseconds, 0.1),
    ColumnSpec("uu", "UUID", "uuid", _uuid, 0.1),
    ColumnSpec("bl", "BLOB", "blob", _blob, 0.1),
    ColumnSpec("li", "INTEGER[]", "list", _integers, 0.15),
    ColumnSpec("ls", "VARCHAR[]", "texts", _texts, 0.15),
    ColumnSpec("st", "STRUCT(x INTEGER, y VARCHAR)", "struct", _struct, 0.1),
    ColumnSpec("mp", "MAP(VARCHAR, INTEGER)", "map", _map, 0.1),
)
_ID = ColumnSpec("id", "INTEGER", "integer", lambda rng, _: 0, 0.0)
ALL_COLUMNS = (*COLUMNS, *_NESTED)

#: Columns of every table.
_ALWAYS = ("k", "s")


@dataclass(frozen=True)
class Table:
    """A table: its unique ``id`` is first."""

    name: str
    columns: tuple[ColumnSpec, ...]
    rows: tuple[tuple[Any, ...], ...]
    is_keyed: bool

    def scope(self, alias: str) -> tuple[Column, ...]:
        """Its columns under ``alias``."""
        return tuple(Column(f"{alias}.{c.name}", c.family) for c in self.columns)

    def statements(self, keep: Sequence[int] | None = None) -> list[str]:
        """CREATE TABLE and INSERT statements; ``keep``: of the rows with these positions only."""
        words = [
            f"{c.name} {c.sql_type}{' PRIMARY KEY' if c.name == 'id' and self.is_keyed else ''}"
            for c in self.columns
        ]
        made = [f"CREATE TABLE {self.name} ({', '.join(words)})"]
        rows = self.rows if keep is None else [self.rows[position] for position in keep]
        texts = [
            f"({', '.join(_literal(v, c.sql_type) for v, c in zip(row, self.columns, strict=True))})"
            for row in rows
        ]
        for start in range(0, len(texts), _ROWS_OF_AN_INSERT):
            made.append(
                f"INSERT INTO {self.name} VALUES {', '.join(texts[start : start + _ROWS_OF_AN_INSERT])}"
            )
        return made


@dataclass(frozen=True)
class World:
    """The tables of a series of queries."""

    tables: tuple[Table, ...]

    def statements(self) -> list[str]:
        """What makes the type and the tables."""
        kind = f"CREATE TYPE mood AS ENUM {_MOODS!r}"
        return [kind, *(statement for table in self.tables for statement in table.statements())]


def make_world(seed: object) -> World:
    """The same tables for the same ``seed``; few rows, so that a query costs milliseconds."""
    rng = random.Random(f"{seed} world")
    sizes = {"e": 0, "x": rng.randint(3, 8), "y": rng.randint(10, 20), "z": rng.randint(25, 45)}
    tables = [_table(rng, name, size, TAME) for name, size in sizes.items()]
    tables.append(_table(rng, "m", rng.randint(5, 12), EXTREME))
    return World(tuple(tables))


def _table(rng: random.Random, name: str, num_rows: int, scale: Scale) -> Table:
    chosen = [c for c in ALL_COLUMNS if c.name in _ALWAYS or rng.random() < 0.75]
    rng.shuffle(chosen)
    # Of some columns all values are NULL, none is, or there are only two.
    shares = [rng.choice((c.nulls, c.nulls, 0.0, 0.5)) if c.nulls else 0.0 for c in chosen]
    few = [rng.choice((0, 0, 2, 5)) for _ in chosen]
    pools = [[c.make(rng, scale) for _ in range(n)] for c, n in zip(chosen, few, strict=True)]
    rows: list[tuple[Any, ...]] = []
    identities = rng.sample(range(1, num_rows * 2 + 1), num_rows)
    for identity in identities:
        values = [
            None if rng.random() < share else rng.choice(pool) if pool else spec.make(rng, scale)
            for spec, share, pool in zip(chosen, shares, pools, strict=True)
        ]
        if rows and rng.random() < 0.15:  # all but the id a second time
            values = list(rng.choice(rows)[1:])
        rows.append((identity, *map(_without_negative_zero, values)))
    return Table(name, (_ID, *chosen), tuple(rows), is_keyed=rng.random() < 0.4)


def _without_negative_zero(value: Any) -> Any:
    """0.0 for -0.0: which of the two equal values stands for a group is not determined, and 1 / x tells them apart."""
    return value + 0.0 if isinstance(value, float) else value


def _literal(value: Any, sql_type: str) -> str:
    """A constant; most go as text, which both engines convert to the column's type."""
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).upper()
        case int() if abs(value) < 2**31:
            return str(value)
        case list():
            return f"[{', '.join(_literal(item, '') for item in value)}]::{sql_type}"
        case dict() if sql_type.startswith("STRUCT"):
            return f"{{{_entries(value)}}}::{sql_type}"
        case dict():
            return f"MAP {{{_entries(value)}}}::{sql_type}"
        case _:
            return _quoted(_text(value))


def _entries(value: dict[str, Any]) -> str:
    return ", ".join(f"{key!r}: {_literal(item, '')}" for key, item in value.items())


_TEXTS: dict[type, Callable[[Any], str]] = {
    datetime.datetime: lambda v: v.isoformat(" "),
    Decimal: lambda v: f"{v:f}",
    float: repr,
}


def _text(value: Any) -> str:
    return _TEXTS.get(type(value), str)(value)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
