"""What the sorting kernels mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from gpuql_kernels.sort.ties import LaterWords
from gpuql_kernels.tasks import RunTasks

Array = Any


class SortKernels(Protocol):
    """The family."""

    def order(
        self,
        words: list[Array],
        bits: list[int],
        /,
        *,
        later: Sequence[LaterWords] = (),
        run_tasks: RunTasks = ...,
        consume: bool = False,
    ) -> Array:
        """Rows (int64) in ascending order of their keys; equal keys keep the order of rows (stable).

        ``words`` are uint64 arrays (n,), the most significant first; ``words[i]`` is below ``2**bits[i]``. Keys go on
        with the words that ``later`` gives, one after the other, for rows that are equal so far.
        ``run_tasks`` lends threads; without it, and where the device has its own, none are used. With ``consume`` the
        list ``words`` may be emptied, so that its arrays are freed as early as possible.
        """

    def sort(
        self, words: list[Array], bits: list[int], /, *, with_rows: bool, run_tasks: RunTasks = ...
    ) -> tuple[Array | None, Array]:
        """``order`` (None unless ``with_rows``), and the keys in that order: all words joined in one uint64.

        ``sum(bits)`` is at most 64. Without rows less is moved.
        """

    def smallest(self, word: Array, count: int, /) -> Array:
        """Rows (int64, ascending) with ``word`` (uint64) not above the ``count``-th smallest; ties included."""

    def gather(self, values: Array, rows: Array, /, *, run_tasks: RunTasks = ...) -> Array:
        """``values[rows]`` along the first axis; ``rows`` (int64) are in range. ``run_tasks`` as in ``order``."""
