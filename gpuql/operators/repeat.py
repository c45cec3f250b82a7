"""Repeat: each row as often as an expression says."""

from __future__ import annotations

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.expressions.evaluate import evaluate
from gpuql.operators.contract import RunContext
from gpuql_planner.physical.nodes import RepeatExec


class RepeatOperator:
    """Runs a :class:`RepeatExec`."""

    def __init__(self, node: RepeatExec) -> None:
        self._count = node.count

    def process(self, batch: Batch, context: RunContext) -> Batch:
        """Rows with copies next to each other; a count that is NULL, zero or negative drops the row."""
        xp = context.xp
        count = evaluate(self._count, batch, context)
        times = xp.maximum(count.values.astype(xp.int64), 0)
        if count.validity is not None:
            times = xp.where(count.validity, times, 0)
        return batch.take(repeat_rows(xp, times))


def repeat_rows(xp: object, times: object) -> object:
    """Row numbers 0, 1, … each as often as ``times`` (int64) says."""
    if xp is np:
        return np.repeat(np.arange(len(times)), times)  # type: ignore[arg-type,call-overload]
    # CuPy repeats by a scalar only: find the row of each output position instead.
    ends = xp.cumsum(times)  # type: ignore[attr-defined]
    total = int(ends[-1]) if len(ends) else 0
    return xp.searchsorted(ends, xp.arange(total), side="right")  # type: ignore[attr-defined]
