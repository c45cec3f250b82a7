"""Exact arithmetic and casts against Python's integers: the right value or an overflow, whatever the bounds say."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Context, Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuql.columnar.batch import Batch
from gpuql.columnar.construct import column_from_python, column_to_python
from gpuql.expressions.evaluate import evaluate
from gpuql.expressions.vectors import Scalars
from gpuql_kernels.families import cpu_families
from gpuql_planner.errors import ArithmeticOverflowError, ConversionError
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Call, Cast
from gpuql_planner.types import (
    BIGINT,
    HUGEINT,
    INTEGER,
    SMALLINT,
    TINYINT,
    UBIGINT,
    UINTEGER,
    UTINYINT,
    DataType,
    decimal,
)

CONTEXT = Scalars(np, cpu_families())
TYPES = (TINYINT, SMALLINT, INTEGER, BIGINT, HUGEINT, UTINYINT, UINTEGER, UBIGINT)
PATIENT = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


def values_of(dtype: DataType) -> st.SearchStrategy[int]:
    low, high = dtype.limits or (0, 0)
    edges = [value for value in (low, low + 1, -1, 0, 1, 7, high - 1, high) if low <= value <= high]
    near = st.integers(max(low, -50), min(high, 50))
    return st.one_of(st.integers(low, high), st.sampled_from(edges), near)


def run(
    function: str, dtype: DataType, rows: list[tuple[int | None, int | None]], *, bounds: bool
) -> list[int | None]:
    left, right = Attribute.fresh("a", dtype), Attribute.fresh("b", dtype)
    columns = {
        attribute.id: column_from_python([row[place] for row in rows], dtype)
        for place, attribute in enumerate((left, right))
    }
    if not bounds:
        columns = {key: replace(column, bounds=None) for key, column in columns.items()}
    call = Call(function, (AttributeRef(left), AttributeRef(right)), dtype)
    return column_to_python(evaluate(call, Batch(columns, len(rows)), CONTEXT))


def exact(function: str, a: int, b: int) -> int:
    if function == "integer_divide":
        return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    if function == "modulo":
        return a - b * exact("integer_divide", a, b)
    return {"add": a + b, "subtract": a - b, "multiply": a * b}[function]


@pytest.mark.parametrize("function", ["add", "subtract", "multiply", "integer_divide", "modulo"])
@pytest.mark.parametrize("bounds", [True, False])
@PATIENT
@given(data=st.data(), dtype=st.sampled_from(TYPES))
def test_binary(function: str, bounds: bool, data: st.DataObject, dtype: DataType) -> None:
    value = values_of(dtype)
    divisor = value.filter(bool) if function in ("integer_divide", "modulo") else value
    rows = data.draw(st.lists(st.tuples(st.none() | value, st.none() | divisor), min_size=1, max_size=8))
    expected = [None if a is None or b is None else exact(function, a, b) for a, b in rows]
    low, high = dtype.limits or (0, 0)
    if all(result is None or low <= result <= high for result in expected):
        assert run(function, dtype, rows, bounds=bounds) == expected
    else:
        with pytest.raises(ArithmeticOverflowError):
            run(function, dtype, rows, bounds=bounds)


@pytest.mark.parametrize("function", ["eq", "ne", "lt", "le", "gt", "ge"])
@PATIENT
@given(data=st.data(), dtype=st.sampled_from(TYPES))
def test_compare(function: str, data: st.DataObject, dtype: DataType) -> None:
    rows = data.draw(st.lists(st.tuples(values_of(dtype), values_of(dtype)), min_size=1, max_size=8))
    operators = {
        "eq": "__eq__",
        "ne": "__ne__",
        "lt": "__lt__",
        "le": "__le__",
        "gt": "__gt__",
        "ge": "__ge__",
    }
    expected = [getattr(a, operators[function])(b) for a, b in rows]
    assert run(function, dtype, rows, bounds=True) == expected
    assert run(function, dtype, rows, bounds=False) == expected


@PATIENT
@given(data=st.data(), source=st.sampled_from(TYPES), target=st.sampled_from(TYPES))
def test_cast_between_integers(data: st.DataObject, source: DataType, target: DataType) -> None:
    values = data.draw(st.lists(st.none() | values_of(source), min_size=1, max_size=8))
    attribute = Attribute.fresh("a", source)
    low, high = target.limits or (0, 0)
    fits = [value is None or low <= value <= high for value in values]
    for bounds in (True, False):
        column = column_from_python(values, source)
        column = column if bounds else replace(column, bounds=None)
        batch = Batch({attribute.id: column}, len(values))
        tried = column_to_python(evaluate(Cast(AttributeRef(attribute), target, try_=True), batch, CONTEXT))
        assert tried == [value if fit else None for value, fit in zip(values, fits, strict=True)]
        if not all(fits):
            with pytest.raises(ConversionError):
                evaluate(Cast(AttributeRef(attribute), target), batch, CONTEXT)


DECIMALS = ((4, 1), (9, 4), (18, 6), (19, 0), (30, 12), (38, 10), (38, 37))


@PATIENT
@given(data=st.data(), source=st.sampled_from(DECIMALS), target=st.sampled_from(DECIMALS))
def test_cast_between_decimals_rounds_half_away(
    data: st.DataObject, source: tuple[int, int], target: tuple[int, int]
) -> None:
    exact_context = Context(prec=90, rounding=ROUND_HALF_UP)
    limit = 10 ** source[0] - 1
    scaled = data.draw(st.lists(st.integers(-limit, limit) | st.integers(-999, 999), min_size=1, max_size=8))
    values = [Decimal(value).scaleb(-source[1], exact_context) for value in scaled]
    attribute = Attribute.fresh("a", decimal(*source))
    batch = Batch({attribute.id: column_from_python(values, decimal(*source))}, len(values))
    cast = Cast(AttributeRef(attribute), decimal(*target), try_=True)
    bound = Decimal(10) ** (target[0] - target[1])
    rounded = [value.quantize(Decimal(1).scaleb(-target[1]), context=exact_context) for value in values]
    expected = [value if value.copy_abs() < bound else None for value in rounded]
    assert column_to_python(evaluate(cast, batch, CONTEXT)) == expected
