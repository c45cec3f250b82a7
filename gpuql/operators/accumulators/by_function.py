"""Which accumulator computes which aggregate function."""

from __future__ import annotations

from gpuql.operators.accumulators.choices import ByKey, ByKeyWithNulls, Extreme, Positional
from gpuql.operators.accumulators.rows import Accumulator
from gpuql.operators.accumulators.several_extremes import SeveralExtremes
from gpuql.operators.accumulators.sums import Average, Count, Fold, Sum, Variance
from gpuql_planner.logical.expressions import AggregateCall
from gpuql_planner.types import TypeId


def make_accumulator(call: AggregateCall) -> Accumulator | None:
    """The accumulator of an aggregate; None for those that need all rows at once (``holistic``)."""
    from gpuql.operators.accumulators import moments

    function, dtype = call.function, call.type
    arguments = tuple(argument.dtype for argument in call.arguments)
    match function:
        case "count_star":
            return Count(dtype, skips_nulls=False)
        case "count":
            return Count(dtype, skips_nulls=True)
        case "sum" | "count_if":
            return Sum(dtype)
        case "avg" if dtype.id is TypeId.INTERVAL:
            return moments.IntervalAverage(dtype)
        case "avg":
            return Average(dtype, arguments[0])
        case "min" | "bool_and":
            return Extreme(dtype, largest=False)
        case "max" | "bool_or":
            return Extreme(dtype, largest=True)
        case "stddev_samp" | "stddev_pop" | "var_samp" | "var_pop" | "sem":
            return Variance(dtype, function)
        case "first" | "last" | "any_value":
            return Positional(function)
        case "arg_min" | "arg_max":
            return ByKey(largest=function == "arg_max")
        case "arg_min_null" | "arg_max_null":
            return ByKeyWithNulls(function)
        case "min_n" | "max_n" | "arg_min_n" | "arg_max_n":
            return SeveralExtremes(call)
        case "skewness" | "kurtosis" | "kurtosis_pop":
            return moments.HigherMoments(dtype, function)
        case "fsum" | "favg":
            return moments.CompensatedSum(dtype, function)
        case _ if function in moments.MOMENT_PARTS:
            return moments.Comoments(dtype, function)
        case "product" | "bit_and" | "bit_or" | "bit_xor":
            return Fold(dtype, function)
        case _:
            return None
