"""Open a pipeline's source: its rows as one batch if memory has room for that, else in parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, cast

import numpy as np

from gpuql.catalog.kept_files import KeptFileTable
from gpuql.columnar.batch import Batch
from gpuql.columnar.concat import concat_batches
from gpuql.columnar.construct import column_from_python, null_column
from gpuql.columnar.parts import batch_size
from gpuql.columnar.table import ReadableTable, ResidentTable
from gpuql.memory.query_memory import QueryMemory
from gpuql.memory.row_store import RowStore
from gpuql.operators.contract import MATCHED, JoinTable, PartitionedBuild, RowsResult, RunContext
from gpuql.thresholds import INTO_TABLE_PART_BYTES
from gpuql_planner.errors import InternalError
from gpuql_planner.physical.nodes import BuildScan, ResultScan, Source, TableScan, ValuesSource


def open_source(source: Source, context: RunContext) -> Iterator[Batch]:
    """The rows of a source under the plan's attributes, in order: at least one batch, each to be cut into morsels.

    Errors: whatever the table's reader raises.
    """
    match source:
        case TableScan():
            return _scan(source, context)
        case ValuesSource():
            columns = {
                attribute.id: column_from_python([row[position] for row in source.rows], attribute.dtype)
                for position, attribute in enumerate(source.attributes)
            }
            return iter((Batch(columns, len(source.rows)),))
        case ResultScan():
            return _results(source, context)
        case BuildScan():
            return _build_rows(source, context)
    raise InternalError(f"source is not known to the executor: {type(source).__name__}")


def empty_source(source: Source, context: RunContext) -> Batch:
    """The source without its rows, but with types, encodings and dictionaries as far as they cost nothing to see."""
    if isinstance(source, TableScan):
        if isinstance(source.table, ResidentTable):
            rows = source.table.rows([name for _, name in source.columns], 0, 0)
            return Batch({attribute.id: rows[name] for attribute, name in source.columns}, 0)
        return empty_batch(source.outputs)
    return next(open_source(source, context)).slice(0, 0)


def known_rows(source: Source) -> int | None:
    """Rows of the source as far as the plan knows them exactly."""
    match source:
        case TableScan():
            return source.table.num_rows
        case ValuesSource():
            return len(source.rows)
    return None


def _scan(source: TableScan, context: RunContext) -> Iterator[Batch]:
    table = cast(ReadableTable, source.table)
    names = list(dict.fromkeys(name for _, name in source.columns))
    attribute_names = {attribute.id: name for attribute, name in source.columns}
    memory = context.host_memory
    pinned = None
    # What goes into a table is read once, and in parts, so that encoding one and reading the next go on side by side.
    if (
        isinstance(table, ResidentTable | KeptFileTable)
        and not memory.reads_in_parts
        and context.collector is None
    ):
        pinned = table.pin(names, memory.account.number, source.predicates, attribute_names)
    parts: Iterable[tuple[dict[str, Any], int]]
    if pinned is not None:
        memory.hold_pinned(pinned.handles)
        for column in pinned.columns.values():
            memory.mark_resident(column)
        parts = ((pinned.columns, pinned.num_rows),)
    elif _reads_whole(table, table.estimated_bytes(names), context):
        parts = (table.read(names, source.predicates, attribute_names),)
    else:
        parts = table.read_parts(
            names,
            source.predicates,
            attribute_names,
            part_bytes=memory.part_bytes if context.collector is None else _into_table_bytes(memory),
            try_reserve=partial(memory.try_reserve, owner="reading ahead"),
        )
    for columns, num_rows in parts:
        yield Batch({attribute.id: columns[name] for attribute, name in source.columns}, num_rows)


def _reads_whole(table: ReadableTable, num_bytes: int, context: RunContext) -> bool:
    """Whether rows are read at once: if a copy of them is nothing to memory."""
    memory = context.host_memory
    if isinstance(table, ResidentTable):
        return False
    return (
        memory.fits_whole(num_bytes) if context.collector is None else num_bytes <= _into_table_bytes(memory)
    )


def _into_table_bytes(memory: QueryMemory) -> int:
    """Bytes of a part of what goes into a table."""
    return min(memory.part_bytes, INTO_TABLE_PART_BYTES)


def _results(source: ResultScan, context: RunContext) -> Iterator[Batch]:
    results = []
    for index in source.pipelines:
        result = context.results[index]
        assert isinstance(result, RowsResult), "a ResultScan reads rows"
        results.append(result)
    whole = not any(isinstance(result.batches, RowStore) for result in results) or context.memory.fits_whole(
        sum(result.num_bytes for result in results)
    )
    parts: list[Batch] = []
    size = 0
    empty = True
    for position, result in enumerate(results):
        for batch in result:
            columns = {out.id: batch.columns[taken[position].id] for out, taken in source.columns}
            part = Batch(columns, batch.num_rows)
            part_bytes = batch_size(part).row_bytes
            if parts and not whole and size + part_bytes > context.memory.part_bytes:
                yield concat_batches(parts, xp=context.xp)
                empty = False
                parts, size = [], 0
            parts.append(part)
            size += part_bytes
    if parts:
        yield concat_batches(parts, xp=context.xp)
    elif empty:
        yield empty_batch(source.outputs, context.xp)


def _build_rows(source: BuildScan, context: RunContext) -> Iterator[Batch]:
    xp = context.xp
    table = context.results[source.build]
    if isinstance(table, JoinTable):
        assert table.matched is not None, "probes remember their matches"
        rows = xp.flatnonzero(table.matched if source.matched else ~table.matched)
        yield _with_nulls(source, table.payload, rows, context)
        return
    assert isinstance(table, PartitionedBuild), "a BuildScan reads what a build left"
    assert table.rest is not None, "probes keep the build rows"
    empty = True
    for batch in table.rest:
        matched = batch.columns[MATCHED].values
        yield _with_nulls(source, batch, xp.flatnonzero(matched if source.matched else ~matched), context)
        empty = False
    if empty:
        yield empty_batch(source.outputs, xp)


def _with_nulls(source: BuildScan, batch: Batch, rows: Any, context: RunContext) -> Batch:
    taken = batch.select(source.build_attributes).take(rows)
    columns: dict[int, Any] = dict(taken.columns)
    for attribute in source.null_attributes:
        columns[attribute.id] = null_column(attribute.dtype, taken.num_rows, xp=context.xp)
    return Batch(columns, taken.num_rows)


def empty_batch(attributes: tuple[Any, ...], xp: Any = np) -> Batch:
    """No rows of these attributes, in arrays of ``xp``."""
    return Batch({a.id: null_column(a.dtype, 0, xp=xp) for a in attributes}, 0)
