"""The pool that device arrays come from."""

from __future__ import annotations

import threading
from typing import Any

from gpuql.device import Device

_lock = threading.Lock()
_devices: set[int] = set()


def prepare_memory(device: Device) -> None:
    """Make arrays of ``device`` come from its pool; host arrays are NumPy's own."""
    if device.name == "gpu":
        _open_pool(device.ordinal)


def _open_pool(ordinal: int) -> None:
    """Let CuPy and Numba allocate on CUDA device ``ordinal`` through one stream-ordered RMM pool; once a process.

    Stream-ordered (``cudaMallocAsync``), because freed blocks go back to the driver's pool without a device-wide
    synchronisation and fragmentation is the driver's business.
    """
    import cupy
    import rmm
    from numba import cuda as numba_cuda
    from rmm.allocators.cupy import rmm_cupy_allocator
    from rmm.allocators.numba import RMMNumbaManager

    cuda: Any = numba_cuda
    with _lock:
        if ordinal in _devices:
            return
        with cupy.cuda.Device(ordinal):
            rmm.mr.set_per_device_resource(ordinal, rmm.mr.CudaAsyncMemoryResource())
        if not _devices:
            cupy.cuda.set_allocator(rmm_cupy_allocator)
            cuda.set_memory_manager(RMMNumbaManager)
        _devices.add(ordinal)
