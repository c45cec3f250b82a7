"""What the sorting kernels mean."""

from __future__ import annotations

from typing import Any, Protocol

Array = Any


class SortKernels(Protocol):
    """The family."""

    def order(self, words: list[Array], bits: list[int], /) -> Array:
        """Rows (int64) in ascending order of their keys; equal keys keep the order of rows (stable).

        ``words`` are uint64 arrays (n,), the most significant first; ``words[i]`` is below ``2**bits[i]``.
        """

    def smallest(self, word: Array, count: int, /) -> Array:
        """Rows (int64, ascending) with ``word`` (uint64) not above the ``count``-th smallest; ties included."""
