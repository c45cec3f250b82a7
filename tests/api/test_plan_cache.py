"""Plans kept by text: found again, dropped when stale, and no longer than the data should live."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

import gpuql
from gpuql import Connection
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
