"""Runs records, and says where an outcome is not what the file says."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from gpuql.errors import GpuqlError
from gpuql.testing.slt.records import Record, parse_file
from gpuql.testing.slt.values import difference, message_matches, texts

#: Classes that say only where in PEP 249's tree an error stands.
_BRANCHES = ("DataError", "DatabaseError", "GpuqlError", "OperationalError", "ProgrammingError")


class Mismatch(AssertionError):
    """A record whose outcome is not what the file says."""

    def __init__(self, record: Record, message: str) -> None:
        super().__init__(f"{record.path}:{record.line}: {message}\n{record.sql}")


class Runner:
    """Runs the records of one file.

    Parameters
    ----------
    connection : runs records that name no connection; its ``execute(sql)`` gives a cursor with ``fetchall``.
    open_another : makes further connections to the same data, and a new usual one for ``reconnect``.
    errors : the root of the engine's errors.
    match_text : false ignores what an error should say.
    test_dir : what stands for ``{TEST_DIR}``; None makes a folder and removes it.
    """

    def __init__(
        self,
        connection: Any,
        *,
        open_another: Callable[[], Any] | None = None,
        errors: type[Exception] = GpuqlError,
        match_text: bool = True,
        test_dir: Path | None = None,
    ) -> None:
        self._connections = {"": connection}
        self._open_another = open_another or getattr(connection, "cursor", None)
        self._errors = errors
        self._match_text = match_text
        self._own_folder = tempfile.TemporaryDirectory() if test_dir is None else None
        self._test_dir = Path(self._own_folder.name) if self._own_folder else test_dir
        self._labelled: dict[str, list[list[str]]] = {}

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections that were opened here, and remove the folder that was made here."""
        for name, connection in self._connections.items():
            if name:
                connection.close()
        if self._own_folder is not None:
            self._own_folder.cleanup()

    def run(self, record: Record) -> list[list[str]] | None:
        """Run a record; its rows as texts, or None if there were none to fetch. Mismatch if anything is wrong."""
        if record.kind == "sleep":
            time.sleep(float(record.sql))
            return None
        if record.kind == "reconnect":
            self._connections[""] = self._another(record)
            return None
        try:
            rows = self.execute(record).fetchall()
        except self._errors as error:
            self._check_error(record, error)
            return None
        if record.kind == "error":
            raise Mismatch(record, f"no error, but {len(rows)} rows")
        if record.kind != "query":
            return None
        got = texts(rows)
        wrong = difference(record, got) if record.has_result or not record.label else ""
        if wrong:
            raise Mismatch(record, wrong)
        if record.label and self._labelled.setdefault(record.label, got) != got:
            raise Mismatch(record, f"rows differ from those of an earlier query labelled {record.label}")
        return got

    def execute(self, record: Record) -> Any:
        """Run the SQL of a record and return the engine's cursor; errors are the engine's."""
        if record.connection not in self._connections:
            self._connections[record.connection] = self._another(record)
        folder = str(self._test_dir)
        sql = record.sql.replace("{TEST_DIR}", folder).replace("__TEST_DIR__", folder)
        return self._connections[record.connection].execute(sql)

    def _another(self, record: Record) -> Any:
        if self._open_another is None:
            raise Mismatch(record, "the engine has no way to open another connection")
        return self._open_another()

    def _check_error(self, record: Record, error: Exception) -> None:
        message = f"{_family(error)}: {error}"
        if record.kind == "maybe":
            return
        if record.kind != "error":
            raise Mismatch(record, message) from error
        wanted = record.expected[0] if record.expected else ""
        if self._match_text and not message_matches(wanted, message):
            raise Mismatch(record, f"another error than {wanted!r}: {message}") from error


def _family(error: Exception) -> str:
    """Class of an error, after the broader one that files may name: BinderError UndefinedColumn."""
    kind = type(error)
    broader = kind.__base__
    if not isinstance(error, GpuqlError) or broader is None or broader.__name__ in _BRANCHES:
        return kind.__name__
    return f"{broader.__name__} {kind.__name__}"


def run_file(path: Path, connection: Any, labels: Collection[str] = (), **options: Any) -> int:
    """Run all records of a file; returns how many there were. Mismatch at the first that fails.

    ``options`` are those of :class:`Runner`.
    """
    records = parse_file(path, labels)
    with Runner(connection, **options) as runner:
        for record in records:
            runner.run(record)
    return len(records)


def run_record(record: Record, connection: Any, **options: Any) -> None:
    """Run one record by itself; ``options`` are those of :class:`Runner`."""
    with Runner(connection, **options) as runner:
        runner.run(record)
