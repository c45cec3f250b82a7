"""Casts to and from VARCHAR and BLOB: formatted or parsed once per distinct value."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import partial
from typing import Any

import numpy as np

from gpuql.columnar.column import Column
from gpuql.columnar.construct import UUID_SHIFT
from gpuql.expressions.calendar import MICROSECONDS_PER_DAY, civil_from_days, days_from_civil
from gpuql.expressions.distinct_values import (
    string_column,
    strings_of_distinct,
    text_of_entries,
    values_of_entries,
)
from gpuql.expressions.host_calls import call_on_host
from gpuql.expressions.infinity import infinity_text
from gpuql.expressions.vectors import EvaluationContext
from gpuql_kernels.int128 import words
from gpuql_planner.errors import ConversionError, InternalError, NotSupportedError
from gpuql_planner.functions.zoned_text import parse_moment, special_moment
from gpuql_planner.time_zones import TimeZone, load_zone, offset_text
from gpuql_planner.types import INFINITE_DATE, INFINITE_TIMESTAMP, TICKS_PER_SECOND, DataType, TypeId

_TRUE = {"true", "t", "yes", "y", "1"}
_FALSE = {"false", "f", "no", "n", "0"}
_EXACT = Context(prec=120, rounding=ROUND_HALF_UP)


def cast(
    column: Column, dtype: DataType, context: EvaluationContext, *, try_: bool, zone: str = ""
) -> Column:
    """A cast with VARCHAR or BLOB on one side or both; ``zone`` is that of TIMESTAMPTZ."""
    xp = context.xp
    source = column.dtype
    if source.id in (TypeId.VARCHAR, TypeId.BLOB):
        if dtype.id in (TypeId.VARCHAR, TypeId.BLOB):
            return _between_text(xp, column, dtype, try_=try_)
        parse = parser(dtype, zone)
        texts = text_of_entries(xp, column)
        return values_of_entries(
            xp, dtype, column, texts, parse, f"could not cast text to {dtype}", try_=try_
        )
    if dtype.id is TypeId.BLOB and source.id is TypeId.UUID:
        return call_on_host(lambda value: (value + UUID_SHIFT).to_bytes(16, "big"), dtype, [column], context)
    if dtype.id is TypeId.BLOB:
        raise NotSupportedError(f"cast is not supported: {source} to BLOB")
    return strings_of_distinct(xp, dtype, column, formatter(column, zone))


def _between_text(xp: Any, column: Column, dtype: DataType, *, try_: bool) -> Column:
    texts = text_of_entries(xp, column)
    convert = _blob_text if dtype.id is TypeId.VARCHAR else _text_blob
    entries = [convert(entry) for entry in texts.entries]
    result = string_column(xp, dtype, [entry or b"" for entry in entries], texts.codes)
    validity = column.validity
    if None in entries:
        failed = xp.asarray(np.array([entry is None for entry in entries]))[texts.codes]
        if validity is not None:
            failed = failed & validity
        if bool(failed.any()):
            if not try_:
                raise ConversionError(
                    f"could not cast text to BLOB: bytes beyond ASCII are written as {_ESCAPE}"
                )
            validity = ~failed if validity is None else validity & ~failed
    return Column(dtype, result.values, validity, result.strings)


#: How a text spells a byte.
_ESCAPE = r"\xAA"


def _blob_text(entry: bytes) -> bytes:
    r"""Printable ASCII as itself, other bytes as ``\xHH``."""
    return b"".join(
        bytes([byte]) if 32 <= byte < 127 and byte not in (0x5C, 0x27, 0x22) else b"\\x%02X" % byte
        for byte in entry
    )


def _text_blob(entry: bytes) -> bytes | None:
    """Bytes that a text spells; None if it is no such text."""
    if not entry.isascii() or re.search(rb"\\(?!x[0-9A-Fa-f]{2})", entry):
        return None

    def unescape(match: re.Match[bytes]) -> bytes:
        return bytes([int(match.group(1), 16)])

    return re.sub(rb"\\x([0-9A-Fa-f]{2})", unescape, entry)


# --- to text -----------------------------------------------------------------------------------------------------


def formatter(column: Column, zone: str = "") -> Callable[[Any], str]:
    """Function from a stored value of the column to its text; TIMESTAMPTZ is local time of ``zone``."""
    dtype = column.dtype
    match dtype.id:
        case TypeId.BOOLEAN:
            return lambda value: "true" if value else "false"
        case TypeId.REAL:
            return _real_text
        case TypeId.DOUBLE:
            return lambda value: _float_text(value, repr(float(value)))
        case TypeId.DATE:
            return lambda value: infinity_text(value, INFINITE_DATE) or date_text(value)
        case TypeId.TIME:
            return time_text
        case TypeId.TIMESTAMP | TypeId.TIMESTAMP_S | TypeId.TIMESTAMP_MS | TypeId.TIMESTAMP_NS:
            written = _TIMESTAMP_TEXTS[dtype.id]
            return lambda value: infinity_text(value, INFINITE_TIMESTAMP) or written(value)
        case TypeId.TIMESTAMPTZ:
            return partial(zoned_text, load_zone(_needed(zone)))
        case TypeId.UUID:
            return lambda value: str(uuid.UUID(int=_as_integer(value) + UUID_SHIFT))
        case TypeId.INTERVAL:
            return interval_text
        case TypeId.DECIMAL:
            scale = dtype.scale
            return lambda value: decimal_text(_as_integer(value), scale)
        case _:
            return lambda value: str(_as_integer(value))


def _as_integer(stored: Any) -> int:
    if isinstance(stored, list):
        return words.to_python(np.array([stored], np.int64))[0]
    return int(stored)


def _real_text(value: float) -> str:
    """Shortest digits that name the float32, without an exponent from 0.0001 up to 1e16 as DOUBLE has it."""
    short = str(np.float32(value))
    if not math.isfinite(value) or not -4 <= Decimal(short).adjusted() < 16:
        return _float_text(value, short)
    return str(np.format_float_positional(np.float32(value), unique=True, trim="0"))


def _float_text(value: float, text: str) -> str:
    if math.isnan(value):
        return "nan"
    return text


def decimal_text(scaled: int, scale: int) -> str:
    """Text of a scaled integer with exactly ``scale`` digits after the point."""
    if scale == 0:
        return str(scaled)
    digits = str(abs(scaled)).rjust(scale + 1, "0")
    return f"{'-' if scaled < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def date_text(days: int) -> str:
    """``YYYY-MM-DD``, with ``(BC)`` for years before 1."""
    year, month, day = (int(part[0]) for part in civil_from_days(np, np.array([days])))
    if year <= 0:
        return f"{1 - year:04d}-{month:02d}-{day:02d} (BC)"
    return f"{year:04d}-{month:02d}-{day:02d}"


def time_text(microseconds: int) -> str:
    """``HH:MM:SS`` and the fraction without trailing zeros."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return f"{text}.{fraction:06d}".rstrip("0") if fraction else text


def timestamp_text(microseconds: int) -> str:
    """Date and time of day."""
    days, clock = divmod(microseconds, MICROSECONDS_PER_DAY)
    return f"{date_text(days)} {time_text(clock)}"


def nanosecond_text(nanoseconds: int) -> str:
    """Date and time of day with up to nine digits of the second."""
    micros, rest = divmod(nanoseconds, 1_000)
    if not rest:
        return timestamp_text(micros)
    whole = timestamp_text(micros - micros % 1_000_000)
    return f"{whole}.{nanoseconds % 1_000_000_000:09d}".rstrip("0")


def zoned_text(zone: TimeZone, moment: int) -> str:
    """Local date and time of day, and the offset from UTC."""
    infinite = infinity_text(moment, INFINITE_TIMESTAMP)
    if infinite is not None:
        return infinite
    seconds = zone.offset_at(moment // 1_000_000)
    return timestamp_text(moment + seconds * 1_000_000) + offset_text(seconds, seconds=False)


def _needed(zone: str) -> str:
    if not zone:
        raise InternalError("cast of TIMESTAMPTZ names no time zone")
    return zone


_TIMESTAMP_TEXTS: dict[TypeId, Callable[[int], str]] = {
    TypeId.TIMESTAMP: timestamp_text,
    TypeId.TIMESTAMP_S: lambda value: timestamp_text(value * 1_000_000),
    TypeId.TIMESTAMP_MS: lambda value: timestamp_text(value * 1_000),
    TypeId.TIMESTAMP_NS: nanosecond_text,
}


def interval_text(parts: list[int]) -> str:
    """``1 year 2 months 3 days 04:05:06``."""
    months, days, microseconds = parts
    found = []
    sign = -1 if months < 0 else 1
    years, months = sign * (abs(months) // 12), sign * (abs(months) % 12)
    for number, unit in ((years, "year"), (months, "month"), (days, "day")):
        if number:
            found.append(f"{number} {unit}{'' if abs(number) == 1 else 's'}")
    if microseconds or not found:
        found.append(("-" if microseconds < 0 else "") + time_text(abs(microseconds)))
    return " ".join(found)


# --- from text ---------------------------------------------------------------------------------------------------


def parser(dtype: DataType, zone: str = "") -> Callable[[str], Any]:
    """Function from text to the stored value, or None if the text is no such value."""
    match dtype.id:
        case TypeId.BOOLEAN:
            return _parse_boolean
        case TypeId.REAL | TypeId.DOUBLE:
            return _parse_float
        case TypeId.DATE:
            return lambda text: _special(text, INFINITE_DATE, parse_date)
        case TypeId.TIME:
            return parse_time
        case TypeId.TIMESTAMP:
            return lambda text: _special(text, INFINITE_TIMESTAMP, parse_timestamp)
        case TypeId.TIMESTAMP_S | TypeId.TIMESTAMP_MS:
            unit = 1_000_000 // TICKS_PER_SECOND[dtype.id]
            return lambda text: _special(
                text, INFINITE_TIMESTAMP, lambda plain: _rounded(parse_timestamp(plain), unit)
            )
        case TypeId.TIMESTAMP_NS:
            return lambda text: _special(text, INFINITE_TIMESTAMP, parse_nanoseconds)
        case TypeId.TIMESTAMPTZ:
            return partial(parse_moment, zone=_needed(zone))
        case TypeId.UUID:
            return parse_uuid
        case TypeId.INTERVAL:
            return parse_interval
        case _:
            limits = dtype.limits
            if limits is None:
                raise NotSupportedError(f"cast is not supported: VARCHAR to {dtype}")
            return lambda text: _parse_exact(text, dtype, *limits)


def _parse_boolean(text: str) -> bool | None:
    folded = text.lower()
    return True if folded in _TRUE else False if folded in _FALSE else None


#: Underscores group digits; anywhere else they make the text no number. Python's own parsers are more lenient.
_GROUPING = re.compile(r"(?<=[0-9])_(?=[0-9])")


def _number_text(text: str) -> str:
    """The text without spaces around it and underscores in it; empty if no number can be spelled so."""
    plain = _GROUPING.sub("", text.strip())
    return "" if "_" in plain or not plain.isascii() else plain


def _parse_float(text: str) -> float | None:
    try:
        return float(_number_text(text))
    except ValueError:
        return None


def _parse_exact(text: str, dtype: DataType, low: int, high: int) -> int | None:
    text, scale = _number_text(text), dtype.scale
    try:
        if re.fullmatch(r"[+-]?\d+", text):
            value = int(text) * 10**scale
        elif dtype.is_integer and re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
            value = int(text, 16)
        elif dtype.is_integer and re.fullmatch(r"0[bB][01]+", text):
            value = int(text, 2)
        else:
            number = Decimal(text)
            if not number.is_finite() or number.adjusted() > 60:
                return None
            value = int(number.scaleb(scale, _EXACT).to_integral_value(ROUND_HALF_UP, _EXACT))
    except (InvalidOperation, ValueError):
        return None
    return value if low <= value <= high else None


_DATE = re.compile(r"\s*(-?\d{1,7})[-/](\d{1,2})[-/](\d{1,2})(\s*\(BC\))?(.*)", re.DOTALL | re.IGNORECASE)
_TIME = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,9}))?)?")
_ZONE = re.compile(r"\s*(?:Z|UTC|[+-]\d{1,2}(?::?\d{2})?)?\s*", re.IGNORECASE)
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _split_date(text: str) -> tuple[int, str] | None:
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day = int(match.group(1)), int(match.group(2)), int(match.group(3))
    if match.group(4):
        year = 1 - year
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= 12 or not 1 <= day <= _MONTH_DAYS[month - 1] + (leap and month == 2):
        return None
    return int(days_from_civil(year, month, day)), match.group(5)


def _split_time(text: str) -> tuple[int, str] | None:
    match = _TIME.match(text)
    if match is None:
        return None
    hour, minute, second = int(match.group(1)), int(match.group(2)), int(match.group(3) or 0)
    if hour > 24 or minute > 59 or second > 59 or (hour == 24 and (minute or second)):
        return None
    fraction = int((match.group(4) or "0").ljust(6, "0")[:6])
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction, text[match.end() :]


def _special(text: str, infinity: int, parse: Callable[[str], int | None]) -> int | None:
    """The value of ``epoch``, ``infinity`` and ``-infinity``, else what ``parse`` makes of the text."""
    found = special_moment(text, infinity)
    if found is not None:
        return found
    value = parse(text)
    return None if value is None or abs(value) >= infinity else value


def parse_date(text: str) -> int | None:
    """Days since 1970; a time of day after the date is checked and dropped."""
    found = _split_date(text)
    if found is None:
        return None
    days, rest = found
    if rest.strip() and parse_timestamp(text) is None:
        return None
    return days


def parse_time(text: str) -> int | None:
    """Microseconds since midnight; a date before the time of day is checked and dropped."""
    found = _split_time(text.strip())
    if found is None and _split_date(text) is not None:
        moment = parse_timestamp(text)
        return None if moment is None else moment % MICROSECONDS_PER_DAY
    return found[0] if found is not None and not found[1].strip() else None


def parse_timestamp(text: str) -> int | None:
    """Microseconds since 1970; a zone offset is accepted and ignored, as TIMESTAMP has no zone."""
    found = _split_date(text)
    if found is None:
        return None
    days, rest = found
    clock = 0
    if rest:
        if rest[0] not in "Tt ":
            return None
        timed = _split_time(rest[1:].strip())
        if timed is None or not _ZONE.fullmatch(timed[1]):
            return None
        clock = timed[0]
    value = days * MICROSECONDS_PER_DAY + clock
    return value if -(2**63) < value < 2**63 else None


def _rounded(micros: int | None, unit: int) -> int | None:
    """Whole units, half away from zero."""
    if micros is None:
        return None
    size = (abs(micros) + unit // 2) // unit
    return -size if micros < 0 else size


def parse_nanoseconds(text: str) -> int | None:
    """Nanoseconds since 1970."""
    micros = parse_timestamp(text)
    if micros is None:
        return None
    found = re.search(r":\d{1,2}\.\d{6}(\d{1,3})", text)
    value = micros * 1_000 + (int(found[1].ljust(3, "0")) if found else 0)
    return value if -(2**63) < value < 2**63 - 1 else None


def parse_uuid(text: str) -> int | None:
    """Stored form of 32 hexadecimal digits, hyphens between any of them, in braces or not."""
    plain = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    if not re.fullmatch(r"[0-9a-fA-F]+(-[0-9a-fA-F]+)*", plain):
        return None
    digits = plain.replace("-", "")
    return int(digits, 16) - UUID_SHIFT if len(digits) == 32 else None


_UNITS: dict[str, tuple[int, int, int]] = {
    "year": (12, 0, 0),
    "yr": (12, 0, 0),
    "y": (12, 0, 0),
    "quarter": (3, 0, 0),
    "month": (1, 0, 0),
    "mon": (1, 0, 0),
    "decade": (120, 0, 0),
    "century": (1200, 0, 0),
    "centurie": (1200, 0, 0),
    "millennium": (12000, 0, 0),
    "week": (0, 7, 0),
    "w": (0, 7, 0),
    "day": (0, 1, 0),
    "d": (0, 1, 0),
    "hour": (0, 0, 3_600_000_000),
    "hr": (0, 0, 3_600_000_000),
    "h": (0, 0, 3_600_000_000),
    "minute": (0, 0, 60_000_000),
    "min": (0, 0, 60_000_000),
    "m": (0, 0, 60_000_000),
    "second": (0, 0, 1_000_000),
    "sec": (0, 0, 1_000_000),
    "s": (0, 0, 1_000_000),
    "millisecond": (0, 0, 1000),
    "msec": (0, 0, 1000),
    "ms": (0, 0, 1000),
    "microsecond": (0, 0, 1),
    "us": (0, 0, 1),
}
_INTERVAL_ITEM = re.compile(
    r"\s*([+-]?\d+(?:\.\d+)?)\s*([A-Za-z]+)|\s*([+-]?)(\d+:\d{1,2}(?::\d{1,2}(?:\.\d+)?)?)"
)


def parse_interval(text: str) -> tuple[int, int, int] | None:
    """(months, days, microseconds) of text such as ``1 year 2 days 03:04:05``."""
    position, total = 0, [0, 0, 0]
    text = text.rstrip()
    if re.fullmatch(r"\s*-?\d+\.?\d*", text):
        text = f"{text.rstrip('.')} seconds"
    backwards = text.lower().endswith(" ago")
    if backwards:
        text = text[:-4].rstrip()
    while position < len(text):
        match = _INTERVAL_ITEM.match(text, position)
        if match is None:
            return None
        position = match.end()
        if match.group(4):
            hours, minutes, *rest = match.group(4).split(":")
            seconds = Decimal(rest[0]) if rest else Decimal(0)
            clock = (int(hours) * 60 + int(minutes)) * 60_000_000 + int(seconds * 1_000_000)
            total[2] += -clock if match.group(3) == "-" else clock
            continue
        unit = match.group(2).lower()
        parts = _UNITS.get(unit) or _UNITS.get(unit.removesuffix("s"))
        if parts is None:
            return None
        number = Decimal(match.group(1))
        for index, size in enumerate(parts):
            total[index] += int(number * size)
        if parts[1] and number % 1:
            total[2] += int(number * parts[1] % 1 * MICROSECONDS_PER_DAY)
    sign = -1 if backwards else 1
    return (sign * total[0], sign * total[1], sign * total[2]) if position else None


def conversion_error(text: str, dtype: DataType) -> ConversionError:
    """The error for one text that is no value of a type."""
    return ConversionError(f"could not cast text to {dtype}: {text!r}")
