"""Queries on ``device="cudasim"`` with little memory; run as a program with NUMBA_ENABLE_CUDASIM=1, prints JSON."""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
from typing import Any

import numpy as np

import gpuql
from gpuql.errors import GpuqlError, InterruptError, OutOfMemoryError
from gpuql.memory import faults, query_memory
from gpuql.memory.device_memory import device_memory

ROWS = 2000

QUERIES = {
    "filter": "SELECT u, a FROM t WHERE a < 20 ORDER BY u",
    "groups": "SELECT s, count(*), sum(a), min(u) FROM t WHERE a > 500 GROUP BY s ORDER BY s",
    "many groups": "SELECT u, sum(a) FROM t GROUP BY u ORDER BY u",
    "sort": "SELECT a, u, f, n FROM t ORDER BY u DESC",
    "top": "SELECT a, u, f FROM t ORDER BY a, u LIMIT 5",
    "join": "SELECT t.a, x.b, t.u FROM t JOIN x ON t.a = x.a WHERE x.b = 3 ORDER BY 1, 2, 3",
    "left join": "SELECT t.a, x.b, t.u FROM t LEFT JOIN x ON t.a = x.a AND x.b = 3 ORDER BY 1, 2, 3",
    "all rows": "SELECT a, u, s, n FROM t",
    "union": "SELECT a FROM t UNION SELECT b FROM x ORDER BY 1",
}


def main(spill_folder: str) -> dict[str, Any]:
    # Parts of a mebibyte would be more than all of the data here.
    query_memory.MIN_PART_BYTES = 1 << 14
    host = filled(gpuql.connect(device="cpu"))
    expected = {name: host.sql(text).fetchall() for name, text in QUERIES.items()}
    connection = filled(gpuql.connect(device="cudasim", temp_directory=spill_folder))
    memory = device_memory(connection.device)
    report: dict[str, Any] = {"queries": [], "wrong": []}
    for gpu_limit, limit in (("1GB", "1GB"), ("150KB", "100MB"), ("60KB", "100MB")):
        connection.set_variable("gpu_memory_limit", gpu_limit)
        connection.set_variable("memory_limit", limit)
        for name, text in QUERIES.items():
            try:
                result = connection.sql(text).collect()
                rows = result.fetchall()
            except OutOfMemoryError as error:
                report["queries"].append({"name": name, "limits": [gpu_limit, limit], "error": str(error)})
                continue
            if rows != expected[name]:
                report["wrong"].append([name, gpu_limit, limit])
            metrics = result.metrics
            report["queries"].append(
                {
                    "name": name,
                    "limits": [gpu_limit, limit],
                    "devices": [pipeline.device for pipeline in metrics.pipelines],
                    "moved": [pipeline.moved for pipeline in metrics.pipelines],
                    "parts": max(pipeline.num_parts for pipeline in metrics.pipelines),
                    "to_host": metrics.device_memory.spilled_bytes if metrics.device_memory else 0,
                    "to_files": metrics.memory.spilled_bytes,
                    "peak": metrics.device_memory.peak_bytes if metrics.device_memory else 0,
                }
            )
            del result, rows
            beyond_columns = memory.budget.used_bytes - memory.columns.used_bytes
            if beyond_columns or memory.columns.reclaimable_bytes != memory.columns.used_bytes:
                report["wrong"].append([name, gpu_limit, limit, "left behind", beyond_columns])
    report["on_device"] = stays_on_device(connection, memory, expected)
    report["cached"] = cached(connection, memory)
    report["to_files"] = through_all_tiers(connection, memory, expected)
    report["explained"] = explained(connection)
    report["refused"] = refused(connection)
    report["interrupted"] = interrupted(connection, memory)
    report["faults"] = injected(connection, expected)
    report["concurrent"] = concurrent(connection, expected)
    connection.close()
    del connection
    report["used_at_end"] = used_at_end(memory)
    return report


def filled(connection: gpuql.Connection) -> gpuql.Connection:
    random = np.random.default_rng(1)
    columns = {
        "a": random.integers(0, 1000, ROWS),
        "b": random.integers(0, 5, ROWS) * 3,
        "s": np.array([f"name {number % 50}" for number in range(ROWS)]),
        "u": np.array([f"unique {number}" for number in range(ROWS)]),
        "f": random.random(ROWS),
    }
    connection.register("frame", columns)
    connection.execute(
        "CREATE TABLE t AS SELECT *, CASE WHEN a % 7 > 0 THEN 10000000 + b END AS n FROM frame"
    )
    connection.execute("CREATE TABLE x AS SELECT a, b FROM frame WHERE a < 300")
    connection.unregister("frame")
    return connection


def stays_on_device(connection: gpuql.Connection, memory: Any, expected: dict[str, Any]) -> dict[str, Any]:
    """A result that is not copied to the host is counted as long as it lives."""
    connection.set_variable("gpu_memory_limit", "1GB")
    result = connection.sql("SELECT a, u, n FROM t WHERE a < 20 ORDER BY u").to_device()
    held = memory.budget.used_bytes - memory.columns.used_bytes
    texts = [bytes(result["u"].data[slice(*result["u"].offsets[[p, p + 1]])]) for p in result["u"].values]
    rows = list(zip(map(bytes.decode, texts), result["a"].values.tolist(), strict=True))
    found = {"device": result.device, "held": held, "right": rows == expected["filter"]}
    found["dtype"] = str(result["a"].values.dtype)
    found["nulls"] = int((~result["n"].validity).sum())
    del result
    gc.collect()
    found["left"] = memory.budget.used_bytes - memory.columns.used_bytes
    return found


def cached(connection: gpuql.Connection, memory: Any) -> dict[str, Any]:
    """Rows of a query that are kept, and copied to the device before they are read."""
    memory.columns.clear()
    frame = connection.sql("SELECT a, count(*) AS c FROM t GROUP BY a").cache(on_device=True)
    copied = memory.columns.used_bytes
    rows = frame.group_by().agg(gpuql.col("c").sum()).fetchall()
    found = {"copied": copied, "rows": rows, "more": memory.columns.used_bytes - copied}
    del frame
    return found


def through_all_tiers(connection: gpuql.Connection, memory: Any, expected: dict[str, Any]) -> int:
    """Rows that neither the device nor the host has room for; bytes that went to files, -1 if they came back wrong."""
    connection.set_variable("gpu_memory_limit", "60KB")
    connection.set_variable("memory_limit", "120KB")
    memory.columns.clear()
    result = connection.sql(QUERIES["all rows"]).collect()
    assert result.metrics.device_memory.spilled_bytes > 0
    to_files = int(result.metrics.memory.spilled_bytes)
    return to_files if result.fetchall() == expected["all rows"] else -1


def explained(connection: gpuql.Connection) -> str:
    """A query that a device has no room for, in parts of any size."""
    connection.set_variable("gpu_memory_limit", "40KB")
    connection.set_variable("memory_limit", "100MB")
    return connection.explain(QUERIES["sort"], analyze=True)


def refused(connection: gpuql.Connection) -> dict[str, Any]:
    connection.set_variable("on_unsupported", "error")
    try:
        connection.sql(QUERIES["sort"]).collect()
    except OutOfMemoryError as error:
        return {"tier": error.tier, "text": str(error)}
    finally:
        connection.set_variable("on_unsupported", None)
    return {}


def interrupted(connection: gpuql.Connection, memory: Any) -> dict[str, Any]:
    """A query of many small steps is stopped while it holds device memory."""
    connection.set_variable("gpu_memory_limit", "60KB")
    found: dict[str, Any] = {}

    def run() -> None:
        try:
            connection.sql(QUERIES["left join"]).collect()
        except InterruptError:
            found["interrupted"] = True

    thread = threading.Thread(target=run)
    thread.start()
    deadline = time.monotonic() + 120
    while memory.budget.used_bytes == memory.columns.used_bytes and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    connection.interrupt()
    thread.join()
    found["left"] = memory.budget.used_bytes - memory.columns.used_bytes
    return found


def injected(connection: gpuql.Connection, expected: dict[str, Any]) -> dict[str, int]:
    """Each point of failure at several counts: the right rows or a typed error, and nothing is left behind."""
    connection.set_variable("gpu_memory_limit", "200KB")
    counts = {"rows": 0, "typed": 0, "other": 0, "left": 0}
    memory = device_memory(connection.device)
    failures = {
        faults.ALLOCATION: lambda: MemoryError("std::bad_alloc: out_of_memory"),
        faults.KERNEL_LAUNCH: lambda: CUDARuntimeError("cudaErrorLaunchFailure: unspecified launch failure"),
        faults.RESERVATION: lambda: OutOfMemoryError("no more"),
    }
    for point, failure in failures.items():
        for number in (1, 2, 5, 13):
            for name in ("groups", "join", "all rows"):
                memory.columns.clear()
                fault = faults.Fault(point, number, failure)
                try:
                    with faults.injected(fault):
                        rows = connection.sql(QUERIES[name]).fetchall()
                    counts["rows" if rows == expected[name] else "other"] += 1
                except GpuqlError:
                    counts["typed"] += 1
                except BaseException as error:
                    print(f"{point} {number} {name}: {error!r}", file=sys.stderr)
                    counts["other"] += 1
                counts["left"] += memory.budget.used_bytes - memory.columns.used_bytes
    return counts


class CUDARuntimeError(RuntimeError):
    """As CuPy calls it."""


def concurrent(connection: gpuql.Connection, expected: dict[str, Any]) -> dict[str, int]:
    """Four threads, one connection, a memory that two of the queries fill."""
    counts = {"rows": 0, "typed": 0, "other": 0}
    lock = threading.Lock()

    def run(first: int) -> None:
        names = list(QUERIES)[first::2]
        for name in names[:3]:
            try:
                key = "rows" if connection.sql(QUERIES[name]).fetchall() == expected[name] else "other"
            except OutOfMemoryError:
                key = "typed"
            with lock:
                counts[key] += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return counts


def used_at_end(memory: Any) -> int:
    gc.collect()
    deadline = time.monotonic() + 120
    while memory.budget.used_bytes and time.monotonic() < deadline:
        time.sleep(0.01)
    return int(memory.budget.used_bytes)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
