"""Moments at random, many of them where clocks are changed, through functions of the calendar beside DuckDB."""

from __future__ import annotations

import random

import duckdb
import pytest

import gpuql
from gpuql_planner.time_zones import find_zone, load_zone

_ROWS = 120
#: Zones of whole and half hours, both hemispheres, of winter time that is negative, and with a day that was left out.
_ZONES = (
    *("America/New_York", "Europe/Dublin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"),
    *("Africa/Casablanca", "Pacific/Kwajalein", "Antarctica/Troll", "GMT+5:30"),
)
_UNITS = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")
_EXPRESSIONS = (
    *(
        "a::VARCHAR",
        "a::DATE",
        "a::TIMESTAMP::TIMESTAMPTZ::VARCHAR",
        "(a AT TIME ZONE 'Asia/Tokyo')::VARCHAR",
    ),
    *("(a + i)::VARCHAR", "(a - i)::VARCHAR", "(a - b)::VARCHAR", "hour(a)", "dayofyear(a)", "yearweek(a)"),
    *("extract(timezone FROM a)", "strftime(a, '%Y-%m-%d %H:%M:%S.%f %z')", "epoch_ms(a)", "a < b", "a = b"),
    *(f"date_trunc('{unit}', a)::VARCHAR" for unit in _UNITS),
    *(f"date_diff('{unit}', a, b)" for unit in _UNITS),
    *(f"date_sub('{unit}', a, b)" for unit in _UNITS),
    *(f"time_bucket(INTERVAL '{width}', a)::VARCHAR" for width in ("1 day", "1 month", "7 hours")),
    *(f"time_bucket(INTERVAL '{width}', a, 'America/New_York')::VARCHAR" for width in ("1 hour", "1 month")),
)


def _moments(zone: str, generator: random.Random) -> list[int]:
    """Microseconds since 1970: half of them within a day of a change."""
    changes = [start for start in load_zone(find_zone(zone)).starts if -2_000_000_000 < start < 4_000_000_000]
    found = []
    for number in range(_ROWS):
        second = generator.randrange(-5_000_000_000, 9_000_000_000)
        if changes and number % 2:
            second = generator.choice(changes) + generator.choice(
                (0, -1, 1, 1800, -1800, 3600, generator.randrange(-90_000, 90_000))
            )
        found.append(second * 1_000_000 + (generator.randrange(1_000_000) if number % 3 == 0 else 0))
    return found


@pytest.mark.parametrize("zone", _ZONES)
def test_functions_of_the_calendar(zone: str) -> None:
    generator = random.Random(zone)
    rows = [
        (
            a,
            b,
            generator.choice((0, 1, -1, 14)),
            generator.choice((0, 1, -1, 200)),
            generator.choice((0, 1, -3600)),
        )
        for a, b in zip(_moments(zone, generator), _moments(zone, generator), strict=True)
    ]
    answers = []
    with duckdb.connect() as reference, gpuql.connect(device="cpu", threads=1) as connection:
        for engine in (reference, connection):
            engine.execute(f"SET TimeZone = '{zone}'")
            engine.execute("CREATE TABLE r (a BIGINT, b BIGINT, m INTEGER, d INTEGER, s INTEGER)")
            engine.execute(f"INSERT INTO r VALUES {', '.join(map(str, rows))}")
            engine.execute(
                "CREATE TABLE t AS SELECT row_number() OVER () n, make_timestamptz(a) a, make_timestamptz(b) b, "
                "to_months(m) + to_days(d) + to_seconds(s) i FROM r"
            )
            found = engine.execute(
                f"SELECT {', '.join(_EXPRESSIONS)}, a::VARCHAR, b::VARCHAR, i::VARCHAR FROM t ORDER BY n"
            )
            answers.append(found.fetchall())
    for expected, got in zip(*answers, strict=True):
        for expression, one, other in zip(_EXPRESSIONS, expected[:-3], got[:-3], strict=True):
            assert one == other, (expression, expected[-3:])
