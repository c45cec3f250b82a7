"""Threads of a simulated block that ask for a shared array at the same moment get the same one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpuql_kernels.grid.gpu import SIMULATED


def arrays_of_threads(line: Callable[[Any], Any], shared: Any) -> list[Any]:
    """What each of eight threads gets that come to ``line`` together."""
    arrays: list[Any] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        arrays.append(line(shared))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return arrays


@pytest.mark.skipif(not SIMULATED, reason="a device has shared memory of its own")
def test_all_threads_have_one_array() -> None:
    from numba.cuda.simulator import kernelapi

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(50):
            shared: Any = kernelapi.FakeCUDAShared(0)
            arrays = arrays_of_threads(lambda of_block: of_block.array(4, np.int64), shared)
            assert len({id(array) for array in arrays}) == 1
    finally:
        sys.setswitchinterval(interval)
