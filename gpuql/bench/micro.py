"""``gpuql bench micro``: single operators, as rows per second and as a share of the machine's memory bandwidth."""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from gpuql.bench.engines import Engine, open_peers
from gpuql.bench.machine import copy_bytes_per_s, describe_machine
from gpuql.bench.micro_cases import CASES, GROUP_COUNTS, Case, group_case, make_column
from gpuql.bench.rows import Row, difference
from gpuql.bench.timing import geometric_mean, median, time_interleaved
from gpuql.session import Connection, connect
from gpuql_kernels.codegen.background import background


@dataclass
class CaseReport:
    """What one case measured.

    ``bytes`` are those of the source columns that its pipelines read; ``rows_per_second`` is 0 for fixed costs. A
    peer has a time in ``peer_ms`` if it gave the same rows, else a reason in ``problems``.
    """

    name: str
    ms: float
    rows_per_second: float
    bytes: int
    bandwidth_share: float
    devices: list[str]
    tiers: list[str]
    peer_ms: dict[str, float] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def run_micro(options: argparse.Namespace, settings: dict[str, str]) -> int:
    """Run all cases and print them; 1 if a peer gave other rows."""
    too_many = {group_case(groups) for groups in GROUP_COUNTS if groups > options.rows}
    cases = [
        case for case in CASES if options.only.lower() in case.name.lower() and case.name not in too_many
    ]
    reports = []
    with connect(
        options.device, options.threads, on_unsupported=options.on_unsupported, **settings
    ) as connection:
        peers = open_peers(options.compare, connection.settings.threads)
        bandwidth = copy_bytes_per_s(connection.device.name, connection.settings.threads)
        print(
            f"{options.rows:,} rows, device {connection.device.name} ({connection.device.reason}), "
            f"{connection.settings.threads} threads, median of {options.runs} runs, "
            f"its memory copies {bandwidth / 1e9:.1f} GB/s"
        )
        beside = "".join(f" {peer.name + ' ms':>11} {'faster':>7}" for peer in peers)
        print(f"{'case':<40} {'ms':>9} {'million rows/s':>15} {'GB/s':>7} {'share':>6}{beside}  tier")
        for case in cases:
            load_inputs(connection, case, options.rows, peers)
            report = measure_case(connection, case, options.rows, options.runs, bandwidth, peers)
            reports.append(report)
            print(
                f"{report.name:<40} {report.ms:>9.2f} {_millions(report.rows_per_second):>15} "
                f"{report.bytes / report.ms / 1e6:>7.2f} {report.bandwidth_share:>6.0%}"
                f"{_beside(report, peers)}  {', '.join(report.tiers)} on {', '.join(report.devices)}",
                flush=True,
            )
        step, groups = largest_group_step(reports)
        for peer in peers:
            print(_summary(reports, peer))
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
    return 1 if any(report.problems for report in reports) else 0


def _beside(report: CaseReport, peers: Sequence[Engine]) -> str:
    """Time of each peer, and how many times faster gpuql is; or what is wrong with it."""
    parts = []
    for peer in peers:
        if peer.name in report.problems:
            parts.append(f" {peer.name}: {report.problems[peer.name]}")
        else:
            ms = report.peer_ms[peer.name]
            parts.append(f" {ms:>11.2f} {ms / report.ms:>6.2f}x")
    return "".join(parts)


def _summary(reports: Sequence[CaseReport], peer: Engine) -> str:
    """Geometric mean of the ratios, and the cases beyond one and a half times the peer's time."""
    ratios = {
        report.name: report.peer_ms[peer.name] / report.ms
        for report in reports
        if peer.name in report.peer_ms
    }
    mean = geometric_mean(list(ratios.values()))
    slow = [f"{name} ({ratio:.2f}x)" for name, ratio in ratios.items() if ratio * 1.5 < 1]
    return (
        f"against {peer.name} on {len(ratios)} cases: geometric mean {mean or 0.0:.2f}x; "
        f"more than 1.5 times its time: {', '.join(slow) or 'none'}"
    )


def largest_group_step(reports: list[CaseReport]) -> tuple[float, int]:
    """Largest ratio of the time of one group count to that of the next smaller one, and where; (0, 0) if not run."""
    times = {report.name: report.ms for report in reports}
    known = [(groups, times[name]) for groups in GROUP_COUNTS if (name := group_case(groups)) in times]
    steps = [(after / before, groups) for (_, before), (groups, after) in itertools.pairwise(known)]
    return max(steps, default=(0.0, 0))


def _millions(rows_per_second: float) -> str:
    return f"{rows_per_second / 1e6:.1f}" if rows_per_second else "-"


def load_inputs(connection: Connection, case: Case, num_rows: int, peers: Sequence[Engine] = ()) -> None:
    """Tables of one case in all engines; those of the case before are let go."""
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
            if peers:
                rows = connection.table(table).to_arrow()
                for peer in peers:
                    peer.load_rows(table, rows)


def measure_case(
    connection: Connection,
    case: Case,
    num_rows: int,
    runs: int,
    bandwidth: float,
    peers: Sequence[Engine] = (),
) -> CaseReport:
    """Median time after two runs, during and after which everything is compiled; peers take turns with it.

    A peer that fails or gives other rows is not timed.
    """
    frame = connection.sql(case.sql)
    for _ in range(2):
        result = frame.collect()
        background.wait()
    problems = {}
    actions = {"": frame.collect}
    for peer in peers:
        problem = _problem(peer, case.sql, list(result.iter_rows()))
        if problem is None:
            actions[peer.name] = partial(peer.execute, case.sql)
        else:
            problems[peer.name] = problem
    times = time_interleaved(actions, case.runs or runs)
    ms = median(times.pop(""))
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
        {name: median(of_peer) for name, of_peer in times.items()},
        problems,
    )


def _problem(peer: Engine, sql: str, expected: Sequence[Row]) -> str | None:
    """Why a peer cannot be timed on a query."""
    try:
        return difference(expected, peer.rows(peer.execute(sql)))
    except Exception as error:  # a peer may raise anything; the report shows it
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
