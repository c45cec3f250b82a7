"""Choosing an overload: which declared parameter list do the arguments fit best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gpuql_planner.errors import BinderError
from gpuql_planner.functions.coercion import coerce, is_string_literal
from gpuql_planner.logical.expressions import Call, Expression
from gpuql_planner.statement_errors import NoMatchingFunction
from gpuql_planner.types import INTEGER_LIMITS, DataType, TypeId


@dataclass(frozen=True, slots=True)
class Overload:
    """One parameter list of a function. Arguments beyond ``required`` may be left out."""

    parameters: tuple[DataType, ...]
    result: DataType
    required: int | None = None

    def accepts_count(self, count: int) -> bool:
        """Whether ``count`` arguments fit."""
        required = len(self.parameters) if self.required is None else self.required
        return required <= count <= len(self.parameters)


def implicit_distance(expression: Expression, target: DataType) -> int | None:
    """How far a silent conversion to ``target`` goes: 0 for none, larger is worse, None if it is not silent."""
    source = expression.dtype
    if source == target:
        return 0
    if source.id is TypeId.NULL:
        return 1
    if is_string_literal(expression):
        return None if target.is_numeric else 20
    if source.is_integer:
        return _integer_distance(source, target)
    if source.is_decimal:
        return {TypeId.DOUBLE: 5, TypeId.REAL: 6}.get(target.id)
    if source.id is TypeId.REAL and target.id is TypeId.DOUBLE:
        return 1
    if source.id is TypeId.DATE and target.id is TypeId.TIMESTAMP:
        return 2
    if source.is_timestamp and target.id is TypeId.TIMESTAMP:
        return 1
    if target.id is TypeId.TIMESTAMPTZ and (source.is_timestamp or source.id is TypeId.DATE):
        return 3
    return None


def _integer_distance(source: DataType, target: DataType) -> int | None:
    if target.id in INTEGER_LIMITS:
        source_low, source_high = INTEGER_LIMITS[source.id]
        low, high = INTEGER_LIMITS[target.id]
        if low <= source_low and source_high <= high:
            return 1 + high.bit_length() // 8 - source_high.bit_length() // 8
        return 30  # narrowing is checked when it runs
    if target.id is TypeId.DOUBLE:
        return 40
    return None


def describe_types(name: str, arguments: Sequence[Expression]) -> str:
    """``name(TYPE, TYPE)`` for messages."""
    return f"{name}({', '.join(str(argument.dtype) for argument in arguments)})"


def no_overload(name: str, arguments: Sequence[Expression], overloads: Sequence[Overload]) -> BinderError:
    """The error that says what was given and what would do."""
    known = [f"{name}({', '.join(map(str, overload.parameters))})" for overload in overloads]
    return NoMatchingFunction(
        f"no function matches the argument types: {describe_types(name, arguments)}",
        hint=f"candidates: {', '.join(known[:4])}; add an explicit CAST if you mean one of them",
    )


def choose_overload(name: str, arguments: Sequence[Expression], overloads: Sequence[Overload]) -> Overload:
    """The overload with the smallest total distance; the first declared wins a tie."""
    best: tuple[int, Overload] | None = None
    for overload in overloads:
        if not overload.accepts_count(len(arguments)):
            continue
        distances = [implicit_distance(a, p) for a, p in zip(arguments, overload.parameters, strict=False)]
        if any(distance is None for distance in distances):
            continue
        total = sum(distance for distance in distances if distance is not None)
        if best is None or total < best[0]:
            best = (total, overload)
    if best is None:
        raise no_overload(name, arguments, overloads)
    return best[1]


def call_overload(
    name: str, arguments: Sequence[Expression], overloads: Sequence[Overload], *, spelled: str | None = None
) -> Call:
    """Call of canonical function ``name`` with arguments cast to the best overload's parameters.

    ``spelled`` is the name that the user wrote, for messages.
    """
    overload = choose_overload(spelled or name, arguments, overloads)
    converted = tuple(coerce(a, p) for a, p in zip(arguments, overload.parameters, strict=False))
    return Call(name, converted, overload.result)
