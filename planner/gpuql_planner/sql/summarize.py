"""SUMMARIZE: one row for each column of a query, made of aggregates over it. The query itself runs once."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from gpuql_planner.errors import GpuqlError
from gpuql_planner.functions import explicit_cast, make_aggregate, make_call, make_case, make_comparison
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Expression, Literal, SortKey
from gpuql_planner.logical.nodes import Aggregate, LogicalNode, Project, Shared, Sort, UnionAll
from gpuql_planner.sql.bind_query import BoundQuery, keep_outputs
from gpuql_planner.sql.context import next_shared_key
from gpuql_planner.types import BIGINT, DOUBLE, INTEGER, NULL, VARCHAR, DataType, TypeId, decimal

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder

_PERCENTAGE = decimal(9, 2)
_COLUMNS: tuple[tuple[str, DataType], ...] = (
    ("column_name", VARCHAR),
    ("column_type", VARCHAR),
    ("min", VARCHAR),
    ("max", VARCHAR),
    ("approx_unique", BIGINT),
    ("avg", VARCHAR),
    ("std", VARCHAR),
    ("q25", VARCHAR),
    ("q50", VARCHAR),
    ("q75", VARCHAR),
    ("count", BIGINT),
    ("null_percentage", _PERCENTAGE),
)
_QUANTILES = (("q25", Decimal("0.25")), ("q50", Decimal("0.5")), ("q75", Decimal("0.75")))


def summary_query(queries: QueryBinder, source: BoundQuery) -> BoundQuery:
    """The summary. ``approx_unique`` and quantiles are exact here."""
    key = next_shared_key()
    rows = [_row(source.plan, key, place, name) for place, name in enumerate(source.names)]
    number = Attribute.fresh("position", INTEGER)
    outputs = tuple(Attribute.fresh(name, dtype) for name, dtype in _COLUMNS)
    plan: LogicalNode = rows[0] if len(rows) == 1 else UnionAll(tuple(rows), (number, *outputs))
    if len(rows) == 1:
        number, *single = rows[0].outputs
        outputs = tuple(single)
    plan = Sort(plan, (SortKey(AttributeRef(number)),))
    return BoundQuery(keep_outputs(plan, outputs), tuple(name for name, _ in _COLUMNS))


def _row(definition: LogicalNode, key: int, place: int, name: str) -> LogicalNode:
    attributes = tuple(Attribute.fresh(one.name, one.dtype) for one in definition.outputs)
    use = Shared(key, definition, attributes)
    column = AttributeRef(attributes[place])
    calls: dict[str, tuple[str, Sequence[Expression]]] = {
        "total": ("count_star", ()),
        "count": ("count", (column,)),
        "unique": ("approx_count_distinct", (column,)),
        "min": ("min", (column,)),
        "max": ("max", (column,)),
    }
    dtype = column.dtype
    if dtype.is_numeric or dtype.is_temporal:
        calls["avg"] = ("avg", (column,))
        function = "quantile_cont" if dtype.is_numeric else "quantile_disc"
        for quantile, fraction in _QUANTILES:
            calls[quantile] = (function, (column, Literal(float(fraction), DOUBLE)))
    if dtype.is_numeric:
        calls["std"] = ("stddev", (column,))
    made: dict[str, Attribute] = {}
    aggregates = []
    for label, (function, arguments) in calls.items():
        try:
            call = make_aggregate(function, arguments)
        except GpuqlError:  # the type has no such aggregate: its value is NULL
            continue
        made[label] = Attribute.fresh(label, call.dtype)
        aggregates.append((made[label], call))
    plan = Aggregate(use, (), tuple(aggregates))
    values: dict[str, Expression] = {
        "column_name": Literal(name, VARCHAR),
        "column_type": Literal('"NULL"' if dtype == NULL else str(dtype), VARCHAR),
        "approx_unique": _value(made, "unique", BIGINT),
        "count": _value(made, "total", BIGINT),
        "null_percentage": _null_percentage(made),
    }
    for label in ("min", "max", "avg", "std"):
        values[label] = _value(made, label, VARCHAR)
    for label, _ in _QUANTILES:
        values[label] = _quantile(made, label, dtype)
    number = (Attribute.fresh("position", INTEGER), Literal(place, INTEGER))
    items = [(Attribute.fresh(label, kind), values[label]) for label, kind in _COLUMNS]
    return Project(plan, (number, *items))


def _value(made: dict[str, Attribute], label: str, dtype: DataType) -> Expression:
    attribute = made.get(label)
    if attribute is None:
        return Literal(None, dtype)
    value = AttributeRef(attribute)
    return value if value.dtype == dtype else explicit_cast(value, dtype)


def _quantile(made: dict[str, Attribute], label: str, dtype: DataType) -> Expression:
    attribute = made.get(label)
    if attribute is None:
        return Literal(None, VARCHAR)
    value: Expression = AttributeRef(attribute)
    if value.dtype != dtype and dtype.id is not TypeId.NULL:
        value = explicit_cast(value, dtype)
    return explicit_cast(value, VARCHAR)


def _null_percentage(made: dict[str, Attribute]) -> Expression:
    """Share of NULLs in percent; NULL of no rows."""
    total, present = AttributeRef(made["total"]), AttributeRef(made["count"])
    missing = make_call("multiply", (make_call("subtract", (total, present)), Literal(100.0, DOUBLE)))
    share = explicit_cast(make_call("divide", (missing, total)), _PERCENTAGE)
    empty = make_comparison("eq", total, Literal(0, BIGINT))
    return make_case([(empty, Literal(None, _PERCENTAGE))], share)
