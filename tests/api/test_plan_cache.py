"""Plans kept by text: found again, dropped when stale, and no longer than the data should live."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import gpuql
from gpuql import Connection
from gpuql.errors import BinderError, ConversionError, GpuqlError
from gpuql.plan_cache import PlanCache, RecordingCatalog, cache_key


@pytest.fixture
def connection() -> Iterator[Connection]:
    with gpuql.connect(device="cpu", threads=1) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
        yield connection


def test_keys_tell_types_and_signs_apart() -> None:
    keys = [cache_key("q", (value,)) for value in (1, True, 1.0, 0.0, -0.0, "1", None)]
    assert len(set(keys)) == len(keys)
    assert cache_key("q", (float("nan"),)) == cache_key("q", (float("nan"),))
    assert cache_key("q", {"a": 1}) != cache_key("q", (1,))
    assert cache_key("q", ([1],)) is None


def test_a_repeated_text_is_the_same_prepared_query(connection: Connection) -> None:
    first, second = connection.sql("SELECT a FROM t"), connection.sql("SELECT a FROM t")
    assert first._prepared is second._prepared
    connection.execute("INSERT INTO t VALUES (2)")
    assert connection.sql("SELECT a FROM t")._prepared is not first._prepared


def test_the_oldest_entry_goes_first(connection: Connection) -> None:
    cache: PlanCache[str] = PlanCache(2)
    cache.put("a", "A", ())
    cache.put("b", "B", ())
    assert cache.get("a", connection.catalog) == ("A", ())
    cache.put("c", "C", ())
    assert [cache.get(key, connection.catalog) for key in "abc"] == [("A", ()), None, ("C", ())]
    assert len(cache) == 2


def test_dependencies_are_what_was_asked(connection: Connection) -> None:
    catalog = RecordingCatalog(connection.catalog)
    table = catalog.resolve("t")
    assert catalog.resolve("t") is table
    assert [answer for _, answer in catalog.dependencies] == [table]
    cache: PlanCache[str] = PlanCache(2)
    dependencies = catalog.dependencies
    cache.put("k", "plan", dependencies)
    assert cache.get("k", connection.catalog) == ("plan", dependencies)
    connection.execute("INSERT INTO t VALUES (2)")
    assert cache.get("k", connection.catalog) is None
    assert len(cache) == 0


@pytest.mark.parametrize("statement", ["DROP TABLE t", "CREATE OR REPLACE TABLE t AS SELECT 2 AS a"])
def test_a_dropped_table_is_let_go(statement: str, connection: Connection) -> None:
    connection.execute("SELECT a FROM t").fetchall()
    table = weakref.ref(connection.catalog.resolve("t"))  # type: ignore[type-var]
    connection.execute(statement)
    gc.collect()
    assert table() is None


# --- statements that differ in constants ---


@pytest.fixture
def numbers(connection: Connection) -> Connection:
    connection.execute("CREATE TABLE n AS SELECT i AS a, i % 5 AS b FROM generate_series(1, 50) AS g(i)")
    return connection


def counted(
    connection: Connection, text: str, parameters: Any = None
) -> tuple[list[Any], tuple[int, int, int]]:
    """Rows, and how much was repeated, reused and planned for them."""
    before = connection.plan_counts
    rows = connection.execute(text, parameters).fetchall()
    after = connection.plan_counts
    return rows, (
        after.repeated - before.repeated,
        after.reused - before.reused,
        after.planned - before.planned,
    )


def test_other_constants_reuse_the_plan(numbers: Connection) -> None:
    text = "SELECT a FROM n WHERE a > {} AND b = {} ORDER BY a"
    assert counted(numbers, text.format(40, 1)) == ([(41,), (46,)], (0, 0, 1))
    assert counted(numbers, text.format(45, 2)) == ([(47,)], (0, 1, 0))
    assert counted(numbers, text.format(40, 1)) == ([(41,), (46,)], (1, 0, 0))
    assert counted(numbers, text.format(48, 4)) == ([(49,)], (0, 1, 0))


def test_other_parameters_reuse_the_plan(numbers: Connection) -> None:
    text = "SELECT a FROM n WHERE a > ? AND b = ? ORDER BY a"
    assert counted(numbers, text, [40, 1]) == ([(41,), (46,)], (0, 0, 1))
    assert counted(numbers, text, [45, 2]) == ([(47,)], (0, 1, 0))
    assert counted(numbers, text, [45, None]) == ([], (0, 0, 1))
    assert counted(numbers, text, [48.5, 4]) == ([(49,)], (0, 0, 1))
    assert counted(numbers, text, [46.5, 2]) == ([(47,)], (0, 1, 0))
    named = "SELECT count(*) FROM n WHERE a < $high AND a >= $low"
    assert counted(numbers, named, {"low": 3, "high": 7}) == ([(4,)], (0, 0, 1))
    assert counted(numbers, named, {"low": 7, "high": 3}) == ([(0,)], (0, 1, 0))
    assert counted(numbers, named, {"high": 9, "low": 3})[0] == [(6,)]


def test_limits_have_plans_of_their_own(numbers: Connection) -> None:
    text = "SELECT a FROM n WHERE b = {} ORDER BY a LIMIT {}"
    assert counted(numbers, text.format(1, 2)) == ([(1,), (6,)], (0, 0, 1))
    assert counted(numbers, text.format(1, 3)) == ([(1,), (6,), (11,)], (0, 0, 1))
    assert counted(numbers, text.format(2, 3)) == ([(2,), (7,), (12,)], (0, 1, 0))
    assert counted(numbers, text.format(2, 2)) == ([(2,), (7,)], (0, 1, 0))


@pytest.mark.parametrize("limit", [float("nan"), float("inf"), -1])
def test_limits_that_are_no_numbers_of_rows_are_refused(numbers: Connection, limit: object) -> None:
    with pytest.raises(BinderError, match="LIMIT"):
        numbers.execute("SELECT a FROM n LIMIT ?", [limit])


def test_few_variants_of_a_shape_are_kept(numbers: Connection) -> None:
    for limit in range(2, 40):
        assert len(numbers.execute(f"SELECT a FROM n LIMIT {limit}").fetchall()) == limit
    assert counted(numbers, "SELECT a + 1 AS x FROM n LIMIT 1")[1] == (0, 0, 1)


def test_changed_tables_are_seen(numbers: Connection) -> None:
    text = "SELECT count(*) FROM n WHERE a > {}"
    assert counted(numbers, text.format(40)) == ([(10,)], (0, 0, 1))
    numbers.execute("INSERT INTO n VALUES (100, 0)")
    assert counted(numbers, text.format(39)) == ([(12,)], (0, 0, 1))
    numbers.execute("CREATE OR REPLACE TABLE n AS SELECT 'x' AS a")
    with pytest.raises(GpuqlError):
        numbers.execute(text.format(38)).fetchall()


def test_constants_of_views_are_not_those_of_the_statement(numbers: Connection) -> None:
    numbers.execute("CREATE VIEW v AS SELECT a, a + 1 AS c FROM n WHERE b = 3 AND a > 1")
    text = "SELECT c FROM v WHERE a > {} ORDER BY c"
    assert counted(numbers, text.format(42)) == ([(44,), (49,)], (0, 0, 1))
    assert counted(numbers, text.format(43)) == ([(49,)], (0, 1, 0))


def test_settings_count(numbers: Connection) -> None:
    assert numbers.execute("SELECT a / 2 AS h FROM n WHERE a = 7").fetchall() == [(3.5,)]
    numbers.set_variable("integer_division", True)
    assert numbers.execute("SELECT a / 2 AS h FROM n WHERE a = 9").fetchall() == [(4,)]
    numbers.set_variable("integer_division", False)
    numbers.set_variable("optimizer", False)
    assert counted(numbers, "SELECT a / 2 AS h FROM n WHERE a = 11") == ([(5.5,)], (0, 1, 0))


def test_errors_are_those_of_the_statement(numbers: Connection) -> None:
    text = "SELECT count(*) FROM n WHERE DATE '2000-01-01' + a::INTEGER > DATE '{}'"
    assert numbers.execute(text.format("2000-01-11")).fetchall() == [(40,)]
    with pytest.raises(ConversionError, match="never") as raised:
        numbers.execute(text.format("never"))
    assert "DATE 'never'" in str(raised.value)
    assert counted(numbers, text.format("2000-02-10")) == ([(10,)], (0, 1, 0))


def test_frames_over_reused_plans_keep_their_constants(numbers: Connection) -> None:
    """A shared sub-plan with other constants is another one, also where both become part of one plan."""
    text = "WITH w AS (SELECT a FROM n WHERE a > {}) SELECT x.a FROM w AS x JOIN w AS y ON x.a = y.a"
    frames = [numbers.sql(text.format(low)) for low in (48, 49, 47)]
    assert numbers.plan_counts.reused >= 2
    assert sorted(frames[0].union(frames[1]).union(frames[2]).fetchall()) == [
        (48,), (49,), (49,), (50,), (50,), (50,),
    ]  # fmt: skip
    assert [frame.columns for frame in frames] == [["a"]] * 3
    assert sorted(frames[2].fetchall()) == [(48,), (49,), (50,)]


def test_plans_are_reused_by_several_threads_at_once(numbers: Connection) -> None:
    text = "SELECT count(*) FROM n WHERE a > {} AND b < {}"

    def ask(number: int) -> bool:
        low, high = number % 50, number % 4 + 2
        expected = sum(1 for a in range(1, 51) if a > low and a % 5 < high)
        return numbers.execute(text.format(low, high)).fetchall() == [(expected,)]

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(300)))


def test_explain_shows_the_constants_of_the_statement(numbers: Connection) -> None:
    numbers.execute("SELECT a FROM n WHERE a > 10").fetchall()
    assert "a > 11" in numbers.explain("SELECT a FROM n WHERE a > 11")


def test_what_asks_for_the_time_is_not_kept(numbers: Connection) -> None:
    text = "SELECT count(*) FROM n WHERE current_date > DATE '{}'"
    assert counted(numbers, text.format("2000-01-01"))[1] == (0, 0, 1)
    assert counted(numbers, text.format("2000-01-02"))[1] == (0, 0, 1)
