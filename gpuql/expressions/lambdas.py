"""Calls of functions over lists that take a lambda function, evaluated over the elements of all rows at once."""

from __future__ import annotations

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.construct import null_column
from gpuql.columnar.nested import Lists, device_column, host_column, lists_column, read_lists
from gpuql.expressions.evaluate import evaluate, evaluate_operand
from gpuql.expressions.list_rows import kept_lists, repeated, valid_rows, within
from gpuql.expressions.vectors import EvaluationContext
from gpuql_planner.errors import DataError
from gpuql_planner.functions.lists import element_aggregate
from gpuql_planner.logical.expressions import Call, Lambda, Literal
from gpuql_planner.logical.visit import references
from gpuql_planner.types import BIGINT


def _lambda(call: Call, position: int = 1) -> Lambda:
    function = call.arguments[position]
    assert isinstance(function, Lambda), "the binder gives a lambda function here"
    return function


class _Captured:
    """Columns around a call that its lambda functions read."""

    def __init__(self, call: Call, batch: Batch, num_rows: int) -> None:
        self._columns: dict[int, Column] = {}
        for argument in call.arguments:
            if isinstance(argument, Lambda):
                for attribute in references(argument):
                    column = batch.columns[attribute.id]
                    self._columns[attribute.id] = column if num_rows != 1 else column.slice(0, 1)

    @property
    def any(self) -> bool:
        """Whether there are any, so that the result differs from row to row."""
        return bool(self._columns)

    def for_elements(self, rows: Array, context: EvaluationContext) -> dict[int, Column]:
        """The value of each element's row."""
        places = context.xp.asarray(rows)
        return {key: column.take(places) for key, column in self._columns.items()}


def _arguments(call: Call, batch: Batch, context: EvaluationContext) -> tuple[Column, _Captured]:
    """The lists on the host, one row if they are the same for all rows, and what the functions capture."""
    column = host_column(evaluate_operand(call.arguments[0], batch, context))
    captured = _Captured(call, batch, batch.num_rows)
    if captured.any:
        column = repeated(column, batch.num_rows)
    return column, captured


def _applied(function: Lambda, lists: Lists, captured: _Captured, context: EvaluationContext) -> Column:
    """The function's value for each element, on the host."""
    if len(lists.elements) == 0:
        return null_column(function.dtype, 0)
    columns = captured.for_elements(lists.rows, context)
    parts = (lists.elements, Column(BIGINT, within(lists.lengths) + 1))
    for parameter, part in zip(function.parameters, parts, strict=False):
        columns[parameter.id] = device_column(context.xp, part)
    return host_column(evaluate(function.body, Batch(columns, len(lists.elements)), context))


def _is_true(column: Column) -> Array:
    return column.values.astype(np.bool_) & valid_rows(column)


def _transform(call: Call, batch: Batch, context: EvaluationContext) -> Column:
    column, captured = _arguments(call, batch, context)
    lists = read_lists(column)
    elements = _applied(_lambda(call), lists, captured, context)
    return device_column(context.xp, lists_column(call.type, lists.lengths, elements, column.validity))


def _filter(call: Call, batch: Batch, context: EvaluationContext) -> Column:
    column, captured = _arguments(call, batch, context)
    lists = read_lists(column)
    keep = _is_true(_applied(_lambda(call), lists, captured, context))
    return device_column(context.xp, kept_lists(call.type, lists, keep, column.validity))


def _comprehension(call: Call, batch: Batch, context: EvaluationContext) -> Column:
    """Elements for which the first function is true, each as the second one says."""
    column, captured = _arguments(call, batch, context)
    lists = read_lists(column)
    keep = _is_true(_applied(_lambda(call), lists, captured, context))
    function = _lambda(call, 2)
    rows, places = lists.rows[keep], within(lists.lengths)[keep]
    lengths = np.bincount(rows, minlength=len(column))
    if not len(rows):
        elements = null_column(function.dtype, 0)
    else:
        columns = captured.for_elements(rows, context)
        kept = lists.elements.take(np.flatnonzero(keep))
        for parameter, part in zip(function.parameters, (kept, Column(BIGINT, places + 1)), strict=False):
            columns[parameter.id] = device_column(context.xp, part)
        elements = host_column(evaluate(function.body, Batch(columns, len(rows)), context))
    return device_column(context.xp, lists_column(call.type, lengths, elements, column.validity))


def _reduce(call: Call, batch: Batch, context: EvaluationContext) -> Column:
    """One step for the i-th element of all lists that have one."""
    column, captured = _arguments(call, batch, context)
    start = None
    if len(call.arguments) > 2:
        start = host_column(evaluate_operand(call.arguments[2], batch, context))
        size = max(len(column), len(start))
        column, start = repeated(column, size), repeated(start, size)
    lists = read_lists(column)
    valid = valid_rows(column)
    if start is None and bool((valid & (lists.lengths == 0)).any()):
        raise DataError("list_reduce of an empty list needs an initial value")
    function = _lambda(call)
    first = 0 if start is not None else 1
    state = _first_state(call, lists, start)
    for place in range(first, int(lists.lengths.max(initial=0))):
        context_rows = np.flatnonzero(lists.lengths > place)
        columns = captured.for_elements(context_rows, context)
        parts = (
            state.take(context_rows),
            lists.elements.take(lists.offsets[context_rows] + place),
            Column(BIGINT, np.full(len(context_rows), place + 1 - first + (start is None), np.int64)),
        )
        for parameter, part in zip(function.parameters, parts, strict=False):
            columns[parameter.id] = device_column(context.xp, part)
        new = host_column(evaluate(function.body, Batch(columns, len(context_rows)), context))
        source = np.arange(len(state))
        source[context_rows] = len(state) + np.arange(len(context_rows))
        state = concat_columns([state, new]).take(source)
    validity = valid if state.validity is None else state.validity & valid
    result = Column(call.type, state.values, validity, state.strings, state.bounds)
    return device_column(context.xp, result)


def _first_state(call: Call, lists: Lists, start: Column | None) -> Column:
    if start is not None:
        return start
    if len(lists.elements) == 0:
        return null_column(call.type, len(lists.offsets) - 1)
    return lists.elements.take(np.minimum(lists.offsets[:-1], len(lists.elements) - 1))


def _aggregate(call: Call, batch: Batch, context: EvaluationContext) -> Column:
    """An aggregate function over the elements of each list; the second argument is its name."""
    column = host_column(evaluate_operand(call.arguments[0], batch, context))
    name = call.arguments[1]
    assert isinstance(name, Literal), "the binder names the function"
    lists = read_lists(column)
    attribute, inner = element_aggregate(str(name.value), lists.elements.dtype, call.arguments[2:])
    xp = context.xp
    elements = Batch({attribute.id: device_column(xp, lists.elements)}, len(lists.elements))
    arguments = [
        evaluate(argument, elements, context)
        for position, argument in enumerate(inner.arguments)
        if position == 0 or not isinstance(argument, Literal)
    ]
    found = context.aggregate(inner, arguments, xp.asarray(lists.rows), len(column))
    if column.validity is None:
        return found
    valid = xp.asarray(column.validity)
    validity = valid if found.validity is None else valid & found.validity
    return Column(found.dtype, found.values, validity, found.strings, found.bounds)


SPECIAL = {
    "list_transform": _transform,
    "list_filter": _filter,
    "list_comprehension": _comprehension,
    "list_reduce": _reduce,
    "list_aggregate": _aggregate,
}
