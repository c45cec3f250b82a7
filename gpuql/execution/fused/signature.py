"""The physical form of a pipeline's inputs: equal forms lower to the same program."""

from __future__ import annotations

from collections.abc import Hashable

from gpuql.columnar.column import Column
from gpuql.execution.fanout import probe_fanout
from gpuql.execution.fused.arguments import Inputs
from gpuql.operators.contract import JoinTable
from gpuql_planner.physical.nodes import HashJoinProbe, Pipeline


def inputs_signature(pipeline: Pipeline, inputs: Inputs) -> Hashable:
    """Everything that lowering looks at, but for what programs take as run-time arguments."""
    columns = tuple((key, _column(column)) for key, column in inputs.batch.columns.items())
    tables = tuple(
        (transform.build, *_table_and_fanout(inputs.table(transform.build), transform))
        for transform in pipeline.transforms
        if isinstance(transform, HashJoinProbe)
    )
    return inputs.batch.num_rows, columns, tables


def named_objects(pipeline: Pipeline, inputs: Inputs) -> tuple[object, ...]:
    """What the signature names by id: the same form of other objects is another form."""
    batches = [inputs.batch]
    found: list[object] = []
    for transform in pipeline.transforms:
        if isinstance(transform, HashJoinProbe):
            table = inputs.table(transform.build)
            batches.append(table.payload)
            found.extend(key.distinct for key in table.encoding.columns if key.distinct is not None)
    columns = (column for batch in batches for column in batch.columns.values())
    found.extend(column.strings for column in columns if column.strings is not None)
    return tuple(found)


def _table_and_fanout(table: JoinTable, probe: HashJoinProbe) -> tuple[Hashable, int]:
    """Output buffers leave room for the fanout, so a program is not used again for a larger one."""
    return _table(table), probe_fanout(table, probe)


def _column(column: Column) -> Hashable:
    strings = None if column.strings is None else id(column.strings)
    return column.form, column.validity is None, strings, column.bounds


def _table(table: JoinTable) -> Hashable:
    index = table.index
    keys = tuple(
        (None if key.distinct is None else id(key.distinct), key.null_code >= 0)
        for key in table.encoding.columns
    )
    payload = tuple((key, _column(column)) for key, column in table.payload.columns.items())
    form = (index.slot_keys is None, index.first is None, str(getattr(index.first, "dtype", "")))
    size = (table.num_rows, index.num_keys)
    filters = tuple(one is None for one in table.filters)
    return (
        keys,
        table.encoding.packable,
        payload,
        form,
        size,
        table.has_null_key,
        table.matched is None,
        filters,
    )
