"""Dictionaries of strings that many chunks share: one sorted dictionary that grows, and positions in it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuql.columnar.arrow_buffers import Host, buffer_view
from gpuql.columnar.arrow_strings import (
    check_utf8_entries,
    string_array_from_arrow,
    string_array_to_arrow,
)
from gpuql.columnar.column import StringArray
from gpuql.columnar.strings import narrow_positions
from gpuql.thresholds import MAX_DICTIONARY_BYTES, SMALL_DICTIONARY_ENTRIES
from gpuql_planner.errors import InternalError
from gpuql_planner.types import DataType


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Distinct strings in ascending byte order: as columns have them, and as Arrow looks them up."""

    strings: StringArray
    entries: Any

    @property
    def position_dtype(self) -> np.dtype[Any]:
        """Of positions in a column."""
        dtype: np.dtype[Any] = narrow_positions(np.empty(0, np.int64), len(self.strings)).dtype
        return dtype

    def positions(self, entries: Any) -> Host:
        """Position of each of ``entries``, all of which must be in the dictionary."""
        found = pc.index_in(entries.cast(self.entries.type), self.entries)
        if found.null_count:
            raise InternalError(f"strings are not in their dictionary: {found.null_count} of {len(found)}")
        wide = buffer_view(found.buffers()[1], np.int32, 0, len(found))
        positions: Host = narrow_positions(wide, len(self.strings))
        return positions


def positions_in(strings: StringArray, dictionary: StringArray, dtype: DataType) -> Host:
    """Position in ``dictionary`` (unique) of each of ``strings``, all of which must be in it."""
    known = Dictionary(dictionary, string_array_to_arrow(dictionary, dtype))
    return known.positions(string_array_to_arrow(strings, dtype))


class GrowingDictionary:
    """Strings of one column of a source, as far as they were met. Thread-safe.

    What was read before keeps its dictionary; a reader that meets nothing new is given the same object again, so that
    code lowered for it fits.
    """

    def __init__(self, dtype: DataType, name: str) -> None:
        self._dtype = dtype
        self._name = name
        self._lock = threading.Lock()
        self._known: Dictionary | None = None
        self._refused = False
        self._arrow_type = pa.large_string() if dtype.is_text else pa.large_binary()

    def with_entries(self, chunks: Sequence[Any], num_rows: int) -> Dictionary | None:
        """The dictionary with the entries of all ``chunks`` (Arrow strings, no nulls) of ``num_rows`` rows.

        None, then and forever after, if it would be larger than pays off. Errors: ConversionError if text is not UTF-8.
        """
        with self._lock:
            if self._refused:
                return None
            known = self._known
            fresh = [entries for entries in map(self._fresh, chunks) if len(entries)]
            if known is not None and not fresh:
                return known
            joined = fresh if known is None else [*fresh, known.entries]
            distinct = pa.chunked_array(joined, type=self._arrow_type).unique()
            too_many = len(distinct) > max(SMALL_DICTIONARY_ENTRIES, num_rows // 4)
            if too_many or distinct.nbytes > MAX_DICTIONARY_BYTES:
                self._refused, self._known = True, None
                return None
            ordered = distinct.take(pc.array_sort_indices(distinct))
            if self._dtype.is_text:
                check_utf8_entries(ordered, self._name)
            plain = string_array_from_arrow(ordered)
            strings = StringArray(plain.offsets, plain.data, unique=True, sorted=True)
            self._known = Dictionary(strings, ordered)
            return self._known

    def _fresh(self, entries: Any) -> Any:
        plain = entries.cast(self._arrow_type)
        if self._known is None:
            return plain
        return plain.filter(pc.invert(pc.is_in(plain, self._known.entries)))


def coded_positions(chunk: Any, rank: Host, out: Host, validity: Host | None) -> None:
    """Positions of the rows of one dictionary-coded Arrow chunk into ``out``; ``rank`` is that of each entry."""
    indices = chunk.indices
    own = buffer_view(indices.buffers()[1], indices.type.to_pandas_dtype(), indices.offset, len(indices))
    if validity is not None:
        own = np.where(validity, own, 0)
    if len(rank):
        np.take(rank, own, out=out, mode="clip")
    else:
        out[:] = 0
