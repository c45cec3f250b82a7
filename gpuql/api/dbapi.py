"""The DB-API 2.0 (PEP 249) cursor."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from gpuql.api.result import Result, Row
from gpuql_planner.errors import InterfaceError

Parameters = Sequence[object] | Mapping[str, object] | None
Description = list[tuple[str, str, None, None, int | None, int | None, bool | None]]


def check_parameters(parameters: object) -> None:
    """Raise InterfaceError unless ``parameters`` is a sequence or a mapping of values, or None."""
    if parameters is None:
        return
    if isinstance(parameters, (str, bytes)) or not isinstance(parameters, Sequence | Mapping):
        raise InterfaceError(
            f"parameters must be a list, tuple or dict: {type(parameters).__name__}",
            hint="put a single value into a list: [value]",
        )


class Cursor:
    """Runs statements and walks through the rows of the last one. Not for use by several threads at once."""

    def __init__(self, run: Callable[[str, Parameters], Result]) -> None:
        self._run: Callable[[str, Parameters], Result] | None = run
        self._result: Result | None = None
        self._rows: Iterator[Row] = iter(())
        self.arraysize = 1

    def execute(self, statements: str, parameters: Parameters = None) -> Cursor:
        """Run all statements of the text; the rows are those of the last one."""
        if self._run is None:
            raise InterfaceError("cursor is closed")
        self._result = None
        self._result = self._run(statements, parameters)
        self._rows = self._result.iter_rows()
        return self

    def executemany(self, statements: str, parameter_sets: Iterable[Parameters]) -> Cursor:
        """Run the text once per set of parameters."""
        if isinstance(parameter_sets, (str, bytes, Mapping)) or not isinstance(parameter_sets, Iterable):
            raise InterfaceError(
                f"executemany needs a sequence of parameter sets: {type(parameter_sets).__name__}"
            )
        for parameters in parameter_sets:
            self.execute(statements, parameters)
        return self

    def begin(self) -> None:
        """Begin a transaction of this cursor. Errors: TransactionError within one."""
        self._change_transaction("BEGIN")

    def commit(self) -> None:
        """End the cursor's transaction. Errors: TransactionError on a conflict, or without one."""
        self._change_transaction("COMMIT")

    def rollback(self) -> None:
        """Undo all that the cursor's transaction did. Errors: TransactionError without one."""
        self._change_transaction("ROLLBACK")

    def _change_transaction(self, statement: str) -> None:
        if self._run is None:
            raise InterfaceError("cursor is closed")
        self._run(statement, None)

    @property
    def result(self) -> Result:
        """All rows of the last statement, whatever was fetched of them."""
        if self._result is None:
            raise InterfaceError("no statement was executed")
        return self._result

    @property
    def description(self) -> Description | None:
        """Per column: name, type, two unused, precision and scale (DECIMAL only), nullable. None before a query."""
        if self._result is None or not self._result.outputs:
            return None
        return [
            (
                name,
                str(attribute.dtype),
                None,
                None,
                attribute.dtype.width if attribute.dtype.is_decimal else None,
                attribute.dtype.scale if attribute.dtype.is_decimal else None,
                None,
            )
            for name, attribute in zip(self._result.names, self._result.outputs, strict=True)
        ]

    @property
    def rowcount(self) -> int:
        """Rows of the last statement, -1 before the first."""
        return -1 if self._result is None else self._result.num_rows

    def fetchone(self) -> Row | None:
        """The next row, or None after the last."""
        self._check_result()
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Row]:
        """The next ``size`` rows (``arraysize`` if not given), fewer at the end."""
        self._check_result()
        wanted = self.arraysize if size is None else size
        if not isinstance(wanted, int) or wanted < 0:
            raise InterfaceError(f"number of rows to fetch must be a whole number, 0 or more: {wanted!r}")
        return list(itertools.islice(self._rows, wanted))

    def fetchall(self) -> list[Row]:
        """All rows not fetched yet."""
        self._check_result()
        return list(self._rows)

    def __iter__(self) -> Iterator[Row]:
        self._check_result()
        return self._rows

    def to_arrow(self) -> Any:
        """All rows as a ``pyarrow.Table``."""
        return self.result.to_arrow()

    def to_arrow_reader(self) -> Any:
        """All rows as a ``pyarrow.RecordBatchReader``, one batch at a time."""
        return self.result.to_arrow_reader()

    def to_pandas(self) -> Any:
        """All rows as a ``pandas.DataFrame``."""
        return self.result.to_pandas()

    def to_polars(self) -> Any:
        """All rows as a ``polars.DataFrame``."""
        return self.result.to_polars()

    def setinputsizes(self, sizes: Sequence[object]) -> None:
        """Accepted and without effect, as PEP 249 allows."""

    def setoutputsize(self, size: int, column: int | None = None) -> None:
        """Accepted and without effect, as PEP 249 allows."""

    def close(self) -> None:
        """Let go of the rows."""
        self._run = None
        self._result = None
        self._rows = iter(())

    def _check_result(self) -> None:
        if self._result is None:
            raise InterfaceError("no statement was executed" if self._run is not None else "cursor is closed")
