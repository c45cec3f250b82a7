"""Arguments of a program, and where each comes from at run time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql.operators.contract import JoinTable, SinkResult
from gpuql_kernels.codegen import program as ir
from gpuql_planner.logical.expressions import Expression


@dataclass(frozen=True, eq=False)
class Inputs:
    """What bindings read: the source rows, the results of earlier pipelines, and columns computed ahead.

    ``evaluate`` interprets an expression over all source rows; what it gave in this run is kept in ``computed``.
    ``rows`` are start and stop of the source rows that matter, if not all do (see ``reachable_rows``).
    ``is_part`` says that the rows, or those of a join table, are a part of all, and gone after this run.
    """

    batch: Batch
    results: dict[int, SinkResult]
    evaluate: Callable[[Expression, Batch], Column]
    computed: dict[int, Column] = field(default_factory=dict)
    is_part: bool = False
    rows: tuple[int, int] | None = None

    def compute(self, expression: Expression) -> Column:
        """Value of ``expression`` for every source row."""
        column = self.computed.get(id(expression))
        if column is None:
            column = self.computed[id(expression)] = self.evaluate(expression, self.batch)
        return column

    def table(self, build: int) -> JoinTable:
        """Join table left by pipeline ``build``."""
        table = self.results[build]
        assert isinstance(table, JoinTable), "a probe reads a join table"
        return table


Binding = Callable[[Inputs], Any]


class ArgumentList:
    """Collects arguments; asking twice for the same ``key`` gives the same position."""

    def __init__(self) -> None:
        self.arguments: list[ir.Argument] = []
        self.bindings: list[Binding] = []
        self._positions: dict[Any, int] = {}

    def add(self, key: Any, kind: str, dtype: str, binding: Binding) -> int:
        """Position of the argument known by ``key``."""
        position = self._positions.get(key)
        if position is None:
            position = len(self.arguments)
            self._positions[key] = position
            self.arguments.append(ir.Argument(kind, dtype))
            self.bindings.append(binding)
        return position

    def position(self, key: Any) -> int | None:
        """Position of the argument known by ``key``, if there is one."""
        return self._positions.get(key)

    def scalar(self, value: float, dtype: str) -> int:
        """A constant of the plan, passed as a NumPy scalar so that its type never depends on its value."""
        bound = np.dtype(dtype).type(value)
        return self.add(("scalar", dtype, value), "scalar", dtype, lambda _: bound)

    def array(self, key: Any, values: Any) -> int:
        """A constant array of the plan."""
        return self.add(key, "array", str(values.dtype), lambda _: values)


def padded(values: Any, xp: Any) -> Any:
    """The array, or one zero if it is empty: an unmatched outer row still reads position 0."""
    return values if len(values) else xp.zeros((1, *values.shape[1:]), values.dtype)
