"""Group keys of several words: interpreted and compiled, on one thread or several, give DuckDB's groups."""

from __future__ import annotations

import random

import gpuql
from tests.property.engines import Oracle, run
from tests.property.sweep import Report
from tests.property.wide_keys import wide_aggregation


def test_random_wide_keys(
    oracle: Oracle, interpreted: gpuql.Connection, compiled: gpuql.Connection, report: Report, seed: int, scale: float
) -> None:  # fmt: skip
    found = Report()
    rng = random.Random(f"{seed} wide keys")
    for _ in range(round(25 * scale)):
        sql = wide_aggregation(rng, ("tame", "other", "extreme"))
        expected = oracle.run(sql)
        assert expected.kind == "rows", (sql, expected.message)
        engines = {"interpreted": interpreted, "compiled": compiled}
        for name, engine in engines.items():
            rows = run(engine, sql)
            found.counts["runs"] += 1
            found.counts["fused"] += "fused" in rows.tiers
            found.compare(name, sql, expected, rows, oracle)
        found.counts["queries"] += 1
    report.counts.update(found.counts)
    report.differences.extend(found.differences)
    assert not found.differences, "\n".join(found.differences)
    assert found.counts["fused"] >= 0.6 * found.counts["queries"]
