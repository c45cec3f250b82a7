"""Sweeps of random expressions: interpreted and compiled gpuql against DuckDB, value by value."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import gpuql
from gpuql.config import Settings
from tests.property.engines import Oracle, Outcome, difference, run
from tests.property.expressions import ExpressionGenerator

#: Expressions that one compiled query evaluates.
GROUP = 14

#: SQL leaves open whether an operand is evaluated whose value cannot matter, so errors may appear on one side only.
LAZY = re.compile(r"\b(CASE|AND|OR|BETWEEN|IN|coalesce|nullif|greatest|least|NULL|TRY_CAST)\b|none_")


@dataclass
class Report:
    """What a sweep did and found."""

    counts: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        """Add what another sweep did and found."""
        self.counts.update(other.counts)
        self.differences.extend(other.differences)

    def note(self, tier: str, sql: str, problem: str) -> None:
        """Keep one difference."""
        self.differences.append(f"{tier}: {problem}\n    {sql}")


class ExpressionSweep:
    """Checks expressions over one table."""

    def __init__(self, oracle: Oracle, interpreted: gpuql.Connection, compiled: gpuql.Connection | None) -> None:
        self.oracle = oracle
        self.interpreted = interpreted
        self.compiled = compiled
        self.report = Report()

    def run(self, seed: int, count: int, table: str, depth: int, *, compile_share: float = 1.0) -> Report:
        """Check ``count`` expressions over ``table``."""
        rng = random.Random(f"{seed} {table} {depth}")
        generator = ExpressionGenerator(rng)
        expressions = [generator.any(depth) for _ in range(count)]
        good = [text for text in expressions if self._check(text, table)]
        if self.compiled is not None:
            chosen = [text for text in good if rng.random() < compile_share]
            fusible = [text for text in chosen if self._fuses(f"SELECT id, min({text}) AS v FROM {table} GROUP BY id")]
            self.report.counts["not fusible"] += len(chosen) - len(fusible)
            for group in _groups(fusible, GROUP):
                self._check_compiled(group, table)
        return self.report

    def _check(self, text: str, table: str) -> bool:
        """Interpreted against DuckDB; whether DuckDB gave rows and gpuql the same ones."""
        sql = f"SELECT id, {text} AS v FROM {table}"
        expected = self.oracle.run(sql)
        if expected.kind == "unbound":
            self.report.counts["unbound"] += 1
            found = run(self.interpreted, sql)
            if found.kind in ("rows", "crash"):
                self.report.note("binder", sql, f"{found.kind}, but DuckDB says {expected.message}")
            return False
        found = run(self.interpreted, sql)
        self.report.counts["expressions"] += 1
        if expected.kind != "rows":
            self.report.counts["errors"] += 1
        problem = difference(expected, found)
        if problem is not None and self._only_laziness(expected, found, sql):
            self.report.counts["lazy"] += 1
            return False
        if problem is not None:
            self.report.note("interpreted", sql, problem)
        return problem is None and expected.kind == "rows"

    def _only_laziness(self, expected: Outcome, found: Outcome, sql: str) -> bool:
        kinds = {expected.kind, found.kind}
        return kinds == {"rows", "error"} and (LAZY.search(sql) is not None or self.oracle.may_fail(sql))

    def _fuses(self, sql: str) -> bool:
        """Whether the first pipeline, which reads the table, has a generated form; compiles nothing."""
        from gpuql.execution.fused.arguments import Inputs
        from gpuql.execution.fused.lower import PipelineLowering
        from gpuql.execution.fused.refusal import NotFusible
        from gpuql.execution.sources import open_source
        from gpuql.expressions.evaluate import evaluate
        from gpuql.operators.contract import RunContext

        assert self.compiled is not None, "the caller checked"
        plan = self.compiled.sql(sql)._prepared.physical_plan(self.compiled.settings)  # noqa: SLF001
        device = self.compiled.device
        context = RunContext(device.xp, device.kernels, lambda: None)
        pipeline = plan.pipelines[0]
        batch = open_source(pipeline.source, context)
        inputs = Inputs(batch, {}, lambda expression, rows: evaluate(expression, rows, context))
        try:
            lowered = PipelineLowering(pipeline, inputs, context, on_grid=False).lower()
        except NotFusible:
            return False
        return lowered.aggregates is not None

    def _check_compiled(self, group: Sequence[str], table: str) -> None:
        """One group by the unique ``id``: each row's values go through generated code."""
        assert self.compiled is not None, "the caller checked"
        columns = ", ".join(f"min({text}) AS v{position}" for position, text in enumerate(group))
        sql = f"SELECT id, {columns} FROM {table} GROUP BY id"
        found = run(self.compiled, sql)
        if found.kind == "rows" and "fused" not in found.tiers and len(group) > 1:
            self._split(group, table)
            return
        problem = difference(self.oracle.run(sql), found)
        self.report.counts["compiled queries"] += 1
        if problem is None:
            self.report.counts["compiled"] += len(group) if "fused" in found.tiers else 0
        elif len(group) > 1:
            self._split(group, table)
        else:
            self.report.note("compiled", sql, problem)

    def _split(self, group: Sequence[str], table: str) -> None:
        middle = len(group) // 2
        self._check_compiled(group[:middle], table)
        self._check_compiled(group[middle:], table)


def _groups(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def connect(tier: str, oracle: Oracle, **settings: str | int | bool) -> gpuql.Connection:
    """gpuql on the CPU with the oracle's tables."""
    options = {"threads": 2, "verify_plans": True, **settings}
    engine = gpuql.connect(device="cpu", tier=tier, **options)
    oracle.copy_to(engine)
    return engine


__all__ = ["GROUP", "LAZY", "ExpressionSweep", "Report", "Settings", "connect"]
