"""Which rows of a sorted table the joins of a pipeline can match: found in the build keys, so that no others are read.

A fact table is often stored by date, and a filter on the dates it is joined with leaves a range of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.columnar.compressed import FrameOfReferenceColumn, RunLengthColumn
from gpuql.operators.contract import JoinTable, SinkResult
from gpuql_planner.logical.expressions import AttributeRef, Call, Expression
from gpuql_planner.logical.nodes import JoinKind
from gpuql_planner.logical.visit import compares_column_with_constant
from gpuql_planner.physical.nodes import FilterExec, HashJoinProbe, Pipeline, ProjectExec, TableScan
from gpuql_planner.types import TypeId


def reachable_rows(pipeline: Pipeline, source: Batch, results: Mapping[int, SinkResult]) -> tuple[int, int]:
    """Start and stop of the source rows outside of which some INNER or SEMI join finds nothing.

    Looks at joins by a column that the table is sorted by, up to the first step that could notice a missing row: one
    that may raise an error, or that remembers which build rows were matched.
    """
    start, stop = 0, source.num_rows
    scan = pipeline.source
    if not isinstance(scan, TableScan):
        return start, stop
    names = {attribute.id: name for attribute, name in scan.columns}
    for transform in pipeline.transforms:
        match transform:
            case FilterExec(predicates=predicates) if all(map(_raises_nothing, predicates)):
                continue
            case ProjectExec(expressions=items) if all(isinstance(e, AttributeRef) for _, e in items):
                continue
            case HashJoinProbe(kind=JoinKind.INNER | JoinKind.SEMI, residual=()):
                table = results.get(transform.build)
                if not isinstance(table, JoinTable):
                    return start, stop
            case _:
                return start, stop
        for position, key in enumerate(transform.probe_keys):
            if not isinstance(key, AttributeRef):
                return start, stop
            name = names.get(key.attribute.id)
            if name is None or position in transform.null_safe or not scan.table.statistics(name).sorted:
                continue
            keys = _range(table.keys[position]) if position < len(table.keys) else None
            column = source.columns[key.attribute.id]
            if keys is not None and column.validity is None and _is_plain_integer(column):
                first, last = _rows_between(column, *keys)
                start, stop = max(start, first), min(stop, last)
    return start, max(start, stop)


def _raises_nothing(predicate: Expression) -> bool:
    return (
        isinstance(predicate, Call)
        and predicate.function in ("eq", "ne", "lt", "le", "gt", "ge")
        and compares_column_with_constant(predicate.arguments)
    )


def _is_plain_integer(column: Column) -> bool:
    return (column.dtype.is_integer or column.dtype.id is TypeId.DATE) and column.form[1] == 1


def _range(keys: Column) -> tuple[int, int] | None:
    """Smallest and largest key; None if they are no integers, or none is there."""
    if not _is_plain_integer(keys):
        return None
    values = keys.values if keys.validity is None else keys.values[keys.validity]
    return (int(values.min()), int(values.max())) if len(values) else None


def _rows_between(column: Column, low: int, high: int) -> tuple[int, int]:
    """Start and stop of the rows of an ascending column whose values are between ``low`` and ``high``."""
    if isinstance(column, RunLengthColumn):
        ends = np.concatenate((np.zeros(1, np.int64), column.run_ends))
        first = bisect_left(column.run_values, low, key=int)
        return int(ends[first]), int(ends[bisect_right(column.run_values, high, key=int)])
    if isinstance(column, FrameOfReferenceColumn):
        stored, reference = column.offsets, column.reference
    else:
        stored, reference = column.values, 0
    rows = range(len(stored))
    first = bisect_left(rows, low, key=lambda row: int(stored[row]) + reference)
    return first, bisect_right(rows, high, key=lambda row: int(stored[row]) + reference)
