"""Columns as operands: constants of one row, broadcasting, validity, widths."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gpuql.columnar.column import NATURAL_DTYPE, Array, Column, StringArray
from gpuql_kernels.int128 import words
from gpuql_planner.errors import InternalError
from gpuql_planner.logical.expressions import AggregateCall
from gpuql_planner.types import DataType, TypeId

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
Bounds = tuple[int, int] | None


class EvaluationContext(Protocol):
    """What evaluation needs of the operators' ``RunContext``."""

    @property
    def xp(self) -> Any:
        """The array module."""

    @property
    def kernels(self) -> Any:
        """The device's kernel families, as ``gpuql_kernels.families.KernelFamilies``."""

    def aggregate(
        self, call: AggregateCall, columns: Sequence[Column], ids: Array, num_groups: int
    ) -> Column:
        """The value of an aggregate call for each group of rows, whose evaluated arguments are ``columns``."""

    def working(self, num_bytes: int, owner: str) -> AbstractContextManager[object]:
        """Host bytes that a step of ``owner`` takes while it runs. Errors: OutOfMemoryError."""

    @property
    def work_bytes(self) -> int:
        """Host bytes that a step may take at once; what needs more goes in several steps."""


@dataclass(frozen=True, slots=True)
class Scalars:
    """Context of the host: NumPy arrays, for work on small host data."""

    xp: Any
    kernels: Any

    def aggregate(
        self, call: AggregateCall, columns: Sequence[Column], ids: Array, num_groups: int
    ) -> Column:
        """See ``EvaluationContext``: nothing here aggregates."""
        raise InternalError(f"aggregate function outside of a query: {call.function}")

    def working(self, num_bytes: int, owner: str) -> AbstractContextManager[object]:
        """See ``EvaluationContext``: small data counts nothing."""
        return nullcontext()

    @property
    def work_bytes(self) -> int:
        """See ``EvaluationContext``."""
        return sys.maxsize


def is_constant(column: Column) -> bool:
    """One row, which stands for any number of equal rows."""
    return len(column.values) == 1


def is_null_constant(column: Column) -> bool:
    """A constant that is NULL."""
    return len(column.values) == 1 and column.validity is not None and not bool(column.validity[0])


def null_constant(xp: Any, dtype: DataType) -> Column:
    """One NULL row of ``dtype``."""
    shape: tuple[int, ...] = (1, 3) if dtype.id is TypeId.INTERVAL else (1,)
    strings = None
    if dtype.is_bytes:
        strings = StringArray(xp.zeros(2, xp.int64), xp.zeros(0, xp.uint8), unique=True, sorted=True)
    values = xp.zeros(shape, NATURAL_DTYPE[dtype.id])
    return Column(dtype, values, xp.zeros(1, bool), strings, (0, 0) if dtype.limits is not None else None)


def boolean_constant(xp: Any, value: bool, dtype: DataType) -> Column:  # noqa: FBT001
    """One BOOLEAN row."""
    return Column(dtype, xp.full(1, value, bool))


def expand(xp: Any, column: Column, num_rows: int) -> Column:
    """The column with ``num_rows`` rows, constants repeated."""
    if len(column.values) == num_rows:
        return column
    shape = (num_rows, *column.values.shape[1:])
    values = xp.ascontiguousarray(xp.broadcast_to(column.values, shape))
    validity = None
    if column.validity is not None and not (num_rows == 0 or bool(column.validity[0])):
        validity = xp.zeros(num_rows, bool)
    return Column(column.dtype, values, validity, column.strings, column.bounds)


def joint_validity(*columns: Column) -> Array | None:
    """Mask of rows where no column is NULL, or None. One row long if only constants are nullable."""
    validity = None
    for column in columns:
        if column.validity is not None:
            validity = column.validity if validity is None else validity & column.validity
    return validity


def make_column(
    xp: Any, dtype: DataType, values: Array, validity: Array | None, bounds: Bounds = None
) -> Column:
    """A fixed-width column; a validity of one row is broadcast to the values' length."""
    return Column(dtype, values, match_length(xp, validity, len(values)), None, bounds)


def match_length(xp: Any, validity: Array | None, num_rows: int) -> Array | None:
    """Validity of exactly ``num_rows`` rows."""
    if validity is None or len(validity) == num_rows:
        return validity
    return xp.ascontiguousarray(xp.broadcast_to(validity, (num_rows,)))


def is_wide(column: Column) -> bool:
    """Exact values that take two words or a uint64, which plain int64 arithmetic cannot read."""
    return bool(column.values.ndim == 2 or column.values.dtype == np.uint64)


def as_wide(xp: Any, column: Column) -> Array:
    """Exact values as 128-bit words, shape (n, 2)."""
    return column.values if column.values.ndim == 2 else words.from_int64(xp, column.values)


def from_wide(xp: Any, dtype: DataType, wide: Array, validity: Array | None, bounds: Bounds) -> Column:
    """An exact column of 128-bit words, stored in one word if ``bounds`` or the values allow it."""
    if bounds is not None and bounds[0] >= INT64_MIN and bounds[1] <= INT64_MAX:
        return make_column(xp, dtype, wide[:, 0].copy(), validity, bounds)
    if validity is not None:
        # Garbage in NULL rows must not force two words on the others.
        wide = xp.where(xp.broadcast_to(validity, (len(wide),))[:, None], wide, xp.int64(0))
    if bool(words.fits_int64(wide).all()):
        narrow = wide[:, 0].copy()
        # Wider bounds than one word holds would be arithmetic with more than one word for whoever uses them.
        held = bounds and (max(bounds[0], INT64_MIN), min(bounds[1], INT64_MAX))
        return make_column(xp, dtype, narrow, validity, held if held and held[0] <= held[1] else None)
    if dtype.id is TypeId.UBIGINT:
        return make_column(xp, dtype, wide[:, 0].copy().view(np.uint64), validity, bounds)
    return make_column(xp, dtype, wide, validity, bounds)


def declared_bounds(column: Column) -> tuple[int, int]:
    """Range known without reading values: the column's bounds, else what its storage and type allow."""
    if column.bounds is not None:
        return column.bounds
    if column.values.dtype == bool:
        return 0, 1
    limits = column.dtype.limits
    if column.values.ndim == 1:
        info = np.iinfo(column.values.dtype)
        stored = int(info.min), int(info.max)
        return stored if limits is None else (max(stored[0], limits[0]), min(stored[1], limits[1]))
    return limits if limits is not None else (-(2**127), 2**127 - 1)


def measured_bounds(xp: Any, column: Column) -> tuple[int, int]:
    """Exact range of the non-NULL values, found by reading them; (0, 0) if there are none."""
    values = column.values
    if column.validity is not None:
        values = values[column.validity]
    if len(values) == 0:
        return 0, 0
    if values.ndim == 2:
        return words.minimum_maximum(xp, values)
    return int(values.min()), int(values.max())


def constant_integer(column: Column) -> int | None:
    """The stored integer of an exact, non-NULL constant; None for anything else."""
    if len(column.values) != 1 or (column.validity is not None and not bool(column.validity[0])):
        return None
    if column.bounds is not None and column.bounds[0] == column.bounds[1]:
        return column.bounds[0]
    if column.values.ndim == 2:
        return words.to_python(column.values)[0]
    if column.values.dtype.kind in "iub":
        return int(column.values[0])
    return None


def integer_dtype(low: int, high: int) -> type:
    """int32 or int64, whichever is the narrowest word for arithmetic over the range."""
    return np.int32 if low >= -(2**31) and high < 2**31 else np.int64
