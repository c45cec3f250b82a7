"""What both forms of the family offer."""

from __future__ import annotations

from typing import Any, Protocol

Array = Any


class GroupTableKernels(Protocol):
    """Insert many keys at once."""

    def insert(self, slot_keys: Array, status: Array, keys: Array, /) -> Array:
        """Slots (int64, shape of ``keys``) of int64 ``keys`` >= 0 in ``slot_keys``, inserting those that are new.

        ``slot_keys`` is int64 with -1 for empty; its length is a power of two and more than the groups it will
        hold. ``status`` is int64: ``status[1]`` counts groups, ``status[2]`` is ``64 - log2(len(slot_keys))``.
        """
