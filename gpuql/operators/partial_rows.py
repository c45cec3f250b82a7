"""Aggregation by partial results: rows of keys and parts of aggregates, which can be merged at any time."""

from __future__ import annotations

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.expressions.evaluate import evaluate
from gpuql.operators.accumulators.rows import Rows
from gpuql.operators.aggregate_slots import make_slots, with_parts
from gpuql.operators.contract import RunContext
from gpuql.operators.grouping import Groups, group_rows
from gpuql.thresholds import FEW_REDUCED_ROWS, POOR_REDUCTION
from gpuql_planner.physical.nodes import AggregateSink


class PartialRows:
    """A :class:`RowForm` of rows with columns 0 … k - 1 for the keys, then the parts of each aggregate."""

    reduces = True
    is_ordered = False
    work_bytes_per_row = 120
    work_copies = 3

    def __init__(self, node: AggregateSink) -> None:
        self._node = node
        self.num_keys = len(node.keys)
        self._slots = make_slots(node)

    def partial(self, batch: Batch, place: int, context: RunContext, *, lifted: bool) -> tuple[Batch, bool]:
        """One row per group of the batch, or (``lifted``) per row; and whether grouping hardly makes it shorter.

        ``place`` is that of the first row in the source order.
        """
        xp = context.xp
        keys = [evaluate(expression, batch, context) for _, expression in self._node.keys]
        if lifted:
            rows = xp.arange(batch.num_rows)
            groups = Groups(rows, batch.num_rows, rows)
        else:
            groups = group_rows(keys, batch.num_rows, context)
            lifted = bool(keys) and groups.num_groups > max(FEW_REDUCED_ROWS, POOR_REDUCTION * batch.num_rows)
        every = groups.num_groups == batch.num_rows and groups.first is groups.ids
        columns: list[Column] = [key if every else key.take(groups.first) for key in keys]
        order = place + xp.arange(batch.num_rows)
        for slot in self._slots:
            assert slot.accumulator is not None, "functions without accumulator collect rows"
            arguments, mask = slot.arguments(batch, context)
            columns.extend(
                slot.accumulator.partial(slot.rows(groups, arguments, mask, order, context), context)
            )
        return Batch(dict(enumerate(columns)), groups.num_groups), lifted

    def reduced(self, rows: Batch, context: RunContext) -> Batch:
        """Partial rows of equal keys put together."""
        keys = [rows.columns[index] for index in range(self.num_keys)]
        groups = group_rows(keys, rows.num_rows, context)
        columns = [key.take(groups.first) for key in keys]
        order = context.xp.arange(rows.num_rows)
        for _, accumulator, parts in with_parts(self._slots, rows, self.num_keys):
            merged = Rows(groups.ids, groups.num_groups, parts, order, groups)
            columns.extend(accumulator.merge(merged, context))
        return Batch(dict(enumerate(columns)), groups.num_groups)

    def finished(self, rows: Batch, context: RunContext, *, is_reduced: bool = False) -> Batch:
        """The node's outputs."""
        if not is_reduced:
            rows = self.reduced(rows, context)
        columns: dict[int, Column] = {}
        for index, (attribute, _) in enumerate(self._node.keys):
            columns[attribute.id] = rows.columns[index]
        for slot, accumulator, parts in with_parts(self._slots, rows, self.num_keys):
            columns[slot.attribute.id] = accumulator.finish(parts, context)
        return Batch(columns, rows.num_rows)
