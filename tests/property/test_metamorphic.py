"""Queries whose answers follow from each other, without an oracle: ternary partitioning (TLP) and NoREC."""

from __future__ import annotations

import random
from collections import Counter

import pytest

import gpuql
from tests.property.engines import run
from tests.property.expressions import ExpressionGenerator


@pytest.mark.parametrize("table", ["tame", "extreme"])
def test_a_predicate_splits_the_rows_in_three(
    interpreted: gpuql.Connection, seed: int, scale: float, table: str
) -> None:
    """Each row satisfies exactly one of ``p``, ``NOT p`` and ``p IS NULL``. Source: Rigger and Su, TLP, OOPSLA 2020."""
    generator = ExpressionGenerator(random.Random(f"{seed} tlp {table}"))
    checked = 0
    for _ in range(round(250 * scale)):
        predicate = generator.condition(3)
        parts = [
            run(interpreted, f"SELECT id FROM {table} WHERE {condition}")
            for condition in (predicate, f"NOT {predicate}", f"{predicate} IS NULL")
        ]
        if all(part.kind == "rows" for part in parts):
            everything = Counter(row for part in parts for row in part.rows)
            assert everything == Counter(run(interpreted, f"SELECT id FROM {table}").rows), predicate
            checked += 1
        else:
            assert all(part.kind in ("rows", "error") for part in parts), (
                predicate,
                [p.message for p in parts],
            )
    assert checked >= 150 * scale


@pytest.mark.parametrize("tier", ["interpreted", "compiled"])
def test_a_filter_keeps_the_rows_for_which_its_predicate_is_true(
    interpreted: gpuql.Connection, compiled: gpuql.Connection, seed: int, scale: float, tier: str
) -> None:
    """A filter, which the optimizer takes apart, against a projection, which it leaves alone. Source: NoREC."""
    engine = interpreted if tier == "interpreted" else compiled
    generator = ExpressionGenerator(random.Random(f"{seed} norec {tier}"))
    checked = 0
    for _ in range(round((250 if tier == "interpreted" else 25) * scale)):
        predicate = generator.condition(3)
        filtered = run(engine, f"SELECT count(*) FROM tame WHERE {predicate}")
        projected = run(interpreted, f"SELECT CASE WHEN {predicate} THEN 1 ELSE 0 END FROM tame")
        if filtered.kind == projected.kind == "rows":
            assert filtered.rows[0][0] == sum(row[0] for row in projected.rows), predicate
            checked += 1
        else:
            assert {filtered.kind, projected.kind} <= {"rows", "error"}, predicate
    assert checked >= (150 if tier == "interpreted" else 15) * scale
