"""Join keys as packed integers: encodings chosen from the build side, applied to both sides.

Values are equal if and only if their codes are: NaN equals NaN, -0.0 equals 0.0, strings compare by bytes. A probe
value that the build side does not hold has no code, so its row matches nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column, StringArray
from gpuql.expressions.string_entries import remember
from gpuql.expressions.vectors import as_wide, is_wide, joint_validity, measured_bounds
from gpuql.operators.contract import KeyColumn, KeyEncoding, RunContext
from gpuql_planner.types import TypeId

#: Where a string array keeps the index over its strings.
_INDEX = "index"
#: Packed keys stay below this, so that sums and differences of them fit int64.
PACKED_LIMIT = 2**62


@dataclass(frozen=True, eq=False)
class StagedKeyEncoding(KeyEncoding):
    """An encoding whose columns do not fit one word together.

    ``stages[i]``, where not None, is the sorted array of packed prefixes after column ``i``; the prefix is replaced
    by its position there. Never ``packable``.
    """

    stages: tuple[Array | None, ...] = field(default=())


def canonical_bits(xp: Any, column: Column) -> Array:
    """int64 that is equal for equal values of a column that is not exact one-word: floats by their bits."""
    values = column.values.astype(xp.float64)
    values = xp.where(values == 0, 0.0, values)
    values = xp.where(xp.isnan(values), xp.nan, values)
    return values.view(xp.int64)


def integer_keys(xp: Any, column: Column) -> Array | None:
    """Values as integers of one word that are equal when the values are; None if two or more words are needed."""
    if column.dtype.is_float:
        return canonical_bits(xp, column)
    if column.values.dtype == bool:
        return column.values.view(np.int8)
    if column.dtype.id is TypeId.INTERVAL or is_wide(column):
        return None
    return column.values


def word_keys(xp: Any, column: Column) -> Array:
    """Values of several words as int64 (n, words) that are equal when the values are."""
    if column.dtype.id is not TypeId.INTERVAL:
        return as_wide(xp, column)
    days = column.values[:, 0] * 30 + column.values[:, 1]
    micros = column.values[:, 2]
    day = 86_400_000_000
    return xp.stack((days + micros // day, micros % day), axis=-1)


def _composite(words: Array) -> Array:
    """Rows of words as one sortable item each (host arrays)."""
    host = np.ascontiguousarray(words if isinstance(words, np.ndarray) else words.get())
    return host.view([("", host.dtype)] * host.shape[1]).reshape(-1)


def encode_build(
    columns: list[Column], null_safe: frozenset[int], context: RunContext
) -> tuple[KeyEncoding, Array, Array | None]:
    """Choose an encoding for the build keys and apply it.

    Returns
    -------
    encoding : KeyEncoding
    packed : int64 (n,)
        Rows with a NULL at a position that is not null-safe hold anything.
    valid : bool (n,) or None
        False for such rows; None if there are none.
    """
    xp = context.xp
    key_columns, codes = [], []
    for position, column in enumerate(columns):
        key_column, code = _build_column(xp, column, position in null_safe, context)
        key_columns.append(key_column)
        codes.append(code)
    valid = joint_validity(*(c for i, c in enumerate(columns) if i not in null_safe)) if columns else None
    sizes = [key_size(key_column) for key_column in key_columns]
    total = 1
    for size in sizes:
        total *= size
    if total <= PACKED_LIMIT:
        strides = _strides(sizes)
        packed = _pack(xp, codes, strides)
        return KeyEncoding(tuple(key_columns), strides, packable=True), packed, valid
    stages: list[Array | None] = []
    packed, domain = codes[0], sizes[0]
    if domain > PACKED_LIMIT:
        raise AssertionError("one column is always packed below the limit")
    stages.append(None)
    for code, size in zip(codes[1:], sizes[1:], strict=True):
        if domain * size > PACKED_LIMIT:
            distinct, packed = xp.unique(packed, return_inverse=True)
            stages[-1] = distinct
            domain = max(len(distinct), 1)
        packed = packed * size + code
        domain *= size
        stages.append(None)
    encoding = StagedKeyEncoding(tuple(key_columns), tuple(sizes), packable=False, stages=tuple(stages))
    return encoding, packed, valid


def key_size(column: KeyColumn) -> int:
    """Number of codes, with the one for NULL."""
    return max(column.cardinality + (column.null_code >= 0), 1)


def _strides(sizes: list[int]) -> tuple[int, ...]:
    strides, stride = [], 1
    for size in reversed(sizes):
        strides.append(stride)
        stride *= size
    return tuple(reversed(strides))


def _pack(xp: Any, codes: list[Array], strides: tuple[int, ...]) -> Array:
    packed = codes[0].astype(xp.int64, copy=False)
    if strides[0] != 1:
        packed = packed * strides[0]
    for code, stride in zip(codes[1:], strides[1:], strict=True):
        packed = packed + (code if stride == 1 else code * stride)
    return packed


def _build_column(xp: Any, column: Column, null_safe: bool, context: RunContext) -> tuple[KeyColumn, Array]:  # noqa: FBT001
    if column.strings is not None:
        key_column, codes = _build_strings(xp, column, context)
    else:
        key_column, codes = _build_values(xp, column)
    if not null_safe:
        return key_column, codes
    null_code = key_column.cardinality
    key_column = KeyColumn(key_column.minimum, key_column.cardinality, key_column.distinct, null_code)
    if column.validity is not None:
        codes = xp.where(column.validity, codes, null_code)
    return key_column, codes


def _build_values(xp: Any, column: Column) -> tuple[KeyColumn, Array]:
    integers = integer_keys(xp, column)
    if integers is None:
        distinct, codes = np.unique(_composite(word_keys(xp, column)), return_inverse=True)
        return KeyColumn(0, len(distinct), distinct, -1), xp.asarray(codes).astype(xp.int64)
    if not column.dtype.is_float:
        known = column.bounds
        if known is None or known[1] - known[0] > 4 * len(integers):
            known = measured_bounds(xp, Column(column.dtype, integers, column.validity))
        low, high = known
        cardinality = high - low + 1
        if cardinality <= PACKED_LIMIT:
            codes = integers.astype(xp.int64)
            codes = codes - low if low else codes
            if column.validity is not None:
                # Garbage in NULL rows must not reach outside the codes.
                codes = xp.where(column.validity, codes, 0)
            return KeyColumn(low, cardinality, None, -1), codes
    distinct, codes = xp.unique(integers.astype(xp.int64), return_inverse=True)
    return KeyColumn(0, len(distinct), distinct, -1), codes.astype(xp.int64)


def _build_strings(xp: Any, column: Column, context: RunContext) -> tuple[KeyColumn, Array]:
    strings = column.strings
    assert strings is not None, "a string column has strings"
    if strings.unique or len(strings) == 0:
        return KeyColumn(0, max(len(strings), 1), strings, -1), column.values.astype(xp.int64)
    kernel = context.kernels.string_match
    codes, first = kernel.factorize(strings.offsets, strings.data, column.values)
    rows = column.values[first].astype(xp.int64)
    offsets, data = kernel.gather(strings.data, strings.offsets[rows], strings.offsets[rows + 1])
    distinct = StringArray(offsets, data, unique=True)
    if len(first):
        distinct.cache[_INDEX] = kernel.string_index(offsets, data)  # for probes, of which there may be many
    return KeyColumn(0, max(len(first), 1), distinct, -1), codes


def encode_probe(
    columns: list[Column], encoding: KeyEncoding, context: RunContext
) -> tuple[Array, Array | None, Array | None]:
    """Pack probe keys by the build side's encoding.

    Returns
    -------
    packed : int64 (n,)
        -1 where a value is not among the build keys; no build key is negative.
    valid : bool (n,) or None
        False where a key that is not null-safe is NULL; such rows hold -1 too. None if there are none.
    known : bool (n,) or None
        False where ``packed`` is -1; None if no row is.
    """
    xp = context.xp
    known: Array | None = None
    valid: Array | None = None
    codes = []
    for column, key_column in zip(columns, encoding.columns, strict=True):
        code, found = _probe_column(xp, column, key_column, context)
        if column.validity is not None:
            if key_column.null_code >= 0:
                code = xp.where(column.validity, code, key_column.null_code)
                found = None if found is None else found | ~column.validity
            else:
                valid = column.validity if valid is None else valid & column.validity
                found = column.validity if found is None else found & column.validity
        if found is not None:
            known = found if known is None else known & found
        codes.append(code)
    if isinstance(encoding, StagedKeyEncoding):
        packed, known = _pack_staged(xp, codes, encoding, known)
    else:
        packed = _pack(xp, codes, encoding.strides)
    if known is not None:
        packed = xp.where(known, packed, -1)
    return packed, valid, known


def _pack_staged(
    xp: Any, codes: list[Array], encoding: StagedKeyEncoding, known: Array | None
) -> tuple[Array, Array | None]:
    packed = codes[0]
    for index, stage in enumerate(encoding.stages):
        if index:
            packed = packed * key_size(encoding.columns[index]) + codes[index]
        if stage is not None:
            packed, found = _positions(xp, stage, packed)
            known = found if known is None else known & found
    return packed, known


def _positions(xp: Any, distinct: Array, values: Array) -> tuple[Array, Array]:
    """Position of each value in a sorted array, and whether it is there."""
    if len(distinct) == 0:
        return xp.zeros(len(values), xp.int64), xp.zeros(len(values), bool)
    positions = xp.minimum(xp.searchsorted(distinct, values), len(distinct) - 1)
    return positions.astype(xp.int64), distinct[positions] == values


def _probe_column(
    xp: Any, column: Column, key_column: KeyColumn, context: RunContext
) -> tuple[Array, Array | None]:
    if column.strings is not None:
        return _probe_strings(xp, column, key_column, context)
    integers = integer_keys(xp, column)
    distinct = key_column.distinct
    if distinct is not None and distinct.dtype.names is not None:
        words = word_keys(xp, column)
        if words.shape[1] != len(distinct.dtype.names):
            raise AssertionError("both sides of a key have the same type")
        positions, found = _positions(np, distinct, _composite(words))
        return xp.asarray(positions), xp.asarray(found)
    if integers is None:
        # Two words on this side only: those that fit one word may match.
        wide = as_wide(xp, column)
        fits = wide[:, 1] == (wide[:, 0] >> 63)
        code, found = _probe_integers(xp, wide[:, 0], None, key_column)
        return code, fits if found is None else fits & found
    return _probe_integers(xp, integers, None if column.dtype.is_float else column.bounds, key_column)


def _probe_integers(
    xp: Any, integers: Array, known: tuple[int, int] | None, key_column: KeyColumn
) -> tuple[Array, Array | None]:
    if key_column.distinct is not None:
        return _positions(xp, key_column.distinct, integers.astype(xp.int64))
    low, high = key_column.minimum, key_column.minimum + key_column.cardinality - 1
    found = None
    if known is None or known[0] < low or known[1] > high:
        found = (integers >= low) & (integers <= high)
    codes = integers.astype(xp.int64)
    if low:
        codes = codes - low
    return codes, found


def _probe_strings(
    xp: Any, column: Column, key_column: KeyColumn, context: RunContext
) -> tuple[Array, Array | None]:
    strings, distinct = column.strings, key_column.distinct
    assert strings is not None, "a string column has strings"
    assert distinct is not None, "string keys are coded by distinct strings"
    if strings is distinct:
        return column.values.astype(xp.int64), None
    if len(strings) == 0 or len(distinct) == 0:
        return xp.zeros(len(column.values), xp.int64), xp.zeros(len(column.values), bool)
    kernel = context.kernels.string_match
    if strings.unique and len(strings) <= 16 * max(len(column.values), 1):
        # Kept with the build side, which usually lives as long as the query.
        key = ("positions of", id(strings))
        cached = distinct.cache.get(key)
        if cached is None or cached[0] is not strings:
            positions = kernel.lookup(distinct.offsets, distinct.data, strings.offsets, strings.data, None)
            # The other array is kept beside the result, as its id alone could be reused.
            cached = (strings, positions)
            remember(distinct, key, cached)
        codes = cached[1][column.values]
    else:
        index = distinct.cache.get(_INDEX)
        if index is None:
            index = kernel.string_index(distinct.offsets, distinct.data)
            remember(distinct, _INDEX, index)
        codes = kernel.lookup_indexed(
            index, distinct.offsets, distinct.data, strings.offsets, strings.data, column.values
        )
    return codes, codes >= 0
