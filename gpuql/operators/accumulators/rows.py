"""Rows with group numbers, the contract of an accumulator, and what several of them ask of such rows.

Partial results are columns with one row for each group, NULL where the group saw nothing, so they are joined and
grouped again like any other rows. Rows that an aggregate ignores (NULL arguments, FILTER) are dropped before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gpuql.columnar.column import Array, Column
from gpuql.operators.contract import RunContext
from gpuql.operators.grouping import Groups
from gpuql.operators.ordering import value_words


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
