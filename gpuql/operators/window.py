"""Window functions: rows sorted by partition and order, then every call computed over a part of them at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gpuql.columnar.batch import Batch
from gpuql.memory.row_store import RowStore
from gpuql.operators.collect import in_order
from gpuql.operators.contract import RowsResult, RunContext
from gpuql.operators.row_copies import joined
from gpuql.operators.sort import SortOperator, SortState
from gpuql.operators.window_calls import call_column
from gpuql.operators.window_rows import SortedRows
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.logical.visit import references
from gpuql_planner.physical.nodes import SortSink, WindowSink


@dataclass(eq=False)
class WindowState:
    """Rows of one worker: in a sort, or as they come if there is nothing to sort by."""

    rows: RowStore | None
    sort: SortState | None


class WindowOperator:
    """Runs a :class:`WindowSink`."""

    def __init__(self, node: WindowSink) -> None:
        self._node = node
        read: dict[Attribute, None] = dict.fromkeys(node.attributes)
        for key in node.keys:
            read.update(dict.fromkeys(references(key.expression)))
        for _, call in node.calls:
            read.update(dict.fromkeys(sorted(references(call), key=lambda a: a.id)))
        self._read = tuple(read)
        self._sort = SortOperator(SortSink(node.keys, self._read)) if node.keys else None

    def new_state(self, context: RunContext) -> WindowState:
        """No rows."""
        if self._sort is None:
            return WindowState(context.memory.new_store("window"), None)
        return WindowState(None, self._sort.new_state(context))

    def consume(self, state: WindowState, batch: Batch, sequence: int, context: RunContext) -> None:
        """Keep the rows."""
        if state.sort is not None and self._sort is not None:
            self._sort.consume(state.sort, batch, sequence, context)
        elif state.rows is not None:
            state.rows.append(batch.select(self._read), sequence)

    def end_part(self, states: list[WindowState], context: RunContext) -> None:
        """See ``PartwiseSink``."""
        if self._sort is not None:
            self._sort.end_part([state.sort for state in states if state.sort is not None], context)

    def is_full(self, states: list[WindowState]) -> bool:
        """Never: every row counts."""
        return False

    def combine(self, states: list[WindowState], context: RunContext) -> RowsResult:
        """Order the rows and compute all calls."""
        rows = self._ordered(states, context)
        result = context.memory.new_store("window")
        batches = list(rows.drain())
        if batches:
            result.append(self._computed(joined(batches, context), context))
        return RowsResult(result)

    def _ordered(self, states: list[WindowState], context: RunContext) -> RowStore:
        if self._sort is None:
            return in_order([state.rows for state in states if state.rows is not None])
        kept = self._sort.combine([state.sort for state in states if state.sort is not None], context).batches
        assert isinstance(kept, RowStore), "a sort leaves a store"
        return kept

    def _computed(self, rows: Batch, context: RunContext) -> Batch:
        """The node's outputs for whole partitions."""
        columns: dict[int, Any] = {a.id: rows.columns[a.id] for a in self._node.attributes}
        ordered = SortedRows(rows, context)
        for attribute, call in self._node.calls:
            context.check_cancelled()
            columns[attribute.id] = call_column(call, ordered)
        return Batch(columns, rows.num_rows)
