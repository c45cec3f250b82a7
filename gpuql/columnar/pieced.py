"""Columns that exist as a row of pieces: in memory or elsewhere, each in the form that its own rows allow.

What is read of them has one form: that which all pieces fit.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from gpuql.columnar import two_words
from gpuql.columnar.column import Column, StringArray
from gpuql.columnar.compressed import FrameOfReferenceColumn, RunLengthColumn, compress_column
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.construct import narrowest_dtype, null_column
from gpuql.columnar.parts import stored_arrays, string_bytes
from gpuql.columnar.strings import narrow_positions, on_host
from gpuql_planner.types import BIGINT, DataType


class Piece(Protocol):
    """Rows that can be read any number of times, by any thread."""

    @property
    def num_rows(self) -> int:
        """How many."""

    @property
    def num_bytes(self) -> int:
        """Bytes that all of them take in memory, a dictionary apart."""

    def read(self, start: int, stop: int) -> Column:
        """Some of them."""


@dataclass(frozen=True, eq=False)
class MemoryPiece:
    """A column in memory as a piece."""

    column: Column

    @property
    def num_rows(self) -> int:
        """See ``Piece``."""
        return len(self.column)

    @property
    def num_bytes(self) -> int:
        """See ``Piece``."""
        own = sum(int(array.nbytes) for array in stored_arrays(self.column))
        strings = self.column.strings
        return own + (0 if strings is None or strings.unique else string_bytes(strings))

    def read(self, start: int, stop: int) -> Column:
        """See ``Piece``: views."""
        return self.column if stop - start == len(self.column) else self.column.slice(start, stop)


@dataclass(frozen=True, eq=False)
class NumberPiece:
    """The whole numbers from 0 as a piece: made when they are read, kept nowhere."""

    num_rows: int

    @property
    def num_bytes(self) -> int:
        """See ``Piece``."""
        return self.num_rows * self._dtype.itemsize

    @property
    def _dtype(self) -> np.dtype[Any]:
        dtype = narrowest_dtype(0, max(0, self.num_rows - 1), BIGINT)
        assert dtype is not None, "numbers of rows take one word"
        return dtype

    def read(self, start: int, stop: int) -> Column:
        """See ``Piece``."""
        values = np.arange(start, stop, dtype=self._dtype)
        return Column(BIGINT, values, None, None, (0, max(0, self.num_rows - 1)))


def row_numbers(num_rows: int) -> PiecedColumn:
    """The numbers of so many rows, from 0, as a column."""
    return PiecedColumn(
        [NumberPiece(num_rows)], Form(BIGINT, (0, max(0, num_rows - 1)), None), compressed=False
    )


@dataclass(frozen=True, eq=False)
class Form:
    """How a column is stored: values of integers are within ``bounds``; strings are positions in ``dictionary``.

    Strings without a dictionary are the rows themselves.
    """

    dtype: DataType
    bounds: tuple[int, int] | None
    dictionary: StringArray | None

    def conform(self, column: Column) -> Column:
        """The rows in this form, decoded if they were runs or offsets."""
        if self.dtype.is_bytes:
            return self._strings(column)
        if self.bounds is None or column.bounds is None:
            return column
        target = narrowest_dtype(*self.bounds, self.dtype)
        if has_nulls_only(column):  # what stands under NULLs may be out of bounds
            low = self.bounds[0]
            any_value = two_words.from_integers([low]) if target is None else np.array([low], target)
            values = np.repeat(any_value, len(column), axis=0)
        else:
            values = column.values
            values = two_words.widen(values) if target is None else values.astype(target, copy=False)
        return Column(self.dtype, values, column.validity, None, self.bounds)

    def _strings(self, column: Column) -> Column:
        strings = column.strings
        assert strings is not None, "a string column has strings"
        if self.dictionary is None or strings is self.dictionary:
            return column
        if has_nulls_only(column):
            positions = np.zeros(
                len(column), narrow_positions(np.empty(0, np.int64), len(self.dictionary)).dtype
            )
            return Column(self.dtype, positions, column.validity, self.dictionary)
        key = "positions in", id(self.dictionary)
        known = strings.cache.get(key)
        if known is None or known[0] is not self.dictionary:
            from gpuql.columnar.arrow_dictionary import positions_in

            known = strings.cache[key] = self.dictionary, positions_in(strings, self.dictionary, self.dtype)
        return Column(self.dtype, known[1][column.values], column.validity, self.dictionary)


class PiecedColumn:
    """All rows of a column. Immutable; any thread may read.

    Parameters
    ----------
    pieces : in order; no rows are in none of them.
    form : which all pieces fit.
    compressed : whether a whole column is stored as runs or offsets where that is smaller.
    """

    def __init__(self, pieces: Sequence[Piece], form: Form, *, compressed: bool = True) -> None:
        self.pieces = tuple(pieces)
        self.form = form
        self._compressed = compressed
        self._ends = np.cumsum([piece.num_rows for piece in self.pieces]).tolist()

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def num_bytes(self) -> int:
        """About the bytes of the whole column in memory, but for a dictionary that is there anyway."""
        return sum(piece.num_bytes for piece in self.pieces)

    def read(self, start: int, stop: int) -> Column:
        """Rows ``start`` to ``stop``, plain and in the one form."""
        parts = []
        first = bisect.bisect_right(self._ends, start)
        for piece, end in zip(self.pieces[first:], self._ends[first:], strict=True):
            begin = end - piece.num_rows
            if begin >= stop:
                break
            part = piece.read(max(start, begin) - begin, min(stop, end) - begin)
            parts.append(self.form.conform(part))
        if not parts:
            return null_column(self.form.dtype, 0)
        column = parts[0] if len(parts) == 1 else concat_columns(parts)
        if isinstance(column, FrameOfReferenceColumn | RunLengthColumn):
            column = column.slice(0, len(column))
        return column if self.form.bounds is None else replace_bounds(column, self.form.bounds)

    def whole(self) -> Column:
        """All rows, in the smallest form."""
        if len(self.pieces) == 1:
            return self.pieces[0].read(0, len(self))
        column = self.read(0, len(self))
        if has_nulls_only(column):
            return null_column(column.dtype, len(column))
        return compress_column(column) if self._compressed else column

    def parts(self, num_rows: int) -> Iterator[Column]:
        """All rows, ``num_rows`` at a time."""
        for start in range(0, len(self), num_rows):
            yield self.read(start, min(start + num_rows, len(self)))


def replace_bounds(column: Column, bounds: tuple[int, int]) -> Column:
    """The plain column with other bounds, if it has any."""
    return column if column.bounds in (None, bounds) else replace(column, bounds=bounds)


def unite(dtype: DataType, contents: Sequence[Column | PiecedColumn], name: str) -> PiecedColumn:
    """All rows one after the other, in one form. Errors: ConversionError if text is not UTF-8."""
    pieces: list[Piece] = []
    bounds: list[tuple[int, int]] = []
    dictionaries: dict[int, StringArray] = {}
    is_plain = False
    for content in contents:
        if not len(content):
            continue
        own = [MemoryPiece(content)] if isinstance(content, Column) else content.pieces
        sample = content.slice(0, 1) if isinstance(content, Column) else content.read(0, 1)
        pieces += own
        if isinstance(content, Column) and has_nulls_only(content):
            continue
        known = content.bounds if isinstance(content, Column) else content.form.bounds
        bounds += [] if known is None else [known]
        if sample.strings is not None:
            # Pieces without a dictionary in common may each have one of their own.
            is_apart = isinstance(content, PiecedColumn) and len(own) > 1 and content.form.dictionary is None
            is_plain = is_plain or is_apart or not sample.strings.unique
            dictionaries[id(sample.strings)] = sample.strings
    joined = (min(low for low, _ in bounds), max(high for _, high in bounds)) if bounds else None
    dictionary = None
    if dictionaries and not is_plain:
        dictionary = _united(
            dtype, list(dictionaries.values()), sum(piece.num_rows for piece in pieces), name
        )
    return PiecedColumn(pieces, Form(dtype, joined, dictionary))


def _united(dtype: DataType, known: Sequence[StringArray], num_rows: int, name: str) -> StringArray | None:
    if len(known) == 1 and known[0].sorted:
        return known[0]
    from gpuql.columnar.arrow_dictionary import GrowingDictionary
    from gpuql.columnar.arrow_strings import string_array_to_arrow

    entries = [string_array_to_arrow(strings, dtype) for strings in known]
    united = GrowingDictionary(dtype, name).with_entries(entries, num_rows)
    return None if united is None else united.strings


def form_of(column: Column) -> Form:
    """The form of a column as it is, whatever its dictionary."""
    return Form(column.dtype, column.bounds, None)


def has_nulls_only(column: Column) -> bool:
    """Whether every row is NULL."""
    return column.validity is not None and not bool(on_host(column.validity).any())
