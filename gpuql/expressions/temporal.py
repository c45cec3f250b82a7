"""Functions of dates, times, timestamps and intervals: parts, truncation, differences, text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpuql.columnar.column import Array, Column
from gpuql.expressions import temporal_text
from gpuql.expressions.calendar import (
    MICROSECONDS_PER_DAY,
    civil_from_days,
    days_from_civil,
    days_in_month,
    iso_week,
)
from gpuql.expressions.infinity import infinity_of_infinity, null_of_infinity
from gpuql.expressions.string_entries import constant_text
from gpuql.expressions.vectors import (
    EvaluationContext,
    declared_bounds,
    is_constant,
    joint_validity,
    make_column,
)
from gpuql_planner.errors import NotSupportedError
from gpuql_planner.statement_errors import DatetimeOutOfRange, InvalidParameterValue
from gpuql_planner.types import DataType, TypeId

_CLOCK_UNITS = {
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1000,
    "microsecond": 1,
}
_PART_ALIASES = {
    "years": "year",
    "y": "year",
    "yr": "year",
    "months": "month",
    "mon": "month",
    "mons": "month",
    "days": "day",
    "d": "day",
    "dayofmonth": "day",
    "weeks": "week",
    "w": "week",
    "quarters": "quarter",
    "hours": "hour",
    "h": "hour",
    "hr": "hour",
    "minutes": "minute",
    "min": "minute",
    "m": "minute",
    "seconds": "second",
    "sec": "second",
    "s": "second",
    "milliseconds": "millisecond",
    "ms": "millisecond",
    "msec": "millisecond",
    "microseconds": "microsecond",
    "us": "microsecond",
    "usec": "microsecond",
    "decades": "decade",
    "centuries": "century",
    "millenniums": "millennium",
    "millennia": "millennium",
    "dow": "dayofweek",
    "weekday": "dayofweek",
    "doy": "dayofyear",
}


def part_name(column: Column) -> str:
    """The date part named by a constant, by its full name."""
    if not is_constant(column):
        raise NotSupportedError("date part must be a constant")
    name = constant_text(column).lower()
    return _PART_ALIASES.get(name, name)


def _day_part(xp: Any, part: str, days: Array) -> Array:
    if part == "era":
        return (civil_from_days(xp, days)[0] > 0).astype(xp.int64)
    days = days.astype(xp.int64)
    if part == "dayofweek":
        return (days + 4) % 7
    if part == "isodow":
        return (days + 3) % 7 + 1
    if part in ("week", "isoyear", "yearweek"):
        year, week = iso_week(xp, days)
        return {"week": week, "isoyear": year, "yearweek": year * 100 + week}[part]
    year, month, day = civil_from_days(xp, days)
    if part == "dayofyear":
        return days - days_from_civil(year, 1, 1) + 1
    return {
        "year": year,
        "month": month,
        "day": day,
        "quarter": (month + 2) // 3,
        "decade": year // 10,
        "century": xp.where(year > 0, (year + 99) // 100, year // 100 - 1),
        "millennium": xp.where(year > 0, (year + 999) // 1000, year // 1000 - 1),
    }[part]


def _by_day(xp: Any, column: Column, function: Callable[[Array], Array]) -> Array:
    """A function of days, computed once per day of the column's range when that is shorter than the column."""
    days = split_days(xp, column)[0]
    if column.dtype.id is TypeId.DATE:
        low, high = declared_bounds(column)
        if high - low < min(len(days), 1 << 20):
            return function(xp.arange(low, high + 1, dtype=xp.int64))[xp.clip(days - low, 0, high - low)]
    return function(days)


def split_days(xp: Any, column: Column) -> tuple[Array, Array]:
    """Days since 1970 and microseconds since midnight of DATE, TIME or TIMESTAMP."""
    values = column.values.astype(xp.int64)
    if column.dtype.id is TypeId.DATE:
        return values, xp.zeros(1, xp.int64)
    if column.dtype.id is TypeId.TIME:
        return xp.zeros_like(values), values
    days = values // MICROSECONDS_PER_DAY
    return days, values - days * MICROSECONDS_PER_DAY


_PART_BOUNDS = {
    "month": (1, 12),
    "day": (1, 31),
    "quarter": (1, 4),
    "week": (1, 53),
    "dayofweek": (0, 6),
    "isodow": (1, 7),
    "dayofyear": (1, 366),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
    "millisecond": (0, 59_999),
    "microsecond": (0, 59_999_999),
}


def _extract(part: str) -> Callable[..., Column]:
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        xp = context.xp
        (column,) = arguments
        if column.dtype.id is TypeId.INTERVAL:
            values = _interval_part(xp, part, column.values)
            return make_column(xp, dtype, values, column.validity)
        if part in _CLOCK_UNITS:
            clock = split_days(xp, column)[1]
            if part == "hour":
                values = clock // _CLOCK_UNITS["hour"]
            elif part == "minute":
                values = clock // _CLOCK_UNITS["minute"] % 60
            else:
                values = clock % _CLOCK_UNITS["minute"] // _CLOCK_UNITS[part]
            values = xp.ascontiguousarray(xp.broadcast_to(values, (len(column.values),)))
        else:
            values = _by_day(xp, column, lambda days: _day_part(xp, part, days))
        if dtype.is_float:
            return make_column(xp, dtype, values.astype(xp.float64), column.validity)
        known = _PART_BOUNDS.get(part)
        if part == "year" and column.dtype.id is TypeId.DATE and column.bounds is not None:
            ends, _, _ = civil_from_days(xp, xp.asarray(column.bounds))
            known = int(ends[0]), int(ends[1])
        return make_column(xp, dtype, values, column.validity, known)

    return apply


def _interval_part(xp: Any, part: str, values: Array) -> Array:
    months, days, microseconds = (values[:, index] for index in range(3))
    if part in ("year", "decade", "century", "millennium"):
        years = {"year": 12, "decade": 120, "century": 1200, "millennium": 12000}[part]
        return xp.sign(months) * (xp.abs(months) // years)
    size, sign = xp.abs(microseconds), xp.sign(microseconds)
    match part:
        case "month":
            return xp.sign(months) * (xp.abs(months) % 12)
        case "quarter":
            return xp.sign(months) * (xp.abs(months) % 12) // 3 + 1
        case "day":
            return days
        case "hour":
            return sign * (size // _CLOCK_UNITS["hour"])
        case "minute":
            return sign * (size // _CLOCK_UNITS["minute"] % 60)
        case "second" | "millisecond" | "microsecond":
            return sign * (size % _CLOCK_UNITS["minute"] // _CLOCK_UNITS[part])
        case _:
            raise NotSupportedError(f"date part is not supported for INTERVAL: {part}")


def epoch(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Seconds since 1970-01-01, or of an interval (a year has 365.25 days), as DOUBLE."""
    xp = context.xp
    (column,) = arguments
    if column.dtype.id is TypeId.INTERVAL:
        months, days, microseconds = (column.values[:, index] for index in range(3))
        years, rest = xp.fix(months / 12), xp.fmod(months, 12)
        seconds = years * 31_557_600.0 + rest * 2_592_000.0 + days * 86_400.0 + microseconds / 1e6
        return make_column(xp, dtype, seconds, column.validity)
    values = column.values.astype(xp.int64)
    seconds = values * 86_400.0 if column.dtype.id is TypeId.DATE else values / 1e6
    return make_column(xp, dtype, seconds, column.validity)


def _truncate(xp: Any, part: str, days: Array, clock: Array) -> Array:
    """Microseconds since 1970 of the start of the unit that holds each moment."""
    if part in _CLOCK_UNITS:
        unit = _CLOCK_UNITS[part]
        return days * MICROSECONDS_PER_DAY + clock // unit * unit
    if part == "week":
        days = days - (days + 3) % 7
    elif part == "isoyear":
        year, _ = iso_week(xp, days)
        january_fourth = days_from_civil(year, 1, 4)
        days = january_fourth - (january_fourth + 3) % 7
    elif part != "day":
        year, month, _ = civil_from_days(xp, days)
        if part == "month":
            days = days_from_civil(year, month, 1)
        elif part == "quarter":
            days = days_from_civil(year, (month - 1) // 3 * 3 + 1, 1)
        elif part in ("year", "decade", "century", "millennium"):
            unit = {"year": 1, "decade": 10, "century": 100, "millennium": 1000}[part]
            days = days_from_civil(year // unit * unit, xp.ones_like(year), 1)
        else:
            raise InvalidParameterValue(f"date part is not known: {part}")
    return days * MICROSECONDS_PER_DAY


def date_trunc(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Start of the unit that holds a moment; DATE or TIMESTAMP as the call says. Intervals lose finer units."""
    xp = context.xp
    part, column = part_name(arguments[0]), arguments[1]
    if column.dtype.id is TypeId.INTERVAL:
        return make_column(xp, dtype, _truncate_interval(xp, part, column.values), column.validity)
    if part in _CLOCK_UNITS and column.dtype.id is not TypeId.DATE:
        days, clock = split_days(xp, column)
        micros = _truncate(xp, part, days, clock)
    else:
        part = "day" if part in _CLOCK_UNITS else part
        micros = _by_day(xp, column, lambda days: _truncate(xp, part, days, xp.zeros(1, xp.int64)))
    values = micros // MICROSECONDS_PER_DAY if dtype.id is TypeId.DATE else micros
    return make_column(xp, dtype, values, column.validity)


def _truncate_interval(xp: Any, part: str, values: Array) -> Array:
    months, days, microseconds = (values[:, index] for index in range(3))
    zero = xp.zeros_like(months)
    months_unit = {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200, "millennium": 12000}
    if part in months_unit:
        unit = months_unit[part]
        return xp.stack((xp.sign(months) * (xp.abs(months) // unit * unit), zero, zero), axis=-1)
    if part in ("day", "week"):
        unit = 7 if part == "week" else 1
        return xp.stack((months, xp.sign(days) * (xp.abs(days) // unit * unit), zero), axis=-1)
    if part not in _CLOCK_UNITS:
        raise InvalidParameterValue(f"date part is not known: {part}")
    unit = _CLOCK_UNITS[part]
    kept = xp.sign(microseconds) * (xp.abs(microseconds) // unit * unit)
    return xp.stack((months, days, kept), axis=-1)


def date_diff(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Boundaries of the unit between two moments; weeks are whole spans of seven days, as in DuckDB."""
    xp = context.xp
    part = part_name(arguments[0])
    start, end = arguments[1], arguments[2]
    positions = [_unit_index(xp, part, column) for column in (start, end)]
    difference = positions[1] - positions[0]
    if part == "week":
        difference = xp.sign(difference) * (xp.abs(difference) // 7)
    return make_column(xp, dtype, difference, joint_validity(start, end))


def _unit_index(xp: Any, part: str, column: Column) -> Array:
    """Number of the unit that holds each moment, counted from some origin."""
    days, clock = split_days(xp, column)
    if part in _CLOCK_UNITS:
        unit = _CLOCK_UNITS[part]
        return days * (MICROSECONDS_PER_DAY // unit) + clock // unit
    if part in ("day", "week", "dayofweek", "dayofyear", "isodow"):
        return days
    if part == "isoyear":
        return iso_week(xp, days)[0]
    year, month, _ = civil_from_days(xp, days)
    match part:
        case "year":
            return year
        case "month":
            return year * 12 + month - 1
        case "quarter":
            return year * 4 + (month - 1) // 3
        case "decade":
            return year // 10
        case "century":
            return year // 100
        case "millennium":
            return year // 1000
        case _:
            raise InvalidParameterValue(f"date part is not known: {part}")


def make_date(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """DATE of year, month, day; ConversionError if there is no such day."""
    xp = context.xp
    year, month, day = (argument.values.astype(xp.int64) for argument in arguments)
    validity = joint_validity(*arguments)
    wrong = (month < 1) | (month > 12) | (day < 1)
    wrong = wrong | (day > days_in_month(xp, year, xp.clip(month, 1, 12)))
    if validity is not None:
        wrong = wrong & validity
    if bool(wrong.any()):
        raise DatetimeOutOfRange("date out of range in make_date")
    return make_column(xp, dtype, days_from_civil(year, month, day), validity)


def last_day(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Last day of the month."""
    xp = context.xp
    (column,) = arguments

    def of(days: Array) -> Array:
        year, month, day = civil_from_days(xp, days)
        return days + days_in_month(xp, year, month) - day

    return make_column(xp, dtype, _by_day(xp, column, of), column.validity)


def date_part(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """The part named by the first argument."""
    name = part_name(arguments[0])
    if name == "epoch":
        return epoch(dtype, arguments[1:], context)
    if name not in _PARTS:
        raise InvalidParameterValue(f"date part is not known: {name}")
    return _extract(name)(dtype, arguments[1:], context)


_PARTS = (
    "year",
    "month",
    "day",
    "quarter",
    "week",
    "dayofweek",
    "isodow",
    "dayofyear",
    "isoyear",
    "yearweek",
    "era",
    "decade",
    "century",
    "millennium",
    *_CLOCK_UNITS,
)

FUNCTIONS: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    **{part: null_of_infinity(_extract(part)) for part in _PARTS},
    "epoch": null_of_infinity(epoch),
    "date_part": null_of_infinity(date_part),
    "date_trunc": infinity_of_infinity(date_trunc),
    "date_diff": null_of_infinity(date_diff),
    "make_date": make_date,
    "last_day": null_of_infinity(last_day),
    "strftime": temporal_text.strftime,
    "strptime": temporal_text.strptime,
    "try_strptime": temporal_text.try_strptime,
    "monthname": null_of_infinity(temporal_text.month_name),
    "dayname": null_of_infinity(temporal_text.day_name),
}
