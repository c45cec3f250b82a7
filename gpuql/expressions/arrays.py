"""Distances and products of arrays of floats, as arithmetic over matrices with one row for each array."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column
from gpuql.columnar.nested import device_column, lists_column, read_arrays
from gpuql.expressions.vectors import EvaluationContext
from gpuql_planner.errors import DataError
from gpuql_planner.types import DataType


def _matrix(column: Column) -> tuple[Array, Array]:
    """Floats (n, size) with zeros for NULL rows, and which rows are not NULL; one row may stand for all."""
    size = column.dtype.width
    valid = np.ones(len(column), np.bool_) if column.validity is None else _on_host(column.validity)
    elements = read_arrays(column)
    if elements.validity is not None and not bool(elements.validity.all()):
        raise DataError("arrays of a distance or product must not hold NULL")
    values = elements.values.reshape(-1, size)
    if len(values) == len(column):
        return values, valid
    matrix = np.zeros((len(column), size), values.dtype)
    matrix[valid] = values
    return matrix, valid


def _on_host(validity: Array) -> Array:
    from gpuql.columnar.strings import on_host

    return on_host(validity)


def _pair(arguments: list[Column]) -> tuple[Array, Array, Array]:
    """Both matrices, and which rows of the result are known; a constant has one row."""
    (one, known), (other, others_known) = (_matrix(argument) for argument in arguments)
    return one, other, known & others_known


def _products(one: Array, other: Array) -> Array:
    # Products of floats are exact in doubles, so that the order of their sum hardly matters.
    found: Array = np.einsum("ij,ij->i", *np.broadcast_arrays(one, other), dtype=np.float64)
    return found


def _result(dtype: DataType, values: Array, known: Array, context: EvaluationContext) -> Column:
    values = values.astype(np.float32 if dtype.id.value == "FLOAT" else np.float64)
    validity = None if bool(known.all()) else known
    return device_column(context.xp, Column(dtype, np.where(known, values, values.dtype.type(0)), validity))


def _distance(name: str) -> Any:
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        one, other, known = _pair(arguments)
        if name == "array_distance":
            gap = one - other
            found = np.sqrt(_products(gap, gap))
        elif name.endswith("inner_product"):
            found = _products(one, other) * (-1.0 if name.startswith("array_negative") else 1.0)
        else:
            norms = np.sqrt(_products(one, one)) * np.sqrt(_products(other, other))
            found = np.clip(_products(one, other) / norms, -1.0, 1.0)
            found = 1.0 - found if name == "array_cosine_distance" else found
        return _result(dtype, found, known, context)

    return apply


def _cross_product(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    one, other, known = _pair(arguments)
    found = np.cross(one, other)[known]
    values = found.astype(np.float32 if dtype.element.id.value == "FLOAT" else np.float64).reshape(-1)
    lengths = np.where(known, dtype.width, 0)
    validity = None if bool(known.all()) else known
    return device_column(context.xp, lists_column(dtype, lengths, Column(dtype.element, values), validity))


_DISTANCES = (
    "array_cosine_distance",
    "array_cosine_similarity",
    "array_distance",
    "array_inner_product",
    "array_negative_inner_product",
)

FUNCTIONS = {
    **{name: _distance(name) for name in _DISTANCES},
    "array_cross_product": _cross_product,
}
