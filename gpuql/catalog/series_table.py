"""The rows of ``range`` and ``generate_series`` as a table whose column is computed as it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np

from gpuql.columnar.column import Column
from gpuql.columnar.construct import narrowest_dtype
from gpuql.columnar.read_ahead import TryReserve
from gpuql.thresholds import KEPT_SERIES
from gpuql_planner.catalog import ColumnStatistics, Field
from gpuql_planner.logical.expressions import Expression
from gpuql_planner.types import BIGINT


@lru_cache(maxsize=KEPT_SERIES)
def series_table(name: str, series: range) -> SeriesTable:
    """The table of a series; the same object for the same series, so that plans over it are kept."""
    return SeriesTable(name, series)


class SeriesTable:
    """One BIGINT column, named as the function is, of numbers at equal distances.

    Parameters
    ----------
    name : of the function.
    series : its rows in order, all within 64 bits, at least one.
    """

    def __init__(self, name: str, series: range) -> None:
        self.name = name
        self.fields = (Field(name, BIGINT, nullable=False),)
        self.num_rows = len(series)
        self._series = series
        self._bounds = min(series[0], series[-1]), max(series[0], series[-1])
        self._dtype = narrowest_dtype(*self._bounds, BIGINT) or np.dtype(np.int64)

    def statistics(self, name: str) -> ColumnStatistics:
        """Known without looking."""
        return ColumnStatistics(
            *self._bounds, 0, self.num_rows, unique=True, sorted=self._series.step > 0, average_bytes=8.0
        )

    def read(
        self,
        names: Sequence[str],
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
    ) -> tuple[dict[str, Column], int]:
        """See ``ReadableTable``; the predicates are not used."""
        return self._rows(names, 0, self.num_rows), self.num_rows

    def read_parts(
        self,
        names: Sequence[str],
        predicates: Sequence[Expression] = (),
        attribute_names: Mapping[int, str] | None = None,
        *,
        part_bytes: int,
        try_reserve: TryReserve | None = None,
    ) -> Iterator[tuple[dict[str, Column], int]]:
        """See ``ReadableTable``; nothing is read ahead."""
        rows = max(1, part_bytes // self._dtype.itemsize)
        for start in range(0, self.num_rows, rows):
            stop = min(start + rows, self.num_rows)
            yield self._rows(names, start, stop), stop - start

    def estimated_bytes(self, names: Sequence[str]) -> int:
        """See ``ReadableTable``."""
        return self.num_rows * self._dtype.itemsize if names else 0

    def _rows(self, names: Sequence[str], start: int, stop: int) -> dict[str, Column]:
        if not names:
            return {}
        part = self._series[start:stop]
        # The end of a part may lie beyond 64 bits where its last number does not.
        values = np.arange(len(part), dtype=np.int64)
        values *= part.step
        values += part.start
        return {self.name: Column(BIGINT, values.astype(self._dtype, copy=False), bounds=self._bounds)}
