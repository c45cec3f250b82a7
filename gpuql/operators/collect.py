"""Collect: keep all rows in source order."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpuql.columnar.batch import Batch
from gpuql.operators.contract import RowsResult, RunContext
from gpuql_planner.physical.nodes import CollectSink


@dataclass(eq=False)
class CollectState:
    """Batches of one worker with their place in the source."""

    batches: list[tuple[int, Batch]] = field(default_factory=list)


def ordered_batches(states: list[CollectState]) -> list[Batch]:
    """All workers' batches in source order, empty ones left out unless there is nothing else."""
    batches = sorted((item for state in states for item in state.batches), key=lambda item: item[0])
    filled = [batch for _, batch in batches if batch.num_rows]
    return filled or [batch for _, batch in batches[:1]]


class CollectOperator:
    """Runs a :class:`CollectSink`."""

    def __init__(self, node: CollectSink) -> None:
        self._attributes = node.attributes

    def new_state(self, context: RunContext) -> CollectState:
        """No batches."""
        return CollectState()

    def consume(self, state: CollectState, batch: Batch, sequence: int, context: RunContext) -> None:
        """Keep the batch."""
        state.batches.append((sequence, batch.select(self._attributes)))

    def combine(self, states: list[CollectState], context: RunContext) -> RowsResult:
        """All batches by sequence."""
        return RowsResult(ordered_batches(states))
