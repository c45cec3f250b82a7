"""Recursive WITH: the pipelines of a step run again and again until they give no rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuql.columnar.batch import Batch
from gpuql.columnar.concat import concat_batches
from gpuql.memory.row_store import RowStore
from gpuql.operators.contract import RowsResult, RunContext
from gpuql.thresholds import RECURSION_BATCHES
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.physical.nodes import CollectSink, Loop, PhysicalPlan


class LoopRun:
    """One run of a :class:`Loop`.

    All rows so far stand in ``results[loop.total]``, those of the last round in ``results[loop.working]``, both in
    stores of the query's memory. They are found there anew each time: a query that leaves its device takes them along.
    """

    def __init__(self, plan: PhysicalPlan, loop: Loop, context: Callable[[], RunContext]) -> None:
        self._loop, self._context = loop, context
        self._step_outputs = loop.step_outputs
        self._total_attributes = _collected(plan, loop.total)
        self._working_attributes = _collected(plan, loop.working)
        self._round = 0

    def run(self, run_body: Callable[[], None]) -> None:
        """Leave all rows as the result of pipeline ``loop.result``; ``run_body`` runs the step once."""
        loop = self._loop
        results = self._context().results
        for index in (loop.working, loop.total):  # places without rows, or what a loop around this one left
            results[index] = RowsResult([])
        self._take(loop.anchor, loop.anchor_outputs)
        while self._goes_on():
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
        results[loop.result] = results.pop(loop.total)

    def _goes_on(self) -> bool:
        results, limit = self._context().results, self._loop.limit
        if results[self._loop.working].num_rows == 0:
            return False
        return limit is None or results[self._loop.total].num_rows < limit

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
