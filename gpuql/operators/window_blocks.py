"""A partition that memory has no room for, in blocks: a block's rows see where theirs begin and end in all of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_columns
from gpuql.expressions.evaluate import evaluate
from gpuql.memory.row_store import RowStore
from gpuql.operators.accumulators.rows import pick
from gpuql.operators.contract import RunContext
from gpuql.operators.window_rows import KeySearch, SortedRows, Spans, differences
from gpuql.thresholds import WINDOW_BLOCKS_IN_HAND
from gpuql_planner.logical.expressions import AttributeRef, Expression
from gpuql_planner.logical.window_calls import WindowCall


class Blocks:
    """Rows of one partition in order, as many at a time as the store's batches have."""

    def __init__(self, rows: RowStore, sizes: list[int], context: RunContext) -> None:
        self._rows = rows
        self.context = context
        #: First row of each block, and the number of rows (on the host).
        self.starts = np.concatenate((np.zeros(1, np.int64), np.cumsum(np.asarray(sizes, np.int64))))
        self.num_rows = int(self.starts[-1])
        self._in_hand: OrderedDict[int, SortedRows] = OrderedDict()
        self._heads: dict[tuple[Expression, int, int], tuple[Column, list[int]] | None] = {}
        self._peers: dict[frozenset[Expression], PeerEdges] = {}
        self._known: dict[Expression, Array] = {}

    def __len__(self) -> int:
        return len(self.starts) - 1

    def size(self, index: int) -> int:
        """Rows of a block."""
        return int(self.starts[index + 1] - self.starts[index])

    def rows(self, index: int) -> SortedRows:
        """Rows of a block, numbered from 0; those used last stay in hand."""
        known = self._in_hand.pop(index, None)
        if known is None:
            self.context.check_cancelled()
            known = SortedRows(self._rows.batch_at(index), self.context)
            while len(self._in_hand) >= WINDOW_BLOCKS_IN_HAND:
                self._in_hand.popitem(last=False)
        self._in_hand[index] = known
        return known

    def batch(self, index: int) -> Batch:
        """Rows of a block."""
        return self.rows(index).rows

    def heads(self, key: Expression, first: int, stop: int) -> tuple[Column, list[int]] | None:
        """The first key of each block among rows ``first`` to ``stop``, and the blocks that have some of these."""
        wanted = key, first, stop
        if wanted not in self._heads:
            parts, owners = [], []
            for index, (start, end) in enumerate(pairwise(self.starts.tolist())):
                row = max(start, first)
                if row < min(end, stop):
                    parts.append(self.value(key, index).take(self.context.xp.asarray([row - start])))
                    owners.append(index)
            joined = (concat_columns(parts, xp=self.context.xp), owners) if parts else None
            self._heads[wanted] = joined
        return self._heads[wanted]

    def value(self, operand: Expression, index: int) -> Column:
        """A column or constant for the rows of a block."""
        return evaluate(operand, self.batch(index), self.context)

    def touched(self, positions: Array) -> Iterator[tuple[int, Array, Array]]:
        """Blocks that hold some of ``positions`` (the end counts to the last one): which of them, places inside."""
        xp = self.context.xp
        starts = xp.asarray(self.starts)
        owner = xp.clip(xp.searchsorted(starts, positions, side="right") - 1, 0, len(self) - 1)
        for index in xp.unique(owner).tolist():
            which = xp.flatnonzero(owner == index)
            yield index, which, positions[which] - int(self.starts[index])

    def pick(self, operand: Expression, source: Array) -> Column:
        """Value of a column at rows ``source``, NULL where that is -1."""
        xp = self.context.xp
        wanted = xp.flatnonzero(source >= 0)
        place = xp.full(len(source), -1, xp.int64)
        parts, count = [], 0
        for index, which, inside in self.touched(source[wanted]):
            parts.append(self.value(operand, index).take(inside))
            place[wanted[which]] = xp.arange(count, count + len(which))
            count += len(which)
        if not parts:
            parts = [self.value(operand, 0).slice(0, 0)]
        return pick(concat_columns(parts, xp=xp), place, self.context)

    def known_totals(self, operand: Expression) -> Array:
        """Rows before each block, and in all of them, in which a column is not NULL (int64, on the host)."""
        known = self._known.get(operand)
        if known is None:
            counts = [0]
            for index in range(len(self)):
                validity = self.value(operand, index).validity
                counts.append(self.size(index) if validity is None else int(validity.sum()))
            known = self._known[operand] = np.cumsum(np.asarray(counts, np.int64))
        return known

    def peers(self, keys: Iterable[Expression]) -> PeerEdges:
        """Where sets of rows that are equal in ``keys`` begin and end."""
        wanted = frozenset(keys)
        known = self._peers.get(wanted)
        if known is None:
            known = self._peers[wanted] = self._find_peers(wanted)
        return known

    def _find_peers(self, keys: frozenset[Expression]) -> PeerEdges:
        columns = [key for key in keys if isinstance(key, AttributeRef)]
        spans = []
        continues = [False]
        last: list[Column] | None = None
        for index in range(len(self)):
            values = [self.value(key, index) for key in columns]
            if last is not None:
                pairs = zip(last, values, strict=True)
                both = [concat_columns([one, other.slice(0, 1)], xp=self.context.xp) for one, other in pairs]
                continues.append(not any(bool(differences(column, self.context)[0]) for column in both))
            found = self.rows(index).spans_of(keys)
            spans.append((len(found), int(found.starts[-1]), int(found.stops[0])))
            last = [value.take(self.context.xp.asarray([self.size(index) - 1])) for value in values]
        return PeerEdges.of(self.starts, spans, continues)


@dataclass(frozen=True, eq=False)
class PeerEdges:
    """Of each block: where the peers of its first and last row begin and end, and their numbers, in the partition."""

    first_start: list[int]
    last_stop: list[int]
    first_number: list[int]
    last_number: list[int]

    @staticmethod
    def of(starts: Array, spans: list[tuple[int, int, int]], continues: list[bool]) -> PeerEdges:
        """From each block's number of spans, start of the last and stop of the first, and whether it continues one."""
        count = len(spans)
        first_start, first_number, last_number = [0] * count, [0] * count, [0] * count
        for index, (num_spans, _, _) in enumerate(spans):
            if not continues[index]:
                first_start[index] = int(starts[index])
                first_number[index] = last_number[index - 1] + 1 if index else 0
            else:
                before, last_start, _ = spans[index - 1]
                first_start[index] = (
                    first_start[index - 1] if before == 1 else int(starts[index - 1]) + last_start
                )
                first_number[index] = last_number[index - 1]
            last_number[index] = first_number[index] + num_spans - 1
        last_stop = [0] * count
        for index in reversed(range(count)):
            following = index + 1
            if following == count or not continues[following]:
                last_stop[index] = int(starts[following])
            elif spans[following][0] == 1:
                last_stop[index] = last_stop[following]
            else:
                last_stop[index] = int(starts[following]) + spans[following][2]
        return PeerEdges(first_start, last_stop, first_number, last_number)


@dataclass(frozen=True, eq=False)
class _Edges:
    """First row, row after the last, and number of the span that each row belongs to, in the partition."""

    first: Array
    stop: Array
    ids: Array


class BlockRows(SortedRows):
    """Rows of one block of a partition, numbered as in the partition."""

    def __init__(self, blocks: Blocks, index: int) -> None:
        super().__init__(blocks.batch(index), blocks.context)
        self.blocks = blocks
        self.index = index
        self.total_rows = blocks.num_rows
        self.shares_frames = False
        xp = self.context.xp
        start = int(blocks.starts[index])
        self.positions = xp.arange(start, start + self.num_rows, dtype=xp.int64)
        zeros = xp.zeros(self.num_rows, xp.int64)
        self._partition = _Edges(zeros, zeros + blocks.num_rows, zeros)
        self._edges: dict[frozenset[Expression], _Edges] = {}

    def partitions(self, call: WindowCall) -> _Edges:  # type: ignore[override]
        """The partition that all rows are in."""
        return self._partition

    def peers(self, call: WindowCall) -> _Edges:  # type: ignore[override]
        """Peers, also those in other blocks."""
        keys = frozenset(key.expression for key in call.order_by)
        known = self._edges.get(keys)
        if known is None:
            edges, inside = self.blocks.peers(keys), self.spans_of(keys)
            known = self._edges[keys] = self._in_partition(edges, inside)
        return known

    def _in_partition(self, edges: PeerEdges, inside: Spans) -> _Edges:
        start = int(self.blocks.starts[self.index])
        starts, stops = inside.starts + start, inside.stops + start
        starts[0] = edges.first_start[self.index]
        stops[-1] = edges.last_stop[self.index]
        return _Edges(starts[inside.ids], stops[inside.ids], inside.ids + edges.first_number[self.index])

    def peer_number(self, call: WindowCall) -> Array:
        """See ``SortedRows``."""
        return self.peers(call).ids

    def peer_range(self, call: WindowCall) -> tuple[Array, Array]:
        """See ``SortedRows``."""
        edges = self.blocks.peers(key.expression for key in call.order_by)
        zeros = self.context.xp.zeros(self.num_rows, self.context.xp.int64)
        return zeros, zeros + edges.last_number[-1]

    def peer_starts(self, call: WindowCall, numbers: Array) -> Array:
        """See ``SortedRows``; looks into the blocks where the sets begin."""
        xp = self.context.xp
        keys = frozenset(key.expression for key in call.order_by)
        edges = self.blocks.peers(keys)
        result = xp.zeros(len(numbers), xp.int64)
        # A set begins in the first block whose last number reaches it.
        owner = xp.searchsorted(xp.asarray(edges.last_number), numbers)
        for index in xp.unique(owner).tolist():
            which = xp.flatnonzero(owner == index)
            spans = self.blocks.rows(index).spans_of(keys)
            starts = spans.starts + int(self.blocks.starts[index])
            starts[0] = edges.first_start[index]
            result[which] = starts[numbers[which] - edges.first_number[index]]
        return result

    def peer_stops(self, call: WindowCall, numbers: Array) -> Array:
        """See ``SortedRows``: where the next set begins."""
        xp = self.context.xp
        last = self.blocks.peers(key.expression for key in call.order_by).last_number[-1]
        following = self.peer_starts(call, xp.minimum(numbers + 1, last))
        return xp.where(numbers == last, self.blocks.num_rows, following)

    def num_nulls(self, operand: Expression, call: WindowCall) -> Array:
        """See ``SortedRows``."""
        count = self.total_rows - int(self.blocks.known_totals(operand)[-1])
        return self.context.xp.full(self.num_rows, count, self.context.xp.int64)

    def known_before(self, operand: Expression, positions: Array) -> Array:
        """See ``SortedRows``; looks into the blocks that hold the positions."""
        xp, blocks = self.context.xp, self.blocks
        totals = blocks.known_totals(operand)
        result = xp.zeros(len(positions), xp.int64)
        for index, which, inside in blocks.touched(positions):
            result[which] = blocks.rows(index).known_before(operand, inside) + int(totals[index])
        return result

    def known_rows(self, operand: Expression, numbers: Array) -> Array:
        """See ``SortedRows``; looks into the blocks that hold the rows."""
        xp, blocks = self.context.xp, self.blocks
        totals = blocks.known_totals(operand)
        result = xp.zeros(len(numbers), xp.int64)
        owner = xp.searchsorted(xp.asarray(totals), numbers, side="right") - 1
        for index in xp.unique(owner).tolist():
            if index < len(blocks):
                which = xp.flatnonzero(owner == index)
                inside = blocks.rows(index).known_rows(operand, numbers[which] - int(totals[index]))
                result[which] = inside + int(blocks.starts[index])
        return result

    def pick(self, operand: Expression, source: Array) -> Column:
        """See ``SortedRows``; looks into the blocks that hold the rows."""
        if not isinstance(operand, AttributeRef):
            return pick(self.value(operand), self.context.xp.where(source >= 0, 0, -1), self.context)
        return self.blocks.pick(operand, source)

    def search(self, search: KeySearch, low: Array, high: Array) -> Array:
        """See ``SortedRows``: among the first keys of all blocks, then in the block before the one found."""
        xp, blocks = self.context.xp, self.blocks
        first, stop = int(low[0]), int(high[0])  # the same for all rows of a partition
        heads = blocks.heads(search.key, first, stop)
        if heads is None:
            return low
        keys, owners = heads
        zeros = xp.zeros(self.num_rows, xp.int64)
        place = search.rows(keys, search.values, zeros, zeros + len(owners), self.context) - 1
        result = zeros + first
        for place_found in xp.unique(place).tolist():
            if place_found < 0:
                continue
            index = owners[place_found]
            start = int(blocks.starts[index])
            which = xp.flatnonzero(place == place_found)
            inside = zeros[: len(which)]
            found = search.rows(
                blocks.value(search.key, index),
                search.values.take(which),
                inside + max(0, first - start),
                inside + min(blocks.size(index), stop - start),
                self.context,
            )
            result[which] = found + start
        return result


class BlockBuilder:
    """Rows of a partition as they arrive, kept in blocks of about ``block_rows``."""

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._rows = context.memory.new_store("window")
        self._sizes: list[int] = []

    def append(self, rows: Batch, block_rows: int) -> None:
        """Keep rows that follow those before."""
        for start in range(0, rows.num_rows, block_rows):
            block = rows.slice(start, start + block_rows)
            copied = block.take(self._context.xp.arange(block.num_rows))
            self._rows.append(copied, len(self._sizes))
            self._sizes.append(block.num_rows)

    def finish(self) -> tuple[Blocks, RowStore]:
        """The blocks, and their store to close."""
        return Blocks(self._rows, self._sizes, self._context), self._rows
