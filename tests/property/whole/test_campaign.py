"""A bounded campaign: random whole queries give what DuckDB gives, and what follows from each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.property.engines import Outcome
from tests.property.whole.campaign import Campaign, error_kind, main
from tests.property.whole.engines import CONFIGURATIONS, Engines
from tests.property.whole.minimize import minimize, minimize_rows
from tests.property.whole.rows import rows_problem
from tests.property.whole.world import make_world

#: Queries of `make test`; the environment variable GPUQL_PROPERTY_SCALE multiplies it.
QUERIES = 500


@pytest.fixture
def generated_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GPUQL_CACHE_DIR", str(tmp_path))


def test_random_whole_queries(seed: int, scale: float, generated_code: None) -> None:
    campaign = Campaign(seed, tuple(CONFIGURATIONS))
    campaign.run(range(round(QUERIES * scale)))
    totals = campaign.totals
    assert not totals.wrong, totals.table() + "\n" + "\n".join(totals.wrong)
    queries = totals.counts["queries"]
    assert totals.counts["rows agree"] >= 0.85 * queries, totals.table()
    assert totals.counts["rows agree, at least one row"] >= 0.35 * queries, totals.table()
    assert totals.counts["only gpuql fails"] <= 0.05 * queries, totals.table()


def test_the_same_seed_gives_the_same_queries() -> None:
    first, second = (Campaign(7, ("interpreted",)) for _ in range(2))
    world = make_world("7 0")
    assert world.statements() == make_world("7 0").statements()
    assert [first.query(world, n).sql for n in range(30)] == [second.query(world, n).sql for n in range(30)]


def test_a_wrong_answer_is_found_and_made_small(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], generated_code: None
) -> None:
    """An engine that loses a row of every answer is caught, with a query of few words."""

    honest = Engines.found

    def loses_a_row(self: Engines, name: str, sql: str) -> Outcome:
        outcome = honest(self, name, sql)
        return Outcome(outcome.kind, outcome.rows[1:], outcome.types, outcome.message, outcome.tiers)

    monkeypatch.setattr(Engines, "found", loses_a_row)
    campaign = Campaign(3, ("interpreted",), minimize_s=2.0)
    campaign.run(range(1, 9))
    assert campaign.totals.wrong
    assert "CREATE TABLE" in capsys.readouterr().out


def test_the_program_prints_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], generated_code: None
) -> None:
    status = main(
        ["--queries", "12", "--configurations", "interpreted", "--json", str(tmp_path / "found.json")]
    )
    assert status == 0
    assert "wrong answers: 0" in capsys.readouterr().out
    assert '"queries": 12' in (tmp_path / "found.json").read_text()


def test_queries_are_made_small_while_they_differ() -> None:
    sql = "SELECT a + 1, b FROM t JOIN u ON t.a = u.a WHERE (b = 'x' AND c > 2) ORDER BY 1 LIMIT 3"
    small = minimize(sql, lambda text: "c > 2" in text, budget_s=5.0)
    assert "c > 2" in small
    assert not any(word in small for word in ("JOIN", "ORDER", "LIMIT", "'x'"))


def test_rows_are_left_out_while_they_differ() -> None:
    assert minimize_rows(40, lambda kept: {7, 31} <= set(kept), budget_s=5.0) == [7, 31]


@pytest.mark.parametrize(
    ("theirs", "ours", "same"),
    [
        ([(1, "a"), (2, None)], [(2, None), (1, "a")], True),
        ([(1,), (1,)], [(1,), (2,)], False),
        ([(0.1 + 0.2,)], [(0.3,)], True),
        ([(float("nan"),)], [(float("nan"),)], True),
        ([(1.0,)], [(1.0001,)], False),
        ([([1, None],)], [([1, None],)], True),
        ([({"a": 1, "b": 2},)], [({"b": 2, "a": 1},)], True),
        ([(True,)], [(1,)], False),
    ],
)
def test_rows_are_compared_as_multisets(
    theirs: list[tuple[object, ...]], ours: list[tuple[object, ...]], *, same: bool
) -> None:
    types = ("X",) * len(theirs[0])
    expected, found = Outcome("rows", tuple(theirs), types), Outcome("rows", tuple(ours), types)
    assert (rows_problem(expected, found, is_ordered=False) is None) == same


def test_kinds_of_errors_have_no_names_or_values() -> None:
    one, other = (
        error_kind(Outcome("error", message=f"OutOfRangeError: value {n} of r{n}.c0 is beyond 'x{n}'"))
        for n in (1, 25)
    )
    assert one == other
