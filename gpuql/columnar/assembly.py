"""A column put together from parts that several threads make in any order."""

from __future__ import annotations

import threading

import numpy as np

from gpuql.columnar.column import NATURAL_DTYPE, Array, Column
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.construct import narrowest_dtype, null_column
from gpuql_planner.types import DataType, TypeId

#: Types whose values are not integers of a width that follows from their range.
_OF_FIXED_WIDTH = (TypeId.BOOLEAN, TypeId.REAL, TypeId.DOUBLE)


class ColumnAssembly:
    """Rows of one column that is no string, filled in part by part. Thread-safe.

    Parameters
    ----------
    dtype : of all parts.
    num_rows : rows of all parts together.
    bounds : range that is believed to hold all values; parts that fit its width are copied straight to their place.
    widen : keep ``bounds`` as bounds of the result even if the values span less, so that columns of one source have
        one form.
    """

    def __init__(
        self, dtype: DataType, num_rows: int, bounds: tuple[int, int] | None, *, widen: bool = False
    ) -> None:
        self._dtype = dtype
        self._num_rows = num_rows
        self._expected = bounds
        self._widen = widen
        self._lock = threading.Lock()
        self._values: Array | None = None
        self._validity: Array | None = None
        self._low: int | None = None
        self._high: int | None = None
        self._others: dict[int, Column] = {}
        self._placed: list[tuple[int, int]] = []
        if dtype.id in _OF_FIXED_WIDTH:
            self._values = np.empty(num_rows, NATURAL_DTYPE[dtype.id])
        elif bounds is not None:
            target = narrowest_dtype(*bounds, dtype)
            self._values = None if target is None else np.empty(num_rows, target)

    def put(self, start: int, part: Column) -> None:
        """Rows from ``start`` on; parts do not overlap and leave no row out."""
        if not len(part):
            return
        values = part.values
        if self._values is None or values.ndim != 1 or not self._fits(part):
            with self._lock:
                self._others[start] = part
            return
        stop = start + len(part)
        np.copyto(self._values[start:stop], values, casting="unsafe")
        with self._lock:
            self._placed.append((start, stop))
            some = part.validity is None or bool(part.validity.any())
            if part.bounds is not None and some:
                low, high = part.bounds
                self._low = low if self._low is None else min(self._low, low)
                self._high = high if self._high is None else max(self._high, high)
            if part.validity is not None:
                if self._validity is None:
                    self._validity = np.ones(self._num_rows, np.bool_)
                self._validity[start:stop] = part.validity

    def _fits(self, part: Column) -> bool:
        assert self._values is not None, "the caller checked"
        if self._dtype.id in _OF_FIXED_WIDTH:
            return True
        if part.bounds is None or part.values.dtype == np.uint64:
            return False
        limits = np.iinfo(self._values.dtype)
        return bool(limits.min <= part.bounds[0] and part.bounds[1] <= limits.max)

    def finish(self) -> Column:
        """The column, once all parts are there."""
        if self._num_rows == 0:
            return null_column(self._dtype, 0)
        if self._validity is not None and not self._validity.any() and not self._others:
            return null_column(self._dtype, self._num_rows)
        bounds = None if self._low is None or self._high is None else (self._low, self._high)
        if bounds is not None and self._validity is not None and self._values is not None:
            self._values[~self._validity] = bounds[0]
        if bounds is not None and self._widen and self._expected is not None:
            bounds = min(bounds[0], self._expected[0]), max(bounds[1], self._expected[1])
        if not self._others:
            assert self._values is not None, "parts were placed"
            return Column(self._dtype, self._values, self._validity, None, bounds)
        parts = dict(self._others)
        for start, stop in self._placed:
            assert self._values is not None, "parts were placed"
            validity = None if self._validity is None else self._validity[start:stop]
            parts[start] = Column(self._dtype, self._values[start:stop], validity, None, bounds)
        return concat_columns([parts[start] for start in sorted(parts)])
