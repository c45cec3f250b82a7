"""What the planner asks of the world: tables, their schemas and statistics. Implemented by ``gpuql.catalog``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from gpuql_planner.types import DataType


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a table: its name as written by its creator, type, and whether it may hold NULL."""

    name: str
    dtype: DataType
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """Facts about a column of one table version; every field may be unknown (None).

    ``minimum`` and ``maximum`` are stored integers for exact types (see :class:`~gpuql_planner.types.DataType`) and
    Python floats for floating point; None for strings. ``unique`` and ``sorted`` are exact when True.
    """

    minimum: int | float | None = None
    maximum: int | float | None = None
    null_count: int | None = None
    distinct_count: int | None = None
    unique: bool = False
    sorted: bool = False
    average_bytes: float | None = None


class Table(Protocol):
    """A readable relation at one version. Equality is identity: a changed table is another object."""

    @property
    def name(self) -> str:
        """Name as shown in plans."""

    @property
    def fields(self) -> tuple[Field, ...]:
        """Columns in order; names may repeat only in case, never exactly."""

    @property
    def num_rows(self) -> int | None:
        """Exact row count, or None if unknown."""

    def statistics(self, name: str) -> ColumnStatistics:
        """Statistics of column ``name``; all unknown if none were gathered."""


@dataclass(frozen=True, slots=True)
class View:
    """A named query: ``sql`` is bound again at each use; ``column_names`` renames its columns if given."""

    name: str
    sql: str
    column_names: tuple[str, ...] | None = None


@runtime_checkable
class PlanRunner(Protocol):
    """A catalog that can run a query while a statement is bound, for one whose columns depend on what tables hold."""

    def rows_of(self, plan: Any, names: tuple[str, ...]) -> Sequence[Sequence[object]]:
        """Rows of a bound plan."""


class Catalog(Protocol):
    """Name resolution for one statement."""

    def resolve(self, name: str) -> Table | View | None:
        """Relation called ``name`` (case-insensitive): table, view, registered frame, then file path; None if absent.

        Errors: InputError for a path that looks like a file and cannot be read.
        """

    def table_function(
        self, name: str, arguments: Sequence[object], named: dict[str, object]
    ) -> Table | None:
        """Relation given by ``name(arguments...)`` such as ``read_parquet('*.parquet')``; None if no such function.

        ``range`` and ``generate_series`` have three arguments, as those of Python's ``range``, and at least one row.
        """

    def relation_names(self) -> list[str]:
        """All names that :meth:`resolve` knows, for did-you-mean."""

    def definitions(self, kind: str) -> Mapping[str, Any]:
        """Definitions of one kind of ``gpuql_planner.definitions.KINDS`` by folded name.

        Also "setting": values of all settings. The same object as long as nothing changed.
        """

    def search_path(self) -> tuple[str, ...]:
        """Schemas where names of one part are looked for; the first is where they are created."""
