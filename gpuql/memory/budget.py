"""How many bytes of one memory may be used, who uses them, and how bytes are won back when they run short."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

from gpuql.memory import faults
from gpuql.thresholds import MEMORY_GRACE_S, MEMORY_PATIENCE_S, MEMORY_POLL_S, SIBLING_PATIENCE_S
from gpuql_planner.errors import OutOfMemoryError

#: Threads that wait for other threads of their query, so that what they hold will not be given back before those end.
_resting_threads: set[int] = set()


@contextmanager
def resting() -> Iterator[None]:
    """Say that this thread waits for other threads of its query inside the block."""
    thread = threading.get_ident()
    _resting_threads.add(thread)
    try:
        yield
    finally:
        _resting_threads.discard(thread)


class Reclaimable(Protocol):
    """Something that holds reserved bytes and can do without them."""

    @property
    def reclaimable_bytes(self) -> int:
        """About how many bytes :meth:`reclaim` could free now. Called without any lock."""

    def reclaim(self, wanted_bytes: int) -> int:
        """Free up to about ``wanted_bytes`` and say how many were freed; 0 if it is busy.

        Called by any thread, which may hold no lock of a Reclaimable. Errors: OutOfMemoryError if the slower memory is
        full, InputError if a file cannot be written.
        """


class Store(Reclaimable, Protocol):
    """Rows of a query: they move to slower memory when asked, and are gone when the query is."""

    def close(self) -> None:
        """Let go of all rows."""


@dataclass(eq=False)
class Account:
    """What one query, or one result or cache, holds of a budget. ``number`` grows with the time of opening.

    ``stores`` are asked for their bytes when there is no other way. ``running`` says whether the account will give
    bytes back by itself. ``borrowers`` counts, by thread, the reservations that end with a step of work, ``waiting``
    has the threads that wait for bytes. Once closed (not ``is_open``) it gets none.
    """

    number: int
    running: bool = True
    is_open: bool = True
    held_bytes: int = 0
    peak_bytes: int = 0
    stores: dict[int, Store] = field(default_factory=dict)
    borrowers: dict[int, int] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)


class Budget:
    """Bytes of one memory, shared by queries and caches. Safe to use from several threads at once.

    Parameters
    ----------
    tier : name of the memory in messages, such as "host memory".
    setting : the setting that limits it, such as "memory_limit".
    limit_bytes : most bytes that may be held; may be changed at any time (what is held already stays).
    """

    def __init__(self, tier: str, setting: str, limit_bytes: int) -> None:
        self.tier = tier
        self.setting = setting
        self.limit_bytes = limit_bytes
        self._used_bytes = 0
        self._peak_bytes = 0
        self._accounts: set[Account] = set()
        self._caches: list[Reclaimable] = []
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._releases = 0
        self._reclaiming = 0
        #: Called with the number of bytes after some were given back, without any lock of the budget.
        self.after_giving: Callable[[int], None] | None = None

    @property
    def used_bytes(self) -> int:
        """Bytes held now."""
        return self._used_bytes

    @property
    def peak_bytes(self) -> int:
        """Most bytes ever held at a time."""
        return self._peak_bytes

    @property
    def free_bytes(self) -> int:
        """Bytes that nobody holds."""
        return max(0, self.limit_bytes - self._used_bytes)

    @property
    def available_bytes(self) -> int:
        """Bytes that nobody holds or that a cache would let go of."""
        return self.free_bytes + sum(cache.reclaimable_bytes for cache in tuple(self._caches))

    def open_account(self, *, running: bool = True) -> Account:
        """An account; :meth:`close_account` must follow."""
        opened = Account(next(self._numbers), running)
        with self._changed:
            self._accounts.add(opened)
        return opened

    def close_account(self, account: Account) -> None:
        """Give back whatever the account holds."""
        with self._changed:
            self._used_bytes -= account.held_bytes
            account.held_bytes = 0
            account.is_open = False
            self._accounts.discard(account)
            self._releases += 1
            self._changed.notify_all()

    def add_cache(self, cache: Reclaimable) -> None:
        """Ask ``cache`` first when bytes run short."""
        self._caches.append(cache)

    def try_take(self, account: Account, num_bytes: int) -> bool:
        """Take bytes if they are free; nobody is asked for any."""
        with self._changed:
            if not account.is_open or num_bytes > self.limit_bytes - self._used_bytes:
                return False
            self._used_bytes += num_bytes
            self._peak_bytes = max(self._peak_bytes, self._used_bytes)
            account.held_bytes += num_bytes
            account.peak_bytes = max(account.peak_bytes, account.held_bytes)
            return True

    def take_anyway(self, account: Account, num_bytes: int) -> None:
        """Count bytes that are in use already, whatever the limit says; a closed account counts none."""
        with self._changed:
            if not account.is_open:
                return
            self._used_bytes += num_bytes
            self._peak_bytes = max(self._peak_bytes, self._used_bytes)
            account.held_bytes += num_bytes
            account.peak_bytes = max(account.peak_bytes, account.held_bytes)

    def take_if_possible(self, account: Account, num_bytes: int) -> bool:
        """Take bytes: free ones, else those of caches, else those that stores win by moving rows to slower memory.

        Errors: InputError if rows had to move and a file cannot be written. Slower memory that is full is no error
        here: the bytes cannot be had.
        """
        return self._try(account, num_bytes)[0]

    def _try(self, account: Account, num_bytes: int) -> tuple[bool, OutOfMemoryError | None]:
        """Whether the bytes were taken, and what kept rows from moving."""
        faults.passing(faults.RESERVATION)
        if self.try_take(account, num_bytes):
            return True, None
        full: OutOfMemoryError | None = None
        if num_bytes > self.limit_bytes or not account.is_open:
            return False, None
        for holder in self._holders(account):
            missing = num_bytes - self.free_bytes
            if missing > 0:
                try:
                    self._reclaim(holder, missing)
                except OutOfMemoryError as error:
                    full = error
            if self.try_take(account, num_bytes):
                return True, None
        return False, full

    def reclaim(self, wanted_bytes: int) -> int:
        """Let caches and stores free about ``wanted_bytes``, without taking them; how many are free after that.

        For memory that ran out although the budget has some left. Errors: as :meth:`take_if_possible`.
        """
        goal = self.free_bytes + wanted_bytes
        for holder in self._holders(None):
            missing = goal - self.free_bytes
            if missing <= 0:
                break
            self._reclaim(holder, missing)
        return self.free_bytes

    def _reclaim(self, holder: Reclaimable, wanted_bytes: int) -> None:
        with self._changed:
            self._reclaiming += 1
        try:
            holder.reclaim(wanted_bytes)
        finally:
            with self._changed:
                self._reclaiming -= 1
                self._changed.notify_all()

    def take(self, account: Account, num_bytes: int, owner: str, check_cancelled: Callable[[], None]) -> None:
        """Take bytes, waiting for others to give some back if what they hold cannot be moved.

        Errors: OutOfMemoryError if there is no way to get them; InputError as ``take_if_possible``; what
        ``check_cancelled`` raises while waiting.
        """
        quiet_since: float | None = None
        while True:
            releases = self._releases
            taken, full = self._try(account, num_bytes)
            if taken:
                return
            check_cancelled()
            with self._changed:
                if num_bytes > self.limit_bytes or not account.is_open:
                    raise self._exhausted(account, num_bytes, owner, full) from full
                if self._releases == releases:
                    self._wait(account)
                if self._releases != releases or self._reclaiming:
                    quiet_since = None
                    continue
                patience_s = self._patience_s(account)
            quiet_since = quiet_since or time.monotonic()
            if time.monotonic() - quiet_since > patience_s:
                raise self._exhausted(account, num_bytes, owner, full) from full

    def _wait(self, account: Account) -> None:
        """Sleep until something changes, or for a moment."""
        thread = threading.get_ident()
        account.waiting.add(thread)
        try:
            self._changed.wait(MEMORY_POLL_S)
        finally:
            account.waiting.discard(thread)

    def _patience_s(self, account: Account) -> float:
        """How long nothing may move before ``account`` gives up, in seconds."""
        if _works(account):
            return SIBLING_PATIENCE_S
        others = [other for other in self._accounts if other is not account and other.running]
        if not others:
            return MEMORY_GRACE_S
        if any(not other.waiting or _works(other) for other in others):
            return math.inf
        # All wait for each other: the latest to come gives way.
        is_latest = all(account.number > other.number for other in others)
        return MEMORY_PATIENCE_S if is_latest else math.inf

    def give(self, account: Account, num_bytes: int) -> None:
        """Give bytes back."""
        with self._changed:
            num_bytes = min(num_bytes, account.held_bytes)  # of a closed account nothing is left to give
            self._used_bytes -= num_bytes
            account.held_bytes -= num_bytes
            self._releases += 1
            self._changed.notify_all()
        if self.after_giving is not None:
            self.after_giving(num_bytes)

    def transfer(self, giver: Account, taker: Account, num_bytes: int) -> None:
        """Let another account hold bytes."""
        with self._changed:
            giver.held_bytes -= num_bytes
            taker.held_bytes += num_bytes
            taker.peak_bytes = max(taker.peak_bytes, taker.held_bytes)

    def _holders(self, account: Account | None) -> Iterator[Reclaimable]:
        """Whom to ask for bytes: caches, then the asking query's stores, then those of others, larger ones first."""
        yield from tuple(self._caches)
        with self._changed:
            stores = [(holder, store) for holder in self._accounts for store in holder.stores.copy().values()]
        stores.sort(key=lambda item: (item[0] is not account, -item[1].reclaimable_bytes))
        for _, store in stores:
            if store.reclaimable_bytes:
                yield store

    def _exhausted(
        self, account: Account, num_bytes: int, owner: str, full: OutOfMemoryError | None
    ) -> OutOfMemoryError:
        """The error; ``full`` says why rows could not move to slower memory, if they should have."""
        stuck = "" if full is None else f"; rows cannot move: {full.message}"
        error = OutOfMemoryError(
            f"{owner} needs more {self.tier} than is left: {format_bytes(num_bytes)} "
            f"({format_bytes(self._used_bytes)} of {format_bytes(self.limit_bytes)} used, "
            f"{format_bytes(account.held_bytes)} by this query){stuck}",
            hint=f"raise {self.setting}, or lower threads so that fewer steps run at once"
            if full is None
            else full.hint,
        )
        error.tier = self.tier
        return error


def _works(account: Account) -> bool:
    """Whether a thread other than this one holds bytes of ``account`` for a step of work that goes on."""
    idle = {threading.get_ident()} | account.waiting | _resting_threads
    return any(thread not in idle for thread in account.borrowers.copy())


class Reservation:
    """Bytes of a budget that an account holds for one step of work; a context manager that gives them back.

    To be closed by the thread that opened it.
    """

    def __init__(
        self, budget: Budget, account: Account, owner: str, check_cancelled: Callable[[], None]
    ) -> None:
        self.num_bytes = 0
        self._budget = budget
        self._account = account
        self._owner = owner
        self._check_cancelled = check_cancelled
        self._thread = threading.get_ident()
        account.borrowers[self._thread] = account.borrowers.get(self._thread, 0) + 1

    def resize(self, num_bytes: int) -> None:
        """Hold ``num_bytes`` from now on. Errors: OutOfMemoryError; then the old size stays."""
        more = num_bytes - self.num_bytes
        if more > 0:
            self._budget.take(self._account, more, self._owner, self._check_cancelled)
        elif more < 0:
            self._budget.give(self._account, -more)
        self.num_bytes = num_bytes

    def try_resize(self, num_bytes: int) -> bool:
        """Like :meth:`resize`, but without waiting, and false instead of an error."""
        more = num_bytes - self.num_bytes
        if more > 0 and not self._budget.take_if_possible(self._account, more):
            return False
        if more < 0:
            self._budget.give(self._account, -more)
        self.num_bytes = num_bytes
        return True

    def release(self) -> None:
        """Give all back. Twice does no harm."""
        num_bytes, self.num_bytes = self.num_bytes, 0
        if num_bytes:
            self._budget.give(self._account, num_bytes)
        borrowers, thread = self._account.borrowers, self._thread
        if thread in borrowers:
            borrowers[thread] -= 1
            if not borrowers[thread]:
                del borrowers[thread]
        self._thread = -1

    def __enter__(self) -> Reservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def format_bytes(num_bytes: int) -> str:
    """Bytes for a person: "1.5 GiB"."""
    size = float(num_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
