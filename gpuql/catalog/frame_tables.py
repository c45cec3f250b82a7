"""Frames found by name as tables, encoded once for objects that cannot change."""

from __future__ import annotations

import threading
import weakref
from functools import partial

from gpuql.columnar.table import ResidentTable
from gpuql.memory.column_cache import ColumnCache


class FrameTables:
    """Makes tables of frames. Thread-safe.

    A pyarrow Table or RecordBatch never changes, so it stays the same table, with its columns encoded and its
    statistics gathered, as long as the object lives. A RecordBatchReader can be read once only: its rows are kept
    as long as it lives, so that the next statement sees them too. Other frames may change and are taken anew each
    time.
    """

    def __init__(self, cache: ColumnCache | None = None) -> None:
        self._cache = cache
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int], tuple[weakref.ref[object], ResidentTable]] = {}

    def by_object(self, name: str, frame: object) -> ResidentTable:
        """Table of ``frame``. Errors: see ``gpuql.io.arrow_source.table_from_object``."""
        if not _can_be_kept(frame):
            return self.taken_over(name, frame)
        # A reader has one set of rows, whatever the names of the variables that hold it.
        key = ("" if type(frame).__name__ == "RecordBatchReader" else name, id(frame))
        with self._lock:
            known = self._known.get(key)
            if known is not None and known[0]() is frame:
                return known[1]
            # Under the lock, so that two threads do not share out the rows of one reader.
            table = self.taken_over(name, frame)
            # Entries of objects that are gone go before their identity can be taken by another.
            self._known = {k: entry for k, entry in self._known.items() if entry[0]() is not None}
            self._known[key] = (weakref.ref(frame), table)
        return table

    def taken_over(self, name: str, frame: object) -> ResidentTable:
        """A new table of ``frame``, whose encoded columns are in the cache's charge; memory shared with it is not.

        Errors: see ``gpuql.io.arrow_source.table_from_object``.
        """
        from gpuql.io.arrow_source import table_from_object

        table = table_from_object(name, frame)
        if self._cache is None:
            return table
        return table.kept_by(partial(self._cache.for_table, borrowed_counts=False))


def _can_be_kept(frame: object) -> bool:
    kind = type(frame)
    return kind.__module__ == "pyarrow.lib" and kind.__name__ in ("Table", "RecordBatch", "RecordBatchReader")
