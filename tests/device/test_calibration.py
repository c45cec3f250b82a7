"""Measured costs: kept with the machine that they belong to, and cautious values where there are none."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

import gpuql
from gpuql.bench.pipeline_cost import pipeline_seconds
from gpuql.cli.main import main
from gpuql.device import measure_host, open_device
from gpuql.device.calibration import (
    MachineCosts,
    calibration_file,
    cost_rows,
    load_calibration,
    machine_identity,
    measure_cpu,
    save_calibration,
)
from gpuql.device.measure_cuda import waiter
from gpuql.device.probe import cuda_support, device_names


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    found = load_calibration(tmp_path / "machine.json")
    assert found.costs == MachineCosts()
    assert "gpuql calibrate" in found.source
    assert {origin for _, _, origin in cost_rows(found)} == {"default"}
    assert all(value > 0 for _, value, _ in cost_rows(found))


def test_measured_values_come_back_and_the_rest_are_defaults(tmp_path: Path) -> None:
    path = save_calibration(
        {"cpu_read_bytes_per_s": 5e9, "threads": 3}, "2026-01-01", tmp_path / "new" / "m.json"
    )
    found = load_calibration(path)
    assert (found.costs.cpu_read_bytes_per_s, found.costs.threads) == (5e9, 3)
    assert found.costs.gpu_launch_s == MachineCosts().gpu_launch_s
    assert found.source == "measured 2026-01-01"
    assert found.measured == {"cpu_read_bytes_per_s", "threads"}
    assert [path.name for path in path.parent.iterdir()] == ["m.json"]


def test_a_file_of_another_machine_is_left_alone(tmp_path: Path) -> None:
    path = save_calibration({"cpu_read_bytes_per_s": 5e9}, "2026-01-01", tmp_path / "m.json")
    document = json.loads(path.read_text())
    document["machine"]["processor"] = "another one"
    document["machine"]["gpus"] = "NVIDIA Example"
    path.write_text(json.dumps(document))
    found = load_calibration(path)
    assert found.costs == MachineCosts()
    assert "another machine (processor, gpus differ)" in found.source
    assert path.exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 0}', '{"format": 1, "machine": {}}'])
def test_files_that_cannot_be_used(text: str, tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(text)
    found = load_calibration(tmp_path / "m.json")
    assert found.costs == MachineCosts()
    assert found.source.startswith("defaults: ")


def test_values_that_make_no_sense_are_left_out(tmp_path: Path) -> None:
    measured = {
        "cpu_read_bytes_per_s": -1.0,
        "no_such_cost": 1.0,
        "gpu_launch_s": "fast",
        "cpu_gather_l2_ns": 2.0,
    }
    found = load_calibration(save_calibration(measured, "now", tmp_path / "m.json"))  # type: ignore[arg-type]
    assert found.measured == {"cpu_gather_l2_ns"}


def test_where_the_file_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GPUQL_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert calibration_file() == tmp_path / "gpuql" / "machine.json"
    monkeypatch.setenv("GPUQL_CACHE_DIR", str(tmp_path / "own"))
    assert calibration_file() == tmp_path / "own" / "machine.json"


def test_identity_names_the_machine() -> None:
    identity = machine_identity()
    assert identity["processor"]
    assert int(identity["cores"]) >= 1
    assert len(device_names()) == cuda_support().num_devices


def test_measuring_gives_every_cost_of_the_processor(tmp_path: Path) -> None:
    measured = measure_cpu(1, num_rows=1 << 12, folder=str(tmp_path))
    wanted = {
        field.name for field in fields(MachineCosts) if field.name.startswith(("cpu_", "disk_", "threads"))
    }
    assert set(measured) == wanted - {"cpu_pipeline_s"}
    assert all(value > 0 for value in measured.values())
    assert list(tmp_path.iterdir()) == []
    assert pipeline_seconds("cpu", 1) > 0


def test_a_disk_that_cannot_be_written_to_is_left_out(tmp_path: Path) -> None:
    measured = measure_cpu(1, num_rows=1 << 10, folder=str(tmp_path / "missing"))
    assert "disk_read_bytes_per_s" not in measured
    assert "cpu_read_bytes_per_s" in measured


def test_measured_kernels_do_what_is_measured() -> None:
    kernels = open_device("cpu").kernels
    keys = measure_host.sparse_keys(5000)
    assert len(set(keys.tolist())) == 5000
    assert kernels.hash_table.build(keys).slot_keys is not None, "addressed directly, which is another thing"
    assert min(measure_host.hash_rows_per_second(kernels, keys, waiter("cpu"))) > 0
    assert measure_host.sort_rows_per_second(kernels, measure_host.random_words(5000), waiter("cpu")) > 0


def test_sizes_of_tables_grow() -> None:
    sizes = [num_bytes for _, num_bytes in measure_host.access_sizes()]
    assert sizes == sorted(sizes)
    assert sizes[0] > 0


def test_show_prints_and_measures_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GPUQL_CACHE_DIR", str(tmp_path))
    assert main(["calibrate", "--show"]) == 0
    assert "not measured" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_show_placement(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GPUQL_CACHE_DIR", str(tmp_path))
    save_calibration({"cpu_read_bytes_per_s": 5e9}, "2026-01-01")
    with gpuql.connect(device="cpu") as connection:
        rows = {
            name: (value, origin) for name, value, origin in connection.execute("SHOW placement").fetchall()
        }
    assert rows["device"] == ("cpu", "device = cpu")
    assert rows["cpu_read_bytes_per_s"] == ("5e+09", "measured")
    assert rows["gpu_launch_s"][1] == "default"
    assert rows["costs"] == ("measured 2026-01-01", str(tmp_path / "machine.json"))
