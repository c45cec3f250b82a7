"""Files as tables: by path in FROM, or by a table function.

One opened table as long as its files stay the same.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from gpuql.catalog.kept_files import KeptFileTable
from gpuql.columnar.table import FileTable
from gpuql.memory.column_cache import ColumnCache
from gpuql.thresholds import MOST_OPEN_FILE_TABLES
from gpuql_planner.errors import did_you_mean
from gpuql_planner.statement_errors import InvalidParameterValue, NoMatchingFunction, UndefinedFile

_FORMAT_OF_EXTENSION = {
    ".parquet": "parquet",
    ".parq": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".csv.gz": "csv",
    ".tsv.gz": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".json.gz": "json",
    ".jsonl.gz": "json",
    ".ndjson.gz": "json",
}
_FORMAT_OF_FUNCTION = {
    "read_parquet": "parquet",
    "parquet_scan": "parquet",
    "read_csv": "csv",
    "read_csv_auto": "csv",
    "read_json": "json",
    "read_json_auto": "json",
    "read_ndjson": "json",
    "read_ndjson_auto": "json",
}


class FileTables:
    """Opens file tables and hands out the same object again while the files are unchanged. Thread-safe.

    What is read of them is kept in ``cache`` if that is given.
    """

    def __init__(self, cache: ColumnCache | None = None) -> None:
        self._lock = threading.Lock()
        self._cache = cache
        self._opened: dict[Any, FileTable] = {}

    def by_path(self, path: str) -> FileTable | None:
        """Table of the file, glob or directory ``path``; None if it does not look like one of a known format."""
        kind = format_of_path(path)
        return None if kind is None else self.open(kind, [path], {})

    def by_function(
        self, function: str, arguments: Sequence[object], named: Mapping[str, object]
    ) -> FileTable | None:
        """Table of ``function(arguments, named...)``; None if there is no such table function.

        Errors: BinderError for arguments that the function does not take; InputError for the files.
        """
        kind = _FORMAT_OF_FUNCTION.get(function.lower())
        if kind is None:
            return None
        if len(arguments) != 1:
            raise NoMatchingFunction(f"function takes one path or list of paths: {function}")
        written = arguments[0]
        patterns = [written] if isinstance(written, str) else written
        if not isinstance(patterns, (list, tuple)) or not all(isinstance(p, str) for p in patterns):
            raise InvalidParameterValue(f"path must be a string or a list of strings: {function}")
        return self.open(kind, list(patterns), named)

    def open(self, kind: str, patterns: Sequence[str], options: Mapping[str, object]) -> FileTable:
        """Opened table of ``patterns``, re-opened if files came, went or changed."""
        key = (kind, os.getcwd(), tuple(patterns), repr(sorted(options.items())))
        with self._lock:
            known = self._opened.pop(key, None)
            if known is None or not _still_current(kind, patterns, known):
                opened = _open(kind, patterns, dict(options))
                known = opened if self._cache is None else KeptFileTable(opened, self._cache)
            self._opened[key] = known
            while len(self._opened) > MOST_OPEN_FILE_TABLES:
                del self._opened[next(iter(self._opened))]
            return known


def format_of_path(path: str) -> str | None:
    """Format by extension, or of the files below a directory; None if it is no path of a known format."""
    folded = path.lower()
    for extension in sorted(_FORMAT_OF_EXTENSION, key=len, reverse=True):
        if folded.endswith(extension):
            return _FORMAT_OF_EXTENSION[extension]
    if (os.sep in path or path.startswith(".")) and os.path.isdir(os.path.expanduser(path)):
        for _, _, names in os.walk(os.path.expanduser(path)):
            for name in names:
                kind = format_of_path(name)
                if kind is not None:
                    return kind
        raise UndefinedFile(f"no files of a known format in directory: {path}")
    return None


def _still_current(kind: str, patterns: Sequence[str], table: FileTable) -> bool:
    from gpuql.io.files import expand, identify

    paths = expand(patterns, _extensions(kind))
    return tuple(identify(path) for path in paths) == table.identities


def _extensions(kind: str) -> list[str]:
    return [extension for extension, other in _FORMAT_OF_EXTENSION.items() if other == kind]


def _open(kind: str, patterns: Sequence[str], options: dict[str, Any]) -> FileTable:
    if kind == "parquet":
        from gpuql.io.parquet import open_parquet

        taken = _checked(options, {"hive_partitioning": bool, "union_by_name": bool, "filename": bool})
        return open_parquet(patterns, **taken)
    if kind == "csv":
        from gpuql.io.csv import CSV_OPTIONS, open_csv

        return open_csv(patterns, **_checked(options, CSV_OPTIONS))
    from gpuql.io.json import open_json

    return open_json(patterns, **_checked(options, {"format": str, "union_by_name": bool}))


def _checked(options: dict[str, Any], known: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
    taken = {}
    for name, value in options.items():
        folded = name.lower()
        if folded not in known:
            raise InvalidParameterValue(
                f"unknown named argument: {name}", hint=did_you_mean(name, list(known))
            )
        if not isinstance(value, known[folded]):
            raise InvalidParameterValue(f"argument has the wrong type: {name} ({type(value).__name__})")
        taken[folded] = value
    return taken
