"""Limit: rows offset … offset + limit in source order."""

from __future__ import annotations

from gpuql.columnar.batch import Batch
from gpuql.operators.collect import CollectState, ordered_batches
from gpuql.operators.contract import RowsResult, RunContext
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

    def new_state(self, context: RunContext) -> CollectState:
        """No batches."""
        return CollectState()

    def consume(self, state: CollectState, batch: Batch, sequence: int, context: RunContext) -> None:
        """Keep the batch if fewer than ``offset + limit`` rows stand before it."""
        if self._stop is not None:
            before = sum(kept.num_rows for place, kept in state.batches if place < sequence)
            if before >= self._stop and state.batches:
                return
            batch = batch.slice(0, self._stop)
        state.batches.append((sequence, batch.select(self._attributes)))

    def combine(self, states: list[CollectState], context: RunContext) -> RowsResult:
        """Cut the rows out of the ordered batches."""
        batches = ordered_batches(states)
        kept, position = [], 0
        for batch in batches:
            start = max(self._offset - position, 0)
            stop = batch.num_rows if self._stop is None else min(batch.num_rows, self._stop - position)
            if start < stop:
                kept.append(batch.slice(start, stop))
            position += batch.num_rows
        return RowsResult(kept or [batch.slice(0, 0) for batch in batches[:1]])
