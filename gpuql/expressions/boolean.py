"""AND, OR, NOT, IS [NOT] NULL, COALESCE, GREATEST, LEAST under three-valued logic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.expressions import bounds as ranges
from gpuql.expressions import evaluate as evaluation
from gpuql.expressions.blend import blend
from gpuql.expressions.comparison import compare
from gpuql.expressions.selection import evaluate_where
from gpuql.expressions.vectors import (
    EvaluationContext,
    declared_bounds,
    expand,
    match_length,
)
from gpuql_planner.logical.expressions import Call
from gpuql_planner.types import BOOLEAN, DataType


def _connective(call: Call, batch: Batch, context: EvaluationContext, *, is_or: bool) -> Column:
    """AND or OR of any number of arguments; rows already decided raise no error in later arguments."""
    xp = context.xp
    true: Array = xp.full(1, not is_or, bool)  # rows where all (AND) or any (OR) so far are true
    false: Array = xp.full(1, is_or, bool)
    for argument in call.arguments:
        decided = true if is_or else false
        if len(decided) == 1 and bool(decided[0]):
            break
        if len(decided) == 1:
            value = evaluation.evaluate_operand(argument, batch, context)
        else:
            value = evaluate_where(argument, batch, ~decided, context)
        is_true = value.values
        if value.validity is None:
            is_false = ~is_true
        else:
            is_false = ~is_true & value.validity
            is_true = is_true & value.validity
        if is_or:
            true, false = true | is_true, false & is_false
        else:
            # Rows decided false keep that whatever garbage a restricted evaluation left in them.
            true, false = true & is_true, false | is_false
    known = true | false
    if not bool(known.all()):
        return Column(BOOLEAN, *xp.broadcast_arrays(true, known))
    return Column(BOOLEAN, true)


def logical_and(call: Call, batch: Batch, context: EvaluationContext) -> Column:
    """False if any argument is false, else NULL if any is NULL, else true."""
    return _connective(call, batch, context, is_or=False)


def logical_or(call: Call, batch: Batch, context: EvaluationContext) -> Column:
    """True if any argument is true, else NULL if any is NULL, else false."""
    return _connective(call, batch, context, is_or=True)


def coalesce(call: Call, batch: Batch, context: EvaluationContext) -> Column:
    """First argument that is not NULL; later ones are evaluated only for rows that need them."""
    xp = context.xp
    result = evaluation.evaluate_operand(call.arguments[0], batch, context)
    for argument in call.arguments[1:]:
        if result.validity is None:
            break
        missing = ~result.validity
        if len(missing) == 1:
            if not bool(missing[0]):
                break
            result = evaluation.evaluate_operand(argument, batch, context)
            continue
        if not bool(missing.any()):
            break
        value = evaluate_where(argument, batch, missing, context)
        result = blend(xp, call.type, [(missing, value)], result, len(missing))
    return result


def _extreme(function: str) -> Callable[..., Column]:
    comparison = "gt" if function == "greatest" else "lt"
    propagate = ranges.maximum if function == "greatest" else ranges.minimum

    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        xp = context.xp
        num_rows = max(len(argument.values) for argument in arguments)
        if any(len(argument.values) == 0 for argument in arguments):
            num_rows = 0
        result = expand(xp, arguments[0], num_rows)
        for argument in arguments[1:]:
            better = _valid(xp, argument, num_rows) & (
                compare(comparison, argument, result, context) | ~_valid(xp, result, num_rows)
            )
            known = None
            if result.bounds is not None and argument.bounds is not None:
                known = ranges.union(
                    propagate(declared_bounds(result), declared_bounds(argument)),
                    ranges.union(result.bounds, argument.bounds),
                )
            blended = blend(xp, dtype, [(better, argument)], result, num_rows)
            result = Column(dtype, blended.values, blended.validity, blended.strings, known)
        return result

    return apply


def _valid(xp: Any, column: Column, num_rows: int) -> Array:
    if column.validity is None:
        return xp.ones(num_rows, bool)
    return match_length(xp, column.validity, num_rows)


def logical_not(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """True for false, false for true."""
    return Column(BOOLEAN, ~arguments[0].values, arguments[0].validity)


def is_null(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """IS NULL."""
    validity = arguments[0].validity
    return Column(BOOLEAN, context.xp.zeros(1, bool) if validity is None else ~validity)


def is_not_null(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """IS NOT NULL."""
    validity = arguments[0].validity
    return Column(BOOLEAN, context.xp.ones(1, bool) if validity is None else validity)


FUNCTIONS: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {"not": logical_not}

#: Functions that see NULL arguments.
NULL_AWARE: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    "is_null": is_null,
    "is_not_null": is_not_null,
    "greatest": _extreme("greatest"),
    "least": _extreme("least"),
}

#: Functions that decide themselves which arguments to evaluate on which rows.
SPECIAL: dict[str, Callable[[Call, Batch, EvaluationContext], Column]] = {
    "and": logical_and,
    "or": logical_or,
    "coalesce": coalesce,
}
