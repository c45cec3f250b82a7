"""Aggregates over frames.

Counts and exact sums are differences of running totals. Floating-point sums, extremes and bits are folds over a tree
of spans, in which no row outside a frame has a part. Whole partitions are groups like any other. Everything else
(DISTINCT, quantiles, string_agg) brings the rows of each frame together, some frames at a time, and aggregates them as
groups.
"""

from __future__ import annotations

from typing import Any

from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_columns
from gpuql.expressions.vectors import as_wide, from_wide, is_wide, measured_bounds
from gpuql.operators.accumulators.rows import Rows
from gpuql.operators.accumulators.sums import Average, Count, Sum
from gpuql.operators.aggregate_slots import Slot, make_slots
from gpuql.operators.collected_rows import distinct_rows, finished_slot, order_of
from gpuql.operators.contract import RunContext
from gpuql.operators.repeat import repeat_rows
from gpuql.operators.window_folds import Fold
from gpuql.operators.window_frames import Frames, frames_of
from gpuql.operators.window_rows import SortedRows, sort_places
from gpuql.thresholds import FRAME_PAIRS
from gpuql_planner.errors import ArithmeticOverflowError
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.logical.window_calls import WindowCall
from gpuql_planner.physical.nodes import AggregateSink
from gpuql_planner.types import BIGINT, DataType

#: Bits of a part of a wide value, so that running totals of the parts cannot overflow.
_LIMB_BITS = 32


def slot_of(call: WindowCall) -> Slot:
    """The aggregate of a call."""
    (slot,) = make_slots(AggregateSink((), ((Attribute.fresh(call.function, call.type), call.aggregate),)))
    return slot


def rows_that_count(slot: Slot, rows: SortedRows) -> tuple[list[Column], Array | None]:
    """Arguments, and the mask of rows that FILTER keeps and NULL does not hide; None if all count."""
    columns, chosen = slot.arguments(rows.rows, rows.context)
    if slot.skips_nulls:
        for column in columns:
            if column.validity is not None:
                chosen = column.validity if chosen is None else chosen & column.validity
    return columns, chosen


def chosen_columns(slot: Slot, columns: list[Column], kept: Array) -> list[Column]:
    """Rows ``kept`` of the arguments, without a mask if no NULL can be left."""
    columns = [column.take(kept) for column in columns]
    if slot.skips_nulls:
        return [Column(c.dtype, c.values, None, c.strings, c.bounds) for c in columns]
    return columns


def aggregate_column(call: WindowCall, rows: SortedRows) -> Column:
    """Value of the aggregate over each row's frame."""
    context = rows.context
    xp = context.xp
    slot = slot_of(call)
    columns, chosen = rows_that_count(slot, rows)
    frames = frames_of(call, rows)
    order = rows.positions
    if call.argument_order and rows.num_rows:
        order = order_of(slot.call, sort_places(call.argument_order, rows), context)
    if chosen is not None:
        kept = xp.flatnonzero(chosen)
        columns, order = chosen_columns(slot, columns, kept), order[kept]
        frames = frames.mapped(xp.concatenate((xp.zeros(1, xp.int64), xp.cumsum(chosen, dtype=xp.int64))))
    values = _over_frames(call, slot, columns, order, frames, context)
    return values if frames.ids is None else values.take(frames.ids)


def _over_frames(
    call: WindowCall,
    slot: Slot,
    columns: list[Column],
    order: Array,
    frames: Frames,
    context: RunContext,
) -> Column:
    """Value of each frame of rows that all count."""
    accumulator = slot.accumulator
    if call.frame.is_partition or call.distinct or call.argument_order or accumulator is None:
        return _gathered(call, slot, columns, order, frames, context)
    if isinstance(accumulator, Count):
        return accumulator.finish([count_column(frames.counts, len(order))], context)
    if isinstance(accumulator, Sum) and not call.type.is_float:
        return accumulator.finish([_exact_sum(columns[0], call.type, frames, context)], context)
    if isinstance(accumulator, Average) and not columns[0].dtype.is_float:
        total = _exact_sum(columns[0], accumulator.sum_type, frames, context)
        return accumulator.finish([total, count_column(frames.counts, len(order))], context)
    if not Fold.can_do(slot, columns):
        return _gathered(call, slot, columns, order, frames, context)
    fold = Fold(slot, context)
    folded = fold.fold(fold.leaves(columns), frames)
    if isinstance(accumulator, Average):
        return accumulator.finish([*folded, count_column(frames.counts, len(order))], context)
    return fold.finish(folded)


def count_column(counts: Array, num_rows: int) -> Column:
    """Rows of each frame."""
    return Column(BIGINT, counts, None, None, (0, max(1, num_rows)))


# --- running totals -------------------------------------------------------------------------------------------------


def _exact_sum(column: Column, dtype: DataType, frames: Frames, context: RunContext) -> Column:
    """Sums of integers or scaled decimals, NULL for frames without rows."""
    xp = context.xp
    counts = frames.counts
    if column.values.dtype == bool:
        column = Column(column.dtype, column.values.view(xp.int8), None, None, (0, 1))
    longest = int(counts.max()) if len(counts) else 0
    known = column.bounds
    if known is None or max(abs(known[0]), abs(known[1])) * longest >= 2**63:
        known = measured_bounds(xp, column)
    low, high = min(known[0], 0) * longest, max(known[1], 0) * longest
    present = counts > 0
    validity = None if bool(present.all()) else present
    if not is_wide(column) and low > -(2**63) and high < 2**63:
        # Totals may wrap around: their differences are right all the same.
        values = _difference(column.values.astype(xp.int64), frames, xp)
        return Column(dtype, values, validity, None, (low, high))
    sums = [_difference(limb, frames, xp) for limb in limbs_of(column, xp)]
    wide = joined_limbs(sums, dtype, xp)
    return from_wide(xp, dtype, wide, validity, (max(low, -(2**127)), min(high, 2**127 - 1)))


def _difference(values: Array, frames: Frames, xp: Any) -> Array:
    """Sums of frames of int64 values, modulo 2**64."""
    running = xp.concatenate((xp.zeros(1, xp.int64), xp.cumsum(values, dtype=xp.int64)))
    total = None
    for start, stop in frames.pieces:
        part = running[stop] - running[start]
        total = part if total is None else total + part
    return total


def limbs_of(column: Column, xp: Any) -> list[Array]:
    """Exact values as four int64 of 32 bits each, the lowest first and the last one signed."""
    wide = as_wide(xp, column)
    mask = (1 << _LIMB_BITS) - 1
    low, high = wide[:, 0], wide[:, 1]
    return [low & mask, (low >> _LIMB_BITS) & mask, high & mask, high >> _LIMB_BITS]


def joined_limbs(limbs: list[Array], dtype: DataType, xp: Any) -> Array:
    """128-bit sums from sums of limbs. Errors: ArithmeticOverflowError."""
    limbs, mask = list(limbs), (1 << _LIMB_BITS) - 1
    for place in range(3):
        limbs[place + 1] = limbs[place + 1] + (limbs[place] >> _LIMB_BITS)
        limbs[place] = limbs[place] & mask
    half = 1 << (_LIMB_BITS - 1)
    if bool(((limbs[3] < -half) | (limbs[3] >= half)).any()):
        raise ArithmeticOverflowError(f"overflow in sum of {dtype}")
    return xp.stack((limbs[0] | (limbs[1] << _LIMB_BITS), limbs[2] | (limbs[3] << _LIMB_BITS)), axis=-1)


# --- rows of frames brought together --------------------------------------------------------------------------------


def _gathered(
    call: WindowCall,
    slot: Slot,
    columns: list[Column],
    order: Array,
    frames: Frames,
    context: RunContext,
) -> Column:
    """Some frames at a time, as groups."""
    xp = context.xp
    num_frames = len(frames.pieces[0][0])
    ends = xp.cumsum(frames.counts)
    total = int(ends[-1]) if num_frames else 0
    if total <= max(FRAME_PAIRS, len(order)):
        return _groups(call, slot, columns, order, frames, context)
    parts = []
    start = 0
    while start < num_frames:
        context.check_cancelled()
        before = int(ends[start - 1]) if start else 0
        stop = int(xp.searchsorted(ends, xp.asarray([before + FRAME_PAIRS]), side="right")[0])
        stop = max(stop, start + 1)
        some = Frames(tuple((begin[start:stop], end[start:stop]) for begin, end in frames.pieces))
        parts.append(_groups(call, slot, columns, order, some, context))
        start = stop
    return concat_columns(parts, xp=xp)


def _groups(
    call: WindowCall,
    slot: Slot,
    columns: list[Column],
    order: Array,
    frames: Frames,
    context: RunContext,
) -> Column:
    xp = context.xp
    num_frames = len(frames.pieces[0][0])
    sources, ids = [], []
    for begin, end in frames.pieces:
        size = end - begin
        frame: Array = repeat_rows(xp, size)
        offset = xp.cumsum(size) - size
        ids.append(frame)
        sources.append(xp.arange(len(frame)) - (offset - begin)[frame])
    source, frame = xp.concatenate(sources), xp.concatenate(ids)
    rows = Rows(frame, num_frames, [column.take(source) for column in columns], order[source])
    if call.distinct:
        rows = distinct_rows(rows, context)
    return finished_slot(slot, rows, context)
