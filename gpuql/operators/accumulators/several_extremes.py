"""min, max, arg_min and arg_max with a number: the first n values of each group in order, as a list."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column
from gpuql.columnar.nested import (
    device_column,
    host_column,
    lists_column,
    read_lists,
    read_structs,
    structs_column,
)
from gpuql.columnar.strings import on_host
from gpuql.operators.accumulators.rows import Rows, rank_word
from gpuql.operators.contract import RunContext
from gpuql_planner.logical.expressions import AggregateCall, Literal
from gpuql_planner.types import BIGINT, list_of, struct_of


class SeveralExtremes:
    """The ``count`` smallest or largest values of each group; of ``arg_min_n`` and ``arg_max_n`` by another value.

    A partial result is a list for each group: of structs of the key (only if it is not the value itself), the value and
    its place in the source, in the order of the result. Of rows that are equal the earliest ones count.
    """

    skips_nulls = True

    def __init__(self, call: AggregateCall) -> None:
        *values, count = call.arguments
        assert isinstance(count, Literal), "the number of values is a constant"
        assert isinstance(count.value, int), "the number of values is a constant"
        self._dtype = call.type
        self._largest = "max" in call.function
        self._count = count.value
        self._types = tuple(value.dtype for value in reversed(values))

    def partial(self, rows: Rows, context: RunContext) -> list[Column]:
        """The first values of each group."""
        columns = list(reversed(rows.columns))
        return self._chosen(Rows(rows.ids, rows.num_groups, columns, rows.order), context)

    def merge(self, rows: Rows, context: RunContext) -> list[Column]:
        """The first of those that parts have."""
        lists = read_lists(rows.columns[0])
        *columns, place = read_structs(lists.elements).fields
        ids = on_host(rows.ids)[lists.rows]
        xp = context.xp
        columns = [device_column(xp, column) for column in columns]
        return self._chosen(
            Rows(xp.asarray(ids), rows.num_groups, columns, xp.asarray(place.values.astype(np.int64))),
            context,
        )

    def finish(self, parts: list[Column], context: RunContext) -> Column:
        """The values of the structs; NULL for groups without any."""
        lists = read_lists(parts[0])
        values = read_structs(lists.elements).fields[-2]
        lengths = lists.lengths
        return device_column(context.xp, lists_column(self._dtype, lengths, values, lengths > 0))

    def _chosen(self, rows: Rows, context: RunContext) -> list[Column]:
        xp = context.xp
        order = self._order(rows, context)
        counts = context.kernels.group_by.count(rows.ids, rows.num_groups)
        starts = xp.cumsum(counts) - counts
        ids = rows.ids[order]
        order = order[xp.arange(len(order)) - starts[ids] < self._count]
        taken = [host_column(column.take(order)) for column in rows.columns]
        places = Column(BIGINT, on_host(rows.order[order]).astype(np.int64))
        element = struct_of(("", dtype) for dtype in (*self._types, BIGINT))
        structs = structs_column(element, (*taken, places), len(places))
        lengths = np.minimum(on_host(counts).astype(np.int64), self._count)
        return [device_column(xp, lists_column(list_of(element), lengths, structs))]

    def _order(self, rows: Rows, context: RunContext) -> Array:
        """Rows by group, then by value, then by place."""
        xp = context.xp
        key: Any = rank_word(rows.columns[0], context)
        word = ~key if self._largest else key
        bits = max(1, (max(rows.num_groups, 1) - 1).bit_length())
        words = [rows.ids.astype(xp.uint64), word, rows.order.astype(xp.int64).view(xp.uint64)]
        return context.kernels.sort.order(words, [bits, 64, 63])
