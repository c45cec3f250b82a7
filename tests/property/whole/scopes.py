"""What parts of a random query know of each other: columns in reach, relations, finished queries."""

from __future__ import annotations

from dataclasses import dataclass, replace

#: Families whose values can be compared, grouped and sorted, so that a row of them can be ordered totally.
SCALARS = ("boolean", "integer", "decimal", "float", "date", "timestamp", "string")
OTHERS = ("time", "interval", "uuid", "blob", "list", "texts", "struct", "map")


@dataclass(frozen=True)
class Column:
    """A column in reach, or any expression that may stand where a column does (a group's key, an aggregate).

    ``is_exact``: its value is the same whatever the order in which rows come. Only such columns are visible to
    outer queries: a comparison of others would have no determined answer.
    """

    text: str
    family: str
    is_exact: bool = True


@dataclass(frozen=True)
class Relation:
    """Text of a FROM clause, the columns it brings into reach, and columns that tell its rows apart (none known: ()).

    ``num_rows`` is a guess, for keeping cross products small.
    """

    text: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    num_rows: int = 20


@dataclass(frozen=True)
class Query:
    """A finished query. ``columns``: its output by name; ``is_ordered``: its order is total."""

    sql: str
    columns: tuple[Column, ...]
    is_ordered: bool = False

    def under(self, alias: str) -> tuple[Column, ...]:
        """Output that outer queries may use, under ``alias``."""
        return tuple(replace(c, text=f"{alias}.{c.text}") for c in self.columns if c.is_exact)
