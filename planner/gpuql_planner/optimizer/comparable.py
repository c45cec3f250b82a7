"""Refuses plans that compare what has no order here: lists, structs and maps that hold INTERVALs.

Intervals that are equal may differ (30 days, 1 month), and nested values are compared by their bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from gpuql_planner.errors import NotSupportedError
from gpuql_planner.functions.comparison import COMPARISONS
from gpuql_planner.logical.expressions import AggregateCall, Call, Expression, InList
from gpuql_planner.logical.nodes import Aggregate, LogicalNode, Sort, Window
from gpuql_planner.logical.visit import node_expressions, walk, walk_plan
from gpuql_planner.logical.window_calls import WindowCall
from gpuql_planner.types import DataType, TypeId, list_of

#: Functions that compare elements of lists, or keys of maps.
_COMPARING = COMPARISONS | {
    "list_contains",
    "list_distinct",
    "list_equals_any",
    "list_grade_up",
    "list_has_all",
    "list_has_any",
    "list_intersect",
    "list_position",
    "list_sort",
    "list_unique",
    "greatest",
    "least",
}

#: Functions that compare the keys of their first argument.
_COMPARING_KEYS = frozenset({"map", "map_contains", "map_extract", "map_extract_value", "map_from_entries"})

#: Aggregates that compare their arguments.
_COMPARING_AGGREGATES = frozenset(
    {
        "arg_max",
        "arg_max_n",
        "arg_max_null",
        "arg_min",
        "arg_min_n",
        "arg_min_null",
        "entropy",
        "histogram",
        "max",
        "max_n",
        "median",
        "min",
        "min_n",
        "mode",
        "quantile_disc",
    }
)


def refuse_uncomparable(plan: LogicalNode) -> None:
    """NotSupportedError if nested values that hold INTERVALs are compared, ordered or grouped."""
    for node in walk_plan(plan):
        for expression in _compared(node):
            if _holds_interval(expression.dtype):
                raise NotSupportedError(f"comparing values of type {expression.dtype}")


def _compared(node: LogicalNode) -> Iterator[Expression]:
    if isinstance(node, Aggregate):
        yield from (key for _, key in node.keys)
    if isinstance(node, Sort):
        yield from (key.expression for key in node.keys)
    calls = [call for _, call in node.calls] if isinstance(node, Window) else []
    for call in calls:
        yield from (*call.partition_by, *(key.expression for key in call.order_by))
    for expression in node_expressions(node):
        for part in walk(expression):
            if isinstance(part, Call) and part.function in _COMPARING:
                yield from part.arguments
            elif isinstance(part, Call) and part.function in _COMPARING_KEYS:
                yield Call("map_keys", part.arguments[:1], list_of(_key_type(part.arguments[0].dtype)))
            elif isinstance(part, InList):
                yield part.argument
            elif isinstance(part, (AggregateCall, WindowCall)) and (
                part.distinct or part.function in _COMPARING_AGGREGATES
            ):
                yield from part.arguments


def _key_type(dtype: DataType) -> DataType:
    """Type of the keys of a map, of a list of them, or of entries."""
    (_, key), *_ = dtype.fields
    return key.fields[0][1] if dtype.is_list and key.id is TypeId.STRUCT and key.fields else key


def _holds_interval(dtype: DataType) -> bool:
    return dtype.is_nested and any(
        part.id is TypeId.INTERVAL or _holds_interval(part) for _, part in dtype.fields
    )
