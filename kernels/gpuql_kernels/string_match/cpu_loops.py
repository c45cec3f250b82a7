"""Compiled loops of the string kernels; imported only by ``cpu`` once an input is large enough."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.compiled_loop import compiled_loop
from gpuql_kernels.string_match import bytewise

Array = Any

#: Odd numbers without structure.
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SECOND_MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)


_order = compiled_loop(bytewise.order)
_find_bytes = compiled_loop(bytewise.find_bytes)
_skip_character = compiled_loop(bytewise.skip_character)
_hash = compiled_loop(bytewise.hash_bytes)


@compiled_loop
def compare(
    offsets: Array, data: Array, rows: Array, offsets_b: Array, data_b: Array, rows_b: Array
) -> Array:
    """Order of pairs."""
    result = np.empty(len(rows), np.int8)
    for i in range(len(rows)):
        a, b = rows[i], rows_b[i]
        result[i] = _order(data, offsets[a], offsets[a + 1], data_b, offsets_b[b], offsets_b[b + 1])
    return result


@compiled_loop
def compare_literal(offsets: Array, data: Array, rows: Array, literal: Array) -> Array:
    """Order against a constant."""
    result = np.empty(len(rows), np.int8)
    for i in range(len(rows)):
        a = rows[i]
        result[i] = _order(data, offsets[a], offsets[a + 1], literal, 0, len(literal))
    return result


@compiled_loop
def find(offsets: Array, data: Array, rows: Array, literal: Array) -> Array:
    """First occurrence."""
    result = np.empty(len(rows), np.int64)
    for i in range(len(rows)):
        begin, end = offsets[rows[i]], offsets[rows[i] + 1]
        position = _find_bytes(data, begin, end, literal, 0, len(literal))
        result[i] = position - begin if position >= 0 else -1
    return result


@compiled_loop
def like_segments(offsets: Array, data: Array, rows: Array, bounds: Array, literal: Array) -> Array:
    """LIKE without ``_``: segments in order, first and last anchored."""
    result = np.zeros(len(rows), np.bool_)
    count = len(bounds) - 1
    head = bounds[1] - bounds[0]
    tail = bounds[count] - bounds[count - 1] if count > 1 else 0
    for i in range(len(rows)):
        begin, end = offsets[rows[i]], offsets[rows[i] + 1]
        if count == 1:
            result[i] = _order(data, begin, end, literal, 0, head) == 0
            continue
        if end - begin < head + tail:
            continue
        if _order(data, begin, begin + head, literal, 0, head) != 0:
            continue
        if _order(data, end - tail, end, literal, bounds[count - 1], bounds[count]) != 0:
            continue
        position, stop = begin + head, end - tail
        matched = True
        for segment in range(1, count - 1):
            found = _find_bytes(data, position, stop, literal, bounds[segment], bounds[segment + 1])
            if found < 0:
                matched = False
                break
            position = found + bounds[segment + 1] - bounds[segment]
        result[i] = matched
    return result


#: Bytes looked at in one vectorised step, and in a closer look if a step found something.
_FAR, _NEAR = 256, 64


@compiled_loop
def _has_pair(data: Array, position: int, distance: int, width: int, one: int, other: int) -> bool:
    """Whether ``one`` stands ``distance`` before ``other``, from ``width`` positions on. Compiles to vector code."""
    left = data[position : position + width]
    right = data[position + distance : position + distance + width]
    seen = np.uint8(0)
    for i in range(width):
        seen |= np.uint8(left[i] == one) & np.uint8(right[i] == other)
    return bool(seen)


@compiled_loop
def _has_four(data: Array, position: int, distances: Array, width: int, wanted: Array) -> bool:
    """As ``_has_pair``, of four bytes: the first one, and one at each of three distances from it."""
    zeroth, first, second, third = wanted[0], wanted[1], wanted[2], wanted[3]
    at = data[position : position + width]
    at_first = data[position + distances[0] : position + distances[0] + width]
    at_second = data[position + distances[1] : position + distances[1] + width]
    at_third = data[position + distances[2] : position + distances[2] + width]
    seen = np.uint8(0)
    for i in range(width):
        seen |= (
            np.uint8(at[i] == zeroth)
            & np.uint8(at_first[i] == first)
            & np.uint8(at_second[i] == second)
            & np.uint8(at_third[i] == third)
        )
    return bool(seen)


@compiled_loop
def like_scan(
    offsets: Array,
    data: Array,
    first_row: int,
    num_rows: int,
    bounds: Array,
    literal: Array,
    anchor: int,
    distances: Array,
) -> Array:
    """``like_segments`` for a run of rows and a pattern that begins and ends with ``%``.

    Goes through the bytes of all rows at once, from one occurrence to the next of the bytes at ``anchor`` and at the
    three ``distances`` from there of the first segment, ``literal[:bounds[2]]``; two bytes if the distances are equal.
    """
    result = np.zeros(num_rows, np.bool_)
    distance = distances[0]
    is_pair = distances[1] == distance and distances[2] == distance
    wanted = np.empty(4, np.uint8)
    wanted[0] = literal[anchor]
    for place in range(3):
        wanted[place + 1] = literal[anchor + distances[place]]
    one, other = wanted[0], wanted[1]
    size = bounds[2]
    row = np.int64(first_row)
    position = offsets[first_row] + anchor
    last = offsets[first_row + num_rows] - distances.max()
    while position < last:
        if position + _FAR <= last and not (
            _has_pair(data, position, distance, _FAR, one, other)
            if is_pair
            else _has_four(data, position, distances, _FAR, wanted)
        ):
            position += _FAR
            continue
        block_end = min(position + _FAR, last)
        while position < block_end:
            if position + _NEAR <= last and not (
                _has_pair(data, position, distance, _NEAR, one, other)
                if is_pair
                else _has_four(data, position, distances, _NEAR, wanted)
            ):
                position += _NEAR
                continue
            stop = min(position + _NEAR, last)
            while position < stop:
                begin = position - anchor
                if data[position] != one or data[position + distance] != other:
                    position += 1
                    continue
                while offsets[row + 1] <= begin:
                    row += 1
                end = offsets[row + 1]
                if begin + size > end or _order(data, begin, begin + size, literal, 0, size) != 0:
                    position += 1
                    continue
                found = begin + size
                for segment in range(2, len(bounds) - 2):
                    low, high = bounds[segment], bounds[segment + 1]
                    at = _find_bytes(data, found, end, literal, low, high)
                    if at < 0:
                        found = -1
                        break
                    found = at + high - low
                result[row - first_row] = found >= 0
                position = end + anchor  # this row is decided
    return result


@compiled_loop
def like_tokens(offsets: Array, data: Array, rows: Array, tokens: Array) -> Array:
    """LIKE with ``_``: greedy match that returns to the last ``%``."""
    result = np.zeros(len(rows), np.bool_)
    count = len(tokens)
    for i in range(len(rows)):
        position, end = offsets[rows[i]], offsets[rows[i] + 1]
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
    return result


@compiled_loop
def character_count(offsets: Array, data: Array, rows: Array) -> Array:
    """Bytes that start a character."""
    result = np.empty(len(rows), np.int64)
    for i in range(len(rows)):
        count = 0
        for k in range(offsets[rows[i]], offsets[rows[i] + 1]):
            count += (data[k] & 0xC0) != 0x80
        result[i] = count
    return result


@compiled_loop
def _advance(data: Array, position: int, end: int, characters: int) -> int:
    while characters > 0 and position < end:
        position = _skip_character(data, position, end)
        characters -= 1
    return position


@compiled_loop
def character_range(offsets: Array, data: Array, rows: Array, start: int, length: int) -> Any:
    """Byte range of a substring."""
    starts = np.empty(len(rows), np.int64)
    ends = np.empty(len(rows), np.int64)
    for i in range(len(rows)):
        begin, end = offsets[rows[i]], offsets[rows[i] + 1]
        low = start - 1
        if start < 0:
            count = 0
            for k in range(begin, end):
                count += (data[k] & 0xC0) != 0x80
            low = count + start
        elif start == 0:
            low = -1 if length >= 0 else 0
        high = low + length
        if length < 0:
            low, high = high, low
        low, high = max(low, 0), max(high, 0)
        starts[i] = _advance(data, begin, end, low)
        ends[i] = _advance(data, starts[i], end, high - low)
    return starts, ends


@compiled_loop
def gather(data: Array, starts: Array, offsets: Array) -> Array:
    """Copy ranges to the places that ``offsets`` give."""
    result = np.empty(offsets[-1], np.uint8)
    for i in range(len(starts)):
        source, target = starts[i], offsets[i]
        for k in range(offsets[i + 1] - target):
            result[target + k] = data[source + k]
    return result


@compiled_loop
def factorize(offsets: Array, data: Array, rows: Array) -> Any:
    """Number distinct strings by first occurrence, in an open-addressing table that doubles when half full.

    For strings of which different ones have the same hash: see ``hash_by_words`` for the others.
    """
    total = len(rows)
    codes = np.empty(total, np.int64)
    slots = np.uint64(1024)
    table = np.full(slots, -1, np.int64)
    first = np.empty(min(total, 512) + 1, np.int64)
    hashes = np.empty(min(total, 512) + 1, np.uint64)
    count = 0
    for i in range(total):
        begin, end = offsets[rows[i]], offsets[rows[i] + 1]
        hashed = _hash(data, begin, end)
        slot = hashed & (slots - np.uint64(1))
        code = np.int64(-1)
        while True:
            entry = table[slot]
            if entry < 0:
                break
            if hashes[entry] == hashed:
                row = rows[first[entry]]
                if _order(data, offsets[row], offsets[row + 1], data, begin, end) == 0:
                    code = entry
                    break
            slot = (slot + np.uint64(1)) & (slots - np.uint64(1))
        if code < 0:
            code = np.int64(count)
            table[slot] = code
            first[count] = i
            hashes[count] = hashed
            count += 1
            if count == len(first):
                grown = np.empty(min(2 * count, total + 1), np.int64)
                grown[:count] = first
                first = grown
                grown_hashes = np.empty(len(grown), np.uint64)
                grown_hashes[:count] = hashes
                hashes = grown_hashes
            if np.uint64(2 * count) > slots:
                slots = slots * np.uint64(2)
                table = np.full(slots, -1, np.int64)
                for entry in range(count):
                    slot = hashes[entry] & (slots - np.uint64(1))
                    while table[slot] >= 0:
                        slot = (slot + np.uint64(1)) & (slots - np.uint64(1))
                    table[slot] = entry
        codes[i] = code
    return codes, first[:count].copy()


@compiled_loop
def _word(data: Array, begin: int) -> Any:
    # Written out, so that the compiler makes it one load.
    return (
        np.uint64(data[begin])
        | (np.uint64(data[begin + 1]) << np.uint64(8))
        | (np.uint64(data[begin + 2]) << np.uint64(16))
        | (np.uint64(data[begin + 3]) << np.uint64(24))
        | (np.uint64(data[begin + 4]) << np.uint64(32))
        | (np.uint64(data[begin + 5]) << np.uint64(40))
        | (np.uint64(data[begin + 6]) << np.uint64(48))
        | (np.uint64(data[begin + 7]) << np.uint64(56))
    )


@compiled_loop
def hash_by_words(offsets: Array, data: Array, rows: Array) -> Array:
    """Hashes of eight bytes at a time, for tables that no other device sees."""
    hashes = np.empty(len(rows), np.uint64)
    for i in range(len(rows)):
        begin, end = offsets[rows[i]], offsets[rows[i] + 1]
        value = np.uint64(end - begin) * _SECOND_MULTIPLIER
        rest = np.uint64(0)
        if end - begin >= 8:
            # The last word overlaps the one before it: no loop over the bytes that are left.
            rest = _word(data, end - 8)
            while end - begin > 8:
                value = (value ^ _word(data, begin)) * _MULTIPLIER
                value ^= value >> np.uint64(32)
                begin += 8
        else:
            for k in range(begin, end):
                rest = (rest << np.uint64(8)) | np.uint64(data[k])
        value = (value ^ rest) * _MULTIPLIER
        value = (value ^ (value >> np.uint64(32))) * _SECOND_MULTIPLIER
        hashes[i] = value ^ (value >> np.uint64(29))
    return hashes


@compiled_loop
def _equal(data: Array, begin: int, end: int, other: int, other_end: int) -> bool:
    if end - begin != other_end - other:
        return False
    if end - begin >= 8:
        if _word(data, end - 8) != _word(data, other_end - 8):
            return False
        while end - begin > 8:
            if _word(data, begin) != _word(data, other):
                return False
            begin += 8
            other += 8
        return True
    while begin < end:
        if data[begin] != data[other]:
            return False
        begin += 1
        other += 1
    return True


@compiled_loop
def equal_representatives(offsets: Array, data: Array, rows: Array, representatives: Array) -> bool:
    """Whether each row has the same string as the row that stands for it."""
    for i in range(len(rows)):
        other = representatives[i]
        if other != i:
            a, b = rows[other], rows[i]
            if not _equal(data, offsets[a], offsets[a + 1], offsets[b], offsets[b + 1]):
                return False
    return True


@compiled_loop
def equal_first(offsets: Array, data: Array, rows: Array, codes: Array, first: Array) -> bool:
    """Whether each row has the same string as the first row with its code."""
    for i in range(len(rows)):
        other = first[codes[i]]
        if other != i:
            a, b = rows[other], rows[i]
            if not _equal(data, offsets[a], offsets[a + 1], offsets[b], offsets[b + 1]):
                return False
    return True


@compiled_loop
def fill_index(offsets: Array, data: Array, slots: Array, hashes: Array) -> None:
    """Put each string's number into a free slot (-1); ``slots`` are a power of two, at least twice the strings."""
    mask = np.uint64(len(slots) - 1)
    for entry in range(len(offsets) - 1):
        hashed = _hash(data, offsets[entry], offsets[entry + 1])
        hashes[entry] = hashed
        slot = hashed & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = entry


@compiled_loop
def lookup(
    slots: Array,
    hashes: Array,
    offsets: Array,
    data: Array,
    offsets_b: Array,
    data_b: Array,
    rows_b: Array,
) -> Array:
    """Position of each string of the second set in the first, which is indexed, or -1."""
    mask = np.uint64(len(slots) - 1)
    result = np.empty(len(rows_b), np.int64)
    for i in range(len(rows_b)):
        begin, end = offsets_b[rows_b[i]], offsets_b[rows_b[i] + 1]
        hashed = _hash(data_b, begin, end)
        slot = hashed & mask
        found = np.int64(-1)
        while slots[slot] >= 0:
            entry = np.int64(slots[slot])
            if (
                hashes[entry] == hashed
                and _order(data, offsets[entry], offsets[entry + 1], data_b, begin, end) == 0
            ):
                found = entry
                break
            slot = (slot + np.uint64(1)) & mask
        result[i] = found
    return result


@compiled_loop
def prefix_word(offsets: Array, data: Array, rows: Array, skip: int) -> Array:
    """Eight bytes big-endian."""
    result = np.empty(len(rows), np.uint64)
    total = len(data)
    for i in range(len(rows)):
        begin, end = offsets[rows[i]] + skip, offsets[rows[i] + 1]
        length = end - begin
        word = np.uint64(0)
        if length > 0 and begin + 8 <= total:
            # Written out, so that the compiler makes it one load; bytes of the next string are shifted out.
            word = (
                (np.uint64(data[begin]) << np.uint64(56))
                | (np.uint64(data[begin + 1]) << np.uint64(48))
                | (np.uint64(data[begin + 2]) << np.uint64(40))
                | (np.uint64(data[begin + 3]) << np.uint64(32))
                | (np.uint64(data[begin + 4]) << np.uint64(24))
                | (np.uint64(data[begin + 5]) << np.uint64(16))
                | (np.uint64(data[begin + 6]) << np.uint64(8))
                | np.uint64(data[begin + 7])
            )
            if length < 8:
                drop = np.uint64(64 - 8 * length)
                word = (word >> drop) << drop
        elif length > 0:
            for k in range(8):
                byte = np.uint64(data[begin + k]) if begin + k < end else np.uint64(0)
                word = (word << np.uint64(8)) | byte
        result[i] = word
    return result


_ROWS = ("int32[::1]", "int64[::1]")
_STRINGS = "int64[::1], uint8[::1]"

#: The argument types that each loop meets when strings are in memory of ours; others are compiled when they come.
SIGNATURES = {
    compare: [f"({_STRINGS}, {rows}, {_STRINGS}, {rows})" for rows in _ROWS],
    compare_literal: [f"({_STRINGS}, {rows}, uint8[::1])" for rows in _ROWS],
    find: [f"({_STRINGS}, {rows}, uint8[::1])" for rows in _ROWS],
    like_segments: [f"({_STRINGS}, {rows}, int64[::1], uint8[::1])" for rows in _ROWS],
    like_scan: [f"({_STRINGS}, int64, int64, int64[::1], uint8[::1], int64, int64[::1])"],
    like_tokens: [f"({_STRINGS}, {rows}, int16[::1])" for rows in _ROWS],
    character_count: [f"({_STRINGS}, {rows})" for rows in _ROWS],
    character_range: [f"({_STRINGS}, {rows}, int64, int64)" for rows in _ROWS],
    gather: ["(uint8[::1], int64[::1], int64[::1])"],
    factorize: [f"({_STRINGS}, {rows})" for rows in _ROWS],
    hash_by_words: [f"({_STRINGS}, {rows})" for rows in _ROWS],
    equal_representatives: [f"({_STRINGS}, {rows}, int64[::1])" for rows in _ROWS],
    equal_first: [f"({_STRINGS}, {rows}, int64[::1], int64[::1])" for rows in _ROWS],
    fill_index: [f"({_STRINGS}, {slots}, uint64[::1])" for slots in _ROWS],
    lookup: [f"({slots}, uint64[::1], {_STRINGS}, {_STRINGS}, {rows})" for slots in _ROWS for rows in _ROWS],
    prefix_word: [f"({_STRINGS}, {rows}, int64)" for rows in _ROWS],
}
