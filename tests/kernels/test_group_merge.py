"""Growing, merging and reading group tables, against plain Python."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpuql_kernels.group_merge import cpu_loops
from gpuql_kernels.group_merge.kinds import ADD, ANY, MAXIMUM, MINIMUM
from gpuql_kernels.scalar.cpu import group_slot
from gpuql_kernels.scalar.hashing import salt_of, table_code

#: A sum, a count, sums, smallest and largest of both types, any value where the count is not 0, any value.
RULES = np.array(
    [
        (ADD, 0, -1),
        (ADD, 0, -1),
        (ADD, 1, -1),
        (MINIMUM, 0, -1),
        (MAXIMUM, 0, -1),
        (MINIMUM, 1, -1),
        (MAXIMUM, 1, -1),
        (ANY, 0, 1),
        (ANY, 1, -1),
    ],
    np.int64,
)
Group = tuple[int, ...]


class _Table:
    def __init__(self, bits: int, words: int, salt: int = 3) -> None:
        self.table = np.zeros((1 << bits, words + len(RULES)), np.int64)
        self.table[:, :words] = -1
        self.floats = self.table.view(np.float64)
        self.status = np.array([0, 0, table_code(bits, salt)], np.int64)
        self.words = words

    def merge(self, other: _Table) -> None:
        cpu_loops.merge_groups(
            self.table, self.floats, self.status, other.table, other.floats, self.words, RULES
        )

    def merge_partition(self, other: _Table, partition: int, num_bits: int) -> None:
        cpu_loops.merge_partition(
            self.table,
            self.floats,
            self.status,
            other.table,
            other.floats,
            other.status[2],
            self.words,
            partition,
            num_bits,
            RULES,
        )

    def groups(self) -> dict[Group, list[float]]:
        taken = cpu_loops.take_groups(self.table, 0, len(self.table))
        states = [
            taken[self.words + position].view(np.float64 if rule[1] else np.int64).tolist()
            for position, rule in enumerate(RULES)
        ]
        keys = [tuple(key) for key in taken[: self.words].T.tolist()]
        assert len(set(keys)) == len(keys) == self.status[1]
        return {key: [state[row] for state in states] for row, key in enumerate(keys)}


def _filled(num_groups: int, bits: int, words: int, seed: int) -> _Table:
    """A table of random groups and states, of keys that another of these may have as well."""
    random = np.random.default_rng(seed)
    rows = _Table(bits, words)
    keys = random.permutation(2 * num_groups)[:num_groups]
    rows.table[:num_groups, :words] = (keys[:, None] << np.arange(words) * 7) % (2**62 - 57)
    for position, (kind, is_float, _) in enumerate(RULES.tolist()):
        values = random.integers(-50, 50, num_groups)
        if position == 1:
            values = random.integers(0, 3, num_groups)
        column = (rows.floats if is_float else rows.table)[:num_groups, words + position]
        column[:] = values
        if is_float and kind in (MINIMUM, MAXIMUM):
            column[random.random(num_groups) < 0.2] = np.nan
    filled = _Table(bits, words)
    filled.merge(rows)
    assert filled.status[1] == num_groups
    return filled


def _merged(one: dict[Group, list[float]], other: dict[Group, list[float]]) -> dict[Group, list[float]]:
    merged = dict(one)
    for key, new in other.items():
        held = merged.get(key)
        merged[key] = new if held is None else [_state(rule, held, new, at) for at, rule in enumerate(RULES)]
    return merged


def _state(rule: Any, held: list[float], new: list[float], at: int) -> float:
    kind, _, seen = rule.tolist()
    match kind:
        case 0:
            return held[at] + new[at]
        case 1:  # NaN is larger than everything else
            return min(held[at], new[at], key=lambda value: (value != value, value))
        case 2:
            return max(held[at], new[at], key=lambda value: (value != value, value))
    return new[at] if seen < 0 or new[seen] > 0 else held[at]


def _text(groups: dict[Group, list[float]]) -> dict[Group, str]:
    return {key: str(states) for key, states in groups.items()}  # NaN is not equal to itself


@pytest.mark.parametrize("words", [1, 2, 3])
@pytest.mark.parametrize("num_groups", [0, 1, 300, 640])
def test_groups_keep_their_states_in_a_larger_table(num_groups: int, words: int) -> None:
    small, large = _filled(num_groups, 10, words, 1), _Table(13, words)
    cpu_loops.copy_groups(small.table, words, large.table, large.status)
    assert _text(large.groups()) == _text(small.groups())
    large.merge(small)
    assert large.status[1] == num_groups


def test_generated_code_finds_groups_of_a_table_that_grew() -> None:
    small, large = _filled(600, 10, 1, 5), _Table(12, 1)
    cpu_loops.copy_groups(small.table, 1, large.table, large.status)
    for key in small.table[small.table[:, 0] >= 0, 0]:
        slot = group_slot(large.table, large.status, 0, key)
        assert large.table[slot, 0] == key
    assert large.status[1] == 600


@pytest.mark.parametrize("words", [1, 2, 3])
@pytest.mark.parametrize(("one_groups", "other_groups"), [(0, 500), (500, 0), (400, 600), (5, 5)])
def test_merged_states_are_those_of_all_rows(one_groups: int, other_groups: int, words: int) -> None:
    one, other = _filled(one_groups, 11, words, 2), _filled(other_groups, 10, words, 3)
    wanted = _merged(one.groups(), other.groups())
    one.merge(other)
    assert _text(one.groups()) == _text(wanted)


@pytest.mark.parametrize("words", [1, 2])
@pytest.mark.parametrize("num_bits", [1, 4, 10])
def test_partitions_together_are_the_whole(num_bits: int, words: int) -> None:
    one, other = _filled(640, 10, words, 7), _filled(1200, 11, words, 8)
    wanted = _merged(one.groups(), other.groups())
    found: dict[Group, list[float]] = {}
    for partition in range(1 << num_bits):
        merged = _Table(12, words, salt=4)
        counts = [
            cpu_loops.count_partition(table.table, table.status[2], words, partition, num_bits)
            for table in (one, other)
        ]
        for table, count in zip((one, other), counts, strict=True):
            before = merged.status[1]
            merged.merge_partition(table, partition, num_bits)
            assert merged.status[1] - before <= count
        groups = merged.groups()
        assert max(counts) <= len(groups) <= sum(counts)
        assert not found.keys() & groups.keys()
        found.update(groups)
    assert _text(found) == _text(wanted)


def test_groups_in_the_order_of_another_table_do_not_crowd_a_table_of_other_salt() -> None:
    keys = np.random.default_rng(3).integers(0, 2**62, 1 << 16)
    table = _slots(17, 5, keys)
    ordered = table[table >= 0]
    for salt, most in ((7, 200), (5, 1 << 15)):
        used = np.flatnonzero(_slots(15, salt, ordered[: 1 << 14]) >= 0)
        ends = np.flatnonzero(np.concatenate(([True], np.diff(used) > 1, [True])))
        assert np.diff(ends).max() < most
    assert salt_of(table_code(15, 5)) == 5


def _slots(bits: int, salt: int, keys: Any) -> Any:
    """The key of each slot of a table in which ``keys`` were put one after the other."""
    table, status = np.full((1 << bits, 1), -1, np.int64), np.array([0, 0, table_code(bits, salt)], np.int64)
    for key in keys:
        group_slot(table, status, 0, key)
    return table[:, 0]
