"""Functions of dates, times, timestamps and intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuql_planner.errors import NotSupportedError
from gpuql_planner.functions import zoned
from gpuql_planner.functions.arithmetic import make_add, make_multiply
from gpuql_planner.functions.calendar_functions import from_epoch
from gpuql_planner.functions.coercion import coerce
from gpuql_planner.functions.signatures import Overload, call_overload, choose_overload, no_overload
from gpuql_planner.functions.text_literals import interval_of
from gpuql_planner.logical.expressions import Call, Expression, Literal
from gpuql_planner.logical.traced import derive
from gpuql_planner.statement_errors import InvalidParameterValue
from gpuql_planner.types import (
    BIGINT,
    DATE,
    DOUBLE,
    INTERVAL,
    NULL,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    VARCHAR,
    DataType,
    TypeId,
)

Resolver = Callable[[Sequence[Expression]], Expression]

#: Spelled date part -> canonical function that extracts it.
DATE_PARTS: dict[str, str] = {
    **{
        name: name
        for name in [
            "year",
            "month",
            "day",
            "quarter",
            "week",
            "isodow",
            "hour",
            "minute",
            "second",
            "epoch",
            "isoyear",
            "yearweek",
            "era",
            "julian",
            "nanosecond",
            "decade",
            "century",
            "millennium",
        ]
    },
    **dict.fromkeys(("decades", "dec", "decs"), "decade"),
    **dict.fromkeys(("centuries", "cent", "c"), "century"),
    **dict.fromkeys(("millennia", "mil", "mils", "millenium"), "millennium"),
    **{f"{name}s": name for name in ["year", "month", "day", "quarter", "week", "hour", "minute", "second"]},
    **dict.fromkeys(("millisecond", "milliseconds", "ms", "msec", "msecs"), "millisecond"),
    **dict.fromkeys(("microsecond", "microseconds", "us", "usec", "usecs"), "microsecond"),
    **dict.fromkeys(("dow", "dayofweek", "weekday"), "dayofweek"),
    **dict.fromkeys(("doy", "dayofyear"), "dayofyear"),
    **dict.fromkeys(("dayofmonth", "d"), "day"),
    **dict.fromkeys(("y", "yr", "yrs"), "year"),
    **dict.fromkeys(("mon", "mons"), "month"),
    **dict.fromkeys(("w", "weekofyear"), "week"),
    **dict.fromkeys(("h", "hr", "hrs"), "hour"),
    **dict.fromkeys(("m", "min", "mins"), "minute"),
    **dict.fromkeys(("s", "sec", "secs"), "second"),
}

#: Parts that date_trunc and date_diff count in; others (such as isodow) are no units.
_TRUNCATION_UNITS = frozenset(
    ["year", "month", "day", "quarter", "week", "hour", "minute", "second", "millisecond", "microsecond"]
)
_LARGER_UNITS = frozenset({"decade", "century", "millennium", "isoyear"})

_DATE_PART_TYPES = {
    "year": (DATE, TIMESTAMP, INTERVAL),
    "month": (DATE, TIMESTAMP, INTERVAL),
    "day": (DATE, TIMESTAMP, INTERVAL),
    "quarter": (DATE, TIMESTAMP, INTERVAL),
    "week": (DATE, TIMESTAMP),
    "dayofweek": (DATE, TIMESTAMP),
    "isodow": (DATE, TIMESTAMP),
    "dayofyear": (DATE, TIMESTAMP),
    "hour": (TIMESTAMP, TIME, INTERVAL),
    "minute": (TIMESTAMP, TIME, INTERVAL),
    "second": (TIMESTAMP, TIME, INTERVAL),
    "millisecond": (TIMESTAMP, TIME, INTERVAL),
    "microsecond": (TIMESTAMP, TIME, INTERVAL),
    "epoch": (DATE, TIMESTAMP, TIME, INTERVAL),
    "isoyear": (DATE, TIMESTAMP),
    "yearweek": (DATE, TIMESTAMP),
    "era": (DATE, TIMESTAMP),
    "julian": (DATE, TIMESTAMP),
    "nanosecond": (TIMESTAMP, TIME, INTERVAL),
    "decade": (DATE, TIMESTAMP, INTERVAL),
    "century": (DATE, TIMESTAMP, INTERVAL),
    "millennium": (DATE, TIMESTAMP, INTERVAL),
}


def make_date_part(part: str, argument: Expression) -> Expression:
    """``extract(part FROM argument)``: BIGINT, or DOUBLE for ``epoch``."""
    function = DATE_PARTS.get(part.lower())
    if part.lower() in zoned.ZONE_PARTS:
        return zoned.make_zone_part(part.lower(), argument)
    if function is not None and argument.dtype.id is TypeId.TIMESTAMPTZ:
        if function == "epoch":
            return Call("zone_epoch", (argument,), DOUBLE)
        if function in zoned.ERA_PARTS:
            return zoned.make_era_part(function, argument)
        argument = zoned.local_time(argument)
    if function is None:
        raise NotSupportedError(
            f"date part not supported: {part}", hint=f"parts: {', '.join(_DATE_PART_TYPES)}"
        )
    result = DOUBLE if function in ("epoch", "julian") else BIGINT
    overloads = [Overload((dtype,), result) for dtype in _DATE_PART_TYPES[function]]
    return call_overload(function, (argument,), overloads)


def _part(function: str) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        if len(arguments) != 1:
            raise no_overload(function, arguments, (Overload((TIMESTAMP,), BIGINT),))
        return make_date_part(function, arguments[0])

    return resolve


def _constant_text(name: str, argument: Expression) -> str:
    if isinstance(argument, Literal) and isinstance(argument.value, str):
        return argument.value
    raise InvalidParameterValue(f"first argument must be a constant date part: {name}")


def _date_part(arguments: Sequence[Expression]) -> Expression:
    if len(arguments) != 2:
        raise no_overload("date_part", arguments, (Overload((VARCHAR, TIMESTAMP), BIGINT),))
    return make_date_part(_constant_text("date_part", arguments[0]), arguments[1])


def _unit(name: str, argument: Expression) -> Literal:
    spelled = _constant_text(name, argument).lower()
    unit = spelled if spelled in _LARGER_UNITS else DATE_PARTS.get(spelled)
    if unit in ("dayofweek", "dayofyear", "isodow"):
        unit = "day"
    elif unit == "yearweek":
        unit = "week"
    elif unit == "epoch":
        unit = "second"
    if unit not in _TRUNCATION_UNITS and unit not in _LARGER_UNITS:
        raise NotSupportedError(
            f"date part not supported by {name}: {spelled}",
            hint=f"parts: {', '.join(sorted(_TRUNCATION_UNITS))}",
        )
    return Literal(unit, VARCHAR)


def _date_trunc(arguments: Sequence[Expression]) -> Expression:
    """Truncation of a DATE or TIMESTAMP; the result is a TIMESTAMP in both cases, as in DuckDB 2.0."""
    overloads = (
        Overload((VARCHAR, TIMESTAMP), TIMESTAMP),
        Overload((VARCHAR, DATE), TIMESTAMP),
        Overload((VARCHAR, TIMESTAMPTZ), TIMESTAMPTZ),
        Overload((VARCHAR, INTERVAL), INTERVAL),
    )
    overload = choose_overload("date_trunc", arguments, overloads)
    unit = _unit("date_trunc", arguments[0])
    if overload.result == TIMESTAMPTZ:
        return zoned.truncate(unit, arguments[1])
    return Call("date_trunc", (unit, coerce(arguments[1], overload.parameters[1])), overload.result)


_DIFFERENCES = tuple(
    Overload((VARCHAR, dtype, dtype), BIGINT) for dtype in (DATE, TIMESTAMP, TIMESTAMPTZ, TIME)
)


def _date_diff(arguments: Sequence[Expression]) -> Expression:
    overload = choose_overload("date_diff", arguments, _DIFFERENCES)
    if overload.parameters[1] == TIMESTAMPTZ:
        return zoned.count_units("date_diff", _unit("date_diff", arguments[0]), arguments[1:])
    values = (coerce(argument, overload.parameters[1]) for argument in arguments[1:])
    return Call("date_diff", (_unit("date_diff", arguments[0]), *values), BIGINT)


def _date_sub(arguments: Sequence[Expression]) -> Expression:
    """Whole units between two moments, where ``date_diff`` counts boundaries."""
    overload = choose_overload("date_sub", arguments, _DIFFERENCES)
    if overload.parameters[1] == TIMESTAMPTZ:
        return zoned.count_units("date_sub", _unit("date_sub", arguments[0]), arguments[1:])
    values = (coerce(argument, overload.parameters[1]) for argument in arguments[1:])
    return Call("date_sub", (_unit("date_sub", arguments[0]), *values), BIGINT)


def _date_add(arguments: Sequence[Expression]) -> Expression:
    if len(arguments) != 2:
        raise no_overload("date_add", arguments, (Overload((TIMESTAMP, INTERVAL), TIMESTAMP),))
    return make_add(arguments[0], arguments[1])


def _strftime(arguments: Sequence[Expression]) -> Expression:
    """Value, then format; the other order is accepted as in DuckDB."""
    value_first = (Overload((DATE, VARCHAR), VARCHAR), Overload((TIMESTAMP, VARCHAR), VARCHAR))
    if len(arguments) == 2 and arguments[0].dtype == VARCHAR and arguments[1].dtype != VARCHAR:
        arguments = (arguments[1], arguments[0])
    if len(arguments) == 2 and arguments[0].dtype == TIMESTAMPTZ:
        return zoned.strftime(*arguments)
    return call_overload("strftime", arguments, value_first)


def to_interval(unit: str, amount: Expression) -> Expression:
    """``amount`` units as an INTERVAL; ``unit`` as canonical in :mod:`gpuql_planner.functions.text_literals`."""
    one = Literal(interval_of(1, unit), INTERVAL)
    if isinstance(amount, Literal) and amount.dtype.is_integer and not amount.is_null:
        known = derive(lambda literal: Literal(interval_of(literal.value, unit), INTERVAL), amount)
        assert known is not None, "every whole amount makes an interval"
        return known
    if not amount.dtype.is_integer:
        amount = coerce(Call("trunc", (coerce(amount, DOUBLE),), DOUBLE), BIGINT)
    return make_multiply(one, amount)


def _to_units(name: str, unit: str) -> Resolver:
    def resolve(arguments: Sequence[Expression]) -> Expression:
        if len(arguments) == 1 and arguments[0].dtype == NULL:
            return Literal(None, INTERVAL)
        if len(arguments) != 1 or not arguments[0].dtype.is_integer:
            raise no_overload(name, arguments, (Overload((BIGINT,), INTERVAL),))
        return to_interval(unit, arguments[0])

    return resolve


def _to_fractions(name: str, unit: str) -> Resolver:
    whole = _to_units(name, unit)

    def resolve(arguments: Sequence[Expression]) -> Expression:
        if len(arguments) == 1 and (arguments[0].dtype.is_float or arguments[0].dtype.is_decimal):
            return Call(name, (coerce(arguments[0], DOUBLE),), INTERVAL)
        return whole(arguments)

    return resolve


def _simple(name: str, *overloads: Overload) -> Resolver:
    return lambda arguments: call_overload(name, arguments, overloads)


def _since_epoch(name: str, unit: str) -> Resolver:
    """Whole units since 1970 of a DATE or TIMESTAMP, of a TIME or INTERVAL; ``epoch_ms`` also reads them back."""
    overloads = [Overload((dtype,), BIGINT) for dtype in (TIMESTAMP, DATE, TIME, INTERVAL)]
    if unit == "millisecond":
        overloads.append(Overload((BIGINT,), TIMESTAMP))

    def resolve(arguments: Sequence[Expression]) -> Expression:
        if unit == "nanosecond" and len(arguments) == 1 and arguments[0].dtype.id is TypeId.TIMESTAMP_NS:
            return Call("whole_epoch", (Literal(unit, VARCHAR), arguments[0]), BIGINT)
        if len(arguments) == 1 and arguments[0].dtype.id is TypeId.TIMESTAMPTZ:
            arguments = (zoned.utc_time(arguments[0]),)
        overload = choose_overload(name, arguments, overloads)
        if overload.parameters == (BIGINT,):
            return from_epoch(unit, arguments[0])
        value = coerce(arguments[0], overload.parameters[0])
        return Call("whole_epoch", (Literal(unit, VARCHAR), value), BIGINT)

    return resolve


def _dated(name: str, result: DataType) -> Resolver:
    return zoned.of_local_time(_simple(name, Overload((DATE,), result), Overload((TIMESTAMP,), result)))


def strptime_of(name: str) -> Resolver:
    """TIMESTAMP of a text by a pattern; TIMESTAMPTZ if the pattern reads where it is from."""
    plain = _simple(name, Overload((VARCHAR, VARCHAR), TIMESTAMP))

    def resolve(arguments: Sequence[Expression]) -> Expression:
        if len(arguments) == 2 and zoned.names_zone(arguments[1]):
            choose_overload(name, arguments, (Overload((VARCHAR, VARCHAR), TIMESTAMPTZ),))
            return zoned.strptime(name, *arguments)
        return plain(arguments)

    return resolve


TEMPORAL_FUNCTIONS: dict[str, Resolver] = {
    **{function: _part(function) for function in _DATE_PART_TYPES},
    **{
        f"to_{unit}s": _to_units(f"to_{unit}s", unit)
        for unit in [
            "year",
            "month",
            "day",
            "week",
            "hour",
            "minute",
            "second",
            "millisecond",
            "microsecond",
            "quarter",
            "decade",
        ]
    },
    "to_centuries": _to_units("to_centuries", "century"),
    "to_millennia": _to_units("to_millennia", "millennium"),
    "to_seconds": _to_fractions("to_seconds", "second"),
    "to_milliseconds": _to_fractions("to_milliseconds", "millisecond"),
    "date_part": _date_part,
    "date_trunc": _date_trunc,
    "date_diff": _date_diff,
    "date_add": _date_add,
    "epoch_ms": _since_epoch("epoch_ms", "millisecond"),
    "epoch_us": _since_epoch("epoch_us", "microsecond"),
    "epoch_ns": _since_epoch("epoch_ns", "nanosecond"),
    "last_day": _dated("last_day", DATE),
    "monthname": _dated("monthname", VARCHAR),
    "dayname": _dated("dayname", VARCHAR),
    "strftime": _strftime,
    "date_sub": _date_sub,
    "strptime": strptime_of("strptime"),
    "try_strptime": strptime_of("try_strptime"),
    **zoned.ZONED_FUNCTIONS,
}

#: Functions whose value depends on when the statement is bound: a cached plan of them must not be used again.
VOLATILE_FUNCTIONS = frozenset(
    [
        "now",
        "current_date",
        "today",
        "current_timestamp",
        "get_current_timestamp",
        "transaction_timestamp",
        "localtimestamp",
        "localtime",
        "current_localtime",
        "current_localtimestamp",
    ]
)

assert all(part in _DATE_PART_TYPES for part in DATE_PARTS.values()), "every date part has its types"
