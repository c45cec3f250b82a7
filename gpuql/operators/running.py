"""Running rows: one pass over rows in their order, in which each learns what stands before it."""

from __future__ import annotations

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_batches
from gpuql.columnar.construct import null_column
from gpuql.columnar.parts import batch_size
from gpuql.memory.row_store import RowStore
from gpuql.operators.collect import in_order
from gpuql.operators.contract import RowsResult, RunContext
from gpuql.thresholds import RUNNING_COPIES
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.physical.nodes import RunningSink
from gpuql_planner.types import BIGINT


class RunningOperator:
    """Runs a :class:`RunningSink`.

    Rows are kept in stores as they come, and passed over once, a part at a time: what goes from part to part is the
    number of rows and the last marked row.
    """

    def __init__(self, node: RunningSink) -> None:
        self._node = node
        self._needed = tuple(dict.fromkeys(node.inputs))

    def new_state(self, context: RunContext) -> RowStore:
        """No batches."""
        return context.memory.new_store("rows in order")

    def consume(self, state: RowStore, batch: Batch, sequence: int, context: RunContext) -> None:
        """Keep the batch."""
        state.append(batch.select(self._needed), sequence)

    def combine(self, states: list[RowStore], context: RunContext) -> RowsResult:
        """Pass over all rows in order."""
        result = context.memory.new_store("rows in order")
        number = 0
        last: Batch | None = None
        for batch in in_order(states).drain():
            row_bytes = max(1, batch_size(batch).row_bytes // max(1, batch.num_rows))
            size = max(1, context.memory.part_bytes // (RUNNING_COPIES * row_bytes))
            for start in range(0, max(1, batch.num_rows), size):
                context.check_cancelled()
                part = batch.slice(start, start + size)
                with context.memory.reserve(RUNNING_COPIES * row_bytes * part.num_rows, "rows in order"):
                    rows, last = self._passed(part, number, last, context)
                result.append(rows, number)
                number += part.num_rows
        result.drop_empty()
        return RowsResult(result)

    def is_full(self, states: list[RowStore]) -> bool:
        """Never: every row counts."""
        return False

    def _passed(
        self, rows: Batch, number: int, last: Batch | None, context: RunContext
    ) -> tuple[Batch, Batch | None]:
        """What a part puts out, and the last marked row after it."""
        node, xp = self._node, context.xp
        columns = dict(rows.select(node.attributes).columns)
        if node.number is not None:
            numbers = xp.arange(number + 1, number + rows.num_rows + 1, dtype=np.int64)
            columns[node.number.id] = Column(
                BIGINT, numbers, None, None, (number + 1, number + max(rows.num_rows, 1))
            )
        passed = Batch(columns, rows.num_rows)
        if node.marker is None:
            return passed, None
        marked = _truth(rows[node.marker])
        stays = xp.flatnonzero(~marked)
        before = xp.cumsum(marked)[stays]  # marked rows so far
        sources = Batch({out.id: rows[origin] for out, origin in node.carried}, rows.num_rows)
        sources = sources.take(xp.flatnonzero(marked))
        if last is None:
            before = before - 1
        else:
            sources = concat_batches([last, sources], xp=xp)
        carried = {out.id: _taken(sources[out], out, before, context) for out, _ in node.carried}
        after = sources.slice(sources.num_rows - 1, sources.num_rows) if sources.num_rows else None
        kept = passed.take(stays)
        return Batch({**kept.columns, **carried}, kept.num_rows), after


def _truth(column: Column) -> Array:
    return column.values if column.validity is None else column.values & column.validity


def _taken(source: Column, attribute: Attribute, places: Array, context: RunContext) -> Column:
    """Values at ``places``; NULL at -1."""
    xp = context.xp
    if not len(source):
        return null_column(attribute.dtype, len(places), xp=xp)
    found = places >= 0
    taken = source.take(xp.maximum(places, 0))
    if bool(found.all()):
        return taken
    validity = found if taken.validity is None else found & taken.validity
    return Column(taken.dtype, taken.values, validity, taken.strings, taken.bounds)
