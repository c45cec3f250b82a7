"""Operators times shortages of memory on a simulated device: DuckDB's rows, whichever tiers they go through.

``GPUQL_DEVICE_MATRIX=1`` runs all cases, which takes minutes; without it some of each kind are run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pytest

from tests.memory.device_cases import CASES
from tests.memory.simulator_process import simulated

ALL = "GPUQL_DEVICE_MATRIX" in os.environ
#: Quick ones of every kind.
CHOSEN = (
    *("inner", "left with residual", "right", "full", "semi by text", "anti", "not in with NULLs", "mark"),
    *("left less than", "distinct keys", "few groups", "count distinct in groups", "median in groups"),
    *("string_agg", "first of distinct keys", "union of text", "intersect", "except all"),
    *("several keys", "top text", "joined rows"),
    *("running sum", "recursive, distinct"),
)
TOPICS = ("join", "aggregation", "set operation", "sort", "window")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    found, _ = simulated(
        "device_matrix.py", tmp_path_factory.mktemp("spill"), *(() if ALL else CHOSEN), timeout_s=3600
    )
    return list(found)


def of(runs: list[dict[str, Any]], shortage: str, topic: str | None = None) -> list[dict[str, Any]]:
    return [run for run in runs if run["shortage"] == shortage and topic in (None, run["topic"])]


def test_rows_are_right_and_nothing_is_left_behind(runs: list[dict[str, Any]]) -> None:
    names = {name for group in CASES.values() for name in group}
    assert {run["name"] for run in runs} == (names if ALL else set(CHOSEN))
    assert [run for run in runs if run["outcome"] != "rows" or run["left"]] == []


def test_with_room_all_stays_on_the_device(runs: list[dict[str, Any]]) -> None:
    for run in of(runs, "device"):
        assert set(run["devices"]) == {"cudasim"}
        assert (run["partitions"], run["to_host"], run["to_files"]) == (0, 0, 0), run["name"]
        assert run["parts"] == 1 or run["name"].startswith("recursive")


@pytest.mark.parametrize("topic", TOPICS)
def test_short_of_device_memory_rows_move_to_the_host(runs: list[dict[str, Any]], topic: str) -> None:
    found = of(runs, "host", topic)
    assert share(run["to_host"] > 0 and set(run["devices"]) == {"cudasim"} for run in found) >= 0.25
    assert not any(run["to_files"] for run in found)


@pytest.mark.parametrize("topic", TOPICS)
def test_short_of_host_memory_they_move_on_to_files(runs: list[dict[str, Any]], topic: str) -> None:
    found = of(runs, "disk", topic)
    assert share(run["to_files"] > 0 for run in found) >= 0.3
    through_all = [run for run in found if run["to_files"] and run["to_host"] and "cpu" not in run["devices"]]
    assert through_all, "rows of an operator went from the device to the host and on to files, and came back"


@pytest.mark.parametrize("topic", TOPICS)
def test_operators_work_on_smaller_parts(runs: list[dict[str, Any]], topic: str) -> None:
    found = of(runs, "host", topic) + of(runs, "disk", topic)
    on_device = [run for run in found if "cpu" not in run["devices"]]
    assert any(run["parts"] > 1 for run in on_device)
    assert any(run["partitions"] > 1 for run in on_device)


@pytest.mark.parametrize("topic", ["join", "aggregation", "set operation"])
def test_without_room_on_the_device_the_rest_runs_on_the_cpu(runs: list[dict[str, Any]], topic: str) -> None:
    moved = [run for run in of(runs, "cpu", topic) if "cpu" in run["devices"]]
    assert moved
    assert any(run["to_files"] for run in moved), "the host had too little room as well"


def test_what_left_the_device_says_why(runs: list[dict[str, Any]]) -> None:
    moved = [run for run in runs if "cpu" in run["devices"]]
    assert any(run["devices"][0] == "cudasim" for run in moved), "a query went on with what was on the device"
    for run in moved:
        first = run["devices"].index("cpu")
        assert set(run["devices"][first:]) == {"cpu"}
        assert all("GPU memory" in reason for reason in run["moved"][first:])
        assert not any(run["moved"][:first])


def share(truths: Iterable[bool]) -> float:
    found = list(truths)
    return sum(found) / len(found)
