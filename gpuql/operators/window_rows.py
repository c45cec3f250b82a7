"""Sorted rows of whole partitions: where partitions and sets of peers begin and end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.expressions.evaluate import evaluate
from gpuql.operators.contract import RunContext
from gpuql.operators.grouping import group_rows
from gpuql.operators.keys import integer_keys, word_keys
from gpuql_planner.logical.expressions import AttributeRef, Expression, SortKey
from gpuql_planner.logical.window_calls import WindowCall


@dataclass(frozen=True, eq=False)
class Spans:
    """Rows cut into spans of neighbours: int64 ``starts`` of all spans, and the number of rows."""

    starts: Array
    num_rows: int
    context: RunContext

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def stops(self) -> Array:
        """Row after the last of each span."""
        xp = self.context.xp
        return xp.concatenate((self.starts[1:], xp.full(min(1, len(self.starts)), self.num_rows, xp.int64)))

    @cached_property
    def ids(self) -> Array:
        """Number of each row's span, int64."""
        xp = self.context.xp
        if len(self.starts) == self.num_rows:
            return xp.arange(self.num_rows)
        if len(self.starts) <= 1:
            return xp.zeros(self.num_rows, xp.int64)
        fresh = xp.zeros(self.num_rows, xp.int8)
        fresh[self.starts[1:]] = 1
        return xp.cumsum(fresh, dtype=xp.int64)

    @cached_property
    def first(self) -> Array:
        """First row of each row's span."""
        return self.starts[self.ids]

    @cached_property
    def stop(self) -> Array:
        """Row after the last of each row's span."""
        return self.stops[self.ids]


class SortedRows:
    """A batch in order, and its spans by sets of columns."""

    def __init__(self, rows: Batch, context: RunContext) -> None:
        self.rows = rows
        self.context = context
        self.num_rows = rows.num_rows
        self._changes: dict[Expression, Array | None] = {}
        self._spans: dict[frozenset[Expression], Spans] = {}

    @cached_property
    def positions(self) -> Array:
        """0, 1, 2 … int64."""
        return self.context.xp.arange(self.num_rows, dtype=self.context.xp.int64)

    def value(self, operand: Expression) -> Column:
        """Value of a column or constant for each row."""
        return evaluate(operand, self.rows, self.context)

    def partitions(self, call: WindowCall) -> Spans:
        """Partitions of a call."""
        return self._spans_of(call.partition_by)

    def peers(self, call: WindowCall) -> Spans:
        """Rows that are equal in partition and order keys; the whole partition if there are no order keys."""
        return self._spans_of((*call.partition_by, *(key.expression for key in call.order_by)))

    def _spans_of(self, keys: Iterable[Expression]) -> Spans:
        wanted = frozenset(keys)
        known = self._spans.get(wanted)
        if known is None:
            known = self._spans[wanted] = self._find_spans(wanted)
        return known

    def _find_spans(self, keys: frozenset[Expression]) -> Spans:
        xp = self.context.xp
        fresh: Array | None = None
        for key in keys:
            changed = self._changed(key)
            if changed is not None:
                fresh = changed if fresh is None else fresh | changed
        if self.num_rows == 0:
            return Spans(xp.zeros(0, xp.int64), 0, self.context)
        starts = xp.zeros(1, xp.int64)
        if fresh is not None:
            starts = xp.concatenate((starts, xp.flatnonzero(fresh).astype(xp.int64) + 1))
        return Spans(starts, self.num_rows, self.context)

    def _changed(self, key: Expression) -> Array | None:
        """Whether each row but the first differs from the one before in a column; None for constants."""
        if not isinstance(key, AttributeRef) or self.num_rows < 2:
            return None
        if key not in self._changes:
            self._changes[key] = _differences(self.value(key), self.context)
        return self._changes[key]


def _differences(column: Column, context: RunContext) -> Array:
    xp = context.xp
    validity = column.validity
    if column.strings is not None and not column.strings.unique:
        codes = group_rows([column], len(column), context).ids
        differs: Array = codes[1:] != codes[:-1]
        return differs
    values = column.values if column.strings is not None else integer_keys(xp, column)
    if values is None:
        words = word_keys(xp, column)
        differs = (words[1:] != words[:-1]).any(axis=1)
    else:
        differs = values[1:] != values[:-1]
    if validity is None:
        return differs
    return (differs & validity[1:] & validity[:-1]) | (validity[1:] != validity[:-1])


def sort_places(keys: tuple[SortKey, ...], rows: SortedRows) -> list[Column]:
    """Columns of an ORDER BY inside a call."""
    return [rows.value(key.expression) for key in keys]
