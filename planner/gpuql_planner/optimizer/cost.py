"""What work costs, in the unit "one comparison of two numbers in one row". Relative weights, not times."""

from __future__ import annotations

from collections.abc import Sequence

from gpuql_planner.logical.expressions import Call, Case, Cast, Expression, InList
from gpuql_planner.logical.nodes import LogicalNode
from gpuql_planner.logical.visit import children
from gpuql_planner.optimizer.cardinality import selectivity
from gpuql_planner.thresholds import (
    DATE_PART_COST,
    DIVISION_COST,
    PATTERN_COST,
    REGULAR_EXPRESSION_COST,
    STRING_COST,
)
from gpuql_planner.types import TypeId

_FUNCTION_COST: dict[str, float] = {
    "like": PATTERN_COST,
    "like_escape": PATTERN_COST,
    "ilike": PATTERN_COST,
    "contains": PATTERN_COST,
    "regexp_matches": REGULAR_EXPRESSION_COST,
    "regexp_full_match": REGULAR_EXPRESSION_COST,
    "regexp_replace": REGULAR_EXPRESSION_COST,
    "regexp_extract": REGULAR_EXPRESSION_COST,
    "divide": DIVISION_COST,
    "integer_divide": DIVISION_COST,
    "modulo": DIVISION_COST,
    "year": DATE_PART_COST,
    "month": DATE_PART_COST,
    "day": DATE_PART_COST,
    "date_trunc": DATE_PART_COST,
    "and": 0.1,
    "or": 0.1,
    "not": 0.1,
}


def expression_cost(expression: Expression) -> float:
    """Cost of evaluating ``expression`` for one row."""
    total = sum(map(expression_cost, children(expression)))
    if isinstance(expression, Call):
        strings = any(argument.dtype.id is TypeId.VARCHAR for argument in expression.arguments)
        return total + _FUNCTION_COST.get(expression.function, STRING_COST if strings else 1.0)
    if isinstance(expression, Cast):
        text = TypeId.VARCHAR in (expression.dtype.id, expression.argument.dtype.id)
        return total + (PATTERN_COST if text else 0.5)
    if isinstance(expression, InList):
        strings = expression.argument.dtype.id is TypeId.VARCHAR
        return total + len(expression.options) * (STRING_COST if strings else 1.0)
    return total + (1.0 if isinstance(expression, Case) else 0.0)


def evaluation_order(
    predicates: Sequence[Expression], inputs: Sequence[LogicalNode]
) -> tuple[Expression, ...]:
    """Predicates by rank ``(selectivity - 1) / cost``: cheap and selective first; equal ranks keep their order.

    Source: Hellerstein and Stonebraker, "Predicate Migration" (SIGMOD 1993).
    """
    if len(predicates) < 2:
        return tuple(predicates)
    unique = dict.fromkeys(predicates)

    def rank(predicate: Expression) -> float:
        return (selectivity((predicate,), inputs) - 1.0) / max(expression_cost(predicate), 0.1)

    return tuple(sorted(unique, key=rank))
