"""Every operator under every shortage of memory on ``device="cudasim"``; run as a program, prints JSON.

Needs NUMBA_ENABLE_CUDASIM=1. Arguments: a folder for temporary files, and names of cases (all without any).
"""

from __future__ import annotations

import gc
import json
import sys
import time
from typing import Any

import gpuql
from gpuql.bench.rows import Row, difference
from gpuql.errors import GpuqlError
from gpuql.memory.device_memory import DeviceMemory, device_memory
from gpuql.session import Connection
from tests.memory.device_cases import CASES, answers, filled, left_behind, scale_down, tables

#: ``gpu_memory_limit`` and ``memory_limit``: where rows are, and where to they have to move. The tables take 200 kB.
LIMITS = {
    "device": ("1GB", "1GB"),
    "host": ("100KB", "100MB"),
    "disk": ("100KB", "240KB"),
    "cpu": ("12KB", "240KB"),
}


def main(folder: str, names: list[str]) -> list[dict[str, Any]]:
    scale_down()
    data = tables()
    queries = {name: sql for group in CASES.values() for name, sql in group.items()}
    right = answers(data, queries)
    connection = filled(
        gpuql.connect(device="cudasim", temp_directory=folder, batch_rows=512, threads=1), data
    )
    memory = device_memory(connection.device)
    runs = []
    for shortage, (gpu_limit, limit) in LIMITS.items():
        connection.set_variable("gpu_memory_limit", gpu_limit)
        connection.set_variable("memory_limit", limit)
        for topic, group in CASES.items():
            for name in group:
                if not names or name in names:
                    memory.columns.clear()
                    found = run(connection, memory, queries[name], right[name])
                    runs.append({"name": name, "topic": topic, "shortage": shortage, **found})
                    print(shortage, name, found["elapsed_s"], found["outcome"], file=sys.stderr)
    connection.close()
    return runs


def run(connection: Connection, memory: DeviceMemory, sql: str, right: list[Row]) -> dict[str, Any]:
    """One query: what came of it, where it ran, and what it left behind."""
    started = time.process_time()
    found: dict[str, Any] = {"outcome": "rows"}
    try:
        result = connection.sql(sql).collect()
        wrong = difference(result.fetchall(), right)
    except GpuqlError as error:
        found["outcome"] = f"{type(error).__name__}: {error}"
    except BaseException as error:
        found["outcome"] = f"untyped {type(error).__name__}: {error}"
    else:
        if wrong is not None:
            found["outcome"] = f"wrong: {wrong}"
        metrics, device = result.metrics, result.metrics.device_memory
        found |= {
            "devices": [pipeline.device for pipeline in metrics.pipelines],
            "moved": [pipeline.moved for pipeline in metrics.pipelines],
            "parts": max(pipeline.num_parts for pipeline in metrics.pipelines),
            "partitions": device.partitions if device else 0,
            "to_host": device.spilled_bytes if device else 0,
            "to_files": metrics.memory.spilled_bytes,
        }
        result.close()
        del result
    if left_behind(connection, memory):
        gc.collect()
    found["left"] = left_behind(connection, memory)
    found["elapsed_s"] = round(time.process_time() - started, 2)
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2:])))
