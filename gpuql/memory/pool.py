"""The pool that arrays on a GPU come from."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

#: Frees up to about so many bytes of a device for an allocation that failed; how many it freed.
Reclaim = Callable[[int], int]

_lock = threading.Lock()
_pools: dict[int, DevicePool] = {}


class DevicePool:
    """RMM's resources of one CUDA device, each on top of the next: counting, asking for memory back, the pool itself.

    What operators reserve is an estimate. Where one was too small, or where another process took memory, the allocation
    that fails is tried again after cached columns and stored rows have made room.
    """

    def __init__(self, ordinal: int) -> None:
        import rmm.mr

        self.reclaim: Reclaim | None = None
        self._busy = threading.local()
        retrying = rmm.mr.FailureCallbackResourceAdaptor(_pool_resource(rmm), self._make_room)
        self._counted = rmm.mr.StatisticsResourceAdaptor(retrying)
        rmm.mr.set_per_device_resource(ordinal, self._counted)

    @property
    def used_bytes(self) -> int:
        """Bytes that are allocated now."""
        return int(self._counted.allocation_counts.current_bytes)

    @property
    def peak_bytes(self) -> int:
        """Most bytes that were allocated at a time."""
        return int(self._counted.allocation_counts.peak_bytes)

    def _make_room(self, num_bytes: int) -> bool:
        """Whether to try an allocation of ``num_bytes`` again. Not for allocations that making room itself needs."""
        if self.reclaim is None or getattr(self._busy, "reclaiming", False):
            return False
        self._busy.reclaiming = True
        try:
            return self.reclaim(int(num_bytes)) > 0
        finally:
            self._busy.reclaiming = False


def _pool_resource(rmm: Any) -> Any:
    """The resource under all others.

    Stream-ordered (``cudaMallocAsync``) by default, because freed blocks go back to the driver's pool without a
    device-wide synchronisation and fragmentation is the driver's business. ``GPUQL_DEVICE_POOL`` chooses another one,
    so that they can be compared: arena (per-stream arenas over ``cudaMalloc``) or pool (one coalescing free list).
    """
    kind = os.environ.get("GPUQL_DEVICE_POOL", "async")
    if kind == "arena":
        return rmm.mr.ArenaMemoryResource(rmm.mr.CudaMemoryResource())
    if kind == "pool":
        return rmm.mr.PoolMemoryResource(rmm.mr.CudaMemoryResource())
    return rmm.mr.CudaAsyncMemoryResource()


def open_pool(ordinal: int) -> DevicePool:
    """Make CuPy and Numba allocate on CUDA device ``ordinal`` through one RMM pool; once a process."""
    import cupy
    from numba import cuda as numba_cuda
    from rmm.allocators.cupy import rmm_cupy_allocator
    from rmm.allocators.numba import RMMNumbaManager

    cuda: Any = numba_cuda
    with _lock:
        pool = _pools.get(ordinal)
        if pool is None:
            if not _pools:
                cuda.set_memory_manager(RMMNumbaManager)
            with cupy.cuda.Device(ordinal):
                pool = DevicePool(ordinal)
            if not _pools:
                cupy.cuda.set_allocator(rmm_cupy_allocator)
            _pools[ordinal] = pool
        return pool
