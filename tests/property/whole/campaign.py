"""Random whole queries against DuckDB, and against each other, counted.

``python -m tests.property.whole.campaign --queries 1000 --seed 7 --json FILE`` prints a table of what came out: rows
that agree, wrong answers (each with a small query and the tables it needs), and errors of either engine by kind.
The exit status is 1 if an answer was wrong. ``--only N`` runs and prints query N alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.property.engines import Outcome
from tests.property.whole.engines import CONFIGURATIONS, Engines, opened
from tests.property.whole.metamorphic import Relationship, relationships
from tests.property.whole.minimize import minimize, minimize_rows
from tests.property.whole.queries import QueryMaker
from tests.property.whole.rows import rows_problem
from tests.property.whole.scopes import Query
from tests.property.whole.world import Table, World, make_world

#: Queries over the same tables.
_QUERIES_OF_A_WORLD = 500
#: Of so many queries one is followed by relationships (TLP, NoREC) over a FROM clause of its own.
_RELATIONSHIPS_EVERY = 10
_MINIMIZE_S = 20.0


@dataclass
class Totals:
    """What a campaign did and found."""

    counts: Counter[str] = field(default_factory=Counter)
    configurations: Counter[str] = field(default_factory=Counter)
    errors: dict[str, Counter[str]] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    doubtful: list[str] = field(default_factory=list)
    seconds: Counter[str] = field(default_factory=Counter)

    def error(self, side: str, outcome: Outcome, sql: str) -> None:
        """Count an error of ``side`` by its kind."""
        kind = error_kind(outcome)
        self.errors.setdefault(side, Counter())[kind] += 1
        self.examples.setdefault(f"{side}: {kind}", sql)

    def as_json(self) -> dict[str, object]:
        """All of it as plain data."""
        return {
            "counts": dict(self.counts),
            "configurations": dict(self.configurations),
            "errors": {side: dict(kinds.most_common()) for side, kinds in self.errors.items()},
            "examples": self.examples,
            "wrong": self.wrong,
            "duckdb differs from itself": self.doubtful,
        }

    def table(self) -> str:
        """A summary for people."""
        lines = [f"{name:<44}{count:>9,}" for name, count in sorted(self.counts.items())]
        lines += [f"{'in ' + name:<44}{count:>9,}" for name, count in sorted(self.configurations.items())]
        lines += [
            f"{'processor time, ' + name:<44}{seconds:>9.1f}"
            for name, seconds in sorted(self.seconds.items())
        ]
        for side, kinds in sorted(self.errors.items()):
            lines += ["", f"{side}: {sum(kinds.values()):,}"]
            lines += [f"{count:>7,}  {kind}" for kind, count in kinds.most_common()]
        lines += ["", f"wrong answers: {len(self.wrong)}"]
        return "\n".join(lines)


def error_kind(outcome: Outcome) -> str:
    """Type and message of an error without names and values."""
    first = outcome.message.split("\n", 1)[0]
    first = re.sub(r"'[^']*'|\"[^\"]*\"|\br\d+(\.\w+)?|[-+]?\d[\d.,:e+-]*", "…", first)
    return f"{outcome.kind}: {first[:100]}"


class Campaign:
    """Runs queries and keeps what came out."""

    def __init__(
        self, seed: int, names: Sequence[str], *, minimize_s: float = _MINIMIZE_S, device: str = "cpu"
    ) -> None:
        self.seed = seed
        self.names = tuple(names)
        self.minimize_s = minimize_s
        self.device = device
        self.totals = Totals()

    def run(self, numbers: Sequence[int]) -> None:
        """Check the queries with these numbers."""
        by_world: dict[int, list[int]] = {}
        for number in numbers:
            by_world.setdefault(number // _QUERIES_OF_A_WORLD, []).append(number)
        for place, chosen in by_world.items():
            world = make_world(f"{self.seed} {place}")
            with opened(world, self.device) as engines:
                for number in chosen:
                    self._check(engines, world, number)

    def query(self, world: World, number: int) -> Query:
        """Query ``number``."""
        return QueryMaker(random.Random(f"{self.seed} {number} query"), world).query()

    def _check(self, engines: Engines, world: World, number: int) -> None:
        rng = random.Random(f"{self.seed} {number} configuration")
        weights = [CONFIGURATIONS[name][0] for name in self.names]
        (name,) = rng.choices(self.names, weights)
        query = self.query(world, number)
        self.totals.counts["queries"] += 1
        self.totals.configurations[name] += 1
        started = time.process_time()
        expected = engines.expected(query.sql)
        answered = time.process_time()
        found = engines.found(name, query.sql)
        self.totals.seconds["DuckDB"] += answered - started
        self.totals.seconds[f"gpuql, {name}"] += time.process_time() - answered
        problem = self._judge(engines, query.sql, expected, found, is_ordered=query.is_ordered)
        if problem is not None:
            self._keep_wrong(world, name, f"query {number} of seed {self.seed}", query, problem)
        if number % _RELATIONSHIPS_EVERY == 0:
            found = relationships(random.Random(f"{self.seed} {number} relationships"), world)
            for relationship in rng.sample(found, min(2, len(found))):
                self._relate(engines, name, relationship, number)

    def _judge(
        self, engines: Engines, sql: str, expected: Outcome, found: Outcome, *, is_ordered: bool
    ) -> str | None:
        """What is wrong, or None; counts the rest."""
        counts = self.totals.counts
        if found.kind == "crash":
            counts["crashes of gpuql"] += 1
            return f"crash: {found.message}"
        if expected.kind == "unreadable":
            counts["not readable by Python"] += 1
            return None
        if expected.kind != "rows":
            counts["both fail" if found.kind != "rows" else "only DuckDB fails"] += 1
            if found.kind == "rows":
                self.totals.error("only DuckDB fails", expected, sql)
            return None
        if found.kind != "rows":
            counts["only gpuql fails"] += 1
            self.totals.error("only gpuql fails", found, sql)
            return None
        problem = rows_problem(expected, found, is_ordered=is_ordered)
        if problem is not None and engines.is_doubtful(sql, expected):
            counts["DuckDB differs from itself"] += 1
            self.totals.doubtful.append(sql)
            return None
        counts["rows agree" if problem is None else "wrong answers"] += 1
        counts["rows agree, at least one row"] += problem is None and len(expected.rows) > 0
        return problem

    def _relate(self, engines: Engines, name: str, relationship: Relationship, number: int) -> None:
        whole = engines.found(name, relationship.whole)
        other = "optimizer off" if relationship.is_unoptimized and "optimizer off" in self.names else name
        parts = engines.found(other, relationship.parts)
        kind = relationship.kind
        self.totals.counts[f"{kind}: compared"] += 1
        if whole.kind == parts.kind == "rows":
            problem = rows_problem(whole, parts, is_ordered=False)
            if problem is None:
                return
        elif "crash" in (whole.kind, parts.kind):
            problem = whole.message if whole.kind == "crash" else parts.message
        else:  # which of its predicates a row reaches is left open, and so are their errors
            self.totals.counts[f"{kind}: an error"] += 1
            return
        self.totals.counts["wrong answers"] += 1
        self.totals.wrong.append(
            f"{kind} {number} of seed {self.seed} ({name}): {problem}\n  {relationship.whole}\n  {relationship.parts}"
        )

    def _keep_wrong(self, world: World, name: str, title: str, query: Query, problem: str) -> None:
        """Print and keep a wrong answer with the smallest query and tables that show it."""

        def differs(engines: Engines, sql: str) -> bool:
            expected = engines.expected(sql)
            found = engines.found(name, sql)
            if found.kind == "crash":
                return True
            if expected.kind != "rows" or found.kind != "rows" or problem.startswith("crash"):
                return False
            return rows_problem(expected, found, is_ordered=False) is not None and not engines.is_doubtful(
                sql, expected
            )

        sql = query.sql
        tables = list(world.tables)
        if self.minimize_s > 0:
            with opened(world, self.device) as engines:
                sql = minimize(sql, lambda text: differs(engines, text), budget_s=self.minimize_s)
            for position, table in enumerate(tables):
                if not re.search(rf"\b{table.name}\b", sql):
                    continue

                def with_rows(keep: Sequence[int], position: int = position, table: Table = table) -> bool:
                    smaller = [*tables]
                    smaller[position] = Table(
                        table.name, table.columns, tuple(table.rows[n] for n in keep), table.is_keyed
                    )
                    with opened(World(tuple(smaller)), self.device) as fewer:
                        return differs(fewer, sql)

                kept = minimize_rows(len(table.rows), with_rows, budget_s=self.minimize_s / 2)
                tables[position] = Table(
                    table.name, table.columns, tuple(table.rows[n] for n in kept), table.is_keyed
                )
        used = [t for t in tables if re.search(rf"\b{t.name}\b", sql)]
        data = "\n  ".join(World(tuple(used)).statements())
        with opened(World(tuple(tables)), self.device) as engines:
            answers = f"DuckDB: {_shown(engines.expected(sql))}\n  gpuql:  {_shown(engines.found(name, sql))}"
        text = f"{title} ({name}): {problem}\n  {data}\n  {sql}\n  {answers}\n  whole: {query.sql}"
        self.totals.wrong.append(text)
        print(text, flush=True)


def _shown(outcome: Outcome) -> str:
    return (
        f"{outcome.types} {outcome.rows[:5]}"
        if outcome.kind == "rows"
        else f"{outcome.kind} {outcome.message[:200]}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a campaign; the exit status is 1 if an answer was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--only", type=int, default=None, help="number of a query to run alone")
    parser.add_argument(
        "--configurations", nargs="*", default=list(CONFIGURATIONS), choices=list(CONFIGURATIONS)
    )
    parser.add_argument("--minimize-s", type=float, default=_MINIMIZE_S, help="seconds for each wrong answer")
    parser.add_argument("--device", default="cpu", help="cpu, gpu, or cudasim (with NUMBA_ENABLE_CUDASIM=1)")
    options = parser.parse_args(arguments)
    campaign = Campaign(
        options.seed, options.configurations, minimize_s=options.minimize_s, device=options.device
    )
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("GPUQL_CACHE_DIR", folder)
        started = time.monotonic()
        if options.only is None:
            campaign.run(range(options.queries))
        else:
            print(
                campaign.query(
                    make_world(f"{options.seed} {options.only // _QUERIES_OF_A_WORLD}"), options.only
                ).sql
            )
            campaign.run([options.only])
    totals = campaign.totals
    if options.json is not None:
        options.json.write_text(json.dumps(totals.as_json(), indent=1, ensure_ascii=False, default=str))
    print("\n\n".join(wrong for wrong in totals.wrong if wrong.startswith(("TLP", "NoREC"))))
    print(totals.table())
    print(f"{time.monotonic() - started:.1f} s")
    return 1 if totals.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
