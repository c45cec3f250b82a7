"""``gpuql bench coverage``: which queries of TPC-DS run wholly on a GPU, simulated if need be, and what keeps the rest.

Each query runs in strict mode (``on_unsupported = 'error'``); one that is refused, or that has to leave the device,
runs again as it may. Its rows are compared with DuckDB's either way.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from gpuql.bench.engines import Engine, GpuqlEngine, open_peers
from gpuql.bench.queries import load_queries
from gpuql.bench.rows import difference
from gpuql.bench.tpcds_sample import sample_files
from gpuql.errors import GpuqlError, NotSupportedError, OutOfMemoryError
from gpuql.session import connect


@dataclass(frozen=True)
class Covered:
    """One query. ``reasons`` say what kept it from the device; none if it ran there wholly.

    ``tiers`` counts its pipelines by tier, ``verdict`` compares its rows with DuckDB's.
    """

    number: int
    num_rows: int
    reasons: tuple[str, ...]
    tiers: dict[str, int]
    verdict: str
    elapsed_s: float


def run_coverage(options: argparse.Namespace, settings: dict[str, str]) -> int:
    """Print a line for each query, and the reasons by how many queries have them; 1 if rows differ or a query fails."""
    queries = load_queries("tpcds", options.queries)
    files = sample_files(options.size, options.rows, options.data)
    with connect(options.device, 1, **settings) as connection:
        engine = GpuqlEngine(connection)
        [judge] = open_peers("duckdb", 1)
        for contender in (engine, judge):
            contender.load(files, resident=True)
        device = connection.device
        print(f"TPC-DS, about {options.rows} rows of each sales table, on {device.name} ({device.reason})")
        covered = []
        for number, sql in queries.items():
            covered.append(cover(number, sql, engine, judge))
            print(_line(covered[-1]), flush=True)
    print(summary(covered, device.name))
    if options.json:
        document = {"device": device.name, "rows": options.rows, "queries": [asdict(one) for one in covered]}
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"written to {options.json}", file=sys.stderr)
    return 1 if any(one.verdict != "same rows" for one in covered) else 0


def cover(number: int, sql: str, engine: GpuqlEngine, judge: Engine) -> Covered:
    """Run a query strictly, or as it may after a refusal, and compare its rows."""
    connection = engine.connection
    started = time.perf_counter()
    reasons: tuple[str, ...] = ()
    try:
        connection.set_variable("on_unsupported", "error")
        try:
            result = engine.execute(sql)
        except (NotSupportedError, OutOfMemoryError) as refusal:
            reasons = refusals(refusal)
            connection.set_variable("on_unsupported", "fallback")
            result = engine.execute(sql)
    except GpuqlError as error:
        reasons = (*reasons, f"{type(error).__name__}: {error.message}")
        return Covered(number, 0, reasons, {}, "failed", time.perf_counter() - started)
    elapsed_s = time.perf_counter() - started
    moved = {pipeline.moved for pipeline in result.metrics.pipelines if pipeline.moved}
    rows = engine.rows(result)
    found = difference(rows, judge.rows(judge.execute(sql)))
    tiers = Counter(pipeline.tier for pipeline in result.metrics.pipelines)
    verdict = "same rows" if found is None else f"OTHER ROWS: {found}"
    return Covered(number, len(rows), (*reasons, *sorted(moved)), dict(tiers), verdict, elapsed_s)


def refusals(error: GpuqlError) -> tuple[str, ...]:
    """Each thing that a refusal names, without the pipeline that it stands in."""
    _, sign, listed = error.message.partition(" asks: ")
    if not sign:
        return (error.message,)
    return tuple(sorted({part.partition(": ")[2] for part in listed.split("; ")}))


def summary(covered: Sequence[Covered], device: str) -> str:
    """How many queries ran wholly on the device, and a table of what kept the others."""
    wholly = sum(not one.reasons for one in covered)
    same = sum(one.verdict == "same rows" for one in covered)
    lines = [
        f"{wholly} of {len(covered)} queries ran wholly on {device}; {same} gave DuckDB's rows, "
        f"{sum(not one.num_rows for one in covered)} of them none"
    ]
    tiers: Counter[str] = Counter()
    for one in covered:
        tiers.update(one.tiers)
    lines.append("pipelines: " + ", ".join(f"{count} {tier}" for tier, count in tiers.most_common()))
    counted = Counter(reason for one in covered for reason in one.reasons)
    lines += [f"{count:>4} queries: {reason}" for reason, count in counted.most_common()]
    return "\n".join(lines)


def _line(one: Covered) -> str:
    where = "wholly on the device" if not one.reasons else "; ".join(one.reasons)
    tiers = ", ".join(f"{count} {tier}" for tier, count in sorted(one.tiers.items()))
    return f"Q{one.number:02d} {one.num_rows:>6} rows {one.elapsed_s:>7.1f} s  {tiers or '-'}: {one.verdict}; {where}"
