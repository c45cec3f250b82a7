"""What every query costs, however little it reads."""

from __future__ import annotations

import numpy as np

from gpuql.bench.report_steps.contract import StepContext
from gpuql.bench.timing import median, time_once
from gpuql.session import Connection, connect

#: Statement by what it shows. ``small`` holds 1,000 rows.
STATEMENTS = {
    "constant": "SELECT 1",
    "one row of 1,000": "SELECT a FROM small WHERE a = 77",
    "sum of 1,000 rows": "SELECT sum(a) FROM small",
    "group by of 1,000 rows": "SELECT a % 7, count(*) FROM small GROUP BY a % 7",
    "join of 1,000 rows": "SELECT count(*) FROM small JOIN small AS other USING (a)",
    "sort of 1,000 rows": "SELECT a FROM small ORDER BY a DESC LIMIT 5",
}


def run(context: StepContext) -> None:
    """Record the median time of each statement in milliseconds, and of the first execution."""
    found: dict[str, dict[str, float]] = {}
    with connect(context.device, context.threads) as connection:
        connection.register("frame", {"a": np.arange(1000)})
        connection.execute("CREATE TABLE small AS SELECT * FROM frame")
        for name, statement in STATEMENTS.items():
            found[name] = _measure(connection, statement, 3 if context.small else 200)
            context.record(statements=found)
            context.say(f"{name}: {found[name]['hot_ms']:.3f} ms, first {found[name]['first_ms']:.1f} ms")


def _measure(connection: Connection, statement: str, runs: int) -> dict[str, float]:
    def fetch() -> object:
        return connection.sql(statement).fetchall()

    first_ms = time_once(fetch)[1]
    time_once(fetch)
    times = sorted(time_once(fetch)[1] for _ in range(runs))
    return {"first_ms": first_ms, "hot_ms": median(times), "slowest_ms": times[-1]}
