"""The choice between processor and GPU as a pure function of made-up costs."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from gpuql_planner.catalog import ColumnStatistics, Field
from gpuql_planner.optimizer import optimize
from gpuql_planner.physical.device_costs import (
    DeviceCosts,
    PipelineSeconds,
    ScanBytes,
    estimate_plan,
    kept_rows,
    source_rows,
    stored_width,
)
from gpuql_planner.physical.lower import lower
from gpuql_planner.physical.nodes import PhysicalPlan, TableScan
from gpuql_planner.physical.placement import decide
from gpuql_planner.sql.bind import bind_statement
from gpuql_planner.sql.parse import parse_statements
from gpuql_planner.sql.statements import Query
from gpuql_planner.types import BIGINT, BOOLEAN, DATE, DOUBLE, HUGEINT, INTEGER, VARCHAR, DataType, decimal

CPU = DeviceCosts("cpu", 20e9, 50e6, 40e6, 50e6, 50e-6)
GPU = DeviceCosts("gpu", 3e12, 4e9, 2e9, 1e9, 300e-6, upload_bytes_per_s=10e9, download_bytes_per_s=20e9)


class FakeTable:
    """A table of a given size with no data: the planner asks for nothing else."""

    def __init__(self, name: str, num_rows: int) -> None:
        self.name = name
        self.fields = (Field("k", BIGINT), Field("v", DOUBLE))
        self.num_rows = num_rows

    def statistics(self, name: str) -> ColumnStatistics:
        return ColumnStatistics()


class FakeCatalog:
    def __init__(self, num_rows: int) -> None:
        self.tables = {"t": FakeTable("t", num_rows), "u": FakeTable("u", num_rows)}

    def resolve(self, name: str) -> FakeTable | None:
        return self.tables.get(name.lower())

    def table_function(self, name: str, arguments: object, named: object) -> None:
        return None

    def definitions(self, kind: str) -> dict[str, object]:
        return {}

    def search_path(self) -> tuple[str, ...]:
        return ("main",)

    def relation_names(self) -> list[str]:
        return list(self.tables)


def plan(sql: str, num_rows: int = 100_000_000) -> PhysicalPlan:
    [statement] = parse_statements(sql)
    query = bind_statement(statement, FakeCatalog(num_rows))
    assert isinstance(query, Query)
    return lower(optimize(query.plan), query.names, device="gpu")


def resident(scan: TableScan) -> ScanBytes:
    return ScanBytes(source_bytes(scan))


def nowhere(scan: TableScan) -> ScanBytes:
    return ScanBytes(source_bytes(scan), source_bytes(scan))


def source_bytes(scan: TableScan) -> float:
    return 8.0 * len(scan.columns) * (scan.table.num_rows or 0)


def seconds(found: tuple[PipelineSeconds, ...]) -> float:
    return sum(estimate.total_s for estimate in found)


SUM = "SELECT sum(v) FROM t WHERE k < 5"
JOIN = "SELECT sum(t.v) FROM t JOIN u ON t.k = u.k"


def test_reading_costs_bytes_over_bandwidth() -> None:
    [first, last] = estimate_plan(plan("SELECT sum(v) FROM t"), CPU, resident)
    assert first.work_s == pytest.approx(800e6 / 20e9, rel=0.6)
    assert first.upload_s == 0
    assert last.work_s < 2 * CPU.pipeline_s


def test_uploads_count_what_is_missing() -> None:
    [first, _] = estimate_plan(plan("SELECT sum(v) FROM t"), GPU, nowhere)
    assert first.upload_s == pytest.approx(800e6 / 10e9)
    assert estimate_plan(plan("SELECT sum(v) FROM t"), CPU, nowhere)[0].upload_s == 0
    [first, _] = estimate_plan(plan("SELECT sum(v) FROM t"), GPU, lambda scan: None)
    assert first.upload_s == pytest.approx(800e6 / 10e9)


@pytest.mark.parametrize(
    "sql", [SUM, JOIN, "SELECT k, sum(v) FROM t GROUP BY k", "SELECT v FROM t ORDER BY v"]
)
def test_more_rows_take_longer(sql: str) -> None:
    times = [seconds(estimate_plan(plan(sql, rows), CPU, resident)) for rows in (10**4, 10**6, 10**8)]
    assert times == sorted(times)
    assert times[2] > 10 * times[1]


def test_pairs_of_rows_take_longest() -> None:
    pairs = "SELECT count(*) FROM t, u WHERE t.k < u.k"
    assert seconds(estimate_plan(plan(pairs, 10**5), CPU, resident)) > 50 * seconds(
        estimate_plan(plan(JOIN, 10**5), CPU, resident)
    )


def test_the_result_is_brought_back() -> None:
    slow_link = replace(GPU, download_bytes_per_s=1e9)
    everything = plan("SELECT k, v FROM t")
    more = seconds(estimate_plan(everything, slow_link, resident)) - seconds(
        estimate_plan(everything, replace(GPU, download_bytes_per_s=inf), resident)
    )
    assert more == pytest.approx(1.6)


@pytest.mark.parametrize(
    ("sql", "num_rows", "known", "device"),
    [
        (SUM, 100_000_000, resident, "gpu"),
        (SUM, 1_000, resident, "cpu"),
        # Reading once is no more work than sending: not worth it, however large.
        (SUM, 100_000_000, nowhere, "cpu"),
        (JOIN, 100_000_000, nowhere, "gpu"),
        (JOIN, 1_000, nowhere, "cpu"),
        # The result is as large as what is read.
        ("SELECT k, v FROM t", 100_000_000, resident, "cpu"),
        ("SELECT v FROM t ORDER BY v", 100_000_000, resident, "gpu"),
    ],
)
def test_decisions(sql: str, num_rows: int, known: object, device: str) -> None:
    query = plan(sql, num_rows)
    host, accelerator = (estimate_plan(query, costs, known) for costs in (CPU, GPU))  # type: ignore[arg-type]
    found = decide(("cpu", "gpu"), host, accelerator)
    assert found.device == device, found.reasons
    assert len(found.reasons) == len(query.pipelines)


def test_reasons_show_both_estimates() -> None:
    found = decide(
        ("cpu", "gpu"),
        [PipelineSeconds(0.04, 0), PipelineSeconds(1e-4, 0)],
        [PipelineSeconds(0.001, 0), PipelineSeconds(2e-4, 0)],
    )
    assert found.device == "gpu"
    assert found.reasons[0] == "auto: gpu 1.2 ms < cpu 40.1 ms; this pipeline: gpu 1.0 ms, cpu 40.0 ms"
    assert found.reasons[1].endswith("this pipeline: gpu 200 us, cpu 100 us")
    assert found.saved_s == 0


def test_uploads_are_paid_back_by_what_they_would_have_saved() -> None:
    host, accelerator = [PipelineSeconds(0.040, 0)], [PipelineSeconds(0.001, 0.100)]
    first = decide(("cpu", "gpu"), host, accelerator)
    assert first.device == "cpu"
    assert first.reasons[0].startswith("auto: cpu 40.0 ms <= gpu 101.0 ms, 100.0 ms of it uploads")
    assert first.saved_s == pytest.approx(0.039)
    assert decide(("cpu", "gpu"), host, accelerator, 0.039).device == "cpu"
    third = decide(("cpu", "gpu"), host, accelerator, 2 * 0.039)
    assert third.device == "gpu"
    assert "pay off" in third.reasons[0]


def test_a_gpu_that_is_slower_even_without_uploads_saves_nothing() -> None:
    found = decide(("cpu", "gpu"), [PipelineSeconds(0.001, 0)], [PipelineSeconds(0.002, 0.1)], 100.0)
    assert (found.device, found.saved_s) == ("cpu", 0.0)


@pytest.mark.parametrize(
    ("dtype", "width"),
    [
        *((BOOLEAN, 1), (INTEGER, 4), (BIGINT, 8), (HUGEINT, 16), (DOUBLE, 8), (VARCHAR, 4), (DATE, 4)),
        *((decimal(4, 2), 2), (decimal(18, 2), 8), (decimal(38, 2), 16)),
    ],
)
def test_widths(dtype: DataType, width: int) -> None:
    assert stored_width(dtype) == width


def test_rows_at_both_ends() -> None:
    query = plan("SELECT k FROM t ORDER BY v LIMIT 7", 1000)
    assert source_rows(query.pipelines[0]) == 1000
    assert any(kept_rows(pipeline) == 7 for pipeline in query.pipelines)
    assert kept_rows(plan("SELECT sum(v) FROM t").pipelines[0]) == 1
    assert source_rows(plan("SELECT * FROM (VALUES (1), (2)) AS x(a)").pipelines[0]) == 2
