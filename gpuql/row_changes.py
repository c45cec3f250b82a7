"""New versions of tables from rows to change: a pass over the columns that change, a part at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.table import ColumnHandle, ResidentTable
from gpuql.memory.column_cache import ColumnCache
from gpuql.memory.query_memory import QueryMemory
from gpuql.memory.table_builder import TableBuilder
from gpuql.thresholds import INTO_TABLE_PART_BYTES
from gpuql_planner.sql.change_statements import Action, Repeated
from gpuql_planner.statement_errors import RowChangedTwice


@dataclass(frozen=True, eq=False)
class SortedChanges:
    """Rows to update or delete: the number of each, ascending, an ``Action``, and new values of some columns.

    ``number`` and ``action`` name the columns of ``table`` that hold these.
    """

    table: ResidentTable
    number: str
    action: str
    repeated: Repeated

    def runs(self, step: int) -> Iterator[tuple[Array, int, int]]:
        """Numbers of about ``step`` rows at a time, and where these begin and end; equal numbers stay together."""
        start, total = 0, self.table.num_rows
        while start < total:
            stop = min(start + step, total)
            numbers = self._numbers(start, stop)
            while stop < total:
                cut = int(np.searchsorted(numbers, numbers[-1], side="left"))
                if cut:
                    numbers, stop = numbers[:cut], start + cut
                    break
                stop = min(stop + step, total)  # one row of the target is changed by all of these
                numbers = self._numbers(start, stop)
            yield numbers, start, stop
            start = stop

    def _numbers(self, start: int, stop: int) -> Array:
        return self.table.rows([self.number], start, stop)[self.number].values.astype(np.int64)

    def chosen(self, numbers: Array) -> Array:
        """Positions of the rows that take effect. Errors: DataError if a row is changed twice and may not be."""
        differs = numbers[1:] != numbers[:-1]
        if self.repeated is Repeated.ERROR and not bool(differs.all()):
            raise RowChangedTwice(
                "a row of the table is changed more than once by one statement",
                hint="make the rows that change it distinct",
            )
        edge = np.ones(1, np.bool_)
        parts = (differs, edge) if self.repeated is Repeated.LAST else (edge, differs)
        return np.flatnonzero(np.concatenate(parts))


@dataclass(frozen=True)
class Applied:
    """The columns that were stored anew, and what was done to how many rows."""

    columns: dict[str, ColumnHandle]
    num_rows: int
    updated: int
    deleted: int


def apply_changes(
    target: ResidentTable,
    changes: SortedChanges,
    rewritten: Sequence[str],
    cache: ColumnCache,
    memory: QueryMemory,
    returned: TableBuilder | None = None,
    check_cancelled: Callable[[], None] = lambda: None,
) -> Applied:
    """Store ``rewritten`` columns of ``target`` anew; all columns must be among them if rows are deleted.

    ``returned`` takes the rows that took effect: its fields, by name, from the changes.
    Errors: IntegrityError for a NULL in a column that is NOT NULL; as :meth:`SortedChanges.chosen`.
    """
    if not rewritten:
        return Applied({}, target.num_rows, 0, 0)
    fields = [field for field in target.fields if field.name in set(rewritten)]
    names = [field.name for field in fields]
    given = [field.name for field in changes.table.fields]
    new_names = [name for name in names if name in given]
    row_bytes = sum(target.whole_bytes(name) for name in names) / max(1, target.num_rows)
    part_bytes = min(memory.part_bytes, INTO_TABLE_PART_BYTES)
    step = max(1, min(int(part_bytes / max(1.0, row_bytes)), max(1, target.num_rows)))
    pending = _Pending(changes, step, new_names, returned)
    with (
        memory.reserve(4 * part_bytes, "changing rows"),
        TableBuilder(cache, target.name, fields) as builder,
    ):
        for sequence, start in enumerate(range(0, target.num_rows, step)):
            check_cancelled()
            stop = min(start + step, target.num_rows)
            rows = target.rows(names, start, stop)
            index = np.arange(stop - start)
            pieces: dict[str, list[Column]] = {name: [rows[name]] for name in names}
            there = stop - start
            for numbers, actions, values in pending.before(stop):
                is_deleted = actions == Action.DELETE
                places = there + np.arange(len(numbers))
                index[numbers - start] = np.where(is_deleted, -1, places)
                for name in new_names:
                    pieces[name].append(values[name])
                there += len(numbers)
            index = index[index >= 0]
            parts = [
                concat_columns(pieces[name]).take(index)
                if len(pieces[name]) > 1
                else (rows[name] if len(index) == stop - start else rows[name].take(index))
                for name in names
            ]
            builder.append(parts, len(index), sequence)
        num_rows = builder.num_rows
        columns: dict[str, ColumnHandle] = dict(builder.finish())
    return Applied(columns, num_rows, pending.updated, pending.deleted)


class _Pending:
    """Hands out the changes that take effect, in order, up to a row."""

    def __init__(
        self, changes: SortedChanges, step: int, names: Sequence[str], returned: TableBuilder | None
    ) -> None:
        self._changes = changes
        self._runs = changes.runs(step)
        self._names = list(names)
        self._returned = returned
        self._read = list(
            dict.fromkeys(
                [
                    changes.action,
                    *names,
                    *([] if returned is None else [field.name for field in returned.fields]),
                ]
            )
        )
        self._held: tuple[Array, dict[str, Column]] | None = None
        self.updated = 0
        self.deleted = 0

    def before(self, stop: int) -> Iterator[tuple[Array, Array, dict[str, Column]]]:
        """Numbers below ``stop``, actions, and columns, a run at a time."""
        while True:
            if self._held is None:
                self._held = self._next()
            if self._held is None:
                return
            numbers, columns = self._held
            count = int(np.searchsorted(numbers, stop, side="left"))
            if count:
                given = {name: column.slice(0, count) for name, column in columns.items()}
                actions = given[self._changes.action].values
                deleted = int(np.count_nonzero(actions == Action.DELETE))
                self.deleted += deleted
                self.updated += count - deleted
                yield numbers[:count], actions, given
            if count < len(numbers):
                rest = {name: column.slice(count, len(numbers)) for name, column in columns.items()}
                self._held = numbers[count:], rest
                return
            self._held = None

    def _next(self) -> tuple[Array, dict[str, Column]] | None:
        run = next(self._runs, None)
        if run is None:
            return None
        numbers, start, stop = run
        columns = self._changes.table.rows(self._read, start, stop)
        chosen = self._changes.chosen(numbers)
        if len(chosen) < len(numbers):
            numbers = numbers[chosen]
            columns = {name: column.take(chosen) for name, column in columns.items()}
        if self._returned is not None:
            rows = [columns[field.name] for field in self._returned.fields]
            self._returned.append(rows, len(numbers), start)
        return numbers, columns
