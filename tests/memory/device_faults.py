"""Failures at every point of queries on ``device="cudasim"``; run as a program, prints JSON.

Needs NUMBA_ENABLE_CUDASIM=1. Arguments: a folder for temporary files, up to which passing of a point each one fails
(0: two of each), and names of queries and of failures (all without any).
"""

from __future__ import annotations

import errno
import gc
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import gpuql
from gpuql.bench.rows import Row, difference
from gpuql.errors import GpuqlError, OutOfMemoryError
from gpuql.memory import faults
from gpuql.memory.device_memory import DeviceMemory, device_memory
from gpuql.session import Connection
from tests.memory.device_cases import CASES, answers, filled, left_behind, scale_down, tables

NUM_ROWS = 600
#: Ten queries, by topic and name, whose rows move to the host and on to files under these limits.
QUERIES = [
    ("join", "inner by text"),
    ("join", "left"),
    ("join", "full with residual"),
    ("join", "not in with NULLs"),
    ("aggregation", "count distinct in groups"),
    ("aggregation", "first"),
    ("set operation", "except of text"),
    ("sort", "several keys"),
    ("sort", "joined rows"),
    ("window", "running sum"),
]
GPU_LIMIT, LIMIT = "40KB", "100KB"


class CUDARuntimeError(RuntimeError):
    """As CuPy calls it."""


#: What fails at each point in real life; launches fail in two ways.
FAILURES: dict[str, tuple[str, Callable[[], BaseException]]] = {
    "launch": (faults.KERNEL_LAUNCH, lambda: CUDARuntimeError("cudaErrorLaunchFailure: launch failed")),
    "launch without memory": (faults.KERNEL_LAUNCH, lambda: MemoryError("std::bad_alloc: out_of_memory")),
    "allocation": (faults.ALLOCATION, lambda: MemoryError("std::bad_alloc: out_of_memory")),
    "reservation": (faults.RESERVATION, lambda: OutOfMemoryError("injected: nothing is left")),
    "file write": (faults.FILE_WRITE, lambda: OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))),
    "file read": (faults.FILE_READ, lambda: OSError(errno.EIO, os.strerror(errno.EIO))),
}


class Trials:
    """A connection, the right rows, and what came of each trial."""

    def __init__(self, folder: str) -> None:
        data = tables(NUM_ROWS)
        self.queries = {name: CASES[topic][name] for topic, name in QUERIES}
        self.right: dict[str, list[Row]] = answers(data, self.queries)
        self.connection: Connection = filled(
            gpuql.connect(device="cudasim", temp_directory=folder, batch_rows=128), data
        )
        self.memory: DeviceMemory = device_memory(self.connection.device)
        self.connection.set_variable("gpu_memory_limit", GPU_LIMIT)
        self.connection.set_variable("memory_limit", LIMIT)
        self.outcomes: Counter[str] = Counter()
        self.bad: list[str] = []

    def one(self, name: str, failure: str, nth: int) -> faults.Fault:
        """Let the ``nth`` passing fail while a query runs."""
        point, error = FAILURES[failure]
        self.memory.columns.clear()
        with faults.injected(faults.Fault(point, nth, error)) as fault:
            outcome = self.outcome(name)
        if not fault.raised and outcome != "rows":
            outcome = f"failed by itself: {outcome}"
        if left_behind(self.connection, self.memory):
            gc.collect()
        left = left_behind(self.connection, self.memory)
        if left or ":" in outcome:
            self.bad.append(f"{name}, {failure} {nth}: {outcome} {left or ''}")
        self.outcomes[f"{failure}: {outcome.partition(':')[0]}"] += 1
        return fault

    def outcome(self, name: str) -> str:
        """The type of a typed error, "rows", or more words if neither came."""
        try:
            result = self.connection.sql(self.queries[name]).collect()
            wrong = difference(result.fetchall(), self.right[name])
            result.close()
        except GpuqlError as error:
            return type(error).__name__
        except BaseException as error:
            return f"untyped: {error!r}"
        return "rows" if wrong is None else f"wrong: {wrong}"


def main(folder: str, depth: int, names: list[str]) -> dict[str, Any]:
    scale_down()
    trials = Trials(folder)
    passes: dict[str, dict[str, int]] = {}
    failures = [name for name in names if name in FAILURES] or list(FAILURES)
    for name in [name for name in names if name in trials.queries] or list(trials.queries):
        passes[name] = {}
        for failure in failures:
            passed = trials.one(name, failure, 1 << 60).passed
            passes[name][failure] = passed
            chosen = range(1, min(depth, passed) + 1) if depth else sorted({-(-passed // 3), passed} - {0})
            for nth in chosen:
                trials.one(name, failure, nth)
        print(name, passes[name], dict(trials.outcomes), file=sys.stderr)
        if (outcome := trials.outcome(name)) != "rows":
            trials.bad.append(f"{name} afterwards: {outcome}")
    trials.connection.close()
    return {"passes": passes, "outcomes": trials.outcomes, "bad": trials.bad}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])))
