"""Simplified expressions mean what the original ones mean, also for NULL; constants fold as DuckDB computes them."""

from __future__ import annotations

import datetime
import random
from decimal import Decimal

import duckdb
import pytest

from gpuql_planner.functions import coerce, make_call, make_comparison
from gpuql_planner.logical.expressions import (
    Attribute,
    AttributeRef,
    Call,
    Case,
    Cast,
    Expression,
    InList,
    Interval,
    Literal,
)
from gpuql_planner.optimizer.constants import shift
from gpuql_planner.optimizer.simplify import simplify, simplify_predicate
from gpuql_planner.types import BIGINT, BOOLEAN, DATE, INTEGER, TIMESTAMP, VARCHAR, DataType, decimal
from tests.plans.to_sql import expression_to_sql

COLUMNS = {
    "i": Attribute.fresh("i", INTEGER),
    "d": Attribute.fresh("d", DATE),
    "m": Attribute.fresh("m", decimal(6, 2)),
}
DAYS = (datetime.date(1994, 2, 28), datetime.date(1994, 3, 1), datetime.date(1996, 2, 29))


def _random_predicate(source: random.Random, depth: int) -> Expression:
    kind = source.randrange(6 if depth else 3)
    if kind < 2:
        return _random_comparison(source)
    if kind == 2:
        return source.choice(
            [
                Call("is_null", (AttributeRef(COLUMNS["i"]),), BOOLEAN),
                Literal(source.choice([True, False, None]), BOOLEAN),
                InList(
                    Cast(AttributeRef(COLUMNS["i"]), BIGINT),
                    tuple(
                        Literal(source.choice([1, 2, 3, None]), BIGINT) for _ in range(source.randrange(1, 4))
                    ),
                ),
            ]
        )
    parts = tuple(_random_predicate(source, depth - 1) for _ in range(source.randrange(2, 4)))
    if kind == 3:
        return Call("and", parts, BOOLEAN)
    if kind == 4:
        return Call("or", parts, BOOLEAN)
    if source.random() < 0.5:
        return Call("not", parts[:1], BOOLEAN)
    return Case(
        ((parts[0], parts[1]),), Call("coalesce", (parts[-1], Literal(None, BOOLEAN)), BOOLEAN), BOOLEAN
    )


def _random_comparison(source: random.Random) -> Expression:
    function = source.choice(["eq", "ne", "lt", "le", "gt", "ge"])
    choice = source.randrange(4)
    if choice == 0:
        one: Expression = Cast(AttributeRef(COLUMNS["i"]), BIGINT)
        other: Expression = Literal(source.choice([1, 2, 2**40, None]), BIGINT)
    elif choice == 1:
        one = Cast(AttributeRef(COLUMNS["d"]), TIMESTAMP)
        moment = datetime.datetime(1994, 3, 1, source.choice([0, 12]))
        other = Literal(moment, TIMESTAMP)
    elif choice == 2:
        one = Cast(AttributeRef(COLUMNS["m"]), decimal(10, 4))
        other = Literal(Decimal(source.choice(["1.5000", "1.2345", "-3.0000"])), decimal(10, 4))
    else:
        one = AttributeRef(COLUMNS["i"])
        other = Call("add", (Literal(1, INTEGER), Literal(source.choice([0, 1, 2]), INTEGER)), INTEGER)
    return Call(function, (one, other) if source.random() < 0.7 else (other, one), BOOLEAN)


def _table() -> str:
    def column(name: str) -> str:
        return f"a{COLUMNS[name].id}"

    days = ", ".join(f"(DATE '{day}')" for day in DAYS)
    return (
        f"(VALUES (1), (2), (3), (NULL)) AS x({column('i')}), "
        f"(VALUES {days}, (NULL)) AS y({column('d')}), "
        f"(SELECT CAST(v AS DECIMAL(6,2)) AS {column('m')} FROM (VALUES (1.5), (1.23), (-3), (NULL)) AS w(v)) AS z"
    )


def test_random_predicates_keep_their_value() -> None:
    source = random.Random(7)
    table = _table()
    checks = []
    for _ in range(400):
        predicate = _random_predicate(source, 3)
        original = expression_to_sql(predicate)
        checks.append(f"({original}) IS NOT DISTINCT FROM ({expression_to_sql(simplify(predicate))})")
        filtering = expression_to_sql(simplify_predicate(predicate))
        checks.append(f"coalesce({original}, FALSE) = coalesce({filtering}, FALSE)")
    with duckdb.connect() as connection:
        for start in range(0, len(checks), 50):
            some = ", ".join(f"bool_and({check})" for check in checks[start : start + 50])
            row = connection.execute(f"SELECT {some} FROM {table}").fetchall()[0]
            wrong = [checks[start + i] for i, right in enumerate(row) if not right]
            assert not wrong, wrong[0]


@pytest.mark.parametrize(
    ("start", "step", "expected"),
    [
        (datetime.date(1994, 1, 31), Interval(months=1), datetime.datetime(1994, 2, 28)),
        (datetime.date(1996, 1, 31), Interval(months=1), datetime.datetime(1996, 2, 29)),
        (datetime.date(1996, 2, 29), Interval(months=-12), datetime.datetime(1995, 2, 28)),
        (datetime.date(1998, 12, 1), Interval(days=-90), datetime.datetime(1998, 9, 2)),
        (
            datetime.datetime(1998, 12, 31, 23),
            Interval(microseconds=3_600_000_000),
            datetime.datetime(1999, 1, 1),
        ),
    ],
)
def test_dates_move_by_intervals(start: datetime.date, step: Interval, expected: datetime.datetime) -> None:
    assert shift(start, step) == expected


def _literal(value: object, dtype: DataType) -> Expression:
    return Literal(value, dtype)  # type: ignore[arg-type]


def test_overflow_stays_for_the_execution() -> None:
    call = Call("add", (_literal(2**31 - 1, INTEGER), _literal(1, INTEGER)), INTEGER)
    assert simplify(call) is call


def test_failing_cast_stays_for_the_execution() -> None:
    cast = Cast(_literal("x", VARCHAR), INTEGER)
    assert simplify(cast) is cast


def test_literals_fold_through_the_functions_of_the_dialect() -> None:
    one = make_call("multiply", [coerce(_literal(3, INTEGER), BIGINT), _literal(4, BIGINT)])
    assert simplify(make_comparison("eq", one, _literal(12, BIGINT))) == Literal(True, BOOLEAN)
