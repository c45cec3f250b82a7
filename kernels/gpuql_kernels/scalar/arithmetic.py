"""Checked and rounding integer arithmetic, and the total order of floats (NaN equals itself and is the greatest).

No function here calls another, so that each can be compiled on its own for either device.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Scalar = Any  # NumPy scalars, or what Numba makes of them

MIN_INT64 = np.int64(-(2**63))
MAX_INT64 = np.int64(2**63 - 1)
NAN = np.float64(np.nan)
NEGATIVE_INFINITY = np.float64(-np.inf)


def add_overflows(left: Scalar, right: Scalar, result: Scalar) -> Scalar:
    """Whether ``left + right`` wrapped to ``result`` (all int64). Source: Warren, Hacker's Delight, 2-13."""
    return ((left ^ result) & (right ^ result)) < 0


def subtract_overflows(left: Scalar, right: Scalar, result: Scalar) -> Scalar:
    """Whether ``left - right`` wrapped to ``result`` (all int64)."""
    return ((left ^ right) & (left ^ result)) < 0


def multiply_overflows(left: Scalar, right: Scalar, result: Scalar) -> Scalar:
    """Whether ``left * right`` wrapped to ``result`` (all int64)."""
    if left == 0 or right == 0:
        return False
    if (left == -1 and right == MIN_INT64) or (right == -1 and left == MIN_INT64):
        return True
    if left == -1 or right == -1:
        return False
    return result // right != left or (result // right) * right != result


def rescale_down(value: Scalar, divisor: Scalar) -> Scalar:
    """``value / divisor`` rounded half away from zero; ``divisor`` is a positive power of ten."""
    half = divisor // 2
    if value >= 0:
        return (value + half) // divisor
    return -((-value + half) // divisor)


def integer_less(left: Scalar, right: Scalar) -> Scalar:
    """Plain order."""
    return left < right


def float_equal(left: Scalar, right: Scalar) -> Scalar:
    """Equality in which NaN equals NaN."""
    return left == right or (left != left and right != right)


def float_bits(value: Scalar) -> Scalar:
    """int64 that is the same for equal values in the order of :func:`float_less`: the bits of one of them."""
    if value == 0:
        return np.int64(0)
    if value != value:
        return np.int64(0x7FF8000000000000)
    return np.float64(value).view(np.int64)


def float_less(left: Scalar, right: Scalar) -> Scalar:
    """Order in which NaN is greater than everything else."""
    return left < right or (right != right and left == left)
