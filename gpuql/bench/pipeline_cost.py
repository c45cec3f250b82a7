"""What a pipeline costs however little it reads: launches, waits and the way through the executor."""

from __future__ import annotations

import statistics
import time

import numpy as np

from gpuql.device import open_device
from gpuql.session import connect

#: A query of few rows and several pipelines: its time is almost only what pipelines cost however little they read.
_FIXED_COST_QUERY = "SELECT g, count(*), sum(a) FROM small JOIN other USING (a) GROUP BY g ORDER BY g"
_FIXED_COST_RUNS = 50


def pipeline_seconds(device: str, threads: int) -> float:
    """Seconds that one pipeline of a query over few rows takes on a device, once everything is compiled."""
    numbers = np.arange(1000)
    with connect(open_device(device).name, threads) as connection:
        connection.register("small", {"a": numbers, "g": numbers % 7})
        connection.register("other", {"a": numbers})
        frame = connection.sql(_FIXED_COST_QUERY)
        times = []
        for _ in range(_FIXED_COST_RUNS):
            started = time.perf_counter()
            result = frame.collect()
            times.append(time.perf_counter() - started)
        assert result.metrics is not None, "a query that ran was measured"
        return statistics.median(times) / len(result.metrics.pipelines)
