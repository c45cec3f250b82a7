"""Queries on a simulated device with little memory: the same rows, whichever tiers they go through.

The simulator is chosen when Numba is loaded, so one program runs all of them, in a process of its own.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.memory.simulator_process import simulated


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found, messages = simulated("simulated_device.py", tmp_path_factory.mktemp("spill"))
    return {**found, "messages": messages}


def runs(report: dict[str, Any], limit: str) -> dict[str, dict[str, Any]]:
    return {run["name"]: run for run in report["queries"] if run["limits"][0] == limit}


def test_rows_are_those_of_the_cpu_and_nothing_is_left_behind(report: dict[str, Any]) -> None:
    assert report["wrong"] == []
    assert report["used_at_end"] == 0
    assert not [run for run in report["queries"] if "error" in run]


def test_with_much_memory_all_stays_on_the_device(report: dict[str, Any]) -> None:
    for run in runs(report, "1GB").values():
        assert set(run["devices"]) == {"cudasim"}
        assert (run["parts"], run["to_host"], run["to_files"]) == (1, 0, 0)
        assert run["peak"] > 0


def test_with_little_memory_sources_pass_in_parts_and_rows_go_to_the_host(report: dict[str, Any]) -> None:
    little = runs(report, "60KB")
    for name in ("top", "all rows"):
        assert set(little[name]["devices"]) == {"cudasim"}
        assert little[name]["parts"] > 1
        assert little[name]["to_host"] > 0
        assert little[name]["peak"] <= 60_000


def test_without_enough_the_rest_of_a_query_runs_on_the_cpu_and_says_so(report: dict[str, Any]) -> None:
    moved = [
        run for limit in ("150KB", "60KB") for run in runs(report, limit).values() if "cpu" in run["devices"]
    ]
    assert moved
    for run in moved:
        first = run["devices"].index("cpu")
        assert set(run["devices"][first:]) == {"cpu"}
        assert all("GPU memory" in reason for reason in run["moved"][first:])
        assert not any(run["moved"][:first])
    assert "ran on cpu: sort needs more GPU memory than is left" in report["explained"]


def test_a_result_can_stay_on_the_device(report: dict[str, Any]) -> None:
    found = report["on_device"]
    assert found["right"]
    assert (found["device"], found["dtype"]) == ("cudasim", "int64")
    assert found["held"] > 0
    assert found["left"] == 0
    assert found["nulls"] > 0


def test_a_cached_frame_is_on_the_device_before_it_is_read(report: dict[str, Any]) -> None:
    assert report["cached"]["copied"] > 0
    assert report["cached"]["more"] == 0
    assert report["cached"]["rows"] == [[2000]]


def test_rows_go_through_the_host_to_files(report: dict[str, Any]) -> None:
    assert report["to_files"] > 0


def test_asked_not_to_fall_back_it_names_tier_and_setting(report: dict[str, Any]) -> None:
    assert report["refused"]["tier"] == "GPU memory"
    assert "gpu_memory_limit" in report["refused"]["text"]


def test_an_interrupted_query_gives_device_memory_back(report: dict[str, Any]) -> None:
    assert report["interrupted"] == {"interrupted": True, "left": 0}


def test_each_failure_is_a_typed_error_or_changes_no_rows(report: dict[str, Any]) -> None:
    counts = report["faults"]
    assert (counts["other"], counts["left"]) == (0, 0), report["messages"]
    assert counts["rows"] > 0
    assert counts["typed"] > 0


def test_threads_share_the_memory(report: dict[str, Any]) -> None:
    assert report["concurrent"]["other"] == 0
    assert report["concurrent"]["rows"] > 0
