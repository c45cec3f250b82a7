"""Thousands of random typed expressions: interpreted and compiled give what DuckDB gives, or all of them fail."""

from __future__ import annotations

import pytest

import gpuql
from tests.property.engines import Oracle
from tests.property.sweep import ExpressionSweep, Report


@pytest.mark.parametrize(
    ("table", "depth", "count", "compile_share"),
    [
        ("tame", 2, 800, 0.3),
        ("tame", 3, 1000, 0.3),
        ("tame", 4, 400, 0.1),
        ("extreme", 1, 400, 0.3),
        ("extreme", 2, 600, 0.3),
        ("empty", 3, 100, 0.1),
    ],
)
def test_random_expressions(
    oracle: Oracle, interpreted: gpuql.Connection, compiled: gpuql.Connection, report: Report, seed: int,
    scale: float, table: str, depth: int, count: int, compile_share: float,
) -> None:  # fmt: skip
    found = Report()
    sweep = ExpressionSweep(oracle, interpreted, compiled, found)
    sweep.run(seed, round(count * scale), table, depth, compile_share=compile_share)
    report.counts.update(found.counts)
    report.differences.extend(found.differences)
    assert not found.differences, "\n".join(found.differences)
    assert sum(n for name, n in found.counts.items() if name.startswith("allowed")) <= 0.02 * count * scale
    assert found.counts["unbound"] <= 0.05 * count * scale
