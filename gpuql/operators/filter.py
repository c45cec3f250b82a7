"""Filter: rows for which every predicate is true."""

from __future__ import annotations

from gpuql.columnar.batch import Batch
from gpuql.expressions.selection import select_rows
from gpuql.operators.contract import RunContext
from gpuql_planner.physical.nodes import FilterExec


class FilterOperator:
    """Runs a :class:`FilterExec`."""

    def __init__(self, node: FilterExec) -> None:
        self._predicates = node.predicates

    def process(self, batch: Batch, context: RunContext) -> Batch:
        """Rows that pass; the batch itself if all do."""
        rows = select_rows(self._predicates, batch, context)
        return batch if rows is None else batch.take(rows)
