"""Aggregates over whole partitions: these are groups like any other, and no row has to be sorted."""

from __future__ import annotations

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.expressions.evaluate import evaluate
from gpuql.operators.collected_rows import distinct_rows, finished_slot, order_of
from gpuql.operators.contract import RunContext
from gpuql.operators.grouping import Groups, group_rows
from gpuql.operators.window_aggregates import slot_of
from gpuql_planner.logical.expressions import Expression
from gpuql_planner.logical.window_calls import WindowCall
from gpuql_planner.physical.nodes import WindowSink


def grouped_batch(node: WindowSink, rows: Batch, context: RunContext) -> Batch:
    """The node's outputs for all rows, which stay in their order. Errors: those of SQL."""
    columns = {a.id: rows.columns[a.id] for a in node.attributes}
    groups: dict[tuple[Expression, ...], Groups] = {}
    for attribute, call in node.calls:
        context.check_cancelled()
        known = groups.get(call.partition_by)
        if known is None:
            keys = [evaluate(key, rows, context) for key in call.partition_by]
            known = groups[call.partition_by] = group_rows(keys, rows.num_rows, context)
        columns[attribute.id] = _aggregate(call, rows, known, context).take(known.ids)
    return Batch(columns, rows.num_rows)


def _aggregate(call: WindowCall, rows: Batch, groups: Groups, context: RunContext) -> Column:
    """Value of each group."""
    slot = slot_of(call)
    columns, mask = slot.arguments(rows, context)
    order = context.xp.arange(rows.num_rows)
    if call.argument_order and rows.num_rows:
        order = order_of(
            slot.call, [evaluate(key.expression, rows, context) for key in call.argument_order], context
        )
    counted = slot.rows(groups, columns, mask, order, context)
    if call.distinct:
        counted = distinct_rows(counted, context)
    return finished_slot(slot, counted, context)
