"""Limit: rows offset … offset + limit in source order."""

from __future__ import annotations

from gpuql.columnar.batch import Batch
from gpuql.memory.row_store import RowStore
from gpuql.operators.collect import in_order
from gpuql.operators.contract import RowsResult, RunContext
from gpuql.operators.row_copies import without_large_views
from gpuql_planner.physical.nodes import LimitSink


class LimitOperator:
    """Runs a :class:`LimitSink`.

    Each worker keeps what could still be in the result: of the batches it saw, the first ones in source order that
    together hold ``offset + limit`` rows.
    """

    def __init__(self, node: LimitSink) -> None:
        self._attributes = node.attributes
        self._offset = node.offset
        self._stop = None if node.limit is None else node.offset + node.limit

    def new_state(self, context: RunContext) -> RowStore:
        """No batches."""
        return context.memory.new_store("limit")

    def consume(self, state: RowStore, batch: Batch, sequence: int, context: RunContext) -> None:
        """Keep the batch if fewer than ``offset + limit`` rows stand before it."""
        if self._stop is not None:
            if len(state) and state.rows_before(sequence) >= self._stop:
                return
            batch = batch.slice(0, self._stop)
        state.append(batch.select(self._attributes), sequence)

    def combine(self, states: list[RowStore], context: RunContext) -> RowsResult:
        """Cut the rows out of the ordered batches."""
        rows = in_order(states)
        if self._stop is None and self._offset == 0:
            return RowsResult(rows)
        kept = context.memory.new_store("limit")
        position = 0
        for batch in rows.drain():
            start = max(self._offset - position, 0)
            stop = batch.num_rows if self._stop is None else min(batch.num_rows, self._stop - position)
            if start < stop:
                # Few rows of a large batch would keep all of it in memory.
                rows_kept = without_large_views(batch.slice(start, stop), context.memory.resident)
                kept.append(rows_kept, position)
            elif not len(kept):
                kept.append(batch.slice(0, 0), position)  # of no rows, the types are still asked for
            position += batch.num_rows
            if self._stop is not None and position >= self._stop:
                break
        rows.close()
        kept.drop_empty()
        return RowsResult(kept)

    def is_full(self, states: list[RowStore]) -> bool:
        """Once there are ``offset + limit`` rows: parts come in source order."""
        return self._stop is not None and sum(state.num_rows for state in states) >= self._stop
