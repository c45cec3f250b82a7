"""Parameters of a CUDA kernel that Numba compiled, as the bytes that the driver takes.

Numba flattens an array of ``d`` dimensions into ``5 + 2 d`` parameters of eight bytes: two pointers that are null for
arrays from outside, number of elements, bytes of an element, address, extents, strides. A scalar is one parameter of
its own size. ``tests/kernels/test_launch_parameters.py`` compares this with the parameters of compiled kernels.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

#: Format characters of :mod:`struct` by NumPy's name of a scalar type.
_SCALARS = {
    "bool": "?",
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "uint8": "B",
    "uint16": "H",
    "uint32": "I",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}
_SLOT_BYTES = 8


@dataclass(frozen=True, slots=True)
class ArrayParameter:
    """A contiguous array: bytes of an element, and dimensions."""

    itemsize: int
    dimensions: int


#: An array, or NumPy's name of a scalar type.
Parameter = ArrayParameter | str


class ParameterBlock:
    """Memory for the parameters of one kernel, and the table of their addresses that the driver reads.

    Not thread-safe: each thread has its own. Whatever is in it is copied by the driver when it launches.
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self.parameters = tuple(parameters)
        self.sizes = tuple(size for parameter in parameters for size in _sizes(parameter))
        self._layout = struct.Struct("=" + "".join(map(_format, parameters)))
        self._memory = ctypes.create_string_buffer(self._layout.size)
        start = ctypes.addressof(self._memory)
        count = len(self.sizes)
        self._table = (ctypes.c_void_p * count)(*(start + _SLOT_BYTES * number for number in range(count)))
        #: Address of the table: what ``cuLaunchKernel`` calls kernelParams.
        self.address = ctypes.addressof(self._table)

    def fill(self, values: Sequence[Any]) -> None:
        """Put in values: scalars as they are, of arrays what :func:`array_values` gives."""
        self._layout.pack_into(self._memory, 0, *values)

    @property
    def content(self) -> bytes:
        """The bytes, eight for each parameter."""
        return self._memory.raw


def array_values(address: int, shape: Sequence[int], itemsize: int) -> tuple[int, ...]:
    """Values of a C-contiguous array at ``address``."""
    if len(shape) == 1:
        size = shape[0]
        return 0, 0, size, itemsize, address, size, itemsize
    size = 1
    strides = []
    for extent in reversed(shape):
        strides.append(size * itemsize)
        size *= extent
    return 0, 0, size, itemsize, address, *shape, *reversed(strides)


def _sizes(parameter: Parameter) -> list[int]:
    if isinstance(parameter, ArrayParameter):
        return [_SLOT_BYTES] * (5 + 2 * parameter.dimensions)
    return [struct.calcsize("=" + _SCALARS[parameter])]


def _format(parameter: Parameter) -> str:
    if isinstance(parameter, ArrayParameter):
        return "q" * (5 + 2 * parameter.dimensions)
    character = _SCALARS[parameter]
    return f"{character}{_SLOT_BYTES - struct.calcsize('=' + character)}x"
