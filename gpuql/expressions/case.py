"""CASE: each branch is evaluated only as far as rows need it, so rows not taken raise no error."""

from __future__ import annotations

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.expressions import evaluate as evaluation
from gpuql.expressions.blend import blend
from gpuql.expressions.selection import evaluate_where, true_mask
from gpuql.expressions.vectors import EvaluationContext
from gpuql_planner.logical.expressions import Case


def evaluate_case(case: Case, batch: Batch, context: EvaluationContext) -> Column:
    """Value of the first branch whose condition is true, else of ``otherwise``."""
    xp = context.xp
    remaining: Array | None = None  # rows without a branch so far; None for all
    choices: list[tuple[Array, Column]] = []
    otherwise = case.otherwise
    for condition, value in case.branches:
        if remaining is None:
            taken = true_mask(evaluation.evaluate_operand(condition, batch, context))
        else:
            taken = true_mask(evaluate_where(condition, batch, remaining, context)) & remaining
        if len(taken) == 1 and batch.num_rows != 1:
            # A condition that is the same for all rows either never holds or ends the search.
            if not bool(taken[0]):
                continue
            otherwise = value
            break
        if not bool(taken.any()):
            continue
        choices.append((taken, evaluate_where(value, batch, taken, context)))
        remaining = ~taken if remaining is None else remaining & ~taken
        if not bool(remaining.any()):
            break
    if remaining is None:
        return evaluation.evaluate_operand(otherwise, batch, context)
    rest = evaluate_where(otherwise, batch, remaining, context)
    return blend(xp, case.type, choices, rest, batch.num_rows)
