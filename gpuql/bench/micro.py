"""``gpuql bench micro``: single operators, as rows per second and as a share of the machine's memory bandwidth."""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpuql.bench.machine import copy_bytes_per_s, describe_machine
from gpuql.bench.timing import median, time_once
from gpuql.session import Connection, connect
from gpuql_kernels.codegen.background import background


@dataclass(frozen=True)
class Case:
    """One operator: the columns that it needs, and a statement whose time is almost all that operator's."""

    name: str
    columns: tuple[str, ...]
    sql: str
    runs: int = 0  # 0: as many as asked for


@dataclass
class CaseReport:
    """What one case measured.

    ``bytes`` are those of the source columns that its pipelines read; ``rows_per_second`` is 0 for fixed costs.
    """

    name: str
    ms: float
    rows_per_second: float
    bytes: int
    bandwidth_share: float
    devices: list[str]
    tiers: list[str]


#: Neighbours differ by a factor of 1.5 at most, two of them by one group: time that grows with the groups stays below
#: that factor, so a larger step is a cliff between strategies.
GROUP_COUNTS = tuple(
    sorted({1, 129, 10_000_000, *(1 << bits for bits in range(24)), *(3 << bits for bits in range(22))})
)


def group_case(groups: int) -> str:
    """Name of the case that groups into so many groups."""
    return f"group by, {groups:,} groups"


#: What every query costs is small, so its median takes more runs.
_FIXED_COST_RUNS = 200

CASES = (
    Case("fixed cost, SELECT 1", (), "SELECT 1", _FIXED_COST_RUNS),
    Case("fixed cost, one row of 1,000", (), "SELECT a FROM small WHERE a = 77", _FIXED_COST_RUNS),
    Case("filter and sum, 1 % of rows", ("a", "f"), "SELECT sum(f) FROM t WHERE a < 10"),
    Case("filter and sum, 50 % of rows", ("a", "f"), "SELECT sum(f) FROM t WHERE a < 500"),
    Case("arithmetic", ("f", "g"), "SELECT sum(f * (1 - g) + f * g) FROM t"),
    Case("semi-join, 143 keys", ("a", "f"), "SELECT sum(f) FROM t WHERE a IN (SELECT a FROM small)"),
    Case("join, 1 million keys", ("k1000000", "f"), "SELECT sum(f + v) FROM t JOIN million ON k1000000 = k"),
    *(
        Case(
            group_case(groups),
            (f"k{groups}", "f"),
            f"SELECT count(*) FROM (SELECT k{groups}, sum(f) AS s FROM t GROUP BY k{groups}) WHERE s < 0",
        )
        for groups in GROUP_COUNTS
    ),
    Case("top 100", ("f", "a"), "SELECT f, a FROM t ORDER BY f LIMIT 100"),
    Case("sort", ("f",), "SELECT count(*) FROM (SELECT f FROM t ORDER BY f LIMIT 1000000000 OFFSET 1)"),
    *(
        Case(
            f"window, {name}",
            ("k1000", "f", "a"),
            f"SELECT count(*) FROM (SELECT {call} AS v FROM t) WHERE v IS NULL",
        )
        for name, call in (
            ("row_number", "row_number() OVER (PARTITION BY k1000 ORDER BY f)"),
            ("whole partition", "sum(a) OVER (PARTITION BY k1000)"),
            ("running sum", "sum(f) OVER (PARTITION BY k1000 ORDER BY f)"),
            ("sliding minimum", "min(a) OVER (ORDER BY f ROWS BETWEEN 100 PRECEDING AND CURRENT ROW)"),
            ("range", "count(*) OVER (ORDER BY f RANGE BETWEEN 0.001 PRECEDING AND 0.001 FOLLOWING)"),
        )
    ),
    Case("LIKE over different strings", ("s",), "SELECT count(*) FROM t WHERE s LIKE '%7%3%'"),
    Case("LIKE over a dictionary", ("w",), "SELECT count(*) FROM t WHERE w LIKE '%7%3%'"),
)


def make_column(name: str, num_rows: int, generator: np.random.Generator) -> Any:
    """Column ``name`` of the input table: see :data:`CASES` for which stands for what."""
    match name:
        case "a":
            return generator.integers(0, 1000, num_rows)
        case "f" | "g":
            return generator.random(num_rows)
        case "s":
            return np.char.add("item ", generator.permutation(num_rows).astype(str))
        case "w":
            return np.char.add("word ", generator.integers(0, 1000, num_rows).astype(str))
    assert name.startswith("k"), "the rest are keys"
    return generator.integers(0, int(name[1:]), num_rows)


def run_micro(options: argparse.Namespace, settings: dict[str, str]) -> int:
    """Run all cases and print them."""
    too_many = {group_case(groups) for groups in GROUP_COUNTS if groups > options.rows}
    cases = [
        case for case in CASES if options.only.lower() in case.name.lower() and case.name not in too_many
    ]
    reports = []
    with connect(
        options.device, options.threads, on_unsupported=options.on_unsupported, **settings
    ) as connection:
        bandwidth = copy_bytes_per_s(connection.device.name, connection.settings.threads)
        print(
            f"{options.rows:,} rows, device {connection.device.name} ({connection.device.reason}), "
            f"{connection.settings.threads} threads, median of {options.runs} runs, "
            f"its memory copies {bandwidth / 1e9:.1f} GB/s"
        )
        print(f"{'case':<32} {'ms':>9} {'million rows/s':>15} {'GB/s':>7} {'share':>6}  tier")
        for case in cases:
            load_inputs(connection, case, options.rows)
            report = measure_case(connection, case, options.rows, options.runs, bandwidth)
            reports.append(report)
            print(
                f"{report.name:<32} {report.ms:>9.2f} {_millions(report.rows_per_second):>15} "
                f"{report.bytes / report.ms / 1e6:>7.2f} {report.bandwidth_share:>6.0%}  "
                f"{', '.join(report.tiers)} on {', '.join(report.devices)}",
                flush=True,
            )
        step, groups = largest_group_step(reports)
        if groups:
            print(f"largest step between neighbouring group counts: {step:.2f}x, at {groups:,} groups")
    if options.json:
        document = {
            "suite": "micro",
            "rows": options.rows,
            "measured_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "machine": describe_machine(),
            "copy_bytes_per_second": bandwidth,
            "cases": [asdict(report) for report in reports],
        }
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"written to {options.json}", file=sys.stderr)
    return 0


def largest_group_step(reports: list[CaseReport]) -> tuple[float, int]:
    """Largest ratio of the time of one group count to that of the next smaller one, and where; (0, 0) if not run."""
    times = {report.name: report.ms for report in reports}
    known = [(groups, times[name]) for groups in GROUP_COUNTS if (name := group_case(groups)) in times]
    steps = [(after / before, groups) for (_, before), (groups, after) in itertools.pairwise(known)]
    return max(steps, default=(0.0, 0))


def _millions(rows_per_second: float) -> str:
    return f"{rows_per_second / 1e6:.1f}" if rows_per_second else "-"


def load_inputs(connection: Connection, case: Case, num_rows: int) -> None:
    """Tables of one case; those of the case before are let go."""
    generator = np.random.default_rng(42)
    for table, columns in (
        ("t", {name: make_column(name, num_rows, generator) for name in case.columns}),
        ("small", {"a": np.arange(0, 7000, 7)}),
        ("million", {"k": generator.permutation(1_000_000), "v": generator.random(1_000_000)}),
    ):
        if columns and (table == "t" or table in case.sql):
            connection.register("source", columns)
            connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM source")
            connection.unregister("source")


def measure_case(
    connection: Connection, case: Case, num_rows: int, runs: int, bandwidth: float
) -> CaseReport:
    """Median time after two runs, during and after which everything is compiled."""
    frame = connection.sql(case.sql)
    for _ in range(2):
        result = frame.collect()
        background.wait()
    ms = median([time_once(frame.collect)[1] for _ in range(case.runs or runs)])
    pipelines = result.metrics.pipelines
    num_bytes = sum(pipeline.num_bytes for pipeline in pipelines)
    return CaseReport(
        case.name,
        ms,
        num_rows / ms * 1000 if case.columns else 0.0,
        num_bytes,
        num_bytes / ms * 1000 / bandwidth,
        sorted({pipeline.device for pipeline in pipelines}),
        sorted({pipeline.tier for pipeline in pipelines}),
    )
