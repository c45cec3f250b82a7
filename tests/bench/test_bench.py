"""The benchmark: honest comparison of rows, selection of queries, and a whole run on little data."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import gpuql
from gpuql.bench.data import suite_files
from gpuql.bench.engines import GpuqlEngine, open_peers
from gpuql.bench.machine import copy_bytes_per_s
from gpuql.bench.micro import load_inputs, measure_case
from gpuql.bench.micro_cases import CASES, Case
from gpuql.bench.queries import load_queries, parse_selection
from gpuql.bench.query_suite import Measurement, QueryReport, format_report, measure_query
from gpuql.bench.rows import difference, same_value
from gpuql.bench.suites import TPCH
from gpuql.bench.timing import time_interleaved
from gpuql.cli.main import main
from gpuql.errors import BinderError, InputError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TPC-H at scale factor 0.001, in a cache folder of this test."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        files = suite_files(TPCH, 0.001, None)
        assert suite_files(TPCH, 0.001, None) == files
    assert sorted(files) == sorted(TPCH.tables)
    assert os.listdir(cache / "gpuql" / "tpch") == ["sf0.001"]
    return files["region"].parent


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1, True),
        (1, 2, False),
        (1.0, 1.0 + 1e-12, True),
        (1.0, 1.0 + 1e-6, False),
        (float("nan"), float("nan"), True),
        (float("nan"), 1.0, False),
        (Decimal("1.10"), Decimal("1.1"), True),
        (Decimal("1.10"), 1.1, True),
        (Decimal("1.10"), Decimal("1.11"), False),
        (None, None, True),
        (None, 0, False),
        (None, 0.0, False),
        ("a", "a", True),
        ("a", 1.0, False),
        (date(2020, 1, 1), datetime(2020, 1, 1), True),
        (date(2020, 1, 1), datetime(2020, 1, 1, 1), False),
    ],
)
def test_same_value(left: object, right: object, *, same: bool) -> None:
    assert same_value(left, right) is same


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ([], [], True),
        ([(1, "a")], [(1, "a")], True),
        ([(1, 0.5), (2, None)], [(2, None), (1, 0.5)], True),
        ([(1,)], [(1,), (1,)], False),
        ([(1,), (1,), (2,)], [(1,), (2,), (2,)], False),
        ([(1, 2)], [(1,)], False),
    ],
)
def test_difference(left: Sequence[Any], right: Sequence[Any], *, same: bool) -> None:
    assert (difference(left, right) is None) is same


def test_selection() -> None:
    assert parse_selection("1, 3-5,22") == [1, 3, 4, 5, 22]
    assert list(load_queries("tpch")) == list(range(1, 23))
    assert list(load_queries("tpch", "6,1")) == [6, 1]
    with pytest.raises(BinderError, match="no such query in tpch: 23"):
        load_queries("tpch", "22-23")
    with pytest.raises(BinderError, match="not a list"):
        parse_selection("all")
    with pytest.raises(InputError, match="queries not found"):
        load_queries("tpcx")


def test_missing_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lineitem"):
        suite_files(TPCH, 1, str(tmp_path))


def test_engines_take_turns() -> None:
    order: list[str] = []
    times = time_interleaved({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, runs=3)
    assert order == ["a", "b"] * 3
    assert {name: len(runs) for name, runs in times.items()} == {"a": 3, "b": 3}


@pytest.mark.parametrize("source", ["memory", "parquet"])
def test_whole_run(source: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    arguments = [
        "--sf",
        "0.001",
        "--data",
        str(folder),
        "--queries",
        "1,6,13",
        "--runs",
        "2",
        "--from",
        source,
    ]
    arguments += ["--device", "cpu", "--threads", "1", "--json", str(report), "--compare", "duckdb"]
    assert main(["bench", "tpch", *arguments]) == 0
    output = capsys.readouterr().out
    assert "3 of 3 queries: same rows" in output
    document = json.loads(report.read_text())
    assert [query["verdict"] for query in document["queries"]] == ["same rows"] * 3
    assert all(len(m["runs_ms"]) == 2 for query in document["queries"] for m in query["measurements"])
    assert document["settings"]["threads"] == 1


def test_a_run_within_a_memory_limit(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    arguments = ["--data", str(folder), "--queries", "1,3", "--runs", "1", "--memory-limit", "64MB"]
    arguments += ["--set", f"temp_directory={tmp_path / 'spill'}", "--device", "cpu", "--json", str(report)]
    assert main(["bench", "tpch", *arguments]) == 0
    output = capsys.readouterr().out
    assert "2 of 2 queries: same rows" in output
    assert "memory limit 64MB for each engine" in output
    assert json.loads(report.read_text())["settings"]["memory_limit"] == "64MB"
    assert not list((tmp_path / "spill").glob("gpuql-spill-*"))
    engine = open_peers("duckdb", 1, "64MB", str(tmp_path))[0]
    [(limit,)] = engine.rows(engine.execute("SELECT current_setting('memory_limit')"))
    assert str(limit).startswith("61.0 MiB")
    with pytest.raises(BinderError, match="polars has no memory limit"):
        open_peers("polars", 1, "64MB")
    with pytest.raises(SystemExit):
        main(["bench", "tpch", "--memory-limit", "much"])


def test_other_rows_are_not_timed(folder: Path) -> None:
    with gpuql.connect(device="cpu", threads=1) as connection:
        engine, peers = GpuqlEngine(connection), open_peers("duckdb", 1)
        connection.execute("CREATE TABLE t AS SELECT 1 AS a")
        peers[0].execute("CREATE TABLE t AS SELECT 2 AS a")
        report = measure_query(1, "SELECT a FROM t", engine, peers, runs=2)
    assert report.verdict.startswith("OTHER ROWS than duckdb: row 0: (1,) against (2,)")
    assert [measurement.hot_ms for measurement in report.measurements] == [None, None]


def test_a_failing_query_is_reported() -> None:
    with gpuql.connect(device="cpu", threads=1) as connection:
        report = measure_query(1, "SELECT nope", GpuqlEngine(connection), [], runs=1)
    assert report.verdict == "failed"
    assert "not run" in format_report(report, "cpu")
    assert "UndefinedColumn" in format_report(report, "cpu")


def test_no_gpu_figure_for_what_ran_elsewhere() -> None:
    ours, peer = Measurement("gpuql", 2.0, 1.0), Measurement("duckdb", 4.0, 3.0)
    mixed = QueryReport(1, 5, "same rows", [ours, peer], devices=["cpu", "gpu"])
    assert "1.0 " not in format_report(mixed, "gpu")
    assert "not a gpu figure: ran on cpu, gpu" in format_report(mixed, "gpu")
    pure = QueryReport(1, 5, "same rows", [ours, peer], devices=["gpu"])
    assert "3.00x" in format_report(pure, "gpu")


def test_unknown_peer() -> None:
    assert open_peers("none", 1) == []
    with pytest.raises(BinderError, match="unknown engine: sqlite"):
        open_peers("sqlite", 1)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_micro_cases_run(case: Any) -> None:
    with gpuql.connect(device="cpu", threads=1) as connection:
        load_inputs(connection, case, 2_000)
        report = measure_case(connection, case, 2_000, runs=1, bandwidth=1e9)
    assert report.ms > 0
    assert (report.bytes > 0) == (case.sql != "SELECT 1")


def test_micro_cases_beside_duckdb(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--rows", "3000", "--runs", "1", "--device", "cpu", "--threads", "1", "--compare", "duckdb"]
    assert main(["bench", "micro", *arguments, "--only", "distinct"]) == 0
    output = capsys.readouterr().out
    assert "against duckdb on" in output
    assert "duckdb ms" in output


def test_a_peer_with_other_rows_is_not_timed() -> None:
    case = Case("random", ("a",), "SELECT count(*) FROM t WHERE a <> 5")
    with gpuql.connect(device="cpu", threads=1) as connection:
        peers = open_peers("duckdb", 1)
        load_inputs(connection, case, 1_000, peers)
        peers[0].execute("INSERT INTO t VALUES (6)")
        report = measure_case(connection, case, 1_000, 1, 1e9, peers)
        assert report.peer_ms == {}
        assert report.problems["duckdb"].startswith("row 0")
        peers[0].execute("DROP TABLE t")
        assert "CatalogException" in measure_case(connection, case, 1_000, 1, 1e9, peers).problems["duckdb"]


def test_copy_bandwidth_is_a_rate() -> None:
    assert copy_bytes_per_s("cpu", 1, 1 << 20) > 1e6


def test_options_reach_the_connection() -> None:
    options = SimpleNamespace(
        only="nothing has this name", rows=10, runs=1, json=None, device="cpu", threads=1
    )
    options.on_unsupported = "error"
    options.compare = "none"
    from gpuql.bench.micro import run_micro

    assert run_micro(options, {"tier": "interpreted"}) == 0  # type: ignore[arg-type]
