"""CSV files as a table: delimiter, header and types are found as DuckDB finds them, unless given."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from gpuql.columnar.arrow_import import column_from_arrow
from gpuql.columnar.arrow_types import type_to_arrow, unique_names
from gpuql.columnar.column import Column
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.construct import null_column
from gpuql.columnar.read_ahead import TryReserve, read_ahead
from gpuql.columnar.steady_forms import SteadyForms
from gpuql.io.files import FileIdentity, check_unchanged, expand, identify, reading, unpacked_bytes
from gpuql.thresholds import (
    CSV_INFER_BYTES,
    CSV_PARSING_COPIES,
    CSV_SNIFF_BYTES,
    LEAST_CSV_BLOCK_BYTES,
    MOST_CSV_BLOCK_BYTES,
)
from gpuql_planner import types
from gpuql_planner.catalog import ColumnStatistics, Field
from gpuql_planner.errors import BinderError, ConversionError, did_you_mean
from gpuql_planner.logical.expressions import Expression
from gpuql_planner.statement_errors import (
    BadFileContent,
    InvalidParameterValue,
    UndefinedColumn,
    UndefinedObject,
)
from gpuql_planner.types import DataType

EXTENSIONS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
#: Named arguments of read_csv and what they take.
CSV_OPTIONS: Mapping[str, type | tuple[type, ...]] = {
    "delim": str,
    "sep": str,
    "header": bool,
    "quote": str,
    "escape": str,
    "nullstr": (str, list),
    "allow_quoted_nulls": bool,
    "names": list,
    "dateformat": str,
    "timestampformat": str,
    "skip": int,
    "all_varchar": bool,
    "ignore_errors": bool,
    "column_types": dict,
}
_DELIMITERS = (",", "|", ";", "\t")
_HUGE_INTEGER = r"^[+-]?\d{1,38}$"
_ANY_INTEGER = r"^[+-]?\d+$"
_COLUMN_TYPES: dict[Any, DataType] = {
    pa.int64(): types.BIGINT,
    pa.float64(): types.DOUBLE,
    pa.bool_(): types.BOOLEAN,
    pa.date32(): types.DATE,
    pa.time32("s"): types.TIME,
    pa.timestamp("s"): types.TIMESTAMP,
    pa.timestamp("ns"): types.TIMESTAMP,
    pa.timestamp("s", tz="UTC"): types.TIMESTAMPTZ,
    pa.timestamp("ns", tz="UTC"): types.TIMESTAMPTZ,
}


class CsvTable:
    """CSV files of one layout. Rows are those of the files in order; their number is known only by reading."""

    num_rows = None

    def __init__(
        self,
        name: str,
        fields: Sequence[Field],
        identities: Sequence[FileIdentity],
        layouts: Sequence[CsvLayout],
    ) -> None:
        self.name = name
        self.fields = tuple(fields)
        self.identities = tuple(identities)
        self.layouts = tuple(layouts)
        self._forms = SteadyForms()

    def __repr__(self) -> str:
        return f"CsvTable({self.name!r}, {len(self.identities)} files)"

    def statistics(self, name: str) -> ColumnStatistics:
        """Nothing is known before reading."""
        return ColumnStatistics()

    def read(
        self,
        names: Sequence[str],
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
    ) -> tuple[dict[str, Column], int]:
        """All rows; see ``ReadableTable.read``. Errors: ConversionError for a value that is not of its type."""
        check_unchanged(self.identities)
        # Some column must be read to count the rows.
        wanted = list(names) or [self.fields[0].name]
        dtypes = {field.name: field.dtype for field in self.fields}
        tables = [
            layout.parse(identity.path, dtypes, wanted)
            for layout, identity in zip(self.layouts, self.identities, strict=True)
        ]
        check_unchanged(self.identities)
        columns = {
            name: concat_columns([_column(table.column(name), name, dtypes[name]) for table in tables])
            for name in names
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
        """Blocks of the files; see ``ReadableTable.read_parts``. Columns are as wide as those of all parts so far."""
        check_unchanged(self.identities)
        reserved = partial(try_reserve, CSV_PARSING_COPIES * part_bytes) if try_reserve else None
        yield from read_ahead(self._parts(names, part_bytes), reserved)
        check_unchanged(self.identities)

    def _parts(self, names: Sequence[str], part_bytes: int) -> Generator[tuple[dict[str, Column], int]]:
        wanted = list(names) or [self.fields[0].name]
        dtypes = {field.name: field.dtype for field in self.fields}
        empty = True
        for layout, identity in zip(self.layouts, self.identities, strict=True):
            for batch in layout.blocks(identity.path, dtypes, wanted, part_bytes):
                columns = {}
                for name in names:
                    array = batch.column(batch.schema.get_field_index(name))
                    columns[name] = self._forms.steady(name, _column(array, name, dtypes[name]))
                yield columns, batch.num_rows
                empty = False
        if empty:
            yield {name: null_column(dtypes[name], 0) for name in names}, 0

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


@dataclass(frozen=True)
class CsvLayout:
    """How the text of the files is cut into columns."""

    delimiter: str
    quote: str
    escape: str | None
    null_strings: list[str]
    quoted_nulls: bool
    header: bool
    names: list[str]
    skip: int
    formats: list[str]
    ignore_errors: bool
    renamed: bool = False

    def parse(
        self,
        path: str,
        dtypes: Mapping[str, DataType] | None,
        wanted: Sequence[str],
        prefix: bytes | None = None,
    ) -> Any:
        """Arrow table of the columns ``wanted`` of a file (or its ``prefix``); types are found if not given."""
        read, parse, convert = self._options(dtypes, wanted, None)
        with self._reading(path):
            try:
                source = path if prefix is None else io.BytesIO(prefix)
                return pacsv.read_csv(source, read_options=read, parse_options=parse, convert_options=convert)
            except pa.ArrowInvalid as error:
                if _is_less_than_a_row(error):
                    return _no_rows(wanted, convert.column_types)
                raise

    def blocks(
        self, path: str, dtypes: Mapping[str, DataType], wanted: Sequence[str], block_bytes: int
    ) -> Iterator[Any]:
        """Arrow record batches of the columns ``wanted``, each of about ``block_bytes`` of text."""
        block_bytes = max(LEAST_CSV_BLOCK_BYTES, min(block_bytes, MOST_CSV_BLOCK_BYTES))
        read, parse, convert = self._options(dtypes, wanted, block_bytes)
        with self._reading(path):
            try:
                reader = pacsv.open_csv(path, read_options=read, parse_options=parse, convert_options=convert)
            except pa.ArrowInvalid as error:
                if _is_less_than_a_row(error):
                    return
                raise
            with reader:
                for batch in reader:
                    if batch.num_rows:
                        yield batch

    def _options(
        self, dtypes: Mapping[str, DataType] | None, wanted: Sequence[str], block_bytes: int | None
    ) -> tuple[Any, Any, Any]:
        """How pyarrow is to read, to parse and to convert."""
        convert = pacsv.ConvertOptions(
            column_types={} if dtypes is None else {name: _arrow_type(dtypes[name]) for name in wanted},
            include_columns=list(wanted),
            null_values=self.null_strings,
            strings_can_be_null=True,
            quoted_strings_can_be_null=self.quoted_nulls,
            true_values=["true", "True", "TRUE", "t", "T", "yes", "Yes", "YES"],
            false_values=["false", "False", "FALSE", "f", "F", "no", "No", "NO"],
            timestamp_parsers=self.formats or None,
        )
        parse = pacsv.ParseOptions(
            delimiter=self.delimiter,
            quote_char=self.quote or False,
            double_quote=self.escape in (None, self.quote),
            escape_char=False if self.escape in (None, self.quote) else self.escape,
            newlines_in_values=True,
            # With one column an empty line is a row whose value is NULL.
            ignore_empty_lines=len(self.names) > 1,
            invalid_row_handler=(lambda _: "skip") if self.ignore_errors else None,
        )
        read = pacsv.ReadOptions(
            column_names=self.names,
            skip_rows_after_names=0,
            skip_rows=self.skip + int(self.header),
            block_size=block_bytes,
        )
        return read, parse, convert

    @contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        with reading(path):
            try:
                yield
            except pa.ArrowInvalid as error:
                if "onversion error" in str(error) or "invalid UTF8" in str(error):
                    raise ConversionError(
                        f"value does not fit its column: {path}: {' '.join(str(error).split())}",
                        hint=f"types were found in the first {CSV_INFER_BYTES // 2**20} MiB; try all_varchar = true",
                    ) from error
                raise


def _is_less_than_a_row(error: Exception) -> bool:
    """Whether the text was nothing at all, or a header whose line has no end."""
    return "Empty CSV" in str(error) or "Could not skip initial" in str(error)


def open_csv(
    patterns: Sequence[str],
    *,
    name: str | None = None,
    delim: str | None = None,
    sep: str | None = None,
    header: bool | None = None,
    quote: str = '"',
    escape: str | None = None,
    nullstr: str | Sequence[str] = "",
    allow_quoted_nulls: bool = True,
    names: Sequence[str] | None = None,
    dateformat: str | None = None,
    timestampformat: str | None = None,
    skip: int = 0,
    all_varchar: bool = False,
    ignore_errors: bool = False,
    column_types: Mapping[str, str] | None = None,
) -> CsvTable:
    """Open CSV files (plain or gzip); layout and types come from the beginning of the first.

    Types are BOOLEAN, BIGINT, HUGEINT, DOUBLE, DATE, TIME, TIMESTAMP, TIMESTAMPTZ (where every value has an offset) or
    VARCHAR. Options as DuckDB's read_csv; ``column_types`` gives some columns one of :data:`_GIVEN_TYPES`, and with
    ``all_varchar`` the others are texts.

    Errors: InputError for unreadable files, BinderError for options that make no sense.
    """
    if skip < 0:
        raise InvalidParameterValue(f"number of lines to skip must not be negative: {skip}")
    paths = expand(patterns, EXTENSIONS)
    identities = [identify(path) for path in paths]
    first = paths[0]
    text, whole = _beginning(first, CSV_INFER_BYTES)
    if not text.strip():
        raise BadFileContent(f"file is empty: {first}")
    rows_text = text[:CSV_SNIFF_BYTES]
    delimiter = delim or sep or _sniff_delimiter(rows_text, quote, skip)
    if len(delimiter) != 1 or len(quote) > 1 or (escape is not None and len(escape) > 1):
        raise InvalidParameterValue("delimiter, quote and escape of CSV must be single characters")
    if not (delimiter + quote + (escape or "")).isascii():
        raise InvalidParameterValue("delimiter, quote and escape of CSV must be ASCII characters")
    if quote == delimiter:
        raise InvalidParameterValue(f"quote and delimiter of CSV must differ: {quote}")
    rows = _rows(
        rows_text, delimiter, quote, skip, limit=1000, complete=whole and len(text) <= CSV_SNIFF_BYTES
    )
    if not rows:
        raise BadFileContent(f"file is empty: {first}")
    null_strings = [nullstr] if isinstance(nullstr, str) else list(nullstr)
    formats = [form for form in (dateformat, timestampformat) if form]
    has_header = _looks_like_header(rows, null_strings) if header is None else header
    found = rows[0] if has_header else []
    column_names = unique_names(
        [found[i] if i < len(found) and found[i] else f"column{i}" for i in range(len(rows[0]))]
    )
    for i, given in enumerate(names or []):
        if i >= len(column_names):
            raise BinderError(f"more names than columns: {first}")
        column_names[i] = str(given)
    layout = CsvLayout(
        delimiter,
        quote,
        escape,
        null_strings,
        allow_quoted_nulls,
        has_header,
        column_names,
        skip,
        formats,
        ignore_errors,
        renamed=bool(names),
    )
    dtypes = _inferred(layout, first, text, whole=whole, all_varchar=all_varchar)
    dtypes |= _given_types(column_types or {}, column_names)
    fields = [Field(column, dtypes[column]) for column in column_names]
    shown = patterns[0] if len(patterns) == 1 else f"{patterns[0]} and {len(patterns) - 1} more"
    layouts = [layout, *(_layout_of_another(layout, first, path) for path in paths[1:])]
    return CsvTable(name or shown, fields, identities, layouts)


_GIVEN_TYPES: dict[str, DataType] = {
    str(dtype): dtype
    for dtype in (types.BIGINT, types.UBIGINT, types.DOUBLE, types.DATE, types.TIMESTAMP, types.VARCHAR)
} | {"TIMESTAMPTZ": types.TIMESTAMPTZ, str(types.TIMESTAMPTZ): types.TIMESTAMPTZ}


def _given_types(given: Mapping[str, str], names: Sequence[str]) -> dict[str, DataType]:
    found: dict[str, DataType] = {}
    for name, written in given.items():
        if name not in names:
            raise UndefinedColumn(f"no such column in the file: {name}", hint=did_you_mean(name, list(names)))
        dtype = _GIVEN_TYPES.get(str(written).upper())
        if dtype is None:
            raise UndefinedObject(
                f"type cannot be read from CSV directly: {written}",
                hint=f"types are {', '.join(_GIVEN_TYPES)}; cast others in the query",
            )
        found[name] = dtype
    return found


def _layout_of_another(layout: CsvLayout, first_path: str, path: str) -> CsvLayout:
    """Layout of a later file: its columns are found by name where it has a header, and may be in another order."""
    if not layout.header:
        return layout
    text, _ = _beginning(path, CSV_SNIFF_BYTES)
    rows = _rows(text, layout.delimiter, layout.quote, layout.skip, limit=1, complete=True)
    if not rows:
        return layout
    names = unique_names([value or f"column{i}" for i, value in enumerate(rows[0])])
    if names == layout.names or layout.renamed:
        return layout
    missing = [name for name in layout.names if name not in names]
    if missing:
        raise BadFileContent(
            f"column of the first file is missing in another: {missing[0]} ({path})",
            hint=did_you_mean(missing[0], names) or f"names were taken from the header of {first_path}",
        )
    return replace(layout, names=names)


def _inferred(
    layout: CsvLayout, path: str, text: str, *, whole: bool, all_varchar: bool
) -> dict[str, DataType]:
    if all_varchar:
        return dict.fromkeys(layout.names, types.VARCHAR)
    if not whole:
        text = text[: text.rfind("\n") + 1]
    table = layout.parse(path, None, layout.names, prefix=text.encode("utf-8"))
    dtypes = {name: _COLUMN_TYPES.get(table.schema.field(name).type, types.VARCHAR) for name in layout.names}
    doubles = [name for name, dtype in dtypes.items() if dtype == types.DOUBLE]
    if doubles:
        # The parser reads whole numbers beyond 64 bits as floating point, which would lose digits.
        written = layout.parse(
            path, dict.fromkeys(doubles, types.VARCHAR), doubles, prefix=text.encode("utf-8")
        )
        for name in doubles:
            if pc.all(pc.match_substring_regex(written.column(name), _HUGE_INTEGER)).as_py():
                dtypes[name] = types.HUGEINT
            elif pc.all(pc.match_substring_regex(written.column(name), _ANY_INTEGER)).as_py():
                dtypes[name] = types.VARCHAR
    return dtypes


def _column(array: Any, name: str, dtype: DataType) -> Column:
    column = column_from_arrow(array, name)
    return column if column.dtype == dtype else replace(column, dtype=dtype)


def _arrow_type(dtype: DataType) -> Any:
    return pa.time32("s") if dtype == types.TIME else type_to_arrow(dtype)


def _no_rows(wanted: Sequence[str], column_types: Mapping[str, Any]) -> Any:
    return pa.table({name: pa.array([], type=column_types.get(name, pa.null())) for name in wanted})


def _beginning(path: str, num_bytes: int) -> tuple[str, bool]:
    """Text at the start of the file, to the end of a line, and whether that is all of the file."""
    with reading(path):
        opener: Any = gzip.open if path.endswith(".gz") else open
        with opener(path, "rb") as file:
            data = file.read(num_bytes + 1)
        whole = len(data) <= num_bytes
        data = data[:num_bytes].removeprefix(b"\xef\xbb\xbf")
        if not whole:
            data = data[: data.rfind(b"\n") + 1]
        return data.decode("utf-8"), whole


def _rows(text: str, delimiter: str, quote: str, skip: int, *, limit: int, complete: bool) -> list[list[str]]:
    quoting: Any = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote or None, quoting=quoting
    )
    rows = []
    try:
        for row in reader:
            if row:
                rows.append(row)
            if len(rows) >= limit + skip:
                break
    except csv.Error:
        # The text was cut inside a quoted value; the rows so far are enough to judge by.
        return rows[skip:]
    else:
        return rows[skip:] if complete or len(rows) < 2 or len(rows) >= limit + skip else rows[skip:-1]


def _sniff_delimiter(text: str, quote: str, skip: int) -> str:
    """The candidate that cuts most rows into the same number of columns, and more than one."""
    best, best_score = ",", (0.0, 0)
    for candidate in _DELIMITERS:
        widths = [len(row) for row in _rows(text, candidate, quote, skip, limit=200, complete=False)]
        if not widths or widths[0] < 2:
            continue
        score = (widths.count(widths[0]) / len(widths), widths[0])
        if score > best_score:
            best, best_score = candidate, score
    return best


def _looks_like_header(rows: Sequence[Sequence[str]], null_strings: Sequence[str]) -> bool:
    """All names are text, and a column below is not; or every column is text throughout."""
    first = rows[0]
    if len(rows) == 1:
        return all(value and _kind(value) == "text" for value in first)
    if any(_kind(value) != "text" and value not in null_strings for value in first):
        return False
    kinds = [
        {_kind(row[i]) for row in rows[1:] if i < len(row) and row[i] not in null_strings}
        for i in range(len(first))
    ]
    typed = [kind for kind in kinds if kind and "text" not in kind]
    return bool(typed) or all(first)


def _kind(value: str) -> str:
    convert = pacsv.ConvertOptions(null_values=[], strings_can_be_null=False)
    read = pacsv.ReadOptions(column_names=["v"])
    parse = pacsv.ParseOptions(delimiter="\x01", quote_char=False)
    try:
        table = pacsv.read_csv(io.BytesIO(value.encode("utf-8") + b"\n"), read, parse, convert)
    except pa.ArrowException:
        return "text"
    return "text" if table.schema.field(0).type in (pa.string(), pa.null()) else "typed"
