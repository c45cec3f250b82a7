"""State arrays of aggregating sinks: made, merged across workers, and turned into result columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.execution.fused.arguments import Inputs
from gpuql.execution.fused.lower import FusedPipeline
from gpuql_kernels.codegen import program as ir


@dataclass(frozen=True, eq=False)
class States:
    """State of all groups.

    ``arguments`` are the arrays that generated code takes; ``accumulators`` has one array per accumulator, of its own
    or a column of the interleaved table; ``keys`` is the part of a hash table that holds keys: (slots,), or
    (slots, words) if they take several.
    """

    arguments: list[Array]
    accumulators: list[Array]
    keys: Array | None = None


def identity(accumulator: ir.Accumulator) -> float | int:
    """Value that leaves any other unchanged; for "any" it is never looked at."""
    if accumulator.kind == "min":
        return 2**63 - 1 if accumulator.dtype == "int64" else float("nan")
    if accumulator.kind == "max":
        return -(2**63) if accumulator.dtype == "int64" else float("-inf")
    return 0


def new_arrays(accumulators: tuple[ir.Accumulator, ...], length: int, xp: Any) -> list[Array]:
    """State arrays of ``length`` groups that saw no row."""
    arrays = []
    for accumulator in accumulators:
        start = identity(accumulator)
        if start == 0:
            arrays.append(xp.zeros(length, accumulator.dtype))
        else:
            arrays.append(xp.full(length, start, accumulator.dtype))
    return arrays


def fold_replicas(sink: ir.GroupDense, states: list[Array], xp: Any) -> list[Array]:
    """One state per group from ``sink.copies`` states side by side."""
    if sink.copies == 1:
        return states
    columns = [state.reshape(-1, sink.copies) for state in states]
    folded = [xp.ascontiguousarray(column[:, 0]) for column in columns]
    for replica in range(1, sink.copies):
        merge(sink.accumulators, folded, [column[:, replica] for column in columns], slice(None), xp)
    return folded


def _minimum(left: Array, right: Array, xp: Any) -> Array:
    """Smaller of two, NaN being greater than all: ``fmin`` ignores NaN unless both are."""
    return xp.fmin(left, right) if left.dtype.kind == "f" else xp.minimum(left, right)


def any_presence(accumulators: tuple[ir.Accumulator, ...], position: int) -> int | None:
    """Position of the count that tells whether accumulator ``position`` ("any") saw a value; None if it always did."""
    wanted = accumulators[position]
    for candidate, accumulator in enumerate(accumulators):
        same_rows = accumulator.value is wanted.value or not (
            _may_be_null(wanted.value) or _may_be_null(accumulator.value)
        )
        if accumulator.kind in ("count", "seen") and same_rows and accumulator.filter is wanted.filter:
            return candidate
    return None


def _may_be_null(value: ir.Value | None) -> bool:
    return value is not None and value.nullable


def new_states(sink: ir.Reduce | ir.GroupDense | ir.GroupHash, length: int, xp: Any) -> States:
    """States of ``length`` groups, or slots, that saw no row."""
    if not isinstance(sink, ir.GroupHash):
        arrays = new_arrays(sink.accumulators, length, xp)
        return States(arrays, arrays)
    start: list[float | int] = [identity(accumulator) for accumulator in sink.accumulators]
    words = sink.key_words
    table = xp.zeros((length, sink.row_words), np.int64)
    floats = table.view(np.float64)
    table[:, :words] = -1
    columns = []
    for position, (accumulator, value) in enumerate(zip(sink.accumulators, start, strict=True), words):
        column = (floats if accumulator.dtype.startswith("float") else table)[:, position]
        if value != 0:
            column[...] = value
        columns.append(column)
    return States([table, floats], columns, table[:, 0] if words == 1 else table[:, :words])


def used_slots(keys: Array, xp: Any) -> Array:
    """Slots of a hash table that hold a group, ascending."""
    return xp.flatnonzero((keys if keys.ndim == 1 else keys[:, 0]) >= 0)


def merge(
    accumulators: tuple[ir.Accumulator, ...], into: list[Array], other: list[Array], slots: Any, xp: Any
) -> None:
    """Merge ``other[i][j]`` into ``into[i][slots[j]]``; ``slots`` are distinct positions, or ``slice(None)``."""
    for position, (accumulator, left, right) in enumerate(zip(accumulators, into, other, strict=True)):
        held = left[slots]
        if accumulator.kind == "min":
            held = _minimum(held, right, xp)
        elif accumulator.kind in ("max", "seen"):
            held = xp.maximum(held, right)
        elif accumulator.kind == "any":
            presence = any_presence(accumulators, position)
            held = right if presence is None else xp.where(other[presence] > 0, right, held)
        else:
            held = held + right
        left[slots] = held


def result_batch(
    fused: FusedPipeline, inputs: Inputs, packed: Array | None, states: list[Array], xp: Any
) -> Batch:
    """Rows of the aggregate: key columns from packed keys ((n,), or (n, words)), then the aggregates."""
    assert fused.aggregates is not None, "an aggregating sink"
    num_rows = 1 if packed is None else len(packed)
    columns: dict[int, Column] = {}
    if packed is not None:
        words = [packed] if packed.ndim == 1 else list(packed.T)
        for key in (key for key in fused.group_keys if not key.kept_value):
            columns[key.attribute.id] = key.column(words, xp)
    for attribute, assemble in zip(fused.aggregate_attributes, fused.aggregates.assemblers, strict=True):
        columns[attribute.id] = assemble(states, inputs, xp)
    return Batch(columns, num_rows)
