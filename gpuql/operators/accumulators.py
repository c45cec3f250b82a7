"""Aggregate functions that keep a few values per group: what a batch adds, how partial results merge, the end value.

Partial results are columns with one row for each group, NULL where the group saw nothing, so they are joined and
grouped again like any other rows. Rows that an aggregate ignores (NULL arguments, FILTER) are dropped before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gpuql.columnar.column import NATURAL_DTYPE, Array, Column
from gpuql.expressions.cast import exact_to_float
from gpuql.expressions.vectors import as_wide, from_wide, is_wide, measured_bounds
from gpuql.operators.contract import RunContext
from gpuql.operators.grouping import Groups
from gpuql.operators.ordering import value_words
from gpuql_kernels.int128 import words
from gpuql_planner.errors import ArithmeticOverflowError
from gpuql_planner.types import BIGINT, DOUBLE, HUGEINT, DataType, TypeId, decimal


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows to aggregate: group number, argument columns, and place in the source order (int64) of each.

    ``groups`` are the groups if no row has been dropped, so that every group has a row and counts can be shared.
    """

    ids: Array
    num_groups: int
    columns: list[Column]
    order: Array
    groups: Groups | None = None


class Accumulator(Protocol):
    """One aggregate function for one call."""

    skips_nulls: bool

    def partial(self, rows: Rows, context: RunContext) -> list[Column]:
        """Partial result of each group."""

    def merge(self, rows: Rows, context: RunContext) -> list[Column]:
        """Partial results (the columns of ``rows``) of the same groups put together."""

    def finish(self, parts: list[Column], context: RunContext) -> Column:
        """End value of each group."""


def present(rows: Rows, context: RunContext) -> Array | None:
    """Mask of groups with at least one row; None if all have one."""
    xp = context.xp
    if rows.groups is not None and len(rows.ids):
        return None
    seen = xp.zeros(rows.num_groups, bool)
    seen[rows.ids] = True
    return None if bool(seen.all()) else seen


def without_nulls(rows: Rows, context: RunContext) -> Rows:
    """Only rows in which no column is NULL."""
    validity = None
    for column in rows.columns:
        if column.validity is not None:
            validity = column.validity if validity is None else validity & column.validity
    if validity is None:
        return rows
    kept = context.xp.flatnonzero(validity)
    columns = [Column(c.dtype, c.values[kept], None, c.strings, c.bounds) for c in rows.columns]
    return Rows(rows.ids[kept], rows.num_groups, columns, rows.order[kept])


def pick(column: Column, row_of_group: Array, context: RunContext) -> Column:
    """Value at one row for each group; NULL where the row is -1."""
    xp = context.xp
    if len(column.values) == 0:
        from gpuql.columnar.construct import null_column

        return null_column(column.dtype, len(row_of_group), xp=xp)
    taken = column.take(xp.maximum(row_of_group, 0))
    missing = row_of_group < 0
    if not bool(missing.any()):
        return taken
    validity = ~missing if taken.validity is None else taken.validity & ~missing
    return Column(taken.dtype, taken.values, validity, taken.strings, taken.bounds)


def row_with_smallest(word: Array, rows: Rows, context: RunContext) -> Array:
    """Row of each group with the smallest ``word`` (integers), the earliest of several; -1 for empty groups."""
    xp = context.xp
    kernel = context.kernels.group_by
    row_of_group = xp.full(rows.num_groups, -1, xp.int64)
    if len(rows.ids) == 0:
        return row_of_group
    best = kernel.minimum(word, rows.ids, rows.num_groups)
    candidates = xp.flatnonzero(word == best[rows.ids])
    order, ids = rows.order[candidates], rows.ids[candidates]
    earliest = kernel.minimum(order, ids, rows.num_groups)
    chosen = order == earliest[ids]
    row_of_group[ids[chosen]] = candidates[chosen]
    return row_of_group


def rank_word(column: Column, context: RunContext) -> Array:
    """One uint64 for each row that compares as the values do."""
    xp = context.xp
    parts, bits = value_words(column, context)
    if len(parts) == 1:
        return parts[0]
    order = context.kernels.sort.order(parts, bits)
    fresh = xp.zeros(len(order), bool)
    for part in parts:
        ordered = part[order]
        fresh[1:] |= ordered[1:] != ordered[:-1]
    ranks = xp.empty(len(order), xp.uint64)
    ranks[order] = xp.cumsum(fresh).astype(xp.uint64)
    return ranks


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
        if self._dtype.id in (TypeId.TIMESTAMP, TypeId.TIME):
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


class Extreme:
    """min(x), max(x) for every type that can be ordered; bool_and and bool_or are the same of booleans."""

    skips_nulls = True

    def __init__(self, dtype: DataType, *, largest: bool) -> None:
        self._dtype = dtype
        self._largest = largest

    def partial(self, rows: Rows, context: RunContext) -> list[Column]:
        """Extreme of each group."""
        xp = context.xp
        (column,) = rows.columns
        kernel = context.kernels.group_by
        function = kernel.maximum if self._largest else kernel.minimum
        values = column.values
        if values.dtype == bool:
            best = function(values.view(np.int8), rows.ids, rows.num_groups)
            return [Column(self._dtype, best == 1, present(rows, context))]
        if column.strings is None and values.ndim == 1 and not column.dtype.is_float:
            validity = present(rows, context)
            best = function(values, rows.ids, rows.num_groups)
            if validity is not None:
                best = xp.where(validity, best, values.dtype.type(0))
            return [Column(self._dtype, best, validity, None, column.bounds)]
        strings = column.strings
        if strings is not None and not strings.sorted and len(strings):
            row_of_group = self._best_string(column, rows, context)
        else:
            word = rank_word(column, context)
            row_of_group = row_with_smallest(~word if self._largest else word, rows, context)
        picked = pick(column, row_of_group, context)
        return [Column(self._dtype, picked.values, picked.validity, picked.strings, picked.bounds)]

    def _best_string(self, column: Column, rows: Rows, context: RunContext) -> Array:
        """Row of each group with the extreme string: eight bytes at a time, among the rows still level."""
        xp = context.xp
        strings = column.strings
        assert strings is not None, "the caller checked that these are strings"
        kernels = context.kernels
        function = kernels.group_by.maximum if self._largest else kernels.group_by.minimum
        row_of_group = xp.full(rows.num_groups, -1, xp.int64)
        level, skip = xp.arange(len(rows.ids)), 0
        positions = column.values.astype(xp.int64)
        while len(level):
            ids, at = rows.ids[level], positions[level]
            row_of_group[ids] = level
            word = kernels.string_match.prefix_word(strings.offsets, strings.data, at, skip)
            kept = word == function(word, ids, rows.num_groups)[ids]
            level, ids, at = level[kept], ids[kept], at[kept]
            # Zero padding hides where a string ends within these bytes: its length decides.
            left = xp.clip(strings.offsets[at + 1] - strings.offsets[at] - skip, 0, 9)
            kept = left == function(left, ids, rows.num_groups)[ids]
            level, left = level[kept], left[kept]
            row_of_group[rows.ids[level]] = level
            level = level[left > 8]
            skip += 8
        return row_of_group

    def merge(self, rows: Rows, context: RunContext) -> list[Column]:
        """Extreme of extremes."""
        return self.partial(without_nulls(rows, context), context)

    def finish(self, parts: list[Column], context: RunContext) -> Column:
        """The extreme."""
        return parts[0]


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


class Positional:
    """first, last, any_value: a value by source order. any_value takes the first that is not NULL."""

    def __init__(self, function: str) -> None:
        self.skips_nulls = function == "any_value"
        self._last = function == "last"

    def partial(self, rows: Rows, context: RunContext) -> list[Column]:
        """Value and place of the chosen row."""
        word = ~rows.order if self._last else rows.order
        row_of_group = row_with_smallest(word, rows, context)
        place = Column(BIGINT, rows.order)
        return [pick(rows.columns[0], row_of_group, context), pick(place, row_of_group, context)]

    def merge(self, rows: Rows, context: RunContext) -> list[Column]:
        """Choose by the kept places."""
        xp = context.xp
        value, place = rows.columns
        ids, order = rows.ids, place.values.astype(xp.int64)
        if place.validity is not None:
            kept = xp.flatnonzero(place.validity)
            ids, order, value = ids[kept], order[kept], value.take(kept)
        return self.partial(Rows(ids, rows.num_groups, [value], order), context)

    def finish(self, parts: list[Column], context: RunContext) -> Column:
        """The value."""
        return parts[0]


class ByKey:
    """arg_min(x, y) and arg_max(x, y): x where y is smallest or largest, the earliest of several."""

    skips_nulls = True

    def __init__(self, *, largest: bool) -> None:
        self._largest = largest

    def partial(self, rows: Rows, context: RunContext) -> list[Column]:
        """Value, key and place of the chosen row."""
        value, key = rows.columns
        word = rank_word(key, context)
        row_of_group = row_with_smallest(~word if self._largest else word, rows, context)
        place = Column(BIGINT, rows.order)
        return [pick(column, row_of_group, context) for column in (value, key, place)]

    def merge(self, rows: Rows, context: RunContext) -> list[Column]:
        """Choose again by key and place."""
        kept = without_nulls(rows, context)
        value, key, place = kept.columns
        order = place.values.astype(context.xp.int64)
        return self.partial(Rows(kept.ids, kept.num_groups, [value, key], order), context)

    def finish(self, parts: list[Column], context: RunContext) -> Column:
        """The value."""
        return parts[0]


class ByKeyWithNulls:
    """arg_min_null and arg_max_null, whose value may be NULL."""

    skips_nulls = False

    def __init__(self, function: str) -> None:
        self._largest = function.startswith("arg_max")

    def partial(self, rows: Rows, context: RunContext) -> list[Column]:
        """Value, key and place of the chosen row."""
        value, key = rows.columns
        ids, order = rows.ids, rows.order
        if key.validity is not None:
            kept = context.xp.flatnonzero(key.validity)
            ids, order, value, key = ids[kept], order[kept], value.take(kept), key.take(kept)
        word = rank_word(key, context)
        chosen = Rows(ids, rows.num_groups, [value], order)
        row_of_group = row_with_smallest(~word if self._largest else word, chosen, context)
        place = Column(BIGINT, order)
        return [pick(column, row_of_group, context) for column in (value, key, place)]

    def merge(self, rows: Rows, context: RunContext) -> list[Column]:
        """Choose again by key and place; a part without a key saw no row."""
        value, key, place = rows.columns
        order = place.values.astype(context.xp.int64)
        return self.partial(Rows(rows.ids, rows.num_groups, [value, key], order), context)

    def finish(self, parts: list[Column], context: RunContext) -> Column:
        """The value."""
        return parts[0]


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


def make_accumulator(function: str, dtype: DataType, arguments: tuple[DataType, ...]) -> Accumulator | None:
    """The accumulator of an aggregate; None for those that need all rows at once (``holistic``)."""
    from gpuql.operators import moments

    match function:
        case "count_star":
            return Count(dtype, skips_nulls=False)
        case "count":
            return Count(dtype, skips_nulls=True)
        case "sum" | "count_if":
            return Sum(dtype)
        case "avg" if dtype.id is TypeId.INTERVAL:
            return moments.IntervalAverage(dtype)
        case "avg":
            return Average(dtype, arguments[0])
        case "min" | "bool_and":
            return Extreme(dtype, largest=False)
        case "max" | "bool_or":
            return Extreme(dtype, largest=True)
        case "stddev_samp" | "stddev_pop" | "var_samp" | "var_pop" | "sem":
            return Variance(dtype, function)
        case "first" | "last" | "any_value":
            return Positional(function)
        case "arg_min" | "arg_max":
            return ByKey(largest=function == "arg_max")
        case "arg_min_null" | "arg_max_null":
            return ByKeyWithNulls(function)
        case "skewness" | "kurtosis" | "kurtosis_pop":
            return moments.HigherMoments(dtype, function)
        case "fsum" | "favg":
            return moments.CompensatedSum(dtype, function)
        case _ if function in moments.MOMENT_PARTS:
            return moments.Comoments(dtype, function)
        case "product" | "bit_and" | "bit_or" | "bit_xor":
            return Fold(dtype, function)
        case _:
            return None
