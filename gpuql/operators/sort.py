"""Sort and top-N: rows in order of keys, stable in the order in which a worker takes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array
from gpuql.expressions.evaluate import evaluate
from gpuql.memory.row_store import RowStore
from gpuql.operators.collect import in_order
from gpuql.operators.contract import RowsResult, RunContext
from gpuql.operators.ordering import Direction
from gpuql.operators.row_copies import (
    bytes_per_row,
    gathered,
    gathered_columns,
    idle_string_bytes,
    join_bytes_per_row,
    joined,
)
from gpuql.operators.sort_keys import SortKeys, SortOrder
from gpuql.operators.sorted_runs import SortedRuns
from gpuql.operators.top_n import KeyThreshold, rows_within, threshold_of
from gpuql.thresholds import (
    FEWEST_RUN_ROWS,
    SORTED_RUN_SHARE,
    TOP_N_GROWTH,
    TOP_N_SEED_ROWS,
    TOP_N_SPARE_ROWS,
)
from gpuql_kernels.tasks import serially
from gpuql_planner.logical.expressions import AttributeRef
from gpuql_planner.physical.nodes import SortSink


@dataclass(eq=False)
class SortState:
    """Rows of one worker, of attributes and computed keys, by sequence; ``sort_bytes`` is what sorting them takes.

    ``cut_bytes`` is what it takes to find the best of them by their keys. With a limit, ``num_seen`` counts the rows
    looked at, ``last_sequence`` is the highest of their sequences, and ``thresholds`` are the keys of the last row that
    can be in the result, once enough rows are known. Once it holds more than ``cut_above`` rows the state is cut back.
    ``runs`` are those of all workers, in the first one's state.
    """

    rows: RowStore
    cut_above: int
    num_rows: int = 0
    sort_bytes: int = 0
    cut_bytes: int = 0
    num_seen: int = 0
    last_sequence: int = -1
    thresholds: list[KeyThreshold] | None = None
    runs: SortedRuns | None = None

    def forget(self, context: RunContext) -> None:
        """Begin anew, without rows."""
        self.rows = context.memory.new_store("sort")
        self.num_rows = self.sort_bytes = self.cut_bytes = 0


class SortOperator:
    """Runs a :class:`SortSink`.

    With a limit N, a worker keeps little more than N rows: it compares keys with those of the N-th best row so far,
    and touches other columns only for rows that come before it. Rows that memory has no room to sort at once are
    sorted in runs, between the parts of the source, by all workers.
    """

    def __init__(self, node: SortSink) -> None:
        self._node = node
        self._stop = None if node.limit is None else node.offset + node.limit
        self._key_ids = [
            key.expression.attribute.id if isinstance(key.expression, AttributeRef) else -1 - position
            for position, key in enumerate(node.keys)
        ]
        self._directions = [Direction(key.descending, key.nulls_first) for key in node.keys]
        self._order = SortOrder(tuple(self._key_ids), tuple(self._directions))
        # Sorted: columns of all batches in one order.
        self._needed = sorted({a.id for a in node.attributes} | {key for key in self._key_ids if key >= 0})

    def new_state(self, context: RunContext) -> SortState:
        """No rows."""
        return SortState(
            context.memory.new_store("sort"), 0 if self._stop is None else 2 * self._stop + TOP_N_SPARE_ROWS
        )

    def consume(self, state: SortState, batch: Batch, sequence: int, context: RunContext) -> None:
        """Keep the rows, or with a limit those that can be among the first."""
        columns = {key: batch.columns[key] for key in self._needed}
        for place, key in zip(self._key_ids, self._node.keys, strict=True):
            if place < 0:
                columns[place] = evaluate(key.expression, batch, context)
        rows = Batch(columns, batch.num_rows)
        if self._stop is None:
            self._keep(state, rows, sequence, context)
            return
        context = replace(context, run_tasks=serially)  # this runs on one of the threads
        start = 0
        while start < rows.num_rows:
            size = TOP_N_GROWTH * state.num_seen if state.thresholds else max(TOP_N_SEED_ROWS, 2 * self._stop)
            part = rows.slice(start, start + size) if start or size < rows.num_rows else rows
            self._keep_best(state, part, sequence, context)
            start += size
        if not len(state.rows):
            self._keep(
                state, rows.slice(0, 0), sequence, context
            )  # of no rows, the types are still asked for

    def order(self, rows: Batch, context: RunContext) -> Array:
        """Positions in order of ``rows`` (at least one) with all keys as columns; equal rows stay as they are."""
        return self._order.order(rows, context)

    def _keep(self, state: SortState, rows: Batch, sequence: int, context: RunContext) -> None:
        state.rows.append(rows, sequence)
        state.num_rows += rows.num_rows
        state.sort_bytes += self._sort_bytes(rows, context)
        if self._stop is not None:
            state.cut_bytes += self._sort_bytes(self._keys_of(rows), context)

    def _sort_bytes(self, rows: Batch, context: RunContext) -> int:
        """Bytes that rows take while they are joined with others, then sorted, then copied in order."""
        join = join_bytes_per_row(rows, context)
        order = bytes_per_row(rows) + self._order.work_bytes(rows)
        return int(max(join, order) * rows.num_rows)

    def _keep_best(self, state: SortState, rows: Batch, sequence: int, context: RunContext) -> None:
        """Keep what comes before the threshold, and lower that once enough was kept."""
        assert self._stop is not None, "only a limit leaves rows out"
        num_seen = rows.num_rows
        if state.thresholds:
            # Rows that come later lose against equal ones that are kept already.
            with_ties = sequence < state.last_sequence
            keys = [rows.columns[key] for key in self._key_ids]
            chosen = rows_within(keys, state.thresholds, self._directions, context, with_ties=with_ties)
            if chosen is not None:
                rows = rows.take(chosen)
        state.num_seen += num_seen
        state.last_sequence = max(state.last_sequence, sequence)
        if rows.num_rows:
            self._keep(state, rows, sequence, context)
        if state.num_rows > state.cut_above:
            self._cut_back(state, context)

    def end_part(self, states: list[SortState], context: RunContext) -> None:
        """Sort what was kept to a run if it is much, and make room for more."""
        budget = context.memory.budget
        for state in states:
            if self._stop is not None and state.num_rows > 2 * self._stop + TOP_N_SPARE_ROWS:
                self._cut_back(state, context)  # there was no room before
        if sum(state.sort_bytes for state in states) > SORTED_RUN_SHARE * budget.limit_bytes:
            self._make_runs(states, context)
        runs = states[0].runs
        if runs is not None:
            kept_bytes = sum(state.rows.reclaimable_bytes for state in states)
            runs.make_room(int(SORTED_RUN_SHARE * budget.limit_bytes) - kept_bytes)

    def combine(self, states: list[SortState], context: RunContext) -> RowsResult:
        """Order all rows."""
        if states[0].runs is None:
            result = self._sorted_at_once(states, context)
            if result is not None:
                return result
        self._make_runs(states, context)
        runs = states[0].runs
        assert runs is not None, "rows that are too many for memory are there"
        return RowsResult(runs.finish())

    def is_full(self, states: list[SortState]) -> bool:
        """Never: every row counts."""
        return False

    # --- rows that memory has room for -------------------------------------------------------------------------------

    def _sorted_at_once(self, states: list[SortState], context: RunContext) -> RowsResult | None:
        """All rows in order; None if memory has no room for that."""
        memory = context.memory
        kept = in_order([state.rows for state in states])
        for state in states[1:]:
            state.rows = memory.new_store("sort")
        if kept.is_spilled:
            return None
        # Rows and their copies in order stand side by side.
        wanted = max(sum(state.sort_bytes for state in states), 2 * kept.total_bytes) - kept.reclaimable_bytes
        if wanted > memory.budget.available_bytes:
            return None
        reservation = memory.try_reserve(max(0, wanted), "sort")
        if reservation is None:
            return None
        result = memory.new_store("sort")
        with reservation:
            batches = list(kept.drain(reservation))
            if not batches:
                return RowsResult(result)
            rows = joined(batches, context)
            rows = self._sorted(rows, context) if rows.num_rows else rows.select(self._node.attributes)
        result.append(rows)
        return RowsResult(result)

    def _sorted(self, rows: Batch, context: RunContext) -> Batch:
        """The result's rows of all rows, in order."""
        attributes = rows.select(self._node.attributes)
        cut = slice(self._node.offset, self._stop)
        keys = self._order.keys(rows, context)
        if self._takes_few_of(rows.num_rows) or not keys.in_one_word:
            return gathered(attributes, self._best(keys, rows.num_rows, context)[cut], context)
        # Key columns can be read from the sorted keys: that is a pass in order, where a gather jumps for every row.
        places = {key: self._key_ids.index(key) for key in attributes.columns if key in self._key_ids}
        decoded = {key: place for key, place in places.items() if keys.can_decode(place)}
        others = {key: column for key, column in attributes.columns.items() if key not in decoded}
        order, words = context.kernels.sort.sort(
            *keys.encode(), with_rows=bool(others), run_tasks=context.run_tasks
        )
        words = words[cut]
        columns = {key: keys.decode(words, place) for key, place in decoded.items()}
        if others:
            assert order is not None, "asked for"
            columns |= gathered_columns(others, order[cut], context)
        return Batch({key: columns[key] for key in attributes.columns}, len(words))

    def _takes_few_of(self, num_rows: int) -> bool:
        """Whether leaving out rows that cannot be in the result pays before sorting."""
        return self._stop is not None and 0 < 4 * self._stop < num_rows

    def _best(self, keys: SortKeys, num_rows: int, context: RunContext) -> Array:
        """Rows in order: all, or those that can be in the result."""
        words, bits = keys.encode()
        sort = context.kernels.sort
        if not self._takes_few_of(num_rows):
            return sort.order(words, bits, later=keys.later(), run_tasks=context.run_tasks, consume=True)
        assert self._stop is not None, "only a limit takes few"
        candidates = sort.smallest(words[0], self._stop)
        order = sort.order(
            [word[candidates] for word in words],
            bits,
            later=keys.later(candidates),
            run_tasks=context.run_tasks,
        )
        return candidates[order]

    def _cut_back(self, state: SortState, context: RunContext) -> None:
        """Replace the kept batches by their best rows, each still under its own sequence."""
        assert self._stop is not None, "only a limit cuts rows"
        xp = context.xp
        reservation = None
        if not state.rows.is_spilled:
            reservation = context.memory.try_reserve(state.cut_bytes, "top-N")
        if reservation is None:
            state.cut_above = 2 * state.num_rows
            return
        with reservation:
            numbered = list(state.rows.drain_numbered(reservation))
            keys = joined([self._keys_of(batch) for _, batch in numbered], context)
            chosen = self._best(self._order.keys(keys, context), keys.num_rows, context)[: self._stop]
            if self._stop:
                state.thresholds = self._threshold(keys, int(chosen[-1]), context)
            chosen = xp.sort(chosen)
            state.forget(context)
            start = 0
            for sequence, batch in numbered:
                inside = chosen[(chosen >= start) & (chosen < start + batch.num_rows)] - start
                if len(inside):
                    self._keep(state, batch.take(inside), sequence, context)
                start += batch.num_rows
            if not len(state.rows):
                self._keep(state, numbered[0][1].slice(0, 0), numbered[0][0], context)

    def _keys_of(self, rows: Batch) -> Batch:
        return Batch({key: rows.columns[key] for key in self._key_ids}, rows.num_rows)

    def _threshold(self, rows: Batch, row: int, context: RunContext) -> list[KeyThreshold]:
        return threshold_of([rows.columns[key] for key in self._key_ids], row, context)

    # --- rows that are too many --------------------------------------------------------------------------------------

    def _make_runs(self, states: list[SortState], context: RunContext) -> None:
        """Sort all rows that are kept, as many at a time as there is room for, and keep them in order."""
        memory = context.memory
        runs = states[0].runs
        if runs is None:
            runs = SortedRuns(
                self._order, self._node.attributes, context, offset=self._node.offset, stop=self._stop
            )
            states[0].runs = runs
        most_bytes = int(SORTED_RUN_SHARE * memory.budget.limit_bytes)
        kept = in_order([state.rows for state in states])
        pending: list[Batch] = []
        wanted = 0
        with memory.reserve(0, "sort") as reservation:

            def sort(batches: list[Batch]) -> None:
                needed = sum(self._sort_bytes(batch, context) for batch in batches)
                num_rows = batches[0].num_rows
                # Strings that no row needs stay however rows are split, so they are no reason to.
                fits = reservation.try_resize(needed + idle_string_bytes(batches))
                fits = fits or reservation.try_resize(needed)
                if not fits and (len(batches) > 1 or num_rows > FEWEST_RUN_ROWS):
                    if len(batches) == 1:
                        batches[:] = [
                            batches[0].slice(0, num_rows // 2),
                            batches[0].slice(num_rows // 2, num_rows),
                        ]
                    half = len(batches) // 2
                    later = batches[half:]
                    del batches[half:]
                    sort(batches)
                    sort(later)
                    return
                if not fits:
                    reservation.resize(needed)
                self._make_run(runs, batches, states, context)
                reservation.resize(0)

            for rows in self._slices(kept.drain(reservation), most_bytes, context):
                context.check_cancelled()
                more = self._sort_bytes(rows, context)
                if wanted + more > most_bytes and pending:
                    sort(pending)
                    wanted = 0
                wanted += more
                pending.append(rows)
                del rows
            if pending:
                sort(pending)
        for state in states:
            state.forget(context)

    def _slices(self, batches: Iterator[Batch], most_bytes: int, context: RunContext) -> Iterator[Batch]:
        """The rows in batches of which each alone can be sorted within ``most_bytes``."""
        for batch in batches:
            count = max(1, -(-self._sort_bytes(batch, context) // most_bytes))
            step = max(1, -(-batch.num_rows // count))
            for start in range(0, max(1, batch.num_rows), step):
                yield batch.slice(start, start + step) if count > 1 else batch
            del batch

    def _make_run(
        self, runs: SortedRuns, pending: list[Batch], states: list[SortState], context: RunContext
    ) -> None:
        """Sort rows and let go of them."""
        rows = joined(pending, context)
        if not rows.num_rows:
            return
        order = self._order.order(rows, context)[: self._stop]
        if self._stop and len(order) == self._stop:
            threshold = self._threshold(rows, int(order[-1]), context)
            latest = max(state.last_sequence for state in states)
            for state in states:
                state.thresholds, state.last_sequence = threshold, latest
        runs.add_run(rows, order)
        context.memory.metrics.add_partitions(1)
