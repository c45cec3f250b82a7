"""Compiled loops over group tables; imported only once a table grows, is merged or is read.

A table is int64 (slots, row words): ``words`` columns hold the packed key, all of them >= 0, or -1 in an empty slot;
the others hold one state each. ``floats`` is the same memory as float64. ``status`` is that of
``scalar.hashing.group_slot``. ``rules`` (states, 3) int64 say of each state its kind (``kinds``), whether it is
float64, and for ANY which other state counts the values seen (-1: there always is one).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.compiled_loop import compiled_loop
from gpuql_kernels.group_merge.kinds import ADD, ANY, MAXIMUM, MINIMUM
from gpuql_kernels.scalar.cpu import float_less, group_home

Array = Any


@compiled_loop
def copy_groups(table: Array, words: int, larger: Array, status: Array) -> None:
    """Copy all groups to a table that holds none of them, and has room for them."""
    mask = np.int64(len(larger) - 1)
    copied = 0
    for row in range(len(table)):
        if table[row, 0] < 0:
            continue
        slot = group_home(status[2], table, row, words)
        while larger[slot, 0] >= 0:
            slot = (slot + 1) & mask
        for word in range(table.shape[1]):
            larger[slot, word] = table[row, word]
        copied += 1
    status[1] += copied


@compiled_loop
def _merge_states(
    table: Array,
    floats: Array,
    slot: int,
    other: Array,
    other_floats: Array,
    row: Any,
    words: int,
    rules: Array,
) -> None:
    """Merge the states of ``row`` into those of ``slot``."""
    for position in range(len(rules)):
        word = words + position
        kind = rules[position, 0]
        if kind == ANY:
            seen = rules[position, 2]
            if seen < 0 or other[row, words + seen] > 0:
                table[slot, word] = other[row, word]
        elif rules[position, 1]:
            held, new = floats[slot, word], other_floats[row, word]
            if kind == ADD:
                floats[slot, word] = held + new
            elif (kind == MINIMUM and float_less(new, held)) or (kind == MAXIMUM and float_less(held, new)):
                floats[slot, word] = new
        elif kind == ADD:
            table[slot, word] += other[row, word]
        elif kind == MINIMUM:
            table[slot, word] = min(table[slot, word], other[row, word])
        else:
            table[slot, word] = max(table[slot, word], other[row, word])


@compiled_loop
def _find_group(table: Array, code: int, other: Array, row: Any, words: int) -> Any:
    """Slot of ``table`` that holds the group in ``row`` of ``other``, or the empty one where it belongs."""
    mask = np.int64(len(table) - 1)
    slot = group_home(code, other, row, words)
    while table[slot, 0] >= 0:
        if table[slot, 0] == other[row, 0]:
            same = 1
            while same < words and table[slot, same] == other[row, same]:
                same += 1
            if same == words:
                break
        slot = (slot + 1) & mask
    return slot


@compiled_loop
def merge_groups(
    table: Array, floats: Array, status: Array, other: Array, other_floats: Array, words: int, rules: Array
) -> None:
    """Merge all groups of ``other`` into a table that has room for them."""
    added = 0
    for row in range(len(other)):
        if other[row, 0] < 0:
            continue
        found = _find_group(table, status[2], other, row, words)
        if table[found, 0] >= 0:
            _merge_states(table, floats, found, other, other_floats, row, words, rules)
        else:
            for word in range(table.shape[1]):
                table[found, word] = other[row, word]
            added += 1
    status[1] += added


@compiled_loop
def count_partition(other: Array, code: int, words: int, partition: int, num_bits: int) -> int:
    """How many groups :func:`merge_partition` merges."""
    shift = np.int64(64 - (code & 63) - num_bits)
    mask = np.int64(len(other) - 1)
    row = np.int64(partition) << shift
    stop = np.int64(partition + 1) << shift
    count = 0
    while row < stop or other[row & mask, 0] >= 0:
        slot = row & mask
        if other[slot, 0] >= 0:
            count += group_home(code, other, slot, words) >> shift == partition
        row += 1
    return count


@compiled_loop
def merge_partition(
    table: Array,
    floats: Array,
    status: Array,
    other: Array,
    other_floats: Array,
    code: int,
    words: int,
    partition: int,
    num_bits: int,
    rules: Array,
) -> None:
    """Merge the groups of ``other``, which hashes as ``code`` says, whose home begins with the bits ``partition``.

    ``num_bits`` (1 or more) are looked at. A group lies at its home or in the run of used slots behind it, so those of
    a partition lie in its range of slots and in the run that goes on from there.
    """
    shift = np.int64(64 - (code & 63) - num_bits)
    mask = np.int64(len(other) - 1)
    row = np.int64(partition) << shift
    stop = np.int64(partition + 1) << shift
    added = 0
    while row < stop or other[row & mask, 0] >= 0:
        slot = row & mask
        if other[slot, 0] >= 0 and group_home(code, other, slot, words) >> shift == partition:
            found = _find_group(table, status[2], other, slot, words)
            if table[found, 0] >= 0:
                _merge_states(table, floats, found, other, other_floats, slot, words, rules)
            else:
                for word in range(table.shape[1]):
                    table[found, word] = other[slot, word]
                added += 1
        row += 1
    status[1] += added


@compiled_loop
def take_groups(table: Array, start: int, stop: int) -> Array:
    """Key words and states in the slots ``start`` to ``stop``, as int64 (row words, groups)."""
    count = 0
    for row in range(start, stop):
        count += table[row, 0] >= 0
    taken = np.empty((table.shape[1], count), np.int64)
    place = 0
    for row in range(start, stop):
        if table[row, 0] >= 0:
            for word in range(table.shape[1]):
                taken[word, place] = table[row, word]
            place += 1
    return taken


_INTO = "int64[:, ::1], float64[:, ::1], int64[::1]"
_FROM = "int64[:, ::1], float64[:, ::1]"
#: The argument types that the loops meet.
SIGNATURES = {
    copy_groups: ["(int64[:, ::1], int64, int64[:, ::1], int64[::1])"],
    merge_groups: [f"({_INTO}, {_FROM}, int64, int64[:, ::1])"],
    count_partition: ["(int64[:, ::1], int64, int64, int64, int64)"],
    merge_partition: [f"({_INTO}, {_FROM}, int64, int64, int64, int64, int64[:, ::1])"],
    take_groups: ["(int64[:, ::1], int64, int64)"],
}
