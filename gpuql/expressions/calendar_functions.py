"""Differences, ages, buckets, and dates and times from their parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpuql.columnar.column import Array, Column
from gpuql.expressions.calendar import (
    MICROSECONDS_PER_DAY,
    civil_from_days,
    days_from_civil,
    days_in_month,
)
from gpuql.expressions.infinity import infinity_of_infinity, null_of_infinity
from gpuql.expressions.temporal import part_name, split_days
from gpuql.expressions.vectors import (
    EvaluationContext,
    joint_validity,
    make_column,
)
from gpuql_planner.errors import DataError, NotSupportedError
from gpuql_planner.statement_errors import DatetimeOutOfRange
from gpuql_planner.types import INFINITE_TIMESTAMP, DataType, TypeId

#: Units of a fixed length, in microseconds.
_FIXED_UNITS = {
    "microsecond": 1,
    "millisecond": 1000,
    "second": 1_000_000,
    "minute": 60_000_000,
    "hour": 3_600_000_000,
    "day": MICROSECONDS_PER_DAY,
    "week": 7 * MICROSECONDS_PER_DAY,
}
_MONTH_UNITS = {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200, "millennium": 12000}


def _micros(xp: Any, column: Column) -> Array:
    values = column.values.astype(xp.int64)
    return values * MICROSECONDS_PER_DAY if column.dtype.id is TypeId.DATE else values


def _split(xp: Any, micros: Array) -> tuple[Array, Array]:
    days = micros // MICROSECONDS_PER_DAY
    return days, micros - days * MICROSECONDS_PER_DAY


def _truncated_quotient(xp: Any, values: Array, unit: int) -> Array:
    return xp.sign(values) * (xp.abs(values) // unit)


def date_sub(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Whole units between two moments, negative if the first is later."""
    xp = context.xp
    part = part_name(arguments[0])
    start, end = (_micros(xp, argument) for argument in arguments[1:])
    validity = joint_validity(*arguments[1:])
    if part in ("dayofweek", "dayofyear", "isodow"):
        part = "day"
    if part in _FIXED_UNITS:
        values = _truncated_quotient(xp, end - start, _FIXED_UNITS[part])
    elif part in _MONTH_UNITS or part == "isoyear":
        unit = 12 if part == "isoyear" else _MONTH_UNITS[part]
        values = _truncated_quotient(xp, _whole_months(xp, start, end), unit)
    else:
        raise NotSupportedError(f"date part is not supported by date_sub: {part}")
    return make_column(xp, dtype, values, validity)


def _whole_months(xp: Any, start: Array, end: Array) -> Array:
    """Months from start to end; the last day of a month counts as any later day of a longer one."""
    start, end = xp.broadcast_arrays(start, end)
    backwards = end < start
    first, last = xp.where(backwards, end, start), xp.where(backwards, start, end)
    (first_days, first_clock), (last_days, last_clock) = _split(xp, first), _split(xp, last)
    first_year, first_month, first_day = civil_from_days(xp, first_days)
    last_year, last_month, last_day = civil_from_days(xp, last_days)
    month_end = days_in_month(xp, last_year, last_month)
    clamped = (last_day == month_end) & (
        (first_day > month_end) | ((first_day == month_end) & (first_clock < last_clock))
    )
    first_day = xp.where(clamped, month_end, first_day)
    months = (last_year - first_year) * 12 + last_month - first_month
    early = (last_day < first_day) | ((last_day == first_day) & (last_clock < first_clock))
    months = months - early
    return xp.where(backwards, -months, months)


def age(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Years, months, days and time between two moments, field by field as in PostgreSQL."""
    xp = context.xp
    end, start = xp.broadcast_arrays(*(_micros(xp, argument) for argument in arguments))
    backwards = end < start
    (end_days, end_clock), (start_days, start_clock) = _split(xp, end), _split(xp, start)
    end_year, end_month, end_day = civil_from_days(xp, end_days)
    start_year, start_month, start_day = civil_from_days(xp, start_days)
    sign = xp.where(backwards, -1, 1)
    months = sign * ((end_year - start_year) * 12 + end_month - start_month)
    days = sign * (end_day - start_day)
    clock = sign * (end_clock - start_clock)
    borrowed = clock < 0
    clock = clock + borrowed * MICROSECONDS_PER_DAY
    days = days - borrowed
    short = days < 0
    # A missing day is borrowed from the month of the earlier moment.
    lent = xp.where(
        backwards, days_in_month(xp, end_year, end_month), days_in_month(xp, start_year, start_month)
    )
    days = days + short * lent
    months = months - short
    values = xp.stack((sign * months, sign * days, sign * clock), axis=-1)
    return make_column(xp, dtype, values, joint_validity(*arguments))


def make_time(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """TIME of hour, minute and second; ConversionError if there is no such time."""
    xp = context.xp
    validity = joint_validity(*arguments)
    clock, wrong = _clock(xp, *arguments)
    _refuse(wrong, validity, "make_time", "time")
    return make_column(xp, dtype, clock, validity)


def _clock(xp: Any, hour: Column, minute: Column, second: Column) -> tuple[Array, Array]:
    hours, minutes = hour.values.astype(xp.int64), minute.values.astype(xp.int64)
    seconds = second.values
    whole = xp.floor(seconds)
    micros = xp.rint((seconds - whole) * 1e6)
    inside = (seconds >= 0) & (seconds <= 60)
    last = (hours == 24) & (minutes == 0) & (seconds == 0)
    wrong = ((hours < 0) | (hours > 23) | (minutes < 0) | (minutes > 59) | ~inside) & ~last
    total = xp.where(inside, whole * 1e6 + micros, 0.0).astype(xp.int64)
    return (hours * 60 + minutes) * 60_000_000 + total, wrong


def _refuse(wrong: Array, validity: Array | None, function: str, what: str) -> None:
    if validity is not None:
        wrong = wrong & validity
    if bool(wrong.any()):
        raise DatetimeOutOfRange(f"{what} out of range in {function}")


def make_timestamp(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """TIMESTAMP of year, month, day, hour, minute and second."""
    xp = context.xp
    validity = joint_validity(*arguments)
    year, month, day = (argument.values.astype(xp.int64) for argument in arguments[:3])
    wrong = (month < 1) | (month > 12) | (day < 1) | (xp.abs(year) > 294_247)
    year = xp.where(wrong, 1970, year)
    wrong = wrong | (day > days_in_month(xp, year, xp.clip(month, 1, 12)))
    clock, wrong_clock = _clock(xp, *arguments[3:])
    _refuse(wrong | wrong_clock, validity, "make_timestamp", "timestamp")
    days = days_from_civil(year, xp.clip(month, 1, 12), day)
    return make_column(xp, dtype, days * MICROSECONDS_PER_DAY + clock, validity)


def from_epoch(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """TIMESTAMP of whole units since 1970."""
    xp = context.xp
    unit = _FIXED_UNITS[part_name(arguments[0])]
    values = arguments[1].values.astype(xp.int64)
    limit = (INFINITE_TIMESTAMP - 1) // unit
    _refuse(
        (values > limit) | (values < -limit), arguments[1].validity, "conversion to TIMESTAMP", "timestamp"
    )
    return make_column(xp, dtype, values * unit, arguments[1].validity)


def make_timestamp_ns(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """TIMESTAMP_NS of nanoseconds since 1970."""
    (column,) = arguments
    return make_column(context.xp, dtype, column.values.astype(context.xp.int64), column.validity)


def whole_epoch(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Whole units since 1970, since midnight, or of an interval whose months have 30 days."""
    xp = context.xp
    unit, column = part_name(arguments[0]), arguments[1]
    if column.dtype.id is TypeId.TIMESTAMP_NS:
        return make_column(xp, dtype, column.values.astype(xp.int64), column.validity)
    if column.dtype.id is TypeId.INTERVAL:
        months, days, micros = (column.values[:, part] for part in range(3))
        total = (months * 30 + days) * MICROSECONDS_PER_DAY + micros
    else:
        total = _micros(xp, column)
    if unit == "nanosecond":
        limit = (2**63 - 1) // 1000
        _refuse(xp.abs(total) > limit, column.validity, "epoch_ns", "value")
        return make_column(xp, dtype, total * 1000, column.validity)
    ticks = _FIXED_UNITS[unit]
    if column.dtype.is_timestamp:  # to the nearest, half away from zero
        whole = xp.sign(total) * ((xp.abs(total) + ticks // 2) // ticks)
    else:
        whole = _truncated_quotient(xp, total, ticks)
    return make_column(xp, dtype, whole, column.validity)


def julian(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Julian day number with the time of day as its fraction, days beginning at midnight."""
    xp = context.xp
    days, clock = split_days(xp, arguments[0])
    values = days + 2_440_588 + clock / MICROSECONDS_PER_DAY
    return make_column(xp, dtype, values.astype(xp.float64), arguments[0].validity)


def nanosecond(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Nanoseconds since the beginning of the minute."""
    xp = context.xp
    (column,) = arguments
    if column.dtype.id is TypeId.INTERVAL:
        micros = column.values[:, 2]
        values = xp.sign(micros) * (xp.abs(micros) % 60_000_000) * 1000
    else:
        values = split_days(xp, column)[1] % 60_000_000 * 1000
    return make_column(xp, dtype, xp.broadcast_to(values, (len(column.values),)), column.validity)


#: Buckets are counted from a Monday, those of months from a January.
_ORIGIN_MICROS = 10_959 * MICROSECONDS_PER_DAY
_ORIGIN_MONTH = 2000 * 12


def time_bucket(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Start of the bucket of a width that holds a moment."""
    xp = context.xp
    width, moment = arguments[0], arguments[1]
    validity = joint_validity(*arguments)
    months, days, micros = (width.values[:, part] for part in range(3))
    valid = xp.ones(1, bool) if width.validity is None else width.validity
    by_month = months != 0
    length = days * MICROSECONDS_PER_DAY + micros
    if bool((valid & by_month & (length != 0)).any()):
        raise NotSupportedError("width of months must not have days or a time: time_bucket")
    if bool((valid & xp.where(by_month, months <= 0, length <= 0)).any()):
        raise DataError("width must be positive: time_bucket")
    values = _micros(xp, moment)
    offset = xp.zeros(1, xp.int64)
    origin, origin_month = xp.full(1, _ORIGIN_MICROS, xp.int64), xp.full(1, _ORIGIN_MONTH, xp.int64)
    if len(arguments) == 3 and arguments[2].dtype.id is TypeId.INTERVAL:
        shift = arguments[2].values
        if bool((shift[:, 0] != 0).any()):
            raise NotSupportedError("offset of months is not supported: time_bucket")
        offset = shift[:, 1] * MICROSECONDS_PER_DAY + shift[:, 2]
    elif len(arguments) == 3:
        origin = _micros(xp, arguments[2])
        year, month, _ = civil_from_days(xp, origin // MICROSECONDS_PER_DAY)
        origin_month = year * 12 + month - 1
    if dtype.id is TypeId.TIME and len(arguments) == 2:
        origin = xp.zeros(1, xp.int64)
    shifted = values - offset
    step = xp.where(length > 0, length, 1)
    fixed = (shifted - origin) // step * step + origin
    year, month, _ = civil_from_days(xp, shifted // MICROSECONDS_PER_DAY)
    span = xp.where(months > 0, months, 1)
    index = (year * 12 + month - 1 - origin_month) // span * span + origin_month
    monthly = days_from_civil(index // 12, index % 12 + 1, 1) * MICROSECONDS_PER_DAY
    result = xp.where(by_month, monthly, fixed) + offset
    if dtype.id is TypeId.DATE:
        result = result // MICROSECONDS_PER_DAY
    return make_column(xp, dtype, result, validity)


def normalized_interval(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Whole days of the time become days, whole months (30 days) of the days months; neither stays negative."""
    xp = context.xp
    months, days, micros = (arguments[0].values[:, part] for part in range(3))
    more_days = micros // MICROSECONDS_PER_DAY
    days, micros = days + more_days, micros - more_days * MICROSECONDS_PER_DAY
    more_months = days // 30
    values = xp.stack((months + more_months, days - more_months * 30, micros), axis=-1)
    return make_column(xp, dtype, values, arguments[0].validity)


def _seconds(unit_micros: float) -> Callable[..., Column]:
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        xp = context.xp
        (column,) = arguments
        micros = xp.rint(column.values * unit_micros)
        _refuse(~(xp.abs(micros) < 9.2e18), column.validity, "conversion to INTERVAL", "interval")
        zero = xp.zeros(len(micros), xp.int64)
        whole = xp.where(xp.abs(micros) < 9.2e18, micros, 0).astype(xp.int64)
        return make_column(xp, dtype, xp.stack((zero, zero, whole), axis=-1), column.validity)

    return apply


FUNCTIONS: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    "date_sub": null_of_infinity(date_sub),
    "age": null_of_infinity(age),
    "make_time": make_time,
    "make_timestamp": make_timestamp,
    "from_epoch": from_epoch,
    "make_timestamp_ns": make_timestamp_ns,
    "whole_epoch": null_of_infinity(whole_epoch),
    "julian": null_of_infinity(julian),
    "nanosecond": null_of_infinity(nanosecond),
    "time_bucket": infinity_of_infinity(time_bucket),
    "normalized_interval": normalized_interval,
    "to_seconds": _seconds(1e6),
    "to_milliseconds": _seconds(1e3),
}
