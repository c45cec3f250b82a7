"""Window functions: rows sorted by partition and order, then every call computed over a part of them at once.

Where all calls are aggregates over whole partitions nothing is sorted. All rows at once if memory has room for the
work; else some partitions at a time as they come from the sort; else, of a partition that is larger than that, block
by block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gpuql.columnar.batch import Batch
from gpuql.memory.budget import Reservation
from gpuql.memory.row_store import RowStore
from gpuql.operators.collect import in_order
from gpuql.operators.contract import RowsResult, RunContext
from gpuql.operators.row_copies import bytes_per_row, joined, with_own_strings
from gpuql.operators.sort import SortOperator, SortState
from gpuql.operators.window_blocks import BlockBuilder
from gpuql.operators.window_calls import call_column
from gpuql.operators.window_groups import grouped_batch
from gpuql.operators.window_large import LargePartition
from gpuql.operators.window_rows import SortedRows
from gpuql.thresholds import (
    FEWEST_WINDOW_BYTES,
    WINDOW_BLOCKS_IN_HAND,
    WINDOW_LIMIT_ROWS,
    WINDOW_ROW_BYTES,
    WINDOW_SHARE,
)
from gpuql_kernels.tasks import serially
from gpuql_planner.logical.expressions import Attribute, Expression
from gpuql_planner.logical.visit import references
from gpuql_planner.logical.window_calls import WindowCall
from gpuql_planner.physical.nodes import SortSink, WindowSink

OWNER = "window"


@dataclass(eq=False)
class WindowState:
    """Rows of one worker: in a sort, or as they come if there is nothing to sort by.

    Once it holds more than ``cut_above`` rows, those beyond the node's limit are left out.
    """

    rows: RowStore | None
    sort: SortState | None
    cut_above: int


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
            return WindowState(context.memory.new_store(OWNER), None, WINDOW_LIMIT_ROWS)
        return WindowState(None, self._sort.new_state(context), WINDOW_LIMIT_ROWS)

    def consume(self, state: WindowState, batch: Batch, sequence: int, context: RunContext) -> None:
        """Keep the rows."""
        if state.sort is not None and self._sort is not None:
            self._sort.consume(state.sort, batch, sequence, context)
            if self._node.limit is not None and state.sort.num_rows > state.cut_above:
                self._cut_back(state, state.sort, self._node.limit, replace(context, run_tasks=serially))
        elif state.rows is not None:
            state.rows.append(batch.select(self._read), sequence)

    def _cut_back(
        self, state: WindowState, sort: SortState, limit: tuple[Attribute, int], context: RunContext
    ) -> None:
        """Keep the rows whose rank among those seen is within the limit, in their order."""
        assert self._sort is not None, "only sorted rows have a limit"
        wanted = int(work_bytes(self._node, sort.rows.total_bytes, sort.num_rows))
        reservation = None if sort.rows.is_spilled else context.memory.try_reserve(wanted, OWNER)
        state.cut_above = 2 * sort.num_rows
        if reservation is None:
            return
        with reservation:
            numbered = list(sort.rows.drain_numbered(reservation))
            rows = joined([batch for _, batch in numbered], context)
            order = self._sort.order(rows, context)
            operands = {attribute for _, call in self._node.calls for attribute in references(call)}
            keys = Batch({a.id: rows.columns[a.id] for a in operands}, rows.num_rows)
            ranks = call_column(dict(self._node.calls)[limit[0]], SortedRows(keys.take(order), context))
            kept = context.xp.sort(order[ranks.values <= limit[1]])
            sort.forget(context)
            start = 0
            for sequence, batch in numbered:
                inside = kept[(kept >= start) & (kept < start + batch.num_rows)] - start
                start += batch.num_rows
                if len(inside) or start == rows.num_rows:
                    self._sort.consume(sort, batch.take(inside), sequence, context)
        state.cut_above = max(WINDOW_LIMIT_ROWS, 2 * sort.num_rows)

    def end_part(self, states: list[WindowState], context: RunContext) -> None:
        """See ``PartwiseSink``."""
        if self._sort is not None:
            self._sort.end_part([state.sort for state in states if state.sort is not None], context)

    def is_full(self, states: list[WindowState]) -> bool:
        """Never: every row counts."""
        return False

    def combine(self, states: list[WindowState], context: RunContext) -> RowsResult:
        """Order the rows, if any call needs that, and compute all calls."""
        if not self._node.needs_order:
            unsorted = self._as_they_came(states, context)
            result = None if unsorted is None else self._at_once(unsorted, grouped_batch, context)
            if result is not None:
                return result
        rows = self._ordered(states, context)
        return self._at_once(rows, computed_batch, context) or RowsResult(self._streamed(rows, context))

    def _at_once(
        self, rows: RowStore, compute: Callable[[WindowSink, Batch, RunContext], Batch], context: RunContext
    ) -> RowsResult | None:
        """The result of all rows together; None if memory has no room for that, and then they stay where they are."""
        result = context.memory.new_store(OWNER)
        if not len(rows):
            return RowsResult(result)
        if rows.is_spilled:
            return None
        wanted = int(work_bytes(self._node, rows.total_bytes, rows.num_rows)) - rows.reclaimable_bytes
        if wanted > context.memory.budget.available_bytes:
            return None
        reservation = context.memory.try_reserve(max(0, wanted), OWNER)
        if reservation is None:
            return None
        with reservation:
            computed = compute(self._node, joined(list(rows.drain(reservation)), context), context)
        result.append(computed)
        return RowsResult(result)

    def _as_they_came(self, states: list[WindowState], context: RunContext) -> RowStore | None:
        """All rows, in the store of the first state from now on; None if some are sorted already."""
        sorts = [state.sort for state in states if state.sort is not None]
        if not sorts or sorts[0].runs is not None:
            return None
        rows = in_order([sort.rows for sort in sorts])
        for sort in sorts[1:]:
            sort.rows = context.memory.new_store(OWNER)
        return rows

    def _streamed(self, rows: RowStore, context: RunContext) -> RowStore:
        """Calls of the same partitions together, one such set after the other: none changes the order of rows."""
        sets: dict[frozenset[Expression], list[tuple[Attribute, WindowCall]]] = {}
        for attribute, call in self._node.calls:
            sets.setdefault(frozenset(call.partition_by), []).append((attribute, call))
        done: list[Attribute] = []
        for number, calls in enumerate(sets.values(), start=1):
            kept = self._node.attributes if number == len(sets) else self._read
            step = WindowSink(self._node.keys, tuple(calls), (*kept, *done))
            result = context.memory.new_store(OWNER)
            _Stream(step, rows, result, context).run()
            rows = result
            done += [attribute for attribute, _ in calls]
        return rows

    def _ordered(self, states: list[WindowState], context: RunContext) -> RowStore:
        if self._sort is None:
            return in_order([state.rows for state in states if state.rows is not None])
        kept = self._sort.combine([state.sort for state in states if state.sort is not None], context).batches
        assert isinstance(kept, RowStore), "a sort leaves a store"
        return kept


def work_bytes(node: WindowSink, num_bytes: float, num_rows: int) -> float:
    """Memory that it takes to compute all calls over rows of so many bytes, the rows and the result included."""
    return 3 * num_bytes + num_rows * (WINDOW_ROW_BYTES + 16 * len(node.calls))


def computed_batch(node: WindowSink, rows: Batch, context: RunContext) -> Batch:
    """The node's outputs for whole partitions in order."""
    columns = {a.id: rows.columns[a.id] for a in node.attributes}
    ordered = SortedRows(rows, context)
    for attribute, call in node.calls:
        context.check_cancelled()
        columns[attribute.id] = call_column(call, ordered)
    return Batch(columns, rows.num_rows)


class _Stream:
    """Computes ordered rows some partitions at a time, or of a large partition some blocks."""

    def __init__(self, node: WindowSink, rows: RowStore, result: RowStore, context: RunContext) -> None:
        self._node, self._rows, self._result, self._context = node, rows, result, context
        #: What all calls partition by.
        self._keys = frozenset(node.calls[0][1].partition_by)
        self._most_bytes = 0
        self._pending: list[Batch] = []
        self._pending_bytes = 0.0
        #: A partition in blocks, and its last row.
        self._large: BlockBuilder | None = None
        self._last: Batch | None = None

    def run(self) -> None:
        """Let go of the rows and fill the result."""
        with self._context.memory.reserve(0, OWNER) as reservation:
            self._most_bytes = self._reserved_bytes(reservation)
            for batch in self._rows.drain():
                self._context.check_cancelled()
                row_bytes = max(1.0, work_bytes(self._node, bytes_per_row(batch), 1))
                step = max(1, int(self._most_bytes / row_bytes / 4))
                for start in range(0, batch.num_rows, step):
                    part = batch.slice(start, start + step)
                    more = row_bytes * part.num_rows
                    if self._pending and self._pending_bytes + more > self._most_bytes:
                        self._compute_complete()
                    self._pending.append(part)
                    self._pending_bytes += more
                del batch
            if self._pending:
                self._compute_complete()
            if self._large is not None:
                self._compute_large()
            if self._pending:
                self._compute(joined(self._pending, self._context))

    def _reserved_bytes(self, reservation: Reservation) -> int:
        """Memory for all of the work: less than the share that is ours where others hold too much."""
        wanted = int(WINDOW_SHARE * self._context.memory.budget.limit_bytes)
        while wanted > FEWEST_WINDOW_BYTES and not reservation.try_resize(wanted):
            wanted //= 2
        reservation.resize(wanted)
        return wanted

    def _compute(self, rows: Batch) -> None:
        self._result.append(computed_batch(self._node, rows, self._context))

    def _compute_complete(self) -> None:
        """Compute the partitions that have ended; what is left waits, in blocks if it is one large partition."""
        rows = joined(self._pending, self._context)
        spans = SortedRows(rows, self._context).spans_of(self._keys)
        first_end, last_start = int(spans.stops[0]), int(spans.starts[-1])
        begin = 0
        if self._large is not None:
            # The first rows may belong to the partition whose blocks are kept.
            begin = first_end if self._continues(rows) else 0
            if begin:
                self._keep_block(rows.slice(0, begin))
            if begin < rows.num_rows:
                self._compute_large()
        if begin < last_start:
            self._compute(rows.slice(begin, last_start))
            begin = last_start
        rest = self._own(rows.slice(begin, rows.num_rows)) if begin < rows.num_rows else None
        del rows
        self._pending, self._pending_bytes = [], 0.0
        if rest is None:
            return
        num_bytes = work_bytes(self._node, bytes_per_row(rest) * rest.num_rows, rest.num_rows)
        if num_bytes > self._most_bytes / 2:
            self._large = BlockBuilder(self._context)
            self._keep_block(rest)
            self._last = rest.slice(rest.num_rows - 1, rest.num_rows)
        else:
            self._pending, self._pending_bytes = [rest], num_bytes

    def _continues(self, rows: Batch) -> bool:
        """Whether ``rows`` begin in the partition whose blocks are kept."""
        assert self._last is not None, "a large partition has rows"
        both = joined([self._last, rows.slice(0, 1)], self._context)
        return len(SortedRows(both, self._context).spans_of(self._keys)) == 1

    def _keep_block(self, rows: Batch) -> None:
        assert self._large is not None, "a large partition has begun"
        row_bytes = work_bytes(self._node, bytes_per_row(rows), 1)
        # Half of the memory is for blocks in hand, the other for work on some.
        most_bytes = self._most_bytes / (2 * WINDOW_BLOCKS_IN_HAND)
        self._large.append(rows, max(1, int(most_bytes / row_bytes)))

    def _compute_large(self) -> None:
        """Compute the partition that is kept in blocks."""
        assert self._large is not None, "a large partition has begun"
        blocks, store = self._large.finish()
        self._large = None
        for batch in LargePartition(blocks, self._node.calls).batches(self._node.attributes):
            self._result.append(batch)
        store.close()
        self._context.memory.metrics.add_partitions(1)

    def _own(self, rows: Batch) -> Batch:
        """The rows in arrays of their own."""
        return with_own_strings(rows.take(self._context.xp.arange(rows.num_rows)), self._context)
