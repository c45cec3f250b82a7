"""The GPU report as a whole on the CPU, its survival of what goes wrong in a step, and the page made of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gpuql.bench.data import DataGenerator, suite_folder
from gpuql.bench.gpu_performance_page import PAGE, RESULTS, main, newest_report, render
from gpuql.bench.gpu_report import Report, Step, build_parser, report_steps
from gpuql.bench.report_generation import DataGeneration
from gpuql.bench.report_steps import gpu_tests
from gpuql.bench.report_steps.contract import StepContext
from gpuql.bench.report_summary import query_lines, summary_lines
from gpuql.bench.suites import TPCH
from gpuql.errors import InputError


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def run_report(cache: Path, output: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], Any]:
    command = [sys.executable, "-m", "gpuql.bench.gpu_report", "--small", "--threads", "1", "--sf", "0.001"]
    finished = subprocess.run(
        [*command, "--output", str(output), *arguments],
        env=os.environ | {"XDG_CACHE_HOME": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    return finished, json.loads(output.read_text()) if output.exists() else None


def test_whole_report_on_the_cpu(cache: Path, tmp_path: Path) -> None:
    finished, document = run_report(cache, tmp_path / "report.json", "--device", "cpu", "--budget-s", "800")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert document["complete"]
    steps = document["steps"]
    assert list(steps) == [step.name for step in report_steps([0.001])]
    unavailable = {name for name, step in steps.items() if step["status"] == "skipped"}
    assert unavailable == {"launches", "tests"}
    assert {name: step for name, step in steps.items() if step["status"] not in ("done", "skipped")} == {}
    queries = steps["tpch-sf0.001"]["results"]["queries"]
    assert list(queries) == ["Q01", "Q03", "Q06", "Q13"]
    assert all(entry["devices"] == ["cpu"] and entry["bytes"] > 0 for entry in queries.values())
    for peer in ("duckdb", "polars", "gpuql-cpu"):
        theirs = steps[f"tpch-sf0.001-{peer}"]["results"]["queries"]
        assert [entry["verdict"] for entry in theirs.values()] == ["same rows"] * 4, peer
    assert {run["verdict"] for run in steps["out-of-core"]["results"]["runs"]} == {"same rows"}
    assert steps["bandwidth"]["results"]["host_copy_bytes_per_s"] > 1e6
    assert all("error" not in case for case in steps["micro"]["results"]["cases"])
    compiled = steps["compile-times"]["results"]["queries"]
    assert all(entry["first_ms"] > entry["second_ms"] for entry in compiled.values())
    assert steps["environment"]["results"]["packages"]["numpy"]
    assert "TPC-H 0.001: 4 of 4 queries ran wholly on cpu" in finished.stdout
    text = render((tmp_path / "gpu-x.json", document))
    assert "## TPC-H at scale factor 0.001" in text
    assert "| launches | skipped | the CPU launches no kernels |" in text


def test_the_simulator_goes_through_the_same_steps(cache: Path, tmp_path: Path) -> None:
    steps = "launches,tpch-sf0.001,tpch-sf0.001-duckdb"
    finished, document = run_report(
        cache, tmp_path / "report.json", "--device", "cudasim", "--budget-s", "600", "--steps", steps
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert {step["status"] for step in document["steps"].values()} == {"done"}
    assert document["steps"]["launches"]["results"]["twenty_arguments_us"] > 0
    [line, *others] = query_lines(document, "0.001")
    assert line.counts_for("cudasim")
    assert line.ratio("duckdb", "cudasim") is not None
    assert len(others) == 3


def test_a_gpu_that_is_not_there_fails_steps_and_not_the_report(cache: Path, tmp_path: Path) -> None:
    environment = {"CUDA_VISIBLE_DEVICES": ""}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        finished, document = run_report(
            cache, tmp_path / "r.json", "--budget-s", "60", "--steps", "environment,fixed-cost"
        )
    assert finished.returncode == 1
    assert document["steps"]["fixed-cost"]["status"] == "failed"
    assert "no usable GPU" in document["steps"]["fixed-cost"]["error"]
    assert document["steps"]["environment"]["results"]["host"]["cores"] >= 1
    assert document["complete"]


def test_missing_tables_fail_only_their_steps(cache: Path, tmp_path: Path) -> None:
    arguments = ["--device", "cpu", "--data", str(tmp_path), "--steps", "tpch-sf0.001,bandwidth"]
    finished, document = run_report(cache, tmp_path / "report.json", *arguments)
    assert finished.returncode == 0
    assert document["steps"]["bandwidth"]["status"] == "done"
    assert document["steps"]["tpch-sf0.001"]["status"] == "failed"
    assert "TPC-H tables not found" in document["steps"]["tpch-sf0.001"]["error"]


def test_no_time_is_said(cache: Path, tmp_path: Path) -> None:
    arguments = ["--device", "cpu", "--budget-s", "0.5", "--steps", "micro,leaks"]
    finished, document = run_report(cache, tmp_path / "report.json", *arguments)
    assert finished.returncode == 1
    assert "s of 0.5 s left, needs about" in document["steps"]["leaks"]["note"]


def test_a_report_goes_on_where_an_earlier_run_ended(cache: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.json"
    _, first = run_report(cache, output, "--device", "cpu", "--steps", "tpch-sf0.001,fixed-cost")
    finished, second = run_report(
        cache, output, "--device", "cpu", "--add", "--steps", "tpch-sf0.001-duckdb,bandwidth"
    )
    assert finished.returncode == 0, finished.stdout
    assert set(second["steps"]) == {"tpch-sf0.001", "fixed-cost", "tpch-sf0.001-duckdb", "bandwidth"}
    assert second["steps"]["fixed-cost"] == first["steps"]["fixed-cost"]
    [line, *_] = query_lines(second, "0.001")
    assert line.ratio("duckdb", "cpu") is not None
    finished, third = run_report(cache, output, "--device", "cpu", "--add", "--threads", "2")
    assert finished.returncode == 2
    assert "cannot be added to: its threads is 1" in finished.stdout
    assert third == second


def test_steps_are_listed_and_checked(cache: Path, tmp_path: Path) -> None:
    finished, document = run_report(cache, tmp_path / "report.json", "--list")
    assert (finished.returncode, document) == (0, None)
    assert "environment, launches" in finished.stdout
    finished, document = run_report(cache, tmp_path / "report.json", "--steps", "nothing")
    assert (finished.returncode, document) == (2, None)
    assert "no such step: nothing" in finished.stdout


def report(tmp_path: Path) -> Report:
    output = str(tmp_path / "report.json")
    return Report(build_parser().parse_args(["--device", "cpu", "--small", "--output", output]))


def test_a_step_that_crashes_leaves_its_last_words(tmp_path: Path) -> None:
    run = report(tmp_path)
    run.run_step(Step("unknown", "nowhere:run", 1, 20), tmp_path, 20)
    entry = run.document["steps"]["unknown"]
    assert entry["status"] == "failed"
    assert entry["error"] == "the process ended with status 1"
    assert "StopIteration" in entry["standard_error"][-1]


def test_a_step_that_overruns_is_ended_and_keeps_what_it_found(tmp_path: Path) -> None:
    (tmp_path / "leaks.json").write_text('{"status": "running", "results": {"before": 1}}')
    run = report(tmp_path)
    run.run_step(Step("leaks", "leaks:run", 1, 0.1), tmp_path, 0.1)
    entry = run.document["steps"]["leaks"]
    assert (entry["status"], entry["results"]) == ("timed out", {"before": 1})


def test_steps_of_more_scale_factors_come_in_order() -> None:
    names = [step.name for step in report_steps([1, 10, 30])]
    assert names.index("tests") < names.index("tpch-sf1") < names.index("tpch-sf10") < names.index("micro")
    assert names.index("tpch-sf30") < names.index("tpch-sf1-polars")
    assert len(set(names)) == len(names)
    assert {step.name for step in report_steps([])} >= {"micro", "compile-times"}


# --- tests on the device ---------------------------------------------------------------------------------------------


def context(tmp_path: Path, **changes: Any) -> StepContext:
    fields = {
        "device": "cudasim",
        "threads": 1,
        "scale_factor": 0.0,
        "work_folder": tmp_path,
        "repository": tmp_path,
        "small": True,
        "deadline": time.monotonic() + 60,
        "part_file": tmp_path / "part.json",
        "rows_folder": tmp_path / "rows",
    }
    return StepContext(**fields | changes)


def test_tests_that_take_the_process_down_cost_only_themselves(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "gpu"
    folder.mkdir(parents=True)
    (folder / "test_some.py").write_text(
        "import os, pytest\n"
        "def test_passes(): pass\n"
        "def test_dies(): os._exit(9)\n"
        "def test_fails(): assert 1 == 2, 'one is not two'\n"
        "@pytest.mark.skip(reason='no')\n"
        "def test_skipped(): pass\n"
    )
    (folder / "test_unreadable.py").write_text("import no_such_module\n")
    step = context(tmp_path)
    gpu_tests.run(step)
    failed = {name.rpartition("::")[2]: error for name, error in step.results["not_passed"].items()}
    assert "one is not two" in failed["test_fails"]
    assert "ended with 9" in failed["test_dies"]
    assert "no_such_module" in failed["tests/gpu/test_unreadable.py"]
    assert len(failed) == 3
    assert sum(step.results["counts"].values()) == 5
    assert (step.results["complete"], step.results["restarts"]) == (True, 1)


def test_a_test_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_tests, "_HANG_SECONDS", 3.0)
    folder = tmp_path / "tests" / "gpu"
    folder.mkdir(parents=True)
    (folder / "test_some.py").write_text(
        "import time\ndef test_hangs(): time.sleep(60)\ndef test_passes(): pass\n"
    )
    step = context(tmp_path)
    gpu_tests.run(step)
    assert step.results["counts"] == {"no test ended for 3 s": 1, "passed": 1}


# --- data ------------------------------------------------------------------------------------------------------------


def test_generation_pauses_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with DataGeneration([0.001, 0.002], 1) as generation:
        generation.pause()
        generation.go_on()
        assert generation.wait(0.001, 60) is None
        assert generation.wait(0.002, 60) is None
        assert generation.report().keys() == {"sf0.001", "sf0.002"}
    assert sorted(os.listdir(tmp_path / "gpuql" / "tpch")) == ["sf0.001", "sf0.002"]


def test_generation_that_is_left_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with DataGeneration([0.2, 0.3], 1) as generation:
        assert "no data at scale factor 0.3" in (generation.wait(0.3, 0.1) or "")
    assert not suite_folder(TPCH, 0.3).exists()
    assert [name for name in os.listdir(tmp_path / "gpuql" / "tpch") if name.startswith("generating")] == []


def test_a_generator_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with DataGenerator(TPCH, -1.0) as generator, pytest.raises(InputError, match="data generator failed"):
        generator.finish()
    assert os.listdir(tmp_path / "gpuql" / "tpch") == []


# --- the page --------------------------------------------------------------------------------------------------------


def entry(hot_ms: float, **more: Any) -> dict[str, Any]:
    return {"status": "done", "hot_ms": hot_ms, "first_ms": 9.0, "rows": 1, **more}


def gpu_document(**changes: Any) -> dict[str, Any]:
    ours = {
        "Q01": entry(1.0, devices=["gpu"], tiers=["fused"], bytes=5, bandwidth_share=0.4, verdict=""),
        "Q02": entry(2.0, devices=["cpu", "gpu"], tiers=["fused"], bytes=5, verdict=""),
        "Q03": {"status": "failed", "error": "OutOfMemoryError: too much"},
        "Q04": entry(3.0, devices=["gpu"], tiers=["fused"], bytes=5, verdict=""),
    }
    theirs = {
        "Q01": entry(4.0, verdict="same rows"),
        "Q02": entry(4.0, verdict="same rows"),
        "Q03": entry(4.0, verdict="not compared: gpuql has no rows of this query"),
        "Q04": entry(1.5, verdict="OTHER ROWS than gpuql's: 1 rows against 2"),
    }
    gpu = {"name": "NVIDIA Example", "driver": "580.1"}
    steps = {
        "environment": {"status": "done", "results": {"gpu": gpu, "host": {}, "source": {"commit": "abc"}}},
        "tests": {
            "status": "done",
            "results": {"counts": {"passed": 3, "failed": 1}, "not_passed": {"t": "e"}},
        },
        "tpch-sf1": {"status": "done", "results": {"queries": ours, "load_ms": 1000.0}},
        "tpch-sf1-duckdb": {"status": "done", "results": {"queries": theirs}},
        "micro": {"status": "timed out", "error": "ended after 90 s"},
    }
    return {
        "report": "gpu",
        "device": "gpu",
        "small": False,
        "measured_at": "2026-01-02T03:04:05+00:00",
        "threads": 16,
        "scale_factors": [1.0, 10.0],
        "steps": steps,
    } | changes


def test_page_shows_losses_and_leaves_out_what_ran_elsewhere() -> None:
    text = render((Path("gpu-x.json"), gpu_document()))
    assert "Measured 2026-01-02T03:04:05+00:00 on NVIDIA Example (driver 580.1)" in text
    assert "| Q01 | 1.00 | 9 | 40% | 4.0 | 4.00x |  |" in text
    assert "| Q02 | - | - | - | 4.0 | - | ran on cpu, gpu |" in text
    assert "| Q03 | - | - | - | 4.0 | - | failed: OutOfMemoryError: too much DuckDB: not compared" in text
    assert "OTHER ROWS than gpuql's" in text
    assert "on 1 queries: geometric mean 4.00x, slower on 0, OTHER ROWS in 1" in text
    assert "- `t`: e" in text
    assert "| micro | timed out | ended after 90 s |" in text
    assert "scale factor 10" not in text
    lines = summary_lines(gpu_document())
    assert "TPC-H 1: 2 of 4 queries ran wholly on gpu" in lines
    assert "micro: timed out: ended after 90 s" in lines


def test_newest_report_of_a_gpu_counts(tmp_path: Path) -> None:
    assert newest_report(tmp_path) is None
    for name, changes in {
        "gpu-a.json": {"measured_at": "2026-02-01"},
        "gpu-b.json": {"measured_at": "2026-01-01"},
        "gpu-c.json": {"measured_at": "2026-03-01", "small": True},
        "gpu-d.json": {"measured_at": "2026-03-01", "device": "cpu"},
        "tpch-e.json": {"measured_at": "2026-03-01"},
    }.items():
        (tmp_path / name).write_text(json.dumps(gpu_document(**changes)))
    found = newest_report(tmp_path)
    assert found is not None
    assert found[0].name == "gpu-a.json"


def test_page_says_that_nothing_was_measured() -> None:
    text = render(None)
    assert "**Not measured yet.**" in text
    assert "make gpu-report" in text


def test_page_is_what_the_newest_report_gives(capsys: pytest.CaptureFixture[str]) -> None:
    assert PAGE.read_text(encoding="utf-8") == render(newest_report(RESULTS)), "make docs-gpu rewrites it"
    assert main(["--check"]) == 0
