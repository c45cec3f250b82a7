"""Loops over the bytes of one string: one source, compiled for the CPU (``cpu_loops``) and for CUDA (``gpu``).

No function here calls another, so that each can be compiled on its own for either device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = Any
Scalar = Any  # NumPy scalars, or what Numba makes of them


def order(
    data_a: Array, begin_a: Scalar, end_a: Scalar, data_b: Array, begin_b: Scalar, end_b: Scalar
) -> Scalar:
    """Order of two strings by unsigned bytes: -1, 0 or 1."""
    shared = min(end_a - begin_a, end_b - begin_b)
    for i in range(shared):
        a, b = data_a[begin_a + i], data_b[begin_b + i]
        if a != b:
            return -1 if a < b else 1
    if end_a - begin_a == end_b - begin_b:
        return 0
    return -1 if end_a - begin_a < end_b - begin_b else 1


def find_bytes(data: Array, begin: Scalar, end: Scalar, literal: Array, low: Scalar, high: Scalar) -> Scalar:
    """Position of ``literal[low:high]`` in ``data[begin:end]``, or -1."""
    size = high - low
    if size == 0:
        return begin
    first = literal[low]
    last = literal[high - 1]
    position = begin
    stop = end - size
    while position <= stop:
        # Testing both ends first rejects nearly all positions in one step.
        if data[position] == first and data[position + size - 1] == last:
            matched = True
            for k in range(1, size - 1):
                if data[position + k] != literal[low + k]:
                    matched = False
                    break
            if matched:
                return position
        position += 1
    return -1


def skip_character(data: Array, position: Scalar, end: Scalar) -> Scalar:
    """Position after the UTF-8 character at ``position``."""
    position += 1
    while position < end and data[position] & 0xC0 == 0x80:
        position += 1
    return position


def hash_bytes(data: Array, begin: Scalar, end: Scalar) -> Scalar:
    """Hash of a string as uint64 (FNV-1a with a final mix)."""
    value = np.uint64(0x9E3779B97F4A7C15) ^ np.uint64(end - begin)
    for k in range(begin, end):
        value = (value ^ np.uint64(data[k])) * np.uint64(0x100000001B3)
    value ^= value >> np.uint64(32)
    value *= np.uint64(0x9E3779B97F4A7C15)
    return value ^ (value >> np.uint64(29))
