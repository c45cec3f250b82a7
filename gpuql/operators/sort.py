"""Sort and top-N: rows in order of keys, stable in the order in which a worker takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_batches, concat_columns
from gpuql.expressions.evaluate import evaluate
from gpuql.operators.contract import RowsResult, RunContext
from gpuql.operators.ordering import Direction
from gpuql.operators.sort_keys import SortKeys
from gpuql.operators.top_n import KeyThreshold, rows_within, threshold_of
from gpuql_kernels.tasks import serially
from gpuql_planner.logical.expressions import AttributeRef
from gpuql_planner.physical.nodes import SortSink

#: Without a threshold a top-N first looks at this many rows, as few as give a useful one.
_SEED_ROWS = 1 << 13
#: Each threshold is used for up to this many times the rows it was found among: about as many times N rows pass it.
_GROWTH = 8
#: A top-N state is cut back to N rows once it holds this many rows more than twice as many.
_SPARE_ROWS = 1 << 10


@dataclass(eq=False)
class SortState:
    """Rows of one worker: batches of attributes and computed keys, by sequence; ``num_rows`` over all of them.

    With a limit, ``num_seen`` counts the rows looked at, ``last_sequence`` is the highest of their sequences, and
    ``thresholds`` are the keys of the last row that can be in the result, once enough rows are known.
    """

    batches: list[tuple[int, Batch]] = field(default_factory=list)
    num_rows: int = 0
    num_seen: int = 0
    last_sequence: int = -1
    thresholds: list[KeyThreshold] | None = None


class SortOperator:
    """Runs a :class:`SortSink`.

    With a limit N, a worker keeps little more than N rows: it compares keys with those of the N-th best row so far,
    and touches other columns only for rows that come before it.
    """

    def __init__(self, node: SortSink) -> None:
        self._node = node
        self._stop = None if node.limit is None else node.offset + node.limit
        self._key_ids = [
            key.expression.attribute.id if isinstance(key.expression, AttributeRef) else -1 - position
            for position, key in enumerate(node.keys)
        ]
        self._directions = [Direction(key.descending, key.nulls_first) for key in node.keys]
        # Sorted: columns of all batches in one order.
        self._needed = sorted({a.id for a in node.attributes} | {key for key in self._key_ids if key >= 0})

    def new_state(self, context: RunContext) -> SortState:
        """No rows."""
        return SortState()

    def consume(self, state: SortState, batch: Batch, sequence: int, context: RunContext) -> None:
        """Keep the rows, or with a limit those that can be among the first."""
        columns = {key: batch.columns[key] for key in self._needed}
        for place, key in zip(self._key_ids, self._node.keys, strict=True):
            if place < 0:
                columns[place] = evaluate(key.expression, batch, context)
        rows = Batch(columns, batch.num_rows)
        if self._stop is None:
            self._keep(state, rows, sequence)
            return
        context = replace(context, run_tasks=serially)  # this runs on one of the threads
        start = 0
        while start < rows.num_rows:
            size = _GROWTH * state.num_seen if state.thresholds else max(_SEED_ROWS, 2 * self._stop)
            part = rows.slice(start, start + size) if start or size < rows.num_rows else rows
            self._keep_best(state, part, sequence, context)
            start += size
        if not state.batches:
            self._keep(state, rows.slice(0, 0), sequence)  # of no rows, the types are still asked for

    def _keep(self, state: SortState, rows: Batch, sequence: int) -> None:
        state.batches.append((sequence, rows))
        state.num_rows += rows.num_rows

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
            self._keep(state, rows, sequence)
        if state.num_rows > 2 * self._stop + _SPARE_ROWS:
            self._cut_back(state, context)

    def combine(self, states: list[SortState], context: RunContext) -> RowsResult:
        """Order all rows."""
        ordered = sorted((item for state in states for item in state.batches), key=lambda item: item[0])
        batches = [batch for _, batch in ordered]
        if not batches:
            return RowsResult([])
        rows = _concatenated([b for b in batches if b.num_rows] or batches[:1], context)
        if not rows.num_rows:
            return RowsResult([rows.select(self._node.attributes)])
        return RowsResult([self._sorted(rows, context)])

    def is_full(self, states: list[SortState]) -> bool:
        """Never: every row counts."""
        return False

    def _sorted(self, rows: Batch, context: RunContext) -> Batch:
        """The result's rows of all rows, in order."""
        attributes = rows.select(self._node.attributes)
        cut = slice(self._node.offset, self._stop)
        keys = self._keys(rows, context)
        if self._takes_few_of(rows.num_rows) or not keys.in_one_word:
            order = self._order(keys, rows.num_rows, context)[cut]
            return Batch(_gather(attributes.columns, order, context), len(order))
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
            columns |= _gather(others, order[cut], context)
        return Batch({key: columns[key] for key in attributes.columns}, len(words))

    def _takes_few_of(self, num_rows: int) -> bool:
        """Whether leaving out rows that cannot be in the result pays before sorting."""
        return self._stop is not None and 0 < 4 * self._stop < num_rows

    def _keys(self, rows: Batch, context: RunContext) -> SortKeys:
        return SortKeys([rows.columns[key] for key in self._key_ids], self._directions, context)

    def _order(self, keys: SortKeys, num_rows: int, context: RunContext) -> Array:
        words, bits = keys.encode()
        sort = context.kernels.sort
        if not self._takes_few_of(num_rows):
            return sort.order(words, bits, later=keys.later(), run_tasks=context.run_tasks)
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
        ordered = sorted(state.batches, key=lambda item: item[0])
        rows = concat_batches([batch for _, batch in ordered], xp=xp)
        chosen = self._order(self._keys(rows, context), rows.num_rows, context)[: self._stop]
        if self._stop:
            keys = [rows.columns[key] for key in self._key_ids]
            state.thresholds = threshold_of(keys, int(chosen[-1]), context)
        chosen = xp.sort(chosen)
        kept, start = [], 0
        for sequence, batch in ordered:
            stop = start + batch.num_rows
            inside = chosen[(chosen >= start) & (chosen < stop)]
            if len(inside):
                kept.append((sequence, rows.take(inside)))
            start = stop
        state.batches = kept or [(ordered[0][0], rows.slice(0, 0))]
        state.num_rows = sum(batch.num_rows for _, batch in kept)


def _concatenated(batches: list[Batch], context: RunContext) -> Batch:
    """All rows of the batches (at least one), a column by each task."""
    keys = list(batches[0].columns)
    columns: dict[int, Column] = {}

    def task(index: int) -> None:
        parts = [batch.columns[keys[index]] for batch in batches]
        columns[keys[index]] = concat_columns(parts, xp=context.xp)

    context.run_tasks(len(keys), task)
    return Batch({key: columns[key] for key in keys}, sum(batch.num_rows for batch in batches))


def _gather(columns: Mapping[int, Column], order: Array, context: RunContext) -> dict[int, Column]:
    """Rows ``order`` of every column."""
    gather = context.kernels.sort.gather
    gathered = {}
    for key, column in columns.items():
        values = gather(column.values, order, run_tasks=context.run_tasks)
        validity = column.validity
        if validity is not None:
            validity = gather(validity, order, run_tasks=context.run_tasks)
        gathered[key] = Column(column.dtype, values, validity, column.strings, column.bounds)
    return gathered
