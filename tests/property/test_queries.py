"""Random queries in several configurations: all give what DuckDB gives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import gpuql
from tests.property.engines import Oracle
from tests.property.sweep import QuerySweep, Report, connect, connect_to_parquet

#: How often a query runs in each configuration.
SHARES = {
    "interpreted": 1.0,
    "unoptimized": 0.5,
    "batches of 3": 0.08,
    "batches of 1": 0.03,
    "one thread": 0.3,
    "auto": 0.3,
    "compiled": 0.15,
    "compiled, unoptimized": 0.05,
    "parquet": 0.3,
}
CONFIGURATIONS: dict[str, dict[str, str | int | bool]] = {
    "unoptimized": {"tier": "interpreted", "optimizer": False},
    "batches of 3": {"tier": "interpreted", "batch_rows": 3},
    "batches of 1": {"tier": "interpreted", "batch_rows": 1, "threads": 1},
    "one thread": {"tier": "interpreted", "threads": 1},
    "auto": {"tier": "auto"},
    "compiled, unoptimized": {"tier": "compiled", "optimizer": False},
}


@pytest.fixture(scope="module")
def engines(
    oracle: Oracle,
    interpreted: gpuql.Connection,
    compiled: gpuql.Connection,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, gpuql.Connection]]:
    opened = {name: connect(oracle, device="cpu", **settings) for name, settings in CONFIGURATIONS.items()}
    opened["parquet"] = connect_to_parquet(oracle, tmp_path_factory.mktemp("parquet"), tier="interpreted")
    yield {"interpreted": interpreted, "compiled": compiled, **opened}
    for connection in opened.values():
        connection.close()


def test_random_queries(
    oracle: Oracle, engines: dict[str, gpuql.Connection], report: Report, seed: int, scale: float
) -> None:
    found = Report()
    QuerySweep(oracle, engines, found).run(seed, round(600 * scale), SHARES)
    report.counts.update(found.counts)
    report.differences.extend(found.differences)
    assert not found.differences, "\n".join(found.differences)
    assert (
        sum(n for name, n in found.counts.items() if name.startswith("allowed"))
        <= 0.03 * found.counts["runs"]
    )
    assert found.counts["fused"] >= 0.1 * found.counts["queries"]
