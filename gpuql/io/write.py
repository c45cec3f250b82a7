"""Writing rows to files: which writer a format has. One door for COPY TO and DataFrames."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gpuql.io.write_text import CsvWriter, JsonWriter
from gpuql.io.written_files import Writer, text_compression, write_file, write_partitions
from gpuql.thresholds import PARQUET_ROW_GROUP_ROWS
from gpuql_planner.errors import NotSupportedError

_EXTENSIONS = {"parquet": ".parquet", "csv": ".csv", "json": ".json"}
_TEXT_EXTENSIONS = {"gzip": ".gz", "zstd": ".zst", "none": ""}


def write_rows(reader: Any, path: str, format_name: str, options: Mapping[str, object]) -> int:
    """Write the rows of a record batch reader to ``path``; how many there were.

    Parameters
    ----------
    reader : for csv and json its columns are texts, sorted by the columns of ``partition_by`` if there are any.
    format_name : parquet, csv or json.
    options : see ``gpuql_planner.sql.copy_options``; for json also ``kinds``, how each column is written.

    Errors: InputError if files cannot be written; NotSupportedError for types that the format has not. Nothing
    half-written stays.
    """
    if format_name == "parquet":
        _check_parquet_types(reader.schema)
    given = dict(options)
    columns = given.pop("partition_by", ())
    assert isinstance(columns, tuple), "names were checked"
    open_writer = partial(_open_writer, format_name, given, path, tuple(reader.schema.names))
    if not columns:
        return write_file(path, reader, open_writer)
    compression = "none" if format_name == "parquet" else text_compression(path, given)
    existing = next((word for name, word in _EXISTING if given.get(name)), "error")
    return write_partitions(
        path,
        reader,
        open_writer,
        extension=_EXTENSIONS[format_name] + _TEXT_EXTENSIONS[compression],
        columns=columns,
        keep_columns=bool(given.get("write_partition_columns")),
        existing=existing,
    )


_EXISTING = (("overwrite", "overwrite"), ("append", "append"), ("overwrite_or_ignore", "merge"))


def _open_writer(
    format_name: str, options: Mapping[str, Any], target: str, names: tuple[str, ...], path: str, schema: Any
) -> Writer:
    if format_name == "parquet":
        return _ParquetWriter(path, schema, options)
    compression = text_compression(target, options)
    if format_name == "csv":
        return CsvWriter(path, schema, options, compression)
    kinds = dict(zip(names, options["kinds"], strict=True))
    return JsonWriter(path, schema, options, kinds, compression)


def _check_parquet_types(schema: Any) -> None:
    for field in schema:
        if pa.types.is_interval(field.type) or pa.types.is_null(field.type):
            raise NotSupportedError(
                f"type cannot be written to Parquet: {field.name} ({field.type})", hint="cast it to VARCHAR"
            )


class _ParquetWriter:
    """Collects rows until a row group is full."""

    def __init__(self, path: str, schema: Any, options: Mapping[str, Any]) -> None:
        compression = str(options.get("compression", "snappy"))
        codec = {"uncompressed": "NONE", "lz4_raw": "LZ4"}.get(compression, compression.upper())
        self._schema = schema
        self._group_rows = int(options.get("row_group_size", PARQUET_ROW_GROUP_ROWS))
        self._writer = pq.ParquetWriter(
            path, schema, compression=codec, compression_level=options.get("compression_level")
        )
        self._waiting: list[Any] = []
        self._num_waiting = 0

    def write(self, batch: Any) -> None:
        """See ``Writer``."""
        start = 0
        while start < batch.num_rows:
            part = batch.slice(start, self._group_rows - self._num_waiting)
            self._waiting.append(part)
            self._num_waiting += part.num_rows
            start += part.num_rows
            if self._num_waiting >= self._group_rows:
                self._flush()

    def _flush(self) -> None:
        rows = pa.Table.from_batches(self._waiting, self._schema)
        self._waiting, self._num_waiting = [], 0
        if rows.num_rows:
            self._writer.write_table(rows, row_group_size=self._group_rows)

    def close(self) -> None:
        """See ``Writer``."""
        try:
            self._flush()
        finally:
            self._writer.close()
