"""strftime, strptime, monthname, dayname: once per distinct value, on the host."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

from gpuql.columnar.column import Column
from gpuql.expressions.calendar import MICROSECONDS_PER_DAY
from gpuql.expressions.distinct_values import strings_of_distinct, text_of_entries, values_of_entries
from gpuql.expressions.infinity import infinity_of, infinity_text
from gpuql.expressions.string_entries import constant_text
from gpuql.expressions.vectors import EvaluationContext, is_constant
from gpuql_planner.errors import NotSupportedError
from gpuql_planner.statement_errors import DatetimeOutOfRange
from gpuql_planner.time_zones import offset_text
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
        raise DatetimeOutOfRange(f"{dtype} out of range for text") from None


def _directives(moment: datetime.datetime, offset_seconds: int, zone: str) -> dict[str, Callable[[], str]]:
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
        "z": lambda: offset_text(offset_seconds, seconds=True),
        "Z": lambda: zone,
        "%": lambda: "%",
    }


def format_moment(moment: datetime.datetime, pattern: str, offset_seconds: int = 0, zone: str = "") -> str:
    """Text of a local time by a strftime pattern; the rest says where."""
    directives = _directives(moment, offset_seconds, zone)

    def expand(match: re.Match[str]) -> str:
        letter = match.group(2)
        if letter not in directives:
            raise NotSupportedError(f"strftime directive is not supported: {match.group(0)}")
        text = directives[letter]()
        return (text.lstrip("0") or "0") if match.group(1) else text

    return re.sub(r"%(-?)(.?)", expand, pattern)


def strftime(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Text of a date or timestamp by a constant pattern (arguments in either order, as in DuckDB)."""
    value, pattern_column = arguments
    if value.strings is not None:
        value, pattern_column = pattern_column, value
    if not is_constant(pattern_column):
        raise NotSupportedError("strftime pattern must be a constant")
    pattern = constant_text(pattern_column)
    kind = value.dtype
    infinity = infinity_of(kind)
    assert infinity is not None, "the planner lets dates and timestamps in"
    return strings_of_distinct(
        context.xp,
        dtype,
        value,
        lambda v: infinity_text(v, infinity) or format_moment(_moment(v, kind), pattern),
    )


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
    "G": r"(?P<G>-?\d{1,4})",
    "y": r"(?P<y>\d{1,2})",
    "H": r"(?P<H>\d{1,2})",
    "I": r"(?P<I>\d{1,2})",
    "M": r"(?P<M>\d{1,2})",
    "S": r"(?P<S>\d{1,2})",
    "f": r"(?P<f>\d{1,6})",
    "n": r"(?P<n>\d{1,9})",
    "g": r"(?P<g>\d{1,3})",
    "j": r"(?P<j>\d{1,3})",
    "u": r"(?P<u>[1-7])",
    "w": r"(?P<w>[0-6])",
    "U": r"(?P<U>\d{1,2})",
    "W": r"(?P<W>\d{1,2})",
    "V": r"(?P<V>\d{1,2})",
    "p": r"(?P<p>[AaPp][Mm])",
    "b": "(?P<b>" + "|".join(month[:3] for month in _MONTHS) + ")",
    "B": "(?P<B>" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + ")",
    "a": "(?P<a>" + "|".join(day[:3] for day in _DAYS) + ")",
    "A": "(?P<A>" + "|".join(_DAYS) + ")",
    "z": r"(?P<z>Z|[+-]\d{2}(?::?\d{2}(?::?\d{2})?)?)",
    "Z": r"(?P<Z>[A-Za-z][A-Za-z0-9/_+:-]*)",
    "%": "%",
}
#: Directives that are written as several others.
_SCAN_AS = {"x": "%Y-%m-%d", "X": "%H:%M:%S", "c": "%Y-%m-%d %H:%M:%S"}


def scanner_of(pattern: str) -> re.Pattern[str]:
    """What reads the texts of a strptime pattern. Errors: NotSupportedError for directives that are not known."""
    parts, position = [], 0
    pattern = re.sub("%([xXc%])", lambda found: _SCAN_AS.get(found[1], found[0]), pattern)
    seen: set[str] = set()
    for match in re.finditer(r"%-?(.?)", pattern):
        parts.append(re.escape(pattern[position : match.start()]))
        letter = match.group(1)
        if letter not in _SCAN or letter in seen - {"%"}:
            raise NotSupportedError(f"strptime directive is not supported: {match.group(0)}")
        seen.add(letter)
        parts.append(_SCAN[letter])
        position = match.end()
    parts.append(re.escape(pattern[position:]))
    if "p" in seen and "I" not in seen:
        raise NotSupportedError("strptime directive %p needs %I")
    return re.compile("".join(parts) + r"\s*", re.IGNORECASE)


def _month_number(name: str) -> int:
    for number, month in enumerate(_MONTHS, 1):
        if name.lower() in (month.lower(), month[:3].lower()):
            return number
    raise ValueError(name)


def _weekday(found: dict[str, str | None]) -> int | None:
    """0 for Monday to 6 for Sunday, from whichever directive gave it."""
    for key, names in (("a", [day[:3] for day in _DAYS]), ("A", _DAYS)):
        name = found.get(key)
        if name:
            return [day.lower() for day in names].index(name.lower())
    if found.get("u"):
        return int(found["u"] or 1) - 1
    if found.get("w"):
        return (int(found["w"] or 0) - 1) % 7
    return None


def _date_of(found: dict[str, str | None]) -> datetime.date:
    """The day; ValueError if there is none."""

    def number(key: str, default: int) -> int:
        return int(found.get(key) or default)

    year = number("Y", 1900)
    if found.get("y"):
        short = number("y", 0)
        year = short + (1900 if short >= 69 else 2000)
    weekday = _weekday(found)
    if found.get("G"):
        return datetime.date.fromisocalendar(
            number("G", 1900), number("V", 1), 1 + (0 if weekday is None else weekday)
        )
    if found.get("j"):
        day = datetime.date(year, 1, 1) + datetime.timedelta(days=number("j", 1) - 1)
        if day.year != year:
            raise ValueError("no such day of the year")
        return day
    for key, first in (("U", 6), ("W", 0)):
        if found.get(key) and not found.get("m"):
            # Week 1 begins on the year's first Sunday (%U) or Monday (%W).
            start = datetime.date(year, 1, 1)
            start += datetime.timedelta(days=(first - start.weekday()) % 7)
            offset = 0 if weekday is None else (weekday - first) % 7
            day = start + datetime.timedelta(days=7 * (number(key, 0) - 1) + offset)
            return max(day, datetime.date(year, 1, 1)) if weekday is None else day
    month = number("m", 1)
    for key in ("b", "B"):
        name = found.get(key)
        if name:
            month = _month_number(name)
    return datetime.date(year, month, number("d", 1))


def scan_moment(text: str, scanner: re.Pattern[str]) -> int | None:
    """Microseconds since 1970 of a text, or None if it does not match."""
    scanned = scan_fields(text, scanner)
    return None if scanned is None else scanned[0]


def scan_fields(text: str, scanner: re.Pattern[str]) -> tuple[int, dict[str, str | None]] | None:
    """Microseconds since 1970 of a text, and what each directive read; None if the text does not match."""
    match = scanner.fullmatch(text.lstrip())
    if match is None:
        return None
    found = match.groupdict()
    try:
        hour = int(found.get("H") or 0)
        if found.get("I"):
            hour = int(found["I"])
            if not 1 <= hour <= 12:
                return None
            hour %= 12
            if (found.get("p") or "").lower() == "pm":
                hour += 12
        micros = 0
        for key, digits in (("f", 6), ("n", 9), ("g", 3)):
            if found.get(key):
                micros = int(found[key].ljust(digits, "0").ljust(6, "0")[:6])
        time = datetime.time(hour, int(found.get("M") or 0), int(found.get("S") or 0), micros)
        moment = datetime.datetime.combine(_date_of(found), time)
    except ValueError:
        return None
    difference = moment - _EPOCH
    micros = difference.days * MICROSECONDS_PER_DAY + difference.seconds * 1_000_000
    return micros + difference.microseconds, found


def _read(*, try_: bool) -> Callable[[DataType, list[Column], EvaluationContext], Column]:
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        column, pattern_column = arguments
        if not is_constant(pattern_column):
            raise NotSupportedError("strptime pattern must be a constant")
        pattern = constant_text(pattern_column)
        scanner = scanner_of(pattern)

        def parse(text: str) -> Any:
            return scan_moment(text, scanner)

        texts = text_of_entries(context.xp, column)
        complaint = f"text does not match the pattern {pattern!r}"
        return values_of_entries(context.xp, dtype, column, texts, parse, complaint, try_=try_)

    return apply


#: TIMESTAMP of a text by a constant pattern; ConversionError if a text does not match, or NULL.
strptime, try_strptime = _read(try_=False), _read(try_=True)
