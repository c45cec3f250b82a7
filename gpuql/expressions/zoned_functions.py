"""Functions of TIMESTAMPTZ whose result depends on when clocks are changed between or at the moments they are given.

Source: DuckDB 2.0, which leaves them to ICU's calendar. The zone is the last argument, a constant.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column
from gpuql.columnar.construct import column_to_python, strings_from_python
from gpuql.columnar.strings import on_host
from gpuql.expressions.calendar import (
    MICROSECONDS_PER_DAY,
    add_months,
    civil_from_days,
    iso_week,
)
from gpuql.expressions.calendar_functions import FUNCTIONS as CALENDAR
from gpuql.expressions.distinct_values import strings_of_distinct, text_of_entries, values_of_entries
from gpuql.expressions.infinity import infinity_of_infinity, null_of_infinity
from gpuql.expressions.string_entries import constant_text
from gpuql.expressions.temporal import FUNCTIONS as TEMPORAL
from gpuql.expressions.temporal import part_name
from gpuql.expressions.temporal_text import format_moment, scan_fields, scanner_of
from gpuql.expressions.vectors import EvaluationContext, is_constant, joint_validity, make_column
from gpuql.expressions.zones import offset_at, to_local, to_utc
from gpuql_planner.errors import ArithmeticOverflowError, ConversionError, NotSupportedError
from gpuql_planner.statement_errors import DatetimeOutOfRange, InvalidParameterValue
from gpuql_planner.time_zones import find_zone, load_zone
from gpuql_planner.types import BIGINT, INFINITE_TIMESTAMP, TIMESTAMP, DataType, TypeId

_CLOCK_UNITS = {
    "hour": 3_600_000_000,
    "minute": 60_000_000,
    "second": 1_000_000,
    "millisecond": 1000,
    "microsecond": 1,
}
_MONTH_UNITS = {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200, "millennium": 12000}
_EPOCH = datetime.datetime(1970, 1, 1)
#: Beginning of the year 1.
_FIRST_YEAR = -719_162 * MICROSECONDS_PER_DAY
#: The unit in which whole months are counted, as an argument.
_MONTH = strings_from_python(["month"])
_DAY_UNITS = {"day": 1, "week": 7}
_WEEKDAYS = ("dayofweek", "dayofyear", "isodow")
#: Moments beyond which adding days could leave 64 bits.
_FARTHEST_DAYS = (2**63 - 1) // MICROSECONDS_PER_DAY - 2


def _moments(xp: Any, column: Column) -> Array:
    return column.values.astype(xp.int64)


def _valid_moments(xp: Any, column: Column) -> Array:
    """Moments, those of NULL rows harmless ones."""
    moments = _moments(xp, column)
    return moments if column.validity is None else xp.where(column.validity, moments, 0)


def _local_column(xp: Any, zone: str, column: Column) -> Column:
    return make_column(xp, TIMESTAMP, to_local(xp, zone, _moments(xp, column)), column.validity)


def offset(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Seconds east of Greenwich, or their whole hours or the minutes left."""
    xp = context.xp
    part, column, zone = constant_text(arguments[0]), arguments[1], constant_text(arguments[2])
    seconds = offset_at(xp, zone, _moments(xp, column)) // 1_000_000
    size, sign = xp.abs(seconds), xp.sign(seconds)
    values = {
        "timezone": seconds,
        "timezone_hour": sign * (size // 3600),
        "timezone_minute": sign * (size // 60 % 60),
    }[part]
    values = xp.ascontiguousarray(xp.broadcast_to(values, (len(column.values),)))
    return make_column(xp, dtype, values, column.validity)


def era_part(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Year of the era and units of it; before the first year, centuries and millennia are negative, as ICU has it."""
    xp = context.xp
    part, local = constant_text(arguments[0]), arguments[1]
    days = _moments(xp, local) // MICROSECONDS_PER_DAY
    if part == "yearweek":
        year, week = iso_week(xp, days)
        return make_column(xp, dtype, year * 100 + xp.where(year > 0, week, -week), local.validity)
    year = civil_from_days(xp, days)[0]
    of_era = xp.where(year > 0, year, 1 - year)
    if part in ("century", "millennium"):
        unit = 100 if part == "century" else 1000
        values = xp.where(year > 0, 1, -1) * ((of_era - 1) // unit + 1)
    else:
        values = of_era // 10 if part == "decade" else of_era
    return make_column(xp, dtype, values, local.validity)


def at_zone(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Local times at zones that differ from row to row."""
    xp = context.xp
    values, zones = _moments(xp, arguments[0]), arguments[1]
    validity = joint_validity(*arguments)
    convert = to_local if dtype.id is TypeId.TIMESTAMP else to_utc
    assert zones.strings is not None, "names are text"
    num_rows = max(len(values), len(zones.values))
    values = xp.broadcast_to(values, (num_rows,))
    positions = xp.broadcast_to(zones.values, (num_rows,))
    valid = positions if validity is None else positions[xp.broadcast_to(validity, (num_rows,))]
    result = xp.zeros(num_rows, xp.int64)
    for position in np.unique(on_host(valid)).tolist():
        entry = Column(zones.dtype, xp.full(1, position, zones.values.dtype), None, zones.strings)
        try:
            zone = find_zone(column_to_python(entry)[0])
        except InvalidParameterValue as error:
            raise ConversionError(error.message, hint=error.hint) from None
        chosen = positions == position
        result = xp.where(chosen, convert(xp, zone, xp.where(chosen, values, 0)), result)
    return make_column(xp, dtype, result, validity)


def epoch(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Seconds since 1970 UTC: milliseconds as a number of seconds, then microseconds, as DuckDB rounds them."""
    xp = context.xp
    (column,) = arguments
    moments = _moments(xp, column)
    millis = moments // 1000
    values = millis / 1000.0 + (moments - millis * 1000) / 1e6
    return make_column(xp, dtype, values, column.validity)


# --- arithmetic --------------------------------------------------------------------------------------------------


def _add_months(xp: Any, zone: str, moments: Array, months: Array) -> Array:
    local = to_local(xp, zone, moments)
    days = local // MICROSECONDS_PER_DAY
    clock = local - days * MICROSECONDS_PER_DAY
    moved = to_utc(xp, zone, add_months(xp, days, months) * MICROSECONDS_PER_DAY + clock)
    return xp.where(months == 0, moments, moved)


def _add_days(xp: Any, zone: str, moments: Array, days: Array) -> Array:
    """The same time of day, days later; where clocks skip it, as long after the change as it would have been."""
    moved = moments + days * MICROSECONDS_PER_DAY
    before, after = offset_at(xp, zone, moments), offset_at(xp, zone, moved)
    change = before - after
    change = xp.sign(change) * (xp.abs(change) % MICROSECONDS_PER_DAY)
    adjusted = moved + change
    clock = (moments + before) % MICROSECONDS_PER_DAY
    kept = (adjusted + offset_at(xp, zone, adjusted)) % MICROSECONDS_PER_DAY == clock
    return xp.where(~kept & (change < 0), moved, adjusted)


def _shifted(xp: Any, zone: str, moments: Array, interval: Array, validity: Array | None) -> Array:
    months, days, micros = (interval[:, part] for part in range(3))
    infinite = xp.abs(moments) == INFINITE_TIMESTAMP
    reach = xp.abs(moments // MICROSECONDS_PER_DAY) + xp.abs(months) * 31 + xp.abs(days)
    far = (reach + xp.abs(micros) // MICROSECONDS_PER_DAY > _FARTHEST_DAYS) & ~infinite
    if bool((far if validity is None else far & validity).any()):
        raise ArithmeticOverflowError("TIMESTAMPTZ out of range in addition of INTERVAL")
    start = xp.where(far | infinite, 0, moments)
    months, days, micros = (xp.where(far | infinite, 0, part) for part in (months, days, micros))
    backwards = (months < 0) | (days < 0) | (micros < 0)
    forward = result = None
    if not bool(backwards.all()):
        forward = _add_days(xp, zone, _add_months(xp, zone, start, months), days) + micros
    if bool(backwards.any()):
        result = _add_days(xp, zone, _add_months(xp, zone, start + micros, months), days)
    if result is None:
        result = forward
    elif forward is not None:
        result = xp.where(backwards, result, forward)
    return xp.where(infinite, moments, result)


def _adder(sign: int) -> Callable[[DataType, list[Column], EvaluationContext], Column]:
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        xp = context.xp
        moment, interval, zone = arguments[0], arguments[1], constant_text(arguments[2])
        validity = joint_validity(moment, interval)
        values = _shifted(xp, zone, _moments(xp, moment), sign * interval.values, validity)
        return make_column(xp, dtype, values, validity)

    return apply


def _whole(xp: Any, start: Array, end: Array, estimate: Array, add: Callable[[Array], Array]) -> Array:
    """The largest number of units, towards ``end``, that added to ``start`` does not go beyond ``end``.

    ``estimate`` is that of local times: with it, clocks that were set by a day or less cannot be off by more than two.
    """
    forward = end >= start
    step = xp.where(forward, 1, -1)
    count = estimate - 2 * step
    for _ in range(4):
        following = add(count + step)
        fits = xp.where(forward, following <= end, following >= end)
        count = xp.where(fits, count + step, count)
    return count


def _whole_days(xp: Any, zone: str, start: Array, end: Array) -> Array:
    span = to_local(xp, zone, end) - to_local(xp, zone, start)
    estimate = xp.sign(span) * (xp.abs(span) // MICROSECONDS_PER_DAY)
    return _whole(xp, start, end, estimate, lambda days: _add_days(xp, zone, start, days))


def _check_finite(xp: Any, what: str, moments: list[Array], validity: Array | None) -> None:
    for one in moments:
        infinite = xp.abs(one) == INFINITE_TIMESTAMP
        if bool((infinite if validity is None else infinite & validity).any()):
            raise ConversionError(f"infinite timestamps cannot be subtracted: {what}")


def difference(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Local days from the earlier to the later of two moments, and the time that is left."""
    xp = context.xp
    end, start = xp.broadcast_arrays(*(_moments(xp, argument) for argument in arguments[:2]))
    validity = joint_validity(*arguments[:2])
    _check_finite(xp, "-", [end, start], validity)
    zone = constant_text(arguments[2])
    sign = xp.where(end < start, -1, 1)
    start, end = xp.minimum(start, end), xp.maximum(start, end)
    days = _whole_days(xp, zone, start, end)
    rest = sign * (end - _add_days(xp, zone, start, days))
    days = sign * days
    return make_column(xp, dtype, xp.stack((xp.zeros_like(days), days, rest), axis=-1), validity)


# --- units -------------------------------------------------------------------------------------------------------


#: Units whose beginning is found from that of a smaller one.
_SMALLER_UNIT = {"quarter": "month", "decade": "year", "century": "year", "millennium": "year"}


def _truncated(context: EvaluationContext, part: str, zone: str, moments: Array) -> Array:
    """Moments at which local units begin; ``part`` by its full name."""
    xp = context.xp
    if part in _SMALLER_UNIT:
        moments = _truncated(context, _SMALLER_UNIT[part], zone, moments)
    local = to_local(xp, zone, moments)
    if part in ("decade", "century", "millennium") and bool((local < _FIRST_YEAR).any()):
        raise NotSupportedError(f"years before the first are not supported by units of TIMESTAMPTZ: {part}")
    times = make_column(xp, TIMESTAMP, local, None)
    start = TEMPORAL["date_trunc"](TIMESTAMP, [strings_from_python([part]), times], context).values
    if part in _CLOCK_UNITS and part != "hour":
        # The offset is that of the moment, though the time of day may come again.
        return moments - (local - start)
    if part in _SMALLER_UNIT:
        # Where clocks skip midnight, the smaller unit begins later in the day, and so does the larger one.
        start = start + local % MICROSECONDS_PER_DAY
    return xp.where(xp.abs(moments) == INFINITE_TIMESTAMP, moments, to_utc(xp, zone, start))


def truncate(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Beginning of the local unit that holds a moment."""
    part, column, zone = part_name(arguments[0]), arguments[1], constant_text(arguments[2])
    values = _truncated(context, part, zone, _valid_moments(context.xp, column))
    return make_column(context.xp, dtype, values, column.validity)


def boundaries(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Whole units between the beginnings of the units of two moments; weeks are spans of seven days."""
    part, zone = part_name(arguments[0]), constant_text(arguments[3])
    part = "day" if part in _WEEKDAYS else part
    if part == "isoyear":
        local = [_local_column(context.xp, zone, one) for one in arguments[1:3]]
        return TEMPORAL["date_diff"](dtype, [arguments[0], *local], context)
    beginning = "day" if part == "week" else part
    moments = [
        _truncated(context, beginning, zone, _valid_moments(context.xp, one)) for one in arguments[1:3]
    ]
    values = _units_between(context, part, zone, *moments)
    return make_column(context.xp, dtype, values, joint_validity(*arguments[1:3]))


def whole_units(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Whole units between two moments, those of days and more along the local calendar."""
    part, zone = part_name(arguments[0]), constant_text(arguments[3])
    part = "day" if part in _WEEKDAYS else part
    moments = [_moments(context.xp, one) for one in arguments[1:3]]
    values = _units_between(context, part, zone, *moments)
    return make_column(context.xp, dtype, values, joint_validity(*arguments[1:3]))


def _units_between(context: EvaluationContext, part: str, zone: str, start: Array, end: Array) -> Array:
    xp = context.xp
    start, end = xp.broadcast_arrays(start, end)
    if part in _CLOCK_UNITS:
        span = end - start
        return xp.sign(span) * (xp.abs(span) // _CLOCK_UNITS[part])
    if part in _DAY_UNITS:
        days = _whole_days(xp, zone, start, end)
        return xp.sign(days) * (xp.abs(days) // _DAY_UNITS[part])
    if part not in _MONTH_UNITS and part != "isoyear":
        raise NotSupportedError(f"date part is not supported: {part}")
    moments = [make_column(xp, TIMESTAMP, to_local(xp, zone, one), None) for one in (start, end)]
    estimate = CALENDAR["date_sub"](BIGINT, [_MONTH, *moments], context).values
    months = _whole(xp, start, end, estimate, lambda count: _add_months(xp, zone, start, count))
    unit = 12 if part == "isoyear" else _MONTH_UNITS[part]
    return xp.sign(months) * (xp.abs(months) // unit)


#: Buckets of days and less are counted from a Monday, those of months from a January.
_ORIGIN_MICROS = 10_959 * MICROSECONDS_PER_DAY


def bucket(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Start of the local bucket that holds a moment; of widths below a day, elapsed time is counted."""
    xp = context.xp
    width, moment, zone = arguments[0], arguments[1], constant_text(arguments[2])
    validity = joint_validity(width, moment)
    moments = _moments(xp, moment)
    local = _local_column(xp, zone, moment)
    plain = CALENDAR["time_bucket"](TIMESTAMP, [width, local], context).values
    values = to_utc(xp, zone, plain)
    micros = width.values[:, 2]
    if bool((micros > 0).any()):
        origin = to_utc(xp, zone, xp.full(1, _ORIGIN_MICROS, xp.int64))
        length = xp.maximum(micros, 1)
        elapsed = origin + (moments - origin) // length * length
        values = xp.where(micros > 0, elapsed, values)
    return make_column(xp, dtype, values, validity)


def to_timestamp(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """TIMESTAMPTZ of seconds since 1970 UTC, to the nearest microsecond."""
    xp = context.xp
    (column,) = arguments
    micros = xp.rint(column.values * 1e6)
    inside = xp.abs(micros) < 2.0**63
    wrong = ~inside if column.validity is None else ~inside & column.validity
    if bool(wrong.any()):
        raise DatetimeOutOfRange("seconds out of range of TIMESTAMPTZ: to_timestamp")
    return make_column(xp, dtype, xp.where(inside, micros, 0.0).astype(xp.int64), column.validity)


# --- text --------------------------------------------------------------------------------------------------------


def strftime(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Local time as text by a constant pattern."""
    column, name = arguments[0], constant_text(arguments[2])
    pattern = _pattern(arguments[1], "strftime")
    zone = load_zone(name)

    def text(moment: int) -> str:
        if abs(moment) == INFINITE_TIMESTAMP:
            return "infinity" if moment > 0 else "-infinity"
        seconds = zone.offset_at(moment // 1_000_000)
        try:
            local = _EPOCH + datetime.timedelta(microseconds=moment + seconds * 1_000_000)
        except OverflowError:
            raise DatetimeOutOfRange("TIMESTAMPTZ out of range for text") from None
        return format_moment(local, pattern, seconds, name)

    return strings_of_distinct(context.xp, dtype, column, text)


def _pattern(column: Column, function: str) -> str:
    if not is_constant(column):
        raise NotSupportedError(f"{function} pattern must be a constant")
    return constant_text(column)


def _reader(*, try_: bool) -> Callable[[DataType, list[Column], EvaluationContext], Column]:
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        column, name = arguments[0], constant_text(arguments[2])
        pattern = _pattern(arguments[1], "strptime")
        scanner = scanner_of(pattern)
        texts = text_of_entries(context.xp, column)
        complaint = f"text does not match the pattern {pattern!r}"
        return values_of_entries(
            context.xp, dtype, column, texts, lambda text: _read(text, scanner, name), complaint, try_=try_
        )

    return apply


def _read(text: str, scanner: re.Pattern[str], zone: str) -> int | None:
    """Moment of a text that may say where it is from; else it is from ``zone``."""
    scanned = scan_fields(text, scanner)
    if scanned is None:
        return None
    local, found = scanned
    shift = found.get("z")
    if shift:
        return local - _offset_seconds(shift) * 1_000_000
    named = found.get("Z")
    if named:
        try:
            zone = find_zone(named)
        except InvalidParameterValue:
            return None
    second, fraction = divmod(local, 1_000_000)
    return load_zone(zone).second_of(second) * 1_000_000 + fraction


def _offset_seconds(text: str) -> int:
    if text in "Zz":
        return 0
    digits = text[1:].replace(":", "").ljust(6, "0")
    seconds = int(digits[:2]) * 3600 + int(digits[2:4]) * 60 + int(digits[4:])
    return -seconds if text.startswith("-") else seconds


FUNCTIONS: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    "zone_offset": null_of_infinity(offset),
    "at_zone": at_zone,
    "zone_epoch": null_of_infinity(epoch),
    "zone_era_part": null_of_infinity(era_part),
    "zone_add": _adder(1),
    "zone_subtract": _adder(-1),
    "zone_difference": difference,
    "zone_trunc": truncate,
    "zone_date_diff": null_of_infinity(boundaries),
    "zone_date_sub": null_of_infinity(whole_units),
    "zone_bucket": infinity_of_infinity(bucket),
    "to_timestamp": to_timestamp,
    "zone_strftime": strftime,
    "zone_strptime": _reader(try_=False),
    "zone_try_strptime": _reader(try_=True),
}
