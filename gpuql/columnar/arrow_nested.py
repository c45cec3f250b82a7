"""Lists, arrays, structs and maps between Arrow and columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from gpuql.columnar.arrow_buffers import chunks_of, validity_buffer, validity_of
from gpuql.columnar.arrow_export import column_to_arrow
from gpuql.columnar.arrow_import import column_from_arrow
from gpuql.columnar.arrow_types import type_to_arrow
from gpuql.columnar.column import Column
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.construct import null_column
from gpuql.columnar.encodings import narrow_column
from gpuql.columnar.nested import Lists, lists_column, read_lists, read_structs, structs_column
from gpuql_planner.types import DataType, TypeId

#: Elements of one Arrow array with 32-bit offsets; longer columns leave in several chunks.
_CHUNK_ELEMENTS = 2**31 - 1


def nested_from_arrow(array: Any, dtype: DataType, name: str) -> Column:
    """Column of an Arrow (chunked) array of lists, structs or maps."""
    parts = [_chunk(chunk, dtype, name) for chunk in chunks_of(array)]
    return narrow_column(concat_columns(parts))


def _chunk(chunk: Any, dtype: DataType, name: str) -> Column:
    validity = validity_of([chunk])
    if dtype.id is TypeId.STRUCT:
        fields = tuple(column_from_arrow(field, name) for field in chunk.flatten())
        return structs_column(dtype, fields, len(chunk), validity)
    if pat.is_map(chunk.type):
        chunk = _as_list(chunk)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(chunk), 0), np.int64)
    return lists_column(dtype, lengths, column_from_arrow(chunk.flatten(), name), validity)


def _as_list(chunk: Any) -> Any:
    """A map as a list of structs, in the same memory."""
    entries = pa.StructArray.from_arrays([chunk.keys, chunk.items], ["key", "value"])
    return pa.Array.from_buffers(
        pa.list_(entries.type), len(chunk), chunk.buffers()[:2], offset=chunk.offset, children=[entries]
    )


def nested_to_arrow(column: Column) -> Any:
    """Arrow Array of a LIST, ARRAY, STRUCT or MAP column, or a ChunkedArray if it has too many elements for one."""
    num_rows = len(column)
    arrow_type = type_to_arrow(column.dtype)
    if num_rows == 0:
        return pa.array([], type=arrow_type)
    validity = None if column.validity is None else np.asarray(column.validity)
    bitmap = validity_buffer(validity)
    if column.dtype.id is TypeId.STRUCT:
        parts = [column_to_arrow(field) for field in read_structs(column).fields]
        if any(isinstance(part, pa.ChunkedArray) for part in parts):
            return _in_halves(column, arrow_type)
        return pa.Array.from_buffers(arrow_type, num_rows, [bitmap], children=parts)
    lists = read_lists(column)
    if column.dtype.is_array:
        return _array_to_arrow(column, lists, arrow_type, bitmap)
    elements = column_to_arrow(lists.elements)
    if isinstance(elements, pa.ChunkedArray) or len(lists.elements) > _CHUNK_ELEMENTS:
        return _in_halves(column, arrow_type)
    if column.dtype.id is TypeId.MAP:  # keys and entries of a map are never null, and its type says so
        entries = arrow_type.field(0).type
        children = [elements.field(0), elements.field(1)]
        elements = pa.Array.from_buffers(entries, len(elements), [None], children=children)
    offsets = pa.py_buffer(lists.offsets.astype(np.int32))
    return pa.Array.from_buffers(arrow_type, num_rows, [bitmap, offsets], children=[elements])


def _array_to_arrow(column: Column, lists: Lists, arrow_type: Any, bitmap: Any) -> Any:
    """Arrays have elements under NULL too: NULLs."""
    size, elements = column.dtype.width, lists.elements
    if column.validity is not None:
        there = np.repeat(column.validity, size)
        if len(elements):
            found = elements.take(np.maximum(np.cumsum(there) - 1, 0))
            valid = there if found.validity is None else found.validity & there
            elements = Column(found.dtype, found.values, valid, found.strings, found.bounds)
        else:
            elements = null_column(elements.dtype, len(there))
    parts = column_to_arrow(elements)
    if isinstance(parts, pa.ChunkedArray):
        return _in_halves(column, arrow_type)
    return pa.Array.from_buffers(arrow_type, len(column), [bitmap], children=[parts])


def _in_halves(column: Column, arrow_type: Any) -> Any:
    middle = len(column) // 2
    halves = [nested_to_arrow(column.slice(0, middle)), nested_to_arrow(column.slice(middle, len(column)))]
    return pa.chunked_array([chunk for half in halves for chunk in chunks_of(half)], type=arrow_type)
