"""All 22 queries give DuckDB's rows, whichever way they run."""

import pytest

from gpuql.bench.rows import difference

CONFIGURATIONS = {
    "interpreted": {"tier": "interpreted"},
    "compiled": {"tier": "compiled"},
    "auto": {"tier": "auto"},
    "small batches, verified plans": {"tier": "interpreted", "batch_rows": 1000, "verify_plans": True},
    "one thread": {"tier": "compiled", "threads": 1},
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_same_rows_as_duckdb(name, load, queries, expected):
    con = load(**CONFIGURATIONS[name])
    differences = {}
    for number, text in queries.items():
        found = difference(con.execute(text).fetchall(), expected[number])
        if found is not None:
            differences[number] = found
    assert differences == {}


def test_aggregating_pipelines_of_q1_and_q6_are_fused(load, queries):
    con = load(tier="compiled")
    for number in (1, 6):
        assert "tier: fused" in con.explain(queries[number], analyze=True)
