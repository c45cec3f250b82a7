"""Tables whose columns can be read, and the in-memory one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from gpuql.columnar.column import Column
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.encodings import encode_column
from gpuql.columnar.statistics import column_statistics
from gpuql_planner.catalog import ColumnStatistics, Field, Table
from gpuql_planner.errors import IntegrityError, InternalError
from gpuql_planner.logical.expressions import Expression


class HeldBytes(Protocol):
    """Bytes of memory held for a step of work."""

    def release(self) -> None:
        """Give them back."""


#: Asks for bytes; None if there is no room.
TryReserve = Callable[[int], HeldBytes | None]


class ReadableTable(Table, Protocol):
    """A table of the planner that also hands out its data."""

    def read(
        self,
        names: Sequence[str],
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
    ) -> tuple[dict[str, Column], int]:
        """Columns ``names`` (host, equal length, in row order) and the number of rows.

        Rows for which some predicate is not true may be left out, or not. ``attribute_names`` maps the ids of
        the attributes in ``predicates`` to columns of this table; without it nothing is left out. Errors:
        InputError or ConversionError if the source cannot be read as it was when the table was opened.
        """

    def read_parts(
        self,
        names: Sequence[str],
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
        *,
        part_bytes: int,
        try_reserve: TryReserve | None = None,
    ) -> Iterator[tuple[dict[str, Column], int]]:
        """As :meth:`read`, in parts (at least one) of about ``part_bytes``, the rows of the table in order.

        Columns of all parts have the same form as far as that is known beforehand. Only the part in hand takes memory,
        and one read ahead if ``try_reserve`` has room for it (None: it has).
        """

    def estimated_bytes(self, names: Sequence[str]) -> int:
        """About how many bytes :meth:`read` of all rows would take in memory that it does not take already."""


#: With fewer rows statistics cost less than a thread.
_MANY_ROWS = 10_000


class ResidentTable:
    """Immutable columns in host memory; statistics, and columns given as loaders, are made at first use.

    Parameters
    ----------
    name : as shown in plans.
    fields : columns in order.
    num_rows : rows of every column.
    columns : by field name, a column or a function that makes it (called once, by one thread).
    """

    def __init__(
        self,
        name: str,
        fields: Sequence[Field],
        num_rows: int,
        columns: Mapping[str, Column | Callable[[], Column]],
    ) -> None:
        self.name = name
        self.fields = tuple(fields)
        self.num_rows = num_rows
        self._columns = dict(columns)
        self._statistics: dict[str, ColumnStatistics] = {}
        self._locks = {field.name: threading.RLock() for field in self.fields}

    def __repr__(self) -> str:
        return f"ResidentTable({self.name!r}, {self.num_rows} rows)"

    def column(self, name: str) -> Column:
        """The whole column ``name``; always the same object."""
        with self._locks[name]:
            column = self._columns[name]
            if not isinstance(column, Column):
                column = column()
                if len(column) != self.num_rows:
                    raise InternalError(f"column length differs from the table's: {self.name}.{name}")
                self._columns[name] = column
            return column

    def statistics(self, name: str) -> ColumnStatistics:
        """Statistics of column ``name``, gathered at first request."""
        with self._locks[name]:
            known = self._statistics.get(name)
            if known is None:
                known = self._statistics[name] = column_statistics(self.column(name))
            return known

    def gather_in_background(self) -> None:
        """Begin to gather the statistics of all columns, so that the first plan need not wait for them."""
        if self.num_rows >= _MANY_ROWS:
            threading.Thread(target=self._gather, name="gpuql-statistics", daemon=True).start()

    def _gather(self) -> None:
        for field in self.fields:
            self.statistics(field.name)

    def read(
        self,
        names: Sequence[str],
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
    ) -> tuple[dict[str, Column], int]:
        """All rows of ``names``; the predicates are not used."""
        return {name: self.column(name) for name in names}, self.num_rows

    def read_parts(
        self,
        names: Sequence[str],
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
        *,
        part_bytes: int,
        try_reserve: TryReserve | None = None,
    ) -> Iterator[tuple[dict[str, Column], int]]:
        """One part: the columns are in memory."""
        yield self.read(names)

    def estimated_bytes(self, names: Sequence[str]) -> int:
        """None: the columns are in memory."""
        return 0

    def append(self, columns: Sequence[Column], num_rows: int) -> ResidentTable:
        """New version with more rows: ``columns`` in field order, of the fields' types.

        Columns are joined when first read, so many small appends in a row cost one copy.
        Errors: IntegrityError for a NULL in a column that is NOT NULL.
        """
        check_not_null(self.name, self.fields, columns)
        pending: dict[str, Column | Callable[[], Column]] = {}
        for field, column in zip(self.fields, columns, strict=True):
            pending[field.name] = _Joined(self._columns[field.name], column)
        return ResidentTable(self.name, self.fields, self.num_rows + num_rows, pending)


class _Joined:
    """A column not yet made: an older version's column, itself perhaps not yet made, and rows behind it."""

    def __init__(self, older: Column | Callable[[], Column], newer: Column) -> None:
        self.older = older
        self.newer = newer

    def __call__(self) -> Column:
        newest_first = [self.newer]
        older = self.older
        while isinstance(older, _Joined):
            newest_first.append(older.newer)
            older = older.older
        newest_first.append(older if isinstance(older, Column) else older())
        return encode_column(concat_columns(newest_first[::-1]))


def resident_table(
    name: str, fields: Sequence[Field], columns: Sequence[Column], num_rows: int
) -> ResidentTable:
    """Table of a query's result: columns in field order, encoded for storage.

    Errors: IntegrityError for a NULL in a column that is NOT NULL.
    """
    check_not_null(name, fields, columns)
    encoded = {field.name: encode_column(column) for field, column in zip(fields, columns, strict=True)}
    return ResidentTable(name, fields, num_rows, encoded)


def check_not_null(name: str, fields: Sequence[Field], columns: Sequence[Column]) -> None:
    """Raise IntegrityError if a column that is NOT NULL holds a NULL."""
    for field, column in zip(fields, columns, strict=True):
        if not field.nullable and column.validity is not None and not bool(column.validity.all()):
            raise IntegrityError(f"NOT NULL constraint failed: {name}.{field.name}")
