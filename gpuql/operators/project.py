"""Project: exactly the listed attributes, passed through or computed."""

from __future__ import annotations

from gpuql.columnar.batch import Batch
from gpuql.expressions.evaluate import evaluate
from gpuql.operators.contract import RunContext
from gpuql_planner.physical.nodes import ProjectExec


class ProjectOperator:
    """Runs a :class:`ProjectExec`."""

    def __init__(self, node: ProjectExec) -> None:
        self._expressions = node.expressions

    def process(self, batch: Batch, context: RunContext) -> Batch:
        """One column for each expression."""
        columns = {
            attribute.id: evaluate(expression, batch, context) for attribute, expression in self._expressions
        }
        return Batch(columns, batch.num_rows)
