"""What was lowered for a plan is used again by it and goes with it."""

import gc
import weakref

import numpy as np

import gpuql
from gpuql.columnar.column import StringArray
from gpuql.execution.fused.cache import Lowered


def _cache(con):
    (executor,) = con._executors.values()
    return executor._lane.runner._fused


def test_entries_are_used_again_and_dropped_with_their_tables():
    con = gpuql.connect(device="cpu", tier="compiled")
    sizes = []
    for number in range(5):
        con.execute(
            f"create or replace table t as select range as i, 'x' || range % 9 as s from range({3000 + number})"
        )
        query = "select s, sum(i) from t where i > 10 group by s"
        first = con.execute(query).fetchall()
        filled = len(_cache(con))
        assert sorted(con.execute(query).fetchall()) == sorted(first)
        assert len(_cache(con)) == filled
        gc.collect()
        sizes.append(len(_cache(con)))
    assert max(sizes) < 2 * min(sizes)
    con.execute("drop table t")
    gc.collect()
    assert len(_cache(con)) < min(sizes)


def test_entries_end_with_the_strings_that_they_were_made_for():
    """Statements that differ in constants share pipelines without any, which see other strings each time."""
    con = gpuql.connect(device="cpu", tier="compiled", threads=1)
    con.execute("create table t as select range % 7 as g, 's' || range % 7 as s from range(5000)")
    text = (
        "with p as (select g, min(s || '{0}') as x from t group by g) "
        "select upper(x) as w, length(x) as l, sum(g) as n from p group by all order by all"
    )
    for suffix in ["a", "b", "xyz", "", "aa", "c", "d", "zz"] * 3:
        expected = [(f"S{g}{suffix}".upper(), 2 + len(suffix), g) for g in range(7)]
        assert con.execute(text.format(suffix)).fetchall() == expected
        con._plans.clear()
        gc.collect()
    assert con.plan_counts.planned == 1


def test_an_entry_is_void_once_what_its_key_names_is_gone():
    strings = StringArray(np.zeros(1, np.int64), np.zeros(0, np.uint8))
    entry = Lowered(None, None, "", (weakref.ref(strings),))
    assert entry.is_valid
    del strings
    gc.collect()
    assert not entry.is_valid
