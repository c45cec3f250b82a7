"""eq, ne, lt, le, gt, ge and IS [NOT] DISTINCT FROM between two values of one type.

NaN equals NaN and is greater than every number; -0.0 equals 0.0; strings compare by bytes; intervals by their length
with 30 days to a month and 24 hours to a day. All as in DuckDB.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column
from gpuql.expressions import bounds as ranges
from gpuql.expressions.string_entries import constant_bytes, per_row
from gpuql.expressions.vectors import (
    EvaluationContext,
    as_wide,
    constant_integer,
    declared_bounds,
    is_constant,
    is_wide,
    joint_validity,
    make_column,
)
from gpuql_kernels.int128 import words
from gpuql_planner.types import BOOLEAN, DataType, TypeId

MIRRORED = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
_MICROSECONDS_PER_DAY = 86_400_000_000


def apply_operator(function: str, left: Any, right: Any) -> Array:
    """The plain array comparison."""
    if function == "eq":
        return left == right
    if function == "ne":
        return left != right
    if function == "lt":
        return left < right
    if function == "le":
        return left <= right
    if function == "gt":
        return left > right
    return left >= right


def compare(function: str, left: Column, right: Column, context: EvaluationContext) -> Array:
    """Mask of the comparison, ignoring validity; one row long if it does not depend on the row."""
    if is_constant(left) and not is_constant(right):
        return compare(MIRRORED[function], right, left, context)
    if left.strings is not None:
        return _compare_strings(function, left, right, context)
    if left.dtype.is_float:
        return _compare_floats(context.xp, function, left, right)
    if left.dtype.id is TypeId.INTERVAL:
        xp = context.xp
        return _compare_exact(xp, function, _interval_length(xp, left), _interval_length(xp, right))
    return _compare_exact(context.xp, function, left, right)


def _compare_exact(xp: Any, function: str, left: Column, right: Column) -> Array:
    decided = ranges.compare(function, declared_bounds(left), declared_bounds(right))
    if decided is not None:
        return xp.full(1, decided, bool)
    constant = constant_integer(right)
    if left.values.dtype == bool and right.values.dtype == bool:
        left = Column(left.dtype, left.values.view(np.int8), None)
        right = Column(right.dtype, right.values.view(np.int8), None)
        constant = None
    if left.values.ndim == 1 and constant is not None and left.values.dtype.kind in "iu":
        info = np.iinfo(left.values.dtype)
        if info.min <= constant <= info.max:
            # A Python int keeps the comparison in the narrow width of the column.
            return apply_operator(function, left.values, constant)
        decided = ranges.compare(function, (int(info.min), int(info.max)), (constant, constant))
        return xp.full(1, decided, bool)
    if is_wide(left) or is_wide(right):
        return _compare_wide(xp, function, as_wide(xp, left), as_wide(xp, right))
    return apply_operator(function, left.values, right.values)


def _compare_wide(xp: Any, function: str, left: Array, right: Array) -> Array:
    if function == "eq":
        return words.equal(left, right)
    if function == "ne":
        return ~words.equal(left, right)
    if function == "lt":
        return words.less(xp, left, right)
    if function == "gt":
        return words.less(xp, right, left)
    if function == "le":
        return ~words.less(xp, right, left)
    return ~words.less(xp, left, right)


def _compare_floats(xp: Any, function: str, left: Column, right: Column) -> Array:
    a, b = left.values, right.values
    if is_constant(right) and not bool(xp.isnan(b[0])):
        # Only the left side can be NaN, and then it is the greater one.
        if function == "gt":
            return ~(a <= b)
        if function == "ge":
            return ~(a < b)
        return apply_operator(function, a, b)
    nan_a, nan_b = xp.isnan(a), xp.isnan(b)
    if function == "eq":
        return (a == b) | (nan_a & nan_b)
    if function == "ne":
        return (a != b) & ~(nan_a & nan_b)
    if function == "lt":
        return (a < b) | (nan_b & ~nan_a)
    if function == "gt":
        return (b < a) | (nan_a & ~nan_b)
    if function == "le":
        return (a <= b) | nan_b
    return (b <= a) | nan_a


def _interval_length(xp: Any, column: Column) -> Column:
    months, days, microseconds = (column.values[:, part] for part in range(3))
    # Wide: 2**31 months of microseconds do not fit 64 bits.
    total_days = words.multiply_int64(xp, months * 30 + days, xp.full(1, _MICROSECONDS_PER_DAY, xp.int64))
    length, _ = words.add(xp, total_days, words.from_int64(xp, microseconds))
    return Column(DataType(TypeId.HUGEINT), length, None)


def _compare_strings(function: str, left: Column, right: Column, context: EvaluationContext) -> Array:
    xp = context.xp
    left_strings, right_strings = left.strings, right.strings
    assert left_strings is not None, "a string column has strings"
    assert right_strings is not None, "a string column has strings"
    if is_constant(right) and not (right.validity is not None and not bool(right.validity[0])):
        literal = constant_bytes(right)
        kernel = context.kernels.string_match

        def against_literal(strings: Any, positions: Array | None) -> Array:
            order = kernel.compare_literal(strings.offsets, strings.data, positions, literal)
            return apply_operator(function, order, 0)

        return per_row(xp, left, (function, literal), against_literal, default=False)
    if left_strings is right_strings and (
        (left_strings.unique and function in ("eq", "ne")) or (left_strings.unique and left_strings.sorted)
    ):
        return apply_operator(function, left.values, right.values)
    if len(left_strings) == 0 or len(right_strings) == 0:
        return xp.zeros(max(len(left.values), len(right.values)), bool)
    left_rows, right_rows = xp.broadcast_arrays(left.values, right.values)
    order = context.kernels.string_match.compare(
        left_strings.offsets,
        left_strings.data,
        xp.ascontiguousarray(left_rows),
        right_strings.offsets,
        right_strings.data,
        xp.ascontiguousarray(right_rows),
    )
    return apply_operator(function, order, 0)


def _comparison(function: str) -> Callable[..., Column]:
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        left, right = arguments
        mask = compare(function, left, right, context)
        return with_validity(context.xp, mask, joint_validity(left, right))

    return apply


def with_validity(xp: Any, mask: Array, validity: Array | None) -> Column:
    """BOOLEAN column of a mask and a validity, either of which may be one row long."""
    if validity is not None and len(mask) == 1 and len(validity) != 1:
        mask = xp.ascontiguousarray(xp.broadcast_to(mask, validity.shape))
    return make_column(xp, BOOLEAN, mask, validity)


def distinct_from(left: Column, right: Column, context: EvaluationContext) -> Array:
    """Mask of rows that differ, NULL being equal to NULL."""
    xp = context.xp
    differ = compare("ne", left, right, context)
    if left.validity is None and right.validity is None:
        return differ
    left_valid = xp.ones(1, bool) if left.validity is None else left.validity
    right_valid = xp.ones(1, bool) if right.validity is None else right.validity
    return (left_valid != right_valid) | (differ & left_valid & right_valid)


def is_distinct_from(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """IS DISTINCT FROM: never NULL."""
    return Column(BOOLEAN, distinct_from(arguments[0], arguments[1], context))


def is_not_distinct_from(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """IS NOT DISTINCT FROM: never NULL."""
    return Column(BOOLEAN, ~distinct_from(arguments[0], arguments[1], context))


FUNCTIONS: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    name: _comparison(name) for name in MIRRORED
}

#: Functions that see NULL arguments.
NULL_AWARE: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    "is_distinct_from": is_distinct_from,
    "is_not_distinct_from": is_not_distinct_from,
}
