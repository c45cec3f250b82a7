"""What both forms of the family offer."""

from __future__ import annotations

from typing import Any, Protocol

Array = Any


class GroupTableKernels(Protocol):
    """Insert many keys at once."""

    def insert(self, table: Array, status: Array, keys: Array, /) -> Array:
        """Slots (int64, shape of ``keys``) of int64 ``keys`` >= 0 in ``table``, inserting those that are new.

        ``table`` is int64 (slots, words): column 0 holds the keys, -1 for empty; its length is a power of two and
        more than the groups it will hold. ``status`` is int64: ``status[1]`` counts groups, ``status[2]`` is
        ``scalar.hashing.table_code`` of the table.
        """
