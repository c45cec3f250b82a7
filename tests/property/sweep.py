"""Sweeps of random expressions and queries: interpreted and compiled gpuql against DuckDB, value by value."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import gpuql
from tests.property.dialect import allowed
from tests.property.engines import TABLES, Oracle, Outcome, difference, run
from tests.property.expressions import ExpressionGenerator
from tests.property.fusible import fuses
from tests.property.queries import QueryGenerator

#: Expressions that one compiled query evaluates.
GROUP = 14


@dataclass
class Report:
    """What sweeps did and found."""

    counts: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def compare(
        self, tier: str, sql: str, expected: Outcome, found: Outcome, oracle: Oracle, *, ordered: bool = False
    ) -> bool:
        """Whether ``found`` is what DuckDB gives, or an allowed difference; keeps what is not."""
        problem = difference(expected, found, ordered=ordered)
        if problem is None:
            return True
        entry = allowed(expected, found, sql, oracle)
        if entry is not None:
            self.counts[f"allowed: {entry}"] += 1
            return True
        self.differences.append(f"{tier}: {problem}\n    {sql}")
        return False

    def summary(self) -> str:
        """One line of totals."""
        counts = self.counts
        return (
            f"{counts['expressions']:,} expressions ({counts['compiled']:,} also compiled) and "
            f"{counts['queries']:,} queries in {counts['runs']:,} runs ({counts['fused']:,} fused): "
            f"{len(self.differences)} differences"
        )


class ExpressionSweep:
    """Checks expressions over one table after the other."""

    def __init__(
        self, oracle: Oracle, interpreted: gpuql.Connection, compiled: gpuql.Connection, report: Report
    ) -> None:
        self.oracle = oracle
        self.interpreted = interpreted
        self.compiled = compiled
        self.report = report

    def run(self, seed: int, count: int, table: str, depth: int, *, compile_share: float) -> None:
        """Check ``count`` expressions over ``table``; that share of those that give rows compiled as well."""
        rng = random.Random(f"{seed} {table} {depth}")
        generator = ExpressionGenerator(rng)
        chosen = []
        for _ in range(count):
            text = generator.any(depth)
            if self._interpreted(text, table) and rng.random() < compile_share:
                chosen.append(text)
        fusible = [
            text
            for text in chosen
            if fuses(self.compiled, f"SELECT id, min({text}) AS v FROM {table} GROUP BY id")
        ]
        for group in _groups(fusible, GROUP):
            self._compiled(group, table)

    def _interpreted(self, text: str, table: str) -> bool:
        """Check one expression; whether both engines gave rows and the same ones."""
        sql = f"SELECT id, {text} AS v FROM {table}"
        expected, found = self.oracle.run(sql), run(self.interpreted, sql)
        if expected.kind == "unbound":
            self.report.counts["unbound"] += 1
            if found.kind in ("rows", "crash"):
                self.report.differences.append(
                    f"binder: {found.kind}, DuckDB says {expected.message}\n    {sql}"
                )
            return False
        self.report.counts["expressions"] += 1
        same = self.report.compare("interpreted", sql, expected, found, self.oracle)
        return same and expected.kind == "rows" and found.kind == "rows"

    def _compiled(self, group: Sequence[str], table: str) -> None:
        """One group by the unique ``id``: each row's values go through generated code."""
        columns = ", ".join(f"min({text}) AS v{position}" for position, text in enumerate(group))
        sql = f"SELECT id, {columns} FROM {table} GROUP BY id"
        found = run(self.compiled, sql)
        expected = self.oracle.run(sql)
        fused = "fused" in found.tiers
        if len(group) > 1 and (difference(expected, found) is not None or not fused):
            middle = len(group) // 2
            self._compiled(group[:middle], table)
            self._compiled(group[middle:], table)
            return
        if self.report.compare("compiled", sql, expected, found, self.oracle) and fused:
            self.report.counts["compiled"] += len(group)


class QuerySweep:
    """Checks queries on connections of several configurations."""

    def __init__(self, oracle: Oracle, engines: Mapping[str, gpuql.Connection], report: Report) -> None:
        self.oracle = oracle
        self.engines = engines
        self.report = report

    def run(self, seed: int, count: int, shares: Mapping[str, float]) -> None:
        """Check ``count`` queries, each on the engines that a draw with their ``shares`` picks."""
        rng = random.Random(f"{seed} queries")
        generator = QueryGenerator(rng)
        for _ in range(count):
            query = generator.query()
            names = [name for name in self.engines if rng.random() < shares[name]]
            expected = self.oracle.run(query.sql)
            if expected.kind == "unbound":
                self.report.counts["unbound"] += 1
                continue
            self.report.counts["queries"] += 1
            for name in names:
                found = run(self.engines[name], query.sql)
                self.report.counts["runs"] += 1
                self.report.counts["fused"] += "fused" in found.tiers
                self.report.compare(name, query.sql, expected, found, self.oracle, ordered=query.ordered)


def _groups(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def connect_to_parquet(oracle: Oracle, folder: Path, **settings: str | int | bool) -> gpuql.Connection:
    """As :func:`connect`, over views of Parquet files in ``folder``."""
    oracle.write_parquet(folder)
    engine = _configured({"device": "cpu", "verify_plans": True, **settings})
    for name in TABLES:
        source = f"SELECT * REPLACE (h::HUGEINT AS h) FROM read_parquet('{folder / name}.parquet')"
        engine.execute(f"CREATE VIEW {name} AS {source}")
    return engine


def connect(oracle: Oracle, *, device: str = "cpu", **settings: str | int | bool) -> gpuql.Connection:
    """A gpuql connection that checks its plans, with the oracle's tables."""
    engine = _configured({"device": device, "threads": 2, "verify_plans": True, **settings})
    oracle.copy_to(engine)
    return engine


def _configured(settings: Mapping[str, str | int | bool]) -> gpuql.Connection:
    engine = gpuql.connect()
    for name, value in settings.items():
        engine.set_variable(name, value)
    return engine
