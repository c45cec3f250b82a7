"""Unnest: each row once for each element of its lists."""

from __future__ import annotations

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_batches
from gpuql.columnar.construct import null_column
from gpuql.columnar.nested import Lists, device_column, host_column, read_lists
from gpuql.columnar.parts import batch_size
from gpuql.expressions.evaluate import evaluate
from gpuql.expressions.list_rows import entry_bytes_of
from gpuql.operators.contract import RunContext
from gpuql.thresholds import DECODED_COPIES
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.physical.nodes import UnnestExec
from gpuql_planner.types import BIGINT

OWNER = "unnest"


class UnnestOperator:
    """Runs an :class:`UnnestExec`."""

    def __init__(self, node: UnnestExec) -> None:
        self._node = node

    def process(self, batch: Batch, context: RunContext) -> Batch:
        """Copies of a row stand next to each other, in the order of the elements."""
        node = self._node
        columns = {a: evaluate(e, batch, context) for a, e in node.lists}
        decoded = DECODED_COPIES * sum(entry_bytes_of(host_column(column)) for column in columns.values())
        if decoded <= context.work_bytes or batch.num_rows < 2:
            with context.working(decoded, OWNER):
                return self._unnested(batch, columns, context)
        parts = []
        step = max(1, batch.num_rows * context.work_bytes // decoded)
        for start in range(0, batch.num_rows, step):
            stop = min(start + step, batch.num_rows)
            some = {attribute: column.slice(start, stop) for attribute, column in columns.items()}
            with context.working(decoded * (stop - start) // batch.num_rows, OWNER):
                parts.append(self._unnested(batch.slice(start, stop), some, context))
        return concat_batches(parts, xp=context.xp)

    def _unnested(self, batch: Batch, columns: dict[Attribute, Column], context: RunContext) -> Batch:
        node = self._node
        lists = {attribute: read_lists(column) for attribute, column in columns.items()}
        times = np.max([one.lengths for one in lists.values()], axis=0, initial=0)
        if node.keep_empty:
            times = np.maximum(times, 1)
        total = int(times.sum())
        # Copies of a row point at the same strings: what its fixed part takes is copied, beside places of elements.
        row_bytes = batch_size(batch).row_bytes // max(1, batch.num_rows)
        with context.memory.reserve(total * (3 * 8 + row_bytes), OWNER):
            rows = np.repeat(np.arange(batch.num_rows), times)
            starts = np.cumsum(times) - times
            place = np.arange(total) - starts[rows]
            copies = batch.take(context.xp.asarray(rows))
            made = dict(copies.columns)
            for attribute, one in lists.items():
                made[attribute.id] = device_column(context.xp, _elements(one, rows, place))
            if node.ordinality is not None:
                made[node.ordinality.id] = Column(BIGINT, context.xp.asarray(place + 1))
            return Batch(made, total)


def _elements(lists: Lists, rows: Array, place: Array) -> Column:
    """Element ``place`` of the list of each of ``rows``; NULL behind its end."""
    if len(lists.elements) == 0:
        return null_column(lists.elements.dtype, len(rows))
    there = place < lists.lengths[rows]
    found = lists.elements.take(np.where(there, lists.offsets[rows] + place, 0))
    if bool(there.all()):
        return found
    validity = there if found.validity is None else found.validity & there
    return Column(found.dtype, found.values, validity, found.strings, found.bounds)
