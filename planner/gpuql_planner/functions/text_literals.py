"""Values of every type from their text form, as DuckDB's casts from VARCHAR read them."""

from __future__ import annotations

import datetime
import math
import re
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext

from gpuql_planner.errors import ConversionError, OutOfRangeError
from gpuql_planner.logical.expressions import Interval, LiteralValue
from gpuql_planner.statement_errors import DatetimeOutOfRange, UndefinedCast
from gpuql_planner.types import DataType, TypeId

_TRUE_TEXTS = frozenset({"true", "t", "1", "yes", "y"})
_FALSE_TEXTS = frozenset({"false", "f", "0", "no", "n"})
_DATE_PATTERN = re.compile(r"(\d{1,9})([-/ \\])(\d{1,2})\2(\d{1,2})")
_TIME_PATTERN = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?")
_ZONE_PATTERN = re.compile(r"(?:Z|UTC|([+-])(\d{2})(?::?(\d{2}))?)", re.IGNORECASE)
_INTERVAL_PART = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*([a-z]+)")
_INTERVAL_CLOCK = re.compile(r"([+-]?)(\d{1,9}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?")
_UNDERSCORE_BETWEEN_DIGITS = re.compile(r"(?<=\d)_(?=\d)")

_MICROSECONDS = {"microsecond": 1, "millisecond": 1_000, "second": 1_000_000, "minute": 60_000_000}
_MICROSECONDS["hour"] = 3_600_000_000
_DAYS = {"day": 1, "week": 7}
_MONTHS = {"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200, "millennium": 12000}
_UNIT_ALIASES = {
    "us": "microsecond",
    "usec": "microsecond",
    "usecs": "microsecond",
    "ms": "millisecond",
    "msec": "millisecond",
    "msecs": "millisecond",
    "s": "second",
    "sec": "second",
    "secs": "second",
    "m": "minute",
    "min": "minute",
    "mins": "minute",
    "h": "hour",
    "hr": "hour",
    "hrs": "hour",
    "d": "day",
    "dayofmonth": "day",
    "w": "week",
    "mon": "month",
    "mons": "month",
    "y": "year",
    "yr": "year",
    "yrs": "year",
    "dec": "decade",
    "decs": "decade",
    "c": "century",
    "cent": "century",
    "centuries": "century",
    "mil": "millennium",
    "mils": "millennium",
    "millennia": "millennium",
    "millenium": "millennium",
}


def parse_text(text: str, dtype: DataType) -> LiteralValue:
    """Value of ``text`` as ``dtype``; ConversionError if it is not one, OutOfRangeError if it does not fit.

    Source: DuckDB's string casts (leading and trailing spaces ignored, decimals rounded half away from zero).
    """
    if dtype.id is TypeId.VARCHAR:
        return text
    if dtype.id is TypeId.BLOB:
        return _parse_blob(text)
    stripped = text.strip()
    if dtype.id is TypeId.BOOLEAN:
        return _parse_boolean(text)
    if dtype.is_integer:
        return parse_integer(stripped, dtype)
    if dtype.is_decimal:
        return _parse_decimal(stripped, dtype)
    if dtype.is_float:
        return _parse_float(stripped, dtype)
    if dtype.id is TypeId.DATE:
        return _parse_date(stripped)
    if dtype.id is TypeId.TIME:
        return _parse_time(stripped)
    if dtype.id is TypeId.TIMESTAMP:
        return _parse_timestamp(text.lstrip())
    if dtype.id is TypeId.INTERVAL:
        return parse_interval(stripped)
    raise UndefinedCast(f"cannot cast VARCHAR to {dtype}: {text!r}")


def _not_convertible(text: str, dtype: object) -> ConversionError:
    return ConversionError(f"cannot convert text to {dtype}: {text!r}")


def _parse_boolean(text: str) -> bool:
    folded = text.lower()
    if folded in _TRUE_TEXTS:
        return True
    if folded in _FALSE_TEXTS:
        return False
    raise _not_convertible(text, "BOOLEAN")


def _parse_number(text: str, dtype: DataType) -> Decimal:
    plain = _UNDERSCORE_BETWEEN_DIGITS.sub("", text)
    try:
        number = Decimal(plain)
    except InvalidOperation:
        raise _not_convertible(text, dtype) from None
    if not number.is_finite() or "_" in plain:
        raise _not_convertible(text, dtype)
    if number.adjusted() > 400:
        raise OutOfRangeError(f"value out of range for {dtype}: {text!r}")
    return number


def parse_integer(text: str, dtype: DataType) -> int:
    """Integer value of ``text``; fractions round half away from zero, hexadecimal ``0x..`` is understood."""
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
        number = int(text, 16)
    elif re.fullmatch(r"0[bB][01]+", text):
        number = int(text, 2)
    else:
        number = round_half_away(_parse_number(text, dtype), 0)
    low, high = dtype.limits or (0, 0)
    if not low <= number <= high:
        raise OutOfRangeError(f"value out of range for {dtype}: {text!r}")
    return number


def round_half_away(number: Decimal, scale: int) -> int:
    """``number * 10**scale`` rounded half away from zero, exactly."""
    with localcontext() as context:
        context.prec = 1000
        return int(number.scaleb(scale).to_integral_value(rounding=ROUND_HALF_UP))


def _parse_decimal(text: str, dtype: DataType) -> Decimal:
    return fit_decimal(_parse_number(text, dtype), dtype)


def fit_decimal(number: Decimal, dtype: DataType) -> Decimal:
    """``number`` rounded to the scale of a DECIMAL type; OutOfRangeError if its digits do not fit."""
    scaled = round_half_away(number, dtype.scale)
    if abs(scaled) >= 10**dtype.width:
        raise OutOfRangeError(f"value out of range for {dtype}: {number}")
    with localcontext() as context:
        context.prec = 1000
        return Decimal(scaled).scaleb(-dtype.scale)


def _parse_float(text: str, dtype: DataType) -> float:
    try:
        value = float(_UNDERSCORE_BETWEEN_DIGITS.sub("", text))
    except ValueError:
        raise _not_convertible(text, dtype) from None
    return math.nan if math.isnan(value) else value  # the one object: another NaN would be another constant


def _parse_blob(text: str) -> bytes:
    pieces: list[bytes] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\":
            escape = re.compile(r"\\x([0-9a-fA-F]{2})").match(text, position)
            if escape is None:
                raise _not_convertible(text, "BLOB")
            pieces.append(bytes.fromhex(escape[1]))
            position = escape.end()
            continue
        if ord(character) > 127:
            raise _not_convertible(text, "BLOB")
        pieces.append(character.encode())
        position += 1
    return b"".join(pieces)


def _build_date(text: str, match: re.Match[str]) -> datetime.date:
    try:
        return datetime.date(int(match[1]), int(match[3]), int(match[4]))
    except ValueError:
        raise DatetimeOutOfRange(f"date out of range: {text!r}") from None


def _parse_date(text: str) -> datetime.date:
    match = _DATE_PATTERN.match(text)
    if match is None:
        raise _not_convertible(text, "DATE (YYYY-MM-DD)")
    if match.end() < len(text):  # a time of day may follow, and is dropped
        return _parse_timestamp(text).date()
    return _build_date(text, match)


def _clock(text: str, match: re.Match[str]) -> datetime.time:
    fraction = (match[4] or "").ljust(6, "0")[:6]
    try:
        return datetime.time(int(match[1]), int(match[2]), int(match[3] or 0), int(fraction))
    except ValueError:
        raise DatetimeOutOfRange(f"time out of range: {text!r}") from None


def _parse_time(text: str) -> datetime.time:
    match = _TIME_PATTERN.fullmatch(text)
    if match is None and _DATE_PATTERN.match(text):  # a date may stand before it, and is dropped
        return _parse_timestamp(text).time()
    if match is None:
        raise _not_convertible(text, "TIME (HH:MM:SS)")
    return _clock(text, match)


def _parse_timestamp(text: str) -> datetime.datetime:
    date_match = _DATE_PATTERN.match(text)
    if date_match is None:
        raise _not_convertible(text, "TIMESTAMP (YYYY-MM-DD HH:MM:SS)")
    date = _build_date(text, date_match)
    rest = text[date_match.end() :]
    if not rest:
        return datetime.datetime.combine(date, datetime.time())
    rest = rest[1:] if rest[0] in "Tt" else rest
    time_match = _TIME_PATTERN.match(rest.lstrip())
    if time_match is None:
        raise _not_convertible(text, "TIMESTAMP (YYYY-MM-DD HH:MM:SS)")
    # A zone is accepted and dropped: TIMESTAMP has none.
    zone = rest.lstrip()[time_match.end() :].strip()
    if zone and _ZONE_PATTERN.fullmatch(zone) is None:
        raise _not_convertible(text, "TIMESTAMP (YYYY-MM-DD HH:MM:SS)")
    return datetime.datetime.combine(date, _clock(text, time_match))


#: Dates and times that Python's types do not hold, though a column does.
_BEYOND_PYTHON = re.compile(
    r"\s*(?:-?inf(?:inity)?\s*$|epoch\s*$|\d{5,9}[-/ ]|-?\d{1,7}[-/]\d{1,2}[-/]\d{1,2}\s*\(BC\)|24:00)",
    re.IGNORECASE,
)


def is_beyond_python(text: str, dtype: DataType) -> bool:
    """Whether a text may be a date or time of a year before 1 or after 9999, or midnight as 24:00."""
    return dtype.is_temporal and _BEYOND_PYTHON.match(text) is not None


def interval_unit(name: str) -> str | None:
    """Canonical singular name of an interval unit such as ``days`` or ``hr``; None if there is no such unit."""
    folded = name.lower()
    folded = _UNIT_ALIASES.get(folded, folded)
    if folded.endswith("s") and folded[:-1] in (*_MICROSECONDS, *_DAYS, *_MONTHS):
        folded = folded[:-1]
    return folded if folded in _MICROSECONDS or folded in _DAYS or folded in _MONTHS else None


def interval_of(amount: int, unit: str) -> Interval:
    """``amount`` whole units; ``unit`` as given by :func:`interval_unit`."""
    if unit in _MONTHS:
        return Interval(months=amount * _MONTHS[unit])
    if unit in _DAYS:
        return Interval(days=amount * _DAYS[unit])
    return Interval(microseconds=amount * _MICROSECONDS[unit])


def _fractional_interval(amount: Decimal, unit: str) -> tuple[int, int, int]:
    """Months, days, microseconds of an amount that need not be whole; the rest moves to the next smaller unit."""
    if unit in _MICROSECONDS:
        return 0, 0, round_half_away(amount * _MICROSECONDS[unit], 0)
    if unit in _DAYS:
        days = amount * _DAYS[unit]
        whole = int(days)
        return 0, whole, round_half_away((days - whole) * 86_400_000_000, 0)
    months = amount * _MONTHS[unit]
    whole = int(months)
    if unit != "month":
        return whole, 0, 0
    days = (months - whole) * 30
    return whole, int(days), round_half_away((days - int(days)) * 86_400_000_000, 0)


def parse_interval(text: str) -> Interval:
    """Interval such as ``1 year 2 months 3 days 04:05:06.5``, ``-2 weeks`` or ``3 days ago``."""
    folded = text.strip().lower()
    backwards = folded.endswith(" ago")
    if backwards:
        folded = folded[:-4].rstrip()
    months = days = microseconds = 0
    position = 0
    if not folded:
        raise _not_convertible(text, "INTERVAL")
    if re.fullmatch(r"-?\d+\.?\d*", folded):
        folded = f"{folded.rstrip('.')} seconds"
    while position < len(folded):
        if folded[position].isspace():
            position += 1
            continue
        clock = _INTERVAL_CLOCK.match(folded, position)
        if clock is not None:
            value = (int(clock[2]) * 60 + int(clock[3])) * 60 + int(clock[4] or 0)
            value = value * 1_000_000 + int((clock[5] or "").ljust(6, "0")[:6])
            microseconds += -value if clock[1] == "-" else value
            position = clock.end()
            continue
        part = _INTERVAL_PART.match(folded, position)
        unit = interval_unit(part[2]) if part else None
        if part is None or unit is None:
            raise _not_convertible(text, "INTERVAL")
        added = _fractional_interval(Decimal(part[1]), unit)
        months, days, microseconds = months + added[0], days + added[1], microseconds + added[2]
        position = part.end()
    sign = -1 if backwards else 1
    return Interval(sign * months, sign * days, sign * microseconds)
