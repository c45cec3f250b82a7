"""Parameters that are packed for the driver are those that Numba's kernels have, by the text that it compiles."""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy as np
import pytest
from numba import types

from gpuql_kernels.grid.gpu import _mix
from gpuql_kernels.grid.parameters import ArrayParameter, Parameter, ParameterBlock, array_values

PTX_BYTES = {"u8": 1, "u16": 2, "u32": 4, "u64": 8, "f32": 4, "f64": 8}


def compiled_sizes(function: Any, *parameters: Any) -> list[int]:
    """Bytes of each parameter in the kernel's PTX."""
    from numba import cuda

    text, _ = cuda.compile_ptx(function, types.void(*parameters), cc=(9, 0))  # type: ignore[attr-defined]
    start = text.index(".entry")
    kinds = re.findall(r"\.param \.(\w+)", text[start : text.index("{", start)])
    return [PTX_BYTES[kind] for kind in kinds]


def test_every_kind_of_argument_has_the_size_that_numba_gives_it() -> None:
    parameters: list[Parameter] = ["int64", ArrayParameter(1, 1), ArrayParameter(1, 1), ArrayParameter(8, 1)]
    parameters += [ArrayParameter(8, 2), "int64", "int8", "bool", "float32", ArrayParameter(8, 1)]
    sizes = compiled_sizes(
        _mix.py_func,
        types.int64,
        types.int8[::1],
        types.boolean[::1],
        types.float64[::1],
        types.int64[:, ::1],
        types.int64,
        types.int8,
        types.boolean,
        types.float32,
        types.float64[::1],
    )
    assert list(ParameterBlock(parameters).sizes) == sizes


@pytest.mark.parametrize(
    "name", ["int16", "int32", "uint8", "uint16", "uint32", "uint64", "float64", "boolean"]
)
def test_scalars(name: str) -> None:
    def kernel(value, result):  # type: ignore[no-untyped-def]
        result[0] = value

    sizes = compiled_sizes(kernel, getattr(types, name), types.float64[::1])
    ours = "bool" if name == "boolean" else name
    assert list(ParameterBlock([ours, ArrayParameter(8, 1)]).sizes) == sizes


def test_values_stand_in_slots_of_eight_bytes() -> None:
    block = ParameterBlock(["int64", "int8", "bool", "float32", "float64", "uint64", ArrayParameter(4, 1)])
    block.fill(
        [-5, np.int8(-1), True, np.float32(0.5), 0.25, np.uint64(2**63 + 1), *array_values(2**40, (10,), 4)]
    )
    slots = [block.content[start : start + 8] for start in range(0, len(block.content), 8)]
    assert struct.unpack("q", slots[0]) == (-5,)
    assert slots[1] == b"\xff" + bytes(7)
    assert slots[2] == b"\x01" + bytes(7)
    assert struct.unpack("f", slots[3][:4]) == (0.5,)
    assert struct.unpack("d", slots[4]) == (0.25,)
    assert struct.unpack("Q", slots[5]) == (2**63 + 1,)
    assert [struct.unpack("q", slot)[0] for slot in slots[6:]] == [0, 0, 10, 4, 2**40, 10, 4]


@pytest.mark.parametrize("shape", [(3,), (3, 5), (2, 3, 4), (0,), (0, 2)])
def test_arrays_are_described_as_numpy_describes_them(shape: tuple[int, ...]) -> None:
    array = np.zeros(shape, np.int32)
    values = array_values(123, shape, 4)
    assert values[:5] == (0, 0, array.size, 4, 123)
    assert values[5 : 5 + len(shape)] == shape
    if array.size:  # of an array of no elements strides mean nothing
        assert values[5 + len(shape) :] == array.strides


def test_the_table_points_to_the_slots() -> None:
    import ctypes

    block = ParameterBlock(["int64", "int64"])
    block.fill([7, 9])
    pointers = (ctypes.c_void_p * 2).from_address(block.address)
    assert [ctypes.c_int64.from_address(pointer).value for pointer in pointers if pointer] == [7, 9]
