"""Every launch, allocation, reservation, write and read of a query on a simulated device fails once.

``GPUQL_FAULT_DEPTH=200`` makes each of the first 200 passings of ten queries fail, which takes half an hour.
"""

from __future__ import annotations

import os

import pytest

from tests.memory.simulator_process import simulated

DEPTH = os.environ.get("GPUQL_FAULT_DEPTH", "0")
#: Together they pass every point; with a depth, all queries take part.
CHOSEN = ("left", "first", "joined rows") if DEPTH == "0" else ()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    found, _ = simulated("device_faults.py", tmp_path_factory.mktemp("spill"), DEPTH, *CHOSEN, timeout_s=7200)
    assert found["bad"] == []
    return dict(found)


def test_all_points_are_passed(report: dict[str, dict[str, dict[str, int]]]) -> None:
    passed = report["passes"].values()
    for failure in ("launch", "allocation", "reservation", "file write", "file read"):
        assert sum(counts[failure] for counts in passed) > 50, failure


def test_failures_are_typed_or_made_good(report: dict[str, dict[str, int]]) -> None:
    outcomes = report["outcomes"]
    assert outcomes["launch: DeviceError"] > 0
    assert outcomes["launch without memory: rows"] > 0
    assert outcomes["reservation: OutOfMemoryError"] > 0
    assert outcomes["file read: InputError"] > 0
