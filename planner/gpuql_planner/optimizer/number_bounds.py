"""Comparisons of columns with constants, as ends of ranges of numbers."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from decimal import Decimal

from gpuql_planner.logical.expressions import (
    Attribute,
    AttributeRef,
    Call,
    Expression,
    Literal,
    LiteralValue,
)
from gpuql_planner.logical.visit import depend_on_literals
from gpuql_planner.types import DataType

_EPOCH = datetime.date(1970, 1, 1)
_RANGES = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq"}

#: A column, ``lt le gt ge eq``, and the stored value that it is compared with.
Bound = tuple[Attribute, str, float]


def bound_of(predicate: Expression) -> Bound | None:
    """``column op constant`` with a constant that has a place on the number line."""
    if not isinstance(predicate, Call) or predicate.function not in _RANGES:
        return None
    one, other = predicate.arguments
    function = predicate.function
    if isinstance(one, Literal):
        one, other, function = other, one, _RANGES[function]
    if not isinstance(one, AttributeRef) or not isinstance(other, Literal):
        return None
    value = stored_number(other.estimate, other.dtype)
    return None if value is None else (one.attribute, function, value)


def bounds(predicates: Iterable[Expression]) -> dict[Attribute, tuple[float | None, float | None]]:
    """Smallest and largest stored value that each column may have if all ``predicates`` are true; None: no such end."""
    found: dict[Attribute, tuple[float | None, float | None]] = {}
    for predicate in predicates:
        bound = bound_of(predicate)
        if bound is None:
            continue
        attribute, function, value = bound
        low, high = found.get(attribute, (None, None))
        step = 0.0 if attribute.dtype.is_float else 1.0
        if function in ("gt", "ge", "eq"):
            candidate = value + step if function == "gt" else value
            low = candidate if low is None else max(low, candidate)
        if function in ("lt", "le", "eq"):
            candidate = value - step if function == "lt" else value
            high = candidate if high is None else min(high, candidate)
        found[attribute] = (low, high)
    return found


def contradictory(predicates: Iterable[Expression]) -> bool:
    """No value of some column meets all its comparisons with constants (proved: only exact numbers are compared)."""
    parts = list(predicates)
    found = any(low is not None and high is not None and low > high for low, high in bounds(parts).values())
    if found:  # a proof, unlike the estimates: it holds for these constants
        for part in parts:
            depend_on_literals(part)
    return found


def stored_number(value: LiteralValue, dtype: DataType) -> float | None:
    """A constant in the stored form that statistics use; None if it has no place on a number line."""
    if value is None or isinstance(value, (str, bytes)):
        return None
    if isinstance(value, Decimal):
        return int(value.scaleb(dtype.scale)) if dtype.is_decimal else float(value)
    if isinstance(value, (bool, int)):
        return int(value) * 10**dtype.scale if dtype.is_decimal else int(value)
    if isinstance(value, float):
        return None if value != value else value
    if isinstance(value, datetime.datetime):
        since = value.replace(tzinfo=None) - datetime.datetime(1970, 1, 1)
        return since // datetime.timedelta(microseconds=1)
    if isinstance(value, datetime.date):
        return (value - _EPOCH).days
    return None
