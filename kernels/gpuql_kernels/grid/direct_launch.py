"""Launches of compiled kernels straight through the driver, which cost the host a tenth of what Numba's do.

Numba wraps each array argument anew at every launch, finds the compiled kernel by their types, and hands some seven
numbers for each to the driver one by one. Here the kernel is looked up by a short key, and its parameters are packed
into memory that is kept. The first launch with arguments of new types goes through Numba, which compiles.

What this knows of Numba's calling convention is compared with what the driver says of every kernel, and proved once a
process by a kernel that is launched both ways. Where either finds a difference all launches stay with Numba.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpuql_kernels.grid.parameters import ArrayParameter, Parameter, ParameterBlock, array_values

Array = Any
#: Launches through Numba: dispatcher, blocks, threads, arguments.
NumbaLaunch = Callable[[Any, int, int, Sequence[Any]], None]


class DirectLauncher:
    """Launches on CuPy's current stream. Thread-safe.

    Parameters
    ----------
    by_numba : the launch that this one replaces.
    views : the arguments as ``by_numba`` passes them to the dispatcher.
    proof : gives a dispatcher and a function that makes its arguments, the last of which is an array for the result.
    """

    def __init__(
        self,
        by_numba: NumbaLaunch,
        views: Callable[[Sequence[Any]], list[Any]],
        proof: Callable[[], tuple[Any, Callable[[], list[Any]]]],
    ) -> None:
        import cupy
        from cuda.bindings import driver

        self._array_type = cupy.ndarray
        self._current_stream = cupy.cuda.get_current_stream
        self._current_device = cupy.cuda.runtime.getDevice
        self._asnumpy = cupy.asnumpy
        self._driver: Any = driver
        self._by_numba = by_numba
        self._views = views
        self._kernels: weakref.WeakKeyDictionary[Any, dict[Any, int | None]] = weakref.WeakKeyDictionary()
        self._blocks = threading.local()
        self._lock = threading.Lock()
        self._proof = proof
        #: Why launches go through Numba, "" if they do not, None while that is open.
        self.refusal: str | None = None

    def launch(self, dispatcher: Any, blocks: int, threads: int, arguments: Sequence[Any]) -> None:
        """Launch ``dispatcher``'s kernel; asynchronous."""
        if self.refusal is None:
            self.prove()
        if self.refusal:
            self._by_numba(dispatcher, blocks, threads, arguments)
            return
        self._launch(dispatcher, blocks, threads, arguments)

    def _launch(self, dispatcher: Any, blocks: int, threads: int, arguments: Sequence[Any]) -> None:
        key, values = self._described(arguments)
        known = self._kernels.get(dispatcher)
        if known is None:
            with self._lock:
                known = self._kernels.setdefault(dispatcher, {})
        if key not in known:
            self._by_numba(dispatcher, blocks, threads, arguments)
            known[key] = self._compiled(dispatcher, key, arguments)
            return
        function = known[key]
        if function is None:
            self._by_numba(dispatcher, blocks, threads, arguments)
            return
        block = self._block(key)
        block.fill(values)
        stream = self._current_stream().ptr
        (result,) = self._driver.cuLaunchKernel(
            function, blocks, 1, 1, threads, 1, 1, 0, stream, block.address, 0
        )
        if result != self._driver.CUresult.CUDA_SUCCESS:
            raise CUDAError(f"{result.name} when a kernel was launched")

    def _described(self, arguments: Sequence[Any]) -> tuple[tuple[Any, ...], list[Any]]:
        """Types of the arguments and the device, and the values to pack."""
        key: list[Any] = [self._current_device()]
        values: list[Any] = []
        for argument in arguments:
            if isinstance(argument, self._array_type):
                dtype = argument.dtype
                shape = argument.shape
                key.append((dtype.char, len(shape), argument.flags.c_contiguous))
                values += array_values(argument.data.ptr, shape, dtype.itemsize)
            else:
                key.append(type(argument))
                values.append(argument)
        return tuple(key), values

    def _block(self, key: tuple[Any, ...]) -> ParameterBlock:
        """The calling thread's memory for parameters of these types."""
        blocks: dict[Any, ParameterBlock] | None = getattr(self._blocks, "known", None)
        if blocks is None:
            blocks = self._blocks.known = {}
        block = blocks.get(key)
        if block is None:
            block = blocks[key] = ParameterBlock(_parameters(key))
        return block

    def _compiled(self, dispatcher: Any, key: tuple[Any, ...], arguments: Sequence[Any]) -> int | None:
        """The driver's handle of the kernel that Numba made for the arguments; None if it cannot be launched here."""
        if not all(kind[2] for kind in key[1:] if isinstance(kind, tuple)):
            return None
        types = tuple(dispatcher.typeof_pyval(view) for view in self._views(arguments))
        kernel = dispatcher.overloads.get(types)
        if kernel is None:
            return None
        function = kernel._codelibrary.get_cufunc()
        sizes = tuple(int(argument.size) for argument in function.kernel.arguments_info)
        if sizes != ParameterBlock(_parameters(key)).sizes:
            return None
        return int(function.handle)

    def prove(self) -> None:
        """Find out whether kernels can be launched directly, once."""
        with self._lock:
            proving = self.refusal is None
            if proving:
                self.refusal = "being proved"
        if proving:
            try:
                self.refusal = self._difference()
            except Exception as error:
                self.refusal = f"{type(error).__name__}: {error}"

    def _difference(self) -> str:
        dispatcher, make_arguments = self._proof()
        expected, found = make_arguments(), make_arguments()
        self._by_numba(dispatcher, 2, 32, expected)
        key, _ = self._described(expected)
        function = self._compiled(dispatcher, key, expected)
        if function is None:
            return "Numba's kernel has other parameters than expected"
        self._kernels[dispatcher] = {key: function}
        self._launch(dispatcher, 2, 32, found)
        if not np.array_equal(self._asnumpy(expected[-1]), self._asnumpy(found[-1])):
            return "a kernel launched directly gave another result"
        return ""


class CUDAError(RuntimeError):
    """A failed call of the driver."""


def _parameters(key: tuple[Any, ...]) -> list[Parameter]:
    """Parameters for arguments of the types in ``key``, which begins with the device."""
    return [
        ArrayParameter(np.dtype(kind[0]).itemsize, kind[1]) if isinstance(kind, tuple) else _scalar(kind)
        for kind in key[1:]
    ]


def _scalar(kind: type) -> str:
    """Name of the type that Numba gives a Python or NumPy scalar."""
    if kind is bool or kind is np.bool_:
        return "bool"
    return "int64" if kind is int else "float64" if kind is float else str(np.dtype(kind).name)
