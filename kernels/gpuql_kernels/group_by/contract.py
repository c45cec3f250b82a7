"""What the grouping kernels mean.

``groups`` (m,) int64 holds a group number 0 … ``num_groups - 1`` for each of the ``values`` (m,); no nulls (callers
drop them). Every reduction returns ``num_groups`` elements; what a group without rows holds is not promised, except
that counts and sums are zero.
"""

from __future__ import annotations

from typing import Any, Protocol

Array = Any


class GroupByKernels(Protocol):
    """The family."""

    def factorize(self, keys: Array, /) -> tuple[Array, Array]:
        """Number equal int64 keys equally: codes int64 (m,) from 0 by first occurrence, and each code's first row."""

    def count(self, groups: Array, num_groups: int, /) -> Array:
        """Rows of each group, int64."""

    def sum_int64(self, values: Array, groups: Array, num_groups: int, /) -> Array:
        """Sums of integers as int64; the caller knows that none overflows."""

    def sum_words(self, values: Array, groups: Array, num_groups: int, /) -> Array:
        """Sums modulo 2**128 of int64 (m,) or wide (m, 2) values, as wide (num_groups, 2)."""

    def sum_float64(self, values: Array, groups: Array, num_groups: int, /) -> Array:
        """Sums as float64, added in row order."""

    def minimum(self, values: Array, groups: Array, num_groups: int, /) -> Array:
        """Smallest value (integers or floats without NaN), in the dtype of ``values``."""

    def maximum(self, values: Array, groups: Array, num_groups: int, /) -> Array:
        """Largest value, likewise."""

    def combine(self, name: str, values: Array, groups: Array, num_groups: int, /) -> Array:
        """Fold with ``product`` (float64), ``bit_and``, ``bit_or`` or ``bit_xor`` (int64)."""
