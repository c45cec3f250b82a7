"""``gpuql bench out-of-core``: queries over inputs larger than the memory they may take, measured from outside."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pickle
import re
import selectors
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gpuql.bench.data import cache_folder
from gpuql.bench.machine import describe_machine
from gpuql.bench.out_of_core_process import Outcome, Run
from gpuql.bench.rows import difference
from gpuql.config import available_threads
from gpuql.memory.budget import format_bytes
from gpuql_planner.statement_errors import InvalidParameterValue, UndefinedFile

#: A query keeps its promise if its process never had more than this many times the limit resident, beyond what the same
#: process has with small tables.
PROMISED_SHARE = 1.5
#: Bytes of a row of the generated tables in Parquet, about.
_ROW_BYTES = 37
_WARM_ROWS = 100_000


@dataclass(frozen=True)
class Case:
    """A query over ``l`` and ``r``: keys ``k`` and ``s`` are distinct in each, and half of them occur in both."""

    name: str
    sql: str
    streamed: bool = False


_JOINED = "count(*), sum(l.k), sum(r.k), sum(l.d), sum(r.q), min(l.s), max(r.s)"
_SET = "SELECT count(*), sum(k), min(s), max(s) FROM (SELECT k, s FROM l {} SELECT k, s FROM r)"
CASES = (
    Case("inner join", f"SELECT {_JOINED} FROM l JOIN r ON l.k = r.k"),
    Case("inner join by text", f"SELECT {_JOINED} FROM l JOIN r ON l.s = r.s"),
    Case("left join", f"SELECT {_JOINED} FROM l LEFT JOIN r ON l.k = r.k"),
    Case("right join", f"SELECT {_JOINED} FROM l RIGHT JOIN r ON l.k = r.k"),
    Case("full join", f"SELECT {_JOINED} FROM l FULL JOIN r ON l.k = r.k"),
    Case(
        "semi join", "SELECT count(*), sum(k), min(s) FROM l WHERE EXISTS (SELECT 1 FROM r WHERE r.k = l.k)"
    ),
    Case(
        "anti join",
        "SELECT count(*), sum(k), min(s) FROM l WHERE NOT EXISTS (SELECT 1 FROM r WHERE r.k = l.k)",
    ),
    Case("not in", "SELECT count(*), sum(k), min(s) FROM l WHERE k NOT IN (SELECT k FROM r)"),
    Case("join with residual", f"SELECT {_JOINED} FROM l JOIN r ON l.k = r.k AND l.d < r.d"),
    Case(
        "non-equi join",
        "SELECT count(*), sum(l.k) FROM l JOIN (SELECT d FROM r ORDER BY s LIMIT 3) t ON l.d < t.d",
    ),
    Case(
        "group by",
        "SELECT count(*), sum(c), sum(m), min(t) FROM "
        "(SELECT k, count(*) AS c, sum(d) AS m, max(s) AS t FROM l GROUP BY k) g",
    ),
    Case(
        "group by text",
        "SELECT count(*), sum(c), sum(m) FROM (SELECT s, count(q) AS c, sum(d) AS m FROM l GROUP BY s) g",
    ),
    Case("count distinct", "SELECT count(DISTINCT k), count(DISTINCT s), count(DISTINCT q) FROM l"),
    Case("median", "SELECT median(k), median(d) FROM l"),
    Case("union", _SET.format("UNION")),
    Case("intersect", _SET.format("INTERSECT")),
    Case("except", _SET.format("EXCEPT")),
    Case("sort by text", "SELECT k, s, d FROM l ORDER BY s", streamed=True),
    Case("sort by number", "SELECT k, s, d FROM l ORDER BY d DESC, k", streamed=True),
    Case("materialised rows", "SELECT l.k, r.s, l.d FROM l JOIN r ON l.k = r.k ORDER BY l.k", streamed=True),
    Case(
        "cte read twice",
        "WITH t AS MATERIALIZED (SELECT k, d * 2 AS e FROM l WHERE q IS NOT NULL) "
        "SELECT count(*), sum(a.e), max(b.e) FROM t AS a JOIN t AS b ON a.k = b.k",
    ),
)


@dataclass
class Report:
    """One case. ``peak_share`` is what the process took beyond its baseline, in limits."""

    name: str
    verdict: str
    limited_s: float | None = None
    unlimited_s: float | None = None
    duckdb_s: float | None = None
    duckdb_limited: bool = True
    spilled_bytes: int = 0
    partitions: int = 0
    budget_peak_bytes: int = 0
    baseline_bytes: int = 0
    peak_bytes: int = 0
    peak_share: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the rows are right and the memory is within what was promised."""
        return (
            self.verdict == "same rows" and self.peak_share is not None and self.peak_share < PROMISED_SHARE
        )


def run_out_of_core(options: argparse.Namespace, settings: dict[str, str]) -> int:
    """Run the cases; 1 if one of them failed, gave other rows than DuckDB, or took more memory than promised."""
    cases = [case for case in CASES if options.only in case.name]
    if not cases:
        raise InvalidParameterValue(
            f"no such case in out-of-core: {options.only} (cases: {', '.join(c.name for c in CASES)})"
        )
    with tempfile.TemporaryDirectory(prefix="gpuql-out-of-core-") as scratch:
        bench = _Bench(options, settings, Path(scratch))
        print(bench.heading())
        reports = []
        for case in cases:
            reports.append(bench.measure(case))
            print(format_report(reports[-1]), flush=True)
    kept = sum(report.kept for report in reports)
    print(
        f"{kept} of {len(reports)}: rows as DuckDB's, less than {PROMISED_SHARE} x the limit above the baseline"
    )
    if options.json:
        document = bench.description() | {
            "cases": [asdict(report) | {"kept": report.kept} for report in reports]
        }
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"written to {options.json}", file=sys.stderr)
    return 0 if kept == len(reports) else 1


class _Bench:
    """Input files, limits, and the processes that read them."""

    def __init__(self, options: argparse.Namespace, settings: dict[str, str], scratch: Path) -> None:
        self._scratch = scratch
        self._timeout_s = options.timeout
        self._limited_only = options.limited_only
        self._files = _tables(options.input_mb * 1_000_000 // (2 * _ROW_BYTES))
        self._warm_files = _tables(_WARM_ROWS)
        self.input_bytes = sum(os.path.getsize(path) for path in self._files.values())
        self.limit_bytes = int(options.limit_share * self.input_bytes)
        self.threads = options.threads or available_threads()
        self._settings: dict[str, Any] = {
            "device": options.device,
            "threads": self.threads,
            "temp_directory": str(scratch / "spill"),
            **settings,
        }

    def heading(self) -> str:
        """What is about to be measured."""
        return (
            f"{format_bytes(self.input_bytes)} of Parquet, memory_limit {format_bytes(self.limit_bytes)}, "
            f"{self.threads} threads; memory is measured from outside, above that of the same process on small "
            f"tables\n{'':20}{'limited':>9}{'unlimited':>10}{'slower':>8}{'DuckDB':>9}{'spilled':>11}{'peak':>11}"
            f"{'of limit':>9}"
        )

    def description(self) -> dict[str, Any]:
        """The heading for machines."""
        return {
            "suite": "out-of-core",
            "measured_at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "machine": describe_machine(),
            "settings": self._settings,
            "input_bytes": self.input_bytes,
            "limit_bytes": self.limit_bytes,
            "promised_share": PROMISED_SHARE,
        }

    def measure(self, case: Case) -> Report:
        """Without a limit (which also leaves compiled code for the others), on small tables, then within the limit."""
        limit = {"memory_limit": f"{self.limit_bytes}B"}
        expected = self._duckdb(case)
        if self._limited_only:
            self._run(case, self._settings | limit, small=True)  # compiles, which would count as baseline
            unlimited = Outcome(error="not run")
        else:
            unlimited, _ = self._run(case, self._settings)
        _, baseline_bytes = self._run(case, self._settings | limit, small=True)
        limited, peak_bytes = self._run(case, self._settings | limit)
        report = Report(case.name, "same rows")
        if limited.error or expected[0].error:
            report.verdict = limited.error or f"DuckDB: {expected[0].error}"
        else:
            other = difference(limited.rows, expected[0].rows)
            report.verdict = "same rows" if other is None else f"OTHER ROWS than duckdb: {other}"
        if expected[0].error is None:
            report.duckdb_s, report.duckdb_limited = expected[0].seconds, expected[1]
        if unlimited.error is None:
            report.unlimited_s = unlimited.seconds
        if limited.error is None:
            report.limited_s = limited.seconds
        report.spilled_bytes, report.partitions = limited.spilled_bytes, limited.partitions
        report.budget_peak_bytes = limited.budget_peak_bytes
        report.baseline_bytes, report.peak_bytes = baseline_bytes, peak_bytes
        if peak_bytes:
            report.peak_share = max(0, peak_bytes - baseline_bytes) / self.limit_bytes
        return report

    def _duckdb(self, case: Case) -> tuple[Outcome, bool]:
        """DuckDB's answer, and whether it got by with the same limit, or was to."""
        settings = {"threads": self.threads, "temp_directory": str(self._scratch / "duckdb")}
        if self._limited_only:
            return self._run(case, settings, engine="duckdb")[0], False
        limit = {"memory_limit": f"{max(1, self.limit_bytes // 1000)}KB"}
        limited, _ = self._run(case, settings | limit, engine="duckdb")
        if limited.error is None:
            return limited, True
        return self._run(case, settings, engine="duckdb")[0], False

    def _run(
        self, case: Case, settings: dict[str, Any], *, engine: str = "gpuql", small: bool = False
    ) -> tuple[Outcome, int]:
        """What came of a case in a process of its own, and the most bytes that were resident in it."""
        path = self._scratch / "outcome"
        files = {} if small else self._files
        warm_files = {} if engine == "duckdb" else self._warm_files
        run = Run(engine, case.sql, warm_files, files, settings, str(path), case.streamed)
        command = [sys.executable, "-m", "gpuql.bench.out_of_core_process", json.dumps(asdict(run))]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                done = _line_within(process, self._timeout_s)
            except TimeoutError:
                process.kill()
                return Outcome(error=f"no answer in {self._timeout_s} s"), 0
            if done != "done":
                process.wait()
                return Outcome(error=f"process ended with {process.returncode}"), 0
            peak_bytes = _peak_bytes(process.pid)
        return Outcome(**pickle.loads(path.read_bytes())), peak_bytes


def _line_within(process: subprocess.Popen[str], seconds: float) -> str:
    """The next line that the process prints. Errors: TimeoutError."""
    assert process.stdout is not None, "its output is a pipe"
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        if not selector.select(seconds):
            raise TimeoutError
    return process.stdout.readline().strip()


def _peak_bytes(process_id: int) -> int:
    """Most bytes of a running process that were ever resident, as the system counted them."""
    status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


def _tables(num_rows: int) -> dict[str, str]:
    """Parquet files of ``l`` and ``r``, of ``num_rows`` rows each, made once into the cache.

    Row ``i`` has the distinct keys ``k`` and ``s`` of number ``i``; ``r`` begins in the middle of ``l``. ``d`` is
    random, ``q`` is one of a thousand numbers or, in a tenth of the rows, NULL.
    """
    folder = cache_folder() / "out-of-core" / f"{num_rows}"
    files = {name: folder / f"{name}.parquet" for name in ("l", "r")}
    if not all(path.exists() for path in files.values()):
        try:
            import duckdb
        except ImportError:
            raise UndefinedFile(
                "DuckDB makes the tables: not found", hint="pip install 'gpuql[bench]'"
            ) from None
        folder.mkdir(parents=True, exist_ok=True)
        for start, (name, path) in zip((0, num_rows // 2), files.items(), strict=True):
            unfinished = path.with_suffix(f".{os.getpid()}")
            rows = (
                "SELECT (i * 2654435761) % 4294967291 AS k, substr(md5(CAST(i AS VARCHAR)), 1, 16) AS s, "
                f"CAST(hash(i, '{name}') % 1000000000 AS DECIMAL(14, 2)) / 100 AS x, "
                f"CAST(x AS DECIMAL(12, 2)) AS d, "
                "CASE WHEN i % 10 = 3 THEN NULL ELSE CAST(hash(i, 0) % 1000 AS INTEGER) END AS q "
                f"FROM range({start}, {start + num_rows}) AS t(i)"
            )
            statement = f"COPY (SELECT k, s, d, q FROM ({rows})) TO '{unfinished}' (FORMAT parquet)"
            duckdb.connect(config={"memory_limit": "1GB"}).execute(statement)
            unfinished.replace(path)
    return {name: str(path) for name, path in files.items()}


def format_report(report: Report) -> str:
    """A line of the table."""
    slower = (
        f"{report.limited_s / report.unlimited_s:.1f}x" if report.limited_s and report.unlimited_s else "-"
    )
    share = "-" if report.peak_share is None else f"{report.peak_share:.2f}"
    remarks = [] if report.verdict == "same rows" else [report.verdict]
    if report.verdict == "same rows" and not report.kept:
        remarks.append("MORE MEMORY than promised")
    if not report.duckdb_limited:
        remarks.append("DuckDB without a limit")
    above = format_bytes(max(0, report.peak_bytes - report.baseline_bytes))
    return (
        f"{report.name:20}{_seconds(report.limited_s):>9}{_seconds(report.unlimited_s):>10}{slower:>8}"
        f"{_seconds(report.duckdb_s):>9}{format_bytes(report.spilled_bytes):>11}{above:>11}{share:>9}"
        f"  {'; '.join(remarks)}"
    ).rstrip()


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.2f} s"
