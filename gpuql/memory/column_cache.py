"""Columns of tables and files that stay in memory as long as there is room, and what makes way for what.

A column that was let go of is read from a temporary file, to which it is written at most once, or made anew. Two rules
say which columns are in memory:

- When bytes run short, columns go that no running query has in its hands, the one first whose use before its last one
  is longest ago (O'Neil, O'Neil and Weikum, "The LRU-K page replacement algorithm", SIGMOD 1993): those used by one
  query alone go before those that several used.
- A column that is not in memory takes the place of others only if none of these was used since its own use before. So
  neither one large scan, nor scans of more than memory holds one after the other, drive out what is in use.

What finds no place is read in parts, which count as the query's own.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable

from gpuql.columnar.column import Array
from gpuql.memory.budget import Budget
from gpuql.memory.kept_column import NEVER, Content, FileGroup, KeptColumn, Maker
from gpuql.memory.spill_space import SpillSpace
from gpuql.thresholds import PINNED_SHARE, REMAKE_OVER_READ
from gpuql_planner.errors import OutOfMemoryError


class ColumnCache:
    """Keeps columns within a budget. Thread-safe.

    Parameters
    ----------
    budget : of the memory that the columns are in.
    space : where temporary files are made; asked each time, as settings may change.
    """

    def __init__(self, budget: Budget, space: Callable[[], SpillSpace]) -> None:
        self.budget = budget
        self._space = space
        self._account = budget.open_account(running=False)
        self._columns: weakref.WeakSet[KeptColumn] = weakref.WeakSet()
        self._arrays: dict[int, tuple[int, int]] = {}
        self._lock = threading.Lock()
        self._gone: deque[list[Array]] = deque()
        self._pinned_bytes = 0
        self._read = (0, 0.0)
        budget.add_cache(self)

    # --- for tables --------------------------------------------------------------------------------------------------

    def keep(
        self,
        content: Content | Maker | None,
        num_rows: int | None,
        group: FileGroup,
        *,
        borrowed_counts: bool = True,
    ) -> KeptColumn:
        """Take charge of a column: one in memory, in pieces, to be made when first used, or (None) absent.

        ``group`` says in which file it is kept, with others of its table. ``borrowed_counts`` is false for memory that
        somebody else owns, as that of a registered frame. A column without room is written to the file at once.
        """
        self.settle()
        kept = KeptColumn(self, num_rows, group, content, borrowed_counts=borrowed_counts)
        with self._lock:
            self._columns.add(kept)
        return kept

    def for_table(
        self, *, borrowed_counts: bool = True
    ) -> Callable[[Content | Callable[[], Content], int], KeptColumn]:
        """What takes charge of the columns of one table; see ``gpuql.columnar.table.KeepColumn``."""
        group = self.new_group()
        return lambda content, num_rows: self.keep(content, num_rows, group, borrowed_counts=borrowed_counts)

    def new_group(self) -> FileGroup:
        """Columns that come and go together, as those of a table do."""
        return FileGroup(self._space)

    @property
    def held_bytes(self) -> int:
        """Bytes of all columns in memory."""
        self.settle()
        return self._account.held_bytes

    def settle(self) -> None:
        """Give back the bytes of columns that nobody has any more."""
        while self._gone:
            try:
                arrays = self._gone.popleft()
            except IndexError:
                return
            self.discount(arrays)

    # --- Reclaimable -------------------------------------------------------------------------------------------------

    @property
    def reclaimable_bytes(self) -> int:
        """See ``Reclaimable``."""
        self.settle()
        return max(0, self._account.held_bytes - self._pinned_bytes)

    def reclaim(self, wanted_bytes: int) -> int:
        """See ``Reclaimable``."""
        self.settle()
        freed = 0
        for kept in self._by_use(lambda _: True):
            if freed >= wanted_bytes:
                break
            freed += kept.let_go()
        return freed

    def _by_use(self, chosen: Callable[[KeptColumn], bool]) -> list[KeptColumn]:
        """Columns in memory that no query has, those to go first first."""
        with self._lock:
            found = [kept for kept in self._columns if kept.is_idle and chosen(kept)]
        found.sort(key=lambda kept: (kept.previous_use, kept.last_use))
        return found

    # --- for kept columns --------------------------------------------------------------------------------------------

    def make_room(self, wanted: KeptColumn, num_bytes: int) -> bool:
        """Take bytes for a column about to come into memory, from free ones or columns that may make way for it."""
        if self.budget.try_take(self._account, num_bytes):
            return True
        self.settle()

        def is_older(kept: KeptColumn) -> bool:
            if kept is wanted:
                return False
            return kept.last_use < wanted.previous_use or kept.last_use == NEVER != wanted.last_use

        older = self._by_use(is_older)
        if self.budget.free_bytes + sum(kept.held_bytes for kept in older) < num_bytes:
            return False
        for kept in older:
            try:
                kept.let_go()
            except OutOfMemoryError:  # no room in the file either: the column is read in parts
                return False
            if self.budget.try_take(self._account, num_bytes):
                return True
        return False

    def give_room(self, num_bytes: int) -> None:
        """The contrary of :meth:`make_room`."""
        self.budget.give(self._account, num_bytes)

    def count(self, arrays: Iterable[Array], taken_bytes: int) -> int:
        """Count arrays that stay in memory, for which ``taken_bytes`` are taken already; the bytes that they added.

        Arrays that other columns have too count once.
        """
        added = 0
        with self._lock:
            for array in arrays:
                users, size = self._arrays.get(id(array), (0, int(array.nbytes)))
                added += 0 if users else size
                self._arrays[id(array)] = users + 1, size
        if added > taken_bytes:
            self.budget.take_anyway(self._account, added - taken_bytes)
        elif added < taken_bytes:
            self.budget.give(self._account, taken_bytes - added)
        return added

    def discount(self, arrays: Iterable[Array]) -> int:
        """The contrary of :meth:`count`; the bytes that are free now."""
        freed = 0
        with self._lock:
            for array in arrays:
                users, size = self._arrays[id(array)]
                if users > 1:
                    self._arrays[id(array)] = users - 1, size
                else:
                    del self._arrays[id(array)]
                    freed += size
        if freed:
            self.budget.give(self._account, freed)
        return freed

    def discount_later(self, arrays: list[Array]) -> None:
        """As :meth:`discount`, at the next occasion: called where no lock may be taken."""
        self._gone.append(arrays)

    def may_pin(self, num_bytes: int) -> bool:
        """Whether running queries may have so many more bytes in their hands."""
        return self._pinned_bytes + num_bytes <= PINNED_SHARE * self.budget.limit_bytes

    def note_pinned(self, num_bytes: int) -> None:
        """Say that queries have more bytes (or, negative, fewer) in their hands."""
        with self._lock:
            self._pinned_bytes += num_bytes

    def note_read(self, num_bytes: int, elapsed_s: float) -> None:
        """Say how long reading a column from its file took."""
        with self._lock:
            self._read = self._read[0] + num_bytes, self._read[1] + elapsed_s

    def is_worth_a_file(self, num_bytes: int, made_in_s: float) -> bool:
        """Whether a column that can be made again should rather be read from a file."""
        with self._lock:
            done_bytes, elapsed_s = self._read
        return done_bytes > 0 and made_in_s > REMAKE_OVER_READ * num_bytes * elapsed_s / done_bytes
