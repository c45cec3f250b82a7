"""Tables whose columns can be read, and the in-memory one."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from gpuql.columnar.column import Column
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.encodings import encode_column
from gpuql.columnar.growth import Growth
from gpuql.columnar.pieced import MemoryPiece, PiecedColumn, row_numbers, unite
from gpuql.columnar.read_ahead import TryReserve, read_ahead
from gpuql.columnar.statistics import column_statistics, pieced_statistics
from gpuql.thresholds import BACKGROUND_STATISTICS_ROWS
from gpuql_planner.catalog import ColumnStatistics, Field, Table
from gpuql_planner.errors import GpuqlError, InternalError, NotNullViolation
from gpuql_planner.logical.expressions import Expression
from gpuql_planner.table_rules import NO_RULES, TableRules
from gpuql_planner.types import BIGINT


class ColumnHandle(Protocol):
    """A column of a table, in memory or not. Thread-safe."""

    @property
    def is_here(self) -> bool:
        """Whether the whole column is in memory."""

    @property
    def num_bytes(self) -> int:
        """About what it takes in memory as a whole; 0 if that is not known yet."""

    @property
    def unmade(self) -> Callable[[], Column | PiecedColumn] | None:
        """What makes it at first use; None if it was made."""

    def pin(self, query: int) -> Column | None:
        """The whole column, in memory until :meth:`unpin`; None if there is no room for it."""

    def unpin(self) -> None:
        """The contrary of :meth:`pin`."""

    def whole(self) -> Column:
        """The whole column."""

    def rows(self, start: int, stop: int) -> Column:
        """Some rows."""

    def content(self) -> Column | PiecedColumn:
        """All rows, where they are."""


class PinnableTable(Protocol):
    """A table whose columns are in memory, or may come to be."""

    def pin(
        self,
        names: Sequence[str],
        query: int,
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
    ) -> PinnedColumns | None:
        """Columns ``names`` in memory until they are unpinned; None if there is no room for them.

        ``query`` numbers the user: later ones have larger numbers. The rest is as in ``ReadableTable.read``.
        """


@dataclass(frozen=True, eq=False)
class PinnedColumns:
    """Whole columns, and what is to be unpinned when they are not needed any more."""

    columns: dict[str, Column]
    num_rows: int
    handles: tuple[ColumnHandle, ...]


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


class FileTable(ReadableTable, Protocol):
    """A table that knows the files it was opened from."""

    @property
    def identities(self) -> tuple[Any, ...]:
        """The files as they were when opened."""

    def check_unchanged(self) -> None:
        """Raise InputError if a file is no longer the one that was opened."""

    def share_of_rows(
        self, predicates: Sequence[Expression], attribute_names: Mapping[int, str] | None
    ) -> float:
        """Share of the rows that :meth:`read` would read with these predicates."""


#: What a column is made of, at once or at first use.
Content = Column | PiecedColumn | Callable[[], Column | PiecedColumn]
#: Takes charge of a column of so many rows.
KeepColumn = Callable[[Content, int], ColumnHandle]


#: Name of the threads that gather statistics of new tables.
STATISTICS_THREAD = "gpuql-statistics"


class ResidentTable:
    """Immutable columns, in memory as far as there is room; statistics are gathered at first use.

    Parameters
    ----------
    name : as shown in plans.
    fields : columns in order.
    num_rows : rows of every column.
    columns : by field name, a column, a function that makes it (called once, by one thread), or the handle of one.
    keeping : gives what takes charge of the columns of one table; without it they stay in memory.
    rules : what the rows obey; nothing is checked here.
    """

    def __init__(
        self,
        name: str,
        fields: Sequence[Field],
        num_rows: int,
        columns: Mapping[str, Content | ColumnHandle],
        keeping: Callable[[], KeepColumn] | None = None,
        rules: TableRules = NO_RULES,
    ) -> None:
        self.name = name
        self.rules = rules
        self.fields = tuple(fields)
        self.num_rows = num_rows
        self._keeping = keeping
        keep: KeepColumn = _AlwaysHere if keeping is None else keeping()
        self._columns = {
            key: keep(column, num_rows)
            if isinstance(column, Column | PiecedColumn) or callable(column)
            else column
            for key, column in columns.items()
        }
        self._statistics: dict[str, ColumnStatistics] = {}
        #: Of columns that are not counted themselves, how they came from one that is.
        self._growths: dict[str, Growth] = {}
        self._locks = {field.name: threading.RLock() for field in self.fields}

    def __repr__(self) -> str:
        return f"ResidentTable({self.name!r}, {self.num_rows} rows)"

    def kept_by(self, keeping: Callable[[], KeepColumn]) -> ResidentTable:
        """The same table with columns that another has in its charge."""
        columns = {name: column.unmade or column.content() for name, column in self._columns.items()}
        return ResidentTable(self.name, self.fields, self.num_rows, columns, keeping, self.rules)

    def version(
        self,
        *,
        name: str | None = None,
        fields: Sequence[Field] | None = None,
        columns: Mapping[str, Content | ColumnHandle] | None = None,
        rules: TableRules | None = None,
    ) -> ResidentTable:
        """A version of as many rows, with some things else; columns that are not given, and their statistics, stay.

        ``columns`` are by name in ``fields``.
        """
        given = {} if columns is None else columns
        kept = {field.name for field in self.fields} - given.keys()
        fields = self.fields if fields is None else fields
        version = ResidentTable(
            self.name if name is None else name,
            fields,
            self.num_rows,
            {
                field.name: given[field.name] if field.name in given else self._columns[field.name]
                for field in fields
            },
            self._keeping,
            self.rules if rules is None else rules,
        )
        for column in kept & version._locks.keys():
            if column in self._statistics:
                version._statistics[column] = self._statistics[column]
            if column in self._growths:
                version._growths[column] = self._growths[column]
        return version

    def handle(self, name: str) -> ColumnHandle:
        """Column ``name``, to be part of another version."""
        return self._columns[name]

    def numbered(self) -> NumberedTable:
        """The same rows with their numbers; see ``gpuql_planner.table_rules.ChangeableTable``."""
        return NumberedTable(self)

    def column(self, name: str) -> Column:
        """The whole column ``name``; the same object as long as it stays in memory."""
        return self._columns[name].whole()

    def rows(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        """Rows ``start`` to ``stop`` of ``names``."""
        return {name: self._columns[name].rows(start, stop) for name in names}

    def statistics(self, name: str) -> ColumnStatistics:
        """Statistics of column ``name``, gathered at first request."""
        with self._locks[name]:
            known = self._statistics.get(name)
            growth = self._growths.get(name)
            if known is None and growth is not None:
                known = growth.statistics()
                if known is None:
                    self._growths.pop(name, None)
                else:
                    self._growths[name] = Growth(known, growth.counted_rows, growth.new_rows)
                    self._statistics[name] = known = self._with_rules(name, known)
            if known is None:
                content = self._columns[name].content()
                if isinstance(content, PiecedColumn) and not self._columns[name].is_here:
                    known = pieced_statistics(content)
                else:
                    known = column_statistics(self._columns[name].whole())
                self._statistics[name] = known = self._with_rules(name, known)
            return known

    def _with_rules(self, name: str, known: ColumnStatistics) -> ColumnStatistics:
        """A column that is a key has unique values."""
        if known.null_count == 0 and any(key.columns == (name,) for key in self.rules.keys):
            return replace(known, unique=True)
        return known

    def gather_in_background(self) -> None:
        """Begin to gather the statistics of all columns, so that the first plan need not wait for them."""
        if self.num_rows >= BACKGROUND_STATISTICS_ROWS:
            names = tuple(field.name for field in self.fields)
            threading.Thread(
                target=_gather, args=(weakref.ref(self), names), name=STATISTICS_THREAD, daemon=True
            ).start()

    def pin(
        self,
        names: Sequence[str],
        query: int,
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
    ) -> PinnedColumns | None:
        """See ``PinnableTable``; the predicates are not used."""
        handles: list[ColumnHandle] = []
        columns: dict[str, Column] = {}
        try:
            for name in names:
                column = self._columns[name].pin(query)
                if column is not None:
                    handles.append(self._columns[name])
                    columns[name] = column
        except BaseException:
            _unpin(handles)
            raise
        if len(columns) < len(names):
            _unpin(handles)
            return None
        return PinnedColumns(columns, self.num_rows, tuple(handles))

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
        """Rows of ``names``, so many at a time that they take about ``part_bytes``."""
        row_bytes = sum(self._columns[name].num_bytes for name in names) / max(1, self.num_rows)
        step = max(1, min(int(part_bytes / row_bytes) if row_bytes else self.num_rows, self.num_rows))
        return read_ahead(self._parts(names, step), partial(try_reserve, part_bytes) if try_reserve else None)

    def _parts(self, names: Sequence[str], step: int) -> Generator[tuple[dict[str, Column], int]]:
        for start in range(0, max(1, self.num_rows), step):
            stop = min(start + step, self.num_rows)
            yield self.rows(names, start, stop), stop - start

    def estimated_bytes(self, names: Sequence[str]) -> int:
        """Bytes of the columns that are not in memory."""
        handles = (self._columns[name] for name in names)
        return sum(0 if handle.is_here else handle.num_bytes for handle in handles)

    def whole_bytes(self, name: str) -> int:
        """About what column ``name`` takes in memory as a whole, wherever it is; 0 if that is not known yet."""
        return self._columns[name].num_bytes

    def append(self, columns: Sequence[Column | ColumnHandle], num_rows: int) -> ResidentTable:
        """New version with more rows: ``columns`` in field order, of the fields' types.

        Columns are joined when first read, so many small appends in a row cost one copy.
        Errors: IntegrityError for a NULL in a column that is NOT NULL.
        """
        given = [column for column in columns if isinstance(column, Column)]
        if len(given) == len(self.fields):
            check_not_null(self.name, self.fields, given)
        pending: dict[str, Content | ColumnHandle] = {}
        for field, column in zip(self.fields, columns, strict=True):
            pending[field.name] = _Joined(field, self._columns[field.name], column)
        version = ResidentTable(
            self.name, self.fields, self.num_rows + num_rows, pending, self._keeping, self.rules
        )
        for field, column in zip(self.fields, columns, strict=True):
            growth = self._growths.get(field.name)
            if growth is None and (known := self._statistics.get(field.name)) is not None:
                growth = Growth(known, self.num_rows)
            if growth is not None and (growth := growth.with_rows(partial(_rows_of, column), num_rows)):
                version._growths[field.name] = growth
        return version


class NumberedTable(ResidentTable):
    """The rows of another table with one more column, the last: the row's number, from 0."""

    def __init__(self, table: ResidentTable) -> None:
        names = [field.name for field in table.fields]
        self.number_name = fresh_name("number", names)
        field = Field(self.number_name, BIGINT, nullable=False)
        columns: dict[str, Content | ColumnHandle] = {name: table.handle(name) for name in names}
        columns[self.number_name] = partial(row_numbers, table.num_rows)
        super().__init__(table.name, (*table.fields, field), table.num_rows, columns, table._keeping)
        self._table = table

    def statistics(self, name: str) -> ColumnStatistics:
        """Those of the table; of row numbers all is known."""
        if name != self.number_name:
            return self._table.statistics(name)
        last = max(0, self.num_rows - 1)
        return ColumnStatistics(0, last, 0, self.num_rows, unique=True, sorted=True)


def fresh_name(name: str, taken: Sequence[str]) -> str:
    """``name``, with underscores behind it until it is none of ``taken``."""
    folded = {one.lower() for one in taken}
    while name.lower() in folded:
        name += "_"
    return name


class _AlwaysHere:
    """A ``ColumnHandle`` of a column that nobody counts: it stays in memory."""

    def __init__(self, content: Content, num_rows: int) -> None:
        self._num_rows = num_rows
        self._content = content
        self._lock = threading.Lock()

    @property
    def is_here(self) -> bool:
        """See ``ColumnHandle``."""
        return True

    @property
    def num_bytes(self) -> int:
        """See ``ColumnHandle``."""
        content = self._content
        return MemoryPiece(content).num_bytes if isinstance(content, Column) else 0

    @property
    def unmade(self) -> Callable[[], Column | PiecedColumn] | None:
        """See ``ColumnHandle``."""
        content = self._content
        return None if isinstance(content, Column | PiecedColumn) else content

    def pin(self, query: int) -> Column:
        """See ``ColumnHandle``."""
        return self.whole()

    def unpin(self) -> None:
        """See ``ColumnHandle``: it stays anyway."""

    def whole(self) -> Column:
        """See ``ColumnHandle``."""
        with self._lock:
            content = self._content
            if not isinstance(content, Column | PiecedColumn):
                content = content()
                if len(content) != self._num_rows:
                    raise InternalError(f"column length differs from the table's: {len(content)} rows")
            column = content.whole() if isinstance(content, PiecedColumn) else content
            self._content = column
            return column

    def rows(self, start: int, stop: int) -> Column:
        """See ``ColumnHandle``."""
        return self.whole().slice(start, stop)

    def content(self) -> Column:
        """See ``ColumnHandle``."""
        return self.whole()


class _Joined:
    """A column not yet made: an older version's column, itself perhaps not yet made, and rows behind it."""

    def __init__(self, field: Field, older: ColumnHandle, newer: Column | ColumnHandle) -> None:
        self.field = field
        self.older = older
        self.newer = newer

    def __call__(self) -> Column | PiecedColumn:
        newest_first = [_content(self.newer)]
        older = self.older
        while isinstance(joined := older.unmade, _Joined):
            newest_first.append(_content(joined.newer))
            older = joined.older
        newest_first.append(older.content())
        in_order = newest_first[::-1]
        columns = [content for content in in_order if isinstance(content, Column)]
        if len(columns) == len(in_order):
            return encode_column(concat_columns(columns))
        return unite(self.field.dtype, in_order, self.field.name)


def _gather(table: weakref.ref[ResidentTable], names: Sequence[str]) -> None:
    """Gather the statistics of columns ``names`` as long as anyone else has the table.

    Where a column cannot be read they stay unknown: the query that needs the column says why.
    """
    for name in names:
        known = table()
        if known is None:
            return
        with suppress(GpuqlError, MemoryError):
            known.statistics(name)
        del known


def _rows_of(rows: Column | ColumnHandle) -> Column:
    return rows if isinstance(rows, Column) else rows.whole()


def _content(rows: Column | ColumnHandle) -> Column | PiecedColumn:
    return rows if isinstance(rows, Column) else rows.content()


def _unpin(handles: Sequence[ColumnHandle]) -> None:
    for handle in handles:
        handle.unpin()


def resident_table(
    name: str,
    fields: Sequence[Field],
    columns: Sequence[Column],
    num_rows: int,
    keeping: Callable[[], KeepColumn] | None = None,
) -> ResidentTable:
    """Table of a query's result: columns in field order, encoded for storage.

    Errors: IntegrityError for a NULL in a column that is NOT NULL.
    """
    check_not_null(name, fields, columns)
    encoded = {field.name: encode_column(column) for field, column in zip(fields, columns, strict=True)}
    return ResidentTable(name, fields, num_rows, encoded, keeping)


def check_not_null(name: str, fields: Sequence[Field], columns: Sequence[Column]) -> None:
    """Raise IntegrityError if a column that is NOT NULL holds a NULL."""
    for field, column in zip(fields, columns, strict=True):
        if not field.nullable and column.validity is not None and not bool(column.validity.all()):
            raise NotNullViolation(f"NOT NULL constraint failed: {name}.{field.name}")
