"""range and generate_series: whole numbers, dates and timestamps."""

from __future__ import annotations

import calendar
import datetime
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.errors import BinderError, OutOfRangeError
from gpuql_planner.logical.expressions import Attribute, Interval, LiteralValue
from gpuql_planner.logical.nodes import Scan, Values
from gpuql_planner.session_zone import session_zone
from gpuql_planner.statement_errors import InvalidParameterValue, NoMatchingFunction
from gpuql_planner.thresholds import MAX_CONSTANT_ROWS, MAX_SERIES_ROWS
from gpuql_planner.time_zones import TimeZone, load_zone
from gpuql_planner.types import BIGINT, TIMESTAMP, TIMESTAMPTZ

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import BoundQuery, QueryBinder

_MONTHS_OF_YEAR = 12


def bind_series(queries: QueryBinder, name: str, arguments: list[object], node: exp.Expr) -> BoundQuery:
    """``range(stop)``, ``range(start, stop[, step])``; ``generate_series`` includes its end. NULL gives no rows.

    Of dates and timestamps the step is an interval, and the rows are timestamps.
    """
    from gpuql_planner.sql.bind_query import BoundQuery

    context = queries.context
    inclusive = name == "generate_series"
    moments = any(isinstance(argument, (datetime.date, Interval)) for argument in arguments)
    zoned = [argument for argument in arguments if getattr(argument, "tzinfo", None) is not None]
    dtype = TIMESTAMPTZ if zoned else TIMESTAMP if moments else BIGINT
    attribute = Attribute.fresh(name, dtype, nullable=False)
    rows: list[LiteralValue] = []
    values: range | Iterator[datetime.datetime]
    if moments:
        values = _moments(queries, name, arguments, node, inclusive=inclusive)
    else:
        values = _numbers(queries, name, arguments, node, inclusive=inclusive)
        if len(values) > MAX_CONSTANT_ROWS:
            table = context.catalog.table_function(name, (values.start, values.stop, values.step), {})
            assert table is not None, "a catalog has tables of long series"
            column = Attribute.fresh(name, BIGINT, nullable=False)
            return BoundQuery(Scan(table, ((column, name),)), (name,))
    for value in values:
        rows.append(value)
        if len(rows) > MAX_SERIES_ROWS:
            raise context.unsupported(f"{name} of more than {MAX_SERIES_ROWS} rows", node)
    return BoundQuery(Values((attribute,), tuple((value,) for value in rows)), (name,))


def _numbers(
    queries: QueryBinder, name: str, arguments: list[object], node: exp.Expr, *, inclusive: bool
) -> range:
    numbers = [argument for argument in arguments if isinstance(argument, int)]
    known = sum(argument is not None for argument in arguments)
    if len(numbers) != known or not 1 <= len(arguments) <= 3:
        raise queries.context.error(NoMatchingFunction, f"{name} takes one to three whole numbers", node)
    if known < len(arguments):
        return range(0)
    start, stop, step = (0, numbers[0], 1) if len(numbers) == 1 else (*numbers, 1)[:3]
    if step == 0:
        raise queries.context.error(InvalidParameterValue, f"step must not be zero: {name}", node)
    if inclusive:
        stop += 1 if step > 0 else -1
    series = range(start, stop, step)
    if series and not all(-(2**63) <= end < 2**63 for end in (series[0], series[-1])):
        raise queries.context.error(OutOfRangeError, f"numbers beyond BIGINT: {name}", node)
    return series


def _moments(
    queries: QueryBinder, name: str, arguments: list[object], node: exp.Expr, *, inclusive: bool
) -> Iterator[datetime.datetime]:
    start, stop, step = (*arguments, None, None, None)[:3]
    fits = all(a is None or isinstance(a, datetime.date) for a in (start, stop))
    if len(arguments) != 3 or not fits or not (step is None or isinstance(step, Interval)):
        raise queries.context.error(
            BinderError, f"{name} of dates and timestamps takes a start, an end and an interval", node
        )
    if start is None or stop is None or step is None:
        return iter(())
    assert isinstance(step, Interval), "looked at above"
    parts = (step.months, step.days, step.microseconds)
    if not any(parts):
        raise queries.context.error(InvalidParameterValue, f"step must not be zero: {name}", node)
    if min(parts) < 0 < max(parts):
        raise queries.context.unsupported(f"{name} with an interval of mixed signs", node)
    if any(getattr(end, "tzinfo", None) is not None for end in (start, stop)):
        zone = load_zone(session_zone())
        ends = (_moment_in(start, zone), _moment_in(stop, zone))
        return _steps(*ends, step, inclusive=inclusive, later=partial(_later_in, zone))
    return _steps(_moment(start), _moment(stop), step, inclusive=inclusive, later=_later)


def _moment(value: object) -> datetime.datetime:
    if isinstance(value, datetime.datetime):
        return value
    assert isinstance(value, datetime.date), "the caller looked"
    return datetime.datetime(value.year, value.month, value.day)


def _steps(
    start: datetime.datetime,
    stop: datetime.datetime,
    step: Interval,
    *,
    inclusive: bool,
    later: Callable[[datetime.datetime, Interval], datetime.datetime],
) -> Iterator[datetime.datetime]:
    forward = max(step.months, step.days, step.microseconds) > 0
    moment = start
    while (moment < stop if forward else moment > stop) or (inclusive and moment == stop):
        yield moment
        try:
            moment = later(moment, step)
        except (OverflowError, ValueError):  # no calendar goes on: neither does the series
            return


def _later(moment: datetime.datetime, step: Interval) -> datetime.datetime:
    """The moment plus an interval: months first, a day that a month lacks becomes its last."""
    months = moment.year * _MONTHS_OF_YEAR + moment.month - 1 + step.months
    year, month = divmod(months, _MONTHS_OF_YEAR)
    day = min(moment.day, calendar.monthrange(year, month + 1)[1])
    moved = moment.replace(year=year, month=month + 1, day=day)
    return moved + datetime.timedelta(days=step.days, microseconds=step.microseconds)


_EPOCH = datetime.datetime(1970, 1, 1)
_SECOND = datetime.timedelta(seconds=1)


def _moment_in(value: object, zone: TimeZone) -> datetime.datetime:
    """UTC, without a zone, of a moment or of what clocks show."""
    moment = _moment(value)
    if moment.tzinfo is not None:
        return moment.astimezone(datetime.UTC).replace(tzinfo=None)
    return _at(zone.second_of((moment - _EPOCH) // _SECOND), moment)


def _at(second: int, fraction_of: datetime.datetime) -> datetime.datetime:
    return _EPOCH + datetime.timedelta(seconds=second, microseconds=fraction_of.microsecond)


def _later_in(zone: TimeZone, moment: datetime.datetime, step: Interval) -> datetime.datetime:
    """The moment plus an interval whose months and days are those of the zone's calendar."""
    elapsed = datetime.timedelta(microseconds=step.microseconds)
    if not step.months and not step.days:
        return moment + elapsed
    if min(step.months, step.days, step.microseconds) < 0:
        moment, elapsed = moment + elapsed, datetime.timedelta()
    second = (moment - _EPOCH) // _SECOND
    if step.months:
        local = _later(_at(second + zone.offset_at(second), moment), Interval(months=step.months))
        second = zone.second_of((local - _EPOCH) // _SECOND)
    return _at(zone.days_later(second, step.days), moment) + elapsed
