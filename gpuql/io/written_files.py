"""Files that appear whole or not at all: written under another name beside their place, then renamed."""

from __future__ import annotations

import gzip
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import quote

import pyarrow as pa

from gpuql.io.files import reading
from gpuql_planner.errors import InputError, NotSupportedError
from gpuql_planner.statement_errors import FileExists, UndefinedFile, WrongKindOfFile

#: Folder of the rows whose value is NULL, as Hive calls it.
NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"


class Writer(Protocol):
    """Writes Arrow record batches to one file."""

    def write(self, batch: Any) -> None:
        """Put the rows behind those before."""

    def close(self) -> None:
        """Write what belongs at the end."""


#: Opens a writer of one file: the path, and the schema of its rows.
OpenWriter = Callable[[str, Any], Writer]


@contextmanager
def writing(path: str) -> Iterator[None]:
    """Turn what the operating system or pyarrow raises about ``path`` into an InputError that names both."""
    try:
        with reading(path):
            yield
    except InputError as error:
        cause = error.__cause__
        if isinstance(cause, FileNotFoundError):
            folder = os.path.dirname(path) or "."
            raise UndefinedFile(f"directory does not exist: {folder}", hint="create it first") from cause
        if isinstance(cause, OSError):
            raise InputError(f"file cannot be written: {path}: {cause.strerror or cause}") from cause
        if isinstance(cause, pa.ArrowException):
            raise InputError(f"file cannot be written: {path}: {' '.join(str(cause).split())}") from cause
        raise


def write_file(path: str, reader: Any, open_writer: OpenWriter) -> int:
    """Write all rows of a record batch reader to one file; how many there were.

    A file that is there is replaced once the new one is complete. What is no plain file, such as /dev/stdout, is
    written as it is. Errors: InputError if the file cannot be written; then nothing has changed.
    """
    target = _local(path)
    if os.path.isdir(target):
        raise WrongKindOfFile(f"path is a directory, not a file: {target}")
    if os.path.exists(target) and not os.path.isfile(target):
        with writing(target):
            return _written(target, reader, open_writer)
    there = os.path.realpath(target)
    beside = f"{os.path.dirname(there) or '.'}/.{os.path.basename(there)}.{uuid.uuid4().hex}.tmp"
    try:
        with writing(target):
            num_rows = _written(beside, reader, open_writer)
            os.replace(beside, there)
            return num_rows
    finally:
        _remove(beside)


def _local(path: str) -> str:
    if "://" in path and not path.startswith("file://"):
        raise NotSupportedError(f"remote paths are not supported: {path}")
    return os.path.expanduser(path.removeprefix("file://"))


def _remove(path: str) -> None:
    if os.path.lexists(path):
        os.unlink(path)


def _written(path: str, reader: Any, open_writer: OpenWriter) -> int:
    num_rows = 0
    writer = open_writer(path, reader.schema)
    try:
        for batch in reader:
            writer.write(batch)
            num_rows += batch.num_rows
    finally:
        writer.close()
    return num_rows


def write_partitions(
    path: str,
    reader: Any,
    open_writer: OpenWriter,
    *,
    extension: str,
    columns: tuple[str, ...],
    keep_columns: bool,
    existing: str,
) -> int:
    """Write the rows to ``path/column=value/…``, a file for each combination of values; how many rows there were.

    Parameters
    ----------
    reader : rows that are sorted by ``columns``.
    keep_columns : the files have those columns too.
    existing : what is done if the folder is not empty: error, overwrite (it is replaced), merge (files of the same
        name are replaced) or append (new files get names of their own).

    Errors: InputError if the folder is not empty, or a file cannot be written; then nothing has changed, but for
    files that were moved already where the folder was not empty.
    """
    target = _local(path)
    if os.path.exists(target) and not os.path.isdir(target):
        raise WrongKindOfFile(f"path is a file, not a directory: {target}")
    filled = os.path.isdir(target) and bool(os.listdir(target))
    if filled and existing == "error":
        raise FileExists(
            f"directory is not empty: {target}", hint="OVERWRITE replaces what is in it, APPEND adds files"
        )
    there = os.path.realpath(target)
    beside = f"{os.path.dirname(there) or '.'}/.{os.path.basename(there)}.{uuid.uuid4().hex}.tmp"
    name = f"data_0{extension}" if existing != "append" else f"data_{uuid.uuid4().hex}{extension}"
    try:
        with writing(target):
            os.mkdir(beside)
            num_rows = _partitions(beside, name, reader, open_writer, columns, keep_columns=keep_columns)
            _take_place(beside, there, merge=filled and existing != "overwrite")
            return num_rows
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _partitions(
    folder: str,
    name: str,
    reader: Any,
    open_writer: OpenWriter,
    columns: tuple[str, ...],
    *,
    keep_columns: bool,
) -> int:
    num_rows = 0
    writer: Writer | None = None
    current: str | None = None
    schema = reader.schema
    kept = schema.names if keep_columns else [one for one in schema.names if one not in columns]
    file_schema = pa.schema([schema.field(one) for one in kept])
    try:
        for batch in reader:
            for place, part in _runs(batch, columns):
                if place != current:
                    if writer is not None:
                        writer.close()
                    os.makedirs(os.path.join(folder, place), exist_ok=True)
                    writer = open_writer(os.path.join(folder, place, name), file_schema)
                    current = place
                assert writer is not None, "a run of rows has a file"
                writer.write(part.select(kept))
            num_rows += batch.num_rows
    finally:
        if writer is not None:
            writer.close()
    return num_rows


def _runs(batch: Any, columns: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Folder and rows of each run of equal values."""
    encoded = [batch.column(name).dictionary_encode(null_encoding="encode") for name in columns]
    codes = [one.indices.to_numpy(zero_copy_only=False) for one in encoded]
    start = 0
    for row in range(1, batch.num_rows + 1):
        if row == batch.num_rows or any(one[row] != one[row - 1] for one in codes):
            values = [
                one.dictionary[int(code[start])].as_py() for one, code in zip(encoded, codes, strict=True)
            ]
            folder = "/".join(
                f"{quote(name, safe=_PLAIN)}={_folder(value)}"
                for name, value in zip(columns, values, strict=True)
            )
            yield folder, batch.slice(start, row - start)
            start = row


_PLAIN = " -_.()!'*+"


def _folder(value: object) -> str:
    if value is None:
        return NULL_FOLDER
    text = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    return quote(text, safe=_PLAIN + ":")


def _take_place(folder: str, target: str, *, merge: bool) -> None:
    """Put a finished folder into its place."""
    if not merge:
        old = f"{folder}.old"
        if os.path.isdir(target):
            os.replace(target, old)
        try:
            os.replace(folder, target)
        except OSError:
            if os.path.isdir(old):
                os.replace(old, target)
            raise
        shutil.rmtree(old, ignore_errors=True)
        return
    for place, _, names in os.walk(folder):
        within = os.path.join(target, os.path.relpath(place, folder))
        os.makedirs(within, exist_ok=True)
        for name in names:
            os.replace(os.path.join(place, name), os.path.join(within, name))


def open_text(path: str, compression: str) -> Any:
    """A binary file for text, compressed as asked for."""
    if compression == "gzip":
        return gzip.open(path, "wb", compresslevel=6)
    if compression == "zstd":
        return pa.CompressedOutputStream(pa.OSFile(path, "wb"), "zstd")
    return open(path, "wb")


def text_compression(path: str, options: Mapping[str, object]) -> str:
    """Compression of a text file: as asked for, else by its extension."""
    asked = str(options.get("compression", "auto"))
    if asked in ("none", "uncompressed"):
        return "none"
    if asked != "auto":
        return asked
    return "gzip" if path.endswith(".gz") else "zstd" if path.endswith(".zst") else "none"
