"""The scalar functions compiled for the CPU, inlined by LLVM into generated pipelines."""

from __future__ import annotations

from gpuql_kernels.compiled_loop import compiled_loop
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


add_overflows = compiled_loop(arithmetic.add_overflows)
float_bits = compiled_loop(arithmetic.float_bits)
float_equal = compiled_loop(arithmetic.float_equal)
float_less = compiled_loop(arithmetic.float_less)
integer_less = compiled_loop(arithmetic.integer_less)
multiply_overflows = compiled_loop(arithmetic.multiply_overflows)
rescale_down = compiled_loop(arithmetic.rescale_down)
subtract_overflows = compiled_loop(arithmetic.subtract_overflows)
find_slot = compiled_loop(hashing.find_slot)
group_home = compiled_loop(hashing.group_home)
group_slot = compiled_loop(hashing.group_slot)
group_slot_of_words = compiled_loop(hashing.group_slot_of_words)
