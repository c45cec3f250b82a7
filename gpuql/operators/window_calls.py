"""One window call over sorted rows: which function computes it."""

from __future__ import annotations

from collections.abc import Callable

from gpuql.columnar.column import Column
from gpuql.operators.window_aggregates import aggregate_column
from gpuql.operators.window_rows import SortedRows
from gpuql.operators.window_values import (
    cume_dist,
    dense_rank,
    neighbour,
    ntile,
    percent_rank,
    rank,
    row_number,
    value_of_frame,
)
from gpuql_planner.logical.window_calls import WindowCall

_FUNCTIONS: dict[str, Callable[[WindowCall, SortedRows], Column]] = {
    "row_number": row_number,
    "rank": rank,
    "dense_rank": dense_rank,
    "percent_rank": percent_rank,
    "cume_dist": cume_dist,
    "ntile": ntile,
    "lag": neighbour,
    "lead": neighbour,
    "first_value": value_of_frame,
    "last_value": value_of_frame,
    "nth_value": value_of_frame,
}


def call_column(call: WindowCall, rows: SortedRows) -> Column:
    """Value of ``call`` for each of ``rows``, which are whole partitions in the call's order.

    Errors: those of SQL. Memory: some int64 for each row, and for frames that need all of their rows at once as many
    as ``FRAME_PAIRS`` at a time.
    """
    return _FUNCTIONS.get(call.function, aggregate_column)(call, rows)
