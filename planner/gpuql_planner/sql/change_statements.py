"""Bound statements that change the rows of a table."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gpuql_planner.catalog import Field, Table
from gpuql_planner.table_rules import Key, PendingTable, TableRules

if TYPE_CHECKING:
    from gpuql_planner.sql.statements import Query


class Action(enum.IntEnum):
    """What becomes of a row; the values stand in the ``action`` column of a :class:`ChangeRows` query."""

    INSERT = 0
    UPDATE = 1
    DELETE = 2
    ERROR = 3


class Repeated(enum.Enum):
    """What happens to a row of the target that a statement changes several times."""

    LAST = "last"
    FIRST = "first"
    ERROR = "error"


@dataclass(frozen=True)
class Returning:
    """RETURNING: a query over the rows that were changed, for which ``rows`` stands."""

    rows: PendingTable
    query: Query


@dataclass(frozen=True)
class OnConflict:
    """ON CONFLICT: rows that agree with another in one of ``keys`` are left out, or update it.

    ``rows`` stands for the rows to insert in the query of ``update``.
    """

    keys: tuple[Key, ...]
    rows: PendingTable
    update: ChangeRows | None = None


@dataclass(frozen=True)
class Insert:
    """INSERT INTO table: the query's outputs are already in the table's column order and of its types."""

    table: str
    query: Query
    target: Table | None = None
    returning: Returning | None = None
    conflict: OnConflict | None = None


@dataclass(frozen=True)
class ChangeRows:
    """UPDATE, DELETE or MERGE.

    The query's outputs are the number of a row (NULL for one to insert), an :class:`Action`, and then new values of
    ``columns``; if ``has_message``, a text last that says why an action is an error. ``rewritten`` are the columns that
    updates store anew; the others are there to check rules. ``is_sorted`` says that rows come by their number.
    """

    verb: str
    table: str
    target: Table
    query: Query
    columns: tuple[Field, ...]
    rewritten: tuple[str, ...]
    repeated: Repeated = Repeated.LAST
    is_sorted: bool = False
    has_message: bool = False
    returning: Returning | None = None


@dataclass(frozen=True)
class AlterTable:
    """ALTER TABLE: what the table is to be.

    ``sources`` says for each column under what name its data is there now; that of the ``computed`` column is the one
    output of a query with a row for each row of the table. ``keys`` are new, and to be checked.
    """

    table: str
    target: Table
    fields: tuple[Field, ...]
    rules: TableRules
    sources: tuple[tuple[str, str], ...]
    computed: tuple[str, Query] | None = None
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True)
class RenameRelation:
    """ALTER TABLE | VIEW name RENAME TO; both names as the catalog knows them."""

    name: str
    new_name: str


@dataclass(frozen=True)
class TransactionStatement:
    """``kind`` is begin, "begin read only", commit or rollback."""

    kind: str


@dataclass(frozen=True)
class Truncate:
    """TRUNCATE: all rows go."""

    table: str
    target: Table
