"""Functions of TIMESTAMPTZ. Those that ask for a date or a time of day do so in the session's time zone.

Where it does not matter that clocks are changed, a function of local times does; the others have the zone as their last
argument.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence

from gpuql_planner.functions.coercion import coerce
from gpuql_planner.functions.signatures import Overload, choose_overload, no_overload
from gpuql_planner.logical.expressions import Call, Cast, Expression, Literal
from gpuql_planner.session_zone import session_zone, statement_time
from gpuql_planner.statement_errors import InvalidParameterValue, NoMatchingFunction
from gpuql_planner.time_zones import find_zone, load_zone
from gpuql_planner.types import (
    BIGINT,
    DATE,
    DOUBLE,
    INTERVAL,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    VARCHAR,
    TypeId,
)

Resolver = Callable[[Sequence[Expression]], Expression]

#: Parts of a moment that say where it is.
ZONE_PARTS = frozenset({"timezone", "timezone_hour", "timezone_minute"})


def any_zoned(arguments: Sequence[Expression]) -> bool:
    """Whether an argument is a TIMESTAMPTZ, which others become then."""
    return any(argument.dtype.id is TypeId.TIMESTAMPTZ for argument in arguments)


def local_time(moment: Expression) -> Expression:
    """TIMESTAMP in the session's zone."""
    return Cast(moment, TIMESTAMP)


def utc_time(moment: Expression) -> Expression:
    """TIMESTAMP in UTC."""
    return Cast(moment, TIMESTAMP, zone="UTC")


def moment_of_utc(time: Expression) -> Expression:
    """TIMESTAMPTZ of a TIMESTAMP in UTC."""
    return Cast(time, TIMESTAMPTZ, zone="UTC")


def zone_literal() -> Literal:
    """The session's zone, as an argument."""
    return Literal(session_zone(), VARCHAR)


def make_zone_part(part: str, argument: Expression) -> Expression:
    """Offset of a moment in seconds, or its whole hours or the minutes left; of times without a zone it is zero."""
    if argument.dtype.id is not TypeId.TIMESTAMPTZ:
        choose_overload(part, (argument,), (Overload((TIMESTAMP,), BIGINT), Overload((DATE,), BIGINT)))
        return Call(
            "zone_offset",
            (Literal(part, VARCHAR), coerce(argument, TIMESTAMP), Literal("UTC", VARCHAR)),
            BIGINT,
        )
    return Call("zone_offset", (Literal(part, VARCHAR), argument, zone_literal()), BIGINT)


#: Parts that count the years before the first one otherwise than those of TIMESTAMP.
ERA_PARTS = frozenset({"year", "decade", "century", "millennium", "yearweek"})


def make_era_part(part: str, moment: Expression) -> Expression:
    """Years of the era to which the local date belongs, or units of them."""
    return Call("zone_era_part", (Literal(part, VARCHAR), local_time(moment)), BIGINT)


def add_interval(moment: Expression, interval: Expression) -> Expression:
    """Months and days move along the local calendar, the rest is elapsed time."""
    return Call("zone_add", (moment, interval, zone_literal()), TIMESTAMPTZ)


def subtract_interval(moment: Expression, interval: Expression) -> Expression:
    """As :func:`add_interval`, backwards."""
    return Call("zone_subtract", (moment, interval, zone_literal()), TIMESTAMPTZ)


def difference(end: Expression, start: Expression) -> Expression:
    """Local days and elapsed time between two moments."""
    moments = (coerce(end, TIMESTAMPTZ), coerce(start, TIMESTAMPTZ))
    return Call("zone_difference", (*moments, zone_literal()), INTERVAL)


def truncate(unit: Literal, moment: Expression) -> Expression:
    """Beginning of the local unit."""
    return Call("zone_trunc", (unit, coerce(moment, TIMESTAMPTZ), zone_literal()), TIMESTAMPTZ)


def count_units(function: str, unit: Literal, moments: Sequence[Expression]) -> Expression:
    """``date_diff`` (boundaries crossed) and ``date_sub`` (whole units) of two moments."""
    start, end = (coerce(moment, TIMESTAMPTZ) for moment in moments)
    return Call(f"zone_{function}", (unit, start, end, zone_literal()), BIGINT)


def make_at_time_zone(zone: Expression, value: Expression) -> Expression:
    """``value AT TIME ZONE zone``: a TIMESTAMPTZ as local time there, a local time there as TIMESTAMPTZ."""
    zoned = value.dtype.id is TypeId.TIMESTAMPTZ
    if not zoned:
        known = (Overload((VARCHAR, TIMESTAMP), TIMESTAMPTZ), Overload((VARCHAR, TIMESTAMPTZ), TIMESTAMP))
        if value.dtype.id not in (TypeId.DATE, TypeId.NULL, TypeId.VARCHAR) and not value.dtype.is_timestamp:
            raise no_overload("timezone", (zone, value), known)
        choose_overload("timezone", (zone, Literal(None, TIMESTAMP)), known)
        value = coerce(value, TIMESTAMP)
    result = TIMESTAMP if zoned else TIMESTAMPTZ
    if isinstance(zone, Literal):
        name = zone.value
        if name is None:
            return Literal(None, result)
        return Cast(value, result, zone=find_zone(str(name)))
    if zone.dtype != VARCHAR:
        raise NoMatchingFunction(f"name of a time zone must be text: {zone.dtype}")
    return Call("at_zone", (value, zone), result)


def _timezone(arguments: Sequence[Expression]) -> Expression:
    """``timezone(name, moment)``, or the offset of a moment in seconds."""
    if len(arguments) == 1:
        return make_zone_part("timezone", arguments[0])
    if len(arguments) != 2:
        raise no_overload("timezone", arguments, (Overload((VARCHAR, TIMESTAMPTZ), TIMESTAMP),))
    return make_at_time_zone(*arguments)


def _part(name: str) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        if len(arguments) != 1:
            raise no_overload(name, arguments, (Overload((TIMESTAMPTZ,), BIGINT),))
        return make_zone_part(name, arguments[0])

    return resolve


def _to_timestamp(arguments: Sequence[Expression]) -> Expression:
    """TIMESTAMPTZ of seconds since 1970 UTC."""
    overloads = (Overload((DOUBLE,), TIMESTAMPTZ),)
    choose_overload("to_timestamp", arguments, overloads)
    return Call("to_timestamp", (coerce(arguments[0], DOUBLE),), TIMESTAMPTZ)


def _make_timestamptz(arguments: Sequence[Expression]) -> Expression:
    """Of six parts in the session's zone or a named one, or of microseconds since 1970 UTC."""
    parts = (BIGINT, BIGINT, BIGINT, BIGINT, BIGINT, DOUBLE)
    overloads = (
        Overload(parts, TIMESTAMPTZ),
        Overload((*parts, VARCHAR), TIMESTAMPTZ),
        Overload((BIGINT,), TIMESTAMPTZ),
    )
    chosen = choose_overload("make_timestamptz", arguments, overloads)
    values = [coerce(a, p) for a, p in zip(arguments, chosen.parameters, strict=True)]
    if len(values) == 1:
        return moment_of_utc(Call("from_epoch", (Literal("microsecond", VARCHAR), values[0]), TIMESTAMP))
    local = Call("make_timestamp", tuple(values[:6]), TIMESTAMP)
    return make_at_time_zone(values[6], local) if len(values) == 7 else Cast(local, TIMESTAMPTZ)


def time_bucket(arguments: Sequence[Expression]) -> Expression:
    """Buckets of UTC or, with the name of a zone, of local time there."""
    overloads = [
        Overload((INTERVAL, TIMESTAMPTZ, *rest), TIMESTAMPTZ)
        for rest in ((), (TIMESTAMPTZ,), (INTERVAL,), (VARCHAR,))
    ]
    if len(arguments) == 3 and arguments[2].dtype == VARCHAR and isinstance(arguments[2], Literal):
        chosen = overloads[3]
    else:
        chosen = choose_overload("time_bucket", arguments, overloads)
    width, moment, *rest = (coerce(a, p) for a, p in zip(arguments, chosen.parameters, strict=True))
    if rest and rest[0].dtype == VARCHAR:
        zone = rest[0]
        if not isinstance(zone, Literal):
            raise InvalidParameterValue("time zone must be a constant: time_bucket")
        if zone.value is None:
            return Literal(None, TIMESTAMPTZ)
        return Call("zone_bucket", (width, moment, Literal(find_zone(str(zone.value)), VARCHAR)), TIMESTAMPTZ)
    others = [utc_time(one) if one.dtype == TIMESTAMPTZ else one for one in rest]
    return moment_of_utc(Call("time_bucket", (width, utc_time(moment), *others), TIMESTAMP))


def local_now() -> datetime.datetime:
    """The time of binding on clocks of the session's zone."""
    now = statement_time()
    second = (now - datetime.datetime(1970, 1, 1)) // datetime.timedelta(seconds=1)
    return now + datetime.timedelta(seconds=load_zone(session_zone()).offset_at(second))


def _without_arguments(name: str, make: Callable[[], Literal]) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        literal = make()
        if arguments:
            raise no_overload(name, arguments, (Overload((), literal.type),))
        return literal

    return resolve


def strftime(moment: Expression, pattern: Expression) -> Expression:
    """Local time as text; ``%z`` and ``%Z`` say where."""
    return Call("zone_strftime", (moment, coerce(pattern, VARCHAR), zone_literal()), VARCHAR)


def names_zone(pattern: Expression) -> bool:
    """Whether a pattern of strptime reads an offset or a zone, which makes its results TIMESTAMPTZ."""
    if not isinstance(pattern, Literal) or not isinstance(pattern.value, str):
        return False
    plain = pattern.value.replace("%%", "")
    return "%z" in plain or "%Z" in plain


def strptime(name: str, text: Expression, pattern: Expression) -> Expression:
    """TIMESTAMPTZ of text that says where it is from; local time otherwise."""
    return Call(f"zone_{name}", (coerce(text, VARCHAR), pattern, zone_literal()), TIMESTAMPTZ)


def age(arguments: Sequence[Expression]) -> Expression:
    """The difference of local times, field by field."""
    moments = [local_time(coerce(argument, TIMESTAMPTZ)) for argument in arguments]
    return Call("age", tuple(moments), INTERVAL)


def of_local_time(resolver: Resolver) -> Resolver:
    """A function of dates and timestamps that takes TIMESTAMPTZ as local time."""

    def resolve(arguments: Sequence[Expression]) -> Expression:
        return resolver([local_time(a) if a.dtype.id is TypeId.TIMESTAMPTZ else a for a in arguments])

    return resolve


ZONED_FUNCTIONS: dict[str, Resolver] = {
    "timezone": _timezone,
    "timezone_hour": _part("timezone_hour"),
    "timezone_minute": _part("timezone_minute"),
    "to_timestamp": _to_timestamp,
    "make_timestamptz": _make_timestamptz,
    "now": _without_arguments("now", lambda: Literal(statement_time(), TIMESTAMPTZ)),
    "localtimestamp": _without_arguments("localtimestamp", lambda: Literal(local_now(), TIMESTAMP)),
    "localtime": _without_arguments("localtime", lambda: Literal(local_now().time(), TIME)),
    "current_date": _without_arguments("current_date", lambda: Literal(local_now().date(), DATE)),
}
