"""Aggregates over frames.

Counts and exact sums are differences of running totals. Floating-point sums, extremes and bits are folds over a tree
of spans, in which no row outside a frame has a part. Whole partitions are groups like any other. Everything else
(DISTINCT, quantiles, string_agg) brings the rows of each frame together, some frames at a time, and aggregates them as
groups.
"""

from __future__ import annotations

import numpy as np

from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_columns
from gpuql.expressions.cast import exact_to_float
from gpuql.expressions.vectors import as_wide, from_wide, is_wide, measured_bounds
from gpuql.operators.accumulators import Average, Count, Rows, Sum, Variance, pick
from gpuql.operators.aggregate_slots import Slot, make_slots
from gpuql.operators.collected_rows import distinct_rows, finished_slot, order_of
from gpuql.operators.contract import RunContext
from gpuql.operators.ordering import value_words
from gpuql.operators.window_frames import Frames, frames_of
from gpuql.operators.window_rows import SortedRows, sort_places
from gpuql.thresholds import FRAME_PAIRS
from gpuql_kernels.window.doubling import State, fold_spans
from gpuql_planner.errors import ArithmeticOverflowError
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.logical.window_calls import WindowCall
from gpuql_planner.physical.nodes import AggregateSink
from gpuql_planner.types import BIGINT, DOUBLE, DataType

_BITS = frozenset(("bit_and", "bit_or", "bit_xor"))
_EXTREMES = frozenset(("min", "max", "bool_and", "bool_or", "arg_min", "arg_max"))


def aggregate_column(call: WindowCall, rows: SortedRows) -> Column:
    """Value of the aggregate over each row's frame."""
    context = rows.context
    xp = context.xp
    attribute = Attribute.fresh(call.function, call.type)
    (slot,) = make_slots(AggregateSink((), ((attribute, call.aggregate),)))
    columns, chosen = slot.arguments(rows.rows, context)
    frames = frames_of(call, rows)
    if slot.accumulator is None or slot.accumulator.skips_nulls:
        for column in columns:
            if column.validity is not None:
                chosen = column.validity if chosen is None else chosen & column.validity
    order = rows.positions
    if call.argument_order and rows.num_rows:
        order = order_of(slot.call, sort_places(call.argument_order, rows), context)
    if chosen is not None:
        kept = xp.flatnonzero(chosen)
        columns = [column.take(kept) for column in columns]
        order = order[kept]
        frames = frames.mapped(xp.concatenate((xp.zeros(1, xp.int64), xp.cumsum(chosen, dtype=xp.int64))))
        if slot.accumulator is None or slot.accumulator.skips_nulls:
            columns = [Column(c.dtype, c.values, None, c.strings, c.bounds) for c in columns]
    values = _FrameValues(call, slot, columns, order, frames, context).column()
    return values if frames.ids is None else values.take(frames.ids)


class _FrameValues:
    """One aggregate over frames of rows that all count."""

    def __init__(
        self,
        call: WindowCall,
        slot: Slot,
        columns: list[Column],
        order: Array,
        frames: Frames,
        context: RunContext,
    ) -> None:
        self.call = call
        self.slot = slot
        self.columns = columns
        self.order = order
        self.frames = frames
        self.context = context
        self.num_frames = len(frames.pieces[0][0])

    def column(self) -> Column:
        """Value of each frame."""
        call, accumulator = self.call, self.slot.accumulator
        if call.frame.is_partition or call.distinct or call.argument_order or accumulator is None:
            return self._gathered()
        if isinstance(accumulator, Count):
            return accumulator.finish([self._counts()], self.context)
        if isinstance(accumulator, Sum):
            return accumulator.finish([self._sum(call.type)], self.context)
        if isinstance(accumulator, Average):
            parts = [self._sum(accumulator.sum_type), self._counts()]
            return accumulator.finish(parts, self.context)
        if isinstance(accumulator, Variance):
            return accumulator.finish(self._deviations(), self.context)
        if call.function in _EXTREMES:
            return self._extreme()
        if call.function in _BITS and not is_wide(self.columns[0]):
            values = self.columns[0].values.astype(self.context.xp.int64)
            folded = self._fold(call.function, values)
            return Column(call.type, self.context.xp.where(self._known(), folded, 0), self._validity())
        if call.function == "product":
            return Column(DOUBLE, self._fold("product", self._floats()), self._validity())
        return self._gathered()

    # --- running totals ----------------------------------------------------------------------------------------

    def _counts(self) -> Column:
        return Column(BIGINT, self.frames.counts, None, None, (0, max(1, len(self.order))))

    def _known(self) -> Array:
        """Frames with a row."""
        known: Array = self.frames.counts > 0
        return known

    def _validity(self) -> Array | None:
        known = self._known()
        return None if bool(known.all()) else known

    def _sum(self, dtype: DataType) -> Column:
        (column,) = self.columns
        if dtype.is_float:
            return Column(dtype, self._fold("sum", self._floats()), self._validity())
        return self._exact_sum(column, dtype)

    def _exact_sum(self, column: Column, dtype: DataType) -> Column:
        xp = self.context.xp
        if column.values.dtype == bool:
            column = Column(column.dtype, column.values.view(np.int8), None, None, (0, 1))
        longest = int(self.frames.counts.max()) if self.num_frames else 0
        known = column.bounds
        if known is None or max(abs(known[0]), abs(known[1])) * longest >= 2**63:
            known = measured_bounds(xp, column)
        low, high = min(known[0], 0) * longest, max(known[1], 0) * longest
        validity = self._validity()
        if not is_wide(column) and low > -(2**63) and high < 2**63:
            # Totals may wrap around: their differences are right all the same.
            return Column(
                dtype, self._difference(column.values.astype(xp.int64)), validity, None, (low, high)
            )
        wide = self._wide_difference(as_wide(xp, column), dtype)
        return from_wide(xp, dtype, wide, validity, (max(low, -(2**127)), min(high, 2**127 - 1)))

    def _difference(self, values: Array) -> Array:
        """Sums of frames of int64 values, modulo 2**64."""
        xp = self.context.xp
        running = xp.concatenate((xp.zeros(1, xp.int64), xp.cumsum(values, dtype=xp.int64)))
        total = None
        for start, stop in self.frames.pieces:
            part = running[stop] - running[start]
            total = part if total is None else total + part
        return total

    def _wide_difference(self, wide: Array, dtype: DataType) -> Array:
        """Sums of frames of 128-bit values: of 32 bits at a time, so that running totals cannot overflow."""
        xp = self.context.xp
        mask = 0xFFFFFFFF
        low, high = wide[:, 0], wide[:, 1]
        limbs = [self._difference(limb) for limb in (low & mask, (low >> 32) & mask, high & mask, high >> 32)]
        for place in range(3):
            limbs[place + 1] = limbs[place + 1] + (limbs[place] >> 32)
            limbs[place] = limbs[place] & mask
        if bool(((limbs[3] < -(2**31)) | (limbs[3] >= 2**31)).any()):
            raise ArithmeticOverflowError(f"overflow in sum of {dtype}")
        return xp.stack((limbs[0] | (limbs[1] << 32), limbs[2] | (limbs[3] << 32)), axis=-1)

    # --- folds -------------------------------------------------------------------------------------------------

    def _floats(self) -> Array:
        xp = self.context.xp
        (column,) = self.columns
        if column.dtype.is_float:
            return column.values.astype(xp.float64)
        return exact_to_float(xp, column)

    def _fold(self, name: str, values: Array) -> Array:
        xp = self.context.xp
        merged = {"sum": xp.add, "product": xp.multiply, "minimum": xp.minimum, "maximum": xp.maximum}
        merged |= {"bit_and": xp.bitwise_and, "bit_or": xp.bitwise_or, "bit_xor": xp.bitwise_xor}
        total = None
        for start, stop in self.frames.pieces:
            part = self.context.kernels.window.fold(name, values, start, stop)
            total = part if total is None else merged[name](total, part)
        return total

    def _extreme(self) -> Column:
        """Min and max, also of another column: the row that comes first when sorted."""
        xp, call = self.context.xp, self.call
        largest = call.function in ("max", "bool_or", "arg_max")
        key = self.columns[-1]
        values = key.values
        plain = (
            key.strings is None and values.ndim == 1 and not key.dtype.is_float and values.dtype != np.uint64
        )
        if len(self.columns) == 1 and plain:
            is_bool = values.dtype == bool
            folded = self._fold(
                "maximum" if largest else "minimum", values.view(np.int8) if is_bool else values
            )
            folded = xp.where(self._known(), folded, folded.dtype.type(0))
            return Column(call.type, folded == 1 if is_bool else folded, self._validity(), None, key.bounds)
        if len(values) == 0:
            return pick(self.columns[0], xp.full(self.num_frames, -1, xp.int64), self.context)
        words, bits = value_words(key, self.context)
        if largest:
            words = [xp.uint64((1 << size) - 1) - word for word, size in zip(words, bits, strict=True)]
        order = self.context.kernels.sort.order(words, bits)
        place = xp.empty(len(order), xp.int64)
        place[order] = xp.arange(len(order))
        best = self._fold("minimum", place)
        best = xp.where(self._known(), order[xp.minimum(best, len(order) - 1)], -1)
        return pick(self.columns[0], best, self.context)

    def _deviations(self) -> list[Column]:
        """Count, mean and sum of squared deviations, merged as ``Variance`` merges them."""
        xp = self.context.xp
        values = self._floats()
        leaves = (xp.ones(len(values), xp.float64), values, xp.zeros(len(values), xp.float64))
        total: State | None = None
        for start, stop in self.frames.pieces:
            part = fold_spans(xp, leaves, (0.0, 0.0, 0.0), self._merge_deviations, start, stop)
            total = part if total is None else self._merge_deviations(total, part)
        assert total is not None, "a frame has a piece"
        count, mean, squares = total
        return [Column(BIGINT, count.astype(xp.int64)), Column(DOUBLE, mean), Column(DOUBLE, squares)]

    def _merge_deviations(self, left: State, right: State) -> State:
        xp = self.context.xp
        count = left[0] + right[0]
        share = right[0] / xp.maximum(count, 1)
        step = right[1] - left[1]
        step = xp.where((left[0] == 0) | (right[0] == 0), 0.0, step)
        mean = xp.where(left[0] == 0, right[1], left[1] + step * share)
        return count, mean, left[2] + right[2] + step * step * left[0] * share

    # --- rows of frames brought together -----------------------------------------------------------------------

    def _gathered(self) -> Column:
        """Some frames at a time, as groups."""
        counts = self.frames.counts
        xp = self.context.xp
        ends = xp.cumsum(counts)
        total = int(ends[-1]) if self.num_frames else 0
        if total <= max(FRAME_PAIRS, len(self.order)):
            return self._groups(0, self.num_frames)
        parts = []
        start = 0
        while start < self.num_frames:
            self.context.check_cancelled()
            before = int(ends[start - 1]) if start else 0
            stop = int(xp.searchsorted(ends, xp.asarray(before + FRAME_PAIRS), side="right"))
            stop = max(stop, start + 1)
            parts.append(self._groups(start, stop))
            start = stop
        return concat_columns(parts, xp=xp)

    def _groups(self, first: int, stop: int) -> Column:
        """Frames ``first`` to ``stop``."""
        xp = self.context.xp
        sources, ids = [], []
        for begin, end in self.frames.pieces:
            begin, size = begin[first:stop], (end - begin)[first:stop]
            frame = xp.repeat(xp.arange(stop - first), size)
            offset = xp.cumsum(size) - size
            ids.append(frame)
            sources.append(xp.arange(len(frame)) - (offset - begin)[frame])
        source = sources[0] if len(sources) == 1 else xp.concatenate(sources)
        frame = ids[0] if len(ids) == 1 else xp.concatenate(ids)
        columns = [column.take(source) for column in self.columns]
        rows = Rows(frame, stop - first, columns, self.order[source])
        if self.call.distinct:
            rows = distinct_rows(rows, self.context)
        return finished_slot(self.slot, rows, self.context)
