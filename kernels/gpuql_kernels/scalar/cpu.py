"""The scalar functions compiled for the CPU, inlined by LLVM into generated pipelines."""

from __future__ import annotations

from numba import njit

from gpuql_kernels.scalar import arithmetic, hashing
from gpuql_kernels.scalar.arithmetic import MAX_INT64, MIN_INT64, NAN, NEGATIVE_INFINITY

__all__ = [
    "MAX_INT64",
    "MIN_INT64",
    "NAN",
    "NEGATIVE_INFINITY",
    "add_overflows",
    "find_slot",
    "float_bits",
    "float_equal",
    "float_less",
    "group_home",
    "group_slot",
    "group_slot_of_words",
    "integer_less",
    "multiply_overflows",
    "rescale_down",
    "subtract_overflows",
]

_compile = njit(nogil=True, cache=True, error_model="numpy")

add_overflows = _compile(arithmetic.add_overflows)
float_bits = _compile(arithmetic.float_bits)
float_equal = _compile(arithmetic.float_equal)
float_less = _compile(arithmetic.float_less)
integer_less = _compile(arithmetic.integer_less)
multiply_overflows = _compile(arithmetic.multiply_overflows)
rescale_down = _compile(arithmetic.rescale_down)
subtract_overflows = _compile(arithmetic.subtract_overflows)
find_slot = _compile(hashing.find_slot)
group_home = _compile(hashing.group_home)
group_slot = _compile(hashing.group_slot)
group_slot_of_words = _compile(hashing.group_slot_of_words)
