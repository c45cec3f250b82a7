"""Sort and top-N: rows in order of keys, stable in the order in which a worker takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_batches
from gpuql.expressions.evaluate import evaluate
from gpuql.operators.contract import RowsResult, RunContext
from gpuql.operators.ordering import sort_words, with_known_range
from gpuql.operators.top_n import Direction, KeyThreshold, rows_within, threshold_of
from gpuql_kernels.tasks import serially
from gpuql_planner.logical.expressions import AttributeRef
from gpuql_planner.physical.nodes import SortSink

#: Without a threshold a top-N first looks at this many rows, as few as give a useful one.
_SEED_ROWS = 1 << 13
#: Each threshold is used for up to this many times the rows it was found among: about as many times N rows pass it.
_GROWTH = 8
#: A top-N state is cut back to N rows once it holds this many rows more than twice as many.
_SPARE_ROWS = 1 << 10
#: Rows whose keys are encoded by one task: the steps of the encoding pass their arrays on in the cache.
_ENCODE_ROWS = 1 << 16


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
        rows = concat_batches([b for b in batches if b.num_rows] or batches[:1], xp=context.xp)
        attributes = rows.select(self._node.attributes)
        if not rows.num_rows:
            return RowsResult([attributes])
        order = self._order(rows, context)[self._node.offset : self._stop]
        return RowsResult([_gather(attributes, order, context)])

    def _words(self, rows: Batch, context: RunContext) -> tuple[list[Array], list[int]]:
        keys = [with_known_range(rows.columns[key], context) for key in self._key_ids]
        if context.workers == 1 or rows.num_rows <= _ENCODE_ROWS:
            return self._encode(keys, context)
        xp = context.xp
        _, bits = self._encode([key.slice(0, 0) for key in keys], context)
        words = [xp.empty(rows.num_rows, xp.uint64) for _ in bits]

        def task(index: int) -> None:
            start, stop = index * _ENCODE_ROWS, min((index + 1) * _ENCODE_ROWS, rows.num_rows)
            parts, _ = self._encode([key.slice(start, stop) for key in keys], context)
            for word, part in zip(words, parts, strict=True):
                word[start:stop] = part

        context.run_tasks(-(-rows.num_rows // _ENCODE_ROWS), task)
        return words, bits

    def _encode(self, keys: Sequence[Column], context: RunContext) -> tuple[list[Array], list[int]]:
        words: list[Array] = []
        bits: list[int] = []
        for key, direction in zip(keys, self._directions, strict=True):
            more, more_bits = sort_words(
                key, context, descending=direction.descending, nulls_first=direction.nulls_first
            )
            words.extend(more)
            bits.extend(more_bits)
        return words, bits

    def _order(self, rows: Batch, context: RunContext) -> Array:
        words, bits = self._words(rows, context)
        sort = context.kernels.sort
        if self._stop is not None and 0 < 4 * self._stop < rows.num_rows:
            # Only rows that may be among the first need sorting at all.
            candidates = sort.smallest(words[0], self._stop)
            order = sort.order([word[candidates] for word in words], bits, run_tasks=context.run_tasks)
            return candidates[order]
        return sort.order(words, bits, run_tasks=context.run_tasks)

    def _cut_back(self, state: SortState, context: RunContext) -> None:
        """Replace the kept batches by their best rows, each still under its own sequence."""
        assert self._stop is not None, "only a limit cuts rows"
        xp = context.xp
        ordered = sorted(state.batches, key=lambda item: item[0])
        rows = concat_batches([batch for _, batch in ordered], xp=xp)
        chosen = self._order(rows, context)[: self._stop]
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


def _gather(batch: Batch, order: Array, context: RunContext) -> Batch:
    """Rows ``order`` of every column."""
    gather = context.kernels.sort.gather
    columns = {}
    for key, column in batch.columns.items():
        values = gather(column.values, order, run_tasks=context.run_tasks)
        validity = column.validity
        if validity is not None:
            validity = gather(validity, order, run_tasks=context.run_tasks)
        columns[key] = Column(column.dtype, values, validity, column.strings, column.bounds)
    return Batch(columns, len(order))
