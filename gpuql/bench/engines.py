"""The engines that take part: each loads the same Parquet files and runs the same SQL."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from gpuql import __version__
from gpuql.bench.rows import Row
from gpuql.config import parse_bytes
from gpuql.errors import BinderError, InputError
from gpuql.session import Connection
from gpuql_planner.statement_errors import InvalidParameterValue, UndefinedFile


class Engine(Protocol):
    """One contender. ``execute`` is what is timed: it ends when the whole result is an Arrow table or the like."""

    @property
    def name(self) -> str:
        """As shown in reports."""

    @property
    def version(self) -> str:
        """Of the installed package."""

    def load(self, files: Mapping[str, Path], *, resident: bool) -> None:
        """Make the tables known: read into memory, or as views over the files."""

    def load_rows(self, table: str, rows: Any) -> None:
        """Make a ``pyarrow.Table`` a table in memory; one of the same name is let go."""

    def execute(self, sql: str) -> Any:
        """Run a query to its end; the result in the engine's own form."""

    def rows(self, result: Any) -> Sequence[Row]:
        """Rows of a result as Python values."""


class GpuqlEngine:
    """gpuql through its public connection."""

    name = "gpuql"

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.version = __version__

    def load(self, files: Mapping[str, Path], *, resident: bool) -> None:
        """Tables or views."""
        for table, path in files.items():
            self.connection.execute(_definition(table, path, resident=resident))

    def load_rows(self, table: str, rows: Any) -> None:
        """A copy of the rows."""
        self.connection.register("loaded_rows", rows)
        self.connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM loaded_rows")
        self.connection.unregister("loaded_rows")

    def execute(self, sql: str) -> Any:
        """A :class:`gpuql.api.result.Result`, converted to Arrow as the peers' results are."""
        result = self.connection.sql(sql).collect()
        result.to_arrow()
        return result

    def rows(self, result: Any) -> Sequence[Row]:
        """Rows."""
        return list(result.iter_rows())


class DuckDbEngine:
    """DuckDB, in memory; with a limit its tables are in a compressed database file, so that it can hold them.

    Parameters
    ----------
    memory_limit : what DuckDB may take, in the spelling of ours, or None.
    folder : for the database file and DuckDB's temporary files, which are gone when the process is.
    compressed : tables in memory are compressed as in a database file, for tables of many columns.
    """

    name = "duckdb"

    def __init__(
        self,
        threads: int,
        memory_limit: str | None = None,
        folder: str | None = None,
        *,
        compressed: bool = False,
    ) -> None:
        duckdb = _module("duckdb")
        self.version = str(duckdb.__version__)
        if memory_limit is None:
            self._connection = duckdb.connect(config={"threads": threads})
            if compressed:
                self._connection.execute("ATTACH ':memory:' AS tables (COMPRESS); USE tables")
            return
        if folder is not None:
            Path(folder).mkdir(parents=True, exist_ok=True)
        own = Path(tempfile.mkdtemp(prefix="gpuql-bench-duckdb-", dir=folder))
        weakref.finalize(self, shutil.rmtree, own, ignore_errors=True)
        num_bytes = parse_bytes(memory_limit)
        self._connection = duckdb.connect(
            str(own / "tables.duckdb"),
            config={
                "threads": threads,
                "memory_limit": f"{num_bytes}B",
                "temp_directory": str(own / "spill"),
            },
        )

    def load(self, files: Mapping[str, Path], *, resident: bool) -> None:
        """Tables or views."""
        for table, path in files.items():
            self._connection.execute(_definition(table, path, resident=resident))

    def load_rows(self, table: str, rows: Any) -> None:
        """A copy of the rows."""
        self._connection.register("loaded_rows", rows)
        self._connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM loaded_rows")
        self._connection.unregister("loaded_rows")

    def execute(self, sql: str) -> Any:
        """A ``pyarrow.Table``."""
        return self._connection.sql(sql).to_arrow_table()

    def rows(self, result: Any) -> Sequence[Row]:
        """Rows."""
        return list(zip(*(column.to_pylist() for column in result.columns), strict=True))


class PolarsEngine:
    """Polars through its SQL interface; what that cannot parse or plan is reported as not run."""

    name = "polars"

    def __init__(self, threads: int) -> None:
        # Polars sizes its thread pool once, when it is imported.
        os.environ.setdefault("POLARS_MAX_THREADS", str(threads))
        self._polars = _module("polars")
        self.version = str(self._polars.__version__)
        if self._polars.thread_pool_size() != threads:
            raise InvalidParameterValue(
                f"polars already runs on {self._polars.thread_pool_size()} threads, not {threads}"
            )
        self._context = self._polars.SQLContext()

    def load(self, files: Mapping[str, Path], *, resident: bool) -> None:
        """Frames in memory, or lazy scans."""
        for table, path in files.items():
            frame = self._polars.read_parquet(path).lazy() if resident else self._polars.scan_parquet(path)
            self._context.register(table, frame)

    def load_rows(self, table: str, rows: Any) -> None:
        """A frame in memory."""
        self._context.register(table, self._polars.from_arrow(rows).lazy())

    def execute(self, sql: str) -> Any:
        """A ``polars.DataFrame``."""
        return self._context.execute(sql).collect()

    def rows(self, result: Any) -> Sequence[Row]:
        """Rows."""
        rows: Sequence[Row] = result.rows()
        return rows


def open_peers(
    names: str,
    threads: int,
    memory_limit: str | None = None,
    folder: str | None = None,
    *,
    compressed: bool = False,
) -> list[Engine]:
    """Engines of a list such as ``"duckdb,polars"``; ``"none"`` gives none.

    Errors: BinderError for an engine that is not known, or that cannot keep to ``memory_limit``.
    """
    peers: list[Engine] = []
    for name in peer_names(names, memory_limit):
        if name == "duckdb":
            peers.append(DuckDbEngine(threads, memory_limit, folder, compressed=compressed))
        else:
            peers.append(PolarsEngine(threads))
    return peers


def peer_names(names: str, memory_limit: str | None = None) -> list[str]:
    """The engines that a list names, without opening them, so that a bad list fails before data are made.

    Errors: BinderError for an engine that is not known, or that cannot keep to ``memory_limit``; InputError for one
    that is not installed.
    """
    chosen = [
        name for name in (name.strip().lower() for name in names.split(",")) if name not in ("", "none")
    ]
    for name in chosen:
        if name not in ("duckdb", "polars"):
            raise BinderError(f"unknown engine: {name}", hint="duckdb, polars or none")
        if name == "polars" and memory_limit is not None:
            raise InvalidParameterValue("polars has no memory limit", hint="compare with duckdb")
        if importlib.util.find_spec(name) is None:
            raise _missing(name)
    return chosen


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise _missing(name) from error


def _missing(name: str) -> InputError:
    return UndefinedFile(
        f"engine not installed: {name}",
        hint="pip install 'gpuql[bench]', or --compare none to measure gpuql alone",
    )


def _definition(table: str, path: Path, *, resident: bool) -> str:
    quoted = str(path).replace("'", "''")
    return f"CREATE {'TABLE' if resident else 'VIEW'} {table} AS SELECT * FROM read_parquet('{quoted}')"
