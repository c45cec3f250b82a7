"""Paths: patterns to files, the identity of a file's content, and errors in words."""

from __future__ import annotations

import glob
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from gpuql_planner.errors import InputError, NotSupportedError, OutOfMemoryError, did_you_mean
from gpuql_planner.statement_errors import BadFileContent, FileAccessDenied, UndefinedFile, WrongKindOfFile


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """A file as it was at one moment; equal identities are taken as equal content."""

    path: str
    size_bytes: int
    modified_ns: int


def identify(path: str) -> FileIdentity:
    """Identity of the file now. Errors: InputError if it is missing, a directory or not readable."""
    with reading(path):
        status = os.stat(path)
        if os.path.isdir(path):
            raise WrongKindOfFile(f"path is a directory, not a file: {path}")
        if not os.access(path, os.R_OK):
            raise FileAccessDenied(f"permission denied: {path}")
    return FileIdentity(path, status.st_size, status.st_mtime_ns)


def unpacked_bytes(identity: FileIdentity) -> int:
    """Bytes of a file's content: for gzip what its end says, which is right below 4 GiB."""
    if not identity.path.endswith(".gz"):
        return identity.size_bytes
    with reading(identity.path), open(identity.path, "rb") as file:
        file.seek(-min(4, identity.size_bytes), os.SEEK_END)
        told = int.from_bytes(file.read(), "little")
    return max(told, identity.size_bytes)


def expand(patterns: Sequence[str], extensions: Sequence[str]) -> list[str]:
    """Files named by paths, globs (``**`` too) and directories, in sorted order for each pattern.

    A directory stands for all files with one of ``extensions`` below it, but those whose name starts with
    ``.`` or ``_``. Errors: InputError if a pattern names nothing.
    """
    if not patterns:
        raise UndefinedFile("no files given: the list of paths is empty")
    found: list[str] = []
    for written in patterns:
        if "://" in written and not written.startswith("file://"):
            raise NotSupportedError(f"remote paths are not supported: {written}")
        pattern = os.path.expanduser(written.removeprefix("file://"))
        if os.path.isdir(pattern):
            matches = _below(pattern, extensions)
            if not matches:
                raise UndefinedFile(
                    f"no files in directory: {pattern}", hint=f"looked for {', '.join(extensions)}"
                )
        elif os.path.exists(pattern):
            matches = [pattern]
        else:
            matches = sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))
            if not matches:
                raise _missing(pattern)
        found += matches
    return found


def _below(directory: str, extensions: Sequence[str]) -> list[str]:
    matches = []
    for folder, folders, names in os.walk(directory):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        matches += [
            os.path.join(folder, name)
            for name in names
            if name.endswith(tuple(extensions)) and not name.startswith((".", "_"))
        ]
    return sorted(matches)


def _missing(pattern: str) -> InputError:
    if os.path.islink(pattern):
        return UndefinedFile(f"link leads to no file: {pattern} -> {os.readlink(pattern)}")
    if glob.has_magic(pattern):
        return UndefinedFile(f"no files match pattern: {pattern}")
    folder, name = os.path.split(pattern)
    hint = None
    if os.path.isdir(folder or "."):
        try:
            hint = did_you_mean(name, os.listdir(folder or "."))
        except OSError:
            hint = "the directory cannot be listed"
    return UndefinedFile(f"file not found: {pattern}", hint=hint)


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn what the operating system or pyarrow raises about ``path`` into an InputError that names both."""
    try:
        yield
    except FileNotFoundError as error:
        raise _missing(path) from error
    except PermissionError as error:
        raise FileAccessDenied(f"permission denied: {path}") from error
    except MemoryError as error:
        raise OutOfMemoryError(f"not enough host memory to read file: {path}") from error
    except NotImplementedError as error:
        raise NotSupportedError(f"file uses a feature that is not supported: {path}: {error}") from error
    except UnicodeDecodeError as error:
        raise BadFileContent(
            f"file is not UTF-8 text: {path}: byte 0x{error.object[error.start]:02x} at offset {error.start}",
            hint="convert it first, for example: iconv -f latin1 -t utf-8",
        ) from error
    except pa.ArrowInvalid as error:
        raise BadFileContent(f"file cannot be read: {path}: {_one_line(error)}") from error
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise InputError(f"file cannot be read: {path}: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def check_unchanged(identities: Sequence[FileIdentity]) -> None:
    """Raise InputError if a file is no longer the one that was opened."""
    for identity in identities:
        if identify(identity.path) != identity:
            raise InputError(
                f"file changed while it was being read: {identity.path}", hint="run the query again"
            )
