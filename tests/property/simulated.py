"""A few random expressions and queries on ``device="cudasim"``; run as a program with NUMBA_ENABLE_CUDASIM=1."""

from __future__ import annotations

import random
import sys

from tests.property.engines import Oracle, run
from tests.property.expressions import ExpressionGenerator
from tests.property.queries import QueryGenerator
from tests.property.sweep import Report, connect
from tests.property.wide_keys import wide_aggregation


def main(seed: int, expressions: int = 40, queries: int = 40, wide: int = 12) -> int:
    """Compare with DuckDB and print the differences; their number is the exit status (at most 1)."""
    oracle = Oracle(seed, tame_rows=40, extreme_rows=20)
    report = Report()
    with connect(oracle, device="cudasim", tier="compiled") as engine:
        generator = ExpressionGenerator(random.Random(f"{seed} simulated"))
        texts = [
            f"SELECT id, min({generator.any(2)}) AS v FROM {table} GROUP BY id"
            for table in ("tame", "extreme")
            for _ in range(expressions // 2)
        ]
        maker = QueryGenerator(random.Random(f"{seed} simulated queries"))
        cases = [(text, False) for text in texts]
        cases += [(query.sql, query.ordered) for query in (maker.query() for _ in range(queries))]
        rng = random.Random(f"{seed} simulated wide keys")
        cases += [(wide_aggregation(rng, ("tame", "extreme")), False) for _ in range(wide)]
        for sql, ordered in cases:
            expected = oracle.run(sql)
            if expected.kind == "unbound":
                continue
            found = run(engine, sql)
            report.counts["queries"] += 1
            report.counts["runs"] += 1
            report.counts["fused"] += "fused" in found.tiers
            report.compare("cudasim", sql, expected, found, oracle, ordered=ordered)
    print("\n".join(report.differences))
    print(report.summary())
    return 1 if report.differences else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
