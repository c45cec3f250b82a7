"""Frames and arrays made elsewhere as tables: Arrow, pandas, polars, NumPy, lists and dicts of Python values.

The table is a snapshot: columns are encoded when first read, from memory that is shared where the library
allows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from gpuql.columnar.arrow_import import column_from_arrow
from gpuql.columnar.arrow_types import fields_from_schema, unique_names
from gpuql.columnar.column import Column
from gpuql.columnar.table import ResidentTable
from gpuql_planner.catalog import Field
from gpuql_planner.errors import ConversionError, GpuqlError, NotSupportedError, OutOfMemoryError
from gpuql_planner.statement_errors import BadFileContent


def is_frame(value: object) -> bool:
    """Whether :func:`table_from_object` takes values of this kind."""
    if isinstance(value, (np.ndarray, Mapping)):
        return True
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], Mapping)
    return any(
        hasattr(value, method) for method in ("__arrow_c_stream__", "__arrow_c_array__", "collect_schema")
    )


def table_from_object(name: str, value: object) -> ResidentTable:
    """Snapshot of a frame under ``name``.

    Takes a pyarrow Table, RecordBatch, RecordBatchReader or Dataset, anything with the Arrow C stream or
    array interface (polars, pandas, DuckDB results, ...), a polars LazyFrame (collected), a structured or
    plain NumPy array, a mapping of names to one-dimensional arrays or lists, and a list of mappings. Streams
    are used up. Errors: NotSupportedError for other objects; ConversionError for values of
    mixed types.
    """
    try:
        table = _arrow_table(name, value)
    except GpuqlError:
        raise
    except MemoryError as error:
        raise OutOfMemoryError(f"not enough host memory to take over an object: {name}") from error
    except Exception as error:
        # The object's own code runs here (streams, lazy frames) and may raise anything.
        cause = " ".join(str(error).split())[:300]
        raise ConversionError(
            f"object cannot be turned into columns: {name}: {cause or type(error).__name__}"
        ) from error
    if not table.column_names:
        raise BadFileContent(f"object has no columns: {name}")
    return table_from_arrow(name, table)


def table_from_arrow(name: str, table: Any) -> ResidentTable:
    """Table over an Arrow table, sharing its memory; repeated column names are made distinct."""
    fields = []
    columns: dict[str, Column | Callable[[], Column]] = {}
    for i, field in enumerate(fields_from_schema(table.schema)):
        fields.append(Field(field.name, field.dtype, field.nullable or table.column(i).null_count > 0))
        columns[field.name] = partial(column_from_arrow, table.column(i), field.name)
    return ResidentTable(name, fields, table.num_rows, columns)


def _arrow_table(name: str, value: Any) -> Any:
    if isinstance(value, pa.Table):
        return value
    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value])
    if isinstance(value, pa.RecordBatchReader):
        return value.read_all()
    if isinstance(value, np.ndarray):
        return _from_numpy(name, value)
    if isinstance(value, Mapping):
        return _from_mapping(name, value)
    if isinstance(value, list):
        return _from_rows(name, value)
    module = type(value).__module__.partition(".")[0]
    if module == "polars":
        return _from_polars(name, value)
    if module == "pandas":
        return _from_pandas(value)
    if hasattr(value, "to_table") and module == "pyarrow":
        return value.to_table()
    if hasattr(value, "__arrow_c_stream__"):
        return pa.RecordBatchReader.from_stream(value).read_all()
    if hasattr(value, "__arrow_c_array__"):
        return pa.Table.from_batches([pa.record_batch(value)])
    raise NotSupportedError(
        f"object is not a table: {name} ({type(value).__name__})",
        hint="pass an Arrow, pandas or polars frame, NumPy arrays, a dict of columns or a list of dicts",
    )


def _from_polars(name: str, value: Any) -> Any:
    kind = type(value).__name__
    frame = value.collect() if kind == "LazyFrame" else value.to_frame() if kind == "Series" else value
    for column, dtype in frame.schema.items():
        if str(dtype) == "Object":
            # Arrow would be given the addresses of the objects.
            raise NotSupportedError(f"column type is not supported: Object (column {column} of {name})")
    return pa.table(frame)


def _from_pandas(value: Any) -> Any:
    frame = value.to_frame() if value.ndim == 1 else value
    if not frame.columns.is_unique:
        frame = frame.set_axis(unique_names([str(column) for column in frame.columns]), axis=1)
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


def _from_numpy(name: str, array: np.ndarray[Any, Any]) -> Any:
    if array.dtype.names:
        flat = array.reshape(-1)
        return _from_mapping(name, {field: np.ascontiguousarray(flat[field]) for field in array.dtype.names})
    if array.ndim == 1:
        return _from_mapping(name, {"column0": array})
    if array.ndim == 2:
        return _from_mapping(name, {f"column{i}": array[:, i] for i in range(array.shape[1])})
    raise NotSupportedError(f"array must have one or two dimensions: {name} {array.shape}")


def _from_mapping(name: str, columns: Mapping[Any, Any]) -> Any:
    arrays = []
    for key, values in columns.items():
        if isinstance(values, (str, bytes)) or not hasattr(values, "__len__"):
            raise NotSupportedError(f"column is not a sequence: {name}.{key} ({type(values).__name__})")
        if isinstance(values, np.ndarray) and values.ndim != 1:
            raise NotSupportedError(f"column is not one-dimensional: {name}.{key} {values.shape}")
        arrays.append(_arrow_array(values))
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1:
        raise ConversionError(f"columns differ in length: {name} ({', '.join(map(str, sorted(lengths)))})")
    return pa.Table.from_arrays(arrays, names=[str(key) for key in columns])


def _arrow_array(values: Any) -> Any:
    if isinstance(values, np.ndarray) and not values.dtype.isnative:
        values = values.astype(values.dtype.newbyteorder("="))
    if isinstance(values, np.ndarray) and values.dtype.kind in "US":
        return pa.array(values.tolist())
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        # Arrow has no units beyond these; coarser ones are exact in seconds or days.
        unit = np.datetime_data(values.dtype)[0]
        values = values.astype("M8[D]") if unit in ("Y", "M", "W") else values
        values = values.astype("M8[s]") if unit in ("h", "m") else values
    return values if isinstance(values, (pa.Array, pa.ChunkedArray)) else pa.array(values)


def _from_rows(name: str, rows: Sequence[Any]) -> Any:
    if not rows or not all(isinstance(row, Mapping) for row in rows):
        raise NotSupportedError(f"list is not one of dicts: {name}")
    # The keys of all rows, not only of the first: a column that appears late is NULL before.
    keys: dict[str, None] = {}
    for row in rows:
        keys.update(dict.fromkeys(map(str, row)))
    return pa.table({key: pa.array([row.get(key) for row in rows]) for key in keys})
