"""What needs a real device, marked ``gpu``; skipped, with the reason, where there is none.

With NUMBA_ENABLE_CUDASIM=1 the same tests run in Numba's simulator, on less data, but for those that ask the driver:
so that they are known to be right before they meet a device (``tests/bench/test_gpu_tests.py`` runs them).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gpuql
from gpuql.device.probe import cuda_support
from tests.gpu.tested_device import DEVICE, SIMULATED, Connect


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "asks_driver: needs the CUDA driver, also where the simulator would do"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Last, as they compile most: where time is short, the other tests have run.
    items.sort(key=lambda item: "random" in item.path.name)
    support = cuda_support()
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        if not SIMULATED:
            item.add_marker(pytest.mark.gpu)
            if not support.usable:
                item.add_marker(pytest.mark.skip(reason=f"no usable GPU: {support.obstacle}"))
        elif item.get_closest_marker("asks_driver") is not None:
            item.add_marker(pytest.mark.skip(reason="asks the driver, and the simulator has none"))


@pytest.fixture
def connect_device() -> Iterator[Connect]:
    """Opens connections on the device; they are closed at the end of the test."""
    opened: list[gpuql.Connection] = []

    def connect(**settings: Any) -> gpuql.Connection:
        opened.append(gpuql.connect(**{"device": DEVICE, "threads": 2, **settings}))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def num_rows() -> int:
    """Rows of a large input: enough for many blocks on a device, little in the simulator."""
    return 3_000 if SIMULATED else 1_000_000


@pytest.fixture(scope="session")
def simulated() -> bool:
    return SIMULATED


@pytest.fixture(scope="session")
def tpch_scale_factor() -> float:
    return 0.001 if SIMULATED else 0.01
