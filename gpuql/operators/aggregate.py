"""Aggregate: one row per group, from partial results of each batch, or from all rows where a function needs that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from gpuql.columnar.batch import Batch
from gpuql.columnar.construct import null_column
from gpuql.columnar.parts import batch_size
from gpuql.operators.collected_rows import CollectedRows
from gpuql.operators.contract import RowsResult, RunContext
from gpuql.operators.holistic import HOLISTIC
from gpuql.operators.large_groups import finished_apart
from gpuql.operators.partial_rows import PartialRows
from gpuql.operators.partitioned_groups import OWNER, Finisher, GroupRows
from gpuql.thresholds import MIN_REDUCE_ROWS, REDUCE_BYTES_PER_ROW, REDUCE_COPIES, REDUCE_STEPS_IN_BUDGET
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Expression
from gpuql_planner.logical.visit import children
from gpuql_planner.physical.nodes import AggregateSink

#: Functions whose result depends on which row comes first.
_ORDERED = frozenset(
    (
        "string_agg",
        "list",
        "first",
        "last",
        "arg_min",
        "arg_max",
        "mode",
        "arg_min_null",
        "arg_max_null",
    )
)


@dataclass(eq=False)
class AggregateState:
    """What one worker keeps. ``lifts_rows``: grouping batches hardly makes them shorter, so rows are kept as groups."""

    rows: GroupRows
    lifts_rows: bool = False


class AggregateOperator:
    """Runs an :class:`AggregateSink`.

    Usually each batch is reduced to one row per group and these rows are reduced again at the end. If a function
    needs all rows (quantiles, string_agg, DISTINCT, ORDER BY), the evaluated arguments are kept instead. Rows of more
    groups than memory has room for are split by a hash of their keys; see ``partitioned_groups``.
    """

    def __init__(self, node: AggregateSink) -> None:
        self._node = node
        self._form = CollectedRows(node) if collects_rows(node) else PartialRows(node)

    def new_state(self, context: RunContext) -> AggregateState:
        """Nothing kept."""
        return AggregateState(GroupRows(self._form, context))

    def consume(self, state: AggregateState, batch: Batch, sequence: int, context: RunContext) -> None:
        """Reduce the batch, or keep its evaluated arguments."""
        num_rows = batch.num_rows
        if num_rows == 0:
            return
        row_bytes = REDUCE_BYTES_PER_ROW + REDUCE_COPIES * batch_size(batch).row_bytes // num_rows
        share = context.memory.budget.limit_bytes // (REDUCE_STEPS_IN_BUDGET * max(1, context.workers))
        step = max(MIN_REDUCE_ROWS, share // row_bytes)
        for start in range(0, num_rows, step):
            rows = batch if step >= num_rows else batch.slice(start, start + step)
            with context.memory.reserve(row_bytes * rows.num_rows, OWNER):
                kept = self._kept(state, rows, (sequence << 32) + start, context)
            state.rows.keep(kept, sequence)

    def absorb(self, state: AggregateState, partial: Batch, sequence: int) -> None:
        """Keep rows that are partial results already: columns as :class:`PartialRows` has them."""
        assert isinstance(self._form, PartialRows), "collected rows have no partial results"
        state.rows.keep(partial, sequence)

    def combine(self, states: list[AggregateState], context: RunContext) -> RowsResult:
        """One row per group, in no particular order."""
        num_batches = sum(state.rows.num_batches for state in states)
        if not num_batches:
            empty = AggregateState(GroupRows(self._form, context))
            empty.rows.keep(self._kept(empty, self._empty_input(context), 0, context), 0)
            states, num_batches = [empty], 1
        if isinstance(self._form, CollectedRows):
            return Finisher(self._form, context, partial(finished_apart, self._form)).finish_all(
                [state.rows for state in states]
            )
        is_reduced = num_batches == 1 and not (self._node.keys and any(state.lifts_rows for state in states))
        return Finisher(self._form, context).finish_all(
            [state.rows for state in states], is_reduced=is_reduced
        )

    def is_full(self, states: list[AggregateState]) -> bool:
        """Never: every row counts."""
        return False

    def _kept(self, state: AggregateState, batch: Batch, place: int, context: RunContext) -> Batch:
        """What is kept of a batch whose first row has ``place`` in the source order."""
        if isinstance(self._form, CollectedRows):
            return self._form.collected(batch, context)
        kept, state.lifts_rows = self._form.partial(batch, place, context, lifted=state.lifts_rows)
        return kept

    def _empty_input(self, context: RunContext) -> Batch:
        """No rows, with every column that the node's expressions read."""
        expressions: list[Expression] = [expression for _, expression in self._node.keys]
        for _, call in self._node.aggregates:
            expressions.extend(call.arguments)
            expressions.extend(key.expression for key in call.order_by)
            if call.filter is not None:
                expressions.append(call.filter)
        found: dict[int, Attribute] = {}
        while expressions:
            expression = expressions.pop()
            if isinstance(expression, AttributeRef):
                found[expression.attribute.id] = expression.attribute
            expressions.extend(children(expression))
        return Batch({key: null_column(a.dtype, 0, xp=context.xp) for key, a in found.items()}, 0)


def collects_rows(node: AggregateSink) -> bool:
    """Whether some aggregate needs all rows of a group at once."""
    return any(
        call.function in HOLISTIC or call.distinct or bool(call.order_by) for _, call in node.aggregates
    )


def depends_on_order(node: AggregateSink) -> bool:
    """Whether the result depends on the order of rows, more than by the digits of sums."""
    return any(call.function in _ORDERED for _, call in node.aggregates)
