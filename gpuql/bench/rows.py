"""Whether two results are the same rows."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from decimal import Decimal

Row = Sequence[object]

#: Relative difference allowed between floating-point values, whose sums depend on the order of addition.
FLOAT_TOLERANCE = 1e-9


def difference(left: Sequence[Row], right: Sequence[Row]) -> str | None:
    """None if both hold the same rows, else the first difference in words.

    Integers, decimals, strings and dates must be equal, floats within :data:`FLOAT_TOLERANCE`. Rows that come in
    another order count as the same: an ORDER BY with ties leaves their order open.
    """
    if len(left) != len(right):
        return f"{len(left)} rows against {len(right)}"
    in_order = first_difference(left, right)
    if in_order is None:
        return None
    by_value = first_difference(sorted(left, key=_sort_key), sorted(right, key=_sort_key))
    return None if by_value is None else in_order


def first_difference(left: Sequence[Row], right: Sequence[Row]) -> str | None:
    """The first pair of rows, by position, that differ."""
    for number, (one, other) in enumerate(zip(left, right, strict=True)):
        if len(one) != len(other) or not all(map(same_value, one, other)):
            return f"row {number}: {tuple(one)!r} against {tuple(other)!r}"
    return None


def same_value(left: object, right: object) -> bool:
    """Equality of two values of a result."""
    if isinstance(left, float) or isinstance(right, float):
        if not isinstance(left, (int, float, Decimal)) or not isinstance(right, (int, float, Decimal)):
            return False
        one, other = float(left), float(right)
        if math.isnan(one) or math.isnan(other):
            return math.isnan(one) and math.isnan(other)
        return math.isclose(one, other, rel_tol=FLOAT_TOLERANCE, abs_tol=1e-12)
    return _without_clock(left) == _without_clock(right)


def _without_clock(value: object) -> object:
    """A timestamp at midnight as its date: engines differ in the type they give date arithmetic."""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date()
    return value


def _sort_key(row: Row) -> tuple[tuple[int, object], ...]:
    exact = [value for value in row if not isinstance(value, float)]
    inexact = [value for value in row if isinstance(value, float)]
    keys: list[tuple[int, object]] = [
        (0, "") if value is None else (1, str(_without_clock(value))) for value in exact
    ]
    keys += [(2, float(f"{value:.6g}")) for value in inexact]
    return tuple(keys)
