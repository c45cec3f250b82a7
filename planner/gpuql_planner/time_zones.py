"""Time zones of the IANA database as transitions and offsets, read from compiled TZif files (RFC 9636).

The files are those of the ``tzdata`` package, so that hosts agree (systems differ in how they build theirs), else
those that Python's ``zoneinfo`` would take. ``zoneinfo`` itself answers for one moment at a time and has no list of
transitions, which whole columns need.

Names are those of the database, whatever their case, and those that ICU adds to them, as DuckDB's zones are ICU's:
three letters such as ``PST``, and ``GMT+5:30`` or ``UTC-3`` for a fixed offset (positive is east of Greenwich).
"""

from __future__ import annotations

import datetime
import os
import re
import struct
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gpuql_planner.errors import ConversionError, did_you_mean
from gpuql_planner.statement_errors import InvalidParameterValue

#: The calendar repeats after 400 years, weekdays included, so rules for the years to come do as well.
CYCLE_SECONDS = 146_097 * 86_400
_CYCLE_YEARS = 400
_DAY_SECONDS = 86_400
_EPOCH_ORDINAL = datetime.date(1970, 1, 1).toordinal()
_NO_ZONES = frozenset({"localtime", "posixrules", "Factory"})
_FIXED = re.compile(
    r"(?i:GMT)([+-])([01]?\d|2[0-3])(?::?([0-5]\d))?|UTC(?:([+])(0?\d|1[0-4])|([-])(0?\d|1[0-2]))"
)
_NAMED_OFFSETS = frozenset({"gmt+0", "gmt-0"})

#: Names of ICU that the database does not have.
_ALIASES = {
    "ACT": "Australia/Darwin",
    "AET": "Australia/Sydney",
    "AGT": "America/Argentina/Buenos_Aires",
    "ART": "Africa/Cairo",
    "AST": "America/Anchorage",
    "BET": "America/Sao_Paulo",
    "BST": "Asia/Dhaka",
    "CAT": "Africa/Maputo",
    "CNT": "America/St_Johns",
    "CST": "America/Chicago",
    "CTT": "Asia/Shanghai",
    "EAT": "Africa/Addis_Ababa",
    "ECT": "Europe/Paris",
    "IET": "America/Indiana/Indianapolis",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "MIT": "Pacific/Apia",
    "NET": "Asia/Yerevan",
    "NST": "Pacific/Auckland",
    "PLT": "Asia/Karachi",
    "PNT": "America/Phoenix",
    "PRT": "America/Puerto_Rico",
    "PST": "America/Los_Angeles",
    "SST": "Pacific/Guadalcanal",
    "VST": "Asia/Ho_Chi_Minh",
    "Canada/East-Saskatchewan": "America/Regina",
    "US/Pacific-New": "America/Los_Angeles",
}


@dataclass(frozen=True)
class TimeZone:
    """Offsets from UTC and when each begins.

    Attributes
    ----------
    name : as the database spells it.
    starts : seconds since 1970 UTC from which the offset of the same place holds, ascending; the first holds before
        as well.
    offsets : seconds east of Greenwich.
    repeats : whether times from the last start on are those of :data:`CYCLE_SECONDS` earlier.
    """

    name: str
    starts: tuple[int, ...]
    offsets: tuple[int, ...]
    repeats: bool

    def offset_at(self, second: int) -> int:
        """Offset in seconds at a second since 1970 UTC."""
        if self.repeats and second >= self.starts[-1]:
            second -= ((second - self.starts[-1]) // CYCLE_SECONDS + 1) * CYCLE_SECONDS
        return self.offsets[max(bisect_right(self.starts, second) - 1, 0)]

    def second_of(self, local: int) -> int:
        """Second since 1970 UTC of a local time, given as if it were UTC.

        Of a local time that occurs twice the later moment; of one that is skipped, the moment that clocks would show it
        at had they not been changed (ICU's ``WALLTIME_LAST``, as DuckDB has it).
        """
        if self.repeats:
            last = self.starts[-1] + self.offsets[-1]
            if local >= last:
                back = ((local - last) // CYCLE_SECONDS + 1) * CYCLE_SECONDS
                return self.second_of(local - back) + back
        place = bisect_right(self.starts, local, key=self._local_start)
        return local - self.offsets[max(place - 1, 0)]

    def days_later(self, second: int, days: int) -> int:
        """The second at the same time of day, days later; where clocks skip that, as long after as they are set."""
        moved = second + days * _DAY_SECONDS
        before, after = self.offset_at(second), self.offset_at(moved)
        change = before - after
        change = change % _DAY_SECONDS if change >= 0 else -(-change % _DAY_SECONDS)
        adjusted = moved + change
        is_kept = (adjusted + self.offset_at(adjusted) - second - before) % _DAY_SECONDS == 0
        return moved if not is_kept and change < 0 else adjusted

    def _local_start(self, start: int) -> int:
        return start + self.offsets[bisect_right(self.starts, start) - 1]


def find_zone(name: str) -> str:
    """The name as the database spells it. Errors: InvalidParameterValue with names that are close."""
    known = _spelled(name)
    if known is None:
        raise InvalidParameterValue(
            f"time zone not found: {name}", hint=did_you_mean(name, list(zone_names()))
        )
    return known


def offset_text(offset_seconds: int, *, seconds: bool) -> str:
    """``+02``, ``-03:30``; with the seconds of old local times if ``seconds`` is set, ``-00:44:30``."""
    hours, rest = divmod(abs(offset_seconds), 3600)
    text = f"{'-' if offset_seconds < 0 else '+'}{hours:02d}"
    minutes, last = divmod(rest, 60)
    if minutes or (last and seconds):
        text += f":{minutes:02d}"
    return f"{text}:{last:02d}" if last and seconds else text


def local_zone() -> str:
    """Name of the zone of this machine: that of the variable TZ, else of the system, else UTC."""
    named = os.environ.get("TZ", "").removeprefix(":")
    if named and (found := _spelled(named)) is not None:
        return found
    try:
        file = Path("/etc/localtime").resolve(strict=True)
    except OSError:
        return "UTC"
    # Compiled zones lie under their names, so that one which is a link needs no list of names to be believed.
    return str(file).partition("zoneinfo/")[2].removeprefix("posix/") or "UTC"


@lru_cache(maxsize=1)
def zone_names() -> tuple[str, ...]:
    """Names of all zones, sorted."""
    return tuple(sorted((_database_names() | set(_ALIASES)) - _NO_ZONES))


def _database_names() -> set[str]:
    from importlib import resources

    try:
        return set(resources.files("tzdata").joinpath("zones").read_text("utf-8").split())
    except (ImportError, OSError):
        import zoneinfo

        return zoneinfo.available_timezones()


@lru_cache(maxsize=1)
def _spellings() -> dict[str, str]:
    return {name.lower(): name for name in zone_names()}


@lru_cache(maxsize=4096)
def _spelled(name: str) -> str | None:
    """The name of a zone as it is spelled, or None."""
    if name.startswith(("UTC+", "UTC-")):
        hours = _fixed_offset(name)
        return None if hours is None else f"Etc/GMT{'-' if hours > 0 else '+'}{abs(hours) // 3600}"
    if name in _ALIASES or _fixed_offset(name) is not None:
        return name
    return _spellings().get(name.lower())


def _fixed_offset(name: str) -> int | None:
    """Seconds of a name that says them; None of any other."""
    match = _FIXED.fullmatch(name)
    if match is None or name.lower() in _NAMED_OFFSETS:
        return None
    sign, hours = match[1] or match[4] or match[6], match[2] or match[5] or match[7]
    seconds = int(hours) * 3600 + int(match[3] or 0) * 60
    return -seconds if sign == "-" else seconds


@lru_cache(maxsize=1024)
def load_zone(name: str) -> TimeZone:
    """A zone by a name that :func:`find_zone` gave. ConversionError if its file cannot be read."""
    fixed = _fixed_offset(name)
    if fixed is not None:
        return TimeZone(name, (0,), (fixed,), repeats=False)
    return _read(name, _file_of(_ALIASES.get(name, name)))


def _file_of(name: str) -> bytes:
    from importlib import resources

    *folders, last = name.split("/")
    try:
        return resources.files(".".join(["tzdata.zoneinfo", *folders])).joinpath(last).read_bytes()
    except (ImportError, OSError):
        import zoneinfo

        for folder in zoneinfo.TZPATH:
            path = Path(folder, name)
            if path.is_file():
                return path.read_bytes()
        raise ConversionError(
            f"time zone cannot be read: {name}", hint="install the package tzdata, or the system's zones"
        ) from None


def _read(name: str, data: bytes) -> TimeZone:
    """The 64-bit part of a TZif file, and the rule for later years at its end."""
    first = _counts(data, 0)
    version = data[4:5]
    start, word = 44, 4
    if version >= b"2":
        start, word = start + _length(first, 4), 8
        first = _counts(data, start)
        start += 44
    _, _, _, num_times, num_types, _ = first
    form = f">{num_times}{'q' if word == 8 else 'l'}"
    times = struct.unpack_from(form, data, start)
    kinds = data[start + num_times * word :][:num_times]
    at = start + num_times * (word + 1)
    offsets = [struct.unpack_from(">l", data, at + 6 * kind)[0] for kind in range(num_types)]
    # Before the first transition the first kind holds; far before any date that a column holds.
    starts = [-(2**62), *times]
    found = [offsets[0], *(offsets[kind] for kind in kinds)]
    footer = data[start + _length(first, word) :].decode("ascii").strip("\n") if word == 8 else ""
    after = starts[-1] if times else 0
    later = _rule(footer, after)
    if later is not None:
        for second, offset in later:
            if second > after:
                starts.append(second)
                found.append(offset)
    return TimeZone(name, tuple(starts), tuple(found), repeats=later is not None)


def _counts(data: bytes, at: int) -> tuple[int, ...]:
    if data[at : at + 4] != b"TZif":
        raise ConversionError("time zone cannot be read: its file is not TZif")
    utc, standard, leap, times, types, characters = struct.unpack_from(">6l", data, at + 20)
    return utc, standard, leap, times, types, characters


def _length(counts: tuple[int, ...], word: int) -> int:
    utc, standard, leap, times, types, characters = counts
    return times * (word + 1) + types * 6 + characters + leap * (word + 4) + standard + utc


_NAME = r"(?:<[^>]+>|[A-Za-z]+)"
_CLOCK = r"[+-]?\d+(?::\d+)?(?::\d+)?"
_DAY = rf"(?:M\d+\.\d\.\d|J?\d+)(?:/{_CLOCK})?"
_RULE = re.compile(rf"{_NAME}({_CLOCK}){_NAME}({_CLOCK})?,({_DAY}),({_DAY})")


def _rule(text: str, after: int) -> list[tuple[int, int]] | None:
    """Starts and offsets of the years after a second, by a rule such as ``EST5EDT,M3.2.0,M11.1.0``.

    As many years as it takes until all repeats; None of a rule without changes.
    """
    match = _RULE.fullmatch(text)
    if match is None:
        return None
    standard = -_seconds(match[1])
    summer = -_seconds(match[2]) if match[2] else standard + 3600
    found = []
    first_year = (datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=after)).year
    for year in range(first_year, first_year + _CYCLE_YEARS + 2):
        found.append((_change(year, match[3]) - standard, summer))
        found.append((_change(year, match[4]) - summer, standard))
    return sorted(found)


def _seconds(text: str) -> int:
    sign = -1 if text.startswith("-") else 1
    parts = [int(part) for part in text.lstrip("+-").split(":")]
    return sign * sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))


def _change(year: int, rule: str) -> int:
    """Local second since 1970 of a change."""
    day, _, clock = rule.partition("/")
    seconds = _seconds(clock) if clock else 7200
    if day.startswith("M"):
        month, week, weekday = (int(part) for part in day[1:].split("."))
        ordinal = _weekday_of_month(year, month, week, weekday)
    elif day.startswith("J"):  # 1 to 365, 29 February never counted
        number = int(day[1:])
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        ordinal = datetime.date(year, 1, 1).toordinal() + number - 1 + (leap and number > 59)
    else:
        ordinal = datetime.date(year, 1, 1).toordinal() + int(day)
    return (ordinal - _EPOCH_ORDINAL) * 86_400 + seconds


def _weekday_of_month(year: int, month: int, week: int, weekday: int) -> int:
    """Ordinal of the n-th (5: the last) weekday of a month, 0 being Sunday."""
    first = datetime.date(year, month, 1)
    day = 1 + (weekday - first.isoweekday()) % 7 + 7 * (week - 1)
    following = datetime.date(year + month // 12, month % 12 + 1, 1)
    days_in_month = (following - first).days
    return first.toordinal() + (day if day <= days_in_month else day - 7) - 1
