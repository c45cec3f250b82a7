"""CAST between TIMESTAMPTZ and DATE and TIMESTAMP, which are what clocks of a zone show."""

from __future__ import annotations

from gpuql.columnar.column import Column
from gpuql.expressions.cast import evaluate_cast
from gpuql.expressions.vectors import EvaluationContext, make_column
from gpuql.expressions.zones import to_local, to_utc
from gpuql_planner.errors import InternalError
from gpuql_planner.types import TIMESTAMP, DataType, TypeId


def cast_zoned(
    column: Column, dtype: DataType, context: EvaluationContext, *, zone: str, try_: bool
) -> Column:
    """A cast with TIMESTAMPTZ on one side and a type of dates on the other."""
    if not zone:
        raise InternalError(f"cast names no time zone: {column.dtype} to {dtype}")
    xp = context.xp
    if column.dtype.id is TypeId.TIMESTAMPTZ:
        local = to_local(xp, zone, column.values.astype(xp.int64))
        bounds = column.bounds if zone == "UTC" else None
        return evaluate_cast(
            make_column(xp, TIMESTAMP, local, column.validity, bounds), dtype, context, try_=try_
        )
    plain = evaluate_cast(column, TIMESTAMP, context, try_=try_)
    moments = to_utc(xp, zone, plain.values.astype(xp.int64))
    return make_column(xp, dtype, moments, plain.validity, plain.bounds if zone == "UTC" else None)
