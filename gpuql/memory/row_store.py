"""Batches that an operator keeps, in order, in memory as long as the budget has room and in slower memory otherwise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column, StringArray
from gpuql.columnar.concat import concat_batches
from gpuql.columnar.parts import BatchSize, batch_size, is_small_dictionary, stored_arrays, string_bytes
from gpuql.memory.budget import Reservation
from gpuql.thresholds import JOINED_PIECES, SMALL_PIECE_BYTES, TINY_PIECE_BYTES

if TYPE_CHECKING:
    from gpuql.memory.query_memory import QueryMemory


class LowerTier(Protocol):
    """Where a store moves batches to. Thread-safe."""

    def put(self, batch: Batch) -> Any:
        """Keep a batch; a ticket to :meth:`get` it with."""

    def get(self, ticket: Any) -> Batch:
        """The batch, as often as asked."""

    def close(self) -> None:
        """Let go of all batches."""


@dataclass(frozen=True, eq=False, slots=True)
class _Block:
    """A slice of a batch in slower memory; ``num_bytes`` are what it takes in memory."""

    tier: LowerTier
    ticket: Any
    num_bytes: int


@dataclass(eq=False, slots=True)
class _Piece:
    """A batch in its place: in memory (``batch``), or below, in slices (``blocks``).

    ``string_bytes`` are those that its rows point at, known once it was moved.
    """

    sequence: int
    num_rows: int
    row_bytes: int
    batch: Batch | None
    strings: tuple[StringArray, ...] = ()
    blocks: list[_Block] = field(default_factory=list)
    string_bytes: int = 0


@dataclass(eq=False)
class _Strings:
    """Strings that batches in memory point into, and how many batches do."""

    strings: StringArray
    num_pieces: int = 0


class RowStore:
    """Rows of one owner. Filled by one thread at a time; may be asked for its bytes by any.

    All batches have the same attributes. ``owner`` is what messages call it, such as "sort". ``open_lower`` opens the
    place below when it is first needed; by default one of its own.
    """

    def __init__(
        self, memory: QueryMemory, owner: str, open_lower: Callable[[], LowerTier] | None = None
    ) -> None:
        self.owner = owner
        self._memory = memory
        self._open_lower = open_lower
        self._readers = 0
        self._pieces: list[_Piece] = []
        self._strings: dict[int, _Strings] = {}
        self._held_bytes = 0
        self._lower_tiers: list[LowerTier] = []
        self._lock = threading.Lock()
        self._is_known = False
        self._owns_memory = False
        self.num_rows = 0
        self.spilled_bytes = 0
        self.is_closed = False

    # --- filling -----------------------------------------------------------------------------------------------------

    def append(self, batch: Batch, sequence: int = 0) -> None:
        """Keep a batch; ``sequence`` is its place in the order of :meth:`__iter__` (equal ones in order of arrival).

        Errors: OutOfMemoryError if neither the budget nor slower memory has room.
        """
        size = batch_size(batch, self._memory.resident)
        while True:
            num_bytes = self._additional_bytes(size)
            if num_bytes and not self._is_known:
                self._memory.add_store(self)
                self._is_known = True
            if num_bytes and not self._memory.take_if_possible(num_bytes):
                self._append_below(batch, sequence)
                return
            with self._lock:
                if self._additional_bytes(size) == num_bytes:
                    self._pieces.append(_Piece(sequence, batch.num_rows, size.row_bytes, batch, size.strings))
                    self._count(size.strings)
                    self._held_bytes += num_bytes
                    self.num_rows += batch.num_rows
                    if not self._readers:
                        self._join_tiny()
                    return
            # To win the bytes, batches moved that held some of the same strings: now this one must.
            self._memory.give(num_bytes)

    def _join_tiny(self) -> None:
        """Make one piece of the latest ones if these are tiny: their objects would weigh as much as their rows.

        Rows that wait in partitions come so, some kilobytes at a time.
        """
        tail = self._pieces[-JOINED_PIECES:]
        if len(tail) < JOINED_PIECES or any(
            not 0 < piece.row_bytes < TINY_PIECE_BYTES or piece.sequence != tail[0].sequence for piece in tail
        ):
            return
        batches = [piece.batch for piece in tail if piece.batch is not None]
        if len(batches) < len(tail) or not self._joins_well(batches):
            return
        joined = concat_batches(batches)
        size = batch_size(joined, self._memory.resident)
        more = self._additional_bytes(size) - sum(piece.row_bytes for piece in tail)
        kept = {id(one) for one in size.strings}
        gone = {id(one): one for piece in tail for one in piece.strings if id(one) not in kept}
        more -= sum(string_bytes(one) for one in gone.values())
        if more > 0 and not self._memory.budget.try_take(self._memory.account, more):
            return
        self._count(size.strings)
        for piece in tail:
            self._uncount(piece)
        self._pieces[-len(tail) :] = [
            _Piece(tail[0].sequence, joined.num_rows, size.row_bytes, joined, size.strings)
        ]
        if more > 0:
            self._held_bytes += more
        else:
            self._give(-more)

    def _joins_well(self, batches: list[Batch]) -> bool:
        """Whether the batches joined take no more than apart: neither encodings nor strings shared with others go."""
        for key in batches[0].columns:
            columns = [batch.columns[key] for batch in batches]
            if any(type(column) is not Column for column in columns):
                return False
            arrays = {id(column.strings) for column in columns if column.strings is not None}
            if len(arrays) > 1 and any(
                number not in self._strings or self._strings[number].num_pieces > 1 for number in arrays
            ):
                return False
        return _on_host(batches[0])

    def _additional_bytes(self, size: BatchSize) -> int:
        """What a batch takes beside the strings that others hold already."""
        fresh = (strings for strings in size.strings if id(strings) not in self._strings)
        return size.row_bytes + sum(string_bytes(strings) for strings in fresh)

    def _append_below(self, batch: Batch, sequence: int) -> None:
        piece = _Piece(sequence, batch.num_rows, batch_size(batch).row_bytes, batch)
        with self._lock:
            self._move(piece)
            self._pieces.append(piece)
            self.num_rows += batch.num_rows

    def absorb(self, other: RowStore) -> None:
        """Take over all rows of a store of the same query, which is empty and closed afterwards."""
        self._memory.remove_store(other)
        with self._lock, other._lock:
            self._pieces += other._pieces
            self._held_bytes += other._held_bytes
            for key, used in other._strings.items():
                known = self._strings.setdefault(key, used)
                if known is not used:
                    known.num_pieces += used.num_pieces
                    self._give(string_bytes(used.strings))  # both had counted them
            self.num_rows += other.num_rows
            self.spilled_bytes += other.spilled_bytes
            self._lower_tiers += other._lower_tiers
            other._pieces, other._strings, other._lower_tiers, other._held_bytes = [], {}, [], 0
            other.num_rows = 0
        if (self._held_bytes or self._lower_tiers) and not self._is_known:
            self._memory.add_store(self)
            self._is_known = True

    def drop_empty(self) -> None:
        """Forget batches without rows, but for one if there is no other."""
        with self._lock:
            filled = [piece for piece in self._pieces if piece.num_rows]
            self._pieces = filled or self._pieces[:1]

    def rows_before(self, sequence: int) -> int:
        """Rows of batches whose place is before ``sequence``."""
        return sum(piece.num_rows for piece in self._pieces if piece.sequence < sequence)

    # --- reading -----------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._pieces)

    def __iter__(self) -> Iterator[Batch]:
        """All batches in order, those below read one at a time."""
        with self._reading():
            for piece in self._ordered():
                yield from self._read(piece)

    def drain(self, into: Reservation | None = None) -> Iterator[Batch]:
        """All batches in order; each is let go of, and its bytes are given back, when the next one is asked for.

        The bytes go to the budget, or to ``into``: then nobody else can take them in between.
        """
        for _, batch in self.drain_numbered(into):
            yield batch

    def drain_numbered(self, into: Reservation | None = None) -> Iterator[tuple[int, Batch]]:
        """As :meth:`drain`, each batch with its place in the order."""
        with self._reading():
            for piece in self._ordered():
                for batch in self._read(piece):
                    yield piece.sequence, batch
                self._let_go(piece, into)
        self.close(into)

    def batch_at(self, position: int) -> Batch:
        """The batch that was appended as number ``position``, if none was joined with others or dropped since.

        Batches of different places in the order are never joined.
        """
        with self._reading():
            return concat_batches(list(self._read(self._pieces[position])))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Keep pieces as they are inside the block: they may move, but are not joined."""
        with self._lock:
            self._readers += 1
        try:
            yield
        finally:
            with self._lock:
                self._readers -= 1

    def _let_go(self, piece: _Piece, into: Reservation | None = None) -> None:
        """Give back the bytes of a piece that nobody will read again."""
        with self._lock:
            if piece.batch is not None:
                piece.batch = None
                self._release(piece, into)

    @property
    def total_bytes(self) -> int:
        """Bytes that all rows would take in memory at once; about, while another thread moves some of them."""
        strings = sum(string_bytes(used.strings) for used in tuple(self._strings.values()))
        return strings + sum(piece.row_bytes + piece.string_bytes for piece in tuple(self._pieces))

    @property
    def is_spilled(self) -> bool:
        """Whether some rows are in slower memory."""
        return self.spilled_bytes > 0

    def _ordered(self) -> list[_Piece]:
        return sorted(self._pieces, key=lambda piece: piece.sequence)

    def _read(self, piece: _Piece) -> Iterator[Batch]:
        with self._lock:
            batch = piece.batch
        if batch is not None:
            yield batch
            return
        for block in piece.blocks:
            read = block.tier.get(block.ticket)
            self._memory.metrics.add_read(block.num_bytes)
            yield read

    # --- giving bytes back -------------------------------------------------------------------------------------------

    @property
    def reclaimable_bytes(self) -> int:
        """See ``Reclaimable``."""
        return self._held_bytes

    def reclaim(self, wanted_bytes: int) -> int:
        """Move batches below until ``wanted_bytes`` are free, the latest first; see ``Reclaimable``."""
        if not self._lock.acquire(blocking=False):
            return 0
        try:
            before = self._held_bytes
            if not self._readers:
                self._join_small(wanted_bytes)
            for piece in reversed(self._pieces):
                if before - self._held_bytes >= wanted_bytes:
                    break
                if piece.batch is not None and (piece.row_bytes or piece.strings):
                    self._move(piece)
                    self._release(piece)
            return before - self._held_bytes
        finally:
            self._lock.release()

    def _count(self, strings: tuple[StringArray, ...]) -> None:
        """Note one more batch in memory that points into ``strings``."""
        for one in strings:
            self._strings.setdefault(id(one), _Strings(one)).num_pieces += 1

    def _release(self, piece: _Piece, into: Reservation | None = None) -> None:
        """Give back what a piece held that is not in memory any more, strings with the last that pointed into them."""
        self._give(piece.row_bytes + self._uncount(piece), into)

    def _uncount(self, piece: _Piece) -> int:
        """The contrary of :meth:`_count` for a piece; bytes of strings that no other one points into."""
        num_bytes = 0
        for strings in piece.strings:
            used = self._strings[id(strings)]
            used.num_pieces -= 1
            if not used.num_pieces:
                num_bytes += string_bytes(strings)
                del self._strings[id(strings)]
        piece.strings = ()
        return num_bytes

    def _give(self, num_bytes: int, into: Reservation | None = None) -> None:
        self._held_bytes -= num_bytes
        if into is not None:
            into.num_bytes += num_bytes
        else:
            self._memory.give(num_bytes)

    def _join_small(self, wanted_bytes: int) -> None:
        """Make one piece of the latest small ones, if they stand together: about as much as is to be moved."""
        small: list[_Piece] = []
        size = 0
        while len(small) < len(self._pieces) and size < max(wanted_bytes, SMALL_PIECE_BYTES):
            piece = self._pieces[-1 - len(small)]
            if (
                piece.batch is None
                or not 0 < piece.row_bytes < SMALL_PIECE_BYTES
                or size >= self._memory.block_bytes
            ):
                break
            if small and piece.sequence != small[-1].sequence:
                break
            small.append(piece)
            size += piece.row_bytes
        batches = [piece.batch for piece in reversed(small) if piece.batch is not None]
        if len(batches) < 2 or not _on_host(batches[0]):
            return
        joined = concat_batches(batches)
        strings = tuple(one for piece in small for one in piece.strings)  # let go of when the rows move
        piece = _Piece(small[0].sequence, joined.num_rows, size, joined, strings)
        self._pieces[-len(small) :] = [piece]

    def _move(self, piece: _Piece) -> None:
        """Put the piece into slower memory, in slices."""
        if not self._lower_tiers:
            opened = self._open_lower() if self._open_lower else self._memory.lower_tier(self.owner)
            self._lower_tiers.append(opened)
        lower = self._lower_tiers[0]
        batch = piece.batch
        assert batch is not None, "only what is here can move"
        piece.string_bytes = sum(_pointed_bytes(column) for column in batch.columns.values())
        num_bytes = piece.row_bytes + piece.string_bytes
        slices = max(1, -(-num_bytes // self._memory.block_bytes))
        step = max(1, -(-piece.num_rows // slices))
        blocks = []
        for start in range(0, max(piece.num_rows, 1), step):
            part = batch.slice(start, start + step) if slices > 1 else batch
            share = num_bytes * part.num_rows // max(piece.num_rows, 1)
            blocks.append(_Block(lower, lower.put(part), share))
        piece.blocks, piece.batch = blocks, None
        self.spilled_bytes += num_bytes
        self._memory.metrics.add_spill(num_bytes)

    def hand_over(self, memory: QueryMemory) -> None:
        """Let another account, which is closed with the store, hold the rows; the bytes move with them."""
        with self._lock:
            self._memory.remove_store(self)
            self._memory.budget.transfer(self._memory.account, memory.account, self._held_bytes)
            self._memory = memory
            self._owns_memory = True
            memory.add_store(self)

    def close(self, into: Reservation | None = None) -> None:
        """Let go of all rows, in memory and below. Twice does no harm. Bytes go to ``into`` as in :meth:`drain`."""
        self._memory.remove_store(self)
        with self._lock:
            self.is_closed = True
            held, self._held_bytes = self._held_bytes, 0
            self._pieces = []
            self._strings.clear()
            lower_tiers, self._lower_tiers = self._lower_tiers, []
            owns_memory, self._owns_memory = self._owns_memory, False
        if into is not None:
            into.num_bytes += held
        else:
            self._memory.give(held)
        for tier in lower_tiers:
            tier.close()
        if owns_memory:
            self._memory.close()


def _on_host(batch: Batch) -> bool:
    arrays = (array for column in batch.columns.values() for array in stored_arrays(column))
    return all(isinstance(array, np.ndarray) for array in arrays)


def _pointed_bytes(column: Column) -> int:
    """Bytes of the strings that rows point at, each row counted; 0 for a small dictionary, which they share."""
    strings = column.strings
    if strings is None or len(strings) == 0 or is_small_dictionary(strings):
        return 0
    positions = column.values
    return int((strings.offsets[positions + 1] - strings.offsets[positions]).sum()) + 8 * len(positions)
