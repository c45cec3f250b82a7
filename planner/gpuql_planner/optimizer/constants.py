"""Calls whose arguments are all constants, computed at plan time where the result is beyond doubt.

What could raise, overflow or depend on floating-point detail stays for the execution, so that errors and rounding
come from one place.
"""

from __future__ import annotations

import calendar
import datetime
import decimal
import math
from collections.abc import Callable
from decimal import Decimal

from gpuql_planner.errors import ConversionError, OutOfRangeError
from gpuql_planner.functions.coercion import coerce
from gpuql_planner.logical.expressions import Call, Cast, Expression, Interval, Literal, LiteralValue
from gpuql_planner.logical.traced import derive
from gpuql_planner.session_zone import binding_in_zone
from gpuql_planner.types import BOOLEAN, DataType, TypeId

_COMPARISONS: dict[str, Callable[[int], bool]] = {
    "eq": lambda order: order == 0,
    "ne": lambda order: order != 0,
    "lt": lambda order: order < 0,
    "le": lambda order: order <= 0,
    "gt": lambda order: order > 0,
    "ge": lambda order: order >= 0,
}
#: Calls that are NULL as soon as one argument is.
_STRICT = frozenset((*_COMPARISONS, "add", "subtract", "multiply", "divide", "negate", "like", "not"))
_EXACT = decimal.Context(prec=120)
_MICROSECOND = datetime.timedelta(microseconds=1)


def fold_call(call: Call) -> Expression:
    """``call`` as a constant, or itself."""
    constants = [argument for argument in call.arguments if isinstance(argument, Literal)]
    if len(constants) < len(call.arguments):
        return call
    return derive(lambda *plain: _fold(call, plain), *constants) or call


def _fold(call: Call, constants: tuple[Literal, ...]) -> Literal | None:
    """Value of a call like ``call`` with these arguments; None if it is not computed here."""
    values = [constant.value for constant in constants]
    if call.function in ("is_null", "is_not_null"):
        return Literal((values[0] is None) == (call.function == "is_null"), BOOLEAN)
    if call.function in _STRICT and any(value is None for value in values):
        return Literal(None, call.dtype)
    if any(value is None for value in values):
        return None
    types = [constant.dtype for constant in constants]
    if call.function in _COMPARISONS:
        order = _order(values[0], values[1]) if types[0] == types[1] else None
        return None if order is None else Literal(_COMPARISONS[call.function](order), BOOLEAN)
    try:
        result = _arithmetic(call.function, values, types)
    except (OverflowError, ValueError, decimal.DecimalException):
        return None
    return None if result is None or not _fits(result, call.dtype) else Literal(result, call.dtype)


def fold_cast(cast: Cast) -> Expression:
    """A cast of a constant that loses nothing, as a constant; any other cast as it is."""
    if cast.argument.dtype == cast.dtype:
        return cast.argument
    if not isinstance(cast.argument, Literal):
        return cast
    try:
        with binding_in_zone(cast.zone):
            converted = coerce(cast.argument, cast.dtype)
    except (ConversionError, OutOfRangeError):
        return cast  # raises when it runs, if it runs
    return converted if isinstance(converted, Literal) else cast


def _order(one: LiteralValue, other: LiteralValue) -> int | None:
    """Negative, zero or positive as ``one`` sorts before, with or after ``other``; None if Python cannot say."""
    if isinstance(one, str) and isinstance(other, str):
        first, second = one.encode(), other.encode()
        return (first > second) - (first < second)
    if isinstance(one, (bool, int, Decimal, float)) and isinstance(other, (bool, int, Decimal, float)):
        if _is_nan(one) or _is_nan(other):
            return None
        return (one > other) - (one < other)
    for kind in (datetime.datetime, datetime.date, datetime.time, bytes):
        if type(one) is kind and type(other) is kind:
            return (one > other) - (one < other)  # type: ignore[operator]
    return None


def _is_nan(value: float | Decimal) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _arithmetic(function: str, values: list[LiteralValue], types: list[DataType]) -> LiteralValue:
    match function, values:
        case "negate", [int() | Decimal() as value]:
            return -value
        case "add", [datetime.date() as start, Interval() as step]:
            return shift(start, step)
        case "add", [Interval() as step, datetime.date() as start]:
            return shift(start, step)
        case "subtract", [datetime.date() as start, Interval(months, days, microseconds)]:
            return shift(start, Interval(-months, -days, -microseconds))
        case "add", [datetime.date() as start, int() as days] if types[0].id is TypeId.DATE:
            return start + datetime.timedelta(days=days)
        case "subtract", [datetime.date() as start, int() as days] if types[0].id is TypeId.DATE:
            return start - datetime.timedelta(days=days)
        case "subtract", [datetime.date() as end, datetime.date() as start] if _both_dates(types):
            return (end - start).days
        case "add" | "subtract" | "multiply", [int() as one, int() as other]:
            return _exact(function, one, other)
        case "add" | "subtract" | "multiply", [Decimal() as one, Decimal() as other]:
            return _exact(function, one, other)
        case "add" | "subtract" | "multiply" | "divide", [float() as one, float() as other]:
            return _floating(function, one, other)
    return None


def _both_dates(types: list[DataType]) -> bool:
    return types[0].id is TypeId.DATE and types[1].id is TypeId.DATE


def _exact(function: str, one: int | Decimal, other: int | Decimal) -> int | Decimal:
    if isinstance(one, Decimal) or isinstance(other, Decimal):
        operation = {"add": _EXACT.add, "subtract": _EXACT.subtract, "multiply": _EXACT.multiply}[function]
        return operation(Decimal(one), Decimal(other))
    return {"add": one + other, "subtract": one - other, "multiply": one * other}[function]


def _floating(function: str, one: float, other: float) -> float | None:
    if function == "divide" and other == 0.0:
        return None
    if function == "divide":
        result = one / other
    else:
        result = {"add": one + other, "subtract": one - other, "multiply": one * other}[function]
    return result if math.isfinite(result) else None


def _fits(value: LiteralValue, dtype: DataType) -> bool:
    limits = dtype.limits
    if isinstance(value, Decimal):
        scaled = value.scaleb(dtype.scale, _EXACT)
        whole = scaled == scaled.to_integral_value()
        return dtype.is_decimal and whole and limits is not None and limits[0] <= scaled <= limits[1]
    if isinstance(value, int) and not isinstance(value, bool):
        return dtype.is_integer and limits is not None and limits[0] <= value <= limits[1]
    if isinstance(value, datetime.datetime):
        return dtype.id is TypeId.TIMESTAMP
    if isinstance(value, datetime.date):
        return dtype.id is TypeId.DATE
    return isinstance(value, float) and dtype.id is TypeId.DOUBLE


def shift(start: datetime.date, step: Interval) -> datetime.datetime:
    """A date or timestamp moved by an interval: months first (to the last day of a shorter month), then the rest."""
    months = start.year * 12 + start.month - 1 + step.months
    year, month = divmod(months, 12)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    time = start.time() if isinstance(start, datetime.datetime) else datetime.time()
    moved = datetime.datetime.combine(datetime.date(year, month + 1, day), time)
    return moved + datetime.timedelta(days=step.days) + step.microseconds * _MICROSECOND
