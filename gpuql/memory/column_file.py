"""Columns of tables in a temporary file: written once, read again as a whole or some rows at a time."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column, StringArray
from gpuql.columnar.compressed import RunLengthColumn
from gpuql.columnar.parts import stored_arrays, string_bytes, with_arrays
from gpuql.columnar.strings import is_row_by_row, take_strings
from gpuql.memory.spill_space import SpillFile
from gpuql.thresholds import KEPT_DICTIONARY_BYTES


@dataclass(frozen=True, eq=False)
class FileArray:
    """An array in a file."""

    file: SpillFile
    start: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Of all elements."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def read(self, start: int = 0, stop: int | None = None) -> Array:
        """Elements ``start`` to ``stop`` along the first axis. Errors: InputError."""
        stop = self.shape[0] if stop is None else stop
        values = np.empty((stop - start, *self.shape[1:]), self.dtype)
        if values.nbytes:
            row_bytes = self.num_bytes // self.shape[0]
            self.file.read_into(self.start + start * row_bytes, values.reshape(-1).view(np.uint8))
        return values


def write_array(file: SpillFile, array: Array) -> FileArray:
    """Append an array. Errors: OutOfMemoryError, InputError as ``SpillFile.write``."""
    contiguous = np.ascontiguousarray(array)
    start = file.write(contiguous.reshape(-1).view(np.uint8)) if contiguous.nbytes else 0
    return FileArray(file, start, contiguous.dtype, contiguous.shape)


@dataclass(frozen=True, eq=False)
class FilePiece:
    """Rows of a column in a file, in the form that they had in memory. Any thread may read.

    Attributes
    ----------
    empty : the form of the column: no rows, and its dictionary if that stays in memory.
    arrays : in the order of ``stored_arrays``; without the positions where strings are the rows themselves.
    strings : offsets and bytes of strings that are in the file.
    are_rows : string ``i`` is that of row ``i``.
    """

    num_rows: int
    empty: Column
    arrays: tuple[FileArray, ...]
    strings: tuple[FileArray, FileArray] | None
    are_rows: bool
    _dictionary: list[weakref.ref[StringArray]] = field(default_factory=list, repr=False)

    @property
    def num_bytes(self) -> int:
        """See ``Piece``."""
        arrays = sum(array.num_bytes for array in self.arrays)
        if self.are_rows and self.strings is not None:
            arrays += sum(array.num_bytes for array in self.strings)
            arrays += self.num_rows * _position_dtype(self.num_rows).itemsize
        return arrays

    def read(self, start: int, stop: int) -> Column:
        """Rows ``start`` to ``stop``. Errors: InputError."""
        if isinstance(self.empty, RunLengthColumn):
            whole = with_arrays(self.empty, [array.read() for array in self.arrays], self._all_strings())
            return whole if stop - start == self.num_rows else whole.slice(start, stop)
        if not self.are_rows:
            own = [array.read(start, stop) for array in self.arrays]
            return with_arrays(self.empty, own, self._all_strings())
        assert self.strings is not None, "strings of rows are in the file"
        offsets = self.strings[0].read(start, stop + 1)
        first, last = int(offsets[0]), int(offsets[-1])
        offsets -= first
        strings = StringArray(offsets, self.strings[1].read(first, last))
        positions = np.arange(stop - start, dtype=_position_dtype(stop - start))
        return with_arrays(
            self.empty, [positions, *(array.read(start, stop) for array in self.arrays)], strings
        )

    def _all_strings(self) -> StringArray | None:
        """The dictionary; the same object as long as somebody has it, so that code made for it fits."""
        kept = self.empty.strings
        if kept is None or self.strings is None:
            return kept
        known = self._dictionary[-1]() if self._dictionary else None
        if known is None:
            offsets, data = (array.read() for array in self.strings)
            known = StringArray(offsets, data, kept.unique, kept.sorted)
            self._dictionary[:] = [weakref.ref(known)]
        return known


def write_column(file: SpillFile, column: Column) -> FilePiece:
    """Append all rows. Errors: OutOfMemoryError, InputError as ``SpillFile.write``."""
    strings = column.strings
    arrays = stored_arrays(column)
    stored_strings = None
    are_rows = strings is not None and not strings.unique and not isinstance(column, RunLengthColumn)
    if strings is not None and are_rows and not is_row_by_row(column):
        strings = take_strings(strings, column.values.astype(np.int64))
    if strings is not None and (not strings.unique or string_bytes(strings) > KEPT_DICTIONARY_BYTES):
        stored_strings = write_array(file, strings.offsets), write_array(file, strings.data)
    written = tuple(write_array(file, array) for array in (arrays[1:] if are_rows else arrays))
    kept = strings if stored_strings is None or strings is None else _without_entries(strings)
    # Slices would keep the arrays that they are views of.
    empty = with_arrays(column, [array[:0].copy() for array in arrays], kept)
    return FilePiece(len(column), empty, written, stored_strings, are_rows)


def _without_entries(strings: StringArray) -> StringArray:
    return StringArray(np.zeros(1, np.int64), np.empty(0, np.uint8), strings.unique, strings.sorted)


def _position_dtype(num_rows: int) -> np.dtype[Any]:
    return np.dtype(np.int32 if num_rows < 2**31 else np.int64)
