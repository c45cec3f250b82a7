"""What was lowered for a plan is used again by it and goes with it."""

import gc

import gpuql


def _cache(con):
    (executor,) = con._executors.values()
    return executor._fused


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
