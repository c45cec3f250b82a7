"""What one query holds of a memory, and where it moves rows when that runs out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from gpuql.columnar.column import Array, Column
from gpuql.columnar.parts import root_of, stored_arrays
from gpuql.memory.block_file import BlockFile
from gpuql.memory.budget import Account, Budget, Reservation, Store
from gpuql.memory.row_store import LowerTier, RowStore
from gpuql.memory.spill_space import SpillSpace
from gpuql.thresholds import (
    BLOCKS_IN_BUDGET,
    MAX_BLOCK_BYTES,
    MAX_PART_BYTES,
    MIN_BLOCK_BYTES,
    MIN_PART_BYTES,
    PARTS_IN_BUDGET,
    WHOLE_SOURCE_SHARE,
)


@dataclass(eq=False)
class MemoryMetrics:
    """Bytes of rows that a query moved to slower memory and read from there again, and its peak. Thread-safe."""

    spilled_bytes: int = 0
    read_bytes: int = 0
    peak_bytes: int = 0
    partitions: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add_spill(self, num_bytes: int) -> None:
        """Count bytes moved away."""
        with self._lock:
            self.spilled_bytes += num_bytes

    def add_read(self, num_bytes: int) -> None:
        """Count bytes read again."""
        with self._lock:
            self.read_bytes += num_bytes

    def add_partitions(self, count: int) -> None:
        """Count parts that an operator split its rows into because they did not fit."""
        with self._lock:
            self.partitions += count


class Pinned(Protocol):
    """A column that stays in memory."""

    def unpin(self) -> None:
        """Let it make way again."""


class QueryMemory:
    """A query's account with one budget. Safe to use from its threads.

    Parameters
    ----------
    budget : of the memory that the query's arrays are in.
    make_lower : opens the place where a :class:`RowStore` moves batches to; its argument is the store's owner.
    check_cancelled : called while waiting for memory.
    running : false for what outlives its query, such as a result.
    """

    def __init__(
        self,
        budget: Budget,
        make_lower: Callable[[str], LowerTier],
        check_cancelled: Callable[[], None],
        *,
        running: bool = True,
    ) -> None:
        self.budget = budget
        self.account: Account = budget.open_account(running=running)
        self.metrics = MemoryMetrics()
        #: Ids of arrays that belong to tables: keeping views of them costs a query nothing.
        self.resident: set[int] = set()
        self._pinned: list[Pinned] = []
        self._make_lower = make_lower
        self._check_cancelled = check_cancelled
        self._halvings = 0

    def reserve(self, num_bytes: int, owner: str) -> Reservation:
        """Bytes for a step of work by ``owner`` ("sort", "hash join" ...); to be used as a context manager.

        Rows kept by stores are moved to slower memory if need be. Errors: OutOfMemoryError.
        """
        reservation = Reservation(self.budget, self.account, owner, self._check_cancelled)
        try:
            reservation.resize(num_bytes)
        except BaseException:
            reservation.release()
            raise
        return reservation

    def try_reserve(self, num_bytes: int, owner: str) -> Reservation | None:
        """Like :meth:`reserve`, but None instead of waiting or an error."""
        reservation = Reservation(self.budget, self.account, owner, self._check_cancelled)
        if reservation.try_resize(num_bytes):
            return reservation
        reservation.release()
        return None

    def take_if_possible(self, num_bytes: int) -> bool:
        """Bytes to keep, won from caches and stores if need be; :meth:`give` returns them."""
        return self.budget.take_if_possible(self.account, num_bytes)

    def give(self, num_bytes: int) -> None:
        """Return bytes taken with :meth:`take_if_possible`."""
        if num_bytes:
            self.budget.give(self.account, num_bytes)

    def new_store(self, owner: str, open_lower: Callable[[], LowerTier] | None = None) -> RowStore:
        """Rows to be kept by ``owner``; moved to what ``open_lower`` opens, or to a place of their own."""
        return RowStore(self, owner, open_lower)

    def add_store(self, store: RowStore) -> None:
        """Ask ``store`` for its bytes when they run short, and close it when the query ends."""
        self.account.stores[id(store)] = store

    def remove_store(self, store: RowStore) -> None:
        """The contrary of :meth:`add_store`."""
        self.account.stores.pop(id(store), None)

    def lower_tier(self, owner: str) -> LowerTier:
        """A new place for batches in slower memory."""
        return self._make_lower(owner)

    @property
    def part_bytes(self) -> int:
        """Bytes of source rows that a pipeline should read at a time."""
        share = self.budget.limit_bytes // PARTS_IN_BUDGET
        return max(1, max(MIN_PART_BYTES, min(share, MAX_PART_BYTES)) >> self._halvings)

    def halve_parts(self) -> None:
        """Read sources in smaller parts from now on, and none as a whole: what was reserved was not enough."""
        self._halvings += 1

    @property
    def reads_in_parts(self) -> bool:
        """Whether no source may be read as a whole any more."""
        return self._halvings > 0

    @property
    def open_stores(self) -> tuple[Store, ...]:
        """Stores that hold bytes and are not closed."""
        return tuple(self.account.stores.values())

    @property
    def block_bytes(self) -> int:
        """Bytes of rows moved to slower memory, and read back, at a time: every thread may have so many in hand."""
        return max(MIN_BLOCK_BYTES, min(self.budget.limit_bytes // BLOCKS_IN_BUDGET, MAX_BLOCK_BYTES))

    @property
    def reachable_bytes(self) -> int:
        """Bytes that this query could get now: free ones, those of caches, and those that its stores can move away."""
        stores = tuple(self.account.stores.values())
        return self.budget.available_bytes + sum(store.reclaimable_bytes for store in stores)

    def fits_whole(self, num_bytes: int) -> bool:
        """Whether rows of so many bytes may be read at once rather than in parts."""
        if self.reads_in_parts:
            return num_bytes <= self.part_bytes
        return num_bytes <= max(self.part_bytes, WHOLE_SOURCE_SHARE * self.budget.available_bytes)

    def hold_pinned(self, handles: Iterable[Pinned]) -> None:
        """Unpin columns of tables when the query ends."""
        self._pinned.extend(handles)

    def mark_resident(self, column: Column) -> None:
        """Say that a column belongs to a table, which accounts for it."""
        arrays: list[Array] = stored_arrays(column)
        if column.strings is not None:
            arrays += [column.strings.offsets, column.strings.data]
        self.resident.update(id(root_of(array)) for array in arrays)

    def close(self) -> None:
        """Give everything back; the account is closed. Twice does no harm."""
        self.metrics.peak_bytes = max(self.metrics.peak_bytes, self.account.peak_bytes)
        for store in tuple(self.account.stores.values()):
            store.close()
        self.budget.close_account(self.account)
        pinned, self._pinned = self._pinned, []
        for handle in pinned:
            handle.unpin()


def host_memory(
    budget: Budget, space: SpillSpace, check_cancelled: Callable[[], None], *, running: bool = True
) -> QueryMemory:
    """Memory of a query whose arrays are in host memory: below it are files."""
    return QueryMemory(budget, lambda owner: BlockFile(space), check_cancelled, running=running)
