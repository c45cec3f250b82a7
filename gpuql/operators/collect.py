"""Collect: keep all rows in source order."""

from __future__ import annotations

from operator import itemgetter

from gpuql.columnar.batch import Batch
from gpuql.columnar.parts import batch_size, string_bytes
from gpuql.memory.row_store import RowStore
from gpuql.operators.contract import RowCollector, RowsResult, RunContext
from gpuql.thresholds import FEW_COLLECTED_BATCHES, UNCOUNTED_RESULT_BYTES
from gpuql_planner.physical.nodes import CollectSink


class CollectOperator:
    """Runs a :class:`CollectSink`."""

    def __init__(self, node: CollectSink) -> None:
        self._attributes = node.attributes

    def new_state(self, context: RunContext) -> RowCollector:
        """No batches."""
        return context.collector or _CollectedRows(context)

    def consume(self, state: RowCollector, batch: Batch, sequence: int, context: RunContext) -> None:
        """Keep the batch, or pass it on."""
        state.append(batch.select(self._attributes), sequence)

    def combine(self, states: list[RowCollector], context: RunContext) -> RowsResult:
        """All batches by sequence; none if they were passed on."""
        collected = [state for state in states if isinstance(state, _CollectedRows)]
        if not collected:
            return RowsResult([])
        if len(collected) == 1 and collected[0].store is None:
            return RowsResult(collected[0].few_in_order())
        return RowsResult(in_order([state.stored() for state in collected]))

    def is_full(self, states: list[RowCollector]) -> bool:
        """Never: every row counts."""
        return False


class _CollectedRows:
    """The rows of a worker: a few small batches as they are, for a store would cost more; more of them in a store.

    What they take is not accounted for as long as they are few. On a device all rows are in stores, which know where.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._few: list[tuple[int, Batch]] = []
        self._few_bytes = 0
        self.store: RowStore | None = None
        if context.device is not None:
            self.stored()

    def append(self, batch: Batch, sequence: int = 0) -> None:
        """See ``RowCollector``."""
        if self.store is None:
            size = batch_size(batch, self._context.memory.resident)
            self._few_bytes += size.row_bytes + sum(string_bytes(strings) for strings in size.strings)
            if self._few_bytes <= UNCOUNTED_RESULT_BYTES and len(self._few) < FEW_COLLECTED_BATCHES:
                self._few.append((sequence, batch))
                return
        self.stored().append(batch, sequence)

    def few_in_order(self) -> list[Batch]:
        """The batches, if there is no store; those without rows are left out unless there is nothing else."""
        batches = [batch for _, batch in sorted(self._few, key=itemgetter(0))]
        return [batch for batch in batches if batch.num_rows] or batches[:1]

    def stored(self) -> RowStore:
        """The store with all batches."""
        if self.store is None:
            self.store = self._context.memory.new_store("collecting rows")
            for sequence, batch in self._few:
                self.store.append(batch, sequence)
            self._few = []
        return self.store


def in_order(stores: list[RowStore]) -> RowStore:
    """The rows of all stores, in one; those without rows are left out unless there is nothing else."""
    first, *others = stores
    for other in others:
        first.absorb(other)
    first.drop_empty()
    return first
