"""Differences, ages, buckets, and dates and times from their parts."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence

from gpuql_planner.functions import zoned
from gpuql_planner.functions.coercion import coerce
from gpuql_planner.functions.mathematics import simple
from gpuql_planner.functions.signatures import Overload, call_overload, choose_overload, no_overload
from gpuql_planner.logical.expressions import Call, Expression, Literal
from gpuql_planner.statement_errors import NoMatchingFunction
from gpuql_planner.types import (
    BIGINT,
    DATE,
    DOUBLE,
    INTEGER,
    INTERVAL,
    TIME,
    TIMESTAMP,
    TIMESTAMP_NS,
    VARCHAR,
    DataType,
    TypeId,
)

Resolver = Callable[[Sequence[Expression]], Expression]

_DATED = (DATE, TIMESTAMP)


def _age(arguments: Sequence[Expression]) -> Expression:
    """``age(end, start)``; with one argument its age at the beginning of today."""
    if len(arguments) == 1:
        today = datetime.datetime.combine(zoned.local_now().date(), datetime.time())
        arguments = (Literal(today, TIMESTAMP), arguments[0])
    if zoned.any_zoned(arguments) and len(arguments) == 2:
        return zoned.age(arguments)
    return call_overload("age", arguments, (Overload((TIMESTAMP, TIMESTAMP), INTERVAL),))


def _make_date(arguments: Sequence[Expression]) -> Expression:
    """Of year, month and day, or of days since 1970."""
    overloads = (Overload((BIGINT, BIGINT, BIGINT), DATE), Overload((INTEGER,), DATE))
    overload = choose_overload("make_date", arguments, overloads)
    if len(overload.parameters) == 1:
        epoch = Literal(datetime.date(1970, 1, 1), DATE)
        return Call("add", (epoch, coerce(arguments[0], INTEGER)), DATE)
    return call_overload("make_date", arguments, overloads)


_TIMESTAMP_PARTS = (BIGINT, BIGINT, BIGINT, BIGINT, BIGINT, DOUBLE)


def _make_timestamp(arguments: Sequence[Expression]) -> Expression:
    """Of six parts, or of microseconds since 1970."""
    overloads = (Overload(_TIMESTAMP_PARTS, TIMESTAMP), Overload((BIGINT,), TIMESTAMP))
    if choose_overload("make_timestamp", arguments, overloads).parameters == (BIGINT,):
        return from_epoch("microsecond", arguments[0])
    return call_overload("make_timestamp", arguments, overloads)


def from_epoch(unit: str, count: Expression) -> Expression:
    """TIMESTAMP of whole units since 1970."""
    return Call("from_epoch", (Literal(unit, VARCHAR), coerce(count, BIGINT)), TIMESTAMP)


def _make_timestamp_ms(arguments: Sequence[Expression]) -> Expression:
    choose_overload("make_timestamp_ms", arguments, (Overload((BIGINT,), TIMESTAMP),))
    return from_epoch("millisecond", arguments[0])


def _make_timestamp_ns(arguments: Sequence[Expression]) -> Expression:
    choose_overload("make_timestamp_ns", arguments, (Overload((BIGINT,), TIMESTAMP_NS),))
    return Call("make_timestamp_ns", (coerce(arguments[0], BIGINT),), TIMESTAMP_NS)


def _time_bucket(arguments: Sequence[Expression]) -> Expression:
    """``time_bucket(width, moment [, offset or origin])``: the start of the bucket, of the moment's type."""
    if zoned.any_zoned(arguments[1:]):
        return zoned.time_bucket(arguments)
    overloads = [
        Overload((INTERVAL, dtype, *rest), dtype)
        for dtype in (TIMESTAMP, DATE)
        for rest in ((), (dtype,), (INTERVAL,))
    ]
    overloads.append(Overload((INTERVAL, TIME, TIME), TIME))
    if len(arguments) in (2, 3) and any(argument.dtype.id is TypeId.DATE for argument in arguments[1:]):
        moment = arguments[1]
        if moment.dtype.id is TypeId.TIMESTAMP and len(arguments) == 3:
            arguments = (arguments[0], moment, coerce(arguments[2], TIMESTAMP))
    return call_overload("time_bucket", arguments, overloads)


def _normalized_interval(arguments: Sequence[Expression]) -> Expression:
    return call_overload("normalized_interval", arguments, (Overload((INTERVAL,), INTERVAL),))


def _dated(name: str, result: DataType) -> Resolver:
    return zoned.of_local_time(simple(name, *(Overload((dtype,), result) for dtype in _DATED)))


def interval_of_seconds(name: str, arguments: Sequence[Expression]) -> Expression:
    """``to_seconds`` and ``to_milliseconds`` of numbers that need not be whole."""
    if len(arguments) != 1 or not arguments[0].dtype.is_numeric:
        raise no_overload(name, arguments, (Overload((DOUBLE,), INTERVAL),))
    return Call(name, (coerce(arguments[0], DOUBLE),), INTERVAL)


def reject_text(name: str, argument: Expression) -> None:
    """Refuse a text where a moment is needed: it would be ambiguous."""
    if argument.dtype.id is TypeId.VARCHAR:
        raise NoMatchingFunction(
            f"argument must be a date, time or timestamp: {name}", hint="add an explicit CAST"
        )


CALENDAR_FUNCTIONS: dict[str, Resolver] = {
    "age": _age,
    "make_date": _make_date,
    "make_time": simple("make_time", Overload((BIGINT, BIGINT, DOUBLE), TIME)),
    "make_timestamp": _make_timestamp,
    "make_timestamp_ms": _make_timestamp_ms,
    "make_timestamp_ns": _make_timestamp_ns,
    "time_bucket": _time_bucket,
    "normalized_interval": _normalized_interval,
    "julian": _dated("julian", DOUBLE),
}
