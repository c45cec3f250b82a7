"""Functions in plain Python over columns of any type, run once for each distinct combination of arguments."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal
from typing import Any

import numpy as np

from gpuql.columnar.column import NATURAL_DTYPE, Array, Column
from gpuql.columnar.strings import on_host
from gpuql.expressions.distinct_values import (
    distinct_rows,
    stored_column,
    string_column,
    text_of_entries,
)
from gpuql.expressions.vectors import (
    EvaluationContext,
    is_null_constant,
    joint_validity,
    make_column,
    match_length,
    null_constant,
)
from gpuql_kernels.int128 import words
from gpuql_planner.types import DataType, TypeId

_EXACT = Context(prec=60)
_STRINGS = (TypeId.VARCHAR, TypeId.JSON, TypeId.BLOB)


def host_function(
    function: Callable[..., Any],
) -> Callable[[DataType, list[Column], EvaluationContext], Column]:
    """A strict function of the interpreter from one of plain values; see :func:`call_on_host`."""

    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        return call_on_host(function, dtype, arguments, context)

    return apply


def call_on_host(
    function: Callable[..., Any],
    dtype: DataType,
    arguments: list[Column],
    context: EvaluationContext,
    *,
    strict: bool = True,
) -> Column:
    """``function(*values)`` for each row: str, bytes, int, float, bool, Decimal, or (months, days, microseconds).

    Dates and times come as stored. The result is given in the same forms (text as str, decimals scaled); None is
    NULL. A strict function never sees NULL, any other gets None for it. Memory: the distinct values as Python objects.
    """
    xp = context.xp
    if strict and any(is_null_constant(argument) for argument in arguments):
        return null_constant(xp, dtype)
    num_rows = max((len(argument.values) for argument in arguments), default=1)
    if any(len(argument.values) == 0 for argument in arguments):
        num_rows = 0
    validity = match_length(xp, joint_validity(*arguments), num_rows) if strict else None
    if validity is not None:
        # NULL rows hold garbage that a function may refuse.
        kept = xp.flatnonzero(validity)
        if len(kept) < num_rows:
            present = [_without_nulls(argument, kept) for argument in arguments]
            part = call_on_host(function, dtype, present, context)
            return _scatter(xp, part, kept, num_rows)
    pools = [_distinct(xp, argument, strict=strict) for argument in arguments]
    combination = _combine(xp, pools, num_rows)
    if combination is None:
        results = [function(*(values[int(codes[0])] for values, codes in pools))] if num_rows else []
        return _result(xp, dtype, results, xp.zeros(num_rows, xp.int64))
    codes, inverse = combination
    columns = [[values[code] for code in on_host(chosen).tolist()] for (values, _), chosen in codes]
    results = [function(*row) for row in zip(*columns, strict=True)]
    return _result(xp, dtype, results, inverse)


def _without_nulls(column: Column, kept: Array) -> Column:
    if len(column.values) == 1 and len(kept) != 1:
        return Column(column.dtype, column.values, None, column.strings, column.bounds)
    chosen = column.values if len(column.values) == 1 else column.values[kept]
    return Column(column.dtype, chosen, None, column.strings, column.bounds)


def _scatter(xp: Any, part: Column, kept: Array, num_rows: int) -> Column:
    values = xp.zeros((num_rows, *part.values.shape[1:]), part.values.dtype)
    values[kept] = part.values
    validity = xp.zeros(num_rows, bool)
    validity[kept] = True if part.validity is None else part.validity
    return Column(part.dtype, values, validity, part.strings, part.bounds)


_Pool = tuple[list[Any], Array]


def _distinct(xp: Any, column: Column, *, strict: bool) -> _Pool:
    """Distinct values as Python objects, and the position of each row's value among them."""
    if len(column.values) == 0:
        return [], xp.zeros(0, xp.int64)
    if column.strings is not None:
        texts = text_of_entries(xp, column)
        values: list[Any] = list(texts.entries)
        if column.dtype.is_text:
            values = [entry.decode("utf-8", "surrogateescape") for entry in values]
        codes = texts.codes.astype(xp.int64)
    else:
        distinct, codes = distinct_rows(xp, column.values)
        values = _python_values(on_host(distinct), column.dtype)
        codes = codes.astype(xp.int64)
    if not strict and column.validity is not None:
        codes = xp.where(column.validity, codes, len(values))
        values = [*values, None]
    return values, codes


def _python_values(stored: Any, dtype: DataType) -> list[Any]:
    if dtype.id is TypeId.INTERVAL:
        return [tuple(parts) for parts in stored.tolist()]
    plain: list[Any] = words.to_python(stored) if stored.ndim == 2 else stored.tolist()
    if dtype.is_decimal:
        return [Decimal(value).scaleb(-dtype.scale, _EXACT) for value in plain]
    return plain


def _combine(xp: Any, pools: list[_Pool], num_rows: int) -> tuple[list[tuple[_Pool, Array]], Array] | None:
    """For each argument the codes of the distinct combinations, and the combination of each row.

    None if all arguments are constants.
    """
    varying = [index for index, (_, codes) in enumerate(pools) if len(codes) != 1]
    if not varying or num_rows == 0:
        return None
    joint = pools[varying[0]][1]
    for index in varying[1:]:
        values, codes = pools[index]
        # Positions of combinations so far stay below the row count, so products stay below 2**63.
        _, joint = xp.unique(joint, return_inverse=True)
        joint = joint * len(values) + codes
    distinct, first, inverse = xp.unique(joint, return_index=True, return_inverse=True)
    chosen = []
    for pool in pools:
        codes = pool[1]
        chosen.append((pool, codes[first] if len(codes) != 1 else xp.zeros(len(distinct), xp.int64) + codes))
    return chosen, inverse.reshape(-1)


def _result(xp: Any, dtype: DataType, results: list[Any], inverse: Array) -> Column:
    good = np.array([value is not None for value in results], bool)
    validity = None if good.all() else xp.asarray(good)[inverse]
    if dtype.id in _STRINGS:
        entries = [_encoded(value) for value in results]
        column = string_column(xp, dtype, entries or [b""], inverse)
        return Column(dtype, column.values, validity, column.strings)
    if dtype.limits is None and dtype.id is not TypeId.INTERVAL:
        array: Any = np.array([0 if value is None else value for value in results], NATURAL_DTYPE[dtype.id])
        return make_column(xp, dtype, xp.asarray(array)[inverse], validity)
    if dtype.id is TypeId.BOOLEAN:
        array = np.array([bool(value) for value in results], bool)
        return make_column(xp, dtype, xp.asarray(array)[inverse], validity)
    stored = stored_column(xp, dtype, results or [None])
    return Column(dtype, stored.values[inverse], validity, None, stored.bounds)


def _encoded(value: Any) -> bytes:
    if value is None:
        return b""
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else bytes(value)
