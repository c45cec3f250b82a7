"""Parquet files as a table: only the needed columns, without row groups that the predicates exclude."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pat

from gpuql.columnar.arrow_import import column_from_arrow
from gpuql.columnar.arrow_types import fields_from_schema, type_from_arrow, type_to_arrow, unique_names
from gpuql.columnar.column import Column
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.construct import literal_column, null_column, stored_value
from gpuql.io.files import FileIdentity, check_unchanged, expand, identify, reading
from gpuql.io.hive import partition_columns
from gpuql.io.parquet_footer import chunk_range, combined, dictionary_entries
from gpuql.io.pruning import ValueRange, cannot_match
from gpuql_planner.catalog import ColumnStatistics, Field
from gpuql_planner.errors import ConversionError, InputError, did_you_mean
from gpuql_planner.logical.expressions import Expression
from gpuql_planner.types import VARCHAR, DataType, TypeId, common_type

_MAGIC = b"PAR1"
_MAGIC_ENCRYPTED = b"PARE"
EXTENSIONS = (".parquet", ".parq", ".pq")
#: Strings stored in fewer bytes for each value than this are dictionary codes throughout the file.
_DICTIONARY_BYTES_PER_VALUE = 3.0


@dataclass(frozen=True, eq=False)
class ParquetSource:
    """One opened file: its footer, and where each column of the table stands in it."""

    identity: FileIdentity
    metadata: Any
    schema: Any
    leaf_of: Mapping[str, int]
    arrow_types: Mapping[str, Any]
    partition: Mapping[str, Any]


class ParquetTable:
    """Files of one schema, read when asked. Rows are those of the files in order."""

    def __init__(self, name: str, fields: Sequence[Field], sources: Sequence[ParquetSource]) -> None:
        self.name = name
        self.fields = tuple(fields)
        self.num_rows = sum(source.metadata.num_rows for source in sources)
        self.sources = tuple(sources)
        self._dtypes = {field.name: field.dtype for field in fields}
        self._statistics: dict[str, ColumnStatistics] = {}

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
        if dtype.id is TypeId.VARCHAR:
            counts = [
                dictionary_entries(s.metadata, s.leaf_of[name]) for s in self.sources if name in s.leaf_of
            ]
            coded = [source for source in self.sources if _is_dictionary_coded(source, name)]
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
        groups = [self._groups(source, predicates, attribute_names or {}) for source in self.sources]
        kept = [(source, group) for source, group in zip(self.sources, groups, strict=True) if group]
        num_rows = sum(_rows_in(source, group) for source, group in kept)
        largest_first = sorted(names, key=self._stored_bytes, reverse=True)
        with ThreadPoolExecutor(max_workers=max(1, min(len(names), os.cpu_count() or 1))) as pool:
            made = dict(
                zip(largest_first, pool.map(lambda n: self._column(n, kept), largest_first), strict=True)
            )
        check_unchanged(self.identities)
        return {name: made[name] for name in names}, num_rows

    def read_parts(
        self,
        names: Sequence[str],
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
        *,
        part_bytes: int,
    ) -> Iterator[tuple[dict[str, Column], int]]:
        """Row groups that may hold a match, one after the other; see ``ReadableTable.read_parts``."""
        check_unchanged(self.identities)
        empty = True
        for source in self.sources:
            for group in self._groups(source, predicates, attribute_names or {}):
                kept = [(source, [group])]
                empty = False
                yield {name: self._column(name, kept) for name in names}, _rows_in(source, [group])
        if empty:
            yield {name: self._column(name, []) for name in names}, 0
        check_unchanged(self.identities)

    def estimated_bytes(self, names: Sequence[str]) -> int:
        """Bytes of the columns before compression."""
        return sum(self._stored_bytes(name) for name in names)

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

    def _column(self, name: str, kept: Sequence[tuple[ParquetSource, list[int]]]) -> Column:
        dtype = self._dtypes[name]
        if not kept:
            return null_column(dtype, 0)
        stored = [(s, groups) for s, groups in kept if name in s.leaf_of and name not in s.partition]
        if len(stored) == len(kept):
            return column_from_arrow(self._chunks(name, stored), name)
        parts = []
        for source, groups in kept:
            if name in source.partition:
                parts.append(literal_column(source.partition[name], dtype, _rows_in(source, groups)))
            elif name in source.leaf_of:
                parts.append(column_from_arrow(self._chunks(name, [(source, groups)]), name))
            else:
                parts.append(null_column(dtype, _rows_in(source, groups)))
        return concat_columns(parts)

    def _chunks(self, name: str, kept: Sequence[tuple[ParquetSource, list[int]]]) -> Any:
        as_dictionary = all(_is_dictionary_coded(source, name) for source, _ in kept)
        parts = []
        for source, groups in kept:
            path = source.identity.path
            with reading(path):
                leaf = source.leaf_of[name]
                dictionary = [source.metadata.schema.column(leaf).path] if as_dictionary else None
                with pq.ParquetFile(
                    path,
                    metadata=source.metadata,
                    read_dictionary=dictionary,
                    page_checksum_verification=True,
                ) as file:
                    read = file.reader.read_row_groups(groups, column_indices=[leaf], use_threads=False)
            if read.num_rows != _rows_in(source, groups):
                raise InputError(f"file is damaged: a column has too few rows: {path} (column {name})")
            parts.append(_adapted(read.column(0), self._dtypes[name], name, path))
        first = parts[0].type
        aligned = [part if part.type == first else part.cast(first) for part in parts]
        return pa.chunked_array([chunk for part in aligned for chunk in part.chunks], type=first)

    def _stored_bytes(self, name: str) -> int:
        return sum(
            source.metadata.row_group(group).column(source.leaf_of[name]).total_uncompressed_size
            for source in self.sources
            if name in source.leaf_of
            for group in range(source.metadata.num_row_groups)
        )

    def _average_bytes(self, name: str) -> float | None:
        return self._stored_bytes(name) / self.num_rows if self.num_rows else None


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
    for anything unreadable, NotSupportedError for nested columns.
    """
    paths = expand(patterns, EXTENSIONS)
    opened = [_open(path) for path in paths]
    schemas = [schema for _, _, schema in opened]
    partition_types: dict[str, DataType] = {}
    partitions: list[dict[str, Any]] = [{} for _ in paths]
    if hive_partitioning is not False:
        partition_types, partitions = partition_columns(paths)
        if hive_partitioning and not partition_types:
            raise InputError(f"no partition folders that all paths share: {paths[0]}")
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
        raise InputError(f"file is empty: {path}")
    with reading(path):
        with open(path, "rb") as raw:
            magic = raw.read(len(_MAGIC))
        if magic not in (_MAGIC, _MAGIC_ENCRYPTED):
            raise InputError(f"file is not Parquet: {path}")
        with pq.ParquetFile(path) as file:
            metadata, schema = file.metadata, file.schema_arrow
    if not schema.names:
        raise InputError(f"file has no columns: {path}")
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
        leaf += _num_leaves(field.type)
    return ParquetSource(identity, metadata, schema, leaf_of, arrow_types, partition)


def _num_leaves(arrow_type: Any) -> int:
    if pat.is_dictionary(arrow_type) or not arrow_type.num_fields:
        return 1
    return sum(_num_leaves(arrow_type.field(i).type) for i in range(arrow_type.num_fields))


def _union_fields(schemas: Sequence[Any]) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    folded: dict[str, str] = {}
    for schema in schemas:
        for field in fields_from_schema(schema):
            name = folded.setdefault(field.name.lower(), field.name)
            known = fields.get(name)
            dtype = field.dtype if known is None else common_type(known.dtype, field.dtype)
            if dtype is None:
                raise InputError(f"column has types that do not fit together in several files: {name}")
            fields[name] = Field(name, dtype)
    return fields


def _check_columns(source: ParquetSource, fields: Mapping[str, Field], first_path: str) -> None:
    for name in fields:
        if name not in source.leaf_of and name not in source.partition:
            raise InputError(
                f"column of the first file is missing in another: {name} ({source.identity.path})",
                hint=did_you_mean(name, source.schema.names)
                or f"schema taken from {first_path}; try union_by_name",
            )


def _adapted(array: Any, dtype: DataType, name: str, path: str) -> Any:
    """The array itself if its SQL type is the column's, else cast to it without loss."""
    if type_from_arrow(array.type, name) == dtype:
        return array
    try:
        return array.cast(type_to_arrow(dtype))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ConversionError(
            f"column does not fit the type of the first file: {name} {array.type} to {dtype} ({path})"
        ) from error


def _is_dictionary_coded(source: ParquetSource, name: str) -> bool:
    arrow_type = source.arrow_types.get(name)
    if arrow_type is None:
        return False
    is_string = pat.is_string(arrow_type) or pat.is_large_string(arrow_type) or pat.is_string_view(arrow_type)
    if not is_string or source.metadata.num_rows == 0:
        return False
    leaf = source.leaf_of[name]
    columns = [source.metadata.row_group(g).column(leaf) for g in range(source.metadata.num_row_groups)]
    num_bytes = sum(column.total_uncompressed_size for column in columns)
    return bool(num_bytes / source.metadata.num_rows < _DICTIONARY_BYTES_PER_VALUE)


def _rows_in(source: ParquetSource, groups: Sequence[int]) -> int:
    return int(sum(source.metadata.row_group(group).num_rows for group in groups))


def _shown(patterns: Sequence[str]) -> str:
    return patterns[0] if len(patterns) == 1 else f"{patterns[0]} and {len(patterns) - 1} more"
