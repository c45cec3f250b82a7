"""Files whose decoded columns stay in memory as long as there is room and the files stay as they are."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gpuql.columnar.column import Column
from gpuql.columnar.read_ahead import TryReserve
from gpuql.columnar.table import FileTable, PinnedColumns
from gpuql.memory.column_cache import ColumnCache
from gpuql.memory.kept_column import KeptColumn
from gpuql.thresholds import KEPT_COLUMN_SHARE
from gpuql_planner.catalog import ColumnStatistics, Field
from gpuql_planner.logical.expressions import Expression


class KeptFileTable:
    """A file table, with what was read of it. Another object takes its place when the files change. Thread-safe."""

    def __init__(self, table: FileTable, cache: ColumnCache) -> None:
        self._table = table
        self._cache = cache
        self._group = cache.new_group()
        self._handles: dict[str, KeptColumn] = {}
        self._known_rows = table.num_rows
        self._reading = threading.Lock()

    def __repr__(self) -> str:
        return repr(self._table)

    @property
    def name(self) -> str:
        """See ``Table``."""
        return self._table.name

    @property
    def fields(self) -> tuple[Field, ...]:
        """See ``Table``."""
        return tuple(self._table.fields)

    @property
    def num_rows(self) -> int | None:
        """See ``Table``."""
        return self._table.num_rows

    @property
    def identities(self) -> tuple[Any, ...]:
        """See ``FileTable``."""
        return self._table.identities

    def statistics(self, name: str) -> ColumnStatistics:
        """See ``Table``."""
        return self._table.statistics(name)

    def check_unchanged(self) -> None:
        """See ``FileTable``."""
        self._table.check_unchanged()

    def share_of_rows(
        self, predicates: Sequence[Expression], attribute_names: Mapping[int, str] | None
    ) -> float:
        """See ``FileTable``."""
        return self._table.share_of_rows(predicates, attribute_names)

    def estimated_bytes(self, names: Sequence[str]) -> int:
        """See ``ReadableTable``."""
        return self._table.estimated_bytes(names)

    def read(
        self,
        names: Sequence[str],
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
    ) -> tuple[dict[str, Column], int]:
        """See ``ReadableTable``: from the files."""
        return self._table.read(names, predicates, attribute_names)

    def read_parts(
        self,
        names: Sequence[str],
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
        *,
        part_bytes: int,
        try_reserve: TryReserve | None = None,
    ) -> Iterator[tuple[dict[str, Column], int]]:
        """See ``ReadableTable``: from the files."""
        return self._table.read_parts(
            names, predicates, attribute_names, part_bytes=part_bytes, try_reserve=try_reserve
        )

    def pin(
        self,
        names: Sequence[str],
        query: int,
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
    ) -> PinnedColumns | None:
        """See ``PinnableTable``: all rows, if the predicates leave most of them or all columns are there.

        Errors: InputError if the files changed since the table was opened, or cannot be read.
        """
        if not names:
            return None
        self._table.check_unchanged()
        pinned: dict[str, KeptColumn] = {}
        columns: dict[str, Column] = {}
        try:
            with self._reading:
                for name in names:
                    handle = self._handle(name)
                    column = handle.pin(query)
                    if column is not None:
                        pinned[name], columns[name] = handle, column
                missing = [name for name in names if name not in columns]
                if missing and self._table.share_of_rows(predicates, attribute_names) >= KEPT_COLUMN_SHARE:
                    columns |= self._brought(missing, query, pinned)
        except BaseException:
            _unpin(pinned)
            raise
        if len(columns) < len(names) or self._known_rows is None:
            _unpin(pinned)
            return None
        return PinnedColumns(columns, self._known_rows, tuple(pinned.values()))

    def _handle(self, name: str) -> KeptColumn:
        if name not in self._handles:
            self._handles[name] = self._cache.keep(None, None, self._group)
        return self._handles[name]

    def _brought(
        self, missing: Sequence[str], query: int, pinned: dict[str, KeptColumn]
    ) -> dict[str, Column]:
        """Columns read from the files, kept and pinned; nothing if there is no room."""
        sizes = {name: self._table.estimated_bytes([name]) for name in missing}
        if any(self._handle(name).is_here for name in missing) or not self._cache.may_pin(
            sum(sizes.values())
        ):
            return {}
        room: dict[str, int] = {}
        try:
            for name, size in sizes.items():
                if not self._cache.make_room(self._handle(name), size):
                    return {}
                room[name] = size
            started = time.perf_counter()
            columns, self._known_rows = self._table.read(missing)
            elapsed_s = time.perf_counter() - started
            total = max(1, sum(sizes.values()))
            for name in missing:
                share_s = elapsed_s * sizes[name] / total
                self._handle(name).offer(columns[name], query, share_s, room=room.pop(name))
                pinned[name] = self._handle(name)
            return columns
        finally:
            self._cache.give_room(sum(room.values()))


def _unpin(pinned: Mapping[str, KeptColumn]) -> None:
    for handle in pinned.values():
        handle.unpin()
