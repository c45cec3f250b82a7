"""TPC-H on one engine: rows and times of every query. Engines run in steps of their own, one after the other.

gpuql's step keeps its rows in the work folder; the steps of the peers compare theirs with them.
"""

from __future__ import annotations

import gc
import pickle
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gpuql.bench.data import suite_files
from gpuql.bench.engines import Engine, GpuqlEngine, open_peers
from gpuql.bench.queries import load_queries
from gpuql.bench.report_steps.bandwidth import copy_rate
from gpuql.bench.report_steps.contract import StepContext, error_text
from gpuql.bench.report_steps.out_of_core import memory_figures
from gpuql.bench.rows import Row, difference
from gpuql.bench.suites import TPCH
from gpuql.bench.timing import median, time_once
from gpuql.session import connect
from gpuql_kernels.codegen.background import background
from gpuql_kernels.codegen.cpu import counter

#: Timed runs of a query, unless they take longer than this altogether; two at least.
_HOT_RUNS = 5
_HOT_SECONDS = 2.0


def run_gpuql(context: StepContext) -> None:
    """All queries on the device of the report."""
    _run_gpuql(context, context.device, keep=_KeptRows(context))


def run_gpuql_cpu(context: StepContext) -> None:
    """All queries of gpuql on the processor, to compare the devices."""
    _run_gpuql(context, "cpu", keep=None)


def run_duckdb(context: StepContext) -> None:
    """All queries on DuckDB."""
    _run_peer(context, "duckdb")


def run_polars(context: StepContext) -> None:
    """All queries on Polars, with at most three quarters of the memory: it joins in the order written."""
    _limit_memory()
    _run_peer(context, "polars")


def _run_gpuql(context: StepContext, device: str, keep: _KeptRows | None) -> None:
    context.record(copy_bytes_per_s=copy_rate(context) if device == context.device else None)
    with connect(device, context.threads) as connection:
        engine = GpuqlEngine(connection)
        # Tables are host memory whatever the device: reading files on a GPU would send every column there and back.
        connection.set_variable("device", "cpu")
        context.record(engine="gpuql", version=engine.version, load_ms=_load(engine, context))
        connection.set_variable("device", device)
        _measure_all(context, engine, partial(_gpuql_details, engine), keep)
        context.record(pipelines_compiled=counter.compiled, pipelines_loaded=counter.loaded)


def _gpuql_details(engine: GpuqlEngine, result: Any) -> dict[str, Any]:
    pipelines = result.metrics.pipelines
    return {
        "devices": sorted({pipeline.device for pipeline in pipelines}),
        "tiers": sorted({pipeline.tier for pipeline in pipelines}),
        "bytes": sum(pipeline.num_bytes for pipeline in pipelines),
        "pipelines": len(pipelines),
        "setting": engine.connection.settings.device,
        **memory_figures(result.metrics),
    }


def _run_peer(context: StepContext, name: str) -> None:
    [engine] = open_peers(name, context.threads)
    context.record(engine=name, version=engine.version, load_ms=_load(engine, context))
    _measure_all(context, engine, lambda result: {}, None)


def _load(engine: Engine, context: StepContext) -> float:
    files = suite_files(TPCH, context.scale_factor, context.data_folder)
    elapsed = time_once(partial(engine.load, files, resident=True))[1]
    context.say(f"{engine.name} loaded in {elapsed / 1000:.1f} s")
    return elapsed


def _measure_all(
    context: StepContext,
    engine: Engine,
    details: Callable[[Any], dict[str, Any]],
    keep: _KeptRows | None,
) -> None:
    """First execution, rows and hot runs of each query; what fails is recorded and the rest goes on."""
    queries: dict[str, dict[str, Any]] = {}
    kept = _KeptRows(context)
    context.record(queries=queries)
    for number, sql in load_queries("tpch", context.tpch_queries).items():
        if context.seconds_left < 2:
            context.record(note=f"ended before Q{number:02d}: no time left")
            return
        entry = queries[f"Q{number:02d}"] = {"status": "running"}
        context.record(queries=queries)
        try:
            entry |= _measure(context, engine, sql, details, number, keep, kept)
        except Exception as error:  # an engine may raise anything; the report shows it
            entry |= {"status": "failed", "error": error_text(error)}
        context.record(queries=queries)
        context.say(f"{engine.name} Q{number:02d} {_line(entry)}")


def _measure(
    context: StepContext,
    engine: Engine,
    sql: str,
    details: Callable[[Any], dict[str, Any]],
    number: int,
    keep: _KeptRows | None,
    kept: _KeptRows,
) -> dict[str, Any]:
    result, first_ms = time_once(partial(engine.execute, sql))
    rows = engine.rows(result)
    entry: dict[str, Any] = {"first_ms": round(first_ms, 3), "rows": len(rows), **details(result)}
    del result
    if keep is not None:
        keep.put(number, rows)
        entry["verdict"] = "kept for comparison"
    else:
        entry["verdict"] = kept.compare(number, rows)
    del rows
    background.wait()
    # One more run that is not timed: the first one may have been interpreted while code was compiled.
    result = engine.execute(sql)
    entry |= details(result)
    del result
    gc.collect()
    times: list[float] = []
    until = time.monotonic() + min(_HOT_SECONDS, max(0.0, context.seconds_left - 1))
    while len(times) < 2 or (len(times) < _HOT_RUNS and time.monotonic() < until):
        times.append(time_once(partial(engine.execute, sql))[1])
    entry |= {
        "status": "done",
        "hot_ms": round(median(times), 3),
        "runs_ms": [round(value, 3) for value in times],
    }
    bandwidth = context.results.get("copy_bytes_per_s")
    if bandwidth and entry.get("bytes"):
        entry["bandwidth_share"] = entry["bytes"] / (entry["hot_ms"] / 1000) / bandwidth
    return entry


def _line(entry: dict[str, Any]) -> str:
    if entry["status"] != "done":
        return f"{entry['status']}: {entry.get('error', '')}"
    share = f", {entry['bandwidth_share']:.0%} of copy bandwidth" if "bandwidth_share" in entry else ""
    where = f" on {', '.join(entry['devices'])} ({', '.join(entry['tiers'])})" if "devices" in entry else ""
    return f"{entry['hot_ms']:.2f} ms, first {entry['first_ms']:.1f} ms{where}{share}; {entry['verdict']}"


class _KeptRows:
    """Rows of gpuql's queries, in files that only these steps write and read."""

    def __init__(self, context: StepContext) -> None:
        size = f"sf{context.scale_factor:g}{'-small' if context.small else ''}"
        self._folder = context.rows_folder / f"{context.device}-{size}"

    def put(self, number: int, rows: Sequence[Row]) -> None:
        """Keep the rows of a query."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._path(number).write_bytes(pickle.dumps(list(rows)))

    def compare(self, number: int, rows: Sequence[Row]) -> str:
        """Whether ``rows`` are those kept."""
        if not self._path(number).exists():
            return "not compared: gpuql has no rows of this query"
        found = difference(pickle.loads(self._path(number).read_bytes()), rows)
        return "same rows" if found is None else f"OTHER ROWS than gpuql's: {found}"

    def _path(self, number: int) -> Path:
        return self._folder / f"q{number:02d}.pickle"


def _limit_memory() -> None:
    import resource

    from gpuql.bench.machine import memory_bytes

    limit = memory_bytes() * 3 // 4
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
