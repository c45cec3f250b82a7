"""Where rows move to when a device has no room for them: host memory, and below that files."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import Protocol

from gpuql.columnar.batch import Batch
from gpuql.memory.query_memory import QueryMemory


class BatchCopies(Protocol):
    """Copies batches between a device and the host."""

    def upload(self, batch: Batch) -> Batch:
        """A copy on the device."""

    def download(self, batch: Batch) -> Batch:
        """A copy on the host."""

    def on_stream(self) -> AbstractContextManager[object]:
        """Work on the stream of the query whose rows these are, whichever thread calls."""


class HostTier:
    """A ``LowerTier`` for batches of a device; ``memory`` is the query's host memory."""

    def __init__(self, memory: QueryMemory, owner: str, copies: BatchCopies) -> None:
        self._store = memory.new_store(owner)
        self._copies = copies
        self._lock = threading.Lock()

    def put(self, batch: Batch) -> int:
        """See ``LowerTier``; the ticket is the place in the store."""
        with self._copies.on_stream():
            rows = self._copies.download(batch)
        with self._lock:
            ticket = len(self._store)
            self._store.append(rows, ticket)
        return ticket

    def get(self, ticket: int) -> Batch:
        """See ``LowerTier``."""
        return self._copies.upload(self._store.batch_at(ticket))

    def close(self) -> None:
        """See ``LowerTier``."""
        self._store.close()
