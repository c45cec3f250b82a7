"""Failures of CUDA and of allocations on a device as errors of gpuql."""

from __future__ import annotations

from gpuql_planner.errors import DeviceError, GpuqlError, OutOfMemoryError

#: What CuPy, Numba and cuda.core raise when a call of CUDA fails; named, as none of them need be there.
_CUDA_ERRORS = frozenset({"CUDARuntimeError", "CUDADriverError", "CudaAPIError", "CUDAError", "NVRTCError"})
_OUT_OF_MEMORY = ("out of memory", "out_of_memory", "memoryallocation", "bad_alloc")

#: What messages and ``OutOfMemoryError.tier`` call the memory of a device.
DEVICE_TIER = "GPU memory"


def device_failure(error: BaseException) -> GpuqlError | None:
    """``error`` as one of gpuql if it is a failed allocation or a failed call of CUDA; None for all others."""
    is_cuda = type(error).__name__ in _CUDA_ERRORS
    text = str(error)
    if isinstance(error, MemoryError) or (is_cuda and any(words in text.lower() for words in _OUT_OF_MEMORY)):
        typed = OutOfMemoryError(
            f"an allocation on the GPU failed: {text or 'out of memory'}",
            hint="lower gpu_memory_limit if other programs use the GPU: rows then move to host memory in time",
        )
        typed.tier = DEVICE_TIER
        return typed
    if is_cuda:
        return DeviceError(f"CUDA failed: {text}", hint="device = cpu works without a GPU")
    return None


def device_shortage(error: MemoryError | OutOfMemoryError) -> OutOfMemoryError | None:
    """The error, with a type, if a device's memory ran out, so that the host may still have room; else None."""
    failure = error if isinstance(error, OutOfMemoryError) else device_failure(error)
    return failure if isinstance(failure, OutOfMemoryError) and failure.tier == DEVICE_TIER else None
