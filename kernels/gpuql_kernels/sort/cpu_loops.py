"""Compiled loops of the sorting kernels; imported only by ``cpu`` and its parts once an input is large enough."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.compiled_loop import compiled_loop

Array = Any

#: Runs up to this length are put in order by insertion.
INSERTION_ROWS = 24
#: Runs of equal prefixes above this length are left to NumPy's vectorised sort.
RUN_BITS = 11
RUN_ROWS = 1 << RUN_BITS


@compiled_loop
def count_cells(word: Array, minimum: Any, shift: Any, counts: Array) -> None:
    """Rows of each cell: the leading bits of ``word - minimum``."""
    for row in range(len(word)):
        counts[(word[row] - minimum) >> shift] += 1


@compiled_loop
def scatter_rows(word: Array, first_row: int, minimum: Any, shift: Any, places: Array, rows: Array) -> None:
    """Row numbers to the next place of their cell."""
    for i in range(len(word)):
        cell = (word[i] - minimum) >> shift
        place = places[cell]
        places[cell] = place + 1
        rows[place] = first_row + i


@compiled_loop
def scatter_keys(
    word: Array, minimum: Any, shift: Any, bucket_of_cell: Array, places: Array, keys: Array
) -> None:
    """Keys to the next place of their bucket."""
    for i in range(len(word)):
        key = word[i]
        bucket = bucket_of_cell[(key - minimum) >> shift]
        place = places[bucket]
        places[bucket] = place + 1
        keys[place] = key


@compiled_loop
def scatter_combined(
    word: Array,
    first_row: int,
    minimum: Any,
    shift: Any,
    row_bits: Any,
    bucket_of_cell: Array,
    places: Array,
    combined: Array,
) -> None:
    """Key and row number in one word to the next place of the key's bucket."""
    for i in range(len(word)):
        key = word[i] - minimum
        bucket = bucket_of_cell[key >> shift]
        place = places[bucket]
        places[bucket] = place + 1
        combined[place] = (key << row_bits) | np.uint64(first_row + i)


@compiled_loop
def scatter_pairs(
    word: Array,
    first_row: int,
    minimum: Any,
    shift: Any,
    bucket_of_cell: Array,
    places: Array,
    keys: Array,
    rows: Array,
) -> None:
    """Keys and row numbers to the next place of the key's bucket."""
    for i in range(len(word)):
        key = word[i]
        bucket = bucket_of_cell[(key - minimum) >> shift]
        place = places[bucket]
        places[bucket] = place + 1
        keys[place] = key
        rows[place] = first_row + i


@compiled_loop
def combine_with_place(keys: Array, minimum: Any, drop: Any, place_bits: Any, combined: Array) -> None:
    """The leading bits of each key (all but ``drop``) above its place."""
    for i in range(len(keys)):
        combined[i] = (((keys[i] - minimum) >> drop) << place_bits) | np.uint64(i)


@compiled_loop
def values_of_places(combined: Array, place_bits: Any, values: Array, out: Array) -> None:
    """Row numbers or keys in the order of sorted places."""
    mask = (np.uint64(1) << place_bits) - np.uint64(1)
    for i in range(len(combined)):
        out[i] = values[combined[i] & mask]


@compiled_loop
def mark_repeats(combined: Array, place_bits: Any, keys: Array, repeats: Array) -> None:
    """Whether each key in sorted order equals the one before it."""
    mask = (np.uint64(1) << place_bits) - np.uint64(1)
    previous = keys[combined[0] & mask]
    repeats[0] = False
    for i in range(1, len(combined)):
        key = keys[combined[i] & mask]
        repeats[i] = key == previous
        previous = key


@compiled_loop
def _sort_few(words: Array, length: int) -> None:
    """Sort the first ``length`` words: by insertion if they are few."""
    if length > INSERTION_ROWS:
        words[:length].sort()
        return
    for i in range(1, length):
        word = words[i]
        j = i - 1
        while j >= 0 and words[j] > word:
            words[j + 1] = words[j]
            j -= 1
        words[j + 1] = word


@compiled_loop
def settle_prefix_runs(
    combined: Array, place_bits: Any, keys: Array, minimum: Any, drop: Any, long_runs: Array
) -> int:
    """Order places whose keys agree in the bits compared so far by the ``drop`` bits below, stably.

    Runs above ``RUN_ROWS`` are left alone and listed as (start, stop) in ``long_runs``; returns how many.
    """
    place_mask = (np.uint64(1) << place_bits) - np.uint64(1)
    low_mask = (np.uint64(1) << drop) - np.uint64(1)
    index_mask = np.uint64(RUN_ROWS - 1)
    index_bits = np.uint64(RUN_BITS)
    low_words = np.empty(RUN_ROWS, np.uint64)
    items = np.empty(RUN_ROWS, np.uint64)
    total = len(combined)
    found = 0
    start = 0
    while start < total:
        prefix = combined[start] >> place_bits
        stop = start + 1
        while stop < total and combined[stop] >> place_bits == prefix:
            stop += 1
        length = stop - start
        if length > RUN_ROWS:
            long_runs[found, 0] = start
            long_runs[found, 1] = stop
            found += 1
        elif length > 1:
            in_order = True
            previous = np.uint64(0)
            for i in range(length):
                items[i] = combined[start + i]
                low = (keys[items[i] & place_mask] - minimum) & low_mask
                in_order &= low >= previous
                previous = low
                low_words[i] = (low << index_bits) | np.uint64(i)
            if not in_order:
                _sort_few(low_words, length)
                for i in range(length):
                    combined[start + i] = items[low_words[i] & index_mask]
        start = stop
    return found


@compiled_loop
def append_bits(into: Array, source: Array, keep: Any, shift: Any, down: Any) -> None:
    """``into |= ((source & keep) << shift) >> down``."""
    for i in range(len(into)):
        into[i] |= ((source[i] & keep) << shift) >> down


@compiled_loop
def varying_bits(word: Array, first: Any) -> Any:
    """Bits in which some word differs from ``first``."""
    varying = np.uint64(0)
    for i in range(len(word)):
        varying |= word[i] ^ first
    return varying


@compiled_loop
def extract_runs(word: Array, runs: Array, out: Array) -> None:
    """Chosen bits moved together: ``runs[j]`` is (shift, mask after the shift, bits of the run), from the top."""
    for i in range(len(word)):
        value = word[i]
        result = np.uint64(0)
        for j in range(len(runs)):
            result = (result << runs[j, 2]) | ((value >> runs[j, 0]) & runs[j, 1])
        out[i] = result


@compiled_loop
def gather(values: Array, rows: Array, out: Array) -> None:
    """``out[i] = values[rows[i]]``."""
    for i in range(len(rows)):
        out[i] = values[rows[i]]


_WORDS = "uint64[::1]"
_CELLS = "uint64, uint64, uint16[::1], int64[::1]"

#: The argument types that each loop meets; others (values in mapped files, positions) are compiled when they come.
SIGNATURES = {
    count_cells: [f"({_WORDS}, uint64, uint64, int64[::1])"],
    scatter_rows: [f"({_WORDS}, int64, uint64, uint64, int64[::1], int64[::1])"],
    scatter_keys: [f"({_WORDS}, {_CELLS}, {_WORDS})"],
    scatter_combined: [f"({_WORDS}, int64, uint64, {_CELLS}, {_WORDS})"],
    scatter_pairs: [f"({_WORDS}, int64, {_CELLS}, {_WORDS}, int32[::1])"],
    combine_with_place: [f"({_WORDS}, uint64, uint64, uint64, {_WORDS})"],
    values_of_places: [
        f"({_WORDS}, uint64, int32[::1], int64[::1])",
        f"({_WORDS}, uint64, int64[::1], int64[::1])",
        f"({_WORDS}, uint64, {_WORDS}, {_WORDS})",
    ],
    mark_repeats: [f"({_WORDS}, uint64, {_WORDS}, boolean[::1])"],
    settle_prefix_runs: [f"({_WORDS}, uint64, {_WORDS}, uint64, uint64, int64[:, ::1])"],
    append_bits: [f"({_WORDS}, {_WORDS}, uint64, uint64, uint64)"],
    varying_bits: [f"({_WORDS}, uint64)"],
    extract_runs: [f"({_WORDS}, uint64[:, ::1], {_WORDS})"],
    gather: [f"({word}[::1], int64[::1], {word}[::1])" for word in ("uint8", "uint16", "uint32", "uint64")],
}
