"""Columns stored smaller than their values: offsets from a reference, and runs.

They are :class:`~gpuql.columnar.column.Column` like any other, with ``values`` decoded whenever it is asked for. What
reads a table in parts asks for slices, which are plain columns of just these rows; generated code reads the encoded
form itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column, Form, StringArray
from gpuql.columnar.construct import narrowest_dtype
from gpuql.thresholds import MAX_RUN_SHARE, RUN_SAMPLE_ROWS
from gpuql_planner.types import DataType


class FrameOfReferenceColumn(Column):
    """Integers as ``reference + offsets``; ``offsets`` is a narrower signed integer array of shape (n,)."""

    def __init__(
        self, dtype: DataType, offsets: Array, reference: int, validity: Array | None, bounds: tuple[int, int]
    ) -> None:
        _set(self, dtype, validity, None, bounds)
        object.__setattr__(self, "offsets", offsets)
        object.__setattr__(self, "reference", reference)

    offsets: Array
    reference: int

    @property
    def values(self) -> Array:
        """All values, decoded anew."""
        return self._decoded(self.offsets)

    @property
    def form(self) -> Form:
        """See ``Column.form``."""
        return f"{self.offsets.dtype.name}+{self.reference}", 1

    @property
    def nbytes(self) -> int:
        """See ``Column.nbytes``."""
        return int(self.offsets.nbytes) + (0 if self.validity is None else int(self.validity.nbytes))

    def __len__(self) -> int:
        return len(self.offsets)

    def take(self, rows: Array) -> Column:
        """See ``Column.take``; the result is plain."""
        return self._plain(self.offsets[rows], rows)

    def slice(self, start: int, stop: int) -> Column:
        """See ``Column.slice``; the result is plain and copied."""
        return self._plain(self.offsets[start:stop], slice(start, stop))

    def _plain(self, offsets: Array, rows: Any) -> Column:
        validity = None if self.validity is None else self.validity[rows]
        return Column(self.dtype, self._decoded(offsets), validity, None, self.bounds)

    def _decoded(self, offsets: Array) -> Array:
        assert self.bounds is not None, "an encoded column knows its range"
        return offsets.astype(narrowest_dtype(*self.bounds, self.dtype)) + self.reference


class RunLengthColumn(Column):
    """Equal neighbours once: ``run_values`` (runs,) and ``run_ends`` int64 (runs,), ascending, the last one n.

    One run is a constant. No row is NULL. Strings are positions into ``strings`` as in a plain column.
    """

    def __init__(
        self,
        dtype: DataType,
        run_values: Array,
        run_ends: Array,
        strings: StringArray | None,
        bounds: tuple[int, int] | None,
    ) -> None:
        _set(self, dtype, None, strings, bounds)
        object.__setattr__(self, "run_values", run_values)
        object.__setattr__(self, "run_ends", run_ends)

    run_values: Array
    run_ends: Array

    @property
    def values(self) -> Array:
        """All values, decoded anew."""
        return self[0 : len(self)]

    @property
    def form(self) -> Form:
        """See ``Column.form``: decoded before generated code reads it."""
        return self.run_values.dtype.name, 1

    @property
    def nbytes(self) -> int:
        """See ``Column.nbytes``."""
        return int(self.run_values.nbytes) + int(self.run_ends.nbytes)

    def __len__(self) -> int:
        return int(self.run_ends[-1])

    def __getitem__(self, rows: Any) -> Array:
        """Values of a slice of rows (step 1), decoded."""
        start, stop, _ = rows.indices(len(self))
        if start >= stop:
            return self.run_values[:0]
        first, last = np.searchsorted(self.run_ends, [start, stop - 1], side="right")
        ends = np.minimum(self.run_ends[first : last + 1], stop)
        return np.repeat(self.run_values[first : last + 1], np.diff(ends, prepend=start))

    def take(self, rows: Array) -> Column:
        """See ``Column.take``; the result is plain."""
        runs = np.searchsorted(self.run_ends, rows, side="right")
        return Column(self.dtype, self.run_values[runs], None, self.strings, self.bounds)

    def slice(self, start: int, stop: int) -> Column:
        """See ``Column.slice``; the result is plain and copied."""
        return Column(self.dtype, self[start:stop], None, self.strings, self.bounds)


def _set(
    column: Column,
    dtype: DataType,
    validity: Array | None,
    strings: StringArray | None,
    bounds: tuple[int, int] | None,
) -> None:
    """Fields of the frozen base; ``values`` is a property of the encoded classes."""
    for name, value in (("dtype", dtype), ("validity", validity), ("strings", strings), ("bounds", bounds)):
        object.__setattr__(column, name, value)


def compress_column(column: Column) -> Column:
    """The smallest of plain, runs and offsets that is worth its decoding; the same rows on the host.

    ``column`` is plain, of one word, narrow, with exact bounds if it holds integers.
    """
    if column.values.ndim != 1 or len(column) == 0:
        return column
    runs = _run_length(column) if column.validity is None else None
    return runs or _frame_of_reference(column) or column


def _run_length(column: Column) -> RunLengthColumn | None:
    values = column.values
    most_runs = MAX_RUN_SHARE * values.nbytes / (values.itemsize + 8)
    sample = values[:RUN_SAMPLE_ROWS]
    if np.count_nonzero(sample[1:] != sample[:-1]) + 1 > max(1.0, most_runs * len(sample) / len(values) * 2):
        return None
    changes = np.flatnonzero(values[1:] != values[:-1]) + 1
    if len(changes) + 1 > most_runs:
        return None
    starts = np.concatenate((np.zeros(1, np.int64), changes))
    ends = np.concatenate((changes, np.full(1, len(values), np.int64)))
    return RunLengthColumn(column.dtype, values[starts], ends, column.strings, column.bounds)


def _frame_of_reference(column: Column) -> FrameOfReferenceColumn | None:
    if column.strings is not None or column.bounds is None or column.values.dtype.kind != "i":
        return None
    low, high = column.bounds
    narrow = narrowest_dtype(0, high - low, column.dtype)
    if narrow is None or narrow.itemsize >= column.values.itemsize:
        return None
    offsets = (column.values - column.values.dtype.type(low)).astype(narrow)
    return FrameOfReferenceColumn(column.dtype, offsets, low, column.validity, (low, high))
