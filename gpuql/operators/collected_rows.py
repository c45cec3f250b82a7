"""Aggregation of collected rows, for functions that need all rows of a group: holistic ones, DISTINCT, ORDER BY."""

from __future__ import annotations

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.expressions.evaluate import evaluate
from gpuql.operators.accumulators.rows import Rows
from gpuql.operators.aggregate_slots import Slot, make_slots
from gpuql.operators.contract import RunContext
from gpuql.operators.grouping import group_rows
from gpuql.operators.holistic import HOLISTIC
from gpuql.operators.ordering import sort_words
from gpuql.operators.partitioned_groups import PLACE
from gpuql_planner.logical.expressions import AggregateCall
from gpuql_planner.physical.nodes import AggregateSink
from gpuql_planner.types import BIGINT, BOOLEAN

#: Functions whose result depends on the order of rows, or on which of several equal ones comes first.
_ORDERED = frozenset(
    (
        "string_agg",
        "list",
        "first",
        "last",
        "any_value",
        "arg_min",
        "arg_max",
        "mode",
        "arg_min_null",
        "arg_max_null",
    )
)
#: Functions to which a row that came before adds nothing.
_IDEMPOTENT = frozenset(
    ("min", "max", "bool_and", "bool_or", "bit_and", "bit_or", "any_value", "first", "arg_min", "arg_max")
)


class CollectedRows:
    """A :class:`RowForm` of evaluated columns: keys, then of each aggregate its filter, arguments and order keys."""

    work_bytes_per_row = 160
    work_copies = 3

    def __init__(self, node: AggregateSink) -> None:
        self.node = node
        self.num_keys = len(node.keys)
        self.slots = make_slots(node)
        self.is_ordered = any(slot.call.function in _ORDERED for slot in self.slots)
        # A row equal to an earlier one in all columns says nothing new.
        self.reduces = all(
            slot.call.distinct or (slot.call.function in _IDEMPOTENT and not slot.call.order_by)
            for slot in self.slots
        )

    def collected(self, batch: Batch, context: RunContext) -> Batch:
        """Evaluated columns of a batch."""
        evaluated = [evaluate(expression, batch, context) for _, expression in self.node.keys]
        for slot in self.slots:
            columns, mask = slot.arguments(batch, context)
            if mask is not None:
                evaluated.append(Column(BOOLEAN, mask))
            evaluated.extend(columns)
            evaluated.extend(evaluate(key.expression, batch, context) for key in slot.call.order_by)
        return Batch(dict(enumerate(evaluated)), batch.num_rows)

    def columns_of(self, rows: Batch, index: int) -> tuple[Array | None, list[Column], list[Column]]:
        """FILTER mask, arguments and order keys of slot ``index``."""
        place = self.num_keys
        for slot in self.slots[:index]:
            place += (slot.call.filter is not None) + slot.num_arguments + len(slot.call.order_by)
        slot = self.slots[index]
        mask = None
        if slot.call.filter is not None:
            mask = rows.columns[place].values
            place += 1
        stop = place + slot.num_arguments
        arguments = [rows.columns[column] for column in range(place, stop)]
        return mask, arguments, [rows.columns[stop + key] for key in range(len(slot.call.order_by))]

    def reduced(self, rows: Batch, context: RunContext) -> Batch:
        """The first of each set of equal rows."""
        rows = in_source_order(rows, context)
        columns = [column for key, column in rows.columns.items() if key != PLACE]
        groups = group_rows(columns, rows.num_rows, context)
        if groups.num_groups == rows.num_rows:
            return rows
        order = context.xp.arange(rows.num_rows)
        first = context.kernels.group_by.minimum(order, groups.ids, groups.num_groups)
        return rows.take(context.xp.sort(first))

    def finished(self, rows: Batch, context: RunContext, *, is_reduced: bool = False) -> Batch:
        """The node's outputs."""
        rows = in_source_order(rows, context)
        keys = [rows.columns[index] for index in range(self.num_keys)]
        groups = group_rows(keys, rows.num_rows, context)
        columns = {
            attribute.id: key.take(groups.first)
            for (attribute, _), key in zip(self.node.keys, keys, strict=True)
        }
        for index, slot in enumerate(self.slots):
            mask, arguments, order_columns = self.columns_of(rows, index)
            order = context.xp.arange(rows.num_rows)
            if order_columns and rows.num_rows:
                order = order_of(slot.call, order_columns, context)
            selected = slot.rows(groups, arguments, mask, order, context)
            if slot.call.distinct:
                selected = distinct_rows(selected, context)
            columns[slot.attribute.id] = finished_slot(slot, selected, context)
        return Batch(columns, groups.num_groups)


def finished_slot(slot: Slot, rows: Rows, context: RunContext) -> Column:
    """End value of each group from all of its rows."""
    if slot.accumulator is None:
        return HOLISTIC[slot.call.function](slot.call, rows, context)
    return slot.accumulator.finish(slot.accumulator.partial(rows, context), context)


def in_source_order(rows: Batch, context: RunContext) -> Batch:
    """Rows as they were in the source, if they know their places."""
    place = rows.columns.get(PLACE)
    if place is None:
        return rows
    places = place.values
    if bool((places[1:] > places[:-1]).all()):
        return rows
    return rows.take(context.xp.argsort(places, kind="stable"))


def order_of(call: AggregateCall, columns: list[Column], context: RunContext) -> Array:
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


def distinct_rows(rows: Rows, context: RunContext) -> Rows:
    """One row for each distinct combination of group and arguments, the first in order."""
    xp = context.xp
    ids = Column(BIGINT, rows.ids, None, None, (0, max(rows.num_groups - 1, 0)))
    combinations = group_rows([ids, *rows.columns], len(rows.ids), context)
    places = context.kernels.group_by.minimum(rows.order, combinations.ids, combinations.num_groups)
    kept = xp.flatnonzero(rows.order == places[combinations.ids])
    columns = [column.take(kept) for column in rows.columns]
    return Rows(rows.ids[kept], rows.num_groups, columns, rows.order[kept])
