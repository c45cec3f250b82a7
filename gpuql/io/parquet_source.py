"""An opened Parquet file, and reading one column of some of its row groups."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pat

from gpuql.io.files import FileIdentity, reading
from gpuql.thresholds import CODED_STRING_BYTES, PARQUET_READ_AHEAD_BYTES
from gpuql_planner.statement_errors import BadFileContent

#: Key in the footer under which writers keep the Arrow schema, and another of the same length.
_ARROW_SCHEMA_KEY, _OTHER_KEY = b"ARROW:schema", b"ARROW_schema"


@dataclass(frozen=True, eq=False)
class ParquetSource:
    """One opened file: its footer, and where each column of the table stands in it."""

    identity: FileIdentity
    metadata: Any
    schema: Any
    leaf_of: Mapping[str, int]
    arrow_types: Mapping[str, Any]
    partition: Mapping[str, Any]
    _bytes: dict[str, int] = field(default_factory=dict, repr=False)

    def rows_in(self, groups: Sequence[int]) -> int:
        """Rows of these row groups."""
        return int(sum(self.metadata.row_group(group).num_rows for group in groups))

    def stored_bytes(self, name: str) -> int:
        """Bytes of a column in the file before compression; 0 if it is not there."""
        known = self._bytes.get(name)
        if known is None:
            known = sum(
                self.metadata.row_group(group).column(leaf).total_uncompressed_size
                for group in range(self.metadata.num_row_groups)
                for leaf in self.leaves(name)
            )
            self._bytes[name] = known
        return known

    def leaves(self, name: str) -> list[int]:
        """Places of a column's parts in the file: one, or more of a nested column; none if it is not there."""
        leaf = self.leaf_of.get(name)
        return [] if leaf is None else list(range(leaf, leaf + num_leaves(self.arrow_types[name])))

    def is_dictionary_coded(self, name: str) -> bool:
        """Whether a string column is stored as codes throughout, as far as its size tells."""
        arrow_type = self.arrow_types.get(name)
        if arrow_type is None or not _is_text(arrow_type) or self.metadata.num_rows == 0:
            return False
        return bool(self.stored_bytes(name) / self.metadata.num_rows < CODED_STRING_BYTES)

    @cached_property
    def plain_metadata(self) -> Any:
        """The footer without the Arrow schema of its writer: text is read as strings even where that says views."""
        if not any(pat.is_string_view(arrow_type) for arrow_type in self.arrow_types.values()):
            return self.metadata
        footer = io.BytesIO()
        self.metadata.write_metadata_file(footer)
        return pq.read_metadata(io.BytesIO(footer.getvalue().replace(_ARROW_SCHEMA_KEY, _OTHER_KEY)))


def num_leaves(arrow_type: Any) -> int:
    """Parts that a column of the type has in a file."""
    if pat.is_dictionary(arrow_type) or not arrow_type.num_fields:
        return 1
    return sum(num_leaves(arrow_type.field(i).type) for i in range(arrow_type.num_fields))


class SourceReaders:
    """Open files of one read, one of each kind a thread. To be closed when no thread reads any more."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._opened: list[Any] = []
        self._lock = threading.Lock()

    def read(self, source: ParquetSource, groups: Sequence[int], name: str, *, coded: bool) -> Any:
        """Arrow chunked array of a column; strings as dictionaries if ``coded``. Errors: InputError."""
        path = source.identity.path
        with reading(path):
            file = self._file(source, name, coded=coded)
            read = file.reader.read_row_groups(
                list(groups), column_indices=source.leaves(name), use_threads=False
            )
        if read.num_rows != source.rows_in(groups):
            raise BadFileContent(f"file is damaged: a column has too few rows: {path} (column {name})")
        return read.column(0)

    def stream(
        self, source: ParquetSource, group: int, name: str, num_rows: int, *, coded: bool
    ) -> Iterator[Any]:
        """Arrow arrays of at most ``num_rows`` rows each of a column of one row group. Errors: InputError."""
        path = source.identity.path
        done = 0
        with reading(path), _open(source, name, coded=coded, buffer_bytes=PARQUET_READ_AHEAD_BYTES) as file:
            batches = file.reader.iter_batches(
                num_rows, row_groups=[group], column_indices=source.leaves(name), use_threads=False
            )
            for batch in batches:
                done += batch.num_rows
                yield batch.column(0)
        if done != source.rows_in([group]):
            raise BadFileContent(f"file is damaged: a column has too few rows: {path} (column {name})")

    def _file(self, source: ParquetSource, name: str, *, coded: bool) -> Any:
        files = self._local.__dict__.setdefault("files", {})
        kind = name if coded else _is_text(source.arrow_types[name])
        key = id(source), kind
        if key not in files:
            files[key] = _open(source, name, coded=coded)
            with self._lock:
                self._opened.append(files[key])
        return files[key]

    def close(self) -> None:
        """Close all files."""
        for file in self._opened:
            file.close(force=True)
        self._opened.clear()


@contextmanager
def source_readers() -> Iterator[SourceReaders]:
    """Readers that are closed at the end; Arrow's pool gives freed memory back to the system."""
    readers = SourceReaders()
    try:
        yield readers
    finally:
        readers.close()
        pa.default_memory_pool().release_unused()


def _open(source: ParquetSource, name: str, *, coded: bool, buffer_bytes: int = 0) -> Any:
    metadata = source.plain_metadata if _is_text(source.arrow_types[name]) else source.metadata
    dictionary = [metadata.schema.column(source.leaf_of[name]).path] if coded else None
    return pq.ParquetFile(
        source.identity.path,
        metadata=metadata,
        read_dictionary=dictionary,
        buffer_size=buffer_bytes,
        page_checksum_verification=True,
    )


def _is_text(arrow_type: Any) -> bool:
    return bool(
        pat.is_string(arrow_type) or pat.is_large_string(arrow_type) or pat.is_string_view(arrow_type)
    )
