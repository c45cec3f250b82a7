"""Kernels that stride over positions 0 … n - 1, launched on CuPy's stream or run by Numba's CUDA simulator."""

from __future__ import annotations

import functools
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numba import config as _numba_config
from numba import cuda as _cuda
from numba.cuda.core import config as _cuda_config

from gpuql_kernels.grid.direct_launch import DirectLauncher
from gpuql_kernels.grid.simulated import share_arrays_once
from gpuql_kernels.thresholds import SIMULATED_SWITCH_S

cuda: Any = _cuda
numba_config: Any = _numba_config
cuda_config: Any = _cuda_config
Array = Any
Scalar = Any

SIMULATED = bool(numba_config.ENABLE_CUDASIM)
_THREADS_PER_BLOCK = 256
#: Sixteen blocks on each multiprocessor of the largest GPUs: more would only wait.
_MAX_BLOCKS = 132 * 16
#: The simulator runs every CUDA thread as a Python thread: few, but enough to stride and to meet in atomics.
_SIMULATED_GRID = (2, 2)
#: The simulator runs one kernel at a time and refuses a second one.
SIMULATOR_LOCK = threading.Lock()

if SIMULATED:
    share_arrays_once()

# A kernel over few rows has a small grid; Numba would warn of that at every launch.
cuda_config.CUDA_LOW_OCCUPANCY_WARNINGS = 0


class GridKernel:
    """A kernel whose first parameter is the number of positions, and the types that it is launched with.

    ``signatures`` are Numba types of all parameters as text: one kernel is compiled for each, at its first launch,
    and kept on disk for later processes.
    """

    def __init__(self, function: Callable[..., None], signatures: tuple[str, ...]) -> None:
        self.function = function
        self.signatures = signatures
        self._dispatcher = cuda.jit(function, cache=True)

    def __call__(self, num_positions: int, *arguments: Any) -> None:
        """Run for positions ``0 … num_positions - 1``; asynchronous on a GPU. Arrays are contiguous."""
        if SIMULATED and num_positions:
            described = ", ".join(_numba_type(argument) for argument in (num_positions, *arguments))
            assert described in self.signatures, f"declared types of {self.function.__name__}: {described}"
        launch(self._dispatcher, num_positions, *arguments)


def launch(dispatcher: Any, num_positions: int, *arguments: Any) -> None:
    """Launch a compiled kernel for positions ``0 … num_positions - 1``; asynchronous on a GPU.

    ``dispatcher`` is what ``cuda.jit`` made; its first parameter is the number of positions. Nothing is launched
    for no positions.
    """
    if num_positions == 0:
        return
    for call in _before_launch:
        call()
    if SIMULATED:
        _simulate(dispatcher, num_positions, arguments)
        return
    blocks = min(_MAX_BLOCKS, -(-num_positions // _THREADS_PER_BLOCK))
    _launcher().launch(dispatcher, blocks, _THREADS_PER_BLOCK, (num_positions, *arguments))


#: Functions that are called before each launch.
_before_launch: list[Callable[[], None]] = []


def call_before_launch(call: Callable[[], None]) -> None:
    """Call a function before each launch, on the launching thread; what it raises is raised there. Once is enough."""
    if call not in _before_launch:
        _before_launch.append(call)


def launch_refusal() -> str:
    """Why launches go through Numba rather than straight to the driver; "" if they do not. Asks for a device."""
    launcher = _launcher()
    if launcher.refusal is None:
        launcher.prove()
    return launcher.refusal or ""


@functools.cache
def _launcher() -> DirectLauncher:
    launcher = DirectLauncher(_launch_by_numba, _views, _proof)
    if os.environ.get("GPUQL_LAUNCH") == "numba":
        launcher.refusal = "GPUQL_LAUNCH = numba"
    return launcher


def _views(arguments: Sequence[Any]) -> list[Any]:
    """The arguments, arrays as Numba's.

    Views made here skip the stream synchronisation that Numba does for foreign arrays: kernels run on the stream on
    which CuPy works, so they are ordered anyway.
    """
    return [
        cuda.as_cuda_array(argument, sync=False)
        if hasattr(argument, "__cuda_array_interface__")
        else argument
        for argument in arguments
    ]


def _launch_by_numba(dispatcher: Any, blocks: int, threads: int, arguments: Sequence[Any]) -> None:
    dispatcher[blocks, threads, _current_stream()](*_views(arguments))


@cuda.jit(cache=True)
def _mix(
    n: int,
    tiny: Array,
    flags: Array,
    doubles: Array,
    table: Array,
    wide: Scalar,
    small: Scalar,
    flag: Scalar,
    single: Scalar,
    result: Array,
) -> None:
    """One argument of each kind, all of which show in the result."""
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        own = tiny[i] + 3 * flags[i] + doubles[i] + 5 * table[i, 0] + 7 * table[i, 1] + 11 * len(tiny)
        result[i] = (
            own + 13 * wide + 17 * small + 19 * flag + single + 23 * table.shape[0] + 29 * table.shape[1]
        )


def _proof() -> tuple[Any, Callable[[], list[Any]]]:
    """A kernel, and arguments for it, whose result tells whether each argument arrived."""
    import cupy

    count = 50

    def arguments() -> list[Any]:
        numbers = np.arange(count)
        arrays = [
            numbers.astype(np.int8),
            numbers % 3 == 0,
            numbers / 4,
            np.stack((numbers, numbers[::-1]), axis=1),
        ]
        scalars = [np.int64(2**40), np.int8(-7), np.ones((), bool)[()], np.float32(0.5)]
        return [count, *map(cupy.asarray, arrays), *scalars, cupy.zeros(count, np.float64)]

    return _mix, arguments


def _simulate(dispatcher: Any, num_positions: int, arguments: tuple[Any, ...]) -> None:
    # Wrapped in place: the simulator would copy host arrays and write the copies back, which read-only arrays refuse
    # and which parts two views of the same memory.
    passed = [_wrapped(argument) if isinstance(argument, np.ndarray) else argument for argument in arguments]
    with SIMULATOR_LOCK, _quick_switches(), warnings.catch_warnings():
        # Hashes wrap and SQL divides by zero by design; NumPy scalars in the simulator's threads warn of it.
        warnings.filterwarnings(
            "ignore", "(overflow|divide by zero|invalid value) encountered", RuntimeWarning
        )
        dispatcher[_SIMULATED_GRID](np.int64(num_positions), *passed)


@contextmanager
def _quick_switches() -> Iterator[None]:
    """Let threads take turns often: the simulator's own looks whether the others are done all the time."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(SIMULATED_SWITCH_S)
    try:
        yield
    finally:
        sys.setswitchinterval(usual_s)


def _wrapped(array: Array) -> Any:
    from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

    return FakeCUDAArray(array)  # type: ignore[no-untyped-call]


def grid_kernel(*signatures: str) -> Callable[[Callable[..., None]], GridKernel]:
    """Decorator that makes a :class:`GridKernel`."""
    return lambda function: GridKernel(function, signatures)


def _numba_type(argument: Any) -> str:
    if isinstance(argument, np.ndarray):
        assert argument.flags.c_contiguous, "kernels take contiguous arrays"
        name = "boolean" if argument.dtype == np.bool_ else argument.dtype.name
        return f"{name}[{':,' * (argument.ndim - 1)}::1]"
    if isinstance(argument, bool | np.bool_):
        return "boolean"
    return "int64" if isinstance(argument, int) else str(argument.dtype.name)


def _current_stream() -> Any:
    """CuPy's current stream for Numba; 0, the default stream, is the default of both."""
    import cupy

    pointer = cupy.cuda.get_current_stream().ptr
    return cuda.external_stream(pointer) if pointer else 0


@cuda.jit(device=True, inline="always")
def upper_bound(ends: Array, value: Scalar) -> Scalar:
    """First position in ascending ``ends`` (int64) that holds more than ``value``; there is one."""
    low, high = np.int64(0), np.int64(len(ends) - 1)
    while low < high:
        middle = (low + high) >> 1
        if ends[middle] > value:
            high = middle
        else:
            low = middle + 1
    return low
