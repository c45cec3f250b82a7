"""Rows of an aggregation that may be more than memory has room for: kept together, or split by a hash of their keys.

Each worker keeps rows in one store as long as those of all workers can be finished at once. Then it splits them into
partitions (Graefe, "Query Evaluation Techniques for Large Databases", ACM Computing Surveys 1993, section 4.2), each a
store that moves to slower memory when need be. At the end a partition is finished as a whole, or split again by another
hash. Rows that can be merged are merged while they wait, so that partitions hold groups rather than rows.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column, StringArray
from gpuql.columnar.concat import concat_batches
from gpuql.columnar.parts import batch_size, is_small_dictionary, root_of, string_bytes
from gpuql.columnar.strings import narrow_positions
from gpuql.memory.row_store import RowStore
from gpuql.memory.shared_tier import SharedTier
from gpuql.operators.contract import RowsResult, RunContext
from gpuql.operators.key_hash import hash_bytes_per_row, split_rows
from gpuql.thresholds import (
    FEW_MERGED_ROWS,
    FINISH_GROUPS_SHARE,
    MAX_GROUP_SPLITS,
    MAX_SPLIT_CHUNK_BYTES,
    MERGED_PARTIAL_ROWS,
    MOST_GROUP_SPLIT_BITS,
    POOR_MERGE,
    SPARSE_STRING_RATIO,
    SPLIT_CHUNK_SHARE,
    SPLIT_PIECE_BYTES,
    UNCOUNTED_RESULT_BYTES,
    UNSPLIT_GROUPS_SHARE,
    WORTHWHILE_SPLIT,
)
from gpuql_kernels.tasks import serially
from gpuql_planner.errors import OutOfMemoryError
from gpuql_planner.types import BIGINT

#: What messages call the owner of these rows.
OWNER = "aggregation"
#: Column that holds the place of a row in the source, where that matters.
PLACE = -1


class RowForm(Protocol):
    """What rows an aggregation keeps, and what becomes of them. Columns ``0 … num_keys - 1`` are the group's keys."""

    @property
    def num_keys(self) -> int:
        """Leading columns whose equality makes a group."""

    @property
    def reduces(self) -> bool:
        """Whether :meth:`reduced` can make rows fewer."""

    @property
    def is_ordered(self) -> bool:
        """Whether results depend on the order of rows: kept rows then carry their place in column ``PLACE``."""

    @property
    def work_bytes_per_row(self) -> int:
        """Bytes that :meth:`finished` takes for each row besides copies of the rows."""

    @property
    def work_copies(self) -> int:
        """How many times the bytes of the rows :meth:`finished` and joining them take at most, rows not counted."""

    def reduced(self, rows: Batch, context: RunContext) -> Batch:
        """Fewer rows of the same form that mean the same."""

    def finished(self, rows: Batch, context: RunContext, *, is_reduced: bool = False) -> Batch:
        """Output rows of all rows of some groups; if ``is_reduced`` they are reduced already."""


@dataclass(eq=False)
class _Partition:
    """Rows of some hashes; merged once there are ``merge_rows``."""

    store: RowStore
    merge_rows: int = FEW_MERGED_ROWS


class GroupRows:
    """What one worker keeps. Used by one thread at a time."""

    def __init__(self, form: RowForm, context: RunContext) -> None:
        self._form = form
        self._context = context
        self._memory = context.memory
        self._waiting = context.memory.new_store(OWNER)
        self._partitions: list[_Partition] = []
        #: Bytes of the unsplit rows, were they copied: views of tables cost nothing, what is made of them does.
        self.num_bytes = 0
        self._strings: weakref.WeakSet[StringArray] = weakref.WeakSet()
        self._merge_rows = MERGED_PARTIAL_ROWS
        self._next_places: dict[int, int] = {}
        self.num_batches = 0

    @property
    def is_split(self) -> bool:
        """Whether rows are kept in partitions."""
        return bool(self._partitions)

    def keep(self, rows: Batch, sequence: int) -> None:
        """Keep rows; ``sequence`` is their place in the source order."""
        if self._form.is_ordered:
            rows = self._with_places(rows, sequence)
        if any(_is_sparse(column, self._context) for column in rows.columns.values()):
            rows = with_own_strings(rows, self._context)
        self._waiting.append(rows, sequence)
        self.num_batches += 1
        size = batch_size(rows)
        self.num_bytes += size.row_bytes
        for strings in size.strings:
            if strings not in self._strings and not is_resident(strings, self._context):
                self._strings.add(strings)
                self.num_bytes += string_bytes(strings)
        if self._partitions:
            if self.num_bytes > _chunk_bytes(self._context):
                self.split()
            return
        if self._form.reduces and self._waiting.num_rows > self._merge_rows:
            self._merge()
        if self._form.num_keys and self._is_short():
            if self._form.reduces and self._merge():
                return
            self.split()

    def _with_places(self, rows: Batch, sequence: int) -> Batch:
        """The rows with column ``PLACE``. Merging and splitting lose ``sequence``, so no later step could add it."""
        start = self._next_places.get(sequence, sequence << 32)
        self._next_places[sequence] = start + rows.num_rows
        place = Column(BIGINT, start + self._context.xp.arange(rows.num_rows))
        return Batch({**rows.columns, PLACE: place}, rows.num_rows)

    def _is_short(self) -> bool:
        share = UNSPLIT_GROUPS_SHARE / max(1, self._context.workers)
        return self._waiting.is_spilled or self.num_bytes > share * self._memory.budget.limit_bytes

    def _merge(self) -> bool:
        """Merge the waiting rows; whether that made them much fewer."""
        before = self._waiting.num_rows
        merged = _merged(self._waiting, self.num_bytes, self._form, self._context)
        if merged is None:
            self._merge_rows = 2 * before
            return False
        self._waiting = merged
        poor = merged.num_rows >= POOR_MERGE * before
        self._merge_rows = max(MERGED_PARTIAL_ROWS, (4 if poor else 2) * merged.num_rows)
        self.num_bytes, self._strings = merged.total_bytes, weakref.WeakSet()
        return not poor

    def split(self) -> None:
        """Move the waiting rows into partitions."""
        if not self._partitions:
            shared = SharedTier(lambda: self._memory.lower_tier(OWNER))
            self._partitions = [
                _Partition(self._memory.new_store(OWNER, shared.share))
                for _ in range(_num_partitions(self._context))
            ]
        waiting, self._waiting = self._waiting, self._memory.new_store(OWNER)
        self.num_bytes, self._strings = 0, weakref.WeakSet()
        stores = [partition.store for partition in self._partitions]
        split_store(waiting, stores, self._form, self._context, level=0)
        if self._form.reduces:
            for partition in self._partitions:
                self._merge_partition(partition)

    def _merge_partition(self, partition: _Partition) -> None:
        store = partition.store
        if store.num_rows < partition.merge_rows or store.is_spilled:
            return
        before = store.num_rows
        merged = _merged(store, store.total_bytes, self._form, self._context)
        if merged is None:
            partition.merge_rows = 2 * before
            return
        partition.store = merged
        poor = merged.num_rows > POOR_MERGE * before
        partition.merge_rows = max(FEW_MERGED_ROWS, (4 if poor else 2) * merged.num_rows)

    def take_waiting(self) -> RowStore:
        """The rows that are not split, which are the caller's from now on."""
        waiting, self._waiting = self._waiting, self._memory.new_store(OWNER)
        return waiting

    def take_partitions(self) -> list[RowStore]:
        """All rows, split, which are the caller's from now on."""
        self.split()
        partitions, self._partitions = self._partitions, []
        return [partition.store for partition in partitions]

    def absorb(self, other: GroupRows) -> None:
        """Take the unsplit rows of another worker."""
        self.num_batches += other.num_batches
        self.num_bytes += other.num_bytes
        self._waiting.absorb(other.take_waiting())


def _merged(rows: RowStore, num_bytes: int, form: RowForm, context: RunContext) -> RowStore | None:
    """The rows merged, in a store of their own; None if there is no room to do it. ``rows`` is closed if done.

    Merging saves room later, so nothing is moved to slower memory for it.
    """
    memory = context.memory
    need = work_bytes(num_bytes, rows.num_rows, form)
    reservation = memory.try_reserve(need, OWNER) if need <= memory.budget.free_bytes else None
    if reservation is None:
        return None
    with reservation:
        merged = form.reduced(concat_batches(list(rows.drain(reservation)), xp=context.xp), context)
    store = memory.new_store(OWNER)
    store.append(merged)
    return store


def work_bytes(num_bytes: int, num_rows: int, form: RowForm) -> int:
    """Bytes that it takes to finish or merge rows besides those in memory: the read ones, copies, hash tables."""
    return (form.work_copies + 1) * num_bytes + form.work_bytes_per_row * num_rows


def _chunk_bytes(context: RunContext) -> int:
    """Bytes of rows to split at a time: few enough that copies of them and their hashes fit any budget."""
    limit_bytes = context.memory.budget.limit_bytes
    least = min(1 << 16, limit_bytes // 16)
    return max(least, int(min(SPLIT_CHUNK_SHARE * limit_bytes, MAX_SPLIT_CHUNK_BYTES)))


def _num_partitions(context: RunContext) -> int:
    """Partitions of the first split."""
    num_bits = (_chunk_bytes(context) // SPLIT_PIECE_BYTES).bit_length() - 1
    return 1 << max(2, min(num_bits, MOST_GROUP_SPLIT_BITS))


def split_store(
    rows: RowStore, partitions: list[RowStore], form: RowForm, context: RunContext, *, level: int
) -> None:
    """Move rows into partitions by a hash of their keys. ``level`` tells one split of the same rows from the next."""
    memory, xp = context.memory, context.xp
    num_bits = (len(partitions) - 1).bit_length()
    # Hashes take more than the rows where these are narrow.
    most_bytes = 6 * _chunk_bytes(context)
    chunk: list[Batch] = []
    wanted = 0

    def flush() -> None:
        nonlocal chunk, wanted
        if not chunk:
            return
        context.check_cancelled()
        with memory.reserve(wanted, OWNER):
            joined = concat_batches(chunk, xp=xp)
            chunk, wanted = [], 0
            if level and form.reduces:
                joined = form.reduced(joined, context)
            keys = [joined.columns[index] for index in range(form.num_keys)]
            numbers, bounds = split_rows(keys, joined.num_rows, num_bits, context, level=level)
            for index, store in enumerate(partitions):
                mine = numbers[bounds[index] : bounds[index + 1]]
                if len(mine):
                    # Beyond the first split a dictionary may be most of what few rows take.
                    store.append(with_own_strings(joined.take(mine), context, shares_dictionaries=not level))

    for batch in rows.drain():
        row_bytes = max(1, kept_bytes(batch, context) // max(1, batch.num_rows))
        keys = [batch.columns[index] for index in range(form.num_keys)]
        row_work_bytes = 4 * row_bytes + hash_bytes_per_row(keys)
        step = max(1, most_bytes // row_work_bytes)
        for start in range(0, batch.num_rows, step):
            piece = batch.slice(start, start + step) if step < batch.num_rows else batch
            piece_bytes = piece.num_rows * row_work_bytes
            if wanted + piece_bytes > most_bytes:
                flush()
            chunk.append(piece)
            wanted += piece_bytes
    flush()


def is_resident(strings: StringArray, context: RunContext) -> bool:
    """Whether a table accounts for the strings."""
    return id(root_of(strings.offsets)) in context.memory.resident


def _is_sparse(column: Column, context: RunContext) -> bool:
    """Whether a few rows, such as one minimum, would keep the strings of very many others in memory."""
    strings = column.strings
    return (
        strings is not None
        and len(strings) > SPARSE_STRING_RATIO * len(column)
        and not _is_shared(strings, context)
    )


def _is_shared(strings: StringArray | None, context: RunContext) -> bool:
    """Whether rows may go on pointing into strings that others point into as well."""
    return _costs_nothing(strings, context) or (strings is not None and is_small_dictionary(strings))


def _costs_nothing(strings: StringArray | None, context: RunContext) -> bool:
    """Whether there are no strings, or a table accounts for them."""
    return strings is None or not len(strings) or is_resident(strings, context)


def kept_bytes(batch: Batch, context: RunContext) -> int:
    """Bytes of the rows and of the strings that they point at, each row counted, unless those are shared."""
    total = batch_size(batch).row_bytes
    for column in batch.columns.values():
        strings = column.strings
        if strings is not None and not _is_shared(strings, context):
            positions = column.values
            total += int((strings.offsets[positions + 1] - strings.offsets[positions]).sum()) + 8 * len(
                column
            )
    return total


def with_own_strings(batch: Batch, context: RunContext, *, shares_dictionaries: bool = True) -> Batch:
    """The batch with strings of its own rows only, but for tables' and, if these are shared, small dictionaries."""
    is_shared = _is_shared if shares_dictionaries else _costs_nothing
    if all(is_shared(column.strings, context) for column in batch.columns.values()):
        return batch
    gather = context.kernels.string_match.gather
    columns: dict[int, Column] = {}
    for key, column in batch.columns.items():
        strings = column.strings
        if strings is not None and not is_shared(strings, context):
            positions = column.values.astype(context.xp.int64)
            offsets, data = gather(strings.data, strings.offsets[positions], strings.offsets[positions + 1])
            own = narrow_positions(context.xp.arange(len(column)), len(column))
            column = Column(column.dtype, own, column.validity, StringArray(offsets, data))
        columns[key] = column
    return Batch(columns, batch.num_rows)


class Finisher:
    """Turns kept rows of all workers into output rows, in a store that may move some away.

    ``apart`` finishes rows that neither fit nor split: many rows of one group. Several threads may call it.
    """

    def __init__(
        self, form: RowForm, context: RunContext, apart: Callable[[RowStore, RunContext], Batch] | None = None
    ) -> None:
        self._form = form
        self._context = context
        self._memory = context.memory
        self._apart = apart
        self._lock = threading.Lock()
        self.result = context.memory.new_store(OWNER)

    def finish_all(self, states: list[GroupRows], *, is_reduced: bool = False) -> RowsResult:
        """Output rows, in no particular order. ``is_reduced``: the one kept batch has one row per group."""
        if any(state.is_split for state in states):
            partitions = [state.take_partitions() for state in states]
            self._finish_partitions([_joined(stores) for stores in zip(*partitions, strict=True)], 1)
            return RowsResult(self.result)
        first, *others = states
        for other in others:
            first.absorb(other)
        num_bytes, rows = first.num_bytes, first.take_waiting()
        finished = self._finished_whole(rows, num_bytes, is_reduced=is_reduced)
        if finished is None:
            self._finish_apart(rows, num_bytes, 0)
        elif kept_bytes(finished, self._context) <= UNCOUNTED_RESULT_BYTES:
            return RowsResult([finished])
        else:
            self._put(finished)
        return RowsResult(self.result)

    def _put(self, rows: Batch) -> None:
        with self._lock:
            self.result.append(rows)

    def _finished_whole(
        self, rows: RowStore, num_bytes: int, *, wait: bool = False, is_reduced: bool = False
    ) -> Batch | None:
        """Output rows of all ``rows`` at once; None if there is no room."""
        need = work_bytes(num_bytes, rows.num_rows, self._form)
        if need > FINISH_GROUPS_SHARE * self._memory.budget.limit_bytes and not wait:
            return None
        try:
            reservation = self._memory.reserve(need, OWNER)
        except OutOfMemoryError:
            if wait:
                raise
            return None
        with reservation:
            joined = concat_batches(list(rows.drain(reservation)), xp=self._context.xp)
            return self._form.finished(joined, self._context, is_reduced=is_reduced)

    def _finish_partitions(self, partitions: list[RowStore], level: int) -> None:
        """Finish each partition, several at once unless this is done for several at once already."""
        self._memory.metrics.add_partitions(sum(bool(store.num_rows) for store in partitions))

        def task(index: int) -> None:
            rows = partitions[index]
            if not rows.num_rows:
                rows.close()
                return
            num_bytes = rows.total_bytes
            finished = self._finished_whole(rows, num_bytes)
            if finished is None:
                self._finish_apart(rows, num_bytes, level)
            else:
                self._put(finished)

        # Threads do not wait for each other inside of tasks.
        run_tasks, self._context = self._context.run_tasks, replace(self._context, run_tasks=serially)
        run_tasks(len(partitions), task)

    def _finish_apart(self, rows: RowStore, num_bytes: int, level: int) -> None:
        """Finish rows that do not fit: split them (again), or finish them without ever holding all."""
        form, before = self._form, rows.num_rows
        if not form.num_keys or level >= MAX_GROUP_SPLITS:
            self._finish_inseparable(rows, num_bytes)
            return
        room = FINISH_GROUPS_SHARE * self._memory.budget.limit_bytes
        wanted = max(2, int(2 * work_bytes(num_bytes, before, form) / room))
        num_bits = min(MOST_GROUP_SPLIT_BITS, wanted.bit_length())
        shared = SharedTier(lambda: self._memory.lower_tier(OWNER))
        partitions = [self._memory.new_store(OWNER, shared.share) for _ in range(1 << num_bits)]
        split_store(rows, partitions, form, self._context, level=level)
        largest = max(store.num_rows for store in partitions)
        level = level + 1 if largest < WORTHWHILE_SPLIT * before else MAX_GROUP_SPLITS
        self._finish_partitions(partitions, level)

    def _finish_inseparable(self, rows: RowStore, num_bytes: int) -> None:
        if self._apart is None:
            finished = self._finished_whole(rows, num_bytes, wait=True)
            assert finished is not None, "it waits, or it fails"
            self._put(finished)
            return
        self._put(self._apart(rows, self._context))
        rows.close()


def _joined(stores: tuple[RowStore, ...]) -> RowStore:
    first, *others = stores
    for other in others:
        first.absorb(other)
    return first
