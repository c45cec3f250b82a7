"""Whether memory comes back: bytes in use before and after many queries."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np

from gpuql.bench.report_steps.contract import StepContext
from gpuql.device import open_device
from gpuql.memory.pool import open_pool
from gpuql.session import connect

#: Many kinds of state: hash tables, join indexes, sorts, strings, and a failure in the middle.
STATEMENTS = (
    "SELECT k % 1000, count(*), sum(v) FROM t GROUP BY k % 1000",
    "SELECT count(*) FROM t JOIN t AS u USING (k)",
    "SELECT k, v FROM t ORDER BY v DESC LIMIT 100",
    "SELECT w, count(DISTINCT k) FROM t GROUP BY w ORDER BY w",
    "SELECT count(*) FROM t WHERE w LIKE '%7%' AND v < 0.5",
    "SELECT k FROM nowhere",
)


def run(context: StepContext) -> None:
    """Record bytes in use after each tenth of the queries; the same statements ran once before the first reading."""
    queries, num_rows = (20, 10_000) if context.small else (200, 2_000_000)
    random = np.random.default_rng(3)
    with connect(context.device, context.threads) as connection:
        words = np.array([f"word {number}" for number in range(200)])
        connection.register(
            "frame",
            {
                "k": random.permutation(num_rows),
                "v": random.random(num_rows),
                "w": words[random.integers(0, 200, num_rows)],
            },
        )
        connection.execute("CREATE TABLE t AS SELECT * FROM frame")
        connection.unregister("frame")
        probe = open_probe(context.device)
        for number in range(2 * len(STATEMENTS)):
            _run(connection, STATEMENTS[number % len(STATEMENTS)])
        readings = [probe()]
        context.record(kind=probe.__name__, queries=queries, readings=readings)
        for number in range(queries):
            _run(connection, STATEMENTS[number % len(STATEMENTS)])
            if (number + 1) % max(1, queries // 10) == 0:
                readings.append(probe())
                context.record(readings=readings, ran=number + 1)
            if context.seconds_left < 3:
                context.record(note=f"ended after {number + 1} queries: no time left")
                break
        growth = readings[-1] - readings[0]
        context.record(growth_bytes=growth)
        context.say(f"{probe.__name__}: {readings[0]:,} bytes before, {growth:+,} after {queries} queries")
    gc.collect()
    context.record(after_close_bytes=probe())


def _run(connection: Any, statement: str) -> None:
    from gpuql.errors import CatalogError

    try:
        connection.sql(statement).fetchall()
    except CatalogError:
        if "nowhere" not in statement:
            raise


def open_probe(device: str) -> Any:
    """A function that says how many bytes are in use: of the device's pool, else of this process."""
    return _pool_bytes() if device == "gpu" else resident_bytes


def _pool_bytes() -> Any:
    pool = open_pool(open_device("gpu").ordinal)

    def device_pool_bytes() -> int:
        gc.collect()
        return pool.used_bytes

    return device_pool_bytes


def resident_bytes() -> int:
    """Memory of this process that is resident now."""
    gc.collect()
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the system does not say how much memory is resident")
