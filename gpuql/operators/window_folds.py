"""Aggregates of which the result for a frame can be put together from results for parts of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gpuql.columnar.column import Array, Column
from gpuql.expressions.cast import exact_to_float
from gpuql.expressions.vectors import is_wide
from gpuql.operators.accumulators.rows import pick
from gpuql.operators.accumulators.sums import Variance
from gpuql.operators.aggregate_slots import Slot
from gpuql.operators.contract import RunContext
from gpuql.operators.ordering import value_words
from gpuql.operators.window_frames import Frames
from gpuql_kernels.window.doubling import State, fold_function, fold_spans
from gpuql_planner.types import BIGINT, DOUBLE

_BITS = frozenset(("bit_and", "bit_or", "bit_xor"))
_EXTREMES = frozenset(("min", "max", "bool_and", "bool_or", "arg_min", "arg_max"))


class Fold:
    """An aggregate as a fold: a row's columns become a partial result, and neighbours' partial results become one.

    Columns given to :meth:`leaves` and :meth:`fold` hold no NULL but for values that an extreme hands on; a partial
    result of no rows is NULL in its last column.
    """

    def __init__(self, slot: Slot, context: RunContext) -> None:
        self._call = slot.call
        self._accumulator = slot.accumulator
        self._context = context

    @staticmethod
    def can_do(slot: Slot, columns: Sequence[Column]) -> bool:
        """Whether there is a fold for an aggregate of such columns."""
        function = slot.call.function
        return (
            isinstance(slot.accumulator, Variance)
            or function in _EXTREMES
            or function == "product"
            or (function in ("sum", "avg") and columns[0].dtype.is_float)
            or (function in _BITS and not is_wide(columns[0]))
        )

    def leaves(self, columns: Sequence[Column]) -> list[Column]:
        """Partial result of each row alone."""
        xp = self._context.xp
        if self._call.function in _EXTREMES:
            return list(columns)
        (column,) = columns
        if self._call.function in _BITS:
            return [Column(BIGINT, column.values.astype(xp.int64))]
        values = column.values.astype(xp.float64) if column.dtype.is_float else exact_to_float(xp, column)
        if not isinstance(self._accumulator, Variance):
            return [Column(DOUBLE, values)]
        zeros = xp.zeros(len(values), xp.float64)
        return [Column(DOUBLE, values), Column(DOUBLE, zeros), Column(DOUBLE, zeros + 1)]

    def fold(self, columns: Sequence[Column], frames: Frames) -> list[Column]:
        """Partial result of each frame of rows with partial results ``columns``."""
        known = frames.counts > 0
        validity = None if bool(known.all()) else known
        if self._call.function in _EXTREMES:
            return self._extreme(columns, frames, known, validity)
        if isinstance(self._accumulator, Variance):
            return self._deviations(columns, frames, validity)
        name = self._call.function if self._call.function in (*_BITS, "product") else "sum"
        (column,) = columns
        return [Column(column.dtype, self._values(name, column.values, frames), validity)]

    def finish(self, columns: list[Column]) -> Column:
        """End value of partial results."""
        xp, call = self._context.xp, self._call
        last = columns[-1]
        if isinstance(self._accumulator, Variance):
            mean, squares, count = columns
            if last.validity is not None:
                count = Column(DOUBLE, xp.where(last.validity, count.values, 0))
            parts = [Column(BIGINT, count.values.astype(xp.int64)), mean, squares]
            return self._accumulator.finish(parts, self._context)
        if call.function in _BITS and last.validity is not None:
            return Column(call.type, xp.where(last.validity, last.values, 0), last.validity)
        first = columns[0]
        return Column(call.type, first.values, first.validity, first.strings, first.bounds)

    def _values(self, name: str, values: Array, frames: Frames) -> Array:
        merged = fold_function(self._context.xp, name)
        total = None
        for start, stop in frames.pieces:
            part = self._context.kernels.window.fold(name, values, start, stop)
            total = part if total is None else merged(total, part)
        return total

    def _extreme(
        self, columns: Sequence[Column], frames: Frames, known: Array, validity: Array | None
    ) -> list[Column]:
        """The row that comes first when sorted by the last column, the earliest of equal ones."""
        xp, context = self._context.xp, self._context
        largest = self._call.function in ("max", "bool_or", "arg_max")
        key = columns[-1]
        values = key.values
        plain = key.strings is None and values.ndim == 1 and not key.dtype.is_float
        if len(columns) == 1 and plain and values.dtype != np.uint64:
            is_bool = values.dtype == bool
            numbers = values.view(np.int8) if is_bool else values
            folded = self._values("maximum" if largest else "minimum", numbers, frames)
            folded = xp.where(known, folded, folded.dtype.type(0))
            return [Column(key.dtype, folded == 1 if is_bool else folded, validity, None, key.bounds)]
        if len(values) == 0:
            nothing = xp.full(len(known), -1, xp.int64)
            return [pick(column, nothing, context) for column in columns]
        words, bits = value_words(key, context)
        if largest:
            words = [xp.uint64((1 << size) - 1) - word for word, size in zip(words, bits, strict=True)]
        order = context.kernels.sort.order(words, bits)
        place = xp.empty(len(order), xp.int64)
        place[order] = xp.arange(len(order))
        best = self._values("minimum", place, frames)
        best = xp.where(known, order[xp.minimum(best, len(order) - 1)], -1)
        return [pick(column, best, context) for column in columns]

    def _deviations(self, columns: Sequence[Column], frames: Frames, validity: Array | None) -> list[Column]:
        """Mean, sum of squared deviations and count, merged as ``Variance`` merges them."""
        xp = self._context.xp
        leaves = tuple(column.values for column in columns)
        total: State | None = None
        for start, stop in frames.pieces:
            part = fold_spans(xp, leaves, (0.0, 0.0, 0.0), self._merge_deviations, start, stop)
            total = part if total is None else self._merge_deviations(total, part)
        assert total is not None, "a frame has a piece"
        mean, squares, count = total
        return [Column(DOUBLE, mean), Column(DOUBLE, squares), Column(DOUBLE, count, validity)]

    def _merge_deviations(self, left: State, right: State) -> State:
        xp = self._context.xp
        (mean, squares, count), (other_mean, other_squares, other_count) = left, right
        total = count + other_count
        share = other_count / xp.maximum(total, 1)
        step = xp.where((count == 0) | (other_count == 0), 0.0, other_mean - mean)
        merged = xp.where(count == 0, other_mean, mean + step * share)
        return merged, squares + other_squares + step * step * count * share, total
