"""Equal, simpler expressions: constants folded, connectives flattened, casts taken off comparisons with constants.

Every step keeps the three-valued meaning, so expressions can be simplified wherever they stand. Only
:func:`simplify_predicate` may read NULL as false.
"""

from __future__ import annotations

import datetime
from decimal import Context, Decimal

from gpuql_planner.logical.expressions import Call, Case, Cast, Expression, InList, Literal
from gpuql_planner.logical.traced import derive
from gpuql_planner.logical.visit import (
    FALSE,
    TRUE,
    conjunction,
    conjuncts,
    disjunction,
    disjuncts,
    map_children,
)
from gpuql_planner.optimizer.constants import fold_call, fold_cast
from gpuql_planner.types import BOOLEAN, DATE, INTEGER_LIMITS, DataType, TypeId

#: Wide enough for every DECIMAL; the default context would round constants of more than 28 digits.
_EXACT = Context(prec=120)

NEGATED_COMPARISON = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}
MIRRORED_COMPARISON = {"eq": "eq", "ne": "ne", "lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}
_OPPOSITE = {
    **NEGATED_COMPARISON,
    "is_null": "is_not_null",
    "is_not_null": "is_null",
    "is_distinct_from": "is_not_distinct_from",
    "is_not_distinct_from": "is_distinct_from",
}


def simplify(expression: Expression) -> Expression:
    """The simplest equal expression that the rules of this file find; the same object if nothing changed."""
    if vars(expression).get("_simple"):
        return expression
    result = _simplify_node(map_children(expression, simplify))
    vars(result)["_simple"] = True
    return result


def simplify_predicate(predicate: Expression) -> Expression:
    """As :func:`simplify`, for a place where NULL and false both drop the row."""
    result = simplify(predicate)
    parts = [FALSE if isinstance(p, Literal) and p.is_null else p for p in conjuncts(result)]
    if FALSE in parts:
        return FALSE
    return (
        result if len(parts) == len(conjuncts(result)) and parts == conjuncts(result) else conjunction(parts)
    )


def _simplify_node(expression: Expression) -> Expression:
    if isinstance(expression, Cast):
        return fold_cast(expression)
    if isinstance(expression, Case):
        return _simplify_case(expression)
    if isinstance(expression, InList):
        return _simplify_in(expression)
    if not isinstance(expression, Call):
        return expression
    match expression.function:
        case "and":
            return _simplify_and(expression)
        case "or":
            return _simplify_or(expression)
        case "not":
            return _simplify_not(expression)
        case "coalesce":
            return _simplify_coalesce(expression)
        case "eq" | "ne" | "lt" | "le" | "gt" | "ge":
            return _simplify_comparison(expression)
    return fold_call(expression)


def _simplify_and(call: Call) -> Expression:
    parts = list(dict.fromkeys(conjuncts(call)))
    if FALSE in parts:
        return FALSE
    return call if tuple(parts) == call.arguments else conjunction(parts)


def _simplify_or(call: Call) -> Expression:
    parts = [part for part in dict.fromkeys(disjuncts(call)) if part != FALSE]
    if TRUE in parts:
        return TRUE
    return call if tuple(parts) == call.arguments else disjunction(parts)


def _simplify_not(call: Call) -> Expression:
    inner = call.arguments[0]
    if isinstance(inner, Literal):
        return fold_call(call)
    if not isinstance(inner, Call):
        return call
    if inner.function == "not":
        return inner.arguments[0]
    if inner.function in _OPPOSITE:
        return simplify(Call(_OPPOSITE[inner.function], inner.arguments, BOOLEAN))
    if inner.function in ("and", "or"):
        parts = [simplify(Call("not", (part,), BOOLEAN)) for part in inner.arguments]
        return simplify(conjunction(parts) if inner.function == "or" else disjunction(parts))
    return call


def _simplify_coalesce(call: Call) -> Expression:
    parts: list[Expression] = []
    for part in call.arguments:
        if isinstance(part, Literal) and part.is_null:
            continue
        parts.append(part)
        if isinstance(part, Literal):
            break
    if not parts:
        return Literal(None, call.dtype)
    if len(parts) == 1:
        return parts[0]
    return call if len(parts) == len(call.arguments) else Call("coalesce", tuple(parts), call.dtype)


def _simplify_case(case: Case) -> Expression:
    branches = []
    otherwise = case.otherwise
    for condition, value in case.branches:
        if condition == TRUE:
            otherwise = value
            break
        if not (isinstance(condition, Literal) and condition.value is not True):
            branches.append((condition, value))
    if not branches:
        return otherwise
    if len(branches) == len(case.branches):
        return case
    return Case(tuple(branches), otherwise, case.dtype)


def _simplify_in(expression: InList) -> Expression:
    argument = expression.argument
    options = tuple(dict.fromkeys(expression.options))
    if len(options) == 1:
        return _simplify_comparison(Call("eq", (argument, options[0]), BOOLEAN))
    if isinstance(argument, Cast) and all(isinstance(option, Literal) for option in options):
        source = argument.argument.dtype
        narrow = [_narrow(option, source) for option in options if isinstance(option, Literal)]
        exact = [literal for literal in narrow if literal is not None]
        if keeps_order(source, argument.dtype) and len(exact) == len(options):
            return InList(argument.argument, tuple(exact))
    return expression if len(options) == len(expression.options) else InList(argument, options)


def _simplify_comparison(call: Call) -> Expression:
    one, other = call.arguments
    function = call.function
    if isinstance(one, Literal) and not isinstance(other, Literal):
        one, other, function = other, one, MIRRORED_COMPARISON[function]
        call = Call(function, (one, other), BOOLEAN)
    if isinstance(one, Literal):
        return fold_call(call)
    if not isinstance(other, Literal):
        return call
    if other.is_null:
        return Literal(None, BOOLEAN)
    if isinstance(one, Cast):
        return _take_off_cast(call, one, other)
    return call


def _take_off_cast(call: Call, cast: Cast, constant: Literal) -> Expression:
    """``CAST(x AS wide) op constant`` compares ``x`` itself if the constant has a place in its type."""
    source = cast.argument.dtype
    if not keeps_order(source, cast.dtype):
        return call
    narrow = _narrow(constant, source)
    if narrow is not None:
        return _simplify_comparison(Call(call.function, (cast.argument, narrow), BOOLEAN))
    if source.id is TypeId.DATE:
        # Between two midnights: every date is before it or after it, none is equal.
        function = {"lt": "le", "le": "le", "gt": "gt", "ge": "gt"}.get(call.function)
        day = derive(_day_of, constant)
        if function is not None and day is not None:
            return Call(function, (cast.argument, day), BOOLEAN)
    return call


def keeps_order(source: DataType, target: DataType) -> bool:
    """The cast never fails, maps different values to different ones, and keeps their order."""
    if source.is_integer and target.is_integer:
        low, high = INTEGER_LIMITS[source.id]
        return INTEGER_LIMITS[target.id][0] <= low and high <= INTEGER_LIMITS[target.id][1]
    if source.is_decimal and target.is_decimal:
        return target.scale >= source.scale and target.width - target.scale >= source.width - source.scale
    if source.is_integer and target.is_decimal and target.limits is not None:
        low, high = INTEGER_LIMITS[source.id]
        unit: int = 10**target.scale
        return target.limits[0] <= low * unit and high * unit <= target.limits[1]
    return source.id is TypeId.DATE and target.id is TypeId.TIMESTAMP


def _day_of(constant: Literal) -> Literal | None:
    value = constant.value
    return Literal(value.date(), DATE) if isinstance(value, datetime.datetime) else None


def _narrow(constant: Literal, dtype: DataType) -> Literal | None:
    """The same value as a constant of ``dtype``, or None if that type has no such value."""
    return derive(lambda literal: _narrow_value(literal, dtype), constant)


def _narrow_value(constant: Literal, dtype: DataType) -> Literal | None:
    value = constant.value
    if value is None:
        return Literal(None, dtype)
    if dtype.is_integer and isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        whole = int(value)
        low, high = INTEGER_LIMITS[dtype.id]
        return Literal(whole, dtype) if whole == value and low <= whole <= high else None
    if dtype.is_decimal and isinstance(value, Decimal):
        scaled = value.scaleb(dtype.scale, _EXACT)
        limits = dtype.limits
        fits = limits is not None and scaled == int(scaled) and limits[0] <= scaled <= limits[1]
        return Literal(Decimal(int(scaled)).scaleb(-dtype.scale, _EXACT), dtype) if fits else None
    if dtype.id is TypeId.DATE and isinstance(value, datetime.datetime):
        return Literal(value.date(), dtype) if value.time() == datetime.time() else None
    return None
