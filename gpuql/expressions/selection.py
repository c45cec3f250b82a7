"""Evaluation on some of the rows: which rows pass predicates, and expressions that only some rows need."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.expressions import evaluate as evaluation
from gpuql.expressions.vectors import EvaluationContext, expand
from gpuql.thresholds import GATHER_BELOW
from gpuql_planner.errors import DataError
from gpuql_planner.logical.expressions import AttributeRef, Call, Expression
from gpuql_planner.logical.visit import children


def referenced_attributes(expressions: Iterable[Expression]) -> set[int]:
    """Ids of the attributes that expressions read."""
    found: set[int] = set()
    pending = list(expressions)
    while pending:
        expression = pending.pop()
        if isinstance(expression, AttributeRef):
            found.add(expression.attribute.id)
        else:
            pending.extend(children(expression))
    return found


def gather(batch: Batch, rows: Array, expressions: Iterable[Expression]) -> Batch:
    """Only ``rows`` of the columns that ``expressions`` read."""
    needed = referenced_attributes(expressions)
    return Batch({key: batch.columns[key].take(rows) for key in needed if key in batch.columns}, len(rows))


def evaluate_where(expression: Expression, batch: Batch, mask: Array, context: EvaluationContext) -> Column:
    """Value at least for the rows of ``mask`` (bool, all rows of the batch); other rows hold anything.

    Errors of rows outside the mask are not raised: if evaluating all rows fails, only those needed are evaluated.
    """
    xp = context.xp
    needed = int(xp.count_nonzero(mask))
    if needed == batch.num_rows:
        return evaluation.evaluate_operand(expression, batch, context)
    if needed * GATHER_BELOW >= batch.num_rows:
        try:
            return evaluation.evaluate_operand(expression, batch, context)
        except DataError:
            pass  # raised again below if it concerns a row of the mask
    rows = xp.flatnonzero(mask)
    if needed == 0:
        return evaluation.null_of(expression.dtype, context)
    part = expand(
        xp, evaluation.evaluate_operand(expression, gather(batch, rows, (expression,)), context), needed
    )
    return scatter(xp, part, rows, batch.num_rows)


def scatter(xp: object, part: Column, rows: Array, num_rows: int) -> Column:
    """A column of ``num_rows`` rows holding ``part`` at ``rows``; elsewhere its first row."""
    positions = xp.zeros(num_rows, xp.int64)  # type: ignore[attr-defined]
    positions[rows] = xp.arange(len(rows))  # type: ignore[attr-defined]
    return part.take(positions)


def true_mask(column: Column) -> Array:
    """Rows that are true, neither false nor NULL. One row long for a constant."""
    return column.values if column.validity is None else column.values & column.validity


def conjuncts(predicates: Sequence[Expression]) -> Iterator[Expression]:
    """Predicates with nested ANDs taken apart, in order."""
    for predicate in predicates:
        if isinstance(predicate, Call) and predicate.function == "and":
            yield from conjuncts(predicate.arguments)
        else:
            yield predicate


def select_rows(predicates: Sequence[Expression], batch: Batch, context: EvaluationContext) -> Array | None:
    """Positions (ascending int64) of rows for which every predicate is true; None if all rows are.

    Predicates are evaluated in order; a row that one of them rejects raises no error in a later one.
    """
    if batch.num_rows == 0:
        return None
    xp = context.xp
    mask: Array | None = None  # rows of ``rows`` (or of the batch) still in
    rows: Array | None = None  # positions kept so far, None for all
    current = batch
    pending = list(conjuncts(predicates))
    for index, predicate in enumerate(pending):
        if mask is None:
            result = true_mask(evaluation.evaluate_operand(predicate, current, context))
        else:
            result = true_mask(evaluate_where(predicate, current, mask, context))
        if len(result) == 1 and current.num_rows != 1:
            if bool(result[0]):
                continue
            return xp.zeros(0, xp.int64)
        mask = result if mask is None else mask & result
        kept = int(xp.count_nonzero(mask))
        if kept == 0:
            return xp.zeros(0, xp.int64)
        if kept == current.num_rows:
            mask = None
            continue
        rest = pending[index + 1 :]
        if rest and kept * GATHER_BELOW < current.num_rows:
            chosen = xp.flatnonzero(mask)
            rows = chosen if rows is None else rows[chosen]
            current = gather(current, chosen, rest)
            mask = None
    if mask is None:
        return rows
    chosen = xp.flatnonzero(mask)
    return chosen if rows is None else rows[chosen]
