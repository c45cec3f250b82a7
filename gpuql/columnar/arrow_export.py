"""Columns to Arrow arrays of exactly the SQL type, sharing memory where the stored form is Arrow's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gpuql.columnar import two_words
from gpuql.columnar.arrow_buffers import Host, validity_buffer
from gpuql.columnar.arrow_strings import string_array_to_arrow
from gpuql.columnar.arrow_types import schema_to_arrow, type_to_arrow
from gpuql.columnar.column import NATURAL_DTYPE, Column
from gpuql.columnar.construct import column_to_python
from gpuql.columnar.strings import on_host
from gpuql_planner.errors import OutOfRangeError
from gpuql_planner.types import DataType, TypeId

#: Bytes of strings in one Arrow array with 32-bit offsets; longer columns leave in several chunks.
_CHUNK_BYTES = 2**31 - 1


def column_to_arrow(column: Column) -> Any:
    """Values as an Arrow Array, or as a ChunkedArray if strings are beyond 2 GiB. Device columns are copied.

    Errors: OutOfRangeError for a HUGEINT of more than 38 digits, or an interval beyond Arrow's range.
    """
    dtype = column.dtype
    num_rows = len(column)
    if dtype.id is TypeId.NULL:
        return pa.nulls(num_rows)
    if dtype.id is TypeId.UUID:
        texts = [None if value is None else str(value) for value in column_to_python(column)]
        return pa.array(texts, pa.string())
    validity = None if column.validity is None else on_host(column.validity)
    if column.strings is not None and dtype.id in (TypeId.VARCHAR, TypeId.JSON, TypeId.BLOB):
        return _strings(column, validity)
    if dtype.is_nested:
        from gpuql.columnar.arrow_nested import nested_to_arrow

        return nested_to_arrow(column)
    values = on_host(column.values)
    if dtype.is_enum:
        mask = None if validity is None else ~validity
        places = pa.array(values.astype(np.int32, copy=False), mask=mask)
        return pa.DictionaryArray.from_arrays(places, pa.array(dtype.labels, pa.string()))
    if dtype.id is TypeId.BOOLEAN:
        data = np.packbits(values.astype(np.bool_, copy=False), bitorder="little")
    elif dtype.is_decimal or dtype.id is TypeId.HUGEINT:
        data = _decimal_words(values, validity, dtype)
    elif dtype.id is TypeId.INTERVAL:
        data = _intervals(values, validity)
    else:
        data = values.astype(NATURAL_DTYPE[dtype.id], copy=False)
    buffers = [validity_buffer(validity), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(type_to_arrow(dtype), num_rows, buffers)


def table_to_arrow(columns: Sequence[Column], names: Sequence[str], num_rows: int, zone: str = "UTC") -> Any:
    """Arrow table of equally long columns; names may repeat; without columns ``num_rows`` rows of nothing.

    Moments say that they are from ``zone``.
    """
    dtypes = [column.dtype for column in columns]
    schema = schema_to_arrow(names, dtypes)
    if not columns:
        return pa.table({"": pa.nulls(num_rows)}).select([])
    arrays = [column_to_arrow(column) for column in columns]
    chunked = [array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array]) for array in arrays]
    table = pa.Table.from_arrays(chunked, schema=schema)
    if zone != "UTC" and any(dtype.is_zoned for dtype in dtypes):
        return table.cast(schema_to_arrow(names, dtypes, zone))
    return table


def record_batch_reader(
    names: Sequence[str],
    dtypes: Sequence[DataType],
    batches: Iterable[tuple[Sequence[Column], int]],
    zone: str = "UTC",
) -> Any:
    """Stream of record batches made one at a time from (columns, number of rows)."""
    schema = schema_to_arrow(names, dtypes, zone)

    def generate() -> Iterable[Any]:
        for columns, num_rows in batches:
            yield from table_to_arrow(columns, names, num_rows, zone).to_batches()

    return pa.RecordBatchReader.from_batches(schema, generate())


def _decimal_words(values: Host, validity: Host | None, dtype: DataType) -> Host:
    words: Host = two_words.widen(values)
    if dtype.id is TypeId.HUGEINT and values.ndim == 2:
        valid = words if validity is None else words[validity]
        low, high = two_words.bounds(valid) if len(valid) else (0, 0)
        if max(-low, high) >= 10**38:
            raise OutOfRangeError("HUGEINT of more than 38 digits cannot be expressed in Arrow")
    return words


def _intervals(values: Host, validity: Host | None) -> Host:
    fields = np.dtype([("months", np.int32), ("days", np.int32), ("nanoseconds", np.int64)])
    if validity is not None:
        values = np.where(validity[:, None], values, 0)
    limits = np.array([2**31 - 1, 2**31 - 1, two_words.INT64_MAX // 1000], dtype=np.int64)
    if ((values > limits) | (values < -limits)).any():
        raise OutOfRangeError("interval is beyond the range of Arrow's month_day_nano type")
    out = np.empty(len(values), dtype=fields)
    out["months"] = values[:, 0]
    out["days"] = values[:, 1]
    out["nanoseconds"] = values[:, 2] * 1000
    return out


def _strings(column: Column, validity: Host | None) -> Any:
    assert column.strings is not None, "a string column has strings"
    arrow_type = type_to_arrow(column.dtype)
    num_rows = len(column)
    if len(column.strings) == 0:
        return pa.nulls(num_rows, type=arrow_type)
    positions = on_host(column.values)
    offsets = on_host(column.strings.offsets)
    entries = string_array_to_arrow(column.strings, column.dtype)
    lengths = np.diff(offsets)
    too_long = num_rows * int(lengths.max()) > _CHUNK_BYTES and int(lengths[positions].sum()) > _CHUNK_BYTES
    if too_long and num_rows > 1:
        halves = (column.slice(0, num_rows // 2), column.slice(num_rows // 2, num_rows))
        chunks: list[Any] = []
        for half in halves:
            part = _strings(half, None if half.validity is None else on_host(half.validity))
            chunks += part.chunks if isinstance(part, pa.ChunkedArray) else [part]
        return pa.chunked_array(chunks, type=arrow_type)
    mask = None if validity is None else ~validity
    return entries.take(pa.array(positions, mask=mask)).cast(arrow_type)
