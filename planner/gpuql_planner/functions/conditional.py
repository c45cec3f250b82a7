"""CASE and the functions that are shorthand for it."""

from __future__ import annotations

from collections.abc import Sequence

from gpuql_planner.functions.coercion import coerce, is_null_literal, settled, unified_type, unify
from gpuql_planner.functions.comparison import as_condition, make_comparison
from gpuql_planner.logical.expressions import Call, Case, Expression, Literal
from gpuql_planner.types import NULL, VARCHAR


def make_case(
    branches: Sequence[tuple[Expression, Expression]], otherwise: Expression | None = None
) -> Expression:
    """Searched CASE; a missing ELSE is NULL. All values take one type."""
    last = Literal(None, NULL) if otherwise is None else otherwise
    dtype = unified_type([last, *(value for _, value in branches)], construct="CASE")
    pairs = tuple((as_condition(condition), coerce(value, dtype)) for condition, value in branches)
    return Case(pairs, coerce(last, dtype), dtype)


def make_simple_case(
    operand: Expression, branches: Sequence[tuple[Expression, Expression]], otherwise: Expression | None
) -> Expression:
    """``CASE operand WHEN value THEN ...``, as comparisons with the operand."""
    conditions = [(make_comparison("eq", operand, value), result) for value, result in branches]
    return make_case(conditions, otherwise)


def make_coalesce(arguments: Sequence[Expression]) -> Expression:
    """First argument that is not NULL."""
    dtype, values = unify(arguments, construct="COALESCE")
    values = tuple(value for value in values if not is_null_literal(value)) or values[:1]
    if len(values) > 1:
        return Call("coalesce", values, dtype)
    return values[0] if len(arguments) == 1 else settled(values[0])


def make_extremum(name: str, arguments: Sequence[Expression]) -> Expression:
    """``greatest`` or ``least``: NULL arguments are ignored."""
    dtype, values = unify(arguments, construct=name.upper())
    return settled(values[0]) if len(values) == 1 else Call(name, values, dtype)


def make_nullif(left: Expression, right: Expression) -> Expression:
    """``left``, or NULL where both are equal; keeps the type of ``left``."""
    condition = make_comparison("eq", left, right)
    dtype = VARCHAR if left.dtype == NULL and right.dtype == VARCHAR else left.dtype
    return Case(((condition, Literal(None, dtype)),), coerce(left, dtype), dtype)


def make_if(condition: Expression, value: Expression, otherwise: Expression) -> Expression:
    """``if(condition, value, otherwise)``."""
    return make_case([(condition, value)], otherwise)
