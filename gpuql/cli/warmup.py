"""``gpuql warmup``: static kernels compile once per machine; this does it before the first query needs them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from gpuql.session import connect
from gpuql_kernels.codegen.background import background
from gpuql_kernels.codegen.cpu import counter
from gpuql_kernels.static_kernels import compile_all

#: Enough rows that no operator takes its path for tiny inputs.
NUM_ROWS = 300_000

#: One statement per family of kernels, by what it warms up.
STATEMENTS = {
    "join on dense keys": "SELECT count(*), sum(a.v) FROM w a JOIN w b ON a.k = b.k",
    "join on sparse keys": "SELECT count(*) FROM w a JOIN w b ON a.sparse = b.sparse",
    "join on several keys": "SELECT count(*) FROM w a JOIN w b ON a.k = b.k AND a.name = b.name",
    "semi-join": "SELECT count(*) FROM w WHERE k IN (SELECT k FROM w WHERE v > 0.5)",
    "group by few": "SELECT g, count(*), sum(v), min(k), max(k), avg(v) FROM w GROUP BY g",
    "group by many": "SELECT sparse, count(*), sum(k), min(v) FROM w GROUP BY sparse",
    "group by text": "SELECT name, count(*) FROM w GROUP BY name",
    "sort": "SELECT k, v FROM w ORDER BY v DESC, k",
    "top-N": "SELECT k, v FROM w ORDER BY v LIMIT 10",
    "LIKE": "SELECT count(*) FROM w WHERE name LIKE '%a%b%' OR name LIKE 'x%'",
    "wide decimals": "SELECT sum(d * d * 1.000001), g FROM w GROUP BY g",
    "distinct": "SELECT count(DISTINCT sparse), count(DISTINCT name) FROM w",
}


def warmup_columns(num_rows: int) -> dict[str, Any]:
    """Columns of every kind that kernels distinguish."""
    generator = np.random.default_rng(7)
    keys = generator.permutation(num_rows).astype(np.int64)
    words = np.array([f"{prefix}a{number}b" for number in range(num_rows // 4) for prefix in "xyzw"])
    return {
        "k": keys,
        "g": (keys % 7).astype(np.int64),
        "sparse": keys * 1_000_003 % 2_000_000_011,
        "v": generator.random(num_rows),
        "name": words[keys],
    }


def run_warmup(device: str, threads: int | None, settings: dict[str, str]) -> int:
    """Compile the static kernels, run the statements in both tiers, and say how long each took."""
    total = time.perf_counter()
    with connect(device, threads, **settings) as connection:
        print(f"warming up on {connection.device.name}")
        if not connection.device.launches_kernels:
            started = time.perf_counter()
            kernels = compile_all()
            print(
                f"  static kernels         {time.perf_counter() - started:6.2f} s:"
                f" {kernels.compiled} compiled, {kernels.loaded} were on disk"
            )
        connection.register("columns", warmup_columns(NUM_ROWS))
        connection.execute("CREATE TABLE w AS SELECT *, CAST(v * 1000 AS DECIMAL(15, 2)) AS d FROM columns")
        for name, statement in STATEMENTS.items():
            started = time.perf_counter()
            for tier in ("interpreted", "compiled"):
                connection.set_variable("tier", tier)
                connection.sql(statement).collect()
            print(f"  {name:<22} {time.perf_counter() - started:6.2f} s")
        background.wait()
    print(f"  generated pipelines    {counter.compiled} compiled, {counter.loaded} were on disk")
    print(f"done in {time.perf_counter() - total:.1f} s")
    return 0
