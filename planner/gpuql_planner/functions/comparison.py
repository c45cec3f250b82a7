"""Comparisons, boolean connectives and NULL tests."""

from __future__ import annotations

from collections.abc import Sequence

from gpuql_planner.functions.coercion import coerce, is_string_literal, unified_type
from gpuql_planner.logical.expressions import Call, Expression, InList
from gpuql_planner.statement_errors import DatatypeMismatch
from gpuql_planner.types import BOOLEAN, INTERVAL, TIMESTAMP, VARCHAR, DataType, TypeId, decimal

COMPARISONS = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "is_distinct_from", "is_not_distinct_from"})

NEGATED_COMPARISONS = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}


def comparison_type(left: Expression, right: Expression) -> DataType:
    """Type in which two expressions are compared.

    A text column compared with a number is read as a number (DuckDB); with anything else it needs a cast.
    """
    types = (left.dtype, right.dtype)
    if left.dtype.is_enum or right.dtype.is_enum:
        return unified_type((left, right), construct="a comparison")
    if VARCHAR in types and not (is_string_literal(left) or is_string_literal(right)):
        other = types[1] if types[0] == VARCHAR else types[0]
        if other.is_numeric or other.id is TypeId.BOOLEAN:
            return other
        if other not in (VARCHAR, DataType(TypeId.NULL)):
            raise DatatypeMismatch(
                f"values cannot be compared: {types[0]} and {types[1]}",
                hint="add an explicit CAST to one side",
            )
    return _with_all_digits(unified_type((left, right), construct="a comparison"), (left, right))


def _with_all_digits(dtype: DataType, expressions: Sequence[Expression]) -> DataType:
    """A DECIMAL type with the largest scale of all sides: comparing must not round; values too large for it raise."""
    if not dtype.is_decimal:
        return dtype
    scale = max(e.dtype.scale for e in expressions)
    return decimal(dtype.width, scale) if scale > dtype.scale else dtype


def make_comparison(name: str, left: Expression, right: Expression) -> Expression:
    """``left <name> right`` with ``name`` one of :data:`COMPARISONS`, both sides cast to one type."""
    dtype = comparison_type(left, right)
    if left.dtype.id is TypeId.TIME and right.dtype == TIMESTAMP:
        raise DatatypeMismatch("values cannot be compared: TIME and TIMESTAMP")
    if dtype == INTERVAL and name not in COMPARISONS:
        raise DatatypeMismatch(f"intervals cannot be compared with {name}")
    return Call(name, (coerce(left, dtype), coerce(right, dtype)), BOOLEAN)


def make_in_list(argument: Expression, options: Sequence[Expression]) -> Expression:
    """``argument IN (options)``: all compared in one common type."""
    dtype = argument.dtype
    if any(each.dtype.is_enum for each in (argument, *options)):
        dtype = unified_type((argument, *options), construct="IN")
    elif dtype == VARCHAR and not is_string_literal(argument):
        others = [option for option in options if option.dtype not in (VARCHAR, DataType(TypeId.NULL))]
        for option in others:
            dtype = comparison_type(argument, option)
        if others:
            dtype = unified_type(others, construct="IN")
    else:
        dtype = _with_all_digits(unified_type((argument, *options), construct="IN"), (argument, *options))
    return InList(coerce(argument, dtype), tuple(coerce(option, dtype) for option in options))


def as_condition(expression: Expression) -> Expression:
    """``expression`` as a BOOLEAN, cast from numbers and text as DuckDB does."""
    return coerce(expression, BOOLEAN)


def make_and(conditions: Sequence[Expression]) -> Expression:
    """Conjunction of one or more conditions; nested conjunctions are flattened."""
    return _connective("and", conditions)


def make_or(conditions: Sequence[Expression]) -> Expression:
    """Disjunction of one or more conditions; nested disjunctions are flattened."""
    return _connective("or", conditions)


def _connective(name: str, conditions: Sequence[Expression]) -> Expression:
    flat: list[Expression] = []
    for condition in map(as_condition, conditions):
        if isinstance(condition, Call) and condition.function == name:
            flat.extend(condition.arguments)
        else:
            flat.append(condition)
    return flat[0] if len(flat) == 1 else Call(name, tuple(flat), BOOLEAN)


def make_not(condition: Expression) -> Expression:
    """Negation."""
    return Call("not", (as_condition(condition),), BOOLEAN)


def make_is_null(expression: Expression) -> Expression:
    """``expression IS NULL``; never NULL itself."""
    return Call("is_null", (expression,), BOOLEAN)


def make_is_not_null(expression: Expression) -> Expression:
    """``expression IS NOT NULL``; never NULL itself."""
    return Call("is_not_null", (expression,), BOOLEAN)


def split_conjuncts(condition: Expression) -> tuple[Expression, ...]:
    """The conjuncts of a condition, themselves no conjunctions."""
    if isinstance(condition, Call) and condition.function == "and":
        return condition.arguments
    return (condition,)
