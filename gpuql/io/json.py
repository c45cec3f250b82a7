"""JSON files as a table: one object a line, or an array of objects."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial
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
from gpuql.columnar.read_ahead import TryReserve, read_ahead
from gpuql.columnar.steady_forms import SteadyForms
from gpuql.io.files import FileIdentity, check_unchanged, expand, identify, reading, unpacked_bytes
from gpuql.thresholds import JSON_BLOCK_BYTES, JSON_PARSING_COPIES
from gpuql_planner import types
from gpuql_planner.catalog import ColumnStatistics, Field
from gpuql_planner.errors import ConversionError, InputError
from gpuql_planner.logical.expressions import Expression
from gpuql_planner.statement_errors import BadFileContent, InvalidParameterValue
from gpuql_planner.types import DataType, common_type

EXTENSIONS = (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz")
#: How a text ends that says how far from UTC it is.
_OFFSET = r"\d:?\d\d(\.\d+)?([+-]\d\d(:?\d\d)?|Z)$"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class JsonTable:
    """JSON files of one schema, which was found by reading all of them once when opened.

    ``schemas`` has the Arrow types of the keys of each file, by path.
    """

    def __init__(
        self,
        name: str,
        fields: Sequence[Field],
        identities: Sequence[FileIdentity],
        num_rows: int,
        form: str,
        schemas: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.fields = tuple(fields)
        self.identities = tuple(identities)
        self.num_rows = num_rows
        self.form = form
        self.schemas = schemas
        self._steady = SteadyForms()

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
        tables = [
            table
            for identity in self.identities
            for table in _tables(identity.path, self.form, JSON_BLOCK_BYTES, self.schemas[identity.path])
        ]
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
        """Blocks of lines; see ``ReadableTable.read_parts``. An array of objects is one part."""
        check_unchanged(self.identities)
        reserved = partial(try_reserve, JSON_PARSING_COPIES * part_bytes) if try_reserve else None
        yield from read_ahead(self._parts(names, part_bytes), reserved)
        check_unchanged(self.identities)

    def _parts(self, names: Sequence[str], part_bytes: int) -> Generator[tuple[dict[str, Column], int]]:
        dtypes = {field.name: field.dtype for field in self.fields}
        for identity in self.identities:
            for table in _tables(identity.path, self.form, part_bytes, self.schemas[identity.path]):
                columns = {
                    name: self._steady.steady(name, _column(table, name, dtypes[name])) for name in names
                }
                yield columns, table.num_rows

    def check_unchanged(self) -> None:
        """See ``FileTable``."""
        check_unchanged(self.identities)

    def share_of_rows(
        self, predicates: Sequence[Expression], attribute_names: Mapping[int, str] | None
    ) -> float:
        """See ``FileTable``: all rows are read."""
        return 1.0

    def estimated_bytes(self, names: Sequence[str]) -> int:
        """The size of the files, unpacked."""
        return sum(unpacked_bytes(identity) for identity in self.identities)


def open_json(
    patterns: Sequence[str],
    *,
    name: str | None = None,
    format: str = "auto",
    union_by_name: bool = True,
) -> JsonTable:
    """Open JSON files (plain or gzip); a key that an object lacks is NULL.

    Numbers are BIGINT or DOUBLE; text that is a date or timestamp throughout a column becomes one, as in
    DuckDB, but inside of arrays and objects it stays text. ``format`` is "auto", "newline_delimited" or "array".
    Errors: InputError for malformed files, ConversionError for keys whose values have types that do not fit
    together.
    """
    if format not in ("auto", "newline_delimited", "array"):
        raise InvalidParameterValue(f"unknown JSON format: {format} (auto, newline_delimited, array)")
    paths = expand(patterns, EXTENSIONS)
    identities = [identify(path) for path in paths]
    schemas: dict[str, Any] = {}
    dtypes: dict[str, DataType] = {}
    num_rows = 0
    for path in paths:
        found = _Keys(path)
        for table in _tables(path, format, JSON_BLOCK_BYTES, None):
            found.add(table)
            num_rows += table.num_rows
        if not union_by_name and dtypes and set(found.arrow_types) != set(dtypes):
            raise BadFileContent(f"keys differ from those of the first file: {path}")
        schemas[path] = found.schema
        for key, dtype in found.dtypes().items():
            dtypes[key] = _common(dtypes.get(key, types.NULL), dtype, key, path)
    # A key that is NULL everywhere says nothing of its type.
    fields = [Field(key, types.VARCHAR if dtype == types.NULL else dtype) for key, dtype in dtypes.items()]
    if not fields:
        raise BadFileContent(f"file has no columns: {paths[0]}")
    shown = patterns[0] if len(patterns) == 1 else f"{patterns[0]} and {len(patterns) - 1} more"
    return JsonTable(name or shown, fields, identities, num_rows, format, schemas)


class _Keys:
    """Keys of one file and the types of their values, found block by block."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.arrow_types: dict[str, Any] = {}
        self._only_dates: dict[str, bool] = {}

    def add(self, table: Any) -> None:
        """Take the keys of a block. Errors: ConversionError if types do not fit together."""
        for key in table.column_names:
            array = table.column(key)
            self.arrow_types[key] = _joined_type(
                self.arrow_types.get(key, pa.null()), array.type, key, self._path
            )
            if pat.is_timestamp(array.type):
                self._only_dates[key] = self._only_dates.get(key, True) and _all_dates(array)

    @property
    def schema(self) -> Any:
        """Arrow type by key, as the values are to be read."""
        return pa.schema(
            [(key, _as_parsed(_without_nulls(known))) for key, known in self.arrow_types.items()]
        )

    def dtypes(self) -> dict[str, DataType]:
        """SQL type by key."""
        return {
            key: types.DATE
            if pat.is_timestamp(known) and known.tz is None and self._only_dates[key]
            else types.TIMESTAMP
            if pat.is_timestamp(known) and known.tz is None
            else type_from_arrow(_without_nulls(known), key)
            for key, known in self.arrow_types.items()
        }


def _common(known: DataType, found: DataType, key: str, path: str) -> DataType:
    joined = common_type(known, found)
    if joined is None:
        raise ConversionError(f"key has types that do not fit together in several files: {key} ({path})")
    return joined


def _joined_type(known: Any, found: Any, key: str, path: str) -> Any:
    """The type that values of both types are read as."""
    if known == found or pat.is_null(found):
        return known
    if pat.is_null(known):
        return found
    numbers = {pa.int64(), pa.float64()}
    if {known, found} == numbers:
        return pa.float64()
    if pat.is_list(known) and pat.is_list(found):
        return pa.list_(_joined_type(known.value_type, found.value_type, key, path))
    if pat.is_struct(known) and pat.is_struct(found):
        parts = {field.name: field.type for field in known}
        for field in found:
            parts[field.name] = _joined_type(parts.get(field.name, pa.null()), field.type, key, path)
        return pa.struct(list(parts.items()))
    texts = [pat.is_timestamp(one) or pat.is_string(one) for one in (known, found)]
    if all(texts):
        if pa.string() in (known, found) or known.tz != found.tz:
            return pa.string()
        return pa.timestamp("ns", known.tz)
    raise ConversionError(
        f"key has values of types that do not fit together: {key} ({path}: {known}, {found})"
    )


def _without_nulls(known: Any) -> Any:
    """The type with text where nothing is known of it, and where the parser takes nested text for timestamps."""
    if pat.is_null(known):
        return pa.string()
    if pat.is_list(known):
        return pa.list_(_nested_part(known.value_type))
    if pat.is_struct(known):
        return pa.struct([(field.name, _nested_part(field.type)) for field in known])
    return known


def _nested_part(known: Any) -> Any:
    return pa.string() if pat.is_timestamp(known) else _without_nulls(known)


def _tables(path: str, form: str, block_bytes: int, schema: Any) -> Iterator[Any]:
    """Arrow tables of one file, at least one, each of about ``block_bytes`` of text, with distinct column names.

    ``schema`` has the types of the keys; None finds them in each block.
    """
    with reading(path), gzip.open(path) if path.endswith(".gz") else open(path, "rb") as file:
        block = file.read(block_bytes)
        start = block.lstrip()[:1]
        if not start:
            block += file.read()
            start = block.lstrip()[:1]
        if not start:
            raise BadFileContent(f"file is empty: {path}")
        if form == "array" or (form == "auto" and start == b"["):
            lines = _lines_of_array(block + file.read(), path)
            if not lines:
                raise BadFileContent(f"file has no columns: {path}")
            yield _parsed(lines, schema)
            return
        while block:
            # A block ends with a line: the rest begins the next one.
            end = block.rfind(b"\n") + 1
            more = file.read(block_bytes)
            if more and not end:
                block += more
                continue
            end = end if more else len(block)
            if block[:end].strip():
                yield _parsed(block[:end], schema)
            block = block[end:] + more


def _parsed(lines: bytes, schema: Any) -> Any:
    # One block of pyarrow's takes any object.
    read = pajson.ReadOptions(block_size=max(1 << 20, min(len(lines) + 1, 2**31 - 1)), use_threads=True)
    parse = None
    if schema is not None:
        parse = pajson.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    table = pajson.read_json(io.BytesIO(lines), read_options=read, parse_options=parse)
    if schema is None:
        table = _with_zones(table, lines, read)
    return table.rename_columns(unique_names(table.column_names))


def _with_zones(table: Any, lines: bytes, read: Any) -> Any:
    """The table with the timestamps that are written with an offset as such; text where only some are.

    The parser makes UTC of them without a word, so such columns are parsed again, as text.
    """
    moments = [field.name for field in table.schema if pat.is_timestamp(field.type)]
    if not moments or len(set(table.column_names)) < len(table.column_names):
        return table
    schema = pa.schema([(name, pa.string()) for name in moments])
    parse = pajson.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    written = pajson.read_json(io.BytesIO(lines), read_options=read, parse_options=parse)
    for name in moments:
        found = pc.match_substring_regex(written.column(name), _OFFSET).drop_null()
        if not pc.any(found).as_py():
            continue
        place, array = table.column_names.index(name), table.column(name)
        all_have_one = pc.all(found).as_py()
        array = array.cast(pa.timestamp(array.type.unit, tz="UTC")) if all_have_one else written.column(name)
        table = table.set_column(place, name, array)
    return table


def _as_parsed(known: Any) -> Any:
    """The type that the parser is told: its timestamps are UTC and have no zone."""
    return pa.timestamp(known.unit) if pat.is_timestamp(known) and known.tz is not None else known


def _lines_of_array(data: bytes, path: str) -> bytes:
    try:
        rows = json.loads(data)
    except ValueError as error:
        raise InputError(f"file cannot be read: {path}: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadFileContent(f"file is not an array of objects: {path}")
    return "\n".join(json.dumps(row) for row in rows).encode("utf-8")


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
