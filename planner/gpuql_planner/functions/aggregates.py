"""Aggregate functions: names, argument casts and result types, as in DuckDB 2.0."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuql_planner.errors import BinderError, NotSupportedError, did_you_mean
from gpuql_planner.functions.coercion import coerce, is_null_literal, is_string_literal, plain_text
from gpuql_planner.functions.comparison import as_condition
from gpuql_planner.functions.signatures import describe_types
from gpuql_planner.logical.expressions import AggregateCall, Expression, Literal, SortKey
from gpuql_planner.statement_errors import InvalidParameterValue, NoMatchingFunction, UndefinedFunction
from gpuql_planner.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DOUBLE,
    HUGEINT,
    INTEGER,
    INTERVAL,
    MAX_DECIMAL_WIDTH,
    NULL,
    TIME,
    TIMESTAMP,
    TIMESTAMPTZ,
    UBIGINT,
    UINTEGER,
    VARCHAR,
    DataType,
    TypeId,
    decimal,
    list_of,
    map_of,
)

Signature = tuple[tuple[Expression, ...], DataType]
Resolver = Callable[[str, Sequence[Expression]], Signature]


def _no_match(name: str, arguments: Sequence[Expression]) -> BinderError:
    return NoMatchingFunction(
        f"no aggregate function matches the argument types: {describe_types(name, arguments)}",
        hint="add an explicit CAST to the argument",
    )


def _one(name: str, arguments: Sequence[Expression]) -> Expression:
    if len(arguments) != 1:
        raise _no_match(name, arguments)
    return arguments[0]


def _count(name: str, arguments: Sequence[Expression]) -> Signature:
    return (_one(name, arguments),), BIGINT


def _count_star(name: str, arguments: Sequence[Expression]) -> Signature:
    if arguments:
        raise _no_match(name, arguments)
    return (), BIGINT


def _sum(name: str, arguments: Sequence[Expression]) -> Signature:
    argument = _one(name, arguments)
    dtype = argument.dtype
    if dtype.id in (TypeId.BOOLEAN, TypeId.NULL):
        return (coerce(argument, INTEGER),), HUGEINT
    if dtype.is_integer:
        return (argument,), HUGEINT
    if dtype.is_decimal:
        return (argument,), decimal(MAX_DECIMAL_WIDTH, dtype.scale)
    if dtype.is_float:
        return (coerce(argument, DOUBLE),), DOUBLE
    raise _no_match(name, arguments)


def _average(name: str, arguments: Sequence[Expression]) -> Signature:
    argument = _one(name, arguments)
    dtype = argument.dtype
    if dtype == TIMESTAMPTZ:
        return (argument,), dtype
    if dtype in (DATE, TIMESTAMP):
        return (coerce(argument, TIMESTAMP),), TIMESTAMP
    if dtype.is_float or dtype == NULL:
        return (coerce(argument, DOUBLE),), DOUBLE
    if dtype.is_numeric:
        return (argument,), DOUBLE
    if dtype == INTERVAL:
        return (argument,), INTERVAL
    if dtype == TIME:
        return (argument,), TIME
    raise _no_match(name, arguments)


def _same_type(name: str, arguments: Sequence[Expression]) -> Signature:
    argument = _one(name, arguments)
    return (argument,), argument.dtype


def _double(name: str, arguments: Sequence[Expression]) -> Signature:
    argument = _one(name, arguments)
    if not (argument.dtype.is_numeric or argument.dtype == NULL):
        raise _no_match(name, arguments)
    return (coerce(argument, DOUBLE),), DOUBLE


def _boolean(name: str, arguments: Sequence[Expression]) -> Signature:
    argument = _one(name, arguments)
    if argument.dtype not in (BOOLEAN, NULL) and not is_string_literal(argument):
        raise _no_match(name, arguments)
    return (as_condition(argument),), BOOLEAN


def _count_if(name: str, arguments: Sequence[Expression]) -> Signature:
    return _boolean(name, arguments)[0], HUGEINT


def _bits(name: str, arguments: Sequence[Expression]) -> Signature:
    argument = _one(name, arguments)
    if argument.dtype == NULL:
        return (coerce(argument, INTEGER),), INTEGER
    if not argument.dtype.is_integer:
        raise _no_match(name, arguments)
    return (argument,), argument.dtype


def _string_agg(name: str, arguments: Sequence[Expression]) -> Signature:
    if len(arguments) not in (1, 2):
        raise _no_match(name, arguments)
    separator = arguments[1] if len(arguments) == 2 else Literal(",", VARCHAR)
    if not (isinstance(separator, Literal) and isinstance(separator.value, str)):
        raise InvalidParameterValue(f"separator must be a constant text: {name}")
    return (coerce(arguments[0], VARCHAR), separator), VARCHAR


def _list(name: str, arguments: Sequence[Expression]) -> Signature:
    argument = _one(name, arguments)
    return (argument,), list_of(argument.dtype)


def _histogram(name: str, arguments: Sequence[Expression]) -> Signature:
    argument = _one(name, arguments)
    return (argument,), map_of(argument.dtype, UBIGINT)


def _continuous_type(dtype: DataType) -> DataType:
    """Result type of an interpolated quantile; types without a midpoint keep their own and take a row's value."""
    if dtype.is_integer or dtype == NULL:
        return DOUBLE
    return TIMESTAMP if dtype == DATE else dtype


def _median(name: str, arguments: Sequence[Expression]) -> Signature:
    argument = _one(name, arguments)
    if argument.dtype.id in (TypeId.INTERVAL, TypeId.BLOB, TypeId.BOOLEAN):
        raise NotSupportedError(f"median of a type that gpuql does not order so: {argument.dtype}")
    result = _continuous_type(argument.dtype)
    return (coerce(argument, result) if result == TIMESTAMP else argument,), result


def _fraction(name: str, argument: Expression) -> Literal:
    """The fraction of a quantile; a negative one counts from the largest value."""
    if not isinstance(argument, Literal) or is_null_literal(argument) or not argument.dtype.is_numeric:
        raise InvalidParameterValue(f"fraction must be a constant number: {name}")
    fraction = float(argument.value)  # type: ignore[arg-type]
    if not -1 <= fraction <= 1:
        raise InvalidParameterValue(f"fraction must be between -1 and 1: {name}({fraction})")
    if fraction < 0 and name.endswith("_cont"):
        fraction += 1
    return Literal(fraction, DOUBLE)


def _quantile_cont(name: str, arguments: Sequence[Expression]) -> Signature:
    if len(arguments) != 2:
        raise _no_match(name, arguments)
    if arguments[0].dtype == VARCHAR:
        raise _no_match(name, arguments)
    values, result = _median(name, arguments[:1])
    return (*values, _fraction(name, arguments[1])), result


def _quantile_disc(name: str, arguments: Sequence[Expression]) -> Signature:
    if len(arguments) != 2:
        raise _no_match(name, arguments)
    return (arguments[0], _fraction(name, arguments[1])), arguments[0].dtype


#: Functions that take a number of values as a last argument, and how many others they take.
_OF_SEVERAL = {"min": 1, "max": 1, "arg_min": 2, "arg_max": 2}

#: Most values that they give, as in DuckDB.
_MAX_SEVERAL = 999_999


def _several(name: str, function: str, arguments: Sequence[Expression]) -> tuple[str, Signature]:
    """``max(x, n)`` and its kin, which give the first n values in order as a list."""
    *values, count = arguments
    if not isinstance(count, Literal) or is_null_literal(count) or not count.dtype.is_integer:
        raise InvalidParameterValue(f"number of values must be a constant whole number: {name}")
    number = int(count.value)  # type: ignore[arg-type]
    if not 0 < number <= _MAX_SEVERAL:
        raise InvalidParameterValue(f"number of values must be 1 to {_MAX_SEVERAL}: {name}({number})")
    return f"{function}_n", ((*values, Literal(number, BIGINT)), list_of(values[0].dtype))


def _arg_extremum(name: str, arguments: Sequence[Expression]) -> Signature:
    if len(arguments) != 2:
        raise _no_match(name, arguments)
    return tuple(arguments), arguments[0].dtype


def _pair(name: str, arguments: Sequence[Expression]) -> Signature:
    if len(arguments) != 2 or not all(a.dtype.is_numeric or a.dtype == NULL for a in arguments):
        raise _no_match(name, arguments)
    return tuple(coerce(argument, DOUBLE) for argument in arguments), DOUBLE


def _pair_count(name: str, arguments: Sequence[Expression]) -> Signature:
    return _pair(name, arguments)[0], UINTEGER


def _of_any(result: DataType) -> Resolver:
    return lambda name, arguments: ((_one(name, arguments),), result)


def _median_deviation(name: str, arguments: Sequence[Expression]) -> Signature:
    argument = _one(name, arguments)
    dtype = argument.dtype
    if dtype in (DATE, TIMESTAMP, TIMESTAMPTZ, TIME):
        return (argument,), INTERVAL
    if not (dtype.is_numeric or dtype == NULL):
        raise _no_match(name, arguments)
    if dtype == NULL:
        return (coerce(argument, DOUBLE),), DOUBLE
    return (argument,), DOUBLE if dtype.is_integer else dtype


def _approximate_quantile(name: str, arguments: Sequence[Expression]) -> Signature:
    """An exact quantile is a valid approximation; a sample size may follow the fraction."""
    if len(arguments) == 3 and name == "reservoir_quantile":
        arguments = arguments[:2]
    if len(arguments) != 2 or arguments[0].dtype.id in (TypeId.VARCHAR, TypeId.BLOB, TypeId.INTERVAL):
        raise _no_match(name, arguments)
    return _quantile_disc(name, arguments)


AGGREGATE_FUNCTIONS: dict[str, Resolver] = {
    "count_star": _count_star,
    "count": _count,
    "sum": _sum,
    "avg": _average,
    "min": _same_type,
    "max": _same_type,
    "any_value": _same_type,
    "first": _same_type,
    "last": _same_type,
    "stddev_samp": _double,
    "stddev_pop": _double,
    "var_samp": _double,
    "var_pop": _double,
    "product": _double,
    "bool_and": _boolean,
    "bool_or": _boolean,
    "count_if": _count_if,
    "bit_and": _bits,
    "bit_or": _bits,
    "bit_xor": _bits,
    "string_agg": _string_agg,
    "list": _list,
    "histogram": _histogram,
    "median": _median,
    "quantile_cont": _quantile_cont,
    "quantile_disc": _quantile_disc,
    "arg_min": _arg_extremum,
    "arg_max": _arg_extremum,
    "arg_min_null": _arg_extremum,
    "arg_max_null": _arg_extremum,
    **dict.fromkeys(
        [
            "corr",
            "covar_pop",
            "covar_samp",
            "regr_avgx",
            "regr_avgy",
            "regr_intercept",
            "regr_r2",
            "regr_slope",
            "regr_sxx",
            "regr_sxy",
            "regr_syy",
        ],
        _pair,
    ),
    "regr_count": _pair_count,
    **dict.fromkeys(["skewness", "kurtosis", "kurtosis_pop", "sem", "fsum", "favg"], _double),
    "mode": _same_type,
    "entropy": _of_any(DOUBLE),
    "mad": _median_deviation,
}

AGGREGATE_ALIASES: dict[str, str] = {
    "mean": "avg",
    "stddev": "stddev_samp",
    "variance": "var_samp",
    "arbitrary": "first",
    "countif": "count_if",
    "group_concat": "string_agg",
    "array_agg": "list",
    "listagg": "string_agg",
    "quantile": "quantile_disc",
    "percentile_cont": "quantile_cont",
    "percentile_disc": "quantile_disc",
    "argmin": "arg_min",
    "argmax": "arg_max",
    "min_by": "arg_min",
    "max_by": "arg_max",
    "sum_no_overflow": "sum",
    "kahan_sum": "fsum",
    "sumkahan": "fsum",
}

#: Aggregates that are expressions over others: ``derived_aggregates`` makes them.
DERIVED_NAMES = frozenset(
    {"approx_quantile", "geomean", "geometric_mean", "weighted_avg", "wavg", "histogram_exact"}
    | {"json_group_array", "json_group_object", "json_group_structure"}
)

#: Aggregates that give a valid answer to a question that allows approximate ones.
APPROXIMATE = frozenset({"approx_count_distinct", "approx_quantile", "reservoir_quantile"})

#: Aggregates whose value is the same whatever the order of the rows and however often a row repeats.
_IGNORES_DUPLICATES = frozenset({"min", "max", "bool_and", "bool_or", "bit_and", "bit_or", "any_value"})

#: Aggregates whose value depends on the order of the rows.
_ORDER_SENSITIVE = frozenset(
    {
        "first",
        "last",
        "any_value",
        "string_agg",
        "list",
        "mode",  # of values that occur equally often the first
        "arg_min",
        "arg_max",
        "arg_min_null",
        "arg_max_null",
        "arg_min_n",
        "arg_max_n",
    }
)


def is_aggregate_function(name: str) -> bool:
    """Whether an aggregate function of that name or alias exists (case-insensitive)."""
    folded = name.lower()
    known = folded in AGGREGATE_FUNCTIONS or folded in AGGREGATE_ALIASES
    return known or folded in APPROXIMATE or folded in DERIVED_NAMES


#: Aggregates that see an ENUM itself; others see its label.
_KNOW_ENUMS = frozenset(
    {
        "count",
        "min",
        "max",
        "first",
        "last",
        "any_value",
        "list",
        "histogram",
        "mode",
        "median",
        "quantile_disc",
        "arg_min",
        "arg_max",
        "arg_min_null",
        "arg_max_null",
    }
)


def make_aggregate(
    name: str,
    arguments: Sequence[Expression],
    *,
    distinct: bool = False,
    filter: Expression | None = None,
    order_by: Sequence[SortKey] = (),
) -> AggregateCall:
    """Typed aggregate call, arguments cast to what the function takes.

    ``count`` without arguments is ``count_star``. DISTINCT and ORDER BY are dropped where they change nothing.

    Raises
    ------
    CatalogError
        No such aggregate function.
    BinderError
        Wrong number or types of arguments.
    """
    folded = name.lower()
    canonical = AGGREGATE_ALIASES.get(folded, folded)
    if canonical in ("approx_quantile", "reservoir_quantile"):
        arguments, canonical = _approximate_quantile(folded, arguments)[0], "quantile_disc"
    if canonical == "approx_count_distinct":  # an exact count is a valid approximation
        canonical, distinct = "count", True
    if canonical == "count" and not arguments:
        canonical = "count_star"
    resolver = AGGREGATE_FUNCTIONS.get(canonical)
    if canonical not in _KNOW_ENUMS:
        arguments = [plain_text(argument) for argument in arguments]
    if resolver is None:
        hint = did_you_mean(folded, [*AGGREGATE_FUNCTIONS, *AGGREGATE_ALIASES])
        raise UndefinedFunction(f"aggregate function does not exist: {name}", hint=hint)
    if canonical == "count_star" and distinct:
        raise BinderError("DISTINCT needs an argument: count(DISTINCT *)")
    if len(arguments) == _OF_SEVERAL.get(canonical, 0) + 1 and canonical in _OF_SEVERAL:
        canonical, (values, dtype) = _several(folded, canonical, arguments)
    else:
        values, dtype = resolver(folded, arguments)
    return AggregateCall(
        canonical,
        values,
        dtype,
        distinct=distinct and canonical not in _IGNORES_DUPLICATES,
        filter=None if filter is None else as_condition(filter),
        order_by=tuple(order_by) if canonical in _ORDER_SENSITIVE else (),
    )
