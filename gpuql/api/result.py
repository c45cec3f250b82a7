"""The rows of a finished query, and the ways out of it."""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.memory.row_store import RowStore
from gpuql.thresholds import FIRST_PYTHON_ROWS, MOST_PYTHON_ROWS
from gpuql_planner.errors import InterfaceError, ProgrammingError
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.types import DataType

Row = tuple[Any, ...]


def distinct_names(names: Sequence[str]) -> list[str]:
    """Names of which none repeats: later ones get ``_1``, ``_2`` and so on, as DuckDB does it."""
    seen: set[str] = set()
    distinct = []
    for name in names:
        candidate, number = name, 0
        while candidate in seen:
            number += 1
            candidate = f"{name}_{number}"
        seen.add(candidate)
        distinct.append(candidate)
    return distinct


@dataclass(frozen=True, eq=False)
class Result:
    """All rows of a query, in its order.

    Rows that memory had no room for are in files, and read from there each time they are asked for; :meth:`close` (or
    the end of a ``with`` block, or of the last reference) lets go of them.

    Attributes
    ----------
    outputs : one attribute per column.
    names : column names, which may repeat as in ``SELECT 1 AS a, 2 AS a``.
    batches : the rows, keyed by attribute.
    metrics : what the executor measured, or None for results that no pipeline made.
    time_zone : where TIMESTAMP WITH TIME ZONE is shown: the zone of the session.
    """

    outputs: tuple[Attribute, ...]
    names: tuple[str, ...]
    batches: Sequence[Batch] | RowStore
    metrics: Any = field(default=None, repr=False)
    time_zone: str = field(default="UTC", repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.batches, RowStore):
            weakref.finalize(self, self.batches.close).atexit = False

    def close(self) -> None:
        """Let go of rows in files; those in memory go with the result. Twice does no harm."""
        if isinstance(self.batches, RowStore):
            self.batches.close()

    def __enter__(self) -> Result:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def columns(self) -> list[str]:
        """Column names."""
        return list(self.names)

    @property
    def dtypes(self) -> list[DataType]:
        """SQL type of each column."""
        return [attribute.dtype for attribute in self.outputs]

    @property
    def schema(self) -> dict[str, DataType]:
        """SQL type by column name; repeated names get a number."""
        return dict(zip(distinct_names(self.names), self.dtypes, strict=True))

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        if isinstance(self.batches, RowStore):
            return self.batches.num_rows
        return sum(batch.num_rows for batch in self.batches)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.num_rows, len(self.outputs)

    def __len__(self) -> int:
        return self.num_rows

    def __iter__(self) -> Iterator[Row]:
        return self.iter_rows()

    def iter_rows(self) -> Iterator[Row]:
        """Rows as tuples of Python values: int, float, Decimal, str, bytes, date, time, datetime, Interval, None.

        Of TIMESTAMP WITH TIME ZONE they are datetimes in the session's time zone.
        """
        from gpuql.columnar.construct import column_to_python

        size = FIRST_PYTHON_ROWS
        for batch in self.iter_batches():
            start = 0
            while start < batch.num_rows:
                whole = start == 0 and batch.num_rows <= size
                part = batch if whole else batch.slice(start, start + size)
                if self.outputs:
                    yield from zip(
                        *(column_to_python(part[a], self.time_zone) for a in self.outputs), strict=True
                    )
                else:
                    yield from (() for _ in range(part.num_rows))
                start += size
                size = min(2 * size, MOST_PYTHON_ROWS)

    def iter_batches(self) -> Iterator[Batch]:
        """The batches, those in files one at a time. Errors: InterfaceError if the result is closed."""
        if isinstance(self.batches, RowStore) and self.batches.is_closed:
            raise InterfaceError("result is closed", hint="read its rows before closing it or its connection")
        yield from self.batches

    def fetchall(self) -> list[Row]:
        """All rows as tuples."""
        return list(self.iter_rows())

    def fetchone(self) -> Row | None:
        """The first row, or None if there is none. Call it on a Connection to walk through rows one by one."""
        return next(self.iter_rows(), None)

    def item(self) -> Any:
        """The only value of a result of one row and one column."""
        if self.shape != (1, 1):
            raise ProgrammingError(f"item() needs one row and one column: got {self.shape}")
        return self.fetchall()[0][0]

    def to_dicts(self) -> list[dict[str, Any]]:
        """Rows as dictionaries."""
        return list(self.iter_dicts())

    def iter_dicts(self) -> Iterator[dict[str, Any]]:
        """Rows as dictionaries, one by one."""
        names = distinct_names(self.names)
        return (dict(zip(names, row, strict=True)) for row in self.iter_rows())

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table`` with exact types."""
        from gpuql.columnar.arrow import table_to_arrow

        return table_to_arrow(self.whole_columns(), self.names, self.num_rows, self.time_zone)

    def to_arrow_reader(self) -> Any:
        """A ``pyarrow.RecordBatchReader``, which reads rows in files as it goes; all batches have one schema."""
        from gpuql.columnar.arrow import record_batch_reader

        batches = (([batch[a] for a in self.outputs], batch.num_rows) for batch in self.iter_batches())
        return record_batch_reader(self.names, self.dtypes, batches, self.time_zone)

    def to_pandas(self) -> Any:
        """A ``pandas.DataFrame``; needs pandas."""
        require("pandas")
        return self.to_arrow().rename_columns(distinct_names(self.names)).to_pandas()

    def to_polars(self) -> Any:
        """A ``polars.DataFrame``; needs polars."""
        polars = require("polars")
        return polars.from_arrow(self.to_arrow().rename_columns(distinct_names(self.names)))

    def to_numpy(self) -> dict[str, Any]:
        """NumPy array by column name. NULL becomes NaN in floats and makes other columns object arrays."""
        table = self.to_arrow().rename_columns(distinct_names(self.names))
        return {name: table.column(name).to_numpy() for name in table.column_names}

    def whole_columns(self) -> list[Column]:
        """Each column over all batches."""
        from gpuql.columnar.concat import concat_batches
        from gpuql.columnar.construct import null_column

        batches = [batch.select(self.outputs) for batch in self.iter_batches()]
        if not batches:
            return [null_column(attribute.dtype, 0) for attribute in self.outputs]
        whole = concat_batches(batches)
        return [whole[attribute] for attribute in self.outputs]

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Arrow PyCapsule stream, so that pyarrow, polars, pandas and DuckDB take a Result as it is."""
        source = self.to_arrow_reader() if isinstance(self.batches, RowStore) else self.to_arrow()
        return source.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        from gpuql.api.table_text import format_result

        return format_result(self)


def require(package: str) -> Any:
    """Import an optional package; ImportError says how to get it."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise ImportError(f"{package} is needed for this conversion: pip install {package}") from None
