"""Filter: rows for which every predicate is true."""

from __future__ import annotations

from gpuql.columnar.batch import Batch
from gpuql.expressions.selection import select_rows
from gpuql.operators.contract import RunContext
from gpuql_planner.physical.nodes import FilterExec


class FilterOperator:
    """Runs a :class:`FilterExec`. Columns that are not in ``needed`` (attribute ids, None for all) do not go on."""

    def __init__(self, node: FilterExec, needed: frozenset[int] | None = None) -> None:
        self._predicates = node.predicates
        self._needed = needed

    def process(self, batch: Batch, context: RunContext) -> Batch:
        """Rows that pass; the batch itself if all do."""
        rows = select_rows(self._predicates, batch, context)
        if rows is None:
            return batch
        if self._needed is not None:
            columns = {key: column for key, column in batch.columns.items() if key in self._needed}
            batch = Batch(columns, batch.num_rows)
        return batch.take(rows)
