"""Parquet files as a table: only the needed columns, without row groups that the predicates exclude."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from gpuql.columnar.arrow_dictionary import GrowingDictionary
from gpuql.columnar.arrow_types import fields_from_schema, type_from_arrow, unique_names
from gpuql.columnar.column import NATURAL_DTYPE, Column
from gpuql.columnar.construct import narrowest_dtype, stored_value
from gpuql.columnar.read_ahead import TryReserve, read_ahead
from gpuql.config import available_threads
from gpuql.io.files import FileIdentity, check_unchanged, expand, identify, reading
from gpuql.io.hive import partition_columns
from gpuql.io.parquet_decode import ColumnForm, Span, decode, spans_of, stream_spans
from gpuql.io.parquet_footer import chunk_range, combined, dictionary_entries
from gpuql.io.parquet_source import ParquetSource, SourceReaders, num_leaves, source_readers
from gpuql.io.pruning import ValueRange, cannot_match
from gpuql.thresholds import PARQUET_DECODING_COPIES
from gpuql_planner.catalog import ColumnStatistics, Field
from gpuql_planner.errors import did_you_mean
from gpuql_planner.logical.expressions import Expression
from gpuql_planner.statement_errors import BadFileContent, UndefinedFile
from gpuql_planner.types import VARCHAR, DataType, common_type

_MAGIC = b"PAR1"
_MAGIC_ENCRYPTED = b"PARE"
EXTENSIONS = (".parquet", ".parq", ".pq")
#: A string that is no dictionary code takes a position and the end of its bytes.
_POSITION_BYTES = 12


class ParquetTable:
    """Files of one schema, read when asked. Rows are those of the files in order."""

    def __init__(self, name: str, fields: Sequence[Field], sources: Sequence[ParquetSource]) -> None:
        self.name = name
        self.fields = tuple(fields)
        self.num_rows = sum(source.metadata.num_rows for source in sources)
        self.sources = tuple(sources)
        self._dtypes = {field.name: field.dtype for field in fields}
        self._statistics: dict[str, ColumnStatistics] = {}
        self._forms: dict[str, ColumnForm] = {}

    def __repr__(self) -> str:
        return f"ParquetTable({self.name!r}, {len(self.sources)} files, {self.num_rows} rows)"

    @property
    def identities(self) -> tuple[FileIdentity, ...]:
        """The files as they were when opened."""
        return tuple(source.identity for source in self.sources)

    def statistics(self, name: str) -> ColumnStatistics:
        """What the footers say; for integers the width of the range limits the distinct estimate."""
        if name not in self._statistics:
            self._statistics[name] = self._footer_statistics(name)
        return self._statistics[name]

    def _footer_statistics(self, name: str) -> ColumnStatistics:
        parts = [
            self._range(source, group, name)
            for source in self.sources
            for group in range(source.metadata.num_row_groups)
        ]
        known = combined(parts)
        dtype = self._dtypes[name]
        if dtype.is_text:
            counts = [
                dictionary_entries(s.metadata, s.leaf_of[name]) for s in self.sources if name in s.leaf_of
            ]
            coded = [source for source in self.sources if source.is_dictionary_coded(name)]
            distinct = max(counts) if counts and len(coded) == len(self.sources) else None
            return ColumnStatistics(
                null_count=known.null_count, distinct_count=distinct, average_bytes=self._average_bytes(name)
            )
        distinct = None
        if isinstance(known.minimum, int) and isinstance(known.maximum, int):
            distinct = min(self.num_rows, known.maximum - known.minimum + 1)
        return ColumnStatistics(known.minimum, known.maximum, known.null_count, distinct)

    def read(
        self,
        names: Sequence[str],
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
    ) -> tuple[dict[str, Column], int]:
        """Columns of all row groups that may hold a match; see ``ReadableTable.read``."""
        check_unchanged(self.identities)
        spans = spans_of(self._kept(predicates, attribute_names))
        with source_readers() as readers, ThreadPoolExecutor(max_workers=available_threads()) as pool:
            columns = decode([self._form(name) for name in names], spans, readers, pool, widen=False)
        check_unchanged(self.identities)
        return columns, sum(span.num_rows for span in spans)

    def read_parts(
        self,
        names: Sequence[str],
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
        *,
        part_bytes: int,
        try_reserve: TryReserve | None = None,
    ) -> Iterator[tuple[dict[str, Column], int]]:
        """Runs of row groups that may hold a match, in order; see ``ReadableTable.read_parts``.

        A row group much larger than a part is cut. The next part is decoded while one is in hand, if there is room.
        """
        check_unchanged(self.identities)
        forms = [self._form(name) for name in names]
        row_bytes = max(1, self.estimated_bytes(names)) / max(1, self.num_rows)
        kept = self._kept(predicates, attribute_names)
        parts = _decoded_parts(forms, kept, max(1, int(part_bytes / row_bytes)))
        reserved = partial(try_reserve, PARQUET_DECODING_COPIES * part_bytes) if try_reserve else None
        yield from read_ahead(parts, reserved)
        check_unchanged(self.identities)

    def check_unchanged(self) -> None:
        """See ``FileTable``."""
        check_unchanged(self.identities)

    def share_of_rows(
        self, predicates: Sequence[Expression], attribute_names: Mapping[int, str] | None
    ) -> float:
        """See ``FileTable``: rows of row groups that may hold a match."""
        if not self.num_rows:
            return 1.0
        kept = self._kept(predicates, attribute_names)
        return float(sum(source.rows_in(groups) for source, groups in kept) / self.num_rows)

    def estimated_bytes(self, names: Sequence[str]) -> int:
        """Bytes of the decoded columns as far as the footers tell; text as it is in the file."""
        return sum(self._decoded_bytes(name) for name in names)

    def _decoded_bytes(self, name: str) -> int:
        form = self._form(name)
        if form.is_string:
            coded = all(source.is_dictionary_coded(name) for source in self.sources)
            return self._stored_bytes(name) + int(self.num_rows) * (2 if coded else _POSITION_BYTES)
        if form.dtype.is_nested:
            return 2 * self._stored_bytes(name) + int(self.num_rows) * _POSITION_BYTES
        if form.bounds is not None:
            narrow = narrowest_dtype(*form.bounds, form.dtype)
            return int(self.num_rows * (16 if narrow is None else narrow.itemsize))
        return int(self.num_rows * np.dtype(NATURAL_DTYPE[form.dtype.id]).itemsize)

    def _form(self, name: str) -> ColumnForm:
        form = self._forms.get(name)
        if form is None:
            dtype = self._dtypes[name]
            known = self.statistics(name)
            low, high = known.minimum, known.maximum
            bounds = None
            if isinstance(low, int) and isinstance(high, int) and dtype.limits is not None:
                bounds = low, high
            form = self._forms[name] = ColumnForm(name, dtype, bounds, GrowingDictionary(dtype, name))
        return form

    def _kept(
        self, predicates: Sequence[Expression], attribute_names: Mapping[int, str] | None
    ) -> list[tuple[ParquetSource, list[int]]]:
        groups = [self._groups(source, predicates, attribute_names or {}) for source in self.sources]
        return [(source, group) for source, group in zip(self.sources, groups, strict=True) if group]

    def _groups(
        self, source: ParquetSource, predicates: Sequence[Expression], attribute_names: Mapping[int, str]
    ) -> list[int]:
        groups = [g for g in range(source.metadata.num_row_groups) if source.metadata.row_group(g).num_rows]
        if not predicates or not attribute_names:
            return groups
        return [
            group
            for group in groups
            if not cannot_match(predicates, attribute_names, partial(self._range, source, group))
        ]

    def _range(self, source: ParquetSource, group: int, name: str) -> ValueRange:
        num_rows = source.metadata.row_group(group).num_rows
        if name in source.partition:
            value = source.partition[name]
            if value is None:
                return ValueRange(None, None, num_rows, num_rows)
            stored = stored_value(value, self._dtypes[name])
            return ValueRange(stored, stored, 0, num_rows)
        leaf = source.leaf_of.get(name)
        if leaf is None:
            return ValueRange(None, None, num_rows, num_rows)
        arrow_type = source.arrow_types[name]
        if type_from_arrow(arrow_type, name) != self._dtypes[name]:
            return ValueRange(num_rows=num_rows)
        return chunk_range(source.metadata, group, leaf, arrow_type, self._dtypes[name])

    def _stored_bytes(self, name: str) -> int:
        return sum(source.stored_bytes(name) for source in self.sources)

    def _average_bytes(self, name: str) -> float | None:
        return self._stored_bytes(name) / self.num_rows if self.num_rows else None


def _decoded_parts(
    forms: Sequence[ColumnForm], kept: Sequence[tuple[ParquetSource, Sequence[int]]], part_rows: int
) -> Generator[tuple[dict[str, Column], int]]:
    """Columns and number of rows of each part; one without rows if there is nothing."""
    with source_readers() as readers, ThreadPoolExecutor(max_workers=available_threads()) as pool:
        empty = True
        for spans in _part_spans(forms, kept, part_rows, readers):
            empty = False
            yield _decoded_part(forms, spans, readers, pool)
        if empty:
            yield _decoded_part(forms, [], readers, pool)


def _decoded_part(
    forms: Sequence[ColumnForm], spans: list[Span], readers: SourceReaders, pool: Executor
) -> tuple[dict[str, Column], int]:
    """Columns and number of rows of a part; the list is emptied, so that nothing of what was read stays."""
    num_rows = sum(span.num_rows for span in spans)
    columns = decode(forms, spans, readers, pool, widen=True)
    spans.clear()
    return columns, num_rows


def _part_spans(
    forms: Sequence[ColumnForm],
    kept: Sequence[tuple[ParquetSource, Sequence[int]]],
    part_rows: int,
    readers: SourceReaders,
) -> Iterator[list[Span]]:
    """Spans that make up a part: about ``part_rows`` rows, in order."""
    taken: list[Span] = []
    num_rows = 0
    for source, groups in kept:
        for group in groups:
            rows = source.rows_in([group])
            if taken and num_rows + rows > part_rows:
                yield taken
                taken, num_rows = [], 0
            if rows > 2 * part_rows:
                yield from stream_spans(forms, source, group, part_rows, readers)
                continue
            taken.append(Span(source, (group,), rows))
            num_rows += rows
    if taken:
        yield taken


def open_parquet(
    patterns: Sequence[str],
    *,
    name: str | None = None,
    hive_partitioning: bool | None = None,
    union_by_name: bool = False,
    filename: bool = False,
) -> ParquetTable:
    """Open files by path, glob or directory; reads footers only.

    Columns are found by name, with the first file's schema; with ``union_by_name`` the table has the columns
    of all files and NULL where a file lacks one. Partition values in paths become columns unless
    ``hive_partitioning`` is false. ``filename`` adds a column with the path of each row. Errors: InputError
    for anything unreadable, NotSupportedError for types that SQL has no name for.
    """
    paths = expand(patterns, EXTENSIONS)
    opened = [_open(path) for path in paths]
    schemas = [schema for _, _, schema in opened]
    partition_types: dict[str, DataType] = {}
    partitions: list[dict[str, Any]] = [{} for _ in paths]
    if hive_partitioning is not False:
        partition_types, partitions = partition_columns(paths)
        if hive_partitioning and not partition_types:
            raise UndefinedFile(f"no partition folders that all paths share: {paths[0]}")
    if filename:
        partition_types = {**partition_types, "filename": VARCHAR}
        partitions = [{**values, "filename": path} for values, path in zip(partitions, paths, strict=True)]
    fields = {field.name: field for field in fields_from_schema(schemas[0])}
    if union_by_name:
        fields = _union_fields(schemas)
    for key, dtype in partition_types.items():
        fields[key] = Field(key, dtype, nullable=any(values[key] is None for values in partitions))
    sources = []
    for (identity, metadata, schema), partition in zip(opened, partitions, strict=True):
        source = _source(identity, metadata, schema, partition, fields)
        if not union_by_name:
            _check_columns(source, fields, paths[0])
        sources.append(source)
    nullable = {
        field.name.lower() for schema in schemas for field in fields_from_schema(schema) if field.nullable
    }
    final = [
        Field(
            f.name, f.dtype, f.nullable or union_by_name or f.name.lower() in nullable - set(partition_types)
        )
        for f in fields.values()
    ]
    return ParquetTable(name or _shown(patterns), final, sources)


def _open(path: str) -> tuple[FileIdentity, Any, Any]:
    identity = identify(path)
    if identity.size_bytes == 0:
        raise BadFileContent(f"file is empty: {path}")
    with reading(path):
        with open(path, "rb") as raw:
            magic = raw.read(len(_MAGIC))
        if magic not in (_MAGIC, _MAGIC_ENCRYPTED):
            raise BadFileContent(f"file is not Parquet: {path}")
        with pq.ParquetFile(path) as file:
            metadata, schema = file.metadata, file.schema_arrow
    if not schema.names:
        raise BadFileContent(f"file has no columns: {path}")
    return identity, metadata, schema


def _source(
    identity: FileIdentity,
    metadata: Any,
    schema: Any,
    partition: Mapping[str, Any],
    fields: Mapping[str, Field],
) -> ParquetSource:
    by_folded = {name.lower(): name for name in fields}
    leaf_of: dict[str, int] = {}
    arrow_types: dict[str, Any] = {}
    leaf = 0
    for written, field in zip(unique_names(schema.names), schema, strict=True):
        known = by_folded.get(written.lower())
        if known is not None:
            type_from_arrow(field.type, written)
            leaf_of[known] = leaf
            arrow_types[known] = field.type
        leaf += num_leaves(field.type)
    return ParquetSource(identity, metadata, schema, leaf_of, arrow_types, partition)


def _union_fields(schemas: Sequence[Any]) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    folded: dict[str, str] = {}
    for schema in schemas:
        for field in fields_from_schema(schema):
            name = folded.setdefault(field.name.lower(), field.name)
            known = fields.get(name)
            dtype = field.dtype if known is None else common_type(known.dtype, field.dtype)
            if dtype is None:
                raise BadFileContent(f"column has types that do not fit together in several files: {name}")
            fields[name] = Field(name, dtype)
    return fields


def _check_columns(source: ParquetSource, fields: Mapping[str, Field], first_path: str) -> None:
    for name in fields:
        if name not in source.leaf_of and name not in source.partition:
            raise BadFileContent(
                f"column of the first file is missing in another: {name} ({source.identity.path})",
                hint=did_you_mean(name, source.schema.names)
                or f"schema taken from {first_path}; try union_by_name",
            )


def _shown(patterns: Sequence[str]) -> str:
    return patterns[0] if len(patterns) == 1 else f"{patterns[0]} and {len(patterns) - 1} more"
