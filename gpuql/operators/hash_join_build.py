"""Build side of a hash join: keep rows and index them by packed key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array
from gpuql.columnar.concat import concat_batches
from gpuql.expressions.evaluate import evaluate
from gpuql.operators.contract import JoinTable, KeyEncoding, RunContext
from gpuql.operators.key_filters import key_filters
from gpuql.operators.keys import encode_build
from gpuql_kernels.hash_table.contract import JoinIndex
from gpuql_planner.logical.expressions import AttributeRef
from gpuql_planner.physical.nodes import HashJoinBuild


@dataclass(eq=False)
class BuildState:
    """Batches of one worker: payload columns under their ids, computed keys under -1, -2 and so on."""

    batches: list[tuple[int, Batch]] = field(default_factory=list)


class HashJoinBuildOperator:
    """Runs a :class:`HashJoinBuild`."""

    def __init__(self, node: HashJoinBuild) -> None:
        self._node = node
        self._needed = {attribute.id for attribute in node.payload} | {
            key.attribute.id for key in node.keys if isinstance(key, AttributeRef)
        }

    def new_state(self, context: RunContext) -> BuildState:
        """No batches."""
        return BuildState()

    def consume(self, state: BuildState, batch: Batch, sequence: int, context: RunContext) -> None:
        """Keep the payload and the keys; keys that are plain columns are kept once."""
        columns = {key: batch.columns[key] for key in self._needed}
        for position, key in enumerate(self._node.keys):
            if not isinstance(key, AttributeRef):
                columns[-1 - position] = evaluate(key, batch, context)
        state.batches.append((sequence, Batch(columns, batch.num_rows)))

    def combine(self, states: list[BuildState], context: RunContext) -> JoinTable:
        """Join the batches, encode the keys and index them."""
        xp = context.xp
        ordered = sorted((item for state in states for item in state.batches), key=lambda item: item[0])
        batches = [batch for _, batch in ordered]
        filled = [batch for batch in batches if batch.num_rows] or batches[:1]
        rows = concat_batches(filled, xp=xp)
        matched = xp.zeros(rows.num_rows, bool)
        if not filled:
            no_keys = KeyEncoding((), (), packable=False)
            return JoinTable(
                rows, no_keys, _no_index(context), has_null_key=False, num_rows=0, matched=matched
            )
        payload = rows.select(self._node.payload)
        if not self._node.keys:
            encoding = KeyEncoding((), (), packable=False)
            return JoinTable(
                payload,
                encoding,
                _no_index(context),
                has_null_key=False,
                num_rows=rows.num_rows,
                matched=matched,
            )
        keys = [
            rows.columns[key.attribute.id if isinstance(key, AttributeRef) else -1 - position]
            for position, key in enumerate(self._node.keys)
        ]
        encoding, packed, valid = encode_build(keys, self._node.null_safe, context)
        kernel = context.kernels.hash_table
        has_null = valid is not None and not bool(valid.all())
        rows_of_keys = None
        if has_null:
            rows_of_keys = xp.flatnonzero(valid)
            packed = packed[rows_of_keys]
        if self._node.existence_only:
            packed, rows_of_keys = distinct_keys(xp, packed), None
        index = kernel.build(packed) if rows_of_keys is None else kernel.build(packed, rows_of_keys)
        filters = key_filters(encoding, index, packed, xp)
        return JoinTable(
            payload, encoding, index, has_null, rows.num_rows, matched, keys=tuple(keys), filters=filters
        )

    def is_full(self, states: list[BuildState]) -> bool:
        """Never: every row counts."""
        return False


def distinct_keys(xp: Any, packed: Array) -> Array:
    """Each key once, where marking them in a table is cheap: to know a key exists, its rows need not be sorted."""
    if len(packed) == 0:
        return packed
    low, high = int(packed.min()), int(packed.max())
    if high - low >= 8 * len(packed):
        return packed
    marks = xp.zeros(high - low + 1, bool)
    marks[packed - low] = True
    return xp.flatnonzero(marks) + low


def _no_index(context: RunContext) -> JoinIndex:
    index: JoinIndex = context.kernels.hash_table.build(context.xp.zeros(0, context.xp.int64))
    return index
