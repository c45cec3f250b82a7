"""Random expressions and queries on the device against DuckDB, value by value."""

from __future__ import annotations

import random

import pytest

from tests.gpu.tested_device import DEVICE, SIMULATED
from tests.property.engines import Oracle, run
from tests.property.expressions import ExpressionGenerator
from tests.property.queries import QueryGenerator
from tests.property.sweep import Report, connect

SEEDS = (3,) if SIMULATED else range(3, 7)
CASES = 10 if SIMULATED else 20


@pytest.mark.parametrize("tier", ["interpreted", "compiled"])
@pytest.mark.parametrize("seed", SEEDS)
def test_rows_are_duckdbs(seed: int, tier: str) -> None:
    oracle = Oracle(seed, tame_rows=40, extreme_rows=20)
    report = Report()
    with connect(oracle, device=DEVICE, tier=tier) as engine:
        expressions = ExpressionGenerator(random.Random(f"{seed} {tier} expressions"))
        queries = QueryGenerator(random.Random(f"{seed} {tier} queries"))
        cases = [
            (f"SELECT id, min({expressions.any(2)}) AS v FROM {table} GROUP BY id", False)
            for table in ("tame", "extreme")
            for _ in range(CASES // 2)
        ]
        cases += [(query.sql, query.ordered) for query in (queries.query() for _ in range(CASES))]
        for sql, ordered in cases:
            expected = oracle.run(sql)
            if expected.kind != "unbound":
                report.compare(f"{DEVICE} {tier}", sql, expected, run(engine, sql), oracle, ordered=ordered)
    assert not report.differences, f"{len(report.differences)}:\n" + "\n".join(report.differences)
