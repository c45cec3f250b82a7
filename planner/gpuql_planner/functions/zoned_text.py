"""TIMESTAMPTZ from text, as DuckDB reads it: a date, a time of day, and an offset or the name of a zone."""

from __future__ import annotations

import datetime
import re

from gpuql_planner.statement_errors import InvalidParameterValue
from gpuql_planner.time_zones import find_zone, load_zone
from gpuql_planner.types import INFINITE_TIMESTAMP

_EPOCH = datetime.datetime(1970, 1, 1)
_EPOCH_ORDINAL = datetime.date(1970, 1, 1).toordinal()
_INFINITE = {"infinity": 1, "inf": 1, "-infinity": -1, "-inf": -1}
_DATE = re.compile(r"\s*(-?\d{1,6})([-/ \\])(\d{1,2})\2(\d{1,2})(\s*\(BC\))?", re.IGNORECASE)
_TIME = re.compile(r"[ T]\s*(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d*))?)?")
_OFFSET = re.compile(r"(?:Z|([+-])(\d{2})(?::?(\d{2})(?::?(\d{2}))?)?)?")
_NAME = re.compile(r"(?:\s+([A-Za-z][A-Za-z0-9/_+:-]*))?\s*")
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097


def parse_moment(text: str, zone: str) -> int | None:
    """Microseconds since 1970 UTC; None if the text is no moment. ``zone`` is where a text is from that names none."""
    special = special_moment(text, INFINITE_TIMESTAMP)
    if special is not None:
        return special
    dated = _DATE.match(text)
    days = None if dated is None else _days(dated)
    if dated is None or days is None:
        return None
    clock, offset, named = 0, None, None
    if dated.end() < len(text):
        timed = _TIME.match(text, dated.end())
        found = None if timed is None else _clock(timed)
        if timed is None or found is None:
            return None
        clock = found
        shifted = _OFFSET.match(text, timed.end())
        assert shifted is not None, "an offset may be left out"
        name = _NAME.fullmatch(text, shifted.end())
        if name is None or (shifted.end() > timed.end() and name[1]):
            return None
        named = name[1]
        offset = _offset(shifted) if shifted.end() > timed.end() else None
    seconds, fraction = divmod(clock, 1_000_000)
    local = days * 86_400 + seconds
    if offset is None:
        try:
            where = load_zone(find_zone(named) if named else zone)
        except InvalidParameterValue:
            return None
        second = where.second_of(local)
    else:
        second = local - offset
    moment = second * 1_000_000 + fraction
    return moment if -INFINITE_TIMESTAMP < moment < INFINITE_TIMESTAMP else None


def moment_as_datetime(moment: int) -> datetime.datetime | None:
    """The moment as a constant is kept: in UTC, without a zone; None beyond the years 1 to 9999."""
    try:
        return _EPOCH + datetime.timedelta(microseconds=moment)
    except OverflowError:
        return None


def special_moment(text: str, infinity: int) -> int | None:
    """Stored value of ``epoch`` and of both infinities, of which ``infinity`` is one; None of any other text."""
    folded = text.strip().lower()
    if folded == "epoch":
        return 0
    sign = _INFINITE.get(folded)
    return None if sign is None else sign * infinity


def _days(match: re.Match[str]) -> int | None:
    """Days since 1970 in the calendar that has no beginning."""
    year, month, day = int(match[1]), int(match[3]), int(match[4])
    if match[5]:
        year = 1 - year
    cycles, year_of_cycle = divmod(year - 1, _CYCLE_YEARS)
    try:
        ordinal = datetime.date(year_of_cycle + 1, month, day).toordinal()
    except ValueError:
        return None
    return cycles * _CYCLE_DAYS + ordinal - _EPOCH_ORDINAL


def _clock(match: re.Match[str]) -> int | None:
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    fraction = int((match[4] or "").ljust(6, "0")[:6])
    if hour > 24 or minute > 59 or second > 59 or (hour == 24 and (minute or second or fraction)):
        return None
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction


def _offset(match: re.Match[str]) -> int:
    if match[1] is None:
        return 0
    seconds = int(match[2]) * 3600 + int(match[3] or 0) * 60 + int(match[4] or 0)
    return -seconds if match[1] == "-" else seconds
