"""Queries under ever less memory: the rows must stay the same, and the times say what spilling costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from gpuql.bench.data import suite_files
from gpuql.bench.engines import GpuqlEngine
from gpuql.bench.queries import load_queries
from gpuql.bench.report_steps.contract import StepContext, error_text
from gpuql.bench.rows import Row, difference
from gpuql.bench.suites import TPCH
from gpuql.bench.timing import time_once
from gpuql.errors import GpuqlError
from gpuql.execution.metrics import QueryMetrics
from gpuql.session import connect

#: Queries with a large aggregation, large joins, or both.
_QUERIES = "1,3,5,9,13,18"
#: Limits, as shares of the bytes of the columns that the largest query reads: they mean the same at every scale factor.
_SHARES = (1.0, 0.5, 0.2)


def run(context: StepContext) -> None:
    """Record each query under each limit; a setting that is not there, or refuses the limit, fails the step."""
    setting = "gpu_memory_limit" if context.device != "cpu" else "memory_limit"
    queries = load_queries("tpch", context.tpch_queries or _QUERIES)
    with connect(context.device, context.threads) as connection:
        engine = GpuqlEngine(connection)
        connection.set_variable("device", "cpu")
        engine.load(suite_files(TPCH, context.scale_factor, context.data_folder), resident=True)
        connection.set_variable("device", context.device)
        found: list[dict[str, Any]] = []
        expected: dict[int, list[Row]] = {}
        needed = 0
        for number, sql in queries.items():
            result = engine.execute(sql)
            expected[number] = list(engine.rows(result))
            needed = max(needed, sum(pipeline.num_bytes for pipeline in result.metrics.pipelines))
            del result
        context.record(setting=setting, largest_query_bytes=needed, runs=found)
        # Not below a megabyte, which tiny data may well need.
        limits = {f"{max(1 << 10, int(needed * share) >> 10)}KiB": share for share in reversed(_SHARES)}
        for limit, share in sorted(limits.items(), key=lambda item: -item[1]):
            try:
                connection.set_variable(setting, limit)
            except GpuqlError as error:
                context.record(error=f"SET {setting} = '{limit}': {error_text(error)}")
                raise
            for number, sql in queries.items():
                if context.seconds_left < 3:
                    context.record(note="ended early: no time left")
                    return
                outcome = _run_limited(engine, sql, expected[number])
                found.append({"query": f"Q{number:02d}", "share": share, "limit": limit, **outcome})
                context.record(runs=found)
                context.say(f"Q{number:02d} in {limit}: {outcome}")


def _run_limited(engine: GpuqlEngine, sql: str, expected: Sequence[Row]) -> dict[str, Any]:
    """One run, with what moved to slower memory meanwhile."""
    try:
        result, elapsed = time_once(partial(engine.execute, sql))
    except GpuqlError as error:
        return {"status": "failed", "error": error_text(error)}
    found = difference(expected, list(engine.rows(result)))
    memory = memory_figures(result.metrics)
    return {"status": "done", "ms": round(elapsed, 3), "verdict": found or "same rows", **memory}


def memory_figures(metrics: QueryMetrics) -> dict[str, Any]:
    """Bytes that moved, peaks, and pipelines that ran elsewhere than planned; what is zero or empty is left out."""
    figures: dict[str, Any] = {
        "spilled_to_files": metrics.memory.spilled_bytes,
        "host_peak_bytes": metrics.memory.peak_bytes,
        "partitions": metrics.memory.partitions,
    }
    if metrics.device_memory is not None:
        figures["spilled_to_host"] = metrics.device_memory.spilled_bytes
        figures["device_peak_bytes"] = metrics.device_memory.peak_bytes
        figures["partitions"] += metrics.device_memory.partitions
    figures["moved"] = sorted({pipeline.moved for pipeline in metrics.pipelines if pipeline.moved})
    return {name: value for name, value in figures.items() if value}
