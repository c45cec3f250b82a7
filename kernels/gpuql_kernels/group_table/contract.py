"""What both forms of the family offer."""

from __future__ import annotations

from typing import Any, Protocol

Array = Any


class GroupTableKernels(Protocol):
    """Insert many keys at once."""

    def insert(self, table: Array, status: Array, keys: Array, /) -> Array:
        """Slots (int64, one per key) of int64 ``keys`` >= 0 in ``table``, inserting those that are new.

        ``keys`` are (n,), or (n, words) with at least two words. ``table`` is int64 of two dimensions: its leading
        columns hold the keys, -1 for empty; its length is a power of two and more than the groups it will hold.
        ``status`` is int64: ``status[1]`` counts groups, ``status[2]`` is ``scalar.hashing.table_code`` of the table.
        """
