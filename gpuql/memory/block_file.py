"""Batches in a spill file: what is needed to read one again stays in memory, its arrays do not."""

from __future__ import annotations

import threading
import weakref
from array import array
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column, StringArray
from gpuql.columnar.compressed import FrameOfReferenceColumn
from gpuql.columnar.parts import is_small_dictionary, stored_arrays, with_arrays
from gpuql.columnar.strings import compact_strings, narrow_positions, take_strings
from gpuql.memory import faults
from gpuql.memory.spill_space import SpillFile, SpillSpace
from gpuql.thresholds import (
    BATCHES_BETWEEN_COMPRESSIONS,
    COMPRESSED_SHARE,
    MIN_COMPRESSED_BYTES,
    MOST_BLOCK_FORMS,
)
from gpuql_planner.errors import OutOfMemoryError

#: Of a stored array: its elements, its shape but for the first axis, and whether it is compressed.
_ArrayKind = tuple[np.dtype[Any], tuple[int, ...], bool]


@dataclass(frozen=True, slots=True)
class _StoredArray:
    """Where an array is: ``num_bytes`` from ``start``, compressed or not."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    num_bytes: int
    is_compressed: bool


class _StoredStrings:
    """A dictionary in the file; ``loaded`` is the one that batches in memory point into, if there are any."""

    def __init__(self, offsets: _StoredArray, data: _StoredArray, strings: StringArray) -> None:
        self.offsets = offsets
        self.data = data
        self.is_sorted = strings.sorted
        self.loaded = weakref.ref(strings)


@dataclass(frozen=True, eq=False, slots=True)
class _ColumnForm:
    """A column without its arrays: ``empty`` has no rows but the form.

    Of its strings, ``shared`` ones are elsewhere in the file and ``own_strings`` are among the batch's arrays.
    """

    empty: Column
    num_arrays: int
    shared: _StoredStrings | None
    own_strings: bool


class StoredBatch:
    """Where a batch is, in few bytes, as there may be very many: ``kinds`` and ``forms`` are those of others as well.

    Of each array ``places`` has its start in the file, its bytes there, and its length along the first axis.
    """

    __slots__ = ("forms", "kinds", "num_rows", "places")

    def __init__(
        self,
        num_rows: int,
        arrays: Sequence[_StoredArray],
        kinds: tuple[_ArrayKind, ...],
        forms: Mapping[int, _ColumnForm],
    ) -> None:
        self.num_rows = num_rows
        self.kinds = kinds
        self.forms = forms
        self.places = array(
            "q", [number for one in arrays for number in (one.start, one.num_bytes, one.shape[0])]
        )

    def arrays(self) -> Iterator[_StoredArray]:
        """The arrays as they were written."""
        places = iter(self.places)
        for dtype, shape, is_compressed in self.kinds:
            start, num_bytes, length = next(places), next(places), next(places)
            yield _StoredArray(dtype, (length, *shape), start, num_bytes, is_compressed)


class BlockFile:
    """Batches of host arrays in a file that is made when the first one is written. Thread-safe."""

    def __init__(self, space: SpillSpace) -> None:
        self._space = space
        self._file: SpillFile | None = None
        self._lock = threading.Lock()
        self._plain_batches: dict[int, int] = {}
        self._dictionaries: weakref.WeakKeyDictionary[StringArray, _StoredStrings] = (
            weakref.WeakKeyDictionary()
        )
        self._forms: dict[Hashable, _ColumnForm] = {}
        self._batch_forms: dict[Hashable, tuple[tuple[_ArrayKind, ...], Mapping[int, _ColumnForm]]] = {}

    @property
    def num_bytes(self) -> int:
        """Bytes in the file."""
        return 0 if self._file is None else self._file.num_bytes

    def put(self, batch: Batch) -> StoredBatch:
        """Write a batch. Errors: OutOfMemoryError, InputError as ``SpillFile.write``."""
        arrays: list[Array] = []
        forms = {}
        for key, column in batch.columns.items():
            stored, shared = self._storable(column)
            own = stored_arrays(stored)
            forms[key] = self._form(stored, len(own), shared)
            arrays += own
            if stored.strings is not None and shared is None:
                arrays += [stored.strings.offsets, stored.strings.data]
        written = [self._write(values, position) for position, values in enumerate(arrays)]
        return StoredBatch(batch.num_rows, written, *self._batch_form(written, forms))

    def get(self, stored: StoredBatch) -> Batch:
        """Read a batch again. Errors: InputError; OutOfMemoryError if the system refuses the memory for it."""
        try:
            return self._get(stored)
        except MemoryError as error:
            raise OutOfMemoryError(
                f"the system refuses memory for rows that come back from a file: {error or 'out of memory'}",
                hint="lower memory_limit: more is then left for the program around it",
            ) from error

    def _get(self, stored: StoredBatch) -> Batch:
        arrays = stored.arrays()
        columns = {}
        for key, form in stored.forms.items():
            own = [self._read(next(arrays)) for _ in range(form.num_arrays)]
            strings = form.empty.strings
            if form.shared is not None:
                strings = self._shared_strings(form.shared)
            elif form.own_strings:
                assert strings is not None, "own strings were written"
                offsets, data = self._read(next(arrays)), self._read(next(arrays))
                strings = StringArray(offsets, data, strings.unique, strings.sorted)
            columns[key] = with_arrays(form.empty, own, strings)
        return Batch(columns, stored.num_rows)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    # --- columns -----------------------------------------------------------------------------------------------------

    def _storable(self, column: Column) -> tuple[Column, _StoredStrings | None]:
        """The column as it is written, and its strings if they are written apart.

        Strings of a small dictionary are written once; of others, those that the rows use are gathered.
        """
        strings = column.strings
        if strings is None:
            return column, None
        if is_small_dictionary(strings):
            return column, self._shared(strings)
        column = compact_strings(column)
        strings = column.strings
        assert strings is not None, "a string column has strings"
        if len(strings) > len(column):
            column = _with_own_strings(column, strings)
        return column, None

    def _shared(self, strings: StringArray) -> _StoredStrings:
        with self._lock:
            known = self._dictionaries.get(strings)
        if known is None:
            known = _StoredStrings(self._write(strings.offsets, -1), self._write(strings.data, -2), strings)
            with self._lock:
                known = self._dictionaries.setdefault(strings, known)
        return known

    def _shared_strings(self, stored: _StoredStrings) -> StringArray:
        strings = stored.loaded()
        if strings is None:
            read = StringArray(
                self._read(stored.offsets), self._read(stored.data), unique=True, sorted=stored.is_sorted
            )
            with self._lock:
                strings = stored.loaded()
                if strings is None:
                    strings = read
                    stored.loaded = weakref.ref(read)
                    self._dictionaries[read] = stored
        return strings

    def _form(self, column: Column, num_arrays: int, shared: _StoredStrings | None) -> _ColumnForm:
        """The form of a column; batches of one form share the object, as there may be very many."""
        strings = column.strings
        flags = None if strings is None else (strings.unique, strings.sorted)
        reference = column.reference if isinstance(column, FrameOfReferenceColumn) else None
        nullable = column.validity is not None
        key = (column.dtype, type(column), column.form, nullable, column.bounds, reference, flags, shared)
        with self._lock:
            form = self._forms.get(key)
            if form is None:
                form = _ColumnForm(
                    _without_rows(column), num_arrays, shared, strings is not None and not shared
                )
                if len(self._forms) >= MOST_BLOCK_FORMS:
                    self._forms.clear()
                self._forms[key] = form
        return form

    def _batch_form(
        self, arrays: Sequence[_StoredArray], forms: dict[int, _ColumnForm]
    ) -> tuple[tuple[_ArrayKind, ...], Mapping[int, _ColumnForm]]:
        """Kinds of arrays and forms of columns, the same objects for batches of which both are the same."""
        kinds = tuple((stored.dtype, stored.shape[1:], stored.is_compressed) for stored in arrays)
        key = kinds, tuple((column, id(form)) for column, form in forms.items())
        with self._lock:
            if len(self._batch_forms) >= MOST_BLOCK_FORMS:
                self._batch_forms.clear()
            return self._batch_forms.setdefault(key, (kinds, forms))

    # --- arrays ------------------------------------------------------------------------------------------------------

    def _write(self, values: Array, position: int) -> _StoredArray:
        """Write an array, compressed if others at the same ``position`` of earlier batches gained by it."""
        contiguous = np.ascontiguousarray(values)
        content = contiguous.reshape(-1).view(np.uint8)
        is_compressed = False
        if contiguous.nbytes >= MIN_COMPRESSED_BYTES and self._is_trial(position):
            from gpuql.columnar.arrow_blocks import compressed

            packed = compressed(contiguous)
            if packed.nbytes <= COMPRESSED_SHARE * contiguous.nbytes:
                content, is_compressed = packed, True
            else:
                self._plain_batches[position] = BATCHES_BETWEEN_COMPRESSIONS
        start = self._opened().write(content) if content.nbytes else 0
        return _StoredArray(contiguous.dtype, values.shape, start, content.nbytes, is_compressed)

    def _is_trial(self, position: int) -> bool:
        left = self._plain_batches.get(position, 0)
        self._plain_batches[position] = max(0, left - 1)
        return left == 0

    def _read(self, stored: _StoredArray) -> Array:
        faults.passing(faults.ALLOCATION)
        if not stored.is_compressed:
            values = np.empty(stored.shape, stored.dtype)
            if values.nbytes:
                self._opened().read_into(stored.start, values.reshape(-1).view(np.uint8))
            return values
        from gpuql.columnar.arrow_blocks import decompressed

        content = np.empty(stored.num_bytes, np.uint8)
        self._opened().read_into(stored.start, content)
        return decompressed(content, stored.dtype, stored.shape)

    def _opened(self) -> SpillFile:
        with self._lock:
            if self._file is None:
                self._file = self._space.new_file()
            return self._file


def _with_own_strings(column: Column, strings: StringArray) -> Column:
    """The column with one entry for each of its rows."""
    positions = column.values
    own = narrow_positions(np.arange(len(column)), len(column))
    first = int(positions[0]) if len(positions) else 0
    last = first + len(positions)
    if last <= len(strings) and np.array_equal(positions, np.arange(first, last)):
        begin, end = int(strings.offsets[first]), int(strings.offsets[last])
        offsets = strings.offsets[first : last + 1] - begin
        return Column(
            column.dtype, own, column.validity, StringArray(offsets, strings.data[begin:end], strings.unique)
        )
    return Column(column.dtype, own, column.validity, take_strings(strings, positions.astype(np.int64)))


def _without_rows(column: Column) -> Column:
    arrays = [values[:0].copy() for values in stored_arrays(column)]
    strings = column.strings
    if strings is not None:
        strings = StringArray(np.zeros(1, np.int64), np.empty(0, np.uint8), strings.unique, strings.sorted)
    return with_arrays(column, arrays, strings)
