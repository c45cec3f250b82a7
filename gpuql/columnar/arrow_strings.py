"""Strings between Arrow and :class:`StringArray`, with an order-preserving dictionary where it pays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from gpuql.columnar.arrow_buffers import buffer_view, chunks_of, validity_buffer, validity_of
from gpuql.columnar.column import Column, StringArray
from gpuql.columnar.statistics import estimate_distinct
from gpuql.columnar.strings import narrow_positions, on_host
from gpuql.thresholds import (
    DICTIONARY_SAMPLE_ROWS,
    DICTIONARY_SAMPLE_SLICES,
    MAX_DICTIONARY_BYTES,
    ROWS_PER_DICTIONARY_ENTRY,
    SMALL_DICTIONARY_ENTRIES,
)
from gpuql_planner.errors import ConversionError
from gpuql_planner.types import DataType

_NOT_UTF8_HINT = "convert it to UTF-8, or hand over the bytes as a binary column (BLOB)"


def strings_from_arrow(array: Any, dtype: DataType) -> Column:
    """VARCHAR or BLOB column of Arrow strings, binaries or dictionaries of them, in any layout.

    Positions point into a unique, sorted dictionary if distinct entries are few, else into the strings as
    they are.
    """
    if pat.is_dictionary(array.type):
        encoded = array
    elif worth_a_dictionary(array):
        encoded = _large(array).dictionary_encode()
    else:
        return _plain(array, dtype)
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries()
    chunks = chunks_of(encoded)
    dictionary = chunks[0].dictionary
    if dictionary.null_count or any(len(c.dictionary) != len(dictionary) for c in chunks):
        return strings_from_arrow(encoded.cast(array.type.value_type), dtype)
    too_large = len(dictionary) > max(SMALL_DICTIONARY_ENTRIES, len(array) // ROWS_PER_DICTIONARY_ENTRY)
    if too_large and not pat.is_dictionary(array.type):
        return _plain(array, dtype)
    return _dictionary(chunks, dictionary, dtype)


def check_utf8(column: Column, name: str) -> None:
    """Raise ConversionError if strings of a column just imported are not UTF-8; what stands under NULL may be.

    Arrow and its readers of Parquet and JSON take any bytes for text.
    """
    assert column.strings is not None, "a string column has strings"
    data = column.strings.data
    if len(data) == 0 or int(data.max()) < 128:
        return
    # Rows of a column without a dictionary are the entries themselves, so that its NULLs are the entries' NULLs.
    plain = not column.strings.unique and len(column) == len(column.strings)
    bitmap = validity_buffer(None if column.validity is None or not plain else on_host(column.validity))
    _, offsets, bytes_ = string_array_to_arrow(column.strings, column.dtype).buffers()
    entries = pa.Array.from_buffers(pa.large_string(), len(column.strings), [bitmap, offsets, bytes_])
    try:
        entries.validate(full=True)
    except pa.ArrowInvalid as error:
        raise ConversionError(f"text is not UTF-8: column {name}", hint=_NOT_UTF8_HINT) from error


def check_utf8_entries(entries: Any, name: str) -> None:
    """Raise ConversionError if an Arrow array of strings is not UTF-8; nulls may be anything."""
    _, offsets, data = entries.buffers()
    wide = pat.is_large_string(entries.type)
    own = buffer_view(offsets, np.int64 if wide else np.int32, entries.offset, len(entries) + 1)
    if len(entries) == 0 or own[-1] == own[0]:
        return
    if int(buffer_view(data, np.uint8, int(own[0]), int(own[-1] - own[0])).max()) < 128:
        return
    try:
        entries.validate(full=True)
    except pa.ArrowInvalid as error:
        raise ConversionError(f"text is not UTF-8: column {name}", hint=_NOT_UTF8_HINT) from error


def worth_a_dictionary(array: Any) -> bool:
    """Judge by a sample whether distinct strings are few (see the limits of this module)."""
    num_rows = len(array)
    if num_rows <= DICTIONARY_SAMPLE_ROWS:
        return int(array.nbytes) <= MAX_DICTIONARY_BYTES
    step = num_rows // DICTIONARY_SAMPLE_SLICES
    length = DICTIONARY_SAMPLE_ROWS // DICTIONARY_SAMPLE_SLICES
    slices = [array.slice(i * step, length) for i in range(DICTIONARY_SAMPLE_SLICES)]
    parts = [chunk for part in slices for chunk in chunks_of(part)]
    sample = _large(pa.chunked_array(parts, type=array.type))
    counts = pc.value_counts(sample).field("counts").to_numpy()
    distinct = estimate_distinct(counts, num_rows)
    average_bytes = sum(part.nbytes for part in slices) / len(sample)
    if distinct * average_bytes > MAX_DICTIONARY_BYTES:
        return False
    return distinct <= max(SMALL_DICTIONARY_ENTRIES, num_rows // ROWS_PER_DICTIONARY_ENTRY)


def string_array_from_arrow(array: Any) -> StringArray:
    """Entries of one Arrow array of strings or binaries, sharing its bytes; nulls are empty entries."""
    return _string_array([_large(array)])


def string_array_to_arrow(strings: StringArray, dtype: DataType) -> Any:
    """All entries as one large_string (VARCHAR) or large_binary (BLOB) array, sharing memory."""
    arrow_type = pa.large_string() if dtype.is_text else pa.large_binary()
    offsets = pa.py_buffer(np.ascontiguousarray(on_host(strings.offsets), dtype=np.int64))
    data = pa.py_buffer(np.ascontiguousarray(on_host(strings.data)))
    return pa.Array.from_buffers(arrow_type, len(strings), [None, offsets, data])


def row_strings_to_arrow(column: Column) -> Any:
    """A column whose row ``i`` has string ``i``, as large_string or large_binary, sharing memory."""
    assert column.strings is not None, "a string column has strings"
    _, offsets, data = string_array_to_arrow(column.strings, column.dtype).buffers()
    arrow_type = pa.large_string() if column.dtype.is_text else pa.large_binary()
    bitmap = validity_buffer(None if column.validity is None else on_host(column.validity))
    return pa.Array.from_buffers(arrow_type, len(column), [bitmap, offsets, data])


def _large(array: Any) -> Any:
    """Same values in a layout with plain 64-bit offsets; 32-bit ones are left alone."""
    arrow_type = array.type
    if pat.is_string(arrow_type) or pat.is_binary(arrow_type):
        return array
    target = pa.large_string() if pat.is_string_view(arrow_type) or pat.is_large_string(arrow_type) else None
    return array.cast(target or pa.large_binary())


def _string_array(chunks: list[Any]) -> StringArray:
    offsets = np.zeros(sum(len(chunk) for chunk in chunks) + 1, dtype=np.int64)
    parts = []
    rows = 0
    num_bytes = 0
    for chunk in chunks:
        wide = pat.is_large_string(chunk.type) or pat.is_large_binary(chunk.type)
        _, offset_buffer, data_buffer = chunk.buffers()
        own = buffer_view(offset_buffer, np.int64 if wide else np.int32, chunk.offset, len(chunk) + 1)
        start, stop = int(own[0]), int(own[-1])
        target = offsets[rows + 1 : rows + len(chunk) + 1]
        target[:] = own[1:]
        target += num_bytes - start
        if stop > start:
            parts.append(buffer_view(data_buffer, np.uint8, start, stop - start))
        rows += len(chunk)
        num_bytes += stop - start
    data = (
        np.empty(0, dtype=np.uint8) if not parts else parts[0] if len(parts) == 1 else np.concatenate(parts)
    )
    return StringArray(offsets, data)


def _plain(array: Any, dtype: DataType) -> Column:
    # Views are turned into plain layout chunk by chunk, so that not all of both forms exist at once.
    chunks = [large for chunk in chunks_of(array) for large in chunks_of(_large(chunk))]
    validity = validity_of(chunks)
    positions = np.arange(len(array), dtype=np.int32 if len(array) < 2**31 else np.int64)
    return Column(dtype, positions, validity, _string_array(chunks))


def _dictionary(chunks: list[Any], dictionary: Any, dtype: DataType) -> Column:
    dictionary = _large(dictionary)
    # Entries may repeat in dictionaries made elsewhere, so ranks are those of distinct entries.
    distinct = dictionary.unique()
    order = pc.array_sort_indices(distinct)
    strings = _string_array([distinct.take(order)])
    rank = np.empty(len(distinct), dtype=np.int64)
    rank[order.to_numpy()] = np.arange(len(distinct))
    if len(distinct) != len(dictionary):
        rank = rank[pc.index_in(dictionary, distinct).to_numpy()]
    rank = narrow_positions(rank, len(distinct))
    validity = validity_of(chunks)
    codes = np.empty(sum(len(chunk) for chunk in chunks), dtype=rank.dtype)
    start = 0
    for chunk in chunks:
        indices = chunk.indices
        stored = indices.type.to_pandas_dtype()
        own = buffer_view(indices.buffers()[1], stored, indices.offset, len(indices))
        stop = start + len(own)
        if validity is not None and not validity[start:stop].all():
            own = np.where(validity[start:stop], own, 0)
        np.take(rank, own, out=codes[start:stop])
        start = stop
    sorted_strings = StringArray(strings.offsets, strings.data, unique=True, sorted=True)
    return Column(dtype, codes, validity, sorted_strings)
