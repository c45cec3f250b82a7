"""Queries on the device that is expected to be faster, with made-up costs and the simulator as the GPU."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
import textwrap
import time

import numpy as np

import gpuql
from gpuql.catalog.catalog import SessionCatalog
from gpuql.columnar.column import Column
from gpuql.columnar.table import ResidentTable
from gpuql.execution.device_choice import DeviceChoice
from gpuql_planner.catalog import Field
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.optimizer import optimize
from gpuql_planner.physical.device_costs import DeviceCosts
from gpuql_planner.physical.lower import lower
from gpuql_planner.physical.nodes import CollectSink, PhysicalPlan, Pipeline, TableScan
from gpuql_planner.sql.bind import bind_statement
from gpuql_planner.sql.parse import parse_statements
from gpuql_planner.sql.statements import Query
from gpuql_planner.types import DOUBLE

HOST = DeviceCosts("cpu", 1e9, 1e6, 1e6, 1e6, 1e-6)
#: Ten times as fast, but sending a column takes as long as reading it on the host three times.
ACCELERATOR = DeviceCosts("gpu", 1e10, 1e7, 1e7, 1e7, 1e-6, 1e9 / 3, 1e9)


def table(num_rows: int) -> SessionCatalog:
    with gpuql.connect(device="cpu", threads=1) as connection:
        connection.register("frame", {"a": np.random.default_rng(1).random(num_rows)})
        connection.execute("CREATE TABLE t AS SELECT * FROM frame")
        found = connection.catalog.resolve("t")
    assert isinstance(found, ResidentTable)
    catalog = SessionCatalog()
    catalog.create_table("t", found.fields, [found.column("a")], num_rows)
    return catalog


def plan(catalog: SessionCatalog, sql: str = "SELECT sum(a) FROM t") -> PhysicalPlan:
    query = bind_statement(parse_statements(sql)[0], catalog)
    assert isinstance(query, Query)
    return lower(optimize(query.plan), query.names, device="gpu", reason="auto: a GPU is usable")


def devices(placed: PhysicalPlan) -> set[str]:
    return {pipeline.device for pipeline in placed.pipelines}


def test_columns_are_sent_once_they_would_have_paid_for_it() -> None:
    query, choice = plan(table(1_000_000)), DeviceChoice(HOST, ACCELERATOR)
    chosen = [devices(choice.place(query)) for _ in range(8)]
    first = chosen.index({"gpu"})
    assert 1 <= first <= 5
    assert chosen == [{"cpu"}] * first + [{"gpu"}] * (8 - first)
    assert "uploads" not in choice.explain(query).pipelines[0].reason


def test_another_query_over_the_same_columns_profits() -> None:
    catalog, choice = table(1_000_000), DeviceChoice(HOST, ACCELERATOR)
    query = plan(catalog)
    while devices(choice.place(query)) == {"cpu"}:
        pass
    assert devices(choice.place(plan(catalog, "SELECT max(a) FROM t"))) == {"gpu"}


def test_explaining_counts_for_nothing() -> None:
    query, choice = plan(table(1_000_000)), DeviceChoice(HOST, ACCELERATOR)
    texts = {choice.explain(query).pipelines[0].reason for _ in range(20)}
    assert len(texts) == 1
    assert texts.pop().startswith("auto: cpu ")


def test_few_rows_stay_on_the_processor() -> None:
    slow_start = DeviceCosts("gpu", 1e10, 1e7, 1e7, 1e7, 1e-3, 1e12, 1e12)
    query, choice = plan(table(1000)), DeviceChoice(HOST, slow_start)
    assert all(devices(choice.place(query)) == {"cpu"} for _ in range(50))


def test_pipelines_keep_their_identity() -> None:
    query, choice = plan(table(1_000_000)), DeviceChoice(HOST, ACCELERATOR)
    first, second = choice.place(query), choice.place(query)
    assert all(one is other for one, other in zip(first.pipelines, second.pipelines, strict=True))
    while devices(choice.place(query)) == {"cpu"}:
        pass
    assert choice.place(query) is query


def test_choosing_reads_no_column() -> None:
    made: list[str] = []

    def make() -> Column:
        made.append("a")
        return Column(DOUBLE, np.zeros(10))

    frame = ResidentTable("t", [Field("a", DOUBLE)], 10, {"a": make})
    choice = DeviceChoice(HOST, ACCELERATOR)
    scan = TableScan(frame, ((Attribute.fresh("a", DOUBLE), "a"),))
    attributes = scan.outputs
    pipeline = Pipeline(scan, (), CollectSink(attributes), "gpu", "auto", 10.0)
    choice.place(PhysicalPlan((pipeline,), attributes, ("a",)))
    assert made == []


def test_nothing_is_kept_alive() -> None:
    choice = DeviceChoice(HOST, ACCELERATOR)
    query = plan(table(1_000_000))
    choice.place(query)
    assert choice._on_host
    del query
    deadline = time.monotonic() + 300  # a thread may still gather statistics of the table
    while (choice._on_host or choice._histories) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    assert not choice._on_host
    assert not choice._histories


def test_connections_run_queries_where_they_were_placed() -> None:
    program = """
        import numpy as np, gpuql
        import gpuql.session as session
        from gpuql.device import Device
        from gpuql.device.calibration import save_calibration

        session.open_device = lambda name: Device("cudasim" if name == "auto" else name, "auto: simulated")
        # A simulated GPU that promises much, behind a link that costs nothing, but slow to start.
        save_calibration(
            {"gpu_pipeline_s": 1e-3, "upload_pageable_bytes_per_s": 1e15, "download_pageable_bytes_per_s": 1e15,
             "gpu_read_bytes_per_s": 1e15, "cpu_read_bytes_per_s": 1e5, "cpu_read_one_thread_bytes_per_s": 1e5},
            "now",
        )
        with gpuql.connect(threads=1) as connection:
            connection.register("few", {"a": np.arange(3)})
            connection.register("many", {"a": np.arange(3000)})
            for name, device in (("few", "cpu"), ("many", "cudasim")):
                sql = f"SELECT a % 2 AS g, sum(a) AS s FROM {name} GROUP BY g ORDER BY g"
                expected = [(g, sum(a for a in range(3 if name == "few" else 3000) if a % 2 == g)) for g in (0, 1)]
                for _ in range(2):
                    result = connection.sql(sql).collect()
                    assert result.fetchall() == expected, name
                    assert {p.device for p in result.metrics.pipelines} == {device}, (name, result.metrics)
                for text in (connection.explain(sql), connection.explain(sql, analyze=True)):
                    assert f"[{device}: auto: {device} " in text, text
                    assert "this pipeline: cudasim" in text, text
            connection.set_variable("device", "cpu")
            found = connection.sql("SELECT sum(a) FROM many").collect()
            assert {p.device for p in found.metrics.pipelines} == {"cpu"}
        print("done")
    """
    with_simulator = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    with tempfile.TemporaryDirectory() as folder:
        finished = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            env=with_simulator | {"GPUQL_CACHE_DIR": folder},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert finished.stdout.strip().endswith("done"), finished.stdout + finished.stderr
