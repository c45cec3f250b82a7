"""A string column put together from Arrow chunks that several threads read in any order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pat

from gpuql.columnar.arrow_buffers import Host, buffer_view, chunks_of, validity_of
from gpuql.columnar.arrow_dictionary import Dictionary, GrowingDictionary, coded_positions
from gpuql.columnar.arrow_strings import check_utf8_entries, worth_a_dictionary
from gpuql.columnar.column import Column, StringArray
from gpuql.columnar.construct import null_column
from gpuql_planner.types import DataType


class StringAssembly:
    """Rows of a VARCHAR or BLOB column. :meth:`put` is thread-safe.

    Once all chunks are there: :meth:`prepare` on one thread, every task of :meth:`tasks` on any, :meth:`finish`.

    Parameters
    ----------
    dictionary : what is known of the column's strings; used, and extended, if distinct strings are few.
    """

    def __init__(self, dtype: DataType, num_rows: int, dictionary: GrowingDictionary, name: str) -> None:
        self._dtype = dtype
        self._num_rows = num_rows
        self._shared = dictionary
        self._name = name
        self._lock = threading.Lock()
        self._put: dict[int, list[Any]] = {}
        self._starts: list[int] = []
        self._chunks: list[Any] = []
        self._known: Dictionary | None = None
        self._positions: Host = np.empty(0, np.int8)
        self._offsets: Host = np.zeros(1, np.int64)
        self._data: Host = np.empty(0, np.uint8)
        self._first_bytes: list[int] = []
        self._validity: Host | None = None

    def put(self, start: int, array: Any) -> None:
        """Rows from ``start`` on: an Arrow (chunked) array of strings or binaries, or dictionaries of them."""
        chunks = [_plain_layout(chunk) for chunk in chunks_of(array)]
        with self._lock:
            self._put[start] = chunks

    def prepare(self) -> None:
        """Choose how strings are stored. Errors: ConversionError if a dictionary's text is not UTF-8."""
        for start in sorted(self._put):
            for chunk in self._put[start]:
                self._starts.append(start)
                self._chunks.append(chunk)
                start += len(chunk)
        self._put.clear()
        if not self._chunks:
            return
        if any(chunk.null_count for chunk in self._chunks):
            self._validity = np.ones(self._num_rows, np.bool_)
        if self._as_dictionary():
            entries = [chunk.dictionary.drop_null() for chunk in self._chunks]
            self._known = self._shared.with_entries(entries, self._num_rows)
        if self._known is not None:
            self._positions = np.empty(self._num_rows, self._known.position_dtype)
            return
        self._chunks = [_decoded(chunk) for chunk in self._chunks]
        total = 0
        for chunk in self._chunks:
            self._first_bytes.append(total)
            first, last = _byte_range(chunk)
            total += last - first
        self._offsets = np.zeros(self._num_rows + 1, np.int64)
        self._data = np.empty(total, np.uint8)
        self._positions = np.empty(self._num_rows, np.int32 if self._num_rows < 2**31 else np.int64)

    def _as_dictionary(self) -> bool:
        """Make all chunks dictionary-coded if that pays and say so."""
        coded = [pat.is_dictionary(chunk.type) for chunk in self._chunks]
        if all(coded):
            return True
        plain = [chunk for chunk, is_coded in zip(self._chunks, coded, strict=True) if not is_coded]
        first = plain[0].type
        aligned = [chunk if chunk.type == first else chunk.cast(first) for chunk in plain]
        if not worth_a_dictionary(pa.chunked_array(aligned)):
            return False
        self._chunks = [
            chunk if is_coded else chunk.dictionary_encode()
            for chunk, is_coded in zip(self._chunks, coded, strict=True)
        ]
        return True

    def tasks(self) -> Sequence[Callable[[], None]]:
        """Work that is left, one piece a chunk; pieces may run side by side."""
        fill = self._fill_plain if self._known is None else self._fill_coded
        return [partial(fill, position) for position in range(len(self._chunks))]

    def _fill_coded(self, position: int) -> None:
        assert self._known is not None, "only then are rows coded"
        chunk, start = self._chunks[position], self._starts[position]
        self._chunks[position] = None
        validity = self._note_nulls(chunk, start)
        dictionary = chunk.dictionary
        if dictionary.null_count:  # rows that point to a null entry are NULL
            chunk = chunk.cast(dictionary.type).dictionary_encode()
            validity, dictionary = self._note_nulls(chunk, start), chunk.dictionary
        coded_positions(
            chunk, self._known.positions(dictionary), self._positions[start : start + len(chunk)], validity
        )

    def _fill_plain(self, position: int) -> None:
        chunk, start = self._chunks[position], self._starts[position]
        self._chunks[position] = None
        self._note_nulls(chunk, start)
        if self._dtype.is_text:
            check_utf8_entries(chunk, self._name)
        first, last = _byte_range(chunk)
        place = self._first_bytes[position]
        self._data[place : place + last - first] = buffer_view(
            chunk.buffers()[2], np.uint8, first, last - first
        )
        stop = start + len(chunk)
        target = self._offsets[start + 1 : stop + 1]
        target[:] = _own_offsets(chunk)[1:]
        target += place - first
        self._positions[start:stop] = np.arange(start, stop)

    def _note_nulls(self, chunk: Any, start: int) -> Host | None:
        own = validity_of([chunk])
        if own is not None:
            if self._validity is None:
                with self._lock:
                    if self._validity is None:
                        self._validity = np.ones(self._num_rows, np.bool_)
            self._validity[start : start + len(chunk)] = own
        return own

    def finish(self) -> Column:
        """The column."""
        if not self._num_rows or (self._validity is not None and not self._validity.any()):
            return null_column(self._dtype, self._num_rows)
        strings = StringArray(self._offsets, self._data) if self._known is None else self._known.strings
        return Column(self._dtype, self._positions, self._validity, strings)


def constant_chunk(value: Any, dtype: DataType, num_rows: int) -> Any:
    """``num_rows`` times one string or None, as a dictionary-coded Arrow array."""
    arrow_type = pa.large_string() if dtype.is_text else pa.large_binary()
    zeros = np.zeros(num_rows, np.int32)
    if value is None:
        return pa.DictionaryArray.from_arrays(pa.nulls(num_rows, pa.int32()), pa.array([], arrow_type))
    return pa.DictionaryArray.from_arrays(pa.array(zeros), pa.array([value], arrow_type))


def _plain_layout(chunk: Any) -> Any:
    """Same rows in a layout whose parts are one buffer each: no views, no fixed sizes; dictionaries stay."""
    arrow_type = chunk.type
    if pat.is_dictionary(arrow_type) or pat.is_string(arrow_type) or pat.is_large_string(arrow_type):
        return chunk
    if pat.is_binary(arrow_type) or pat.is_large_binary(arrow_type):
        return chunk
    return chunk.cast(pa.large_string() if pat.is_string_view(arrow_type) else pa.large_binary())


def _decoded(chunk: Any) -> Any:
    return _plain_layout(chunk.dictionary_decode()) if pat.is_dictionary(chunk.type) else chunk


def _own_offsets(chunk: Any) -> Host:
    wide = pat.is_large_string(chunk.type) or pat.is_large_binary(chunk.type)
    return buffer_view(chunk.buffers()[1], np.int64 if wide else np.int32, chunk.offset, len(chunk) + 1)


def _byte_range(chunk: Any) -> tuple[int, int]:
    offsets = _own_offsets(chunk)
    return int(offsets[0]), int(offsets[-1])
