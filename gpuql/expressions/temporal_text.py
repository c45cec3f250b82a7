"""strftime, strptime, monthname, dayname: once per distinct value, on the host."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

from gpuql.columnar.column import Column
from gpuql.expressions.calendar import MICROSECONDS_PER_DAY
from gpuql.expressions.distinct_values import strings_of_distinct, text_of_entries, values_of_entries
from gpuql.expressions.string_entries import constant_text
from gpuql.expressions.vectors import EvaluationContext, is_constant
from gpuql_planner.errors import ConversionError, NotSupportedError
from gpuql_planner.types import DataType, TypeId

_EPOCH = datetime.datetime(1970, 1, 1)
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]


def _moment(value: int, dtype: DataType) -> datetime.datetime:
    try:
        if dtype.id is TypeId.DATE:
            return _EPOCH + datetime.timedelta(days=value)
        return _EPOCH + datetime.timedelta(microseconds=value)
    except OverflowError:
        raise ConversionError(f"{dtype} out of range for text") from None


def _directives(moment: datetime.datetime) -> dict[str, Callable[[], str]]:
    hour12 = moment.hour % 12 or 12
    iso = moment.isocalendar()
    return {
        "a": lambda: _DAYS[moment.weekday()][:3],
        "A": lambda: _DAYS[moment.weekday()],
        "b": lambda: _MONTHS[moment.month - 1][:3],
        "B": lambda: _MONTHS[moment.month - 1],
        "c": lambda: f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d} {moment:%H:%M:%S}",
        "d": lambda: f"{moment.day:02d}",
        "f": lambda: f"{moment.microsecond:06d}",
        "g": lambda: f"{moment.microsecond // 1000:03d}",
        "n": lambda: f"{moment.microsecond:06d}000",
        "H": lambda: f"{moment.hour:02d}",
        "I": lambda: f"{hour12:02d}",
        "j": lambda: f"{moment.timetuple().tm_yday:03d}",
        "m": lambda: f"{moment.month:02d}",
        "M": lambda: f"{moment.minute:02d}",
        "p": lambda: "AM" if moment.hour < 12 else "PM",
        "S": lambda: f"{moment.second:02d}",
        "u": lambda: str(iso[2]),
        "U": lambda: moment.strftime("%U"),
        "V": lambda: f"{iso[1]:02d}",
        "W": lambda: moment.strftime("%W"),
        "w": lambda: str(iso[2] % 7),
        "y": lambda: f"{moment.year % 100:02d}",
        "Y": lambda: f"{moment.year:04d}",
        "G": lambda: f"{iso[0]:04d}",
        "x": lambda: f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}",
        "X": lambda: f"{moment:%H:%M:%S}",
        "z": lambda: "+00",
        "Z": lambda: "",
        "%": lambda: "%",
    }


def format_moment(moment: datetime.datetime, pattern: str) -> str:
    """Text of a moment by a strftime pattern."""
    directives = _directives(moment)

    def expand(match: re.Match[str]) -> str:
        letter = match.group(2)
        if letter not in directives:
            raise NotSupportedError(f"strftime directive is not supported: {match.group(0)}")
        text = directives[letter]()
        return (text.lstrip("0") or "0") if match.group(1) else text

    return re.sub(r"%(-?)(.)", expand, pattern)


def strftime(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Text of a date or timestamp by a constant pattern (arguments in either order, as in DuckDB)."""
    value, pattern_column = arguments
    if value.strings is not None:
        value, pattern_column = pattern_column, value
    if not is_constant(pattern_column):
        raise NotSupportedError("strftime pattern must be a constant")
    pattern = constant_text(pattern_column)
    kind = value.dtype
    return strings_of_distinct(context.xp, dtype, value, lambda v: format_moment(_moment(v, kind), pattern))


def month_name(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """English name of the month."""
    kind = arguments[0].dtype
    return strings_of_distinct(context.xp, dtype, arguments[0], lambda v: _MONTHS[_moment(v, kind).month - 1])


def day_name(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """English name of the day of the week."""
    kind = arguments[0].dtype
    return strings_of_distinct(context.xp, dtype, arguments[0], lambda v: _DAYS[_moment(v, kind).weekday()])


_SCAN = {
    "d": r"(?P<d>\d{1,2})",
    "m": r"(?P<m>\d{1,2})",
    "Y": r"(?P<Y>-?\d{1,4})",
    "y": r"(?P<y>\d{2})",
    "H": r"(?P<H>\d{1,2})",
    "I": r"(?P<I>\d{1,2})",
    "M": r"(?P<M>\d{1,2})",
    "S": r"(?P<S>\d{1,2})",
    "f": r"(?P<f>\d{1,6})",
    "g": r"(?P<g>\d{1,3})",
    "j": r"(?P<j>\d{1,3})",
    "p": r"(?P<p>[AaPp][Mm])",
    "b": r"(?P<b>[A-Za-z]{3})",
    "B": r"(?P<B>[A-Za-z]+)",
    "a": r"[A-Za-z]{3}",
    "A": r"[A-Za-z]+",
    "%": "%",
}


def _scanner(pattern: str) -> re.Pattern[str]:
    parts, position = [], 0
    pattern = pattern.replace("%x", "%Y-%m-%d").replace("%X", "%H:%M:%S")
    for match in re.finditer(r"%-?(.)", pattern):
        parts.append(re.escape(pattern[position : match.start()]))
        if match.group(1) not in _SCAN:
            raise NotSupportedError(f"strptime directive is not supported: {match.group(0)}")
        parts.append(_SCAN[match.group(1)])
        position = match.end()
    parts.append(re.escape(pattern[position:]))
    return re.compile("".join(parts) + r"\s*")


def _month_number(name: str) -> int:
    for number, month in enumerate(_MONTHS, 1):
        if name.lower() in (month.lower(), month[:3].lower()):
            return number
    raise ValueError(name)


def scan_moment(text: str, scanner: re.Pattern[str]) -> int | None:
    """Microseconds since 1970 of a text, or None if it does not match."""
    match = scanner.fullmatch(text.lstrip())
    if match is None:
        return None
    found = match.groupdict()

    def number(key: str, default: int) -> int:
        return int(found[key]) if found.get(key) else default

    try:
        year = number("Y", 1900)
        if found.get("y"):
            short = int(found["y"])
            year = short + (1900 if short >= 69 else 2000)
        month = number("m", 1)
        for key in ("b", "B"):
            if found.get(key):
                month = _month_number(found[key])
        hour = number("H", 0)
        if found.get("I"):
            hour = int(found["I"]) % 12
        if (found.get("p") or "").lower() == "pm":
            hour = hour % 12 + 12
        micros = int((found.get("f") or "0").ljust(6, "0")) if found.get("f") else number("g", 0) * 1000
        moment = datetime.datetime(year, month, number("d", 1), hour, number("M", 0), number("S", 0), micros)
        if found.get("j"):
            moment += datetime.timedelta(days=int(found["j"]) - 1)
    except ValueError:
        return None
    difference = moment - _EPOCH
    return difference.days * MICROSECONDS_PER_DAY + difference.seconds * 1_000_000 + difference.microseconds


def strptime(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """TIMESTAMP of a text by a constant pattern; ConversionError if a text does not match."""
    column, pattern_column = arguments
    if not is_constant(pattern_column):
        raise NotSupportedError("strptime pattern must be a constant")
    pattern = constant_text(pattern_column)
    scanner = _scanner(pattern)

    def parse(text: str) -> Any:
        return scan_moment(text, scanner)

    texts = text_of_entries(context.xp, column)
    return values_of_entries(
        context.xp, dtype, column, texts, parse, f"text does not match the pattern {pattern!r}", try_=False
    )
