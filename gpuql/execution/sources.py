"""Open a pipeline's source: the whole rows as one batch, which the executor cuts into morsels."""

from __future__ import annotations

from typing import Any, cast

from gpuql.columnar.batch import Batch
from gpuql.columnar.concat import concat_batches
from gpuql.columnar.construct import column_from_python, null_column
from gpuql.columnar.table import ReadableTable, ResidentTable
from gpuql.operators.contract import JoinTable, RowsResult, RunContext
from gpuql_planner.errors import InternalError
from gpuql_planner.physical.nodes import BuildScan, ResultScan, Source, TableScan, ValuesSource


def open_source(source: Source, context: RunContext) -> Batch:
    """All rows of a source under the plan's attributes.

    Errors: whatever the table's reader raises.
    """
    match source:
        case TableScan():
            return _scan(source)
        case ValuesSource():
            columns = {
                attribute.id: column_from_python([row[position] for row in source.rows], attribute.dtype)
                for position, attribute in enumerate(source.attributes)
            }
            return Batch(columns, len(source.rows))
        case ResultScan():
            return _results(source, context)
        case BuildScan():
            return _build_rows(source, context)
    raise InternalError(f"source is not known to the executor: {type(source).__name__}")


def empty_source(source: Source, context: RunContext) -> Batch:
    """The source without its rows, but with types, encodings and dictionaries as far as they cost nothing to see."""
    if isinstance(source, TableScan):
        if isinstance(source.table, ResidentTable):
            return _scan(source).slice(0, 0)
        return empty_batch(source.outputs)
    return open_source(source, context).slice(0, 0)


def known_rows(source: Source) -> int | None:
    """Rows of the source as far as the plan knows them exactly."""
    match source:
        case TableScan():
            return source.table.num_rows
        case ValuesSource():
            return len(source.rows)
    return None


def _scan(source: TableScan) -> Batch:
    table = cast(ReadableTable, source.table)
    names = list(dict.fromkeys(name for _, name in source.columns))
    attribute_names = {attribute.id: name for attribute, name in source.columns}
    columns, num_rows = table.read(names, source.predicates, attribute_names)
    return Batch({attribute.id: columns[name] for attribute, name in source.columns}, num_rows)


def _results(source: ResultScan, context: RunContext) -> Batch:
    parts: list[Batch] = []
    for position, index in enumerate(source.pipelines):
        result = context.results[index]
        assert isinstance(result, RowsResult), "a ResultScan reads rows"
        for batch in result.batches:
            columns = {out.id: batch.columns[taken[position].id] for out, taken in source.columns}
            parts.append(Batch(columns, batch.num_rows))
    if not parts:
        return empty_batch(source.outputs)
    return concat_batches(parts, xp=context.xp)


def _build_rows(source: BuildScan, context: RunContext) -> Batch:
    table = context.results[source.build]
    assert isinstance(table, JoinTable), "a BuildScan reads a join table"
    assert table.matched is not None, "probes remember their matches"
    rows = context.xp.flatnonzero(table.matched if source.matched else ~table.matched)
    taken = table.payload.select(source.build_attributes).take(rows)
    columns: dict[int, Any] = dict(taken.columns)
    for attribute in source.null_attributes:
        columns[attribute.id] = null_column(attribute.dtype, taken.num_rows, xp=context.xp)
    return Batch(columns, taken.num_rows)


def empty_batch(attributes: tuple[Any, ...]) -> Batch:
    """No rows of these attributes."""
    return Batch({a.id: null_column(a.dtype, 0) for a in attributes}, 0)
