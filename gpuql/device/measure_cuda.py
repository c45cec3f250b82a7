"""What a GPU delivers: memory, transfers and launches. Needs CuPy and a device; launches run in the simulator too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpuql.device.measure_host import best_seconds

#: Large enough that the fixed cost of a copy does not count, small against any GPU's memory.
_COPY_BYTES = 1 << 30
_TRANSFER_BYTES = 256 << 20


def device_bytes_per_second(num_bytes: int = _COPY_BYTES) -> tuple[float, float]:
    """Bytes per second copied within device memory (read and written both count), and read by a sum.

    Takes an eighth of the free memory at most, twice.
    """
    import cupy

    free, _ = cupy.cuda.runtime.memGetInfo()
    source = cupy.ones(min(num_bytes, free // 8) // 8, np.int64)
    target = cupy.empty_like(source)
    wait = cupy.cuda.runtime.deviceSynchronize

    def copy() -> None:
        for _ in range(8):
            target[...] = source
        wait()

    def read() -> None:
        for _ in range(8):
            source.max()
        wait()

    copy()
    read()
    return 16 * source.nbytes / best_seconds(copy), 8 * source.nbytes / best_seconds(read)


def transfer_bytes_per_second(num_bytes: int = _TRANSFER_BYTES) -> dict[str, float]:
    """Bytes per second from host to device and back, for pageable and for pinned host memory."""
    import cupy
    import cupyx

    device = cupy.empty(num_bytes // 8, np.int64)
    pageable = np.ones(num_bytes // 8, np.int64)
    pinned = cupyx.empty_pinned(num_bytes // 8, np.int64)
    pinned[:] = 1
    wait = cupy.cuda.runtime.deviceSynchronize

    def upload(host: Any) -> float:
        def action() -> None:
            device.set(host)
            wait()

        action()
        return num_bytes / best_seconds(action)

    def download(host: Any) -> float:
        def action() -> None:
            device.get(out=host)
            wait()

        action()
        return num_bytes / best_seconds(action)

    return {
        "upload_pageable": upload(pageable),
        "upload_pinned": upload(pinned),
        "download_pageable": download(pageable),
        "download_pinned": download(pinned),
    }


def launch_seconds(xp: Any, finish: Callable[[], object], launches: int = 2000) -> dict[str, float]:
    """Seconds per launch through gpuql's launch path, of kernels that do nothing.

    ``empty`` and ``twenty_arguments`` (the number of positions, ten arrays, nine scalars): ``launches`` launches in
    a row and one wait.
    ``empty_and_wait``: each launch is waited for, as where the host reads a count. ``xp`` is the array module.
    """
    from gpuql_kernels.grid.gpu import cuda, launch

    def empty(n):  # type: ignore[no-untyped-def]
        pass

    def twenty(  # type: ignore[no-untyped-def]
        n, a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, s0, s1, s2, s3, s4, s5, s6, s7, s8
    ):
        if n < 0:
            a0[0] = s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8
            a1[0] = a2[0] + a3[0] + a4[0] + a5[0] + a6[0] + a7[0] + a8[0] + a9[0]

    arrays = [xp.zeros(16, np.int64) for _ in range(10)]
    scalars = [np.int64(number) for number in range(9)]

    def per_launch(kernel: Any, arguments: Sequence[Any], *, wait: bool) -> float:
        def action() -> None:
            for _ in range(launches):
                launch(kernel, 1, *arguments)
                if wait:
                    finish()
            finish()

        launch(kernel, 1, *arguments)
        finish()
        return best_seconds(action) / launches

    empty_kernel, twenty_kernel = cuda.jit(empty), cuda.jit(twenty)
    return {
        "empty": per_launch(empty_kernel, [], wait=False),
        "empty_and_wait": per_launch(empty_kernel, [], wait=True),
        "twenty_arguments": per_launch(twenty_kernel, [*arrays, *scalars], wait=False),
    }


def waiter(device_name: str) -> Callable[[], object]:
    """A function that waits for the device; host code and the simulator have nothing to wait for."""
    if device_name != "gpu":
        return lambda: None
    import cupy

    wait: Callable[[], object] = cupy.cuda.runtime.deviceSynchronize
    return wait
