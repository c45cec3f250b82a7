"""mode and entropy: how often each value of a group occurs, from rows sorted by group and value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_columns
from gpuql.operators.accumulators.rows import Rows, pick
from gpuql.operators.contract import RunContext
from gpuql.operators.grouping import group_rows
from gpuql_planner.logical.expressions import AggregateCall
from gpuql_planner.types import BIGINT


@dataclass(frozen=True, eq=False)
class Occurrences:
    """Distinct values of groups: group number, value, how often it occurs, and its first place in the source."""

    ids: Array
    values: Column
    counts: Array
    places: Array


def occurrences(rows: Rows, context: RunContext) -> Occurrences:
    """The distinct values of rows in memory."""
    ids = Column(BIGINT, rows.ids)
    found = group_rows([ids, rows.columns[0]], len(rows.ids), context)
    counts = context.kernels.group_by.count(found.ids, found.num_groups)
    places = context.kernels.group_by.minimum(
        rows.order.astype(context.xp.int64), found.ids, found.num_groups
    )
    return Occurrences(rows.ids[found.first], rows.columns[0].take(found.first), counts, places)


def most_frequent(found: Occurrences, num_groups: int, context: RunContext) -> Array:
    """Position of the value that each group has most often, the earliest of several; -1 for a group without."""
    xp = context.xp
    kernel = context.kernels.group_by
    chosen = xp.full(num_groups, -1, xp.int64)
    if len(found.ids) == 0:
        return chosen
    best = kernel.maximum(found.counts, found.ids, num_groups)
    level = xp.flatnonzero(found.counts == best[found.ids])
    ids, places = found.ids[level], found.places[level]
    first = kernel.minimum(places, ids, num_groups)
    kept = places == first[ids]
    chosen[ids[kept]] = level[kept]
    return chosen


def mode(call: AggregateCall, rows: Rows, context: RunContext) -> Column:
    """The most frequent value of each group."""
    found = occurrences(rows, context)
    return pick(found.values, most_frequent(found, rows.num_groups, context), context)


def entropy(call: AggregateCall, rows: Rows, context: RunContext) -> Column:
    """Shannon entropy of each group's values in bits; 0 without values."""
    sums = EntropySums(rows.num_groups, context)
    sums.add(occurrences(rows, context))
    return sums.finished(call)


class EntropySums:
    """What the entropy of groups needs of their values: their number, and the sum of ``c log2 c`` over counts."""

    def __init__(self, num_groups: int, context: RunContext) -> None:
        xp = context.xp
        self._context = context
        self._num_groups = num_groups
        self._rows = xp.zeros(num_groups, xp.int64)
        self._sums = xp.zeros(num_groups)

    def add(self, found: Occurrences) -> None:
        """More distinct values, each given once."""
        xp, kernel = self._context.xp, self._context.kernels.group_by
        if len(found.ids) == 0:
            return
        counts = found.counts.astype(xp.float64)
        self._rows = self._rows + kernel.sum_int64(found.counts, found.ids, self._num_groups)
        self._sums = self._sums + kernel.sum_float64(counts * xp.log2(counts), found.ids, self._num_groups)

    def finished(self, call: AggregateCall) -> Column:
        """``log2 n`` less the mean of ``log2 c``."""
        xp = self._context.xp
        total = xp.maximum(self._rows, 1).astype(xp.float64)
        return Column(call.type, xp.maximum(xp.log2(total) - self._sums / total, 0.0))


class Runs:
    """Occurrences from batches of rows sorted by group and value: a run that a batch ends with may go on."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._open: Occurrences | None = None

    def add(self, rows: Rows) -> Occurrences:
        """Values that are complete with these rows."""
        xp = self._context.xp
        found = occurrences(rows, self._context)
        if self._open is not None:
            found = self._joined(self._open, found)
        if len(found.ids) == 0:
            return found
        # Only the value of the last row can go on.
        last = found.ids == (rows.ids[-1] if len(rows.ids) else found.ids[-1])
        going = self._last_value(found, rows) if len(rows.ids) else last
        self._open = _chosen(found, xp.flatnonzero(going))
        return _chosen(found, xp.flatnonzero(~going))

    def rest(self) -> Occurrences | None:
        """The last value."""
        return self._open

    def _joined(self, one: Occurrences, other: Occurrences) -> Occurrences:
        xp, kernel = self._context.xp, self._context.kernels.group_by
        ids = xp.concatenate((one.ids, other.ids))
        values = concat_columns([one.values, other.values], xp=xp)
        counts = xp.concatenate((one.counts, other.counts))
        places = xp.concatenate((one.places, other.places))
        groups = group_rows([Column(BIGINT, ids), values], len(ids), self._context)
        return Occurrences(
            ids[groups.first],
            values.take(groups.first),
            kernel.sum_int64(counts, groups.ids, groups.num_groups),
            kernel.minimum(places, groups.ids, groups.num_groups),
        )

    def _last_value(self, found: Occurrences, rows: Rows) -> Array:
        """Mask of the occurrence that the last row belongs to."""
        xp = self._context.xp
        last = rows.columns[0].slice(len(rows.ids) - 1, len(rows.ids))
        ids = xp.concatenate((rows.ids[-1:], found.ids))
        values = concat_columns([last, found.values], xp=xp)
        groups = group_rows([Column(BIGINT, ids), values], len(ids), self._context)
        same: Any = groups.ids[1:] == groups.ids[0]
        return same


def _chosen(found: Occurrences, rows: Array) -> Occurrences:
    return Occurrences(found.ids[rows], found.values.take(rows), found.counts[rows], found.places[rows])


class BestOccurrences:
    """The most frequent value of each group so far."""

    def __init__(self, num_groups: int, context: RunContext) -> None:
        self._num_groups = num_groups
        self._context = context
        self._best: Occurrences | None = None

    def add(self, found: Occurrences) -> None:
        """More distinct values, each given once."""
        xp = self._context.xp
        if self._best is not None:
            found = Occurrences(
                xp.concatenate((self._best.ids, found.ids)),
                concat_columns([self._best.values, found.values], xp=xp),
                xp.concatenate((self._best.counts, found.counts)),
                xp.concatenate((self._best.places, found.places)),
            )
        chosen = most_frequent(found, self._num_groups, self._context)
        self._best = _chosen(found, chosen[chosen >= 0])

    def finished(self, like: Column) -> Column:
        """One value per group; ``like`` is a column of the same type."""
        if self._best is None:
            return pick(like.slice(0, 0), self._context.xp.full(self._num_groups, -1), self._context)
        return pick(
            self._best.values, most_frequent(self._best, self._num_groups, self._context), self._context
        )
