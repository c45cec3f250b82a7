"""Aggregates that are expressions over other aggregates, as DuckDB's macros define them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuql_planner.functions.aggregates import DERIVED_NAMES
from gpuql_planner.functions.coercion import coerce, explicit_cast
from gpuql_planner.functions.comparison import make_is_null
from gpuql_planner.functions.conditional import make_case
from gpuql_planner.functions.scalar import make_call
from gpuql_planner.logical.expressions import AggregateCall, Expression, Literal
from gpuql_planner.statement_errors import NoMatchingFunction
from gpuql_planner.types import DOUBLE, NULL

#: Makes an aggregate call with the DISTINCT, FILTER and ORDER BY of the one that is written.
Maker = Callable[..., AggregateCall]


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
    return explicit_cast(call("quantile_cont", value, fraction), dtype)


def _expect(name: str, arguments: Sequence[Expression], count: int) -> Sequence[Expression]:
    if len(arguments) != count:
        raise NoMatchingFunction(f"wrong number of arguments for {name}: {len(arguments)} (expected {count})")
    return arguments


DERIVED_AGGREGATES: dict[str, Callable[[Maker, Sequence[Expression]], Expression]] = {
    "approx_quantile": _approximate_quantile,
    "geomean": _geometric_mean,
    "geometric_mean": _geometric_mean,
    "weighted_avg": _weighted_average,
    "wavg": _weighted_average,
}

assert DERIVED_AGGREGATES.keys() == DERIVED_NAMES, "every derived aggregate is announced"
