"""Functions of arrays, which are lists of a fixed size: names, argument casts and result types, as in DuckDB 2.0."""

from __future__ import annotations

from collections.abc import Sequence

from gpuql_planner.errors import BinderError
from gpuql_planner.functions.coercion import coerce, unify
from gpuql_planner.functions.nested_arguments import Resolver, check_count, no_match
from gpuql_planner.logical.expressions import Call, Expression
from gpuql_planner.types import DOUBLE, NULL, REAL, array_of, common_type


def _value(arguments: Sequence[Expression]) -> Expression:
    if not arguments:
        raise BinderError("array_value takes at least one argument")
    dtype, values = unify(arguments, construct="an array")
    try:
        return Call("list_value", values, array_of(dtype, len(values)))
    except ValueError as error:
        raise BinderError(str(error)) from None


def _vectors(
    name: str, arguments: Sequence[Expression], size: int | None = None
) -> tuple[Expression, Expression]:
    """Two arrays of FLOAT or of DOUBLE of one size; a bare NULL is one of the other's type."""
    check_count(name, arguments, 2)
    known = [argument.dtype for argument in arguments if argument.dtype != NULL]
    if not known or not all(dtype.is_array and dtype.element.is_float for dtype in known):
        raise no_match(name, arguments)
    if len({dtype.width for dtype in known}) > 1:
        raise BinderError(f"arrays must be of one size: {name}({known[0]}, {known[1]})")
    if size is not None and known[0].width != size:
        raise no_match(name, arguments)
    joint = known[0] if len(known) == 1 else common_type(*known)
    assert joint is not None, "arrays of floats of one size have a type in common"
    return coerce(arguments[0], joint), coerce(arguments[1], joint)


def _distance(name: str) -> Resolver:
    """A number of two arrays."""

    def resolve(arguments: Sequence[Expression]) -> Expression:
        pair = _vectors(name, arguments)
        return Call(name, pair, REAL if pair[0].dtype.element == REAL else DOUBLE)

    return resolve


def _cross_product(arguments: Sequence[Expression]) -> Expression:
    pair = _vectors("array_cross_product", arguments, 3)
    return Call("array_cross_product", pair, pair[0].dtype)


ARRAY_FUNCTIONS: dict[str, Resolver] = {
    "array_value": _value,
    "array_distance": _distance("array_distance"),
    "array_cosine_similarity": _distance("array_cosine_similarity"),
    "array_cosine_distance": _distance("array_cosine_distance"),
    **dict.fromkeys(("array_inner_product", "array_dot_product"), _distance("array_inner_product")),
    **dict.fromkeys(
        ("array_negative_inner_product", "array_negative_dot_product"),
        _distance("array_negative_inner_product"),
    ),
    "array_cross_product": _cross_product,
}
