"""Compiling every static CUDA kernel to PTX: needs NVVM, but no driver and no device."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from gpuql_kernels.grid.gpu import GridKernel, cuda

#: Modules that define static kernels.
_MODULES = (
    "gpuql_kernels.group_by.gpu",
    "gpuql_kernels.hash_table.gpu",
    "gpuql_kernels.partition.gpu",
    "gpuql_kernels.string_match.gpu_kernels",
)


def static_kernels() -> dict[str, tuple[Callable[..., None], str]]:
    """Every static kernel in every type: name to Python function and Numba signature."""
    kernels: dict[str, tuple[Callable[..., None], str]] = {}
    for module_name in _MODULES:
        module = import_module(module_name)
        for name, kernel in vars(module).items():
            if isinstance(kernel, GridKernel) and kernel.function.__module__ == module_name:
                for number, signature in enumerate(kernel.signatures):
                    key = f"{module_name.removeprefix('gpuql_kernels.')}.{name}.{number}"
                    kernels[key] = (kernel.function, f"void({signature})")
    return kernels


def compile_kernel(function: Callable[..., None], signature: str, capability: tuple[int, int]) -> str:
    """PTX text of one kernel for a compute capability such as ``(8, 0)``."""
    ptx, _ = cuda.compile_ptx(function, signature, cc=capability)
    return str(ptx)


def compile_static_kernels(capability: tuple[int, int]) -> dict[str, str]:
    """PTX text of each of :func:`static_kernels` for a compute capability."""
    return {
        name: compile_kernel(function, signature, capability)
        for name, (function, signature) in static_kernels().items()
    }
