"""Rows that become a table: encoded as they come, column by column, in memory as long as there is room."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpuql.columnar.column import Column, StringArray
from gpuql.columnar.compressed import compress_column
from gpuql.columnar.construct import null_column
from gpuql.columnar.encodings import narrow_column
from gpuql.columnar.parts import string_bytes
from gpuql.columnar.pieced import Form, MemoryPiece, Piece, PiecedColumn, has_nulls_only
from gpuql.memory.budget import Account
from gpuql.memory.column_cache import ColumnCache
from gpuql.memory.column_file import write_column
from gpuql.memory.kept_column import FileGroup, KeptColumn
from gpuql.thresholds import WHOLE_OVER_PIECES
from gpuql_planner.catalog import Field
from gpuql_planner.errors import NotNullViolation

if TYPE_CHECKING:
    from gpuql.columnar.arrow_dictionary import GrowingDictionary


class TableBuilder:
    """Takes batches in any order, from any thread; then gives a table's columns, once. A context manager.

    Never holds more than the budget allows: what finds no room is written to the table's temporary file piece by piece,
    and stays there.

    Parameters
    ----------
    name : of the table, for messages.
    fields : of the table; columns of batches are in their order and of their types.
    """

    def __init__(self, cache: ColumnCache, name: str, fields: Sequence[Field]) -> None:
        self._cache = cache
        self.name = name
        self.fields = tuple(fields)
        self._group = cache.new_group()
        self._account: Account = cache.budget.open_account(running=False)
        self._columns = [_ColumnPieces(field, name) for field in self.fields]
        self._num_rows = 0
        self._lock = threading.Lock()

    def __enter__(self) -> TableBuilder:
        self._account.stores[id(self)] = self
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what is held for rows that are in no table. Twice does no harm."""
        self._account.stores.pop(id(self), None)
        self._cache.budget.close_account(self._account)

    @property
    def reclaimable_bytes(self) -> int:
        """See ``Reclaimable``."""
        return sum(pieces.movable_bytes for pieces in self._columns)

    def reclaim(self, wanted_bytes: int) -> int:
        """See ``Reclaimable``: pieces go to the file, those of the largest column first."""
        freed = 0
        for pieces in sorted(self._columns, key=lambda one: -one.movable_bytes):
            if freed >= wanted_bytes:
                break
            moved = pieces.move(self._group, wanted_bytes - freed)
            self._cache.budget.give(self._account, moved)
            freed += moved
        return freed

    @property
    def num_rows(self) -> int:
        """Rows so far."""
        return self._num_rows

    def append(self, columns: Sequence[Column], num_rows: int, sequence: int) -> None:
        """Take rows; ``sequence`` is their place among the others, equal ones in order of arrival.

        Errors: IntegrityError for a NULL in a column that is NOT NULL; OutOfMemoryError if temporary files may not be
        larger.
        """
        if not num_rows:
            return
        with self._lock:
            place = sequence, self._num_rows
            self._num_rows += num_rows
        for pieces, column in zip(self._columns, columns, strict=True):
            encoded = narrow_column(column)
            if not pieces.field.nullable and encoded.validity is not None:
                raise NotNullViolation(f"NOT NULL constraint failed: {self.name}.{pieces.field.name}")
            piece: Piece = MemoryPiece(_owned(encoded))
            num_bytes = piece.num_bytes + pieces.dictionary_bytes(encoded)
            if not self._cache.budget.try_take(self._account, num_bytes):
                piece, num_bytes = write_column(self._group.file(), encoded), 0
            pieces.add(place, piece, encoded, num_bytes)

    def finish(self) -> dict[str, KeptColumn]:
        """The columns by field name."""
        return {pieces.field.name: self._finished(pieces) for pieces in self._columns}

    def _finished(self, pieces: _ColumnPieces) -> KeptColumn:
        """The column, whole if there is room, else as it is. Its pieces stay where they are from here on."""
        pieces.stay()
        content: Column | PiecedColumn | None = self._whole(pieces)
        if content is None:
            pieces.move(self._group, pieces.held_bytes, even_if_staying=True)
            content = pieces.joined()
        pieces.pieces.clear()
        self._cache.budget.give(self._account, pieces.taken_bytes)
        return self._cache.keep(content, self._num_rows, self._group)

    def _whole(self, pieces: _ColumnPieces) -> Column | None:
        """The column in memory, if there is room."""
        if not self._num_rows:
            return null_column(pieces.field.dtype, 0)
        parts = pieces.joined()
        if len(parts.pieces) == 1 and isinstance(parts.pieces[0], MemoryPiece):
            return compress_column(parts.pieces[0].column)
        room = WHOLE_OVER_PIECES * parts.num_bytes
        if not self._cache.budget.try_take(self._account, room):
            return None
        try:
            return parts.whole()
        finally:
            self._cache.budget.give(self._account, room)


class _ColumnPieces:
    """Pieces of one column by their place, and the form that fits them all."""

    def __init__(self, field: Field, table: str) -> None:
        self.field = field
        self.pieces: dict[tuple[int, int], Piece] = {}
        self.held_bytes = 0
        self.taken_bytes = 0
        self._stays = False
        self._table = table
        self._lock = threading.Lock()
        self._bounds: tuple[int, int] | None = None
        self._growing: GrowingDictionary | None = None
        self._dictionary: StringArray | None = None
        self._is_plain = False
        self._num_rows = 0

    def add(self, place: tuple[int, int], piece: Piece, column: Column, held_bytes: int) -> None:
        """Take a piece, whose rows are those of ``column``."""
        with self._lock:
            self.pieces[place] = piece
            self.held_bytes += held_bytes
            self.taken_bytes += held_bytes
            self._num_rows += piece.num_rows
            if has_nulls_only(column):
                return
            if column.bounds is not None:
                low, high = self._bounds or column.bounds
                self._bounds = min(low, column.bounds[0]), max(high, column.bounds[1])
            if column.strings is not None and not self._is_plain and column.strings is not self._dictionary:
                self._dictionary = self._united(column.strings)
                self._is_plain = self._dictionary is None

    @property
    def movable_bytes(self) -> int:
        """Bytes that :meth:`move` could free."""
        return 0 if self._stays else self.held_bytes

    def stay(self) -> None:
        """Move nothing any more: somebody reads the pieces."""
        with self._lock:
            self._stays = True

    def move(self, group: FileGroup, wanted_bytes: int, *, even_if_staying: bool = False) -> int:
        """Write pieces to the file until about ``wanted_bytes`` are free; how many are. 0 if the column is busy.

        Dictionaries count as moved with the last piece, though other pieces in the file may keep small ones.
        """
        if not self._lock.acquire(blocking=False):
            return 0
        try:
            if self._stays and not even_if_staying:
                return 0
            freed = 0
            for place, piece in self.pieces.items():
                if freed >= wanted_bytes:
                    break
                if isinstance(piece, MemoryPiece):
                    self.pieces[place] = write_column(group.file(), piece.column)
                    freed += piece.num_bytes
            if not any(isinstance(piece, MemoryPiece) for piece in self.pieces.values()):
                freed = self.held_bytes
            self.held_bytes -= freed
            if not even_if_staying:
                self.taken_bytes -= freed
            return freed
        finally:
            self._lock.release()

    def dictionary_bytes(self, column: Column) -> int:
        """Bytes of its dictionary, if that is another than the pieces before have."""
        strings = column.strings
        if strings is None or not strings.unique or strings is self._dictionary:
            return 0
        return string_bytes(strings)

    def _united(self, strings: StringArray) -> StringArray | None:
        """The dictionary of all rows; None if some have none, or it would be too large."""
        if not strings.unique:
            return None
        from gpuql.columnar.arrow_dictionary import GrowingDictionary
        from gpuql.columnar.arrow_strings import string_array_to_arrow

        if self._growing is None:
            if self._dictionary is None and strings.sorted:
                return strings
            self._growing = GrowingDictionary(self.field.dtype, f"{self._table}.{self.field.name}")
        known = [strings] if self._dictionary is None else [self._dictionary, strings]
        entries = [string_array_to_arrow(one, self.field.dtype) for one in known]
        united = self._growing.with_entries(entries, self._num_rows)
        return None if united is None else united.strings

    def joined(self) -> PiecedColumn:
        """All rows in order."""
        dtype = self.field.dtype
        form = Form(dtype, self._bounds, None if self._is_plain else self._dictionary)
        return PiecedColumn([self.pieces[place] for place in sorted(self.pieces)], form)


def _owned(column: Column) -> Column:
    """The column itself, or a copy if it is a small part of a larger array that it would keep alive."""
    values = column.values
    base = values.base
    if base is None or not hasattr(base, "nbytes") or values.nbytes * 2 > base.nbytes:
        return column
    validity = None if column.validity is None else column.validity.copy()
    return Column(column.dtype, values.copy(), validity, column.strings, column.bounds)
