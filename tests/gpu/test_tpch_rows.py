"""TPC-H on the device: the rows of the CPU, in both tiers, wholly on the device."""

from __future__ import annotations

from typing import Any

import pytest

import gpuql
from gpuql.bench.data import suite_files
from gpuql.bench.queries import load_queries
from gpuql.bench.rows import difference
from gpuql.bench.suites import TPCH
from tests.gpu.tested_device import DEVICE

QUERIES = load_queries("tpch")


@pytest.fixture(scope="module", params=["interpreted", "compiled"])
def engines(request: pytest.FixtureRequest, tpch_scale_factor: float) -> Any:
    files = suite_files(TPCH, tpch_scale_factor, None)
    with (
        gpuql.connect(device=DEVICE, threads=2, tier=request.param) as device,
        gpuql.connect(device="cpu", threads=2, tier="interpreted") as host,
    ):
        for connection in (device, host):
            for table, path in files.items():
                connection.execute(f"CREATE TABLE {table} AS SELECT * FROM '{path}'")
        yield device, host


@pytest.mark.parametrize("number", QUERIES)
def test_rows(number: int, engines: tuple[gpuql.Connection, gpuql.Connection]) -> None:
    device, host = engines
    result = device.sql(QUERIES[number]).collect()
    assert result.metrics is not None
    assert {pipeline.device for pipeline in result.metrics.pipelines} == {DEVICE}
    assert difference(list(result.iter_rows()), host.sql(QUERIES[number]).fetchall()) is None
