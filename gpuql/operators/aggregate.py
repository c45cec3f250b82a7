"""Aggregate: one row per group, from partial results of each batch, or from all rows where a function needs that."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_batches
from gpuql.columnar.construct import null_column
from gpuql.expressions.evaluate import evaluate
from gpuql.expressions.selection import children
from gpuql.operators.accumulators import Accumulator, Rows, make_accumulator, without_nulls
from gpuql.operators.contract import RowsResult, RunContext
from gpuql.operators.grouping import Groups, group_rows
from gpuql.operators.holistic import HOLISTIC
from gpuql.operators.ordering import sort_words
from gpuql_planner.errors import NotSupportedError
from gpuql_planner.logical.expressions import (
    AggregateCall,
    Attribute,
    AttributeRef,
    Expression,
    Literal,
)
from gpuql_planner.physical.nodes import AggregateSink
from gpuql_planner.types import BIGINT

#: Kept partial rows of a worker are merged once there are this many and twice as many as after the last merge.
_MERGE_ROWS = 1 << 20
#: A batch with more groups per row than this is not worth reducing: its rows are kept and reduced at the end.
_POOR_REDUCTION = 0.6


@dataclass(eq=False)
class AggregateState:
    """What one worker keeps: batches of keys (ids 0 … k - 1) and parts of aggregates (ids k …), by sequence."""

    batches: list[tuple[int, Batch]] = field(default_factory=list)
    num_rows: int = 0
    rows_after_merge: int = 0
    lifts_rows: bool = False


@dataclass(frozen=True, eq=False)
class _Slot:
    """One aggregate: its call, its accumulator, and how many parts it keeps."""

    call: AggregateCall
    accumulator: Accumulator | None


class AggregateOperator:
    """Runs an :class:`AggregateSink`.

    Usually each batch is reduced to one row per group and these rows are reduced again at the end. If a function
    needs all rows (quantiles, string_agg, DISTINCT, ORDER BY), the evaluated arguments are kept instead.
    """

    def __init__(self, node: AggregateSink) -> None:
        self._node = node
        self._slots = [
            _Slot(call, make_accumulator(call.function, call.type, tuple(a.dtype for a in call.arguments)))
            for _, call in node.aggregates
        ]
        for slot in self._slots:
            if slot.accumulator is None and slot.call.function not in HOLISTIC:
                raise NotSupportedError(f"aggregate function is not supported: {slot.call.function}")
        self._collects = any(
            slot.accumulator is None or slot.call.distinct or slot.call.order_by for slot in self._slots
        )

    def new_state(self, context: RunContext) -> AggregateState:
        """Nothing kept."""
        return AggregateState()

    def consume(self, state: AggregateState, batch: Batch, sequence: int, context: RunContext) -> None:
        """Reduce the batch, or keep its evaluated arguments."""
        if batch.num_rows == 0:
            return
        kept = (
            self._collected(batch, context)
            if self._collects
            else self._reduced(state, batch, sequence, context)
        )
        state.batches.append((sequence, kept))
        state.num_rows += kept.num_rows
        if (
            not self._collects
            and not state.lifts_rows
            and state.num_rows > max(_MERGE_ROWS, 2 * state.rows_after_merge)
        ):
            self._merge_state(state, context)

    def combine(self, states: list[AggregateState], context: RunContext) -> RowsResult:
        """One row per group."""
        ordered = sorted((item for state in states for item in state.batches), key=lambda item: item[0])
        batches = [batch for _, batch in ordered]
        if not batches:
            empty = self._empty_input(context)
            fresh = AggregateState()
            batches = [
                self._collected(empty, context) if self._collects else self._reduced(fresh, empty, 0, context)
            ]
        rows = concat_batches(batches, xp=context.xp)
        if self._collects:
            return RowsResult([self._finish_collected(rows, context)])
        if len(batches) > 1 or (self._node.keys and any(state.lifts_rows for state in states)):
            rows = self._merged(rows, context)
        return RowsResult([self._finished(rows, context)])

    def is_full(self, states: list[AggregateState]) -> bool:
        """Never: every row counts."""
        return False

    # --- partial results ---------------------------------------------------------------------------------------------

    def _reduced(self, state: AggregateState, batch: Batch, sequence: int, context: RunContext) -> Batch:
        """One row per group of the batch: key values and parts of every aggregate."""
        xp = context.xp
        keys = [evaluate(expression, batch, context) for _, expression in self._node.keys]
        lifted = state.lifts_rows
        if lifted:
            rows = xp.arange(batch.num_rows)
            groups = Groups(rows, batch.num_rows, rows)
        else:
            groups = group_rows(keys, batch.num_rows, context)
            state.lifts_rows = bool(keys) and groups.num_groups > max(1024, _POOR_REDUCTION * batch.num_rows)
        columns: dict[int, Column] = {}
        for index, key in enumerate(keys):
            columns[index] = key if lifted else key.take(groups.first)
        place = len(keys)
        order = (sequence << 32) + xp.arange(batch.num_rows)
        for slot in self._slots:
            assert slot.accumulator is not None, "functions without accumulator collect rows"
            rows_in = self._rows(slot, groups, self._arguments(slot.call, batch, context), order, context)
            for part in slot.accumulator.partial(rows_in, context):
                columns[place] = part
                place += 1
        return Batch(columns, groups.num_groups)

    def _arguments(
        self, call: AggregateCall, batch: Batch, context: RunContext
    ) -> tuple[list[Column], Array | None]:
        """Evaluated arguments and the mask of rows that FILTER keeps."""
        mask = None
        if call.filter is not None:
            condition = evaluate(call.filter, batch, context)
            mask = condition.values if condition.validity is None else condition.values & condition.validity
        columns = [
            evaluate(argument, batch, context)
            for position, argument in enumerate(call.arguments)
            if not _is_parameter(call, position)
        ]
        return columns, mask

    def _rows(
        self,
        slot: _Slot,
        groups: Groups,
        arguments: tuple[list[Column], Array | None],
        order: Array,
        context: RunContext,
    ) -> Rows:
        columns, mask = arguments
        rows = Rows(groups.ids, groups.num_groups, columns, order, groups)
        if mask is not None and not bool(mask.all()):
            kept = context.xp.flatnonzero(mask)
            rows = Rows(groups.ids[kept], groups.num_groups, [c.take(kept) for c in columns], order[kept])
        if slot.accumulator is None or slot.accumulator.skips_nulls:
            rows = without_nulls(rows, context)
        return rows

    def _merged(self, rows: Batch, context: RunContext) -> Batch:
        """Partial rows of equal keys put together."""
        num_keys = len(self._node.keys)
        keys = [rows.columns[index] for index in range(num_keys)]
        groups = group_rows(keys, rows.num_rows, context)
        columns = {index: key.take(groups.first) for index, key in enumerate(keys)}
        order = context.xp.arange(rows.num_rows)
        place = num_keys
        for slot in self._slots:
            assert slot.accumulator is not None, "functions without accumulator collect rows"
            size = _PARTS.get(slot.call.function, 1)
            parts = [rows.columns[index] for index in range(place, place + size)]
            merged = slot.accumulator.merge(
                Rows(groups.ids, groups.num_groups, parts, order, groups), context
            )
            for part in merged:
                columns[place] = part
                place += 1
        return Batch(columns, groups.num_groups)

    def _merge_state(self, state: AggregateState, context: RunContext) -> None:
        ordered = sorted(state.batches, key=lambda item: item[0])
        merged = self._merged(concat_batches([batch for _, batch in ordered], xp=context.xp), context)
        state.batches = [(ordered[0][0], merged)]
        state.num_rows = state.rows_after_merge = merged.num_rows

    def _finished(self, rows: Batch, context: RunContext) -> Batch:
        """Partial rows, one for each group, as the node's outputs."""
        columns: dict[int, Column] = {}
        for index, (attribute, _) in enumerate(self._node.keys):
            columns[attribute.id] = rows.columns[index]
        place = len(self._node.keys)
        for (attribute, call), slot in zip(self._node.aggregates, self._slots, strict=True):
            assert slot.accumulator is not None, "functions without accumulator collect rows"
            size = _PARTS.get(call.function, 1)
            parts = [rows.columns[index] for index in range(place, place + size)]
            columns[attribute.id] = slot.accumulator.finish(parts, context)
            place += size
        return Batch(columns, rows.num_rows)

    # --- all rows at once --------------------------------------------------------------------------------------------

    def _collected(self, batch: Batch, context: RunContext) -> Batch:
        """Evaluated keys, then for each aggregate its filter, arguments and order keys."""
        evaluated = [evaluate(expression, batch, context) for _, expression in self._node.keys]
        for slot in self._slots:
            columns, mask = self._arguments(slot.call, batch, context)
            if mask is not None:
                evaluated.append(Column(BIGINT, mask))
            evaluated.extend(columns)
            evaluated.extend(evaluate(key.expression, batch, context) for key in slot.call.order_by)
        return Batch(dict(enumerate(evaluated)), batch.num_rows)

    def _finish_collected(self, rows: Batch, context: RunContext) -> Batch:
        xp = context.xp
        num_keys = len(self._node.keys)
        keys = [rows.columns[index] for index in range(num_keys)]
        groups = group_rows(keys, rows.num_rows, context)
        columns = {
            attribute.id: key.take(groups.first)
            for (attribute, _), key in zip(self._node.keys, keys, strict=True)
        }
        place = num_keys
        for (attribute, call), slot in zip(self._node.aggregates, self._slots, strict=True):
            mask = None
            if call.filter is not None:
                mask = rows.columns[place].values
                place += 1
            count = sum(not _is_parameter(call, position) for position in range(len(call.arguments)))
            arguments = [rows.columns[index] for index in range(place, place + count)]
            place += count
            order_columns = [rows.columns[index] for index in range(place, place + len(call.order_by))]
            place += len(call.order_by)
            order = xp.arange(rows.num_rows)
            if order_columns and rows.num_rows:
                order = _order_of(call, order_columns, context)
            selected = self._rows(slot, groups, (arguments, mask), order, context)
            if call.distinct:
                selected = _distinct(selected, context)
            if slot.accumulator is None:
                columns[attribute.id] = HOLISTIC[call.function](call, selected, context)
            else:
                parts = slot.accumulator.partial(selected, context)
                columns[attribute.id] = slot.accumulator.finish(parts, context)
        return Batch(columns, groups.num_groups)

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


#: Partial columns of each function that keeps more than one.
_PARTS = {
    "avg": 2,
    "stddev_samp": 3,
    "stddev_pop": 3,
    "var_samp": 3,
    "var_pop": 3,
    "first": 2,
    "last": 2,
    "any_value": 2,
    "arg_min": 3,
    "arg_max": 3,
}


def _is_parameter(call: AggregateCall, position: int) -> bool:
    """The argument is a constant of the function, such as the fraction of a quantile, not a value per row."""
    return position > 0 and call.function in HOLISTIC and isinstance(call.arguments[position], Literal)


def _order_of(call: AggregateCall, columns: list[Column], context: RunContext) -> Array:
    """Place of each row in the aggregate's own ORDER BY."""
    xp = context.xp
    words: list[Array] = []
    bits: list[int] = []
    for key, column in zip(call.order_by, columns, strict=True):
        more, more_bits = sort_words(column, context, descending=key.descending, nulls_first=key.nulls_first)
        words.extend(more)
        bits.extend(more_bits)
    order = context.kernels.sort.order(words, bits)
    place = xp.empty(len(order), xp.int64)
    place[order] = xp.arange(len(order))
    return place


def _distinct(rows: Rows, context: RunContext) -> Rows:
    """One row for each distinct combination of group and arguments, the first in order."""
    xp = context.xp
    ids = Column(BIGINT, rows.ids, None, None, (0, max(rows.num_groups - 1, 0)))
    combinations = group_rows([ids, *rows.columns], len(rows.ids), context)
    places = context.kernels.group_by.minimum(rows.order, combinations.ids, combinations.num_groups)
    kept = xp.flatnonzero(rows.order == places[combinations.ids])
    columns = [column.take(kept) for column in rows.columns]
    return Rows(rows.ids[kept], rows.num_groups, columns, rows.order[kept])
