"""Window calls over a partition in blocks.

Numbers, values of other rows, counts, sums and folds look into the blocks where a row's frame begins and ends, and take
what lies between from totals of blocks. What has no such form is computed from the columns that it reads, of all rows
at once, for which memory must have room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.construct import null_column
from gpuql.expressions.vectors import expand, from_wide
from gpuql.memory.row_store import RowStore
from gpuql.operators.accumulators.rows import pick
from gpuql.operators.accumulators.sums import Average, Count, Sum
from gpuql.operators.aggregate import AggregateOperator
from gpuql.operators.aggregate_slots import Slot
from gpuql.operators.row_copies import bytes_per_row
from gpuql.operators.window_aggregates import (
    chosen_columns,
    count_column,
    joined_limbs,
    limbs_of,
    rows_that_count,
    slot_of,
)
from gpuql.operators.window_blocks import BlockRows, Blocks
from gpuql.operators.window_calls import call_column
from gpuql.operators.window_folds import Fold
from gpuql.operators.window_frames import Frames, covers_partition, frames_of
from gpuql.operators.window_rows import SortedRows
from gpuql.thresholds import WINDOW_ROW_BYTES
from gpuql_planner.functions import WINDOW_FUNCTIONS
from gpuql_planner.logical.expressions import Attribute, AttributeRef
from gpuql_planner.logical.visit import references
from gpuql_planner.logical.window_calls import WindowCall
from gpuql_planner.physical.nodes import AggregateSink
from gpuql_planner.types import DataType

#: Values of one call, block by block.
BlockValues = Callable[[int], Column]


class LargePartition:
    """All calls over the rows of one partition."""

    def __init__(self, blocks: Blocks, calls: tuple[tuple[Attribute, WindowCall], ...]) -> None:
        self._blocks = blocks
        self._context = blocks.context
        self._stores: list[RowStore] = []
        self._values = [(attribute.id, self._values_of(call)) for attribute, call in calls]

    def batches(self, attributes: tuple[Attribute, ...]) -> Iterator[Batch]:
        """Attributes and calls, block by block."""
        for index in range(len(self._blocks)):
            self._context.check_cancelled()
            rows = self._blocks.batch(index)
            columns = {attribute.id: rows.columns[attribute.id] for attribute in attributes}
            for key, values in self._values:
                columns[key] = values(index)
            yield Batch(columns, rows.num_rows)
        for store in self._stores:
            store.close()

    def _values_of(self, call: WindowCall) -> BlockValues:
        if call.function in WINDOW_FUNCTIONS:
            return lambda index: call_column(call, BlockRows(self._blocks, index))
        if covers_partition(call):
            return self._of_partition(call)
        slot = slot_of(call)
        columns, _ = rows_that_count(slot, BlockRows(self._blocks, 0))
        if call.distinct or call.argument_order or slot.accumulator is None:
            return self._at_once(call)
        if isinstance(slot.accumulator, Count) or (
            isinstance(slot.accumulator, Sum | Average) and not columns[0].dtype.is_float
        ):
            return BlockTotals(self._blocks, call, slot).column
        if Fold.can_do(slot, columns):
            return BlockFolds(self._blocks, call, slot).column
        return self._at_once(call)

    def _of_partition(self, call: WindowCall) -> BlockValues:
        """One value for all rows, by an aggregation that has an out-of-core form of its own."""
        attribute = Attribute.fresh(call.function, call.type)
        operator = AggregateOperator(AggregateSink((), ((attribute, call.aggregate),)))
        state = operator.new_state(self._context)
        for index in range(len(self._blocks)):
            operator.consume(state, self._blocks.batch(index), index, self._context)
        result = operator.combine([state], self._context)
        (rows,) = [batch for batch in result if batch.num_rows]
        value = rows.columns[attribute.id]
        result.close()
        return lambda index: expand(self._context.xp, value, self._blocks.size(index))

    def _at_once(self, call: WindowCall) -> BlockValues:
        """All rows at once, but only the columns that the call reads. Errors: OutOfMemoryError."""
        context, blocks = self._context, self._blocks
        needed = sorted(references(call), key=lambda attribute: attribute.id)
        store = context.memory.new_store("window")
        self._stores.append(store)
        row_bytes = WINDOW_ROW_BYTES + 2 * bytes_per_row(blocks.batch(0).select(needed))
        with context.memory.reserve(int(row_bytes * blocks.num_rows), "window"):
            columns = {
                a.id: concat_columns(
                    [blocks.value(AttributeRef(a), i) for i in range(len(blocks))], xp=context.xp
                )
                for a in needed
            }
            values = call_column(call, SortedRows(Batch(columns, blocks.num_rows), context))
            for index in range(len(blocks)):
                part = values.slice(int(blocks.starts[index]), int(blocks.starts[index + 1]))
                copied = part.take(context.xp.arange(len(part)))
                store.append(Batch({0: copied}, len(part)), index)
        return lambda index: store.batch_at(index).columns[0]


class _Chosen:
    """Of each block: the arguments of the rows that count, and how many count before each row."""

    def __init__(self, blocks: Blocks, slot: Slot) -> None:
        self._blocks = blocks
        self._slot = slot

    def of(self, index: int) -> tuple[list[Column], Array]:
        """Arguments, and int64 (rows + 1) counts."""
        xp = self._blocks.context.xp
        rows = self._blocks.rows(index)
        columns, chosen = rows_that_count(self._slot, rows)
        if chosen is None:
            return columns, xp.arange(rows.num_rows + 1, dtype=xp.int64)
        before = xp.concatenate((xp.zeros(1, xp.int64), xp.cumsum(chosen, dtype=xp.int64)))
        return chosen_columns(self._slot, columns, xp.flatnonzero(chosen)), before


class BlockTotals:
    """Counts and exact sums: differences of running totals at both ends of a frame."""

    def __init__(self, blocks: Blocks, call: WindowCall, slot: Slot, *, only_counts: bool = False) -> None:
        self._blocks, self._call, self._slot = blocks, call, slot
        self._only_counts = only_counts or isinstance(slot.accumulator, Count)
        self._chosen = _Chosen(blocks, slot)
        xp = blocks.context.xp
        totals = [[int(part[-1]) for part in self._running(index)] for index in range(len(blocks))]
        summed = np.cumsum(np.asarray(totals, np.int64), axis=0)
        #: Of each block: the totals of all blocks before it.
        self._before = xp.asarray(np.concatenate((np.zeros((1, summed.shape[1]), np.int64), summed[:-1])))

    def column(self, index: int) -> Column:
        """Values for the rows of a block."""
        context, accumulator = self._blocks.context, self._slot.accumulator
        xp = context.xp
        counts, *limbs = self._sums(frames_of(self._call, BlockRows(self._blocks, index)))
        count = count_column(counts, self._blocks.num_rows)
        assert accumulator is not None, "counts and sums have accumulators"
        if isinstance(accumulator, Count):
            return accumulator.finish([count], context)
        dtype: DataType = accumulator.sum_type if isinstance(accumulator, Average) else self._call.type
        present = counts > 0
        validity = None if bool(present.all()) else present
        total = from_wide(xp, dtype, joined_limbs(limbs, dtype, xp), validity, (-(2**127), 2**127 - 1))
        return accumulator.finish([total, count] if isinstance(accumulator, Average) else [total], context)

    def counts(self, frames: Frames) -> Column:
        """Rows of each frame that count."""
        return count_column(self._sums(frames)[0], self._blocks.num_rows)

    def _sums(self, frames: Frames) -> list[Array]:
        parts: list[Array] | None = None
        for start, stop in frames.pieces:
            more = [b - a for a, b in zip(self._at(start), self._at(stop), strict=True)]
            parts = more if parts is None else [a + b for a, b in zip(parts, more, strict=True)]
        assert parts is not None, "a frame has a piece"
        return parts

    def _running(self, index: int) -> list[Array]:
        """Totals before each row of a block and behind its last: count, then limbs of the sum."""
        xp = self._blocks.context.xp
        columns, before = self._chosen.of(index)
        if self._only_counts:
            return [before]
        (column,) = columns
        if column.values.dtype == bool:
            column = Column(column.dtype, column.values.view(np.int8))
        zero = xp.zeros(1, xp.int64)
        limbs = [
            xp.concatenate((zero, xp.cumsum(limb, dtype=xp.int64)))[before] for limb in limbs_of(column, xp)
        ]
        return [before, *limbs]

    def _at(self, positions: Array) -> list[Array]:
        """Totals of all rows before each position."""
        xp = self._blocks.context.xp
        found = xp.empty((len(positions), self._before.shape[1]), xp.int64)
        for index, which, inside in self._blocks.touched(positions):
            for place, running in enumerate(self._running(index)):
                found[which, place] = running[inside] + self._before[index, place]
        return [found[:, place] for place in range(found.shape[1])]


class BlockFolds:
    """Folds: of the end of one block, of totals of whole blocks, and of the beginning of another."""

    def __init__(self, blocks: Blocks, call: WindowCall, slot: Slot) -> None:
        self._blocks, self._call, self._slot = blocks, call, slot
        self._fold = Fold(slot, blocks.context)
        self._chosen = _Chosen(blocks, slot)
        xp = blocks.context.xp
        totals, filled = [], [0]
        for index in range(len(blocks)):
            columns, before = self._chosen.of(index)
            frame = Frames(((before[:1], before[-1:]),))
            if int(before[-1]):
                totals.append(self._fold.fold(self._fold.leaves(columns), frame))
            filled.append(len(totals))
        #: Partial results of blocks in which a row counts, and how many such blocks stand before each.
        self._totals = [concat_columns(list(parts), xp=xp) for parts in zip(*totals, strict=True)]
        self._filled = xp.asarray(filled, dtype=xp.int64)
        self._starts = xp.asarray(blocks.starts)
        average = isinstance(slot.accumulator, Average)
        self._counting = BlockTotals(blocks, call, slot, only_counts=True) if average else None

    def column(self, index: int) -> Column:
        """Values for the rows of a block."""
        context = self._blocks.context
        xp = context.xp
        rows = BlockRows(self._blocks, index)
        if not self._totals:
            return null_column(self._call.type, rows.num_rows, xp=xp)
        frames = frames_of(self._call, rows)
        parts = [part for start, stop in frames.pieces for part in self._parts(start, stop)]
        joined = [concat_columns(list(columns), xp=xp) for columns in zip(*parts, strict=True)]
        # Parts of one frame next to each other, those of no rows left out.
        turn = xp.arange(len(parts) * rows.num_rows).reshape(len(parts), -1).T.reshape(-1)
        joined = [column.take(turn) for column in joined]
        validity = joined[-1].validity
        known = xp.ones(len(turn), bool) if validity is None else validity
        before = xp.concatenate((xp.zeros(1, xp.int64), xp.cumsum(known, dtype=xp.int64)))
        kept = xp.flatnonzero(known)
        leaves = [column.take(kept) for column in joined]
        last = leaves[-1]
        leaves[-1] = Column(last.dtype, last.values, None, last.strings, last.bounds)
        ends = xp.arange(0, len(turn) + 1, len(parts))
        result = self._fold.fold(leaves, Frames(((before[ends[:-1]], before[ends[1:]]),)))
        if isinstance(self._slot.accumulator, Average):
            assert self._counting is not None, "made for averages"
            return self._slot.accumulator.finish([*result, self._counting.counts(frames)], context)
        return self._fold.finish(result)

    def _parts(self, start: Array, stop: Array) -> Iterator[list[Column]]:
        """Partial results of what lies in the first block, in whole blocks, and in the last one."""
        xp, blocks = self._blocks.context.xp, self._blocks
        last = len(blocks) - 1
        first_block = xp.clip(xp.searchsorted(self._starts, start, side="right") - 1, 0, last)
        last_block = xp.clip(xp.searchsorted(self._starts, stop, side="right") - 1, 0, last)
        same = first_block == last_block
        # A frame that begins with its first block takes that as a whole.
        whole = ~same & (start == self._starts[first_block])
        ending = xp.where(same, stop, xp.where(whole, start, self._starts[first_block + 1]))
        yield self._inside(first_block, start, ending)
        begin = self._filled[xp.where(whole, first_block, first_block + 1)]
        end = xp.where(same, begin, self._filled[last_block])
        yield self._fold.fold(self._totals, Frames(((begin, end),)))
        beginning = xp.where(same, stop, self._starts[last_block])
        yield self._inside(last_block, beginning, stop)

    def _inside(self, owner: Array, start: Array, stop: Array) -> list[Column]:
        """Partial results of rows ``start`` to ``stop``, which are in block ``owner``."""
        xp, blocks = self._blocks.context.xp, self._blocks
        parts: list[list[Column]] = []
        place = xp.full(len(owner), -1, xp.int64)
        count = 0
        filled = start < stop
        for index in xp.unique(owner[filled]).tolist():
            which = xp.flatnonzero(filled & (owner == index))
            columns, before = self._chosen.of(index)
            base = int(blocks.starts[index])
            frame = Frames(((before[start[which] - base], before[stop[which] - base]),))
            parts.append(self._fold.fold(self._fold.leaves(columns), frame))
            place[which] = xp.arange(count, count + len(which))
            count += len(which)
        if not parts:
            parts = [[column.slice(0, 0) for column in self._totals]]
        return [
            pick(concat_columns(list(columns), xp=xp), place, blocks.context)
            for columns in zip(*parts, strict=True)
        ]
