"""Open addressing on int64 keys: hash, lookup, and find-or-insert owned by one thread."""

from __future__ import annotations

from typing import Any

import numpy as np

Scalar = Any  # NumPy scalars, or what Numba makes of them
Array = Any

#: 2**64 divided by the golden ratio (Knuth, TAOCP 3, 6.4: multiplicative hashing).
HASH_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
#: Added to the multiplier of a group table as often as its salt says (even: multipliers stay odd). Tables of different
#: aggregations hash differently, for groups that leave one table in the order of its slots would otherwise crowd a part
#: of the next one while that is small, and find ever longer runs of used slots there.
TABLE_STEP = np.uint64(0xD6E8FEB86659FD92)


def table_code(num_bits: int, salt: int = 0) -> int:
    """How a group table of ``2**num_bits`` slots hashes: tables of different ``salt`` (below 2**32) do differently.

    Of the same salt, all look at leading bits of one hash: groups move to a larger table in the order of its slots.
    """
    return 64 - num_bits + 64 * salt


def salt_of(code: int) -> int:
    """The ``salt`` of a :func:`table_code`."""
    return code >> 6


def find_slot(slot_keys: Array, slot_used: Array, mask: Scalar, shift: Scalar, key: Scalar) -> Scalar:
    """Slot that holds ``key`` in a join index, or -1."""
    position = np.int64((np.uint64(key) * HASH_MULTIPLIER) >> np.uint64(shift))
    while slot_used[position]:
        if slot_keys[position] == key:
            return position
        position = (position + 1) & mask
    return np.int64(-1)


def group_slot_of_words(table: Array, status: Array, capacity: Scalar, key: Array) -> Scalar:
    """As :func:`group_slot` for a ``key`` of several words, each >= 0: a tuple, or a row of an int64 array.

    The leading columns of ``table`` hold the words.
    """
    mixed = np.uint64(key[0])
    for word in range(1, len(key)):
        mixed = mixed * HASH_MULTIPLIER
        mixed = (mixed ^ (mixed >> np.uint64(32))) + np.uint64(key[word])
    mask = np.int64(len(table) - 1)
    code = np.uint64(status[2])
    multiplier = HASH_MULTIPLIER + (code >> np.uint64(6)) * TABLE_STEP
    position = np.int64((mixed * multiplier) >> (code & np.uint64(63)))
    while True:
        if table[position, 0] == -1:
            for word in range(len(key)):
                table[position, word] = key[word]
            status[1] += 1
            return position
        same = True
        for word in range(len(key)):
            same = same and table[position, word] == key[word]
        if same:
            return position
        position = (position + 1) & mask


def group_home(code: Scalar, table: Array, row: Scalar, words: Scalar) -> Scalar:
    """Slot at which the search for the group in a row of ``table`` begins in a table that hashes as ``code`` says.

    The key is in the leading ``words`` columns; code: :func:`table_code`.
    """
    mixed = np.uint64(table[row, 0])
    for word in range(1, words):
        mixed = mixed * HASH_MULTIPLIER
        mixed = (mixed ^ (mixed >> np.uint64(32))) + np.uint64(table[row, word])
    unsigned = np.uint64(code)
    multiplier = HASH_MULTIPLIER + (unsigned >> np.uint64(6)) * TABLE_STEP
    return np.int64((mixed * multiplier) >> (unsigned & np.uint64(63)))


def group_slot(table: Array, status: Array, capacity: Scalar, key: Scalar) -> Scalar:
    """Slot of group ``key`` (>= 0), inserted if new; one thread owns the table.

    ``table`` is int64 of two dimensions; column 0 holds the keys, -1 for empty; its length is a power of two.
    ``status[1]`` counts the groups and ``status[2]`` is :func:`table_code`. The caller keeps slots free, at
    least three of eight.
    """
    mask = np.int64(len(table) - 1)
    code = np.uint64(status[2])
    multiplier = HASH_MULTIPLIER + (code >> np.uint64(6)) * TABLE_STEP
    position = np.int64((np.uint64(key) * multiplier) >> (code & np.uint64(63)))
    while True:
        found = table[position, 0]
        if found == key:
            return position
        if found == -1:
            table[position, 0] = key
            status[1] += 1
            return position
        position = (position + 1) & mask
