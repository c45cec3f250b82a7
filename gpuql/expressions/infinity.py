"""Infinite dates and timestamps: functions that know nothing of them see 1970 instead, and get the rest from here.

The largest stored value and its negative stand for infinity, as in DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from gpuql.columnar.column import Array, Column
from gpuql.expressions.vectors import EvaluationContext, declared_bounds, make_column
from gpuql_planner.types import INFINITE_DATE, INFINITE_TIMESTAMP, DataType, TypeId

Function = Callable[[DataType, list[Column], EvaluationContext], Column]


def infinity_of(dtype: DataType) -> int | None:
    """The stored value that stands for infinity; None for types that have none."""
    if dtype.id is TypeId.DATE:
        return INFINITE_DATE
    return INFINITE_TIMESTAMP if dtype.is_timestamp or dtype.id is TypeId.TIMESTAMPTZ else None


def infinite_rows(xp: Any, column: Column) -> Array | None:
    """Bool per row of a column: whether it is infinite and not NULL; None if no row is."""
    infinity = infinity_of(column.dtype)
    if infinity is None or column.values.ndim != 1:
        return None
    low, high = declared_bounds(column)
    if -infinity < low and high < infinity:
        return None
    rows = (column.values == infinity) | (column.values == -infinity)
    if column.validity is not None:
        rows = rows & column.validity
    return rows if bool(rows.any()) else None


def without_infinity(xp: Any, column: Column, rows: Array) -> Column:
    """The column with 1970 where ``rows`` is set."""
    return replace(column, values=xp.where(rows, 0, column.values.astype(xp.int64)), bounds=None)


def with_infinity(xp: Any, column: Column, infinite: Column, rows: Array) -> Column:
    """``column`` with the infinity of ``infinite``, in its own type, where ``rows`` is set."""
    infinity = infinity_of(column.dtype)
    assert infinity is not None, "the type of the result has an infinity"
    kept = xp.where(infinite.values > 0, infinity, -infinity)
    return make_column(
        xp, column.dtype, xp.where(rows, kept, column.values.astype(xp.int64)), column.validity
    )


def null_of_infinity(function: Function) -> Function:
    """``function``, NULL where an argument is infinite."""

    @wraps(function)
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        xp = context.xp
        found = [infinite_rows(xp, argument) for argument in arguments]
        if all(rows is None for rows in found):
            return function(dtype, arguments, context)
        finite = [
            one if rows is None else without_infinity(xp, one, rows)
            for one, rows in zip(arguments, found, strict=True)
        ]
        result = function(dtype, finite, context)
        valid = xp.ones(len(result.values), bool) if result.validity is None else result.validity
        for rows in found:
            if rows is not None:
                valid = valid & ~rows
        return replace(result, validity=valid)

    return apply


def infinity_of_infinity(function: Function) -> Function:
    """``function``, infinite where its first argument that can be is."""

    @wraps(function)
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        xp = context.xp
        for place, argument in enumerate(arguments):
            rows = infinite_rows(xp, argument)
            if rows is not None:
                finite = [*arguments[:place], without_infinity(xp, argument, rows), *arguments[place + 1 :]]
                return with_infinity(xp, function(dtype, finite, context), argument, rows)
        return function(dtype, arguments, context)

    return apply


def infinity_text(value: int, infinity: int) -> str | None:
    """Text of an infinite stored value; None of any other."""
    return None if abs(value) != infinity else "infinity" if value > 0 else "-infinity"
