"""Which parts of a file cannot hold a row for which all predicates are true."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gpuql.columnar.construct import stored_value
from gpuql_planner.errors import DataError
from gpuql_planner.logical.expressions import AttributeRef, Call, Cast, Expression, InList, Literal
from gpuql_planner.types import DataType, TypeId

_SWAPPED = {"eq": "eq", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
_MICROSECONDS_PER_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True)
class ValueRange:
    """What is known of a column within one part of a file; bounds are in stored form, bytes for strings.

    ``minimum`` and ``maximum`` enclose every value that is not NULL; None where unknown (for floating point,
    the maximum is unknown unless NaN, the largest value, is known to be absent).
    """

    minimum: Any = None
    maximum: Any = None
    null_count: int | None = None
    num_rows: int = 0


def cannot_match(
    predicates: Sequence[Expression],
    attribute_names: Mapping[int, str],
    range_of: Callable[[str], ValueRange | None],
) -> bool:
    """True only if, for certain, no row makes all ``predicates`` true."""

    def ranged(expression: Expression) -> ValueRange | None:
        if isinstance(expression, AttributeRef):
            name = attribute_names.get(expression.attribute.id)
            return None if name is None else range_of(name)
        if isinstance(expression, Cast):
            inner = ranged(expression.argument)
            return None if inner is None else _cast_range(inner, expression.argument.dtype, expression.type)
        return None

    def never(predicate: Expression) -> bool:
        if isinstance(predicate, Literal):
            return predicate.value is None or predicate.value is False
        if isinstance(predicate, InList):
            known = ranged(predicate.argument)
            return known is not None and all(_never_equal(known, option) for option in predicate.options)
        if not isinstance(predicate, Call):
            return False
        match predicate.function:
            case "and":
                return any(never(argument) for argument in predicate.arguments)
            case "or":
                return all(never(argument) for argument in predicate.arguments)
            case "is_null":
                known = ranged(predicate.arguments[0])
                return known is not None and known.null_count == 0
            case "is_not_null":
                known = ranged(predicate.arguments[0])
                return known is not None and known.null_count == known.num_rows
            case "eq" | "lt" | "le" | "gt" | "ge":
                left, right = predicate.arguments
                comparison: str = predicate.function
                if isinstance(left, Literal):
                    left, right, comparison = right, left, _SWAPPED[comparison]
                known = ranged(left)
                return isinstance(right, Literal) and known is not None and _never(known, comparison, right)
        return False

    return any(never(predicate) for predicate in predicates)


def _never_equal(known: ValueRange, option: Expression) -> bool:
    return isinstance(option, Literal) and _never(known, "eq", option)


def _never(known: ValueRange, comparison: str, literal: Literal) -> bool:
    if literal.value is None or (known.num_rows and known.null_count == known.num_rows):
        return True
    try:
        constant = stored_value(literal.value, literal.type)
    except DataError:
        return False
    if constant != constant:  # NaN: ordered above all numbers, left to the filter
        return False
    low, high = known.minimum, known.maximum
    match comparison:
        case "eq":
            return (low is not None and constant < low) or (high is not None and constant > high)
        case "lt":
            return low is not None and low >= constant
        case "le":
            return low is not None and low > constant
        case "gt":
            return high is not None and high <= constant
        case _:
            return high is not None and high < constant


def _cast_range(known: ValueRange, source: DataType, target: DataType) -> ValueRange | None:
    """Range after a cast that keeps order and loses nothing; None for any other."""
    if source == target:
        return known
    if source.is_integer and target.is_integer:
        factor = 1
    elif source.is_integer and target.is_decimal:
        factor = 10**target.scale
    elif source.is_decimal and target.is_decimal and target.scale >= source.scale:
        factor = 10 ** (target.scale - source.scale)
    elif source.id is TypeId.DATE and target.id is TypeId.TIMESTAMP:
        factor = _MICROSECONDS_PER_DAY
    else:
        return None
    low = None if known.minimum is None else known.minimum * factor
    high = None if known.maximum is None else known.maximum * factor
    return ValueRange(low, high, known.null_count, known.num_rows)
