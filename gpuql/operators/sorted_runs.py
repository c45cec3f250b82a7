"""Sorted runs: rows that are more than memory holds, sorted a run at a time and merged whenever they are read."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array
from gpuql.columnar.concat import concat_batches
from gpuql.memory.budget import Reservation
from gpuql.memory.row_store import RowStore
from gpuql.operators.contract import RunContext
from gpuql.operators.row_copies import SharedDictionaries, bytes_per_row, gathered, joined, with_own_strings
from gpuql.operators.sort_keys import SortOrder
from gpuql.thresholds import (
    BEGUN_BLOCKS_SHARE,
    EXPECTED_RUNS,
    MAX_RUN_BLOCK_BYTES,
    MERGE_COPIES,
    MERGE_SHARE,
    MIN_RUN_BLOCK_BYTES,
    ROOM_STEPS,
    RUN_DICTIONARIES_IN_BUDGET,
    RUN_GATHER_ROWS,
)
from gpuql_planner.logical.expressions import Attribute


class SortedRuns(RowStore):
    """Runs of sorted rows in blocks, of which those that are needed last move away first.

    Reading gives the rows of all runs in order, those of earlier runs first among equals, and of them the ones from
    ``offset`` up to ``stop``. Each round of the merge takes the blocks that come next by their first rows, which stay
    in memory, and puts out all rows before the first row of the blocks not yet taken: so sorted, reversed and constant
    input is read as fast as random.
    """

    def __init__(
        self,
        order: SortOrder,
        attributes: Sequence[Attribute],
        context: RunContext,
        *,
        offset: int = 0,
        stop: int | None = None,
    ) -> None:
        super().__init__(context.memory, "sort")
        self._order = order
        self._attributes = tuple(attributes)
        # Outlives the query if it is its result: then nothing else of the query is to be kept.
        self._context = replace(context, results={})
        self._offset = offset
        self._stop = stop
        self._num_runs = 0
        self._heads: list[Batch] = []
        self._run_of: list[int] = []
        self._block_bytes: list[int] = []
        self._work_bytes = 0
        self._dictionaries = SharedDictionaries(self._memory.budget.limit_bytes // RUN_DICTIONARIES_IN_BUDGET)

    # --- filling -----------------------------------------------------------------------------------------------------

    def add_run(self, rows: Batch, order: Array) -> None:
        """A run of ``rows`` in ``order``, which follow all those of earlier runs in the input."""
        self._num_runs += 1
        self._extend(self._dictionaries.applied(rows, self._context), order)

    def _extend(self, rows: Batch, order: Array) -> None:
        """Add ``rows`` in ``order`` behind those of the current run, in blocks."""
        context = self._context
        if not len(order):
            return
        self._work_bytes = max(self._work_bytes, self._order.work_bytes(rows))
        row_bytes = max(1.0, bytes_per_row(rows))
        step = max(1, int(self._target_block_bytes(row_bytes) / row_bytes))
        stride = step * max(1, RUN_GATHER_ROWS // step)
        for start in range(0, len(order), stride):
            context.check_cancelled()
            part = gathered(rows, order[start : start + stride], context)
            heads = part.take(context.xp.arange(0, part.num_rows, step))
            keys = {key: heads.columns[key] for key in self._order.key_ids}
            self._heads.append(with_own_strings(Batch(keys, heads.num_rows), context))
            for first in range(0, part.num_rows, step):
                block = with_own_strings(part.slice(first, first + step), context)
                num_bytes = int(bytes_per_row(block) * block.num_rows)
                self.make_room(num_bytes)
                self._run_of.append(self._num_runs - 1)
                self._block_bytes.append(num_bytes)
                self.append(block, len(self._run_of))

    def make_room(self, num_bytes: int) -> None:
        """Move blocks until so many bytes are free: before rows that are not sorted yet, which would move twice."""
        budget = self._memory.budget
        if num_bytes > budget.free_bytes:
            # Some more, as each call looks at all blocks.
            self.reclaim(num_bytes - budget.free_bytes + budget.limit_bytes // ROOM_STEPS)

    def _target_block_bytes(self, row_bytes: float) -> int:
        runs = max(EXPECTED_RUNS, 2 * self._num_runs)
        share = (
            BEGUN_BLOCKS_SHARE * self._room_bytes() / 2 / runs / (MERGE_COPIES + self._work_bytes / row_bytes)
        )
        return int(max(MIN_RUN_BLOCK_BYTES, min(share, MAX_RUN_BLOCK_BYTES)))

    def finish(self) -> SortedRuns:
        """Say that no run follows; the store to read, which may be another one with fewer and longer runs."""
        self._heads = [concat_batches(self._heads, xp=self._context.xp)]
        fan_in = self._fan_in()
        if self._num_runs > fan_in:
            return self._merged_to_fewer(fan_in).finish()
        places, self._heads = self._by_first_rows(list(range(len(self._pieces))))
        with self._lock:
            self._pieces = [self._pieces[place] for place in places]
            self._run_of = [self._run_of[place] for place in places]
            self._block_bytes = [self._block_bytes[place] for place in places]
        num_rows = self.num_rows if self._stop is None else min(self.num_rows, self._stop)
        self.num_rows = max(0, num_rows - self._offset)
        return self

    def _fan_in(self) -> int:
        """Runs that can be merged at once."""
        total = MERGE_COPIES * sum(self._block_bytes) + self._work_bytes * self.num_rows
        return max(2, int(BEGUN_BLOCKS_SHARE * self._room_bytes() * len(self._pieces) / total))

    def _room_bytes(self) -> int:
        return int(MERGE_SHARE * self._memory.budget.limit_bytes)

    def _by_first_rows(self, places: list[int]) -> tuple[list[int], list[Batch]]:
        """Blocks in the order of their first rows, in which a merge needs them, and these; ``places`` ascend."""
        heads = self._heads[0].take(self._context.xp.asarray(places))
        order = self._order.order(heads, self._context)
        return [places[place] for place in order.tolist()], [heads.take(order)]

    def _merged_to_fewer(self, fan_in: int) -> SortedRuns:
        """Merge neighbouring runs to one each; this store is empty and closed afterwards."""
        longer = SortedRuns(
            self._order, self._attributes, self._context, offset=self._offset, stop=self._stop
        )
        groups: list[list[int]] = [[] for _ in range(-(-self._num_runs // fan_in))]
        for place, run in enumerate(self._run_of):
            groups[run // fan_in].append(place)
        for group in groups:
            places, (heads,) = self._by_first_rows(group)
            longer._num_runs += 1
            num_rows = 0
            with closing(self._rounds(places, heads, let_go=True)) as rounds:
                for rows, order in rounds:
                    wanted = order if self._stop is None else order[: self._stop - num_rows]
                    longer._extend(rows, wanted)
                    num_rows += len(wanted)
                    if num_rows == self._stop:
                        break
        self.close()
        return longer

    # --- reading -----------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Batch]:
        """Rows in order, the attributes only."""
        return self._merged(let_go=False)

    def drain_numbered(self, into: Reservation | None = None) -> Iterator[tuple[int, Batch]]:
        """See ``RowStore``."""
        yield from enumerate(self._merged(let_go=True))
        self.close(into)

    def _merged(self, *, let_go: bool) -> Iterator[Batch]:
        done = 0
        places = list(range(len(self._pieces)))
        with closing(self._rounds(places, self._heads[0], let_go=let_go)) as rounds:
            for rows, order in rounds:
                start = max(0, self._offset - done)
                stop = len(order) if self._stop is None else min(len(order), self._stop - done)
                done += len(order)
                if start < stop:
                    yield gathered(rows.select(self._attributes), order[start:stop], self._context)
                if self._stop is not None and done >= self._stop:
                    return

    def _rounds(self, places: Sequence[int], heads: Batch, *, let_go: bool) -> Generator[tuple[Batch, Array]]:
        """Merge blocks ``places``, which stand in the order of ``heads``: rows, and which of them come next, in order.

        What a round works with is reserved until the next is asked for.
        """
        pieces = [self._pieces[place] for place in places]
        runs = [self._run_of[place] for place in places]
        begun: dict[int, Batch] = {}
        taken = 0
        with self._reading(), self._memory.reserve(0, self.owner) as reservation:
            while taken < len(pieces):
                self._context.check_cancelled()
                parts = {run: [rows] for run, rows in begun.items()}
                stop = taken + self._num_to_take(places[taken:], begun, reservation)
                for piece, run in zip(pieces[taken:stop], runs[taken:stop], strict=True):
                    parts.setdefault(run, []).extend(self._read(piece))
                    if let_go:
                        self._let_go(piece)
                taken = stop
                begun = {}
                if taken == len(pieces):
                    yield self._all(parts)
                else:
                    yield self._before(heads.slice(taken, taken + 1), runs[taken], parts, begun)

    def _num_to_take(
        self, places: Sequence[int], begun: Mapping[int, Batch], reservation: Reservation
    ) -> int:
        """How many of the next blocks there is room for: at least one, for which room is made."""
        kept_rows = sum(rows.num_rows for rows in begun.values())
        kept_bytes = sum(int(bytes_per_row(rows) * rows.num_rows) for rows in begun.values())
        room = self._room_bytes()
        while True:
            num_rows, num_bytes = kept_rows, kept_bytes
            count = wanted = 0
            for place in places:
                num_rows += self._pieces[place].num_rows
                num_bytes += self._block_bytes[place]
                needed = MERGE_COPIES * num_bytes + self._work_bytes * num_rows
                if count and needed > room:
                    break
                count, wanted = count + 1, needed
            if count == 1:
                reservation.resize(wanted)
                return 1
            if reservation.try_resize(wanted):
                return count
            room = wanted // 2

    def _all(self, parts: dict[int, list[Batch]]) -> tuple[Batch, Array]:
        """Order the rows in hand, the last ones."""
        rows = joined([rows for run in sorted(parts) for rows in parts.pop(run)], self._context)
        return rows, self._order.order(rows, self._context)

    def _before(
        self, head: Batch, head_run: int, parts: dict[int, list[Batch]], begun: dict[int, Batch]
    ) -> tuple[Batch, Array]:
        """Order the rows in hand, and keep those for later, in ``begun``, that do not come before the next block's."""
        context, xp = self._context, self._context.xp
        batches: list[Batch] = []
        keys: list[Batch] = []
        starts: list[int] = []
        num_rows = head_row = 0
        runs = sorted({*parts, head_run})
        for run in runs:
            starts.append(num_rows)
            for rows in parts.pop(run, []):
                batches.append(rows)
                num_rows += rows.num_rows
            if run == head_run:
                # Equal rows stand in the order of their runs, so this is the place of the next block's first row.
                head_row = num_rows
                keys = [self._keys_of(rows) for rows in batches] + [head]
            elif run > head_run:
                keys += [self._keys_of(rows) for rows in batches[len(keys) - 1 :]]
        order = self._order.order(joined(keys, context), context)
        rows = joined(batches, context)
        place = int(xp.flatnonzero(order == head_row)[0])
        order -= order > head_row
        later = xp.sort(order[place + 1 :])
        kept = with_own_strings(gathered(rows, later, context), context)
        bounds = [*xp.searchsorted(later, xp.asarray(starts)).tolist(), len(later)]
        for run, start, stop in zip(runs, bounds[:-1], bounds[1:], strict=True):
            if stop > start:
                begun[run] = kept.slice(start, stop)
        return rows, order[:place]

    def _keys_of(self, rows: Batch) -> Batch:
        return Batch({key: rows.columns[key] for key in self._order.key_ids}, rows.num_rows)
