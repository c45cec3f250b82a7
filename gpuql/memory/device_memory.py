"""The memory of one device, shared by all connections of the process, and what a running query holds of it."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, StringArray
from gpuql.columnar.parts import batch_size, string_bytes
from gpuql.device import Device
from gpuql.memory.budget import Budget
from gpuql.memory.connection_memory import default_limit_bytes
from gpuql.memory.device_columns import ArrivingBatch, ColumnPins, DeviceColumns
from gpuql.memory.device_errors import DEVICE_TIER
from gpuql.memory.device_link import DeviceLink, open_link
from gpuql.memory.host_tier import HostTier
from gpuql.memory.query_memory import QueryMemory
from gpuql.thresholds import DEFAULT_GPU_MEMORY_SHARE, KEPT_ON_DEVICE_SHARE


class DeviceMemory:
    """Budget, link and kept columns of one device. Thread-safe; :func:`device_memory` finds it."""

    def __init__(self, device: Device) -> None:
        self.link: DeviceLink = open_link(device)
        free = self.link.free_bytes()
        self._default_bytes = default_limit_bytes() if free is None else int(DEFAULT_GPU_MEMORY_SHARE * free)
        self.budget = Budget(DEVICE_TIER, "gpu_memory_limit", self._default_bytes)
        self.columns = DeviceColumns(self.link, self.budget, device.xp)
        self._limits: weakref.WeakKeyDictionary[object, int] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def limit(self, holder: object, limit_bytes: int | None) -> None:
        """Let the device have no more than ``limit_bytes`` in use as long as ``holder`` lives; None says nothing.

        There is one memory: the smallest limit of all holders counts.
        """
        with self._lock:
            if self._limits.get(holder) != limit_bytes:
                if limit_bytes is None:
                    self._limits.pop(holder, None)
                else:
                    self._limits[holder] = limit_bytes
            self.budget.limit_bytes = min(self._limits.values(), default=self._default_bytes)
        too_much = self.budget.used_bytes - self.budget.limit_bytes
        if too_much > 0:
            self.columns.reclaim(too_much)

    def reclaim(self, num_bytes: int) -> int:
        """Free about ``num_bytes`` of the device by what its budget knows of; how many it freed."""
        before = self.budget.used_bytes
        self.budget.reclaim(num_bytes)
        return before - self.budget.used_bytes

    @contextmanager
    def running_query(self, host: QueryMemory, check_cancelled: Callable[[], None]) -> Iterator[DeviceQuery]:
        """What a query holds of the device while it runs, on a stream of its own; all is given back at the end.

        ``host`` is the query's host memory, where rows go that the device has no room for.
        """
        with self.link.running() as stream:
            query = DeviceQuery(self, host, stream, check_cancelled)
            try:
                yield query
            finally:
                try:
                    self.link.finish()
                finally:
                    query.close()


class DeviceQuery:
    """One query on one device.

    ``memory`` is its account with the device's budget; below it is ``host``, its host memory.
    """

    def __init__(
        self, device: DeviceMemory, host: QueryMemory, stream: Any, check_cancelled: Callable[[], None]
    ) -> None:
        self.host = host
        self.memory = QueryMemory(device.budget, lambda owner: HostTier(host, owner, self), check_cancelled)
        self._device = device
        self._stream = stream
        self._pins = ColumnPins(device.columns, self.memory.account)
        self._check_cancelled = check_cancelled

    def keep(self, batch: Batch) -> Batch:
        """The batch on the device; its columns stay there for later queries. Errors: OutOfMemoryError."""
        kept = self._device.columns.batch(batch, self._pins, self._check_cancelled)
        for column in kept.columns.values():
            self.memory.mark_resident(column)
        return kept

    def can_keep(self, batch: Batch) -> bool:
        """Whether the device has room for the whole columns of a host batch and for work on them."""
        columns, budget = self._device.columns, self._device.budget
        missing = columns.missing_bytes(batch)
        if missing == 0:
            return True
        room = budget.available_bytes - columns.kept_bytes(batch)
        return missing <= max(self.memory.part_bytes, KEPT_ON_DEVICE_SHARE * room)

    def begin_upload(self, batch: Batch) -> ArrivingBatch:
        """Begin to copy a part of a source to the device, in bytes that the caller has reserved."""
        return self._device.columns.begin_upload(batch)

    def upload(self, batch: Batch) -> Batch:
        """See ``BatchCopies``."""
        return self._device.columns.upload(batch)

    def download(self, batch: Batch) -> Batch:
        """See ``BatchCopies``."""
        return self._device.columns.download(batch)

    def download_array(self, array: Array) -> Array:
        """A copy on the host of an array that this query made."""
        return self._device.link.download(array)

    def host_strings(self, strings: StringArray) -> StringArray:
        """The host's form of strings on the device."""
        return self._device.columns.host_strings(strings)

    def on_stream(self) -> AbstractContextManager[object]:
        """See ``BatchCopies``."""
        return self._device.link.on_stream(self._stream)

    def finish(self) -> None:
        """Wait for the device to do what it was told to."""
        self._device.link.finish()

    def lasting(self, batch: Batch) -> Callable[[], None]:
        """Let rows outlive the query, their bytes counted until the function that is returned is called.

        Errors: OutOfMemoryError.
        """
        size = batch_size(batch)
        num_bytes = size.row_bytes + sum(string_bytes(strings) for strings in size.strings)
        budget = self._device.budget
        account = budget.open_account(running=False)
        budget.take(self.memory.account, num_bytes, "a result on the GPU", self._check_cancelled)
        budget.transfer(self.memory.account, account, num_bytes)
        return partial(budget.close_account, account)

    def attempt(self) -> Callable[[], None]:
        """Begin something that may fail; the function that is returned gives back what it took until then.

        Rows that were there before keep what they need.
        """
        stores, pins = set(map(id, self.memory.open_stores)), self._pins.copy()

        def undo() -> None:
            self.finish()
            for store in self.memory.open_stores:
                if id(store) not in stores:
                    store.close()
            self._pins.release(but=pins)
            self.memory.resident.clear()
            for held in pins.held.values():
                self.memory.mark_resident(held.column)

        return undo

    def close(self) -> None:
        """Give everything back. Twice does no harm."""
        self._pins.release()  # before the account is closed, which wakes queries that wait for memory
        self.memory.close()


_lock = threading.Lock()
_memories: dict[tuple[str, int], DeviceMemory] = {}


def device_memory(device: Device) -> DeviceMemory:
    """The memory of a device that launches kernels; opened by the first call of the process."""
    with _lock:
        memory = _memories.get((device.name, device.ordinal))
        if memory is None:
            memory = _memories[device.name, device.ordinal] = DeviceMemory(device)
        return memory
