"""What holds for the rows of a table: defaults, generated columns, checks and keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

from gpuql_planner.catalog import ColumnStatistics, Field, Table


@dataclass(frozen=True, slots=True)
class Check:
    """A condition that no row may make false (NULL passes). ``text`` is SQL over ``columns`` of the table."""

    text: str
    columns: tuple[str, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Generated:
    """A column computed from ``columns`` of its row by the SQL in ``text``."""

    column: str
    text: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """Columns whose values together are different in all rows, those with a NULL apart; none is NULL if ``primary``."""

    columns: tuple[str, ...]
    primary: bool = False
    name: str | None = None

    @property
    def kind(self) -> str:
        """As SQL writes it."""
        return "PRIMARY KEY" if self.primary else "UNIQUE"


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Values of ``columns``, if none is NULL, are those of ``referenced`` columns in some row of ``table``."""

    columns: tuple[str, ...]
    table: str
    referenced: tuple[str, ...]
    name: str | None = None


@dataclass(frozen=True, slots=True)
class TableRules:
    """All rules of a table but NOT NULL, which its fields say. Names of columns are spelled as in the fields.

    ``generated`` is in an order in which each column is computed from those before it.
    """

    defaults: tuple[tuple[str, str], ...] = ()
    generated: tuple[Generated, ...] = ()
    checks: tuple[Check, ...] = ()
    keys: tuple[Key, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()

    def default(self, column: str) -> str | None:
        """SQL of the column's default; None if there is none."""
        return dict(self.defaults).get(column)

    def shown(self, column: str) -> str | None:
        """SQL of what the column holds unless told otherwise: its default, or what it is computed from."""
        computed = next((one.text for one in self.generated if one.column == column), None)
        return self.default(column) if computed is None else computed

    def key_word(self, column: str) -> str | None:
        """PRI for a column of the primary key, UNI for one of another key, as DESCRIBE writes them."""
        having = [key for key in self.keys if column in key.columns]
        if not having:
            return None
        return "PRI" if any(key.primary for key in having) else "UNI"

    @property
    def generated_columns(self) -> frozenset[str]:
        """Names of generated columns."""
        return frozenset(one.column for one in self.generated)

    @property
    def primary_key(self) -> Key | None:
        """The primary key, if there is one."""
        return next((key for key in self.keys if key.primary), None)


NO_RULES = TableRules()


class ChangeableTable(Table, Protocol):
    """A table whose rows can be changed."""

    @property
    def rules(self) -> TableRules:
        """What its rows must obey."""

    def numbered(self) -> Table:
        """The same rows with one more column, the last: the row's number, from 0."""


def changeable(table: Table) -> ChangeableTable | None:
    """The table as one whose rows can be changed; None for files, frames and the like."""
    return cast(ChangeableTable, table) if callable(getattr(table, "numbered", None)) else None


def rules_of(table: Table) -> TableRules:
    """The rules of any table; files and frames have none."""
    rules = getattr(table, "rules", None)
    return rules if isinstance(rules, TableRules) else NO_RULES


@dataclass(frozen=True, eq=False)
class PendingTable:
    """Stands in a plan for rows that are there only when the statement runs."""

    name: str
    fields: tuple[Field, ...]

    @property
    def num_rows(self) -> int | None:
        """Not known."""
        return None

    def statistics(self, name: str) -> ColumnStatistics:
        """Not known."""
        return ColumnStatistics()
