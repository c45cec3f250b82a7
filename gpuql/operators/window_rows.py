"""Sorted rows of whole partitions: where partitions and sets of peers begin and end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_columns
from gpuql.expressions.evaluate import evaluate
from gpuql.operators.accumulators.rows import pick
from gpuql.operators.contract import RunContext
from gpuql.operators.grouping import group_rows
from gpuql.operators.keys import integer_keys, word_keys
from gpuql.operators.ordering import value_words
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


@dataclass(frozen=True, eq=False)
class KeySearch:
    """For each row a value to be found among the keys of its partition, which are in order.

    A key comes before the value if it is smaller, or larger if ``descending``; with ``past_equal`` also if it equals.
    """

    key: Expression
    values: Column
    descending: bool
    past_equal: bool

    def rows(self, keys: Column, values: Column, low: Array, high: Array, context: RunContext) -> Array:
        """First row from ``low`` to ``high`` (int64, one entry for each of ``values``) that does not come before."""
        xp = context.xp
        if len(keys) == 0 or len(values) == 0:
            return low
        left, right = comparable(keys, values, context)
        if self.descending:
            left, right = [~word for word in left], [~word for word in right]
        if len(left) == 1:
            found: Array = context.kernels.window.search(
                left[0], right[0], low, high, past_equal=self.past_equal
            )
            return found
        for _ in range(int((high - low).max()).bit_length()):
            middle = (low + high) >> 1
            here = [word[xp.minimum(middle, len(keys) - 1)] for word in left]
            before = ~less(right, here) if self.past_equal else less(here, right)
            before &= low < high
            low, high = xp.where(before, middle + 1, low), xp.where(before, high, middle)
        return low


def comparable(one: Column, other: Column, context: RunContext) -> tuple[list[Array], list[Array]]:
    """Words of both columns that compare as their values do, most significant first."""
    both, _ = value_words(concat_columns([one, other], xp=context.xp), context)
    count = len(one)
    return [word[:count] for word in both], [word[count:] for word in both]


def less(left: list[Array], right: list[Array]) -> Array:
    """Rows in which the left words are smaller."""
    result = left[-1] < right[-1]
    for one, other in zip(left[-2::-1], right[-2::-1], strict=True):
        result = (one < other) | ((one == other) & result)
    return result


class SortedRows:
    """A batch in order, and its spans by sets of columns."""

    def __init__(self, rows: Batch, context: RunContext) -> None:
        self.rows = rows
        self.context = context
        self.num_rows = rows.num_rows
        #: Rows of the partitions together, of which these may be a part.
        self.total_rows = rows.num_rows
        #: Whether frames that several rows share may be given once.
        self.shares_frames = True
        self._known_rows: dict[Expression, tuple[Array, Array]] = {}
        self._changes: dict[Expression, Array | None] = {}
        self._spans: dict[frozenset[Expression], Spans] = {}

    @cached_property
    def positions(self) -> Array:
        """0, 1, 2 … int64."""
        return self.context.xp.arange(self.num_rows, dtype=self.context.xp.int64)

    def value(self, operand: Expression) -> Column:
        """Value of a column or constant for each row."""
        return evaluate(operand, self.rows, self.context)

    def pick(self, operand: Expression, source: Array) -> Column:
        """Value of a column or constant at other rows, NULL where ``source`` is -1."""
        return pick(self.value(operand), source, self.context)

    def peer_number(self, call: WindowCall) -> Array:
        """Number of the row's set of peers in its partition, from 0."""
        peers, partitions = self.peers(call), self.partitions(call)
        if len(partitions) <= 1:
            return peers.ids
        return peers.ids - peers.ids[partitions.starts][partitions.ids]

    def peer_starts(self, call: WindowCall, numbers: Array) -> Array:
        """First row of the sets of peers of these numbers (``peers(call).ids``)."""
        return self.peers(call).starts[numbers]

    def peer_stops(self, call: WindowCall, numbers: Array) -> Array:
        """Row after the last of the sets of peers of these numbers."""
        return self.peers(call).stops[numbers]

    def peer_range(self, call: WindowCall) -> tuple[Array, Array]:
        """Number of the first and of the last set of peers in each row's partition."""
        ids, partitions = self.peers(call).ids, self.partitions(call)
        return ids[partitions.first], ids[partitions.stop - 1]

    def num_nulls(self, operand: Expression, call: WindowCall) -> Array:
        """Rows of each row's partition in which a column is NULL."""
        xp, partitions = self.context.xp, self.partitions(call)
        validity = self.value(operand).validity
        if validity is None:
            return xp.zeros(self.num_rows, xp.int64)
        before = xp.concatenate((xp.zeros(1, xp.int64), xp.cumsum(~validity, dtype=xp.int64)))
        return before[partitions.stop] - before[partitions.first]

    def known_before(self, operand: Expression, positions: Array) -> Array:
        """Rows before each position (0 to the number of rows) in which a column is not NULL."""
        return self._known(operand)[0][positions]

    def known_rows(self, operand: Expression, numbers: Array) -> Array:
        """Position of the rows in which a column is not NULL, by their number; any for numbers that there are not."""
        places = self._known(operand)[1]
        if not len(places):
            return self.context.xp.zeros(len(numbers), self.context.xp.int64)
        return places[self.context.xp.clip(numbers, 0, len(places) - 1)]

    def _known(self, operand: Expression) -> tuple[Array, Array]:
        if operand not in self._known_rows:
            xp = self.context.xp
            validity = self.value(operand).validity
            if validity is None:
                validity = xp.ones(self.num_rows, bool)
            before = xp.concatenate((xp.zeros(1, xp.int64), xp.cumsum(validity, dtype=xp.int64)))
            self._known_rows[operand] = before, xp.flatnonzero(validity)
        return self._known_rows[operand]

    def search(self, search: KeySearch, low: Array, high: Array) -> Array:
        """First row from ``low`` to ``high`` whose key does not come before the row's value."""
        return search.rows(self.value(search.key), search.values, low, high, self.context)

    def partitions(self, call: WindowCall) -> Spans:
        """Partitions of a call."""
        return self.spans_of(call.partition_by)

    def peers(self, call: WindowCall) -> Spans:
        """Rows that are equal in partition and order keys; the whole partition if there are no order keys."""
        return self.spans_of((*call.partition_by, *(key.expression for key in call.order_by)))

    def spans_of(self, keys: Iterable[Expression]) -> Spans:
        """Neighbours that are equal in all of ``keys``."""
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
            self._changes[key] = differences(self.value(key), self.context)
        return self._changes[key]


def differences(column: Column, context: RunContext) -> Array:
    """Whether each row but the first differs from the one before (NULLs equal)."""
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
