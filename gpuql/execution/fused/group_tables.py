"""Hash tables of groups, one for each worker of a CPU: grown while they fill, merged partition by partition."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gpuql.columnar.column import Array
from gpuql.execution.fused.state_memory import StateMemory
from gpuql.execution.fused.states import States, any_presence, new_states
from gpuql.memory import faults
from gpuql.operators.contract import RunContext
from gpuql.thresholds import FEW_GROUPS_SHARE
from gpuql_kernels.codegen import program as ir
from gpuql_kernels.group_merge.kinds import MERGE_KINDS
from gpuql_kernels.scalar.hashing import salt_of, table_code
from gpuql_kernels.thresholds import GROUP_TABLE_KEYS, MOST_GROUP_PARTITION_BITS

#: Gets packed keys ((n,), or (n, words)), states, and the place of these groups among others; from any thread.
TakeGroups = Callable[[Array, list[Array], int], None]


@dataclass(eq=False)
class GroupTable:
    """Groups of one worker. ``status`` is int64 (3,): status code, groups held, how it hashes (``table_code``)."""

    status: Array
    states: States

    @property
    def table(self) -> Array:
        """Keys and states, int64 (slots, row words)."""
        return self.states.arguments[0]

    @property
    def floats(self) -> Array:
        """The same memory as float64."""
        return self.states.arguments[1]

    @property
    def slots(self) -> int:
        """Length of the table."""
        return len(self.table)

    @property
    def capacity(self) -> int:
        """Groups that it may hold."""
        return capacity_of(self.slots)

    @property
    def num_groups(self) -> int:
        """Groups held."""
        return int(self.status[1])

    @property
    def code(self) -> int:
        """How it hashes."""
        return int(self.status[2])


def capacity_of(slots: int) -> int:
    """Groups that a table may hold before runs of used slots become long: five eighths of the slots.

    With half of them, tables are twice as large more often, and fresh memory costs more than a few more comparisons.
    """
    return slots * 5 // 8


class GroupTables:
    """Makes, grows and merges the tables of one aggregation.

    Parameters
    ----------
    sink : what the tables hold.
    salt : tables of the same salt and size hash equally.
    memory : what they take is taken from it. Errors of it (StatesDoNotFit) pass through.
    """

    def __init__(self, sink: ir.GroupHash, salt: int, memory: StateMemory) -> None:
        self._sink = sink
        self._salt = salt
        self._memory = memory
        accumulators = sink.accumulators
        self._row_bytes = 8 * sink.row_words
        self._words = sink.key_words
        rules = []
        for position, accumulator in enumerate(accumulators):
            seen = any_presence(accumulators, position) if accumulator.kind == "any" else None
            is_float = accumulator.dtype.startswith("float")
            rules.append((MERGE_KINDS[accumulator.kind], is_float, -1 if seen is None else seen))
        self._rules = np.array(rules, np.int64).reshape(-1, 3)

    def new(self, capacity: int, salt: int | None = None) -> GroupTable:
        """A table of no groups with room for ``capacity``."""
        faults.passing(faults.ALLOCATION)
        bits = max(10, (capacity - 1).bit_length())
        bits += capacity_of(1 << bits) < capacity
        code = table_code(bits, self._salt if salt is None else salt)
        self._memory.take(self._row_bytes << bits)
        return GroupTable(np.array([0, 0, code], np.int64), new_states(self._sink, 1 << bits, np))

    def grown(self, table: GroupTable, capacity: int = 0) -> GroupTable:
        """The same groups in a table with room for ``capacity`` and for twice as many; the old one is gone."""
        from gpuql_kernels.group_merge import cpu_loops

        larger = self.new(max(capacity, 2 * table.capacity), salt_of(table.code))
        cpu_loops.copy_groups(table.table, self._words, larger.table, larger.status)
        self.drop(table)
        return larger

    def drop(self, table: GroupTable) -> None:
        """Give back the bytes of a table that nobody reads any more."""
        self._memory.give(int(table.table.nbytes))

    def merge(self, tables: list[GroupTable], context: RunContext, take: TakeGroups) -> None:
        """Merge ``tables``, and call ``take`` with the groups, partition by partition, on all workers."""
        tables = sorted(tables, key=lambda table: table.num_groups, reverse=True)
        largest = tables.pop(0)
        total = largest.num_groups + sum(table.num_groups for table in tables)
        many = total > GROUP_TABLE_KEYS
        rest = []
        for table in tables:
            if many and table.num_groups > FEW_GROUPS_SHARE * largest.num_groups:
                rest.append(table)
            else:
                largest = self._absorbed(largest, table)
        fewest_slots = min(table.slots for table in (largest, *rest))
        most_bits = min(MOST_GROUP_PARTITION_BITS, fewest_slots.bit_length() - 1)
        num_bits = min(most_bits, (total // GROUP_TABLE_KEYS).bit_length())
        if not rest:
            self._take_all(largest, num_bits, context, take)
            return
        parted = (largest, *rest)
        context.run_tasks(1 << num_bits, lambda place: self._take_merged(parted, place, num_bits, take))
        for table in parted:
            self.drop(table)

    def _absorbed(self, into: GroupTable, other: GroupTable) -> GroupTable:
        """The groups of both; ``other`` is gone, and ``into`` if it had to grow."""
        from gpuql_kernels.group_merge import cpu_loops

        total = into.num_groups + other.num_groups
        if total > into.capacity:
            into = self.grown(into, total)
        cpu_loops.merge_groups(
            into.table,
            into.floats,
            into.status,
            other.table,
            other.floats,
            self._words,
            self._rules,
        )
        self.drop(other)
        return into

    def _take_all(self, table: GroupTable, num_bits: int, context: RunContext, take: TakeGroups) -> None:
        size = table.slots >> num_bits
        context.run_tasks(
            1 << num_bits,
            lambda place: self._take_slots(table, place * size, (place + 1) * size, place, take),
        )
        self.drop(table)

    def _take_merged(self, tables: Sequence[GroupTable], place: int, num_bits: int, take: TakeGroups) -> None:
        """Merge one partition in a table of its own, which stays in the cache, and take its groups."""
        from gpuql_kernels.group_merge import cpu_loops

        counts = [
            cpu_loops.count_partition(table.table, table.code, self._words, place, num_bits)
            for table in tables
        ]
        # Groups of one partition would crowd a part of a table that hashes as theirs do.
        merged = self.new(sum(counts), self._salt + 1)
        for table in tables:
            cpu_loops.merge_partition(
                merged.table,
                merged.floats,
                merged.status,
                table.table,
                table.floats,
                table.code,
                self._words,
                place,
                num_bits,
                self._rules,
            )
        self._take_slots(merged, 0, merged.slots, place, take)
        self.drop(merged)

    def _take_slots(self, table: GroupTable, start: int, stop: int, place: int, take: TakeGroups) -> None:
        from gpuql_kernels.group_merge import cpu_loops

        taken = cpu_loops.take_groups(table.table, start, stop)
        # The states taken out of the table, and the columns made of them.
        self._memory.take(2 * int(taken.nbytes))
        words = self._words
        states = [
            state.view(np.float64) if accumulator.dtype.startswith("float") else state
            for state, accumulator in zip(taken[words:], self._sink.accumulators, strict=True)
        ]
        take(taken[0] if words == 1 else taken[:words].T, states, place)
