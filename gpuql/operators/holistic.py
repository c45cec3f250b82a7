"""Aggregates that need all rows of a group at once: quantiles and string_agg."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from gpuql.columnar.column import NATURAL_DTYPE, Array, Column
from gpuql.columnar.nested import device_column, host_column, lists_column, structs_column
from gpuql.columnar.strings import on_host
from gpuql.expressions.arithmetic import FUNCTIONS as ARITHMETIC
from gpuql.expressions.arithmetic import absolute
from gpuql.expressions.calendar import MICROSECONDS_PER_DAY
from gpuql.expressions.cast import evaluate_cast, exact_to_float
from gpuql.expressions.distinct_values import stored_column, string_column, text_of_entries
from gpuql.expressions.list_rows import ranks
from gpuql.expressions.vectors import as_wide, is_wide
from gpuql.operators.accumulators.rows import Rows, pick
from gpuql.operators.contract import RunContext
from gpuql.operators.frequencies import entropy, mode
from gpuql.operators.ordering import value_words
from gpuql_kernels.int128 import words
from gpuql_planner.errors import NotSupportedError
from gpuql_planner.logical.expressions import AggregateCall, Expression, Literal
from gpuql_planner.statement_errors import InvalidParameterValue
from gpuql_planner.types import BIGINT, DOUBLE, TIMESTAMP, UBIGINT, DataType, TypeId


def _sorted_by_group(
    rows: Rows, words: list[Array], bits: list[int], context: RunContext
) -> tuple[Array, Array, Array]:
    """Order of rows by group and then words; start and row count of each group in that order."""
    xp = context.xp
    group_bits = max(1, (max(rows.num_groups, 1) - 1).bit_length())
    order = context.kernels.sort.order([rows.ids.astype(xp.uint64), *words], [group_bits, *bits])
    counts = context.kernels.group_by.count(rows.ids, rows.num_groups)
    return order, xp.cumsum(counts) - counts, counts


def _constant(expression: Expression, what: str) -> Any:
    if not isinstance(expression, Literal):
        raise NotSupportedError(f"{what} must be a constant")
    return expression.value


#: Decimals of so many digits are 64-bit integers in DuckDB, wider ones have arithmetic of their own.
_WORD_DIGITS = 18


def quantile(call: AggregateCall, rows: Rows, context: RunContext) -> Column:
    """median, quantile_cont (interpolated), quantile_disc (a value of the group)."""
    xp = context.xp
    column = rows.columns[0]
    order, starts, counts = _sorted_by_group(rows, *value_words(column, context), context)
    empty = counts == 0
    places = quantile_places(call, counts, context, is_text=column.strings is not None)
    below = pick(column, _rows_at(xp, order, starts + places.low, empty), context)
    above = below
    if places.share is not None:
        above = pick(column, _rows_at(xp, order, starts + places.high, empty), context)
    return quantile_value(call, below, above, places.share, context)


@dataclass(frozen=True, eq=False)
class QuantilePlaces:
    """Which of a group's sorted values make its quantile: int64 places ``low`` and ``high``, and how far between.

    ``share`` (float64, 0 to 1) is None if the quantile is the value at ``low``. Groups without values have any places.
    """

    low: Array
    high: Array
    share: Array | None


def quantile_places(
    call: AggregateCall, counts: Array, context: RunContext, *, is_text: bool
) -> QuantilePlaces:
    """Places of the quantile in groups of ``counts`` (int64) values."""
    xp = context.xp
    fraction: Any = 0.5
    if call.function != "median":
        fraction = _constant(call.arguments[1], "fraction of a quantile")
    if not isinstance(fraction, int | float | Decimal) or not -1 <= fraction <= 1:
        raise InvalidParameterValue(f"fraction of a quantile must be between -1 and 1: {fraction}")
    fraction = float(fraction)
    last = xp.maximum(counts - 1, 0)
    if call.function == "quantile_disc":
        place = xp.maximum(counts - xp.floor(counts - abs(fraction) * counts).astype(xp.int64), 1) - 1
        if fraction < 0:  # from the largest value
            place = xp.maximum(counts - 1 - place, 0)
        return QuantilePlaces(place, place, None)
    position = last * fraction
    low = xp.floor(position).astype(xp.int64)
    if is_text:
        return QuantilePlaces(low, low, None)
    return QuantilePlaces(low, xp.minimum(low + 1, last), position - low)


def quantile_value(
    call: AggregateCall, below: Column, above: Column, share: Array | None, context: RunContext
) -> Column:
    """The quantile of each group from the values at its two places."""
    if share is None:
        return evaluate_cast(below, call.type, context)
    return _interpolate(call, below, above, share, context)


def _rows_at(xp: Any, order: Array, positions: Array, empty: Array) -> Array:
    if len(order) == 0:
        return xp.full(len(positions), -1, xp.int64)
    return xp.where(empty, -1, order[xp.minimum(positions, len(order) - 1)])


def _interpolate(
    call: AggregateCall, below: Column, above: Column, share: Array, context: RunContext
) -> Column:
    xp = context.xp
    dtype = call.type
    if dtype.is_float:
        low, high = (c.values if c.dtype.is_float else exact_to_float(xp, c) for c in (below, above))
        # Equal ends stay exactly as they are, infinities included.
        values = xp.where(low == high, low, low + (high - low) * share)
        values = xp.where(share == 0, low, values)
        return Column(dtype, values.astype(NATURAL_DTYPE[dtype.id]), below.validity)
    low_column, high_column = (evaluate_cast(column, dtype, context) for column in (below, above))
    if is_wide(low_column) or is_wide(high_column):
        return _interpolate_wide(low_column, high_column, share, context)
    low, high = low_column.values.astype(xp.int64), high_column.values.astype(xp.int64)
    return Column(dtype, _between(xp, dtype, low, (high - low) * share), below.validity)


def _between(xp: Any, dtype: DataType, low: Array, step: Array) -> Array:
    """``low + step`` as whole stored units, rounded as DuckDB does it for each type. ``step`` is not negative."""
    down = low + xp.floor(step).astype(xp.int64)
    if dtype.id in (TypeId.TIMESTAMP, TypeId.TIMESTAMPTZ, TypeId.TIME):  # half away from zero
        fraction = step - xp.floor(step)
        return down + ((fraction > 0.5) | ((fraction == 0.5) & (down >= 0)))
    if dtype.width > _WORD_DIGITS:
        return down
    return xp.where(down < 0, low + xp.ceil(step).astype(xp.int64), down)  # toward zero


def _interpolate_wide(low: Column, high: Column, share: Array, context: RunContext) -> Column:
    xp = context.xp
    wide = [words.to_python(as_wide(xp, column)) for column in (low, high)]
    stored = [a + int((b - a) * part) for a, b, part in zip(*wide, share.tolist(), strict=True)]
    column = stored_column(xp, low.dtype, stored)
    return Column(low.dtype, column.values, low.validity, None, column.bounds)


def median_deviation(call: AggregateCall, rows: Rows, context: RunContext) -> Column:
    """mad: median of the distances from the median."""
    median = quantile(median_of(call), rows, context)
    distances = deviations(rows.columns[0], median.take(rows.ids), context)
    median = quantile(distance_median(call), replace(rows, columns=[distances]), context)
    return as_distance(call, median, context)


def median_of(call: AggregateCall) -> AggregateCall:
    """The median from which mad measures."""
    dtype = call.arguments[0].dtype
    result = DOUBLE if dtype.is_integer else TIMESTAMP if dtype.id is TypeId.DATE else dtype
    return AggregateCall("median", call.arguments[:1], result)


def distance_median(call: AggregateCall) -> AggregateCall:
    """The median of distances; those of moments are counted in microseconds."""
    return AggregateCall(
        "median", call.arguments[:1], DOUBLE if call.type.id is TypeId.INTERVAL else call.type
    )


def as_distance(call: AggregateCall, median: Column, context: RunContext) -> Column:
    """The median of distances in the type of the result."""
    xp = context.xp
    if call.type.id is not TypeId.INTERVAL:
        return median
    micros = xp.floor(median.values + 0.5).astype(xp.int64)
    days = micros // MICROSECONDS_PER_DAY
    parts = (xp.zeros_like(micros), days, micros - days * MICROSECONDS_PER_DAY)
    return Column(call.type, xp.stack(parts, axis=-1), median.validity)


def deviations(column: Column, centres: Column, context: RunContext) -> Column:
    """Distance of each value from the centre of its group: INTERVAL for moments, else of the centres' type."""
    xp = context.xp
    dtype = centres.dtype
    values = evaluate_cast(column, dtype, context)
    if dtype.is_temporal:
        gap = xp.abs(values.values.astype(xp.int64) - centres.values.astype(xp.int64))
        return Column(BIGINT, gap)
    if dtype.is_float:
        return Column(dtype, xp.abs(values.values - centres.values))
    gap = ARITHMETIC["subtract"](
        dtype, [values, Column(dtype, centres.values, None, None, centres.bounds)], context
    )
    return absolute(dtype, [gap], context)


def string_agg(call: AggregateCall, rows: Rows, context: RunContext) -> Column:
    """Strings of each group joined by a constant separator, in the order of ``rows.order``."""
    xp = context.xp
    order_word = rows.order.astype(xp.int64).view(xp.uint64)
    order, _, counts = _sorted_by_group(rows, [order_word], [63], context)
    entries = texts_in_order(rows.columns[0].take(order), context)
    glue = separator_of(call)
    joined, position = [], 0
    for count in on_host(counts).tolist():
        joined.append(glue.join(entries[position : position + count]))
        position += count
    return joined_texts(call, joined, counts, context)


def separator_of(call: AggregateCall) -> bytes:
    """What string_agg puts between strings."""
    if len(call.arguments) < 2:
        return b","
    found = _constant(call.arguments[1], "separator of string_agg")
    return b"" if found is None else str(found).encode()


def texts_in_order(column: Column, context: RunContext) -> list[bytes]:
    """Text of each row, on the host."""
    texts = text_of_entries(context.xp, column)
    return [texts.entries[code] for code in on_host(texts.codes).tolist()]


def joined_texts(call: AggregateCall, joined: list[bytes], counts: Array, context: RunContext) -> Column:
    """The result of string_agg; NULL for groups without strings."""
    xp = context.xp
    column = string_column(xp, call.type, joined, xp.arange(len(joined)))
    empty = counts == 0
    return Column(call.type, column.values, ~empty if bool(empty.any()) else None, column.strings)


def list_values(call: AggregateCall, rows: Rows, context: RunContext) -> Column:
    """Values of each group as a list, NULLs among them, in the order of ``rows.order``; NULL for no rows."""
    xp = context.xp
    order_word = rows.order.astype(xp.int64).view(xp.uint64)
    order, _, counts = _sorted_by_group(rows, [order_word], [63], context)
    elements = host_column(rows.columns[0].take(order))
    lengths = on_host(counts).astype(np.int64)
    return device_column(xp, lists_column(call.type, lengths, elements, lengths > 0))


def histogram(call: AggregateCall, rows: Rows, context: RunContext) -> Column:
    """Map of the distinct values of each group, in order, to how often each occurs; NULL for groups without rows."""
    values, ids = host_column(rows.columns[0]), on_host(rows.ids)
    (own,) = ranks([values])
    order = np.lexsort((own, ids))
    group, value = ids[order], own[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (group[1:] != group[:-1]) | (value[1:] != value[:-1])
    starts = np.flatnonzero(new)
    counts = np.diff(np.append(starts, len(order)))
    lengths = np.bincount(group[new], minlength=rows.num_groups)
    fields = (values.take(order[new]), Column(UBIGINT, counts.astype(np.int64)))
    entries = structs_column(call.type.element, fields, len(starts))
    return device_column(context.xp, lists_column(call.type, lengths, entries, lengths > 0))


#: Functions that need all rows of a group and do not leave out those whose argument is NULL.
KEEPS_NULLS = frozenset({"list"})

HOLISTIC: dict[str, Callable[[AggregateCall, Rows, RunContext], Column]] = {
    "median": quantile,
    "quantile_cont": quantile,
    "quantile_disc": quantile,
    "string_agg": string_agg,
    "mad": median_deviation,
    "mode": mode,
    "entropy": entropy,
    "list": list_values,
    "histogram": histogram,
}
