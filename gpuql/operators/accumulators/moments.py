"""Aggregates of moments: correlation and regression of two columns, skewness, kurtosis, compensated sums.

Central moments are merged as in Pébay, "Formulas for robust, one-pass parallel computation of covariances and
arbitrary-order statistical moments" (2008), so nothing cancels that need not.
"""

from __future__ import annotations

from typing import Any

from gpuql.columnar.column import Array, Column
from gpuql.expressions.cast import exact_to_float
from gpuql.operators.accumulators.rows import Rows, without_nulls
from gpuql.operators.contract import RunContext
from gpuql_planner.errors import OutOfRangeError
from gpuql_planner.types import BIGINT, DOUBLE, DataType

#: Partial columns of each function.
MOMENT_PARTS = {
    **dict.fromkeys(
        [
            "corr",
            "covar_pop",
            "covar_samp",
            "regr_avgx",
            "regr_avgy",
            "regr_count",
            "regr_intercept",
            "regr_r2",
            "regr_slope",
            "regr_sxx",
            "regr_sxy",
            "regr_syy",
        ],
        6,
    ),
    **dict.fromkeys(["skewness", "kurtosis", "kurtosis_pop"], 5),
    "sem": 3,
    "fsum": 2,
    "favg": 2,
}


def _doubles(xp: Any, column: Column) -> Array:
    if column.dtype.is_float:
        return column.values.astype(xp.float64)
    return exact_to_float(xp, column)


def _columns(count: Array, values: list[Array]) -> list[Column]:
    return [Column(BIGINT, count), *(Column(DOUBLE, value) for value in values)]


class Comoments:
    """Functions of pairs ``(y, x)``: rows where both are known."""

    skips_nulls = True

    def __init__(self, dtype: DataType, function: str) -> None:
        self._dtype = dtype
        self._function = function

    def partial(self, rows: Rows, context: RunContext) -> list[Column]:
        """Count, means of x and y, sums of squares and products of deviations."""
        xp = context.xp
        kernel = context.kernels.group_by
        ids, groups = rows.ids, rows.num_groups
        y, x = (_doubles(xp, column) for column in rows.columns)
        count = kernel.count(ids, groups)
        some = xp.maximum(count, 1)
        mean_x = kernel.sum_float64(x, ids, groups) / some
        mean_y = kernel.sum_float64(y, ids, groups) / some
        dx, dy = x - mean_x[ids], y - mean_y[ids]
        sums = [kernel.sum_float64(product, ids, groups) for product in (dx * dx, dy * dy, dx * dy)]
        return _columns(count, [mean_x, mean_y, *sums])

    def merge(self, rows: Rows, context: RunContext) -> list[Column]:
        """Sums of deviations, and what the means of the parts deviate from the common mean."""
        xp = context.xp
        kernel = context.kernels.group_by
        ids, groups = rows.ids, rows.num_groups
        count, mean_x, mean_y, xx, yy, xy = (column.values for column in rows.columns)
        total = kernel.sum_int64(count, ids, groups)
        some = xp.maximum(total, 1)
        centre_x = kernel.sum_float64(mean_x * count, ids, groups) / some
        centre_y = kernel.sum_float64(mean_y * count, ids, groups) / some
        dx, dy = mean_x - centre_x[ids], mean_y - centre_y[ids]
        sums = [
            kernel.sum_float64(part + deviation * count, ids, groups)
            for part, deviation in ((xx, dx * dx), (yy, dy * dy), (xy, dx * dy))
        ]
        return _columns(total, [centre_x, centre_y, *sums])

    def finish(self, parts: list[Column], context: RunContext) -> Column:
        """The function; NULL without rows, or where it is not defined."""
        xp = context.xp
        count, mean_x, mean_y, xx, yy, xy = (column.values for column in parts)
        some = xp.maximum(count, 1)
        known = count > 0
        nan = xp.full(len(count), xp.nan)
        match self._function:
            case "regr_count":
                return Column(self._dtype, count, None, None, parts[0].bounds)
            case "covar_pop":
                values = xy / some
            case "covar_samp":
                known = count > 1
                values = xy / xp.maximum(count - 1, 1)
            case "corr":
                spread = xp.sqrt(xx) * xp.sqrt(yy)
                values = xp.where(spread == 0, nan, xy / xp.where(spread == 0, 1.0, spread))
            case "regr_avgx":
                values = mean_x
            case "regr_avgy":
                values = mean_y
            case "regr_sxx":
                values = xx
            case "regr_syy":
                values = yy
            case "regr_sxy":
                values = xy
            case "regr_slope":
                values = xp.where(xx == 0, nan, xy / xp.where(xx == 0, 1.0, xx))
            case "regr_intercept":
                known = known & (xx != 0)
                values = mean_y - xy / xp.where(xx == 0, 1.0, xx) * mean_x
            case _:  # regr_r2
                known = known & (xx != 0)
                spread = xx * yy
                values = xp.where(yy == 0, 1.0, xy * xy / xp.where(spread == 0, 1.0, spread))
        return Column(self._dtype, values, None if bool(known.all()) else known)


class HigherMoments:
    """skewness, kurtosis (both corrected for small samples) and kurtosis_pop."""

    skips_nulls = True

    def __init__(self, dtype: DataType, function: str) -> None:
        self._dtype = dtype
        self._function = function

    def partial(self, rows: Rows, context: RunContext) -> list[Column]:
        """Count, mean, and sums of the second, third and fourth powers of deviations."""
        xp = context.xp
        kernel = context.kernels.group_by
        ids, groups = rows.ids, rows.num_groups
        values = _doubles(xp, rows.columns[0])
        count = kernel.count(ids, groups)
        mean = kernel.sum_float64(values, ids, groups) / xp.maximum(count, 1)
        deviation = values - mean[ids]
        square = deviation * deviation
        sums = [
            kernel.sum_float64(power, ids, groups) for power in (square, square * deviation, square * square)
        ]
        return _columns(count, [mean, *sums])

    def merge(self, rows: Rows, context: RunContext) -> list[Column]:
        """Sums about the common mean, by the binomial theorem."""
        xp = context.xp
        kernel = context.kernels.group_by
        ids, groups = rows.ids, rows.num_groups
        count, mean, second, third, fourth = (column.values for column in rows.columns)
        total = kernel.sum_int64(count, ids, groups)
        centre = kernel.sum_float64(mean * count, ids, groups) / xp.maximum(total, 1)
        d = mean - centre[ids]
        square = d * d
        sums = [
            kernel.sum_float64(part, ids, groups)
            for part in (
                second + count * square,
                third + 3 * d * second + count * square * d,
                fourth + 4 * d * third + 6 * square * second + count * square * square,
            )
        ]
        return _columns(total, [centre, *sums])

    def finish(self, parts: list[Column], context: RunContext) -> Column:
        """The coefficient; NULL with too few rows or no spread. OutOfRangeError if it is not finite."""
        xp = context.xp
        count, _, second, third, fourth = (column.values for column in parts)
        n = count.astype(xp.float64)
        least = {"skewness": 3, "kurtosis": 4, "kurtosis_pop": 2}[self._function]
        known = (count >= least) & (second != 0)
        variance = xp.where(known, second / xp.maximum(n, 1.0), 1.0)
        n = xp.where(known, n, 4.0)
        if self._function == "skewness":
            values = third / n / variance**1.5 * xp.sqrt(n * (n - 1)) / (n - 2)
        elif self._function == "kurtosis_pop":
            values = fourth / n / variance**2 - 3
        else:
            excess = fourth / n / variance**2 - 3
            values = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * excess + 6)
        if bool((known & ~xp.isfinite(values)).any()):
            raise OutOfRangeError(f"{self._function} is out of range")
        return Column(self._dtype, values, None if bool(known.all()) else known)


class CompensatedSum:
    """fsum and favg: sums of doubles without most of the rounding.

    A second pass adds what each value deviates from the mean, which is what the first pass rounded away.
    """

    skips_nulls = True

    def __init__(self, dtype: DataType, function: str) -> None:
        self._dtype = dtype
        self._average = function == "favg"

    def partial(self, rows: Rows, context: RunContext) -> list[Column]:
        """Count and sum."""
        xp = context.xp
        count = context.kernels.group_by.count(rows.ids, rows.num_groups)
        return _columns(count, [self._sum(_doubles(xp, rows.columns[0]), count, rows, context)])

    def _sum(self, values: Array, count: Array, rows: Rows, context: RunContext) -> Array:
        xp = context.xp
        kernel = context.kernels.group_by
        plain = kernel.sum_float64(values, rows.ids, rows.num_groups)
        mean = plain / xp.maximum(count, 1)
        rest = kernel.sum_float64(values - mean[rows.ids], rows.ids, rows.num_groups)
        exact = mean * count + rest
        return xp.where(xp.isfinite(exact), exact, plain)

    def merge(self, rows: Rows, context: RunContext) -> list[Column]:
        """Sums of both."""
        kernel = context.kernels.group_by
        count, total = (column.values for column in rows.columns)
        merged = kernel.count(rows.ids, rows.num_groups)
        sums = self._sum(total, merged, rows, context)
        return _columns(kernel.sum_int64(count, rows.ids, rows.num_groups), [sums])

    def finish(self, parts: list[Column], context: RunContext) -> Column:
        """The sum or the average; NULL without rows."""
        xp = context.xp
        count, total = (column.values for column in parts)
        known = count > 0
        values = total / xp.maximum(count, 1) if self._average else total
        return Column(self._dtype, values, None if bool(known.all()) else known)


class IntervalAverage:
    """avg of intervals: months, days and time added apart, then divided, fractions carried to the finer unit."""

    skips_nulls = True

    def __init__(self, dtype: DataType) -> None:
        self._dtype = dtype

    def partial(self, rows: Rows, context: RunContext) -> list[Column]:
        """Count and the three sums."""
        xp = context.xp
        kernel = context.kernels.group_by
        values = rows.columns[0].values
        sums = [
            kernel.sum_int64(xp.ascontiguousarray(values[:, part]), rows.ids, rows.num_groups)
            for part in range(3)
        ]
        count = kernel.count(rows.ids, rows.num_groups)
        return [Column(BIGINT, count), *(Column(BIGINT, total) for total in sums)]

    def merge(self, rows: Rows, context: RunContext) -> list[Column]:
        """Sums of sums."""
        kernel = context.kernels.group_by
        kept = without_nulls(rows, context)
        return [
            Column(BIGINT, kernel.sum_int64(column.values, kept.ids, kept.num_groups))
            for column in kept.columns
        ]

    def finish(self, parts: list[Column], context: RunContext) -> Column:
        """The quotient."""
        from gpuql.expressions.temporal_arithmetic import apply

        xp = context.xp
        count = parts[0].values
        known = count > 0
        validity = None if bool(known.all()) else known
        total = Column(self._dtype, xp.stack([part.values for part in parts[1:]], axis=-1), validity)
        divisor = Column(DOUBLE, xp.maximum(count, 1).astype(xp.float64))
        return apply("divide", self._dtype, total, divisor, context)
