"""What the kernels of window functions mean.

A *frame* is the rows ``start`` to ``stop`` (both int64, ``0 <= start <= stop <= len(values)``); frames may overlap and
come in any order.
"""

from __future__ import annotations

from typing import Any, Protocol

Array = Any

#: Folds by name: ``sum`` and ``product`` of float64; ``minimum`` and ``maximum`` of integers; bits of int64.
FOLDS = ("sum", "product", "minimum", "maximum", "bit_and", "bit_or", "bit_xor")


class WindowKernels(Protocol):
    """The family; implemented by ``cpu`` and ``gpu``."""

    def fold(self, name: str, values: Array, start: Array, stop: Array, /) -> Array:
        """Fold of the rows of each frame, in the dtype of ``values``.

        Parameters
        ----------
        name : one of ``FOLDS``.
        values : float64 or integers (n,), no nulls (the operator removes them).
        start, stop : int64 (m,)

        Returns
        -------
        array (m,)
            The fold's neutral element for frames without rows. Sums of floats are made of sums of neighbours, so that
            large values outside a frame have no part in its rounding; equal frames may be rounded differently on
            different devices.

        Notes
        -----
        Memory: a few arrays of n and m elements. Source: Leis, Kundhikanjana, Kemper and Neumann, "Efficient
        Processing of Window Functions in Analytical SQL Queries" (VLDB 2015).
        """

    def search(self, keys: Array, values: Array, low: Array, high: Array, /, *, past_equal: bool) -> Array:
        """First row from ``low`` to ``high`` whose key is not below the value, or if ``past_equal`` is above it.

        ``keys`` (uint64) ascend in each range; ``values`` uint64, ``low`` and ``high`` int64 have one entry a search.
        """
