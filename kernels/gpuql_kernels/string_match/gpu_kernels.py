"""CUDA kernels of the string family; one thread looks at one string, except where bytes are copied.

``rows`` holds the strings to look at; without ``selected`` it is not read and string ``i`` belongs to position ``i``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.grid.gpu import cuda, grid_kernel, upper_bound
from gpuql_kernels.string_match import bytewise

Array = Any
Scalar = Any

_compile = cuda.jit(device=True, inline="always")
_order = _compile(bytewise.order)
_find_bytes = _compile(bytewise.find_bytes)
_skip_character = _compile(bytewise.skip_character)
_hash = _compile(bytewise.hash_bytes)

#: Types of ``n, offsets, data, rows, selected``.
_STRINGS = "int64, int64[::1], uint8[::1], int64[::1], boolean"
#: Bytes that one thread copies: long enough to pay for finding the first, short enough to keep writes together.
COPY_BYTES = 16


@grid_kernel(
    "int64, int64[::1], uint8[::1], int64[::1], int64[::1], uint8[::1], int64[::1], int8[::1]",
)
def compare(
    n: int,
    offsets: Array,
    data: Array,
    rows: Array,
    offsets_b: Array,
    data_b: Array,
    rows_b: Array,
    result: Array,
) -> None:
    """Order of pairs."""
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        a, b = rows[i], rows_b[i]
        result[i] = _order(data, offsets[a], offsets[a + 1], data_b, offsets_b[b], offsets_b[b + 1])


@grid_kernel(f"{_STRINGS}, uint8[::1], int64, int8[::1]")
def compare_literal(
    n: int,
    offsets: Array,
    data: Array,
    rows: Array,
    selected: Scalar,
    literal: Array,
    size: int,
    result: Array,
) -> None:
    """Order against the first ``size`` bytes of a constant."""
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        row = rows[i] if selected else i
        result[i] = _order(data, offsets[row], offsets[row + 1], literal, 0, size)


@grid_kernel(f"{_STRINGS}, uint8[::1], int64, int64[::1]")
def find(
    n: int,
    offsets: Array,
    data: Array,
    rows: Array,
    selected: Scalar,
    literal: Array,
    size: int,
    result: Array,
) -> None:
    """First occurrence."""
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        row = rows[i] if selected else i
        begin, end = offsets[row], offsets[row + 1]
        position = _find_bytes(data, begin, end, literal, 0, size)
        result[i] = position - begin if position >= 0 else -1


@grid_kernel(f"{_STRINGS}, int64[::1], uint8[::1], boolean[::1]")
def like_segments(
    n: int,
    offsets: Array,
    data: Array,
    rows: Array,
    selected: Scalar,
    bounds: Array,
    literal: Array,
    result: Array,
) -> None:
    """LIKE without ``_``: segments in order, first and last anchored."""
    count = len(bounds) - 1
    head = bounds[1] - bounds[0]
    tail = bounds[count] - bounds[count - 1] if count > 1 else 0
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        row = rows[i] if selected else i
        begin, end = offsets[row], offsets[row + 1]
        if count == 1:
            result[i] = _order(data, begin, end, literal, 0, head) == 0
            continue
        matched = end - begin >= head + tail
        if matched:
            matched = _order(data, begin, begin + head, literal, 0, head) == 0
        if matched:
            matched = _order(data, end - tail, end, literal, bounds[count - 1], bounds[count]) == 0
        position, stop = begin + head, end - tail
        segment = 1
        while matched and segment < count - 1:
            found = _find_bytes(data, position, stop, literal, bounds[segment], bounds[segment + 1])
            matched = found >= 0
            position = found + bounds[segment + 1] - bounds[segment]
            segment += 1
        result[i] = matched


@grid_kernel(f"{_STRINGS}, int16[::1], boolean[::1]")
def like_tokens(
    n: int, offsets: Array, data: Array, rows: Array, selected: Scalar, tokens: Array, result: Array
) -> None:
    """LIKE with ``_``: greedy match that returns to the last ``%``."""
    count = len(tokens)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        row = rows[i] if selected else i
        position, end = offsets[row], offsets[row + 1]
        token = 0
        retry_token, retry_position = -1, position
        while True:
            if token < count and tokens[token] == 257:
                retry_token, retry_position = token, position
                token += 1
                continue
            if position >= end:
                break
            if token < count and tokens[token] == 256:
                token += 1
                position = _skip_character(data, position, end)
            elif token < count and tokens[token] == data[position]:
                token += 1
                position += 1
            elif retry_token >= 0:
                token = retry_token + 1
                retry_position = _skip_character(data, retry_position, end)
                position = retry_position
            else:
                token = -1
                break
        result[i] = token == count


@cuda.jit(device=True, inline="always")
def _count_characters(data: Array, begin: Scalar, end: Scalar) -> Scalar:
    count = np.int64(0)
    for k in range(begin, end):
        count += (data[k] & 0xC0) != 0x80
    return count


@cuda.jit(device=True, inline="always")
def _advance(data: Array, position: Scalar, end: Scalar, characters: Scalar) -> Scalar:
    while characters > 0 and position < end:
        position = _skip_character(data, position, end)
        characters -= 1
    return position


@grid_kernel(f"{_STRINGS}, int64[::1]")
def character_count(
    n: int, offsets: Array, data: Array, rows: Array, selected: Scalar, result: Array
) -> None:
    """Bytes that start a character."""
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        row = rows[i] if selected else i
        result[i] = _count_characters(data, offsets[row], offsets[row + 1])


@grid_kernel(f"{_STRINGS}, int64, int64, int64[::1], int64[::1]")
def character_range(
    n: int,
    offsets: Array,
    data: Array,
    rows: Array,
    selected: Scalar,
    start: int,
    length: int,
    starts: Array,
    ends: Array,
) -> None:
    """Byte range of a substring."""
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        row = rows[i] if selected else i
        begin, end = offsets[row], offsets[row + 1]
        low = start - 1
        if start < 0:
            low = _count_characters(data, begin, end) + start
        elif start == 0:
            low = -1 if length >= 0 else 0
        high = low + length
        if length < 0:
            low, high = high, low
        low, high = max(low, 0), max(high, 0)
        first = _advance(data, begin, end, low)
        starts[i] = first
        ends[i] = _advance(data, first, end, high - low)


@grid_kernel("int64, uint8[::1], int64[::1], int64[::1], uint8[::1]")
def gather(n: int, data: Array, starts: Array, ends: Array, result: Array) -> None:
    """Copy ranges behind one another; ``ends`` are their ends in ``result``. A thread copies ``COPY_BYTES`` bytes."""
    total = len(result)
    for chunk in range(cuda.grid(1), n, cuda.gridsize(1)):
        target = chunk * COPY_BYTES
        stop = min(target + COPY_BYTES, total)
        i = upper_bound(ends, target)
        source = starts[i] + target - (ends[i - 1] if i > 0 else 0)
        while target < stop:
            if target == ends[i]:
                # Empty ranges end where the one before them does.
                while target == ends[i]:
                    i += 1
                source = starts[i]
            result[target] = data[source]
            target += 1
            source += 1


@grid_kernel(f"{_STRINGS}, uint64[::1]")
def hash_strings(n: int, offsets: Array, data: Array, rows: Array, selected: Scalar, hashes: Array) -> None:
    """Hash of each string."""
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        row = rows[i] if selected else i
        hashes[i] = _hash(data, offsets[row], offsets[row + 1])


@grid_kernel(
    f"{_STRINGS}, uint64[::1], int32[::1], int64[::1]", f"{_STRINGS}, uint64[::1], int64[::1], int64[::1]"
)
def claim_slots(
    n: int,
    offsets: Array,
    data: Array,
    rows: Array,
    selected: Scalar,
    hashes: Array,
    owners: Array,
    slots: Array,
) -> None:
    """Slot of each string; ``owners`` (-1 for empty) ends with the smallest position of each slot's string."""
    mask = np.int64(len(owners) - 1)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        row = rows[i] if selected else i
        begin, end = offsets[row], offsets[row + 1]
        hashed = hashes[i]
        slot = np.int64(hashed >> np.uint64(1)) & mask
        while True:
            owner = np.int64(owners[slot])
            if owner < 0:
                owner = np.int64(cuda.atomic.cas(owners, slot, -1, i))
                if owner < 0:
                    break
            if hashes[owner] == hashed:
                other = rows[owner] if selected else owner
                if _order(data, offsets[other], offsets[other + 1], data, begin, end) == 0:
                    if i < owner:
                        cuda.atomic.min(owners, slot, i)
                    break
            slot = (slot + 1) & mask
        slots[i] = slot


@grid_kernel(
    f"{_STRINGS}, int64[::1], uint8[::1], uint64[::1], int32[::1], int64[::1]",
    f"{_STRINGS}, int64[::1], uint8[::1], uint64[::1], int64[::1], int64[::1]",
)
def look_up(
    n: int,
    offsets: Array,
    data: Array,
    rows: Array,
    selected: Scalar,
    entry_offsets: Array,
    entry_data: Array,
    hashes: Array,
    owners: Array,
    result: Array,
) -> None:
    """Entry equal to each string, -1 if there is none."""
    mask = np.int64(len(owners) - 1)
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        row = rows[i] if selected else i
        begin, end = offsets[row], offsets[row + 1]
        hashed = _hash(data, begin, end)
        slot = np.int64(hashed >> np.uint64(1)) & mask
        found = np.int64(-1)
        while owners[slot] >= 0:
            entry = np.int64(owners[slot])
            if hashes[entry] == hashed:
                low, high = entry_offsets[entry], entry_offsets[entry + 1]
                if _order(entry_data, low, high, data, begin, end) == 0:
                    found = entry
                    break
            slot = (slot + 1) & mask
        result[i] = found


@grid_kernel(f"{_STRINGS}, int64, uint64[::1]")
def prefix_word(
    n: int, offsets: Array, data: Array, rows: Array, selected: Scalar, skip: int, result: Array
) -> None:
    """Eight bytes big-endian."""
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        row = rows[i] if selected else i
        begin, end = offsets[row] + skip, offsets[row + 1]
        word = np.uint64(0)
        for k in range(8):
            byte = np.uint64(data[begin + k]) if begin + k < end else np.uint64(0)
            word = (word << np.uint64(8)) | byte
        result[i] = word
