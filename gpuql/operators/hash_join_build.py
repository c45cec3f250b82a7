"""Build side of a hash join: keep rows, and index them by packed key, or part them if memory has no room for that."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.columnar.parts import stored_arrays, with_arrays
from gpuql.expressions.evaluate import evaluate
from gpuql.expressions.vectors import joint_validity
from gpuql.memory.row_store import RowStore
from gpuql.memory.shared_tier import SharedTier
from gpuql.operators.contract import JoinTable, KeyEncoding, PartitionedBuild, RunContext
from gpuql.operators.join_table import (
    OWNER,
    KeyRanges,
    StoredBuild,
    fits_table,
    joint_range,
    key_id,
    no_index,
    range_of,
)
from gpuql.operators.row_partitions import NUM_PARTITIONS, PartitionWriter, every_partition, grouped, merged
from gpuql_planner.logical.expressions import AttributeRef
from gpuql_planner.physical.nodes import HashJoinBuild


@dataclass(eq=False)
class BuildState:
    """Rows of one worker: payload columns under their ids, computed keys under -1, -2 and so on.

    They go to ``rows`` until memory runs short, then to ``writer``, which parts them.
    """

    rows: RowStore
    writer: PartitionWriter | None = None
    num_rows: int = 0
    has_null_key: bool = False
    ranges: KeyRanges | None = None
    empty: Batch | None = None


class HashJoinBuildOperator:
    """Runs a :class:`HashJoinBuild`."""

    def __init__(self, node: HashJoinBuild) -> None:
        self._node = node
        self._needed = {attribute.id for attribute in node.payload} | {
            key.attribute.id for key in node.keys if isinstance(key, AttributeRef)
        }
        self._shared: SharedTier | None = None

    def new_state(self, context: RunContext) -> BuildState:
        """No batches."""
        if self._shared is None:
            self._shared = SharedTier(lambda: context.memory.lower_tier(OWNER))
        return BuildState(context.memory.new_store(OWNER))

    def consume(self, state: BuildState, batch: Batch, sequence: int, context: RunContext) -> None:
        """Keep the payload and the keys; keys that are plain columns are kept once."""
        columns = {key: batch.columns[key] for key in self._needed}
        for position, key in enumerate(self._node.keys):
            if not isinstance(key, AttributeRef):
                columns[-1 - position] = evaluate(key, batch, context)
        batch = Batch(columns, batch.num_rows)
        if state.empty is None:
            state.empty = _without_rows(batch)
        if batch.num_rows == 0:
            return
        self._note_keys(state, batch)
        if state.writer is None and state.rows.is_spilled and self._node.keys:
            state.writer = self._writer(context)
        if state.writer is not None:
            state.writer.add(batch)
        else:
            state.rows.append(batch, sequence)

    def _note_keys(self, state: BuildState, batch: Batch) -> None:
        keys = self._keys(batch)
        state.num_rows += batch.num_rows
        ranges = tuple(range_of(key) for key in keys)
        known = state.ranges
        state.ranges = ranges if known is None else tuple(map(joint_range, known, ranges))
        if not state.has_null_key:
            valid = joint_validity(*(k for i, k in enumerate(keys) if i not in self._node.null_safe))
            state.has_null_key = valid is not None and not bool(valid.all())

    def _keys(self, batch: Batch) -> list[Column]:
        return [batch.columns[key_id(self._node, position)] for position in range(len(self._node.keys))]

    def _writer(self, context: RunContext) -> PartitionWriter:
        assert self._shared is not None, "made with the first state"
        return PartitionWriter(context, OWNER, self._keys, every_partition(), self._shared)

    def combine(self, states: list[BuildState], context: RunContext) -> JoinTable | PartitionedBuild:
        """Join the batches, encode the keys and index them; leave them partitioned if memory has no room for that."""
        empty = next((state.empty for state in states if state.empty is not None), None)
        if empty is None:
            no_keys, matched = KeyEncoding((), (), packable=False), context.xp.zeros(0, bool)
            return JoinTable(
                Batch({}, 0), no_keys, no_index(context), has_null_key=False, num_rows=0, matched=matched
            )
        build = PartitionedBuild(
            self._node,
            [],
            (),
            sum(state.num_rows for state in states),
            any(state.has_null_key for state in states),
            self._ranges(states),
            empty,
        )
        if all(state.writer is None for state in states):
            rows, *others = (state.rows for state in states)
            for other in others:
                rows.absorb(other)
            table = StoredBuild(self._node, rows, build.key_ranges, empty).try_table(context)
            if table is not None:
                return table
            if not self._node.keys:
                build.partitions, build.bounds = [rows], (0, NUM_PARTITIONS)
                return build
        fits = fits_table(self._node, build.key_ranges, context)
        build.partitions, bounds = grouped(self._parted(states, context), fits)
        build.bounds = tuple(bounds)
        if len(build.partitions) == 1:
            table = StoredBuild(self._node, build.partitions[0], build.key_ranges, empty).try_table(context)
            if table is not None:
                return table
        context.memory.metrics.add_partitions(len(build.partitions))
        return build

    def _ranges(self, states: list[BuildState]) -> KeyRanges:
        """Range of each key over all workers' rows."""
        known = [state.ranges for state in states if state.ranges is not None]
        if not known:
            return ((0, 0),) * len(self._node.keys)
        return tuple(reduce(joint_range, ranges) for ranges in zip(*known, strict=True))

    def _parted(self, states: list[BuildState], context: RunContext) -> list[RowStore]:
        """All rows by the hash's partitions."""
        writers = [state.writer or self._writer(context) for state in states]

        def part(number: int) -> None:
            for batch in states[number].rows.drain():
                writers[number].add(batch)

        context.run_tasks(len(states), part)
        return merged(writers)

    def is_full(self, states: list[BuildState]) -> bool:
        """Never: every row counts."""
        return False


def _without_rows(batch: Batch) -> Batch:
    """No rows of the same columns, without ties to them."""
    columns = {}
    for key, column in batch.columns.items():
        plain = column.slice(0, 0)
        columns[key] = with_arrays(plain, [array.copy() for array in stored_arrays(plain)], plain.strings)
    return Batch(columns, 0)
