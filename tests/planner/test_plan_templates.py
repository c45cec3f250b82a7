"""Plans with other constants: what planning notices about values, and when a plan may be used again."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gpuql_planner.errors import ConversionError
from gpuql_planner.logical.expressions import Call, Literal
from gpuql_planner.logical.traced import SlotValues, Trace, TracedLiteral, decide, derive
from gpuql_planner.optimizer import optimize
from gpuql_planner.physical.format import format_plan
from gpuql_planner.physical.instantiate import instantiate
from gpuql_planner.physical.lower import lower
from gpuql_planner.physical.nodes import PhysicalPlan, TableScan
from gpuql_planner.sql.bind import bind_statement
from gpuql_planner.sql.parse import parse_statements
from gpuql_planner.sql.statement_shape import StatementShape, statement_shape
from gpuql_planner.sql.statements import Query
from gpuql_planner.types import BIGINT, BOOLEAN, INTEGER, VARCHAR
from tests.planner.binder_catalog import small_catalog

FIVE, SIX = Literal(5, INTEGER), Literal(6, INTEGER)


# --- shapes ---


def shape_of(text: str, parameters: list[object] | None = None) -> StatementShape:
    shape = statement_shape(text, parameters)
    assert shape is not None
    return shape


@pytest.mark.parametrize(
    ("first", "second", "values"),
    [
        ("SELECT a + 1 FROM t", "SELECT a + 27 FROM t", [27]),
        ("SELECT a FROM t WHERE s = 'x'", "SELECT a FROM t WHERE s = 'it''s -- \"so\"'", ['it\'s -- "so"']),
        ("SELECT 1.50 + 2", "SELECT 2.25 + 3", [Decimal("2.25"), 3]),
        ('SELECT "a1" FROM t1 -- 5\nLIMIT 3', 'SELECT "a1" FROM t1 -- 5\nLIMIT 4', [4]),
    ],
)
def test_texts_that_differ_in_constants_share_a_shape(first: str, second: str, values: list[object]) -> None:
    assert shape_of(first).key == shape_of(second).key
    assert [slot.value for slot in shape_of(second).slots] == values


@pytest.mark.parametrize(
    "other",
    [
        "SELECT a + '1' FROM t",
        "SELECT a + 1.0 FROM t",
        "SELECT a + 3000000000 FROM t",
        "SELECT b + 1 FROM t",
        'SELECT "a" + 1 FROM t',
        "SELECT a - 1 FROM t",
        "SELECT a + NULL FROM t",
        "SELECT a + 1e0 FROM t",
        "SELECT a1 + 1 FROM t",
    ],
)
def test_other_texts_have_another_shape(other: str) -> None:
    assert shape_of("SELECT a + 1 FROM t").key != shape_of(other).key


@pytest.mark.parametrize(
    "text", ["SELECT /* 1 */ 2", r"SELECT 'a\'", "SELECT $$1$$", "SELECT {'a': 1}", "SELECT '$'"]
)
def test_unusual_spellings_have_no_shape(text: str) -> None:
    assert statement_shape(text) is None


def test_parameters_are_slots_by_type() -> None:
    text = "SELECT ? + 1"
    assert shape_of(text, [5]).key == shape_of(text, [6]).key
    assert [slot.value for slot in shape_of(text, [6]).slots] == [1, 6]
    assert shape_of(text, [5]).parameters == {0: 1}
    keys = {shape_of(text, [value]).key for value in (5, 5.0, "5", None, True, False, 2**40)}
    assert len(keys) == 7
    assert statement_shape(text, [object()]) is None


# --- what is recorded ---


def trace_of(*slots: Literal) -> tuple[Trace, list[TracedLiteral]]:
    trace = Trace(slots)
    literals = [trace.literal(slot) for slot in range(len(slots))]
    return trace, [literal for literal in literals if isinstance(literal, TracedLiteral)]


def test_reading_a_value_makes_the_plan_depend_on_it() -> None:
    trace, (literal,) = trace_of(FIVE)
    assert literal.estimate == 5
    assert not literal.is_null
    assert trace.holds(SlotValues([SIX]))
    assert literal.value == 5
    assert trace.holds(SlotValues([FIVE]))
    assert not trace.holds(SlotValues([SIX]))


def test_a_slot_that_never_became_a_literal_is_pinned() -> None:
    trace = Trace([FIVE, FIVE])
    trace.literal(0)
    trace.pin_unbound()
    assert trace.holds(SlotValues([SIX, FIVE]))
    assert not trace.holds(SlotValues([FIVE, SIX]))


def test_equal_literals_must_stay_equal() -> None:
    trace, (one, other) = trace_of(FIVE, FIVE)
    assert one == other
    assert hash(one) == hash(FIVE)
    assert trace.holds(SlotValues([SIX, SIX]))
    assert not trace.holds(SlotValues([FIVE, SIX]))


def test_a_literal_equal_to_a_plain_one_is_pinned() -> None:
    trace, (one,) = trace_of(FIVE)
    assert {FIVE: "found"}[one] == "found"
    assert not trace.holds(SlotValues([SIX]))


def test_unequal_literals_may_become_equal() -> None:
    trace, (one, other) = trace_of(FIVE, SIX)
    assert one != other
    assert trace.holds(SlotValues([SIX, SIX]))


def test_derived_literals_are_computed_again() -> None:
    trace, (one,) = trace_of(FIVE)
    doubled = derive(lambda literal: Literal(literal.value * 2, BIGINT), one)
    assert doubled == Literal(10, BIGINT)
    trace, (one,) = trace_of(FIVE)
    doubled = derive(lambda literal: Literal(literal.value * 2, BIGINT), one)
    assert isinstance(doubled, TracedLiteral)
    assert trace.holds(SlotValues([SIX]))
    assert SlotValues([SIX]).literal(doubled) == Literal(12, BIGINT)


def test_decisions_must_come_out_the_same() -> None:
    trace, (one,) = trace_of(FIVE)
    assert decide(lambda literal: literal.value < 100, one)
    assert trace.holds(SlotValues([SIX]))
    assert not trace.holds(SlotValues([Literal(100, INTEGER)]))
    assert derive(lambda literal: None if literal.value < 50 else literal, one) is None
    assert not trace.holds(SlotValues([Literal(60, INTEGER)]))


def test_truth_values_and_null_are_never_left_open() -> None:
    trace, (one,) = trace_of(FIVE)
    found = derive(lambda literal: Literal(literal.value > 3, BOOLEAN), one)
    assert type(found) is Literal
    assert not trace.holds(SlotValues([Literal(2, INTEGER)]))


def refuse_letters(literal: Literal) -> Literal:
    if not str(literal.value).isdigit():
        raise ConversionError("no number")
    return Literal(int(str(literal.value)), INTEGER)


def test_values_that_cannot_be_computed_with_need_another_plan() -> None:
    trace, (one,) = trace_of(Literal("5", VARCHAR))
    derive(refuse_letters, one)
    assert trace.holds(SlotValues([Literal("6", VARCHAR)]))
    assert not trace.holds(SlotValues([Literal("x", VARCHAR)]))
    trace, (one,) = trace_of(Literal("x", VARCHAR))
    with pytest.raises(ConversionError):
        derive(refuse_letters, one)
    assert not trace.holds(SlotValues([Literal("5", VARCHAR)]))


def test_the_sign_of_zero_and_trailing_digits_count() -> None:
    trace, (one,) = trace_of(Literal(0.0, BIGINT))
    assert one.value == 0.0
    assert not trace.holds(SlotValues([Literal(-0.0, BIGINT)]))


def test_estimates_must_stay_near() -> None:
    trace, (one,) = trace_of(FIVE)
    trace.note_estimate("rows", lambda values: float(str(values.literal(one).value)), 5.0)
    assert [trace.holds(SlotValues([Literal(n, INTEGER)])) for n in (0, 1, 5, 40, 41)] == [
        False, True, True, True, False,
    ]  # fmt: skip


# --- plans of statements ---


def plan_of(text: str, shape: StatementShape | None = None, trace: Trace | None = None) -> PhysicalPlan:
    statement = bind_statement(parse_statements(text)[0], small_catalog(), None, shape=shape, trace=trace)
    assert isinstance(statement, Query)
    return lower(optimize(statement.plan), statement.names, device="cpu", reason="")


def reused(first: str, second: str) -> PhysicalPlan | None:
    """The plan of ``first`` with the constants of ``second``; None if ``second`` needs a plan of its own."""
    shape, other = shape_of(first), shape_of(second)
    assert shape.key == other.key
    trace = Trace(shape.slots)
    plan = plan_of(first, shape, trace)
    values = SlotValues(other.slots)
    return instantiate(plan, values) if trace.holds(values) else None


FITTING = [
    ("SELECT i FROM t WHERE i > 5", "SELECT i FROM t WHERE i > 6"),
    ("SELECT i FROM t WHERE i > 5 AND i > 3", "SELECT i FROM t WHERE i > 3 AND i > 5"),
    ("SELECT i FROM t WHERE i > -5", "SELECT i FROM t WHERE i > -6"),
    ("SELECT i FROM t WHERE i IN (1, 2)", "SELECT i FROM t WHERE i IN (7, 5)"),
    ("SELECT i FROM t WHERE n < 2.50", "SELECT i FROM t WHERE n < 3.75"),
    ("SELECT i FROM t WHERE n < 24", "SELECT i FROM t WHERE n < 25"),
    ("SELECT i FROM t WHERE n BETWEEN 0.06 - 0.01 AND 0.06 + 0.01",
     "SELECT i FROM t WHERE n BETWEEN 0.03 - 0.02 AND 0.03 + 0.02"),
    ("SELECT i FROM t WHERE day >= DATE '1994-01-01'", "SELECT i FROM t WHERE day >= DATE '1995-02-28'"),
    ("SELECT i FROM t WHERE day < '1994-01-01'", "SELECT i FROM t WHERE day < '1995-02-28'"),
    ("SELECT i FROM t WHERE day < DATE '1994-01-01' + INTERVAL '1' YEAR",
     "SELECT i FROM t WHERE day < DATE '1996-02-29' + INTERVAL '3' YEAR"),
    ("SELECT i FROM t WHERE day < DATE '1994-01-01' - INTERVAL 90 DAY",
     "SELECT i FROM t WHERE day < DATE '1994-01-01' - INTERVAL 60 DAY"),
    ("SELECT i FROM t WHERE s LIKE 'a%'", "SELECT i FROM t WHERE s LIKE 'b_%'"),
    ("SELECT i + 1 AS j, count(*) AS c FROM t GROUP BY i + 1",
     "SELECT i + 2 AS j, count(*) AS c FROM t GROUP BY i + 2"),
    ("SELECT CASE WHEN s = 'a' THEN 1 ELSE 0 END AS c FROM t",
     "SELECT CASE WHEN s = 'b' THEN 3 ELSE 2 END AS c FROM t"),
    ("SELECT i FROM t ORDER BY i + 5", "SELECT i FROM t ORDER BY i + 6"),
    ("SELECT i FROM t WHERE i = 5 OR i = 6", "SELECT i FROM t WHERE i = 7 OR i = 8"),
    ("SELECT t.i FROM t JOIN u ON t.i = u.k AND u.k > 3", "SELECT t.i FROM t JOIN u ON t.i = u.k AND u.k > 4"),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), FITTING)
def test_a_plan_with_other_constants_is_the_plan_made_anew(first: str, second: str) -> None:
    plan, anew = reused(first, second), reused(second, second)
    assert plan is not None
    assert anew is not None
    assert format_plan(plan) == format_plan(anew)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("SELECT i FROM t ORDER BY i LIMIT 5", "SELECT i FROM t ORDER BY i LIMIT 6"),
        ("SELECT i, s FROM t ORDER BY 1", "SELECT i, s FROM t ORDER BY 2"),
        ("SELECT i + 1 FROM t", "SELECT i + 2 FROM t"),  # the column is called (i + 1)
        ("SELECT CAST(n AS DECIMAL(9,1)) AS m FROM t", "SELECT CAST(n AS DECIMAL(9,2)) AS m FROM t"),
        ("SELECT i FROM t WHERE i > 5 AND i < 3", "SELECT i FROM t WHERE i > 3 AND i < 5"),  # no rows
        ("SELECT i FROM t WHERE 1 = 2", "SELECT i FROM t WHERE 2 = 2"),
        ("SELECT i FROM t WHERE i = 5 OR i = 5", "SELECT i FROM t WHERE i = 5 OR i = 6"),
        ("SELECT i FROM t WHERE i IN (5, 5)", "SELECT i FROM t WHERE i IN (5, 6)"),
        ("SELECT i FROM t WHERE n = 2.500", "SELECT i FROM t WHERE n = 2.501"),  # no DECIMAL(15,2)
        ("SELECT i FROM t WHERE day < '1994-01-01'", "SELECT i FROM t WHERE day < 'never'"),
        ("SELECT i FROM t WHERE day < TIMESTAMP '1994-01-01 00:00:00'",
         "SELECT i FROM t WHERE day < TIMESTAMP '1994-01-01 12:00:00'"),
        ("SELECT date_trunc('month', day) AS m FROM t", "SELECT date_trunc('year', day) AS m FROM t"),
        ("SELECT round(n, 1) AS r FROM t", "SELECT round(n, 0) AS r FROM t"),
        ("SELECT i + 1 AS j FROM t GROUP BY i + 1", "SELECT i + 2 AS j FROM t GROUP BY i + 1"),
        ("SELECT string_agg(s, ',') AS l FROM t", "SELECT string_agg(s, ';') AS l FROM t"),
        ("SELECT quantile_cont(x, 0.5) AS q FROM t", "SELECT quantile_cont(x, 0.9) AS q FROM t"),
        ("SELECT * FROM (VALUES (1), (2)) AS v(a)", "SELECT * FROM (VALUES (3), (4)) AS v(a)"),
        ("SELECT * FROM generate_series(1, 3)", "SELECT * FROM generate_series(1, 4)"),
    ],
)  # fmt: skip
def test_constants_that_shape_the_plan_need_a_plan_of_their_own(first: str, second: str) -> None:
    assert reused(first, second) is None
    assert reused(first, first) is not None


def test_columns_that_nothing_names_may_hold_other_constants() -> None:
    first, second = (f"SELECT i FROM t WHERE x > (SELECT 0.{n} * avg(x) FROM t)" for n in (2, 5))
    assert reused(first, second) is not None
    first, second = (f"SELECT * FROM (SELECT 0.{n} * avg(x) FROM t)" for n in (2, 5))
    assert reused(first, second) is None


def test_what_holds_no_constant_stays_the_same_object() -> None:
    text = "SELECT t.i FROM t JOIN (SELECT DISTINCT k FROM u) AS v ON t.i = v.k WHERE t.i + 1 > {} ORDER BY x LIMIT 3"
    shape, other = shape_of(text.format(5)), shape_of(text.format(6))
    trace = Trace(shape.slots)
    plan = plan_of(text.format(5), shape, trace)
    new = instantiate(plan, SlotValues(other.slots))
    same = [one is another for one, another in zip(plan.pipelines, new.pipelines, strict=True)]
    assert True in same
    assert False in same
    assert instantiate(plan_of(text.format(5)), SlotValues(())) is not None


def test_hints_for_readers_follow_the_constants() -> None:
    plan = reused("SELECT i FROM t WHERE i > 5", "SELECT i FROM t WHERE i > 6")
    assert plan is not None
    source = plan.pipelines[0].source
    assert isinstance(source, TableScan)
    (hint,) = source.predicates
    assert isinstance(hint, Call)
    assert hint.arguments[1] == SIX
    assert type(hint.arguments[1]) is Literal
