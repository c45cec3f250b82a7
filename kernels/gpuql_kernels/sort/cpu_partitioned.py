"""Sorting many rows: partition by leading key bits into buckets that fit a cache, then sort those.

The partition is one counting pass and one scatter, both by chunks of rows; NumPy's vectorised sort of uint64 (AVX-512
or AVX2, Intel's x86-simd-sort) does the buckets. To carry the row number and to be stable it sorts words that hold key
bits above a row number, or above a place in the bucket where the whole row number leaves too few bits for the key.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuql_kernels.sort import cpu_loops
from gpuql_kernels.sort.cpu import order_few, order_few_with_repeats
from gpuql_kernels.sort.cpu_key_bits import pack_bits, squeeze
from gpuql_kernels.sort.ties import LaterWords, order_ties
from gpuql_kernels.tasks import RunTasks
from gpuql_kernels.thresholds import (
    MAX_SORT_BUCKETS,
    MAX_SORT_CHUNKS,
    PARTITIONED_SORT_ROWS,
    PLAIN_SORT_ROWS,
    SORT_BUCKET_ROWS,
    SORT_CELL_BITS,
)

Array = Any


@dataclass(frozen=True, eq=False)
class _Output:
    """What a sort fills, for the rows of one range of places; None where nobody asks for it.

    ``rows`` are int64 row numbers, ``repeats`` tells of each key in order whether it equals the one before, ``keys``
    are the keys in order.
    """

    rows: Array | None
    repeats: Array | None = None
    keys: Array | None = None

    def part(self, start: int, stop: int) -> _Output:
        """The places ``start`` to ``stop``."""
        parts = [
            None if array is None else array[start:stop] for array in (self.rows, self.repeats, self.keys)
        ]
        return _Output(*parts)


def order_large(
    words: list[Array],
    bits: list[int],
    run_tasks: RunTasks,
    later: Sequence[LaterWords] = (),
    *,
    consume: bool = False,
) -> Array:
    """Stable order; see ``contract``."""
    words = words if consume else list(words)
    return _order(words, bits, run_tasks, later, with_repeats=False)[0]


def _order(
    words: list[Array],
    bits: list[int],
    run_tasks: RunTasks,
    later: Sequence[LaterWords],
    *,
    with_repeats: bool,
) -> tuple[Array, Array | None]:
    """Stable order, and which keys in it equal the one before (always, if rows that tie had to be looked for).

    Empties ``words``.
    """
    num_rows = len(words[0])
    if sum(bits) > 64:
        words, bits = squeeze(words, bits, run_tasks)
    packed = pack_bits(words, bits, run_tasks)
    if packed is not words:
        words.clear()
    rows = np.empty(num_rows, np.int64)
    sources = [*(_rest(word) for word in packed[1:]), *later]
    repeats = np.empty(num_rows, np.bool_) if sources or with_repeats else None
    _WordSort(run_tasks).sort(packed.pop(0), None, _Output(rows, repeats))
    if repeats is not None:

        def order(keys: list[Array], key_bits: list[int]) -> tuple[Array, Array]:
            if len(keys[0]) < PLAIN_SORT_ROWS:
                return order_few_with_repeats(keys, key_bits)
            new_order, new_repeats = _order(keys, key_bits, run_tasks, (), with_repeats=True)
            assert new_repeats is not None, "asked for"
            return new_order, new_repeats

        order_ties(np, rows, repeats, sources, order)
    return rows, repeats


def _rest(word: Array) -> LaterWords:
    return lambda rows: ([word[rows]], [64])


def sort_large(
    words: list[Array], bits: list[int], run_tasks: RunTasks, *, with_rows: bool
) -> tuple[Array | None, Array]:
    """Stable order and sorted keys; see ``contract``."""
    (packed,) = pack_bits(words, bits, run_tasks)
    rows = np.empty(len(packed), np.int64) if with_rows else None
    keys = np.empty(len(packed), np.uint64)
    _WordSort(run_tasks).sort(packed, None, _Output(rows, keys=keys))
    return rows, keys


@dataclass(frozen=True, eq=False)
class _Partition:
    """Where each row of a word goes.

    ``minimum`` and ``shift`` lead from a key to its cell, ``bucket_of_cell`` on to its bucket. Bucket ``b`` takes the
    places from ``bounds[b]`` on, and ``places[i, b]`` is where chunk ``i`` puts its first row of it.
    """

    chunks: list[slice]
    minimum: Any
    width: int
    shift: Any
    bucket_of_cell: Array
    places: Array
    bounds: Array

    @property
    def one_key_each(self) -> bool:
        """Whether all keys of a bucket are equal."""
        return bool(self.shift == 0 and len(self.bounds) - 1 == len(self.bucket_of_cell))


class _WordSort:
    """Sorts one word; its parts share what lends them threads."""

    def __init__(self, run_tasks: RunTasks) -> None:
        self._run_tasks = run_tasks

    def sort(self, word: Array, rows: Array | None, out: _Output) -> None:
        """Fill ``out``, whose row numbers are ``rows`` (those of ``word`` if None) in the order of ``word``."""
        if len(word) < PARTITIONED_SORT_ROWS:
            self._sort_bucket(word, rows, out)
            return
        partition = self._partition(word)
        row_bits = (len(word) - 1).bit_length()
        if rows is not None or out.repeats is not None:
            self._sort_pairs(word, rows, partition, out)
        elif partition.one_key_each:
            self._sort_by_counts(word, partition, out)
        elif out.rows is None:
            self._sort_keys(word, partition, out.keys)
        elif partition.width + row_bits <= 64:
            self._sort_combined(word, partition, row_bits, out.rows, out.keys)
        else:
            self._sort_pairs(word, rows, partition, out)

    def _partition(self, word: Array) -> _Partition:
        num_rows = len(word)
        # Counters of a chunk take as much memory as so many keys.
        num_chunks = max(1, min(MAX_SORT_CHUNKS, num_rows >> SORT_CELL_BITS))
        chunk_rows = -(-num_rows // num_chunks)
        chunks = [slice(start, min(start + chunk_rows, num_rows)) for start in range(0, num_rows, chunk_rows)]
        lows, highs = np.empty(len(chunks), np.uint64), np.empty(len(chunks), np.uint64)

        def measure(index: int) -> None:
            lows[index], highs[index] = word[chunks[index]].min(), word[chunks[index]].max()

        self._run_tasks(len(chunks), measure)
        minimum = lows.min()
        width = int(highs.max() - minimum).bit_length()
        shift = np.uint64(max(0, width - SORT_CELL_BITS))
        counts = np.zeros((len(chunks), 1 << min(width, SORT_CELL_BITS)), np.int64)
        self._run_tasks(
            len(chunks), lambda i: cpu_loops.count_cells(word[chunks[i]], minimum, shift, counts[i])
        )
        if shift == 0 and counts.shape[1] <= MAX_SORT_BUCKETS:
            bucket_of_cell, num_buckets = np.arange(counts.shape[1], dtype=np.uint16), counts.shape[1]
        else:
            bucket_of_cell, num_buckets = _buckets(counts.sum(axis=0))
            counts = np.stack(
                [np.bincount(bucket_of_cell, weights=count, minlength=num_buckets) for count in counts]
            ).astype(np.int64)
        bounds = np.concatenate(([0], np.cumsum(counts.sum(axis=0))))
        return _Partition(chunks, minimum, width, shift, bucket_of_cell, _places(counts), bounds)

    def _sort_by_counts(self, word: Array, partition: _Partition, out: _Output) -> None:
        """Sort where buckets are single keys: nothing is left to do inside them."""
        minimum, shift, bounds = partition.minimum, partition.shift, partition.bounds
        rows, keys = out.rows, out.keys
        if rows is not None:

            def scatter(index: int) -> None:
                chunk = partition.chunks[index]
                cpu_loops.scatter_rows(
                    word[chunk], chunk.start, minimum, shift, partition.places[index], rows
                )

            self._run_tasks(len(partition.chunks), scatter)
        if keys is not None:
            keys[:] = np.repeat(np.arange(len(bounds) - 1, dtype=np.uint64) + minimum, np.diff(bounds))

    def _sort_keys(self, word: Array, partition: _Partition, keys: Array) -> None:
        """Sort keys that nothing goes along with."""

        def scatter(index: int) -> None:
            cpu_loops.scatter_keys(
                word[partition.chunks[index]],
                partition.minimum,
                partition.shift,
                partition.bucket_of_cell,
                partition.places[index],
                keys,
            )

        self._run_tasks(len(partition.chunks), scatter)
        bounds = partition.bounds
        self._run_tasks(len(bounds) - 1, lambda i: keys[bounds[i] : bounds[i + 1]].sort())

    def _sort_combined(
        self, word: Array, partition: _Partition, row_bits: int, rows: Array, keys: Array | None
    ) -> None:
        """Sort words that hold key and row number."""
        combined = rows.view(np.uint64)
        minimum, bounds = partition.minimum, partition.bounds

        def scatter(index: int) -> None:
            chunk = partition.chunks[index]
            cpu_loops.scatter_combined(
                word[chunk],
                chunk.start,
                minimum,
                partition.shift,
                np.uint64(row_bits),
                partition.bucket_of_cell,
                partition.places[index],
                combined,
            )

        self._run_tasks(len(partition.chunks), scatter)
        mask = np.uint64((1 << row_bits) - 1)

        def sort_bucket(index: int) -> None:
            part = combined[bounds[index] : bounds[index + 1]]
            part.sort()
            if keys is not None:
                found = keys[bounds[index] : bounds[index + 1]]
                np.right_shift(part, np.uint64(row_bits), out=found)
                found += minimum
            part &= mask

        self._run_tasks(len(bounds) - 1, sort_bucket)

    def _sort_pairs(self, word: Array, rows: Array | None, partition: _Partition, out: _Output) -> None:
        """Sort keys and row numbers that do not fit one word."""
        num_rows = len(word)
        if partition.width == 0:
            self._sort_bucket(word, rows, out)
            return
        keys = np.empty(num_rows, np.uint64)
        order = np.empty(num_rows, np.int64 if num_rows > 1 << 31 else np.int32)

        def scatter(index: int) -> None:
            chunk = partition.chunks[index]
            cpu_loops.scatter_pairs(
                word[chunk],
                chunk.start,
                partition.minimum,
                partition.shift,
                partition.bucket_of_cell,
                partition.places[index],
                keys,
                order,
            )

        self._run_tasks(len(partition.chunks), scatter)
        if rows is not None:
            order = rows[order]
        # A bucket far above the rest is one cell of many keys: it is cut again, by its own range.
        large = max(8 * SORT_BUCKET_ROWS, num_rows // 8)
        small = []
        bounds = partition.bounds.tolist()
        for bucket, (start, stop) in enumerate(itertools.pairwise(bounds)):
            if stop - start <= large:
                small.append(bucket)
            else:
                self.sort(keys[start:stop], order[start:stop], out.part(start, stop))

        def sort_bucket(index: int) -> None:
            start, stop = bounds[small[index]], bounds[small[index] + 1]
            self._sort_bucket(keys[start:stop], order[start:stop], out.part(start, stop))

        self._run_tasks(len(small), sort_bucket)

    def _sort_bucket(self, keys: Array, rows: Array | None, out: _Output) -> None:
        """Sort few keys, or equal ones, on one thread."""
        num_rows = len(keys)
        if num_rows == 0:
            return
        if out.rows is None:
            assert out.keys is not None, "something is asked for"
            out.keys[:] = np.sort(keys)
            return
        minimum = keys.min()
        width = int(keys.max() - minimum).bit_length()
        place_bits = (num_rows - 1).bit_length()
        drop = max(0, width + place_bits - 64)
        combined = np.empty(num_rows, np.uint64)
        shift = np.uint64(place_bits)
        mask = np.uint64((1 << place_bits) - 1)
        cpu_loops.combine_with_place(keys, minimum, np.uint64(drop), shift, combined)
        if width:
            combined.sort()
        if drop:
            # What is dropped is no wider than a place, so the bits dropped and a place of a run fit one word.
            low_mask = np.uint64((1 << drop) - 1)
            long_runs = np.empty((num_rows // cpu_loops.RUN_ROWS + 1, 2), np.int64)
            found = cpu_loops.settle_prefix_runs(combined, shift, keys, minimum, np.uint64(drop), long_runs)
            for start, stop in long_runs[:found].tolist():
                run = combined[start:stop]
                low = (keys[run & mask] - minimum) & low_mask
                run[:] = run[order_few([low], [drop])]
        if rows is None:
            np.bitwise_and(combined, mask, out=out.rows.view(np.uint64))
        else:
            cpu_loops.values_of_places(combined, shift, rows, out.rows)
        if out.repeats is not None:
            cpu_loops.mark_repeats(combined, shift, keys, out.repeats)
        if out.keys is not None:
            cpu_loops.values_of_places(combined, shift, keys, out.keys)


def _places(counts: Array) -> Array:
    """Where each chunk puts its first row of each bucket: buckets in order, inside a bucket chunks in order."""
    ends = np.cumsum(counts.T.ravel())
    return np.ascontiguousarray((ends - counts.T.ravel()).reshape(counts.T.shape).T)


def _buckets(cell_counts: Array) -> tuple[Array, int]:
    """Join neighbouring cells to buckets of about equal size; a cell that is larger stands alone."""
    size = max(SORT_BUCKET_ROWS, -(-2 * int(cell_counts.sum()) // MAX_SORT_BUCKETS))
    # A cell starts a new bucket where the rows before it pass a multiple of the size: at most twice the size each.
    before = np.cumsum(cell_counts) - cell_counts
    group = before // size
    large = cell_counts > size
    starts = np.empty(len(group), np.bool_)
    starts[0] = False
    starts[1:] = (group[1:] != group[:-1]) | large[1:] | large[:-1]
    bucket_of_cell = np.cumsum(starts)
    return bucket_of_cell.astype(np.uint16), int(bucket_of_cell[-1]) + 1
