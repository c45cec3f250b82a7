"""Accumulators that choose a row or a value of a group: extremes, first and last, arg_min and arg_max."""

from __future__ import annotations

import numpy as np

from gpuql.columnar.column import Array, Column
from gpuql.operators.accumulators.rows import (
    Rows,
    pick,
    present,
    rank_word,
    row_with_smallest,
    without_nulls,
)
from gpuql.operators.contract import RunContext
from gpuql_planner.types import BIGINT, DataType


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
