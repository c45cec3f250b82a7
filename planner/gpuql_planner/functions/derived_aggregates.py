"""Aggregates that are expressions over other aggregates, as DuckDB's macros define them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial

from gpuql_planner.errors import NotSupportedError
from gpuql_planner.functions.aggregates import AGGREGATE_ALIASES, DERIVED_NAMES
from gpuql_planner.functions.coercion import coerce, explicit_cast
from gpuql_planner.functions.comparison import make_is_null
from gpuql_planner.functions.conditional import make_case
from gpuql_planner.functions.json_text import make_json
from gpuql_planner.functions.lists import make_list
from gpuql_planner.functions.scalar import make_call
from gpuql_planner.functions.structs import make_map
from gpuql_planner.logical.expressions import Call, Cast, Expression, Literal
from gpuql_planner.statement_errors import InvalidParameterValue, NoMatchingFunction
from gpuql_planner.types import BIGINT, DOUBLE, JSON, NULL, UBIGINT, VARCHAR, DataType, TypeId, list_of

#: Makes an aggregate call with the DISTINCT, FILTER, ORDER BY and window of the one that is written.
Maker = Callable[..., Expression]


def _geometric_mean(call: Maker, arguments: Sequence[Expression]) -> Expression:
    """``exp(avg(ln(x)))``."""
    (argument,) = _expect("geomean", arguments, 1)
    return make_call("exp", (call("avg", make_call("ln", (coerce(argument, DOUBLE),))),))


def _weighted_average(call: Maker, arguments: Sequence[Expression]) -> Expression:
    """``sum(x * w) / sum(w)`` over the weights of known values."""
    value, weight = _expect("weighted_avg", arguments, 2)
    counted = make_case([(make_is_null(value), Literal(None, NULL))], weight)
    return make_call("divide", (call("sum", make_call("multiply", (value, weight))), call("sum", counted)))


def _approximate_quantile(call: Maker, arguments: Sequence[Expression]) -> Expression:
    """An interpolated quantile in the type of its argument: exact, which is a valid approximation."""
    value, fraction = _expect("approx_quantile", arguments, 2)
    dtype = value.dtype
    if not (dtype.is_numeric or dtype.is_temporal or dtype == NULL):
        raise NoMatchingFunction(f"approx_quantile takes numbers, dates and times: {dtype}")
    if fraction.dtype.is_list:
        return _quantiles("approx_quantile", call, arguments)
    return explicit_cast(call("quantile_cont", value, fraction), dtype)


def _quantiles(name: str, call: Maker, arguments: Sequence[Expression]) -> Expression:
    """A quantile for each of a list of fractions, as a list; NULL without values."""
    value, fractions = _expect(name, arguments, 2)
    numbers = _constants(name, fractions)
    signs = {
        math.copysign(1, n.value) for n in numbers if isinstance(n.value, (int, float, Decimal)) and n.value
    }
    if len(signs) > 1:
        raise InvalidParameterValue(f"fractions must all have the same sign: {name}")
    if name == "approx_quantile":
        found = [_approximate_quantile(call, (value, number)) for number in numbers]
    else:
        found = [call(name, value, number) for number in numbers]
    values = make_list(found) if found else coerce(make_list([]), list_of(value.dtype))
    return _unless_empty(call, value, values)


def _unless_empty(call: Maker, value: Expression, result: Expression) -> Expression:
    """``result``, or NULL if there are no values."""
    none = make_call("eq", (call("count", value), Literal(0, BIGINT)))
    return make_case([(none, Literal(None, NULL))], result)


def from_above(name: str, fraction: Expression) -> Expression:
    """A fraction, or a list of them, of values in descending order as one of values in ascending order."""
    if fraction.dtype.is_list:
        return make_list([from_above(name, number) for number in _constants(name, fraction)])
    if not isinstance(fraction, Literal) or not fraction.dtype.is_numeric or fraction.value is None:
        raise InvalidParameterValue(f"fraction must be a constant number: {name}")
    number = float(fraction.value)  # type: ignore[arg-type]
    discrete = not name.endswith("_cont") and number > 0
    return Literal(-number if discrete else 1 - number, DOUBLE)


def _constants(name: str, values: Expression) -> list[Literal]:
    """The elements of a list that is written out."""
    while isinstance(values, Cast):
        values = values.argument
    elements = values.arguments if isinstance(values, Call) and values.function == "list_value" else None
    if elements is None or not all(isinstance(element, Literal) for element in elements):
        raise InvalidParameterValue(f"argument must be a list of constants: {name}")
    found = [element for element in elements if isinstance(element, Literal)]
    if any(element.value is None for element in found):
        raise InvalidParameterValue(f"elements of the list must not be NULL: {name}")
    return found


def _histogram_of(name: str, call: Maker, arguments: Sequence[Expression]) -> Expression:
    """How many values each bin has, of which the list gives the largest value (``histogram``) or the only one.

    What is in none of the bins is counted under the largest value of the type, if there is any.
    """
    value, bins = _expect(name, arguments, 2)
    dtype = value.dtype if not value.dtype.is_decimal else DOUBLE
    value = coerce(value, dtype)
    bounds: list[Expression] = [coerce(bound, dtype) for bound in _constants(name, bins)]
    if not all(isinstance(bound, Literal) for bound in bounds):
        raise NotSupportedError(f"bins of the type of the values: {name}({dtype})")
    ordered = sorted({bound.value: bound for bound in bounds if isinstance(bound, Literal)}.items())
    bounds = [bound for _, bound in ordered]
    counts: list[Expression] = []
    if name == "histogram_exact":
        counts = [_count_where(call, value, make_call("eq", (value, bound))) for bound in bounds]
        inside = counts
    else:
        up_to = [_count_where(call, value, make_call("le", (value, bound))) for bound in bounds]
        counts = [
            one if place == 0 else make_call("subtract", (one, up_to[place - 1]))
            for place, one in enumerate(up_to)
        ]
        inside = up_to[-1:]
    others: Expression = call("count", value)
    for part in inside:
        others = make_call("subtract", (others, part))
    entries = [coerce(count, UBIGINT) for count in counts]
    all_bins = make_map(_list_of(dtype, bounds), _list_of(UBIGINT, entries))
    more = make_map(
        _list_of(dtype, [*bounds, _beyond(dtype)]), _list_of(UBIGINT, [*entries, coerce(others, UBIGINT)])
    )
    complete = make_call("eq", (others, Literal(0, BIGINT)))
    return _unless_empty(call, value, make_case([(complete, all_bins)], more))


def _count_where(call: Maker, value: Expression, condition: Expression) -> Expression:
    """How many of the values the condition is true for."""
    return call("count", make_case([(condition, value)], Literal(None, NULL)))


def _list_of(dtype: DataType, elements: Sequence[Expression]) -> Expression:
    return coerce(make_list(elements), list_of(dtype))


def _beyond(dtype: DataType) -> Expression:
    """What DuckDB counts values under that are in no bin."""
    if dtype.is_float:
        return Literal(math.inf, dtype)
    if dtype.id is TypeId.VARCHAR:
        return Literal("", dtype)
    if dtype.is_integer and dtype.limits is not None:
        return Literal(dtype.limits[1], dtype)
    raise NotSupportedError(f"histogram with bins of type {dtype}")


def _json_group(name: str, call: Maker, arguments: Sequence[Expression]) -> Expression:
    """All values as a JSON array, or as an object of keys and values; NULL without rows."""
    if name == "json_group_object":
        key, value = _expect(name, arguments, 2)
        if key.dtype not in (VARCHAR, JSON, NULL):
            raise NoMatchingFunction(f"keys of json_group_object must be VARCHAR: {key.dtype}")
        pair = make_call("concat_operator", (_json_text(key), Literal(":", VARCHAR)))
        texts, opening, closing = make_call("concat_operator", (pair, _json_text(value))), "{", "}"
    else:
        (value,) = _expect(name, arguments, 1)
        texts, opening, closing = _json_text(value), "[", "]"
    joined = call("string_agg", texts, Literal(",", VARCHAR))
    array = make_call("concat_operator", (Literal(opening, VARCHAR), joined))
    whole = coerce(make_call("concat_operator", (array, Literal(closing, VARCHAR))), JSON)
    if name != "json_group_structure":
        return whole
    return make_call("json_extract", (make_call("json_structure", (whole,)), Literal(0, BIGINT)))


def _json_text(value: Expression) -> Expression:
    """JSON of a value as text, NULL as ``null``."""
    return make_call("coalesce", (coerce(make_json(value), VARCHAR), Literal("null", VARCHAR)))


def _expect(name: str, arguments: Sequence[Expression], count: int) -> Sequence[Expression]:
    if len(arguments) != count:
        raise NoMatchingFunction(f"wrong number of arguments for {name}: {len(arguments)} (expected {count})")
    return arguments


_DERIVED: dict[str, Callable[[Maker, Sequence[Expression]], Expression]] = {
    "approx_quantile": _approximate_quantile,
    "geomean": _geometric_mean,
    "geometric_mean": _geometric_mean,
    "weighted_avg": _weighted_average,
    "wavg": _weighted_average,
    "histogram_exact": partial(_histogram_of, "histogram_exact"),
    **{
        name: partial(_json_group, name)
        for name in ("json_group_array", "json_group_object", "json_group_structure")
    },
}

assert _DERIVED.keys() == DERIVED_NAMES, "every derived aggregate is announced"


def make_derived(name: str, call: Maker, arguments: Sequence[Expression]) -> Expression | None:
    """An aggregate that is an expression over calls that ``call`` makes; None for those that are calls themselves."""
    if name in _DERIVED:
        return _DERIVED[name](call, arguments)
    if len(arguments) != 2 or not arguments[1].dtype.is_list:
        return None
    canonical = AGGREGATE_ALIASES.get(name, name)
    if canonical in ("quantile_cont", "quantile_disc", "reservoir_quantile"):
        return _quantiles(name, call, arguments)
    return _histogram_of(name, call, arguments) if canonical == "histogram" else None
