"""Rows on their way into partitions: split by a hash of their keys, one store for each part."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column, StringArray
from gpuql.columnar.concat import concat_batches
from gpuql.columnar.parts import batch_size, is_small_dictionary, root_of, string_bytes
from gpuql.columnar.strings import narrow_positions
from gpuql.memory.row_store import RowStore
from gpuql.memory.shared_tier import SharedTier
from gpuql.operators.contract import RunContext
from gpuql.operators.key_hash import hash_bytes_per_row, split_rows
from gpuql.thresholds import GATHERED_SHARE, JOIN_SPLIT_BITS

NUM_PARTITIONS = 1 << JOIN_SPLIT_BITS

_ROW_NUMBER_BYTES = 8

#: Key columns of a batch.
Keys = Callable[[Batch], Sequence[Column]]


class PartitionWriter:
    """Takes the rows of one worker apart into one store per partition.

    Parameters
    ----------
    owner : what messages call it.
    keys : the columns that decide; of no columns all rows go to the one partition.
    bounds : the hash's ``NUM_PARTITIONS`` partitions ``bounds[i]`` to ``bounds[i + 1]`` make partition ``i``.
    level : splits of different levels are independent.
    shared : where all stores of this and of other writers move rows.
    """

    def __init__(
        self,
        context: RunContext,
        owner: str,
        keys: Keys,
        bounds: Sequence[int],
        shared: SharedTier,
        *,
        level: int = 0,
    ) -> None:
        self.stores = [context.memory.new_store(owner, shared.share) for _ in range(len(bounds) - 1)]
        self._context = context
        self._owner = owner
        self._keys = keys
        self._bounds = bounds
        self._level = level
        self._waiting: list[Batch] = []
        self._waiting_bytes = 0
        self._gathered_bytes = int(GATHERED_SHARE * context.memory.part_bytes)

    def add(self, batch: Batch) -> None:
        """Take a batch. Errors: OutOfMemoryError."""
        if batch.num_rows == 0:
            return
        if len(self.stores) == 1:
            self.stores[0].append(owned(batch, self._context))
            return
        size = batch_size(batch).row_bytes
        if size >= self._gathered_bytes:
            self._split(batch)
            return
        if not self._context.memory.take_if_possible(size):
            self.flush()
            self._split(batch)
            return
        self._waiting.append(batch)
        self._waiting_bytes += size
        if self._waiting_bytes >= self._gathered_bytes:
            self.flush()

    def flush(self) -> None:
        """Split what has been gathered."""
        waiting, self._waiting = self._waiting, []
        held, self._waiting_bytes = self._waiting_bytes, 0
        if waiting:
            self._split(concat_batches(waiting, xp=self._context.xp))
        self._context.memory.give(held)

    def _split(self, batch: Batch) -> None:
        # So many rows at once take no more than what has been gathered, and nor do their numbers.
        row_bytes = batch_size(batch).row_bytes // batch.num_rows
        step = max(1 << 10, self._gathered_bytes // max(_ROW_NUMBER_BYTES, row_bytes))
        for start in range(0, batch.num_rows, step):
            whole = batch.num_rows <= step
            self._split_slice(batch if whole else batch.slice(start, min(start + step, batch.num_rows)))

    def _split_slice(self, batch: Batch) -> None:
        """Hash in short runs, whose working memory is small, but take each partition's rows at once.

        A piece of a few rows would cost more than its bytes, in objects and in holes that it leaves in the heap.
        """
        context, xp = self._context, self._context.xp
        keys = self._keys(batch)
        hash_bytes = hash_bytes_per_row(keys)
        step = min(batch.num_rows, max(1 << 10, self._gathered_bytes // (2 * hash_bytes)))
        row_bytes = batch_size(batch).row_bytes // batch.num_rows
        # Of the rows that are taken, those of one partition are not yet the store's; with equal keys it is all of them.
        work_bytes = step * hash_bytes + batch.num_rows * (2 * _ROW_NUMBER_BYTES + row_bytes)
        with context.memory.reserve(work_bytes, self._owner):
            runs = []
            for start in range(0, batch.num_rows, step):
                stop = min(start + step, batch.num_rows)
                run_keys = keys if step == batch.num_rows else [key.slice(start, stop) for key in keys]
                rows, bounds = split_rows(run_keys, stop - start, JOIN_SPLIT_BITS, context, level=self._level)
                runs.append((rows + start if start else rows, bounds[list(self._bounds)].tolist()))
            for position, store in enumerate(self.stores):
                parts = [rows[ends[position] : ends[position + 1]] for rows, ends in runs]
                taken = parts[0] if len(parts) == 1 else xp.concatenate(parts)
                if len(taken):
                    store.append(with_own_strings(batch.take(taken), context))


def merged(writers: Sequence[PartitionWriter]) -> list[RowStore]:
    """The stores of several writers of the same partitions, in one list; they have nothing more to take."""
    for writer in writers:
        writer.flush()
    first, *others = writers
    for other in others:
        for store, taken in zip(first.stores, other.stores, strict=True):
            store.absorb(taken)
    return first.stores


def every_partition() -> tuple[int, ...]:
    """Bounds that keep all of the hash's partitions apart."""
    return tuple(range(NUM_PARTITIONS + 1))


def grouped(
    partitions: Sequence[RowStore], fits: Callable[[int, int], bool]
) -> tuple[list[RowStore], list[int]]:
    """Neighbours put together as long as ``fits`` holds of their rows and bytes; and the bounds of the groups.

    What does not fit alone stands alone.
    """
    groups: list[RowStore] = []
    bounds = []
    for position, rows in enumerate(partitions):
        if groups:
            into = groups[-1]
            if fits(into.num_rows + rows.num_rows, into.total_bytes + rows.total_bytes):
                into.absorb(rows)
                continue
        groups.append(rows)
        bounds.append(position)
    return groups, [*bounds, len(partitions)]


def owned(batch: Batch, context: RunContext) -> Batch:
    """The batch without ties to larger arrays, which would stay in memory as long as it does."""
    if all(_is_owned(column, context) for column in batch.columns.values()):
        return batch
    return with_own_strings(batch.take(context.xp.arange(batch.num_rows)), context)


def _is_owned(column: Column, context: RunContext) -> bool:
    arrays = [column.values] if column.validity is None else [column.values, column.validity]
    roots = [root_of(array) for array in arrays]
    resident = context.memory.resident
    return column.strings is None and all(
        id(root) in resident or root.nbytes <= 2 * array.nbytes
        for array, root in zip(arrays, roots, strict=True)
    )


def with_own_strings(batch: Batch, context: RunContext) -> Batch:
    """Rows with their strings: copied out of string arrays that others use too, unless these stay in memory anyway."""
    if not any(column.strings is not None for column in batch.columns.values()):
        return batch
    columns = {key: _own_strings(column, context) for key, column in batch.columns.items()}
    return Batch(columns, batch.num_rows)


def _own_strings(column: Column, context: RunContext) -> Column:
    strings = column.strings
    if (
        strings is None
        or len(strings) == 0
        or is_small_dictionary(strings)
        or id(root_of(strings.offsets)) in context.memory.resident
    ):
        return column
    if len(strings) <= len(column) and string_bytes(strings) <= 8 * len(column):
        return column
    positions = column.values.astype(context.xp.int64)
    gather = context.kernels.string_match.gather
    offsets, data = gather(strings.data, strings.offsets[positions], strings.offsets[positions + 1])
    numbers = narrow_positions(context.xp.arange(len(column)), len(column))
    return Column(column.dtype, numbers, column.validity, StringArray(offsets, data))
