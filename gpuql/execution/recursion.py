"""Recursive WITH: the pipelines of a step run again and again until they give no rows, or a LIMIT has enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gpuql.columnar.batch import Batch
from gpuql.columnar.concat import concat_batches
from gpuql.memory.row_store import RowStore
from gpuql.operators.contract import RowsResult, RunContext
from gpuql.thresholds import RECURSION_BATCHES
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.physical.loops import limited_reader
from gpuql_planner.physical.nodes import (
    CollectSink,
    LimitSink,
    Loop,
    PhysicalPlan,
    Pipeline,
    ResultScan,
)


class LoopRun:
    """One run of a :class:`Loop`.

    All rows so far stand in ``results[loop.total]``, those of the last round in ``results[loop.working]``, both in
    stores of the query's memory. They are found there anew each time: a query that leaves its device takes them along.

    Where a pipeline wants only the first rows (``limited_reader``) it runs on the rows of each round, up to its limit,
    and the loop ends once it has them: a recursion without an end is none then. What it made is what it reads later, so
    that it makes nothing twice.
    """

    def __init__(self, plan: PhysicalPlan, loop: Loop, context: Callable[[], RunContext]) -> None:
        self._loop, self._context = loop, context
        self._step_outputs = loop.step_outputs
        self._total_attributes = _collected(plan, loop.total)
        self._working_attributes = _collected(plan, loop.working)
        self._round = 0
        self._limited = _LimitedReader.of(plan, loop)

    def run(
        self, run_body: Callable[[], None], run_as: Callable[[int, Pipeline], None]
    ) -> dict[int, Pipeline]:
        """Leave the rows as the result of pipeline ``loop.result``; the pipelines to run in place of planned ones.

        ``run_body`` runs the step once, ``run_as`` runs a pipeline in the place of one.
        """
        loop, limited = self._loop, self._limited
        results = self._context().results
        if limited is not None and limited.runs:
            results[limited.slot] = RowsResult([])
        for index in (loop.working, loop.total):  # places without rows, or what a loop around this one left
            results[index] = RowsResult([])
        self._take(loop.anchor, loop.anchor_outputs)
        while self._goes_on(run_as):
            self._context().check_cancelled()
            run_body()
            self._take(loop.step, self._step_outputs)
            results = self._context().results
            for index in loop.body:
                done = results.pop(index, None)
                if done is not None:
                    done.close()
        results = self._context().results
        results.pop(loop.working).close()
        rows = results.pop(loop.total)
        if limited is None or not limited.runs:
            results[loop.result] = rows
            return {}
        rows.close()
        results[loop.result] = results.pop(limited.slot)
        return {limited.index: limited.last}

    def _goes_on(self, run_as: Callable[[int, Pipeline], None]) -> bool:
        context, loop, limited = self._context(), self._loop, self._limited
        last_round = context.results[loop.working]
        if limited is None:
            return last_round.num_rows > 0
        if not limited.runs:
            return last_round.num_rows > 0 and context.results[loop.total].num_rows < limited.needed
        if last_round.num_rows == 0:
            return False
        assert isinstance(last_round, RowsResult), "a round is rows"
        context.results[loop.result] = RowsResult(
            [_renamed(batch, self._working_attributes, limited.read) for batch in last_round]
        )
        run_as(limited.index, limited.each_round)
        return not limited.take(self._context())

    def _take(self, index: int, outputs: Sequence[Attribute]) -> None:
        """Make the rows of pipeline ``index`` the last round, and add them to all rows."""
        context = self._context()
        rows = context.results[index]
        total = context.results[self._loop.total]
        assert isinstance(rows, RowsResult), "a step ends in rows"
        assert isinstance(total, RowsResult), "all rows are rows"
        working = context.memory.new_store("recursion")
        all_rows = _store(total, context)
        for batch in rows:
            context.check_cancelled()
            if batch.num_rows or not len(working):
                working.append(_renamed(batch, outputs, self._working_attributes), self._round)
            if batch.num_rows or not len(all_rows):
                all_rows.append(_renamed(batch, outputs, self._total_attributes), self._round)
        self._round += 1
        all_rows.drop_empty()
        context.results[self._loop.working] = RowsResult(working)
        context.results[self._loop.total] = RowsResult(self._joined(all_rows, context))

    def _joined(self, rows: RowStore, context: RunContext) -> RowStore:
        """Many small rounds become one batch, so that reading all rows costs what they are and not how they came."""
        if len(rows) <= RECURSION_BATCHES or not context.memory.fits_whole(2 * rows.total_bytes):
            return rows
        batches = list(rows)
        if batches[0].num_rows * 2 > rows.num_rows and len(rows) <= 2 * RECURSION_BATCHES:
            return rows
        joined = context.memory.new_store("recursion")
        joined.append(concat_batches(batches, xp=context.xp), 0)
        rows.close()
        return joined


class _LimitedReader:
    """The pipeline that wants only the first rows of a loop, once ``needed`` rows.

    It ``runs`` on each round, as ``each_round``, unless it passes rows on as they are. What it made stands in the
    results under ``slot``, which no pipeline has, until ``last`` reads it in its place.
    """

    def __init__(
        self, index: int, reader: Pipeline, loop: Loop, loop_attributes: tuple[Attribute, ...]
    ) -> None:
        sink = reader.sink
        assert isinstance(sink, LimitSink), "the reader has a limit"
        assert sink.limit is not None, "the reader has a limit"
        self.index, self.slot = index, -1 - index
        self.read = loop_attributes
        self.needed = sink.limit + sink.offset
        self.runs = bool(reader.transforms)
        self.each_round = replace(reader, sink=LimitSink(sink.attributes, self.needed, 0))
        kept = ResultScan((loop.result,), tuple((a, (a,)) for a in sink.attributes))
        self.last = replace(reader, source=kept, transforms=())

    @classmethod
    def of(cls, plan: PhysicalPlan, loop: Loop) -> _LimitedReader | None:
        """The reader of a loop, if it has one."""
        index = limited_reader(plan.pipelines, loop)
        if index is None:
            return None
        return cls(index, plan.pipelines[index], loop, _collected(plan, loop.result))

    def take(self, context: RunContext) -> bool:
        """Keep what a round gave; whether there are enough rows."""
        made = context.results.pop(self.index)
        kept = context.results.pop(self.slot, RowsResult([]))
        assert isinstance(made, RowsResult), "a limit keeps rows"
        assert isinstance(kept, RowsResult), "a limit keeps rows"
        store = _store(kept, context)
        for batch in made:
            if batch.num_rows or not len(store):
                store.append(batch, len(store))
        store.drop_empty()
        made.close()
        context.results[self.slot] = RowsResult(store)
        return store.num_rows >= self.needed


def _store(result: RowsResult, context: RunContext) -> RowStore:
    if isinstance(result.batches, RowStore):
        return result.batches
    store = context.memory.new_store("recursion")
    for batch in result.batches:
        store.append(batch)
    return store


def _renamed(batch: Batch, taken: Sequence[Attribute], names: Sequence[Attribute]) -> Batch:
    columns = {name.id: batch.columns[origin.id] for name, origin in zip(names, taken, strict=True)}
    return Batch(columns, batch.num_rows)


def _collected(plan: PhysicalPlan, index: int) -> tuple[Attribute, ...]:
    sink = plan.pipelines[index].sink
    assert isinstance(sink, CollectSink), "rows of a recursion are collected"
    return sink.attributes
