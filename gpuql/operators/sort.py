"""Sort and top-N: rows in order of keys, stable in source order."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array
from gpuql.columnar.concat import concat_batches
from gpuql.expressions.evaluate import evaluate
from gpuql.operators.contract import RowsResult, RunContext
from gpuql.operators.ordering import sort_words
from gpuql_planner.logical.expressions import AttributeRef
from gpuql_planner.physical.nodes import SortSink


@dataclass(eq=False)
class SortState:
    """Rows of one worker: batches of attributes and computed keys, by sequence; ``num_rows`` over all of them."""

    batches: list[tuple[int, Batch]] = field(default_factory=list)
    num_rows: int = 0


#: A top-N state is cut back once it holds this many times the rows it needs, but never below a batch's worth.
_SLACK = 4
_MINIMUM_ROWS = 1 << 15


class SortOperator:
    """Runs a :class:`SortSink`.

    With a limit, no worker keeps much more than the rows that can still be in the result: each batch is first cut to
    its own best rows, and what is kept is cut again whenever it has grown.
    """

    def __init__(self, node: SortSink) -> None:
        self._node = node
        self._stop = None if node.limit is None else node.offset + node.limit
        self._needed = {a.id for a in node.attributes} | {
            key.expression.attribute.id for key in node.keys if isinstance(key.expression, AttributeRef)
        }

    def new_state(self, context: RunContext) -> SortState:
        """No rows."""
        return SortState()

    def consume(self, state: SortState, batch: Batch, sequence: int, context: RunContext) -> None:
        """Keep the rows, or with a limit the best of them."""
        columns = {key: batch.columns[key] for key in self._needed}
        for position, key in enumerate(self._node.keys):
            if not isinstance(key.expression, AttributeRef):
                columns[-1 - position] = evaluate(key.expression, batch, context)
        rows = Batch(columns, batch.num_rows)
        if self._stop is not None:
            rows = self._best(rows, context)
        state.batches.append((sequence, rows))
        state.num_rows += rows.num_rows
        if self._stop is not None and state.num_rows > max(_SLACK * self._stop, _MINIMUM_ROWS):
            self._cut_back(state, context)

    def combine(self, states: list[SortState], context: RunContext) -> RowsResult:
        """Order all rows."""
        ordered = sorted((item for state in states for item in state.batches), key=lambda item: item[0])
        batches = [batch for _, batch in ordered]
        if not batches:
            return RowsResult([])
        rows = concat_batches([b for b in batches if b.num_rows] or batches[:1], xp=context.xp)
        if rows.num_rows:
            order = self._order(rows, context)
            order = order[self._node.offset : self._stop]
            rows = rows.select(self._node.attributes).take(order)
        return RowsResult([rows.select(self._node.attributes)])

    def _words(self, rows: Batch, context: RunContext) -> tuple[list[Array], list[int]]:
        words: list[Array] = []
        bits: list[int] = []
        for position, key in enumerate(self._node.keys):
            expression = key.expression
            place = expression.attribute.id if isinstance(expression, AttributeRef) else -1 - position
            more, more_bits = sort_words(
                rows.columns[place], context, descending=key.descending, nulls_first=key.nulls_first
            )
            words.extend(more)
            bits.extend(more_bits)
        return words, bits

    def _order(self, rows: Batch, context: RunContext) -> Array:
        words, bits = self._words(rows, context)
        if self._stop is not None and 4 * self._stop < rows.num_rows:
            # Only rows that may be among the first need sorting at all.
            candidates = context.kernels.sort.smallest(words[0], self._stop)
            order = context.kernels.sort.order([word[candidates] for word in words], bits)
            return candidates[order]
        return context.kernels.sort.order(words, bits)

    def _best(self, rows: Batch, context: RunContext) -> Batch:
        """Rows that can be among the first ``offset + limit``, in their given order."""
        assert self._stop is not None, "only a limit cuts rows"
        if rows.num_rows <= 2 * self._stop or self._stop == 0:
            return rows if self._stop else rows.slice(0, 0)
        chosen = self._order(rows, context)[: self._stop]
        return rows.take(context.xp.sort(chosen))

    def _cut_back(self, state: SortState, context: RunContext) -> None:
        """Replace the kept batches by their best rows, each still under its own sequence."""
        assert self._stop is not None, "only a limit cuts rows"
        xp = context.xp
        ordered = sorted(state.batches, key=lambda item: item[0])
        rows = concat_batches([batch for _, batch in ordered], xp=xp)
        chosen = xp.sort(self._order(rows, context)[: self._stop])
        kept, start = [], 0
        for sequence, batch in ordered:
            stop = start + batch.num_rows
            inside = chosen[(chosen >= start) & (chosen < stop)]
            if len(inside):
                kept.append((sequence, rows.take(inside)))
            start = stop
        state.batches = kept
        state.num_rows = sum(batch.num_rows for _, batch in kept)
