"""The proleptic Gregorian calendar on arrays of days since 1970-01-01, for NumPy and CuPy.

Source: H. Hinnant, "chrono-compatible low-level date algorithms" (public domain). Years count from March, so that the
leap day is the last day of a year and months follow one linear formula.
"""

from __future__ import annotations

from typing import Any

from gpuql.columnar.column import Array

MICROSECONDS_PER_DAY = 86_400_000_000
_DAYS_PER_ERA = 146_097  # 400 years
_EPOCH_SHIFT = 719_468  # days from 0000-03-01 to 1970-01-01


def civil_from_days(xp: Any, days: Array) -> tuple[Array, Array, Array]:
    """Year, month (1-12) and day (1-31), int64."""
    shifted = days.astype(xp.int64) + _EPOCH_SHIFT
    era = shifted // _DAYS_PER_ERA
    day_of_era = shifted - era * _DAYS_PER_ERA
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = xp.where(month_from_march < 10, month_from_march + 3, month_from_march - 9)
    year = year_of_era + era * 400 + (month <= 2)
    return year, month, day


def days_from_civil(year: Any, month: Any, day: Any) -> Any:
    """Days since 1970-01-01 of arrays (or ints) of year, month and day."""
    before_march = month <= 2
    year = year - before_march
    era = year // 400
    year_of_era = year - era * 400
    month_from_march = month - 3 + 12 * before_march
    day_of_year = (153 * month_from_march + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * _DAYS_PER_ERA + day_of_era - _EPOCH_SHIFT


def days_in_month(xp: Any, year: Array, month: Array) -> Array:
    """28 to 31."""
    next_year = xp.where(month == 12, year + 1, year)
    next_month = xp.where(month == 12, 1, month + 1)
    return days_from_civil(next_year, next_month, 1) - days_from_civil(year, month, 1)


def add_months(xp: Any, days: Array, months: Array) -> Array:
    """Same day of the month ``months`` later, or the month's last day if it is shorter."""
    year, month, day = civil_from_days(xp, days)
    index = year * 12 + (month - 1) + months
    new_year, new_month = index // 12, index % 12 + 1
    return days_from_civil(new_year, new_month, xp.minimum(day, days_in_month(xp, new_year, new_month)))


def iso_week(xp: Any, days: Array) -> tuple[Array, Array]:
    """ISO 8601 year and week number."""
    days = days.astype(xp.int64)
    thursday = days - (days + 3) % 7 + 3
    year, _, _ = civil_from_days(xp, thursday)
    return year, (thursday - days_from_civil(year, 1, 1)) // 7 + 1
