"""Compile a program for CUDA: one grid-stride kernel. Under Numba's simulator the same source runs in Python.

Needs no driver to generate code or PTX; only launching does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numba import cuda, types

from gpuql_kernels.codegen import program as ir
from gpuql_kernels.codegen.cache import load_module
from gpuql_kernels.codegen.emit import emit, parameter_names, state_names

#: Compute capabilities that gpuql compiles for.
SUPPORTED_CAPABILITIES = ((7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0))


@dataclass(frozen=True, eq=False)
class CompiledKernel:
    """A generated kernel and its text. ``kernel[blocks, threads](*arguments)`` takes ``emit.parameter_names``."""

    source: str
    kernel: Any


def compile_program(program: ir.Program) -> CompiledKernel:
    """Generate and import the kernel; it is compiled for the device at its first launch."""
    source = emit(program, "cuda")
    return CompiledKernel(source, load_module(source).pipeline)


def parameter_types(program: ir.Program) -> tuple[Any, ...]:
    """Numba types of the kernel's parameters, in the order of ``emit.parameter_names``."""
    fixed: dict[str, Any] = {
        "n": types.int64,
        "status": types.int64[::1],
        "capacity": types.int64,
        "fanout": types.int64,
        "table": types.int64[:, ::1],
        "floats": types.float64[:, ::1],
    }
    if not isinstance(program.sink, ir.GroupHash):
        for name, dtype in zip(state_names(program.sink), state_dtypes(program.sink), strict=True):
            fixed[name] = _type(dtype)[::1]
    for position, argument in enumerate(program.arguments):
        scalar = _type(argument.dtype)
        fixed[f"a{position}"] = scalar if argument.kind == "scalar" else scalar[::1]
    return tuple(fixed[name] for name in parameter_names(program, "cuda"))


def state_dtypes(sink: ir.Sink) -> list[str]:
    """NumPy dtypes of the state arrays of ``emit.state_names``, where each has an array of its own."""
    if isinstance(sink, ir.Emit):
        return [
            dtype
            for value in sink.values
            for dtype in ([value.dtype, "bool"] if value.nullable else [value.dtype])
        ]
    return [accumulator.dtype for accumulator in sink.accumulators]


def _type(dtype: str) -> Any:
    return types.boolean if dtype == "bool" else getattr(types, dtype)


def compile_ptx(program: ir.Program, capability: tuple[int, int]) -> str:
    """PTX text of the kernel for a compute capability; asks for no driver and no device."""
    kernel = compile_program(program).kernel
    ptx, _ = cuda.compile_ptx(  # type: ignore[attr-defined,no-untyped-call]
        kernel.py_func, types.void(*parameter_types(program)), cc=capability
    )
    return str(ptx)
