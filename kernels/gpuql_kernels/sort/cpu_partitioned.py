"""Sorting many rows: partition by leading key bits into buckets that fit a cache, then sort those.

The partition is one counting pass and one scatter, both by chunks of rows; NumPy's vectorised sort of uint64 (AVX-512
or AVX2, Intel's x86-simd-sort) does the buckets. To carry the row number and to be stable it sorts words that hold key
bits above a row number, or above a place in the bucket where the whole row number leaves too few bits for the key.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.sort import cpu_loops
from gpuql_kernels.sort.cpu_key_bits import pack_bits, squeeze
from gpuql_kernels.tasks import RunTasks

Array = Any

#: Rows of a bucket: keys and row numbers stay in a second-level cache while they are sorted.
BUCKET_ROWS = 1 << 15
#: More buckets would each be written through a page and cache line that has gone before the next row comes.
MAX_BUCKETS = 1 << 10
#: Cells counted to choose the buckets. Leading bits of doubles are mostly exponent: 16 leave some of the fraction.
_CELL_BITS = 16
#: Rows from which partitioning pays.
_PARTITION_ROWS = 1 << 17
#: Fewer rows than this are sorted by NumPy alone.
_FEW_ROWS = 1 << 10
#: Chunks that are counted and scattered by one task each; each has counters of its own.
_MAX_CHUNKS = 16


def order_large(words: list[Array], bits: list[int], run_tasks: RunTasks) -> Array:
    """Stable order; see ``contract``."""
    num_rows = len(words[0])
    rows = np.empty(num_rows, np.int64)
    if sum(bits) > 64:
        words, bits = squeeze(words, bits, run_tasks)
    packed = pack_bits(words, bits, run_tasks)
    repeats = np.empty(num_rows, np.bool_) if len(packed) > 1 else None
    _WordSort(run_tasks).sort(packed[0], None, rows, repeats)
    if repeats is not None:
        _order_equal(packed[1:], rows, repeats, run_tasks)
    return rows


def _order_equal(words: list[Array], rows: Array, repeats: Array, run_tasks: RunTasks) -> None:
    """Order rows whose first words are equal by the words that follow."""
    tied = repeats.copy()
    tied[:-1] |= repeats[1:]
    places = np.flatnonzero(tied)
    if len(places) == 0:
        return
    group = np.cumsum(~repeats[places]).astype(np.uint64)
    tied_rows = rows[places]
    # Groups stand in ascending places, so ordering by group first keeps every group where it is.
    keys = [group, *(word[tied_rows] for word in words)]
    bits = [int(group[-1]).bit_length(), *([64] * len(words))]
    few = len(places) < _FEW_ROWS
    order = np.lexsort(keys[::-1]) if few else order_large(keys, bits, run_tasks)
    rows[places] = tied_rows[order]


class _WordSort:
    """Sorts one word; its parts share what lends them threads."""

    def __init__(self, run_tasks: RunTasks) -> None:
        self._run_tasks = run_tasks

    def sort(self, word: Array, rows: Array | None, out: Array, repeats: Array | None) -> None:
        """Fill ``out`` with ``rows`` (row numbers if None) in the order of ``word``.

        ``repeats``, if given, tells of each key in order whether it equals the one before.
        """
        num_rows = len(word)
        if num_rows < _PARTITION_ROWS:
            self._sort_bucket(word, rows, out, repeats)
            return
        chunk_rows = -(-num_rows // _MAX_CHUNKS)
        chunks = [slice(start, min(start + chunk_rows, num_rows)) for start in range(0, num_rows, chunk_rows)]
        lows, highs = np.empty(len(chunks), np.uint64), np.empty(len(chunks), np.uint64)

        def measure(index: int) -> None:
            lows[index], highs[index] = word[chunks[index]].min(), word[chunks[index]].max()

        self._run_tasks(len(chunks), measure)
        minimum = lows.min()
        width = int(highs.max() - minimum).bit_length()
        if width == 0:
            out[:] = np.arange(num_rows) if rows is None else rows
            if repeats is not None:
                repeats[0], repeats[1:] = False, True
            return
        shift = np.uint64(max(0, width - _CELL_BITS))
        counts = np.zeros((len(chunks), 1 << min(width, _CELL_BITS)), np.int64)
        self._run_tasks(
            len(chunks), lambda i: cpu_loops.count_cells(word[chunks[i]], minimum, shift, counts[i])
        )
        if rows is None and repeats is None and shift == 0 and counts.shape[1] <= MAX_BUCKETS:
            places = _places(counts)
            self._run_tasks(
                len(chunks),
                lambda i: cpu_loops.scatter_rows(
                    word[chunks[i]], chunks[i].start, minimum, shift, places[i], out
                ),
            )
            return
        bucket_of_cell, num_buckets = _buckets(counts.sum(axis=0))
        bucket_counts = np.zeros((len(chunks), num_buckets), np.int64)
        for index, count in enumerate(counts):
            bucket_counts[index] = np.bincount(bucket_of_cell, weights=count, minlength=num_buckets)
        bounds = np.concatenate(([0], np.cumsum(bucket_counts.sum(axis=0))))
        places = _places(bucket_counts)
        row_bits = (num_rows - 1).bit_length()
        if rows is None and repeats is None and width + row_bits <= 64:
            self._sort_combined(word, chunks, minimum, shift, row_bits, bucket_of_cell, places, bounds, out)
            return
        keys = np.empty(num_rows, np.uint64)
        order = np.empty(num_rows, np.int64 if num_rows > 1 << 31 else np.int32)
        self._run_tasks(
            len(chunks),
            lambda i: cpu_loops.scatter_pairs(
                word[chunks[i]], chunks[i].start, minimum, shift, bucket_of_cell, places[i], keys, order
            ),
        )
        if rows is not None:
            order = rows[order]
        # A bucket far above the rest is one cell of many keys: it is cut again, by its own range.
        large = max(8 * BUCKET_ROWS, num_rows // 8)
        small = []
        for bucket, (start, stop) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
            if stop - start <= large:
                small.append(bucket)
                continue
            part = slice(start, stop)
            self.sort(keys[part], order[part], out[part], None if repeats is None else repeats[part])

        def sort_bucket(index: int) -> None:
            part = slice(bounds[small[index]], bounds[small[index] + 1])
            self._sort_bucket(keys[part], order[part], out[part], None if repeats is None else repeats[part])

        self._run_tasks(len(small), sort_bucket)

    def _sort_combined(
        self,
        word: Array,
        chunks: list[slice],
        minimum: Any,
        shift: Any,
        row_bits: int,
        bucket_of_cell: Array,
        places: Array,
        bounds: Array,
        out: Array,
    ) -> None:
        """Sort words that hold key and row number."""
        combined = out.view(np.uint64)
        self._run_tasks(
            len(chunks),
            lambda i: cpu_loops.scatter_combined(
                word[chunks[i]],
                chunks[i].start,
                minimum,
                shift,
                np.uint64(row_bits),
                bucket_of_cell,
                places[i],
                combined,
            ),
        )
        mask = np.uint64((1 << row_bits) - 1)

        def sort_bucket(index: int) -> None:
            part = combined[bounds[index] : bounds[index + 1]]
            part.sort()
            part &= mask

        self._run_tasks(len(bounds) - 1, sort_bucket)

    def _sort_bucket(self, keys: Array, rows: Array | None, out: Array, repeats: Array | None) -> None:
        """Sort few keys on one thread."""
        num_rows = len(keys)
        if num_rows == 0:
            return
        minimum = keys.min()
        width = int(keys.max() - minimum).bit_length()
        place_bits = (num_rows - 1).bit_length()
        drop = max(0, width + place_bits - 64)
        combined = np.empty(num_rows, np.uint64)
        shift = np.uint64(place_bits)
        cpu_loops.combine_with_place(keys, minimum, np.uint64(drop), shift, combined)
        if width:
            combined.sort()
        if drop:
            long_runs = np.empty((num_rows // cpu_loops.INSERTION_ROWS + 1, 2), np.int64)
            found = cpu_loops.settle_prefix_runs(combined, shift, keys, long_runs)
            mask = np.uint64((1 << place_bits) - 1)
            for start, stop in long_runs[:found].tolist():
                # These keys agree in all but the bits dropped, so less is dropped next time, if anything.
                places = (combined[start:stop] & mask).astype(np.int64)
                ordered = np.empty(stop - start, np.int64)
                self._sort_bucket(keys[places], places, ordered, None)
                combined[start:stop] = ordered.view(np.uint64)
        if rows is None:
            np.bitwise_and(combined, np.uint64((1 << place_bits) - 1), out=out.view(np.uint64))
        else:
            cpu_loops.rows_of_places(combined, shift, rows, out)
        if repeats is not None:
            cpu_loops.mark_repeats(combined, shift, keys, repeats)


def _places(counts: Array) -> Array:
    """Where each chunk puts its first row of each bucket: buckets in order, inside a bucket chunks in order."""
    ends = np.cumsum(counts.T.ravel())
    return np.ascontiguousarray((ends - counts.T.ravel()).reshape(counts.T.shape).T)


def _buckets(cell_counts: Array) -> tuple[Array, int]:
    """Join neighbouring cells to buckets of about equal size; a cell that is larger stands alone."""
    size = max(BUCKET_ROWS, -(-2 * int(cell_counts.sum()) // MAX_BUCKETS))
    # A cell starts a new bucket where the rows before it pass a multiple of the size: at most twice the size each.
    before = np.cumsum(cell_counts) - cell_counts
    group = before // size
    large = cell_counts > size
    starts = np.empty(len(group), np.bool_)
    starts[0] = False
    starts[1:] = (group[1:] != group[:-1]) | large[1:] | large[:-1]
    bucket_of_cell = np.cumsum(starts)
    return bucket_of_cell.astype(np.uint16), int(bucket_of_cell[-1]) + 1
