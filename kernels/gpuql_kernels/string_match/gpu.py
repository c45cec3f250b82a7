"""String kernels on CuPy arrays, or NumPy arrays under the simulator (see ``contract``)."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.array_module import array_module
from gpuql_kernels.hash_table.gpu import number_by_first, row_dtype
from gpuql_kernels.string_match import gpu_kernels
from gpuql_kernels.string_match.contract import LikePattern, StringIndex

Array = Any


def _padded(xp: Any, data: Array) -> Array:
    """Never empty: an array without memory has no address to hand to a kernel."""
    return xp.ascontiguousarray(data) if len(data) else xp.zeros(1, np.uint8)


def _strings(xp: Any, offsets: Array, data: Array, rows: Array | None) -> tuple[int, tuple[Any, ...]]:
    """Number of strings to look at, and the arguments by which kernels find them."""
    offsets = xp.ascontiguousarray(offsets, dtype=np.int64)
    if rows is None:
        # Any int64 array stands in for rows that are not read.
        return len(offsets) - 1, (offsets, _padded(xp, data), offsets, False)
    return len(rows), (offsets, _padded(xp, data), xp.ascontiguousarray(rows, dtype=np.int64), True)


def _literal(xp: Any, literal: bytes) -> Array:
    return xp.asarray(np.frombuffer(literal or b"\0", np.uint8))


def compare(
    offsets: Array, data: Array, rows: Array, other_offsets: Array, other_data: Array, other_rows: Array, /
) -> Array:
    """Order of string pairs."""
    xp = array_module(data)
    num_rows, strings = _strings(xp, offsets, data, rows)
    _, others = _strings(xp, other_offsets, other_data, other_rows)
    result = xp.empty(num_rows, np.int8)
    gpu_kernels.compare(num_rows, *strings[:3], *others[:3], result)
    return result


def compare_literal(offsets: Array, data: Array, rows: Array | None, literal: bytes, /) -> Array:
    """Order against a constant."""
    xp = array_module(data)
    num_rows, strings = _strings(xp, offsets, data, rows)
    result = xp.empty(num_rows, np.int8)
    gpu_kernels.compare_literal(num_rows, *strings, _literal(xp, literal), len(literal), result)
    return result


def like(offsets: Array, data: Array, rows: Array | None, pattern: LikePattern, /) -> Array:
    """LIKE."""
    xp = array_module(data)
    num_rows, strings = _strings(xp, offsets, data, rows)
    result = xp.empty(num_rows, np.bool_)
    if pattern.segments is None:
        tokens = xp.asarray(np.array(pattern.tokens, np.int16))
        gpu_kernels.like_tokens(num_rows, *strings, tokens, result)
        return result
    lengths = [len(segment) for segment in pattern.segments]
    bounds = xp.asarray(np.concatenate(([0], np.cumsum(lengths))).astype(np.int64))
    gpu_kernels.like_segments(num_rows, *strings, bounds, _literal(xp, b"".join(pattern.segments)), result)
    return result


def find(offsets: Array, data: Array, rows: Array | None, literal: bytes, /) -> Array:
    """First occurrence in bytes."""
    xp = array_module(data)
    num_rows, strings = _strings(xp, offsets, data, rows)
    result = xp.empty(num_rows, np.int64)
    gpu_kernels.find(num_rows, *strings, _literal(xp, literal), len(literal), result)
    return result


def character_count(offsets: Array, data: Array, rows: Array | None, /) -> Array:
    """Characters of each string: bytes that do not continue one."""
    xp = array_module(data)
    num_rows, strings = _strings(xp, offsets, data, rows)
    result = xp.empty(num_rows, np.int64)
    gpu_kernels.character_count(num_rows, *strings, result)
    return result


def character_range(
    offsets: Array, data: Array, rows: Array | None, start: int, length: int, /
) -> tuple[Array, Array]:
    """Byte range of a substring."""
    xp = array_module(data)
    # The limits keep sums of both far from overflow; no string is that long.
    limit = 2**40
    start, length = max(-limit, min(limit, start)), max(-limit, min(limit, length))
    num_rows, strings = _strings(xp, offsets, data, rows)
    starts, ends = xp.empty(num_rows, np.int64), xp.empty(num_rows, np.int64)
    gpu_kernels.character_range(num_rows, *strings, start, length, starts, ends)
    return starts, ends


def gather(data: Array, starts: Array, ends: Array, /) -> tuple[Array, Array]:
    """Copy byte ranges."""
    xp = array_module(data)
    starts = xp.ascontiguousarray(starts, dtype=np.int64)
    offsets = xp.zeros(len(starts) + 1, np.int64)
    offsets[1:] = xp.cumsum(ends - starts)
    num_bytes = int(offsets[-1])
    result = xp.empty(num_bytes, np.uint8)
    num_chunks = -(-num_bytes // gpu_kernels.COPY_BYTES)
    gpu_kernels.gather(num_chunks, _padded(xp, data), starts, offsets[1:], result)
    return offsets, result


def factorize(offsets: Array, data: Array, rows: Array | None, /) -> tuple[Array, Array]:
    """Number distinct strings: a slot for each, then the numbers in order of the slots' first rows."""
    xp = array_module(data)
    num_rows, strings = _strings(xp, offsets, data, rows)
    if num_rows == 0:
        return xp.zeros(0, np.int64), xp.zeros(0, np.int64)
    _, owners, slots = _insert(xp, num_rows, strings)
    return number_by_first(xp, owners[slots])


def _insert(xp: Any, num_rows: int, strings: tuple[Any, ...]) -> tuple[Array, Array, Array]:
    """Hash of each string, a table of the first position of each distinct one, and each string's slot in it."""
    hashes = xp.empty(num_rows, np.uint64)
    gpu_kernels.hash_strings(num_rows, *strings, hashes)
    owners = xp.full(1 << max(4, (2 * num_rows - 1).bit_length()), -1, row_dtype(num_rows))
    slots = xp.empty(num_rows, np.int64)
    gpu_kernels.claim_slots(num_rows, *strings, hashes, owners, slots)
    return hashes, owners, slots


def lookup(
    offsets: Array, data: Array, other_offsets: Array, other_data: Array, other_rows: Array | None, /
) -> Array:
    """Find strings among distinct ones."""
    index = string_index(offsets, data)
    return lookup_indexed(index, offsets, data, other_offsets, other_data, other_rows)


def string_index(offsets: Array, data: Array, /) -> StringIndex:
    """Index distinct strings by their hashes."""
    xp = array_module(data)
    num_entries, entries = _strings(xp, offsets, data, None)
    if num_entries == 0:
        return xp.zeros(0, np.int32), xp.zeros(0, np.uint64)
    hashes, owners, _ = _insert(xp, num_entries, entries)
    return owners, hashes


def lookup_indexed(
    index: StringIndex,
    offsets: Array,
    data: Array,
    other_offsets: Array,
    other_data: Array,
    other_rows: Array | None,
    /,
) -> Array:
    """Find strings among indexed ones."""
    xp = array_module(data)
    num_entries, entries = _strings(xp, offsets, data, None)
    num_rows, others = _strings(xp, other_offsets, other_data, other_rows)
    result = xp.full(num_rows, -1, np.int64)
    if num_entries:
        owners, hashes = index
        gpu_kernels.look_up(num_rows, *others, *entries[:2], hashes, owners, result)
    return result


def prefix_word(offsets: Array, data: Array, rows: Array | None, skip: int, /) -> Array:
    """Eight bytes as a big-endian word."""
    xp = array_module(data)
    num_rows, strings = _strings(xp, offsets, data, rows)
    result = xp.empty(num_rows, np.uint64)
    gpu_kernels.prefix_word(num_rows, *strings, skip, result)
    return result
