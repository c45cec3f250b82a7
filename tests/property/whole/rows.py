"""Rows compared as multisets, floating-point numbers with a tolerance, and what differs shown row by row."""

from __future__ import annotations

import datetime
import math
from collections import Counter
from typing import Any

from gpuql_planner.logical.expressions import Interval
from tests.property.engines import Outcome, Row, rows_difference, same_value

#: Digits of floating-point numbers by which rows are matched first; what is left over is compared with a tolerance.
_DIGITS = 10
_TOLERANCES = {"FLOAT": 1e-5}
_TOLERANCE = 1e-9


def rows_problem(expected: Outcome, found: Outcome, *, is_ordered: bool) -> str | None:
    """What is wrong with the types or rows of ``found``, or None. Both have rows."""
    if len(expected.types) != len(found.types):
        return f"{len(found.types)} columns instead of {len(expected.types)}"
    for position, (name, other) in enumerate(zip(expected.types, found.types, strict=True)):
        # The type of a NULL, or of NULLs in a list, is DuckDB's accident of overloads; no value shows it.
        if name != other and '"NULL"' not in name and any(row[position] is not None for row in expected.rows):
            return f"type of column {position} is {other} instead of {name}"
    tolerances = [_TOLERANCES.get(name, _TOLERANCE) for name in expected.types]
    theirs, ours = [list(map(_comparable, outcome.rows)) for outcome in (expected, found)]
    if is_ordered:
        return rows_difference(theirs, ours, tolerances, ordered=True)
    missing, extra = _multiset_differences(theirs, ours)
    if len(missing) == len(extra):
        left = list(extra)
        for row in missing:
            match = next(
                (other for other in left if all(map(same_value, row, other, tolerances))),
                None,
            )
            if match is None:
                break
            left.remove(match)
        else:
            return None
    return f"{len(ours)} rows, {len(theirs)} expected; missing {missing[:3]!r}, not expected {extra[:3]!r}"


def _multiset_differences(expected: list[Row], found: list[Row]) -> tuple[list[Row], list[Row]]:
    """Rows that only one side has."""
    theirs, ours = Counter(map(_key, expected)), Counter(map(_key, found))
    rows = {_key(row): row for row in (*expected, *found)}
    missing, extra = theirs - ours, ours - theirs
    return [rows[key] for key in missing.elements()], [rows[key] for key in extra.elements()]


def _comparable(row: Row) -> Row:
    """INTERVAL as a timedelta of 30 days a month, which is what DuckDB's client makes of it."""
    return tuple(
        datetime.timedelta(days=value.months * 30 + value.days, microseconds=value.microseconds)
        if isinstance(value, Interval)
        else value
        for value in row
    )


def _key(row: Row) -> tuple[Any, ...]:
    return tuple(map(_value_key, row))


def _value_key(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value + 0.0:.{_DIGITS}g}" if not math.isnan(value) else "nan"
    if isinstance(value, dict):
        return tuple(sorted((str(key), _value_key(item)) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return tuple(map(_value_key, value))
    return value
