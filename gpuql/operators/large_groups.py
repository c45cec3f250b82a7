"""Groups whose rows memory has no room for, one aggregate after the other, over rows that may be in files.

What merges is merged batch by batch. Distinct values are split by a hash of group and values, so that each is counted
in one partition. Quantiles and string_agg read the rows sorted: by group and value, or by group and order.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.parts import batch_size, string_bytes
from gpuql.columnar.strings import on_host
from gpuql.memory.budget import Reservation
from gpuql.memory.row_store import RowStore
from gpuql.operators.accumulators.rows import Accumulator, Rows, pick
from gpuql.operators.aggregate_slots import Slot
from gpuql.operators.collected_rows import CollectedRows
from gpuql.operators.contract import RunContext
from gpuql.operators.frequencies import BestOccurrences, EntropySums, Runs
from gpuql.operators.grouping import Groups, group_rows
from gpuql.operators.holistic import (
    HOLISTIC,
    as_distance,
    deviations,
    distance_median,
    joined_texts,
    median_of,
    quantile_places,
    quantile_value,
    separator_of,
    texts_in_order,
)
from gpuql.operators.partitioned_groups import OWNER, PLACE, Finisher, GroupRows
from gpuql.operators.sort import SortOperator
from gpuql.thresholds import LARGE_GROUP_BYTES_PER_ROW, LARGE_GROUP_COPIES, LARGE_GROUP_STEPS_IN_BUDGET
from gpuql_planner.logical.expressions import AggregateCall, Attribute, AttributeRef, SortKey
from gpuql_planner.physical.nodes import SortSink
from gpuql_planner.types import BIGINT


def finished_apart(form: CollectedRows, rows: RowStore, context: RunContext) -> Batch:
    """Output rows of collected rows of a few groups, never held all at once."""
    return _LargeGroups(form, context).finished(rows)


class _LargeGroups:
    """The groups of some rows."""

    def __init__(self, form: CollectedRows, context: RunContext) -> None:
        self._form = form
        self._context = context
        self._memory = context.memory
        self._keys: list[Column] = []
        self._num_groups = 1

    def finished(self, rows: RowStore) -> Batch:
        """One row per group."""
        self._find_groups(rows)
        columns = {
            attribute.id: key for (attribute, _), key in zip(self._form.node.keys, self._keys, strict=True)
        }
        for index, slot in enumerate(self._form.slots):
            columns[slot.attribute.id] = self._aggregate(index, slot, rows)
        return Batch(columns, self._num_groups)

    # --- groups ------------------------------------------------------------------------------------------------------

    def _find_groups(self, rows: RowStore) -> None:
        if not self._form.num_keys:
            return
        known: list[Column] | None = None
        for batch in self._batches(rows):
            with self._step(batch):
                keys = [batch.columns[index] for index in range(self._form.num_keys)]
                if known is not None:
                    keys = [
                        concat_columns(pair, xp=self._context.xp) for pair in zip(known, keys, strict=True)
                    ]
                groups = group_rows(keys, len(keys[0]), self._context)
                known = [key.take(groups.first) for key in keys]
        assert known is not None, "rows that do not fit are not none"
        self._keys, self._num_groups = known, len(known[0])

    def _numbers(self, batch: Batch) -> Array:
        """Group number of each row."""
        xp = self._context.xp
        if not self._keys:
            return xp.zeros(batch.num_rows, xp.int64)
        keys = [
            concat_columns([known, batch.columns[index]], xp=xp) for index, known in enumerate(self._keys)
        ]
        groups = group_rows(keys, self._num_groups + batch.num_rows, self._context)
        numbers = xp.empty(groups.num_groups, xp.int64)
        numbers[groups.ids[: self._num_groups]] = xp.arange(self._num_groups)
        return numbers[groups.ids[self._num_groups :]]

    def _batches(self, rows: RowStore) -> Iterator[Batch]:
        """The rows in steps that leave room for others."""
        for batch in rows:
            yield from self._in_steps(batch)

    def _in_steps(self, batch: Batch, *, beside_sort: bool = False) -> Iterator[Batch]:
        """The batch in pieces; smaller ones while a sort that is being read holds blocks of its own."""
        share = self._memory.budget.limit_bytes / LARGE_GROUP_STEPS_IN_BUDGET
        if beside_sort:
            share /= 4
        steps = max(1, int(self._step_bytes(batch) / share))
        size = max(1, -(-batch.num_rows // steps))
        for start in range(0, max(1, batch.num_rows), size):
            yield batch.slice(start, start + size) if steps > 1 else batch

    @staticmethod
    def _step_bytes(batch: Batch) -> int:
        return LARGE_GROUP_COPIES * batch_size(batch).row_bytes + LARGE_GROUP_BYTES_PER_ROW * batch.num_rows

    def _step(self, batch: Batch) -> Reservation:
        self._context.check_cancelled()
        return self._memory.reserve(self._step_bytes(batch), OWNER)

    # --- one aggregate -----------------------------------------------------------------------------------------------

    def _aggregate(self, index: int, slot: Slot, rows: RowStore) -> Column:
        accumulator = slot.accumulator
        kept = self._distinct(index, slot, rows) if slot.call.distinct else None
        if accumulator is None or slot.call.order_by:
            if kept is None:
                kept = self._kept(self._slot_rows(index, slot, rows))
            if accumulator is None:
                return self._holistic(slot, kept)
            running = _Running(accumulator, self._num_groups, self._context)
            for batch, start in self._sorted(slot, kept, by_value=False):
                order = start + self._context.xp.arange(batch.num_rows)
                running.add(slot_rows(slot, batch, self._num_groups, order))
            return running.finished()
        running = _Running(accumulator, self._num_groups, self._context)
        if kept is not None:
            for batch in kept.drain():
                parts = [batch.columns[1 + place] for place in range(slot.num_parts)]
                running.merge(batch.columns[0].values.astype(np.int64), parts)
            return running.finished()
        for _, selected in self._slot_rows(index, slot, rows):
            running.add(selected)
        return running.finished()

    def _slot_rows(self, index: int, slot: Slot, rows: RowStore) -> Iterator[tuple[list[Column], Rows]]:
        """Order keys and rows that count, batch by batch; ``order`` is the place in the source."""
        xp = self._context.xp
        start = 0
        for batch in self._batches(rows):
            with self._step(batch):
                mask, arguments, order_keys = self._form.columns_of(batch, index)
                place = batch.columns.get(PLACE)
                order = start + xp.arange(batch.num_rows) if place is None else place.values
                groups = Groups(self._numbers(batch), self._num_groups, xp.zeros(0, xp.int64))
                rows_in = xp.arange(batch.num_rows)
                selected = slot.rows(groups, arguments, mask, rows_in, self._context)
                kept = selected.order
                order_keys = [key.take(kept) for key in order_keys]
                counted = Rows(selected.ids, self._num_groups, selected.columns, order[kept])
            yield order_keys, counted
            start += batch.num_rows

    def _kept(self, parts: Iterator[tuple[list[Column], Rows]]) -> RowStore:
        """Rows of one aggregate: group number, arguments, order keys, and place."""
        store = self._memory.new_store(OWNER)
        for sequence, (order_keys, rows) in enumerate(parts):
            store.append(self._slot_batch(rows, order_keys), sequence)
        return store

    def _slot_batch(self, rows: Rows, order_keys: list[Column]) -> Batch:
        ids = Column(BIGINT, rows.ids, None, None, (0, self._num_groups - 1))
        columns = dict(enumerate([ids, *rows.columns, *order_keys]))
        columns[PLACE] = Column(BIGINT, rows.order)
        return Batch(columns, len(rows.ids))

    def _distinct(self, index: int, slot: Slot, rows: RowStore) -> RowStore:
        """Partial rows over distinct values, or the distinct rows themselves; see :class:`DistinctRows`."""
        form = DistinctRows(slot, self._num_groups)
        state = GroupRows(form, self._context)
        for sequence, (order_keys, selected) in enumerate(self._slot_rows(index, slot, rows)):
            state.keep(form.reduced(self._slot_batch(selected, order_keys), self._context), sequence)
        result = Finisher(form, self._context).finish_all([state])
        if isinstance(result.batches, RowStore):
            return result.batches
        store = self._memory.new_store(OWNER)
        for batch in result:
            store.append(batch)
        return store

    # --- sorted rows -------------------------------------------------------------------------------------------------

    def _sorted(self, slot: Slot, rows: RowStore, *, by_value: bool) -> Iterator[tuple[Batch, int]]:
        """Rows of one aggregate by group, then by value or by the aggregate's order and the place in the source.

        Each batch comes with the number of rows before it.
        """
        first = next(iter(rows), None)
        assert first is not None, "a store of kept rows has at least one batch, if only of no rows"
        attributes = {key: Attribute.fresh("", column.dtype) for key, column in first.columns.items()}
        ids = AttributeRef(attributes[0])
        keys = [SortKey(ids)] if self._num_groups > 1 else []
        if by_value:
            keys.append(SortKey(AttributeRef(attributes[1])))
            needed: tuple[int, ...] = (0, 1, PLACE)
        else:
            for place, key in enumerate(slot.call.order_by):
                reference = AttributeRef(attributes[1 + slot.num_arguments + place])
                keys.append(SortKey(reference, key.descending, key.nulls_first))
            keys.append(SortKey(AttributeRef(attributes[PLACE])))
            needed = (*range(1 + slot.num_arguments),)
        operator = SortOperator(SortSink(tuple(keys), tuple(attributes[key] for key in needed)))
        state = operator.new_state(self._context)
        for sequence, batch in enumerate(rows.drain()):
            columns = {attributes[key].id: column for key, column in batch.columns.items()}
            operator.consume(state, Batch(columns, batch.num_rows), sequence, self._context)
        result = operator.combine([state], self._context)
        start = 0
        for batch in result:
            yield Batch({key: batch.columns[attributes[key].id] for key in needed}, batch.num_rows), start
            start += batch.num_rows
        result.close()

    def _counts(self, rows: RowStore) -> Array:
        counts = self._context.xp.zeros(self._num_groups, np.int64)
        for batch in rows:
            ids = batch.columns[0].values.astype(np.int64)
            counts += self._context.kernels.group_by.count(ids, self._num_groups)
        return counts

    def _holistic(self, slot: Slot, rows: RowStore) -> Column:
        counts = self._counts(rows)
        if slot.call.function == "string_agg":
            return self._string_agg(slot, rows, counts)
        if slot.call.function in ("list", "histogram"):
            return self._of_all_values(slot, rows)
        if slot.call.function in ("mode", "entropy"):
            return self._frequency(slot, rows)
        if slot.call.function == "mad":
            return self._median_deviation(slot, rows, counts)
        return self._quantile(slot.call, slot, rows, counts)

    def _frequency(self, slot: Slot, rows: RowStore) -> Column:
        """The mode or the entropy, from the values in order."""
        like = next(iter(rows)).columns[1]
        runs = Runs(self._context)
        best, sums = (
            BestOccurrences(self._num_groups, self._context),
            EntropySums(self._num_groups, self._context),
        )
        if slot.call.order_by and rows.num_rows:
            rows = self._renumbered(slot, rows)
        target: BestOccurrences | EntropySums = best if slot.call.function == "mode" else sums
        for batch, _ in self._sorted(slot, rows, by_value=True):
            for step in self._in_steps(batch, beside_sort=True):
                with self._step(step):
                    ids = step.columns[0].values.astype(np.int64)
                    order = step.columns[PLACE].values.astype(np.int64)
                    target.add(runs.add(Rows(ids, self._num_groups, [step.columns[1]], order)))
        last = runs.rest()
        if last is not None:
            target.add(last)
        return best.finished(like) if slot.call.function == "mode" else sums.finished(slot.call)

    def _renumbered(self, slot: Slot, rows: RowStore) -> RowStore:
        """The rows with their places in the order that the aggregate asks for."""
        store = self._memory.new_store(OWNER)
        for sequence, (batch, start) in enumerate(self._sorted(slot, rows, by_value=False)):
            place = Column(BIGINT, start + self._context.xp.arange(batch.num_rows))
            store.append(Batch({**batch.columns, PLACE: place}, batch.num_rows), sequence)
        return store

    def _median_deviation(self, slot: Slot, rows: RowStore, counts: Array) -> Column:
        """mad: the median, then the median of the distances from it, which takes the rows twice."""
        copy = self._memory.new_store(OWNER)
        for sequence, batch in enumerate(rows):
            copy.append(batch, sequence)
        median = self._quantile(median_of(slot.call), slot, rows, counts)
        distances = self._memory.new_store(OWNER)
        sequence = 0
        for batch in copy.drain():
            for step in self._in_steps(batch):
                with self._step(step):
                    centres = median.take(step.columns[0].values.astype(np.int64))
                    gap = deviations(step.columns[1], centres, self._context)
                    distances.append(Batch({**step.columns, 1: gap}, step.num_rows), sequence)
                sequence += 1
        found = self._quantile(distance_median(slot.call), slot, distances, counts)
        return as_distance(slot.call, found, self._context)

    def _quantile(self, call: AggregateCall, slot: Slot, rows: RowStore, counts: Array) -> Column:
        xp = self._context.xp
        first = next(iter(rows)).columns[1]
        places = quantile_places(call, counts, self._context, is_text=first.strings is not None)
        starts = xp.cumsum(counts) - counts
        wanted = [places.low] if places.share is None else [places.low, places.high]
        found: list[list[tuple[Array, Column]]] = [[] for _ in wanted]
        for batch, start in self._sorted(slot, rows, by_value=True):
            for pieces, place in zip(found, wanted, strict=True):
                at = starts + place - start
                groups = xp.flatnonzero((counts > 0) & (at >= 0) & (at < batch.num_rows))
                if len(groups):
                    pieces.append((groups, batch.columns[1].take(at[groups])))
        values = [self._by_group(pieces, first) for pieces in found]
        return quantile_value(call, values[0], values[-1], places.share, self._context)

    def _by_group(self, pieces: list[tuple[Array, Column]], like: Column) -> Column:
        """The column of values of groups; NULL for those that have none."""
        xp = self._context.xp
        row_of_group = xp.full(self._num_groups, -1, xp.int64)
        if not pieces:
            return pick(like.slice(0, 0), row_of_group, self._context)
        groups = xp.concatenate([numbers for numbers, _ in pieces])
        row_of_group[groups] = xp.arange(len(groups))
        return pick(concat_columns([column for _, column in pieces], xp=xp), row_of_group, self._context)

    def _of_all_values(self, slot: Slot, rows: RowStore) -> Column:
        """A function of all values of each group in order; they have to fit memory, as they do in the result."""
        xp = self._context.xp
        values: list[Column] = []
        ids: list[Array] = []
        with self._memory.reserve(0, slot.call.function) as reservation:
            for batch, _ in self._sorted(slot, rows, by_value=False):
                size = batch_size(batch)
                # The values as they are, put together, as bytes of lists, and the column of these.
                taken = size.row_bytes + sum(map(string_bytes, size.strings))
                reservation.resize(reservation.num_bytes + 4 * taken)
                ids.append(batch.columns[0].values.astype(np.int64))
                values.append(batch.columns[1])
            number = xp.concatenate(ids)
            joined = Rows(number, self._num_groups, [concat_columns(values, xp=xp)], xp.arange(len(number)))
            return HOLISTIC[slot.call.function](slot.call, joined, self._context)

    def _string_agg(self, slot: Slot, rows: RowStore, counts: Array) -> Column:
        """Strings of each group joined; the results have to fit memory."""
        glue = separator_of(slot.call)
        texts: dict[int, bytearray] = {}
        with self._memory.reserve(0, "string_agg") as reservation:
            for batch, _ in self._sorted(slot, rows, by_value=False):
                entries = texts_in_order(batch.columns[1], self._context)
                # A text twice while it grows, and at the end the texts as bytes and as a column.
                size = sum(map(len, entries)) + len(glue) * len(entries)
                reservation.resize(reservation.num_bytes + 4 * size)
                groups, sizes = np.unique(on_host(batch.columns[0].values), return_counts=True)
                position = 0
                for group, count in zip(groups.tolist(), sizes.tolist(), strict=True):
                    piece = glue.join(entries[position : position + count])
                    if group in texts:
                        texts[group] += glue
                        texts[group] += piece
                    else:
                        texts[group] = bytearray(piece)
                    position += count
            joined = [bytes(texts.get(group, b"")) for group in range(self._num_groups)]
            texts.clear()
            return joined_texts(slot.call, joined, counts, self._context)


def slot_rows(slot: Slot, batch: Batch, num_groups: int, order: Array) -> Rows:
    """Rows of one aggregate from a batch of group numbers and arguments."""
    columns = [batch.columns[1 + place] for place in range(slot.num_arguments)]
    return Rows(batch.columns[0].values.astype(np.int64), num_groups, columns, order)


class DistinctRows:
    """A :class:`RowForm` of one DISTINCT aggregate: group number, arguments, order keys, place in the source.

    Finished are partial results (group number, then the parts), as a value is in one partition; or the distinct rows
    as they are, if they have yet to be sorted.
    """

    reduces = True
    is_ordered = False
    work_bytes_per_row = 120
    work_copies = 3

    def __init__(self, slot: Slot, num_groups: int) -> None:
        self._slot = slot
        self._num_groups = num_groups
        self.num_keys = 1 + slot.num_arguments

    def reduced(self, rows: Batch, context: RunContext) -> Batch:
        """The first of each set of equal rows."""
        keys = [rows.columns[index] for index in range(self.num_keys)]
        groups = group_rows(keys, rows.num_rows, context)
        places = rows.columns[PLACE].values
        first = context.kernels.group_by.minimum(places, groups.ids, groups.num_groups)
        kept = context.xp.flatnonzero(places == first[groups.ids])
        if len(kept) > groups.num_groups:  # rows of one place, of which any will do
            kept = context.kernels.group_by.minimum(kept, groups.ids[kept], groups.num_groups)
        return rows.take(kept)

    def finished(self, rows: Batch, context: RunContext, *, is_reduced: bool = False) -> Batch:
        """See the class."""
        rows = self.reduced(rows, context)
        accumulator = self._slot.accumulator
        if accumulator is None or self._slot.call.order_by:
            return rows
        ids = rows.columns[0]
        groups = group_rows([ids], rows.num_rows, context)
        order = rows.columns[PLACE].values
        columns = [rows.columns[1 + place] for place in range(self._slot.num_arguments)]
        parts = accumulator.partial(Rows(groups.ids, groups.num_groups, columns, order), context)
        return Batch(dict(enumerate([ids.take(groups.first), *parts])), groups.num_groups)


class _Running:
    """Partial results of all groups, to which rows are added."""

    def __init__(self, accumulator: Accumulator, num_groups: int, context: RunContext) -> None:
        self._accumulator = accumulator
        self._num_groups = num_groups
        self._context = context
        self._parts: list[Column] | None = None

    def add(self, rows: Rows) -> None:
        """More rows."""
        parts = self._accumulator.partial(rows, self._context)
        self.merge(self._context.xp.arange(self._num_groups), parts)

    def merge(self, ids: Array, parts: list[Column]) -> None:
        """More partial results, of the groups ``ids``."""
        xp = self._context.xp
        if self._parts is not None:
            ids = xp.concatenate((xp.arange(self._num_groups), ids))
            parts = [concat_columns(pair, xp=xp) for pair in zip(self._parts, parts, strict=True)]
        rows = Rows(ids, self._num_groups, parts, xp.arange(len(ids)))
        self._parts = self._accumulator.merge(rows, self._context)

    def finished(self) -> Column:
        """End values."""
        assert self._parts is not None, "rows that do not fit are not none"
        return self._accumulator.finish(self._parts, self._context)
