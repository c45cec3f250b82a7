"""``gpuql bench tpch``, ``tpcds``, ``clickbench``: engines must give the same rows before any of them is timed."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gpuql.bench.data import cache_folder, suite_files
from gpuql.bench.engines import Engine, GpuqlEngine, open_peers, peer_names
from gpuql.bench.machine import describe_machine, peak_resident_bytes
from gpuql.bench.queries import load_queries
from gpuql.bench.rows import Row, difference
from gpuql.bench.suites import SUITES, Suite
from gpuql.bench.ties import QueryText, difference_but_ties, read_query
from gpuql.bench.timing import geometric_mean, median, time_interleaved, time_once
from gpuql.session import connect
from gpuql_kernels.codegen.background import background
from gpuql_kernels.codegen.cpu import counter


@dataclass
class Measurement:
    """One engine on one query. Times in milliseconds; None where ``problem`` says why there is none."""

    engine: str
    first_ms: float | None = None
    hot_ms: float | None = None
    runs_ms: list[float] = field(default_factory=list)
    problem: str | None = None


@dataclass
class QueryReport:
    """One query on all engines; gpuql comes first."""

    number: int
    rows: int | None
    verdict: str
    measurements: list[Measurement]
    devices: list[str] = field(default_factory=list)
    tiers: list[str] = field(default_factory=list)


def run_suite(options: argparse.Namespace, settings: dict[str, str]) -> int:
    """Run the suite ``options.suite``; 1 if some query failed or gave other rows than the first peer."""
    suite = SUITES[options.suite]
    queries = load_queries(suite.name, options.queries)
    limit: str | None = options.memory_limit
    peer_names(options.compare, limit)
    files = suite_files(suite, options.size, options.data)
    if limit is not None:
        settings = {**settings, "memory_limit": limit}
    with connect(
        options.device, options.threads, on_unsupported=options.on_unsupported, **settings
    ) as connection:
        engine = GpuqlEngine(connection)
        folder = settings.get("temp_directory", str(cache_folder()))
        peers = open_peers(options.compare, connection.settings.threads, limit, folder, compressed=suite.rows)
        load_ms = {}
        for contender in (engine, *peers):
            load = partial(contender.load, files, resident=options.source == "memory")
            load_ms[contender.name] = time_once(load)[1]
        print(_heading(suite, options, engine, peers, load_ms))
        reports = []
        for number, sql in queries.items():
            report = measure_query(number, sql, engine, peers, options.runs)
            reports.append(report)
            print(format_report(report, engine.connection.device.name), flush=True)
        print(_summary(reports, peers))
        if options.json:
            _write_json(options, engine, peers, load_ms, reports)
    return 1 if any(report.verdict not in ("same rows", "not compared") for report in reports) else 0


def measure_query(
    number: int, text: str, engine: GpuqlEngine, peers: Sequence[Engine], runs: int
) -> QueryReport:
    """First execution and rows of every engine, compared; then the hot runs of those that gave the right rows.

    How rows of a query without a total order are compared: :mod:`gpuql.bench.ties`. Hot runs begin when the background
    compiler has finished with what the first execution asked of it.
    """
    query = read_query(text)
    sql = query.timed
    measurements = [Measurement(contender.name) for contender in (engine, *peers)]
    rows: dict[str, Sequence[Row]] = {}
    total_rows: dict[str, Sequence[Row]] = {}
    metrics: Any = None
    for contender, measurement in zip((engine, *peers), measurements, strict=True):
        try:
            result, measurement.first_ms = time_once(partial(contender.execute, sql))
            rows[contender.name] = contender.rows(result)
            if query.total is not None:
                total_rows[contender.name] = contender.rows(contender.execute(query.total))
        except Exception as error:  # a peer may raise anything; the report shows it
            measurement.problem = (
                f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            )
            continue
        if contender is engine:
            metrics = result.metrics
    report = QueryReport(number, len(rows[engine.name]) if engine.name in rows else None, "", measurements)
    if metrics is not None:
        report.devices = sorted({pipeline.device for pipeline in metrics.pipelines})
        report.tiers = sorted({pipeline.tier for pipeline in metrics.pipelines})
    report.verdict = _verdict(engine, peers, query, (rows, total_rows), measurements)
    if report.verdict in ("same rows", "not compared"):
        background.wait()
        timed = {
            contender.name: partial(contender.execute, sql)
            for contender, measurement in zip((engine, *peers), measurements, strict=True)
            if measurement.problem is None
        }
        times = time_interleaved(timed, runs)
        for measurement in measurements:
            if measurement.engine in times:
                measurement.runs_ms = [round(value, 3) for value in times[measurement.engine]]
                measurement.hot_ms = median(times[measurement.engine])
    return report


def _verdict(
    engine: Engine,
    peers: Sequence[Engine],
    query: QueryText,
    results: tuple[dict[str, Sequence[Row]], dict[str, Sequence[Row]]],
    measurements: Sequence[Measurement],
) -> str:
    """Compare with every peer that ran; the first of them is the judge, a later one that differs drops out."""
    rows, total_rows = results
    if any(m.engine == engine.name and m.problem for m in measurements):
        return "failed"
    failed = {measurement.engine for measurement in measurements if measurement.problem}
    judges = [peer for peer in peers if peer.name not in failed]
    if not judges:
        return "not compared"
    verdict = "same rows"
    for position, peer in enumerate(judges):
        found = difference_but_ties(query, rows[engine.name], rows[peer.name])
        if found is None and query.total is not None:
            found = difference(total_rows[engine.name], total_rows[peer.name])
        if found is not None:
            if position == 0:
                verdict = f"OTHER ROWS than {peer.name}: {found}"
            else:
                measurement = next(m for m in measurements if m.engine == peer.name)
                measurement.problem = f"other rows: {found}"
    return verdict


def format_report(report: QueryReport, device: str) -> str:
    """One line of the table."""
    ours, *peers = report.measurements
    rows = "-" if report.rows is None else f"{report.rows:,}"
    parts = [f"Q{report.number:02d}", f"{rows:>8}", _cell(ours, report, device)]
    for peer in peers:
        parts.append(_cell(peer))
        ratio = _ratio(ours, peer)
        parts.append(
            f"{ratio:6.2f}x" if ratio is not None and not _ran_elsewhere(report, device) else f"{'-':>7}"
        )
    notes = [report.verdict] + [f"{m.engine}: {m.problem}" for m in report.measurements if m.problem]
    if _ran_elsewhere(report, device):
        notes.append(f"not a {device} figure: ran on {', '.join(report.devices)}")
    return "  ".join(parts) + "  " + "; ".join(notes)


def _cell(measurement: Measurement, report: QueryReport | None = None, device: str = "") -> str:
    if measurement.hot_ms is None:
        return f"{'not run' if measurement.problem else '-':>10} {'':>10}"
    if report is not None and _ran_elsewhere(report, device):
        return f"{'-':>10} {'':>10}"
    return f"{measurement.hot_ms:>10.1f} {measurement.first_ms or 0.0:>10.1f}"


def _ran_elsewhere(report: QueryReport, device: str) -> bool:
    """A GPU figure of which a part ran on the CPU is not a GPU figure."""
    return device == "gpu" and report.devices != ["gpu"]


def _ratio(ours: Measurement, peer: Measurement) -> float | None:
    """How many times faster than the peer; None if either was not timed."""
    return peer.hot_ms / ours.hot_ms if ours.hot_ms and peer.hot_ms else None


def _heading(
    suite: Suite,
    options: argparse.Namespace,
    engine: GpuqlEngine,
    peers: Sequence[Engine],
    load_ms: dict[str, float],
) -> str:
    device = engine.connection.device
    lines = [
        f"{suite.title} {suite.size_text(options.size)}, tables in {options.source}, "
        f"device {device.name} ({device.reason}), "
        f"{engine.connection.settings.threads} threads each, median of {options.runs} runs",
        "loaded in " + ", ".join(f"{name} {elapsed / 1000:.1f} s" for name, elapsed in load_ms.items()),
    ]
    if options.memory_limit is not None:
        lines.append(
            f"memory limit {options.memory_limit} for each engine; what does not fit is in temporary files, "
            "and DuckDB's tables are in a database file, compressed"
        )
    elif options.source == "parquet":
        lines.append("decoded columns stay in memory between queries, as long as the files do not change")
    if suite.rows:
        lines.append("queries whose ORDER BY has ties are compared with a total order as well")
    if suite.rows and options.memory_limit is None and options.source == "memory":
        lines.append("DuckDB's table is compressed, in memory")
    header = ["  Q", f"{'rows':>8}", f"{'gpuql ms':>10} {'first':>10}"]
    for peer in peers:
        header += [f"{peer.name + ' ms':>10} {'first':>10}", f"{'faster':>7}"]
    return "\n".join([*lines, "  ".join(header)])


def _summary(reports: Sequence[QueryReport], peers: Sequence[Engine]) -> str:
    same = sum(report.verdict == "same rows" for report in reports)
    lines = [f"{same} of {len(reports)} queries: same rows"]
    timed = [[measurement.hot_ms for measurement in report.measurements] for report in reports]
    first = [[measurement.first_ms for measurement in report.measurements] for report in reports]
    for position, peer in enumerate(peers, start=1):
        lines += _comparison(f"against {peer.name}", [(times[0], times[position]) for times in timed])
        lines += _comparison(
            f"first execution against {peer.name}", [(times[0], times[position]) for times in first]
        )
    if len(peers) > 1:
        best = [(times[0], min((t for t in times[1:] if t), default=None)) for times in timed]
        lines += _comparison("against the best peer of each query", best)
    if any(peer.name == "polars" for peer in peers):
        lines.append(
            "polars runs the same SQL text through its SQLContext, which joins tables in the order written"
        )
    lines.append(f"compiled: {counter.compiled} pipelines, loaded from disk: {counter.loaded}")
    lines.append(
        f"peak memory of this process, all engines and their tables: {peak_resident_bytes() / 1e9:.2f} GB"
    )
    return "\n".join(lines)


def _comparison(title: str, pairs: Sequence[tuple[float | None, float | None]]) -> list[str]:
    """A line on the queries that both sides ran, or none."""
    both = [(ours, theirs) for ours, theirs in pairs if ours and theirs]
    mean = geometric_mean([theirs / ours for ours, theirs in both])
    if mean is None:
        return []
    ours_ms, theirs_ms = (sum(pair[side] for pair in both) for side in (0, 1))
    slower = sum(theirs < ours for ours, theirs in both)
    return [
        f"{title} on {len(both)} queries: geometric mean {mean:.2f}x, "
        f"sum {ours_ms:.0f} ms against {theirs_ms:.0f} ms, slower on {slower}"
    ]


def _write_json(
    options: argparse.Namespace,
    engine: GpuqlEngine,
    peers: Sequence[Engine],
    load_ms: dict[str, float],
    reports: Sequence[QueryReport],
) -> None:
    document = {
        "suite": options.suite,
        "rows" if SUITES[options.suite].rows else "scale_factor": options.size,
        "source": options.source,
        "device": engine.connection.device.name,
        "measured_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "settings": engine.connection.settings.as_dict(),
        "engines": {contender.name: contender.version for contender in (engine, *peers)},
        "load_ms": load_ms,
        "compiled_pipelines": counter.compiled,
        "pipelines_loaded_from_disk": counter.loaded,
        "peak_resident_bytes": peak_resident_bytes(),
        "queries": [asdict(report) for report in reports],
    }
    Path(options.json).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"written to {options.json}", file=sys.stderr)
