"""Group numbers: rows with equal keys (NULLs equal) get the same number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gpuql.columnar.column import Array, Column
from gpuql.expressions.vectors import measured_bounds
from gpuql.operators.contract import RunContext
from gpuql.operators.keys import PACKED_LIMIT, integer_keys, word_keys
from gpuql.thresholds import DENSE_CODES, DENSE_CODES_PER_ROW


@dataclass(frozen=True, eq=False)
class Groups:
    """Group number of each row.

    Attributes
    ----------
    ids : int64 (n,)
    num_groups : int
    first : int64 (num_groups,)
        A row of each group, whose key values stand for the group's.
    """

    ids: Array
    num_groups: int
    first: Array
    _counts: list[Array] = field(default_factory=list)

    def counts(self, context: RunContext) -> Array:
        """Rows of each group, int64; counted once however many aggregates ask."""
        if not self._counts:
            self._counts.append(context.kernels.group_by.count(self.ids, self.num_groups))
        return self._counts[0]


def group_rows(keys: list[Column], num_rows: int, context: RunContext) -> Groups:
    """Number the rows by their keys. No keys: one group, also for no rows."""
    xp = context.xp
    if not keys:
        return Groups(xp.zeros(num_rows, xp.int64), 1, xp.zeros(1 if num_rows else 0, xp.int64))
    if num_rows == 0:
        empty = xp.zeros(0, xp.int64)
        return Groups(empty, 0, empty)
    packed, domain = _packed(keys, context)
    if domain <= max(DENSE_CODES, DENSE_CODES_PER_ROW * num_rows):
        word = xp.int32 if num_rows < 2**31 else xp.int64
        representative = xp.full(domain, -1, word)
        representative[packed] = xp.arange(num_rows, dtype=word)
        used = xp.flatnonzero(representative >= 0)
        first = representative[used].astype(xp.int64)
        if len(used) == domain:
            return Groups(packed, domain, first)
        representative[used] = xp.arange(len(used), dtype=word)
        return Groups(representative[packed].astype(xp.int64), len(used), first)
    ids, first = context.kernels.group_by.factorize(packed)
    return Groups(ids, len(first), first)


def _packed(keys: list[Column], context: RunContext) -> tuple[Array, int]:
    """One int64 code for each row, equal for equal keys, in ``0 … domain - 1``."""
    codes, domain = _codes(keys[0], context)
    for key in keys[1:]:
        code, size = _codes(key, context)
        if domain * size > PACKED_LIMIT:
            codes, first = context.kernels.group_by.factorize(codes)
            domain = len(first)
        codes = codes * size + code
        domain *= size
    return codes, domain


def _codes(column: Column, context: RunContext) -> tuple[Array, int]:
    """Codes of one column, the last one standing for NULL if the column has any."""
    xp = context.xp
    codes, size = _value_codes(column, context)
    if column.validity is not None:
        codes = xp.where(column.validity, codes, size)
        size += 1
    return codes, size


def _value_codes(column: Column, context: RunContext) -> tuple[Array, int]:
    xp = context.xp
    kernel = context.kernels
    if column.strings is not None:
        strings = column.strings
        if strings.unique or len(strings) == 0:
            return column.values.astype(xp.int64), max(len(strings), 1)
        codes, first = kernel.string_match.factorize(strings.offsets, strings.data, column.values)
        return codes, len(first)
    integers = integer_keys(xp, column)
    if integers is None:
        return _word_codes(xp, word_keys(xp, column), context)
    if not column.dtype.is_float:
        known = column.bounds
        if known is None or known[1] - known[0] > 2 * len(integers):
            known = measured_bounds(xp, Column(column.dtype, integers, column.validity))
        low, high = known
        if high - low < PACKED_LIMIT:
            codes = integers.astype(xp.int64)
            return (codes - low if low else codes), high - low + 1
    codes, first = kernel.group_by.factorize(integers.astype(xp.int64))
    return codes, len(first)


def _word_codes(xp: Any, words: Array, context: RunContext) -> tuple[Array, int]:
    kernel = context.kernels.group_by
    codes, first = kernel.factorize(xp.ascontiguousarray(words[:, 0]))
    for index in range(1, words.shape[1]):
        more, more_first = kernel.factorize(xp.ascontiguousarray(words[:, index]))
        codes, first = kernel.factorize(codes * len(more_first) + more)
    return codes, len(first)
