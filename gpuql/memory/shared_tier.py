"""One place in slower memory for many stores, such as the partitions of a join: one file, not hundreds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from gpuql.columnar.batch import Batch
from gpuql.memory.row_store import LowerTier


class SharedTier:
    """Opened by the first store that needs it, closed when none uses it any more. Thread-safe."""

    def __init__(self, open_tier: Callable[[], LowerTier]) -> None:
        self._open_tier = open_tier
        self._tier: LowerTier | None = None
        self._users = 0
        self._lock = threading.Lock()

    def share(self) -> LowerTier:
        """The place, for one more store; it closes what it got."""
        with self._lock:
            if self._tier is None:
                self._tier = self._open_tier()
            self._users += 1
            return _Share(self, self._tier)

    def give_up(self) -> None:
        """One store needs it no more."""
        with self._lock:
            self._users -= 1
            if self._users or self._tier is None:
                return
            tier, self._tier = self._tier, None
        tier.close()


class _Share:
    """What one store has of the place."""

    def __init__(self, shared: SharedTier, tier: LowerTier) -> None:
        self._shared = shared
        self._tier = tier
        self._closed = False

    def put(self, batch: Batch) -> Any:
        """See ``LowerTier``."""
        return self._tier.put(batch)

    def get(self, ticket: Any) -> Batch:
        """See ``LowerTier``."""
        return self._tier.get(ticket)

    def close(self) -> None:
        """See ``LowerTier``; twice does no harm."""
        if not self._closed:
            self._closed = True
            self._shared.give_up()
