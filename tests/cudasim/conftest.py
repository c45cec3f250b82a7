"""GPU kernels against the CPU's: on a GPU (marked so), or in Numba's simulator if NUMBA_ENABLE_CUDASIM is 1.

Numba chooses the simulator when it is imported, so ``tests/kernels/test_gpu_simulator.py`` runs this folder in a
process of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpuql.device.probe import cuda_support

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
collect_ignore_glob = [] if SIMULATED or cuda_support().usable else ["test_*.py"]

#: None, one, a warp and its neighbours, and more than one round of a grid; on a GPU also enough to meet in atomics.
SMALL_SIZES = (0, 1, 2, 31, 32, 33, 65, 257)
SIZES = SMALL_SIZES if SIMULATED else (*SMALL_SIZES, 100_003)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SIMULATED:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gpu)


@pytest.fixture(scope="session")
def xp() -> Any:
    if SIMULATED:
        return np
    import cupy

    return cupy


@pytest.fixture
def put(xp: Any) -> Callable[[Any], Any]:
    """Array for the kernels under test; read-only in the simulator, where that is what mapped files give."""

    def copy(array: Any) -> Any:
        if array is None:
            return None
        copied = xp.array(array)
        if xp is np:
            copied.flags.writeable = False
        return copied

    return copy


@pytest.fixture
def get(xp: Any) -> Callable[[Any], Any]:
    return lambda array: array if xp is np else xp.asnumpy(array)


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(params=SMALL_SIZES)
def small_size(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def simulated() -> bool:
    return SIMULATED
