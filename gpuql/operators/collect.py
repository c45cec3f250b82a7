"""Collect: keep all rows in source order."""

from __future__ import annotations

from gpuql.columnar.batch import Batch
from gpuql.memory.row_store import RowStore
from gpuql.operators.contract import RowCollector, RowsResult, RunContext
from gpuql_planner.physical.nodes import CollectSink


class CollectOperator:
    """Runs a :class:`CollectSink`."""

    def __init__(self, node: CollectSink) -> None:
        self._attributes = node.attributes

    def new_state(self, context: RunContext) -> RowCollector:
        """No batches."""
        return context.collector or context.memory.new_store("collecting rows")

    def consume(self, state: RowCollector, batch: Batch, sequence: int, context: RunContext) -> None:
        """Keep the batch, or pass it on."""
        state.append(batch.select(self._attributes), sequence)

    def combine(self, states: list[RowCollector], context: RunContext) -> RowsResult:
        """All batches by sequence; none if they were passed on."""
        stores = [state for state in states if isinstance(state, RowStore)]
        return RowsResult(in_order(stores) if stores else [])

    def is_full(self, states: list[RowCollector]) -> bool:
        """Never: every row counts."""
        return False


def in_order(stores: list[RowStore]) -> RowStore:
    """The rows of all stores, in one; those without rows are left out unless there is nothing else."""
    first, *others = stores
    for other in others:
        first.absorb(other)
    first.drop_empty()
    return first
