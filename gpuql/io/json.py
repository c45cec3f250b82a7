"""JSON files as a table: one object a line, or an array of objects."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pajson
import pyarrow.types as pat

from gpuql.columnar.arrow_import import column_from_arrow
from gpuql.columnar.arrow_types import type_from_arrow, type_to_arrow, unique_names
from gpuql.columnar.column import Column
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.construct import null_column
from gpuql.columnar.read_ahead import TryReserve
from gpuql.io.files import FileIdentity, check_unchanged, expand, identify, reading
from gpuql_planner import types
from gpuql_planner.catalog import ColumnStatistics, Field
from gpuql_planner.errors import BinderError, ConversionError, InputError
from gpuql_planner.logical.expressions import Expression
from gpuql_planner.types import DataType, common_type

EXTENSIONS = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class JsonTable:
    """JSON files of one schema, which was found by reading all of them once when opened."""

    def __init__(
        self, name: str, fields: Sequence[Field], identities: Sequence[FileIdentity], num_rows: int, form: str
    ) -> None:
        self.name = name
        self.fields = tuple(fields)
        self.identities = tuple(identities)
        self.num_rows = num_rows
        self.form = form

    def __repr__(self) -> str:
        return f"JsonTable({self.name!r}, {len(self.identities)} files, {self.num_rows} rows)"

    def statistics(self, name: str) -> ColumnStatistics:
        """Nothing is known before reading."""
        return ColumnStatistics()

    def read(
        self,
        names: Sequence[str],
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
    ) -> tuple[dict[str, Column], int]:
        """All rows; see ``ReadableTable.read``."""
        check_unchanged(self.identities)
        tables = [_parse(identity.path, self.form) for identity in self.identities]
        check_unchanged(self.identities)
        dtypes = {field.name: field.dtype for field in self.fields}
        columns = {
            name: concat_columns([_column(table, name, dtypes[name]) for table in tables]) for name in names
        }
        return columns, sum(table.num_rows for table in tables)

    def read_parts(
        self,
        names: Sequence[str],
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
        *,
        part_bytes: int,
        try_reserve: TryReserve | None = None,
    ) -> Iterator[tuple[dict[str, Column], int]]:
        """One part; see ``ReadableTable.read_parts``."""
        yield self.read(names, predicates, attribute_names)

    def check_unchanged(self) -> None:
        """See ``FileTable``."""
        check_unchanged(self.identities)

    def share_of_rows(
        self, predicates: Sequence[Expression], attribute_names: Mapping[int, str] | None
    ) -> float:
        """See ``FileTable``: all rows are read."""
        return 1.0

    def estimated_bytes(self, names: Sequence[str]) -> int:
        """The size of the files."""
        return sum(identity.size_bytes for identity in self.identities)


def open_json(
    patterns: Sequence[str],
    *,
    name: str | None = None,
    format: str = "auto",
    union_by_name: bool = True,
) -> JsonTable:
    """Open JSON files (plain or gzip); a key that an object lacks is NULL.

    Numbers are BIGINT or DOUBLE; text that is a date or timestamp throughout a column becomes one, as in
    DuckDB. ``format`` is "auto", "newline_delimited" or "array". Errors: InputError for malformed files,
    NotSupportedError for nested values, ConversionError for keys whose values have types that do not fit
    together.
    """
    if format not in ("auto", "newline_delimited", "array"):
        raise BinderError(f"unknown JSON format: {format} (auto, newline_delimited, array)")
    paths = expand(patterns, EXTENSIONS)
    identities = [identify(path) for path in paths]
    tables = [_parse(path, format) for path in paths]
    dtypes: dict[str, DataType] = {}
    for table, path in zip(tables, paths, strict=True):
        if not union_by_name and dtypes and set(table.column_names) != set(dtypes):
            raise InputError(f"keys differ from those of the first file: {path}")
        for key in table.column_names:
            found = _type_of(table.column(key), key)
            joined = common_type(dtypes.get(key, types.NULL), found)
            if joined is None:
                raise ConversionError(
                    f"key has types that do not fit together in several files: {key} ({path})"
                )
            dtypes[key] = joined
    # A key that is NULL everywhere says nothing of its type.
    fields = [Field(key, types.VARCHAR if dtype == types.NULL else dtype) for key, dtype in dtypes.items()]
    if not fields:
        raise InputError(f"file has no columns: {paths[0]}")
    shown = patterns[0] if len(patterns) == 1 else f"{patterns[0]} and {len(patterns) - 1} more"
    num_rows = sum(table.num_rows for table in tables)
    return JsonTable(name or shown, fields, identities, num_rows, format)


def _parse(path: str, form: str) -> Any:
    """Arrow table of one file, with distinct column names and no columns of nested values refused yet."""
    with reading(path):
        with gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
            data = file.read()
        start = data.lstrip()[:1]
        if not start:
            raise InputError(f"file is empty: {path}")
        if form == "array" or (form == "auto" and start == b"["):
            data = _lines_of_array(data, path)
            if not data:
                raise InputError(f"file has no columns: {path}")
        # A block must hold a whole object; one block of the file's size takes any.
        block = pajson.ReadOptions(block_size=max(1 << 20, min(len(data) + 1, 2**31 - 1)), use_threads=True)
        table = pajson.read_json(io.BytesIO(data), read_options=block)
    return table.rename_columns(unique_names(table.column_names))


def _lines_of_array(data: bytes, path: str) -> bytes:
    try:
        rows = json.loads(data)
    except ValueError as error:
        raise InputError(f"file cannot be read: {path}: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"file is not an array of objects: {path}")
    return "\n".join(json.dumps(row) for row in rows).encode("utf-8")


def _type_of(array: Any, key: str) -> DataType:
    if pat.is_timestamp(array.type):
        return types.DATE if _all_dates(array) else types.TIMESTAMP
    return type_from_arrow(array.type, key)


def _all_dates(array: Any) -> bool:
    """Every timestamp is at midnight: the parser turned plain dates into timestamps."""
    return bool(pc.all(pc.equal(array, pc.floor_temporal(array, unit="day"))).as_py())


def _column(table: Any, name: str, dtype: DataType) -> Column:
    if name not in table.column_names:
        return null_column(dtype, table.num_rows)
    array = table.column(name)
    if type_from_arrow(array.type, name) != dtype:
        try:
            array = array.cast(type_to_arrow(dtype))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise ConversionError(
                f"key does not fit the type found in other files: {name} ({dtype})"
            ) from error
    return column_from_arrow(array, name)
