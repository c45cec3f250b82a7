"""Accumulators that count, add up and fold: count, sum, avg, the variances, product and the bit aggregates."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql.columnar.column import NATURAL_DTYPE, Array, Column
from gpuql.expressions.cast import exact_to_float
from gpuql.expressions.vectors import as_wide, from_wide, is_wide, measured_bounds
from gpuql.operators.accumulators.rows import (
    Rows,
    present,
    without_nulls,
)
from gpuql.operators.contract import RunContext
from gpuql_kernels.int128 import words
from gpuql_planner.errors import ArithmeticOverflowError
from gpuql_planner.types import BIGINT, DOUBLE, HUGEINT, DataType, TypeId, decimal


class Count:
    """count(*) and count(x)."""

    def __init__(self, dtype: DataType, *, skips_nulls: bool) -> None:
        self._dtype = dtype
        self.skips_nulls = skips_nulls

    def partial(self, rows: Rows, context: RunContext) -> list[Column]:
        """Rows of each group."""
        if rows.groups is not None:
            counts = rows.groups.counts(context)
        else:
            counts = context.kernels.group_by.count(rows.ids, rows.num_groups)
        return [Column(BIGINT, counts, None, None, (0, len(rows.ids)))]

    def merge(self, rows: Rows, context: RunContext) -> list[Column]:
        """Sum of counts."""
        counts = rows.columns[0].values.astype(context.xp.int64)
        return [Column(BIGINT, context.kernels.group_by.sum_int64(counts, rows.ids, rows.num_groups))]

    def finish(self, parts: list[Column], context: RunContext) -> Column:
        """The count."""
        return Column(self._dtype, parts[0].values, None, None, parts[0].bounds)


def sum_exact(column: Column, rows: Rows, dtype: DataType, context: RunContext) -> Column:
    """Exact sum of integers or scaled decimals, NULL for groups without rows."""
    xp = context.xp
    kernel = context.kernels.group_by
    validity = present(rows, context)
    values = column.values.view(np.int8) if column.values.dtype == bool else column.values
    known = (0, 1) if column.values.dtype == bool else column.bounds
    count = len(rows.ids)
    if known is None or max(abs(known[0]), abs(known[1])) * count >= 2**63:
        known = measured_bounds(xp, Column(column.dtype, values))
    low, high = min(known[0], 0) * count, max(known[1], 0) * count
    if not is_wide(column) and low > -(2**63) and high < 2**63:
        return Column(dtype, kernel.sum_int64(values, rows.ids, rows.num_groups), validity, None, (low, high))
    wide = as_wide(xp, column) if is_wide(column) else values
    if low <= -(2**127) or high >= 2**127:
        _refuse_overflow(xp, as_wide(xp, column), rows, dtype, context)
    total = kernel.sum_words(wide, rows.ids, rows.num_groups)
    return from_wide(xp, dtype, total, validity, (max(low, -(2**127)), min(high, 2**127 - 1)))


def _refuse_overflow(xp: Any, wide: Array, rows: Rows, dtype: DataType, context: RunContext) -> None:
    """Raise if a sum leaves 128 bits. The doubles decide: a sum that near the limit is refused too."""
    size = context.kernels.group_by.sum_float64(words.to_float64(xp, wide), rows.ids, rows.num_groups)
    if bool((xp.abs(size) >= 1.7e38).any()):
        raise ArithmeticOverflowError(f"overflow in sum of {dtype}")


class Sum:
    """sum(x): exact for integers and decimals, DOUBLE for floats."""

    skips_nulls = True

    def __init__(self, dtype: DataType) -> None:
        self._dtype = dtype

    def partial(self, rows: Rows, context: RunContext) -> list[Column]:
        """Sum of each group."""
        (column,) = rows.columns
        if self._dtype.is_float:
            values = exact_to_float(context.xp, column) if not column.dtype.is_float else column.values
            total = context.kernels.group_by.sum_float64(values, rows.ids, rows.num_groups)
            return [Column(self._dtype, total, present(rows, context))]
        return [sum_exact(column, rows, self._dtype, context)]

    def merge(self, rows: Rows, context: RunContext) -> list[Column]:
        """Sum of sums."""
        return self.partial(without_nulls(rows, context), context)

    def finish(self, parts: list[Column], context: RunContext) -> Column:
        """The sum, checked against its type."""
        (total,) = parts
        limits = self._dtype.limits
        if limits is not None and total.bounds is not None and total.values.ndim == 2:
            low, high = measured_bounds(context.xp, total)
            if low < limits[0] or high > limits[1]:
                raise ArithmeticOverflowError(f"overflow in sum of {self._dtype}")
        return total


class Average:
    """avg(x): the exact sum divided once; DOUBLE, or TIMESTAMP for dates and timestamps."""

    skips_nulls = True

    def __init__(self, dtype: DataType, argument: DataType) -> None:
        self._dtype = dtype
        self._argument = argument
        if argument.is_float:
            self.sum_type = DOUBLE
        elif argument.is_decimal:
            self.sum_type = decimal(38, argument.scale)
        else:
            self.sum_type = HUGEINT
        self._sum = Sum(self.sum_type)
        self._count = Count(BIGINT, skips_nulls=True)

    def partial(self, rows: Rows, context: RunContext) -> list[Column]:
        """Sum and count."""
        return [*self._sum.partial(rows, context), *self._count.partial(rows, context)]

    def merge(self, rows: Rows, context: RunContext) -> list[Column]:
        """Sums of both."""
        sums = Rows(rows.ids, rows.num_groups, rows.columns[:1], rows.order, rows.groups)
        counts = Rows(rows.ids, rows.num_groups, rows.columns[1:], rows.order, rows.groups)
        return [*self._sum.merge(sums, context), *self._count.merge(counts, context)]

    def finish(self, parts: list[Column], context: RunContext) -> Column:
        """The quotient."""
        xp = context.xp
        total, count = parts
        some = xp.maximum(count.values, 1)
        if self._dtype.id in (TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ, TypeId.TIME):
            wide = as_wide(xp, total)
            if self._argument.id is TypeId.DATE:
                wide, _ = words.multiply(xp, wide, words.from_python(xp, [86_400_000_000]))
            quotient, rest = words.divide(xp, wide, words.from_int64(xp, some))
            if self._dtype.id is TypeId.TIME:
                return Column(self._dtype, quotient[:, 0].copy(), total.validity)
            # To the nearest microsecond, half to even. The remainder is smaller than the count, so one word holds it.
            nearest, twice = quotient[:, 0].copy(), 2 * rest[:, 0]
            nearest += (twice > some) | ((twice == some) & (nearest & 1 == 1))
            nearest -= (twice < -some) | ((twice == -some) & (nearest & 1 == 1))
            return Column(self._dtype, nearest, total.validity)
        values = total.values if total.dtype.is_float else exact_to_float(xp, total)
        return Column(self._dtype, (values / some).astype(NATURAL_DTYPE[self._dtype.id]), total.validity)


class Variance:
    """var_samp, var_pop, stddev_samp, stddev_pop, and sem: the standard error of the mean.

    Count, mean and sum of squared deviations are merged as in Chan, Golub and LeVeque, "Updating formulae and a
    pairwise algorithm for computing sample variances" (1979), which does not cancel.
    """

    skips_nulls = True

    def __init__(self, dtype: DataType, function: str) -> None:
        self._dtype = dtype
        self._sample = function.endswith("samp")
        self._root = function.startswith("stddev") or function == "sem"
        self._of_mean = function == "sem"

    def partial(self, rows: Rows, context: RunContext) -> list[Column]:
        """Count, mean and sum of squared deviations in two passes."""
        xp = context.xp
        kernel = context.kernels.group_by
        (column,) = rows.columns
        values = exact_to_float(xp, column) if not column.dtype.is_float else column.values.astype(xp.float64)
        count = kernel.count(rows.ids, rows.num_groups)
        mean = kernel.sum_float64(values, rows.ids, rows.num_groups) / xp.maximum(count, 1)
        deviation = values - mean[rows.ids]
        squares = kernel.sum_float64(deviation * deviation, rows.ids, rows.num_groups)
        return [Column(BIGINT, count), Column(DOUBLE, mean), Column(DOUBLE, squares)]

    def merge(self, rows: Rows, context: RunContext) -> list[Column]:
        """Add counts, weigh means, and add what the means deviate."""
        xp = context.xp
        kernel = context.kernels.group_by
        count, mean, squares = (column.values for column in rows.columns)
        total = kernel.sum_int64(count, rows.ids, rows.num_groups)
        centre = kernel.sum_float64(mean * count, rows.ids, rows.num_groups) / xp.maximum(total, 1)
        deviation = mean - centre[rows.ids]
        spread = kernel.sum_float64(squares + deviation * deviation * count, rows.ids, rows.num_groups)
        return [Column(BIGINT, total), Column(DOUBLE, centre), Column(DOUBLE, spread)]

    def finish(self, parts: list[Column], context: RunContext) -> Column:
        """Divide by n or n - 1; NULL if that is not positive."""
        xp = context.xp
        count, _, squares = (column.values for column in parts)
        divisor = count - 1 if self._sample else count
        enough = divisor > 0
        values = squares / xp.where(enough, divisor, 1)
        if self._root:
            values = xp.sqrt(values)
        if self._of_mean:
            values = values / xp.sqrt(xp.where(enough, divisor, 1))
        return Column(self._dtype, values, None if bool(enough.all()) else enough)


class Fold:
    """product, bit_and, bit_or, bit_xor."""

    skips_nulls = True

    def __init__(self, dtype: DataType, function: str) -> None:
        self._dtype = dtype
        self._function = function

    def partial(self, rows: Rows, context: RunContext) -> list[Column]:
        """The fold of each group."""
        xp = context.xp
        (column,) = rows.columns
        kernel = context.kernels.group_by
        validity = present(rows, context)
        if self._function == "product":
            values = column.values if column.dtype.is_float else exact_to_float(xp, column)
            return [Column(DOUBLE, kernel.combine("product", values, rows.ids, rows.num_groups), validity)]
        if is_wide(column):
            wide = as_wide(xp, column)
            parts = [
                kernel.combine(self._function, xp.ascontiguousarray(wide[:, word]), rows.ids, rows.num_groups)
                for word in range(2)
            ]
            return [from_wide(xp, self._dtype, xp.stack(parts, axis=-1), validity, None)]
        values = kernel.combine(self._function, column.values, rows.ids, rows.num_groups)
        if validity is not None:
            # The neutral element of an empty group may be outside an unsigned type.
            values = xp.where(validity, values, 0)
        return [Column(self._dtype, values, validity)]

    def merge(self, rows: Rows, context: RunContext) -> list[Column]:
        """The fold of folds."""
        return self.partial(without_nulls(rows, context), context)

    def finish(self, parts: list[Column], context: RunContext) -> Column:
        """The value."""
        return parts[0]
