"""Joining batches and columns end to end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuql.columnar import two_words
from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column, StringArray
from gpuql.columnar.strings import (
    compact_strings,
    concat_string_arrays,
    merge_dictionaries,
    narrow_positions,
)
from gpuql.thresholds import MERGED_DICTIONARY_ENTRIES


def concat_batches(batches: Sequence[Batch], *, xp: Any = np) -> Batch:
    """All rows of ``batches`` in order. All hold the same attributes; no batches give a batch of nothing."""
    if not batches:
        return Batch({}, 0)
    if len(batches) == 1:
        return batches[0]
    filled = [batch for batch in batches if batch.num_rows] or [batches[0]]
    if len(filled) == 1:
        return filled[0]
    keys = filled[0].columns
    columns = {key: concat_columns([batch.columns[key] for batch in filled], xp=xp) for key in keys}
    return Batch(columns, sum(batch.num_rows for batch in filled))


def concat_columns(columns: Sequence[Column], *, xp: Any = np) -> Column:
    """All rows of ``columns`` (at least one, equal types) in order.

    Widths are unified to the widest. String columns that share one StringArray keep it; small ones get a
    common dictionary; otherwise entries are joined and positions shifted, and the result is neither unique
    nor sorted.
    """
    filled = [column for column in columns if len(column)] or [columns[0]]
    first = filled[0]
    if len(filled) == 1:
        return first
    validity = _concat_validity(filled, xp)
    if first.strings is not None:
        values, strings = _concat_strings(filled, xp)
        return Column(first.dtype, values, validity, strings)
    bounds = None
    if all(column.bounds is not None for column in filled):
        known = [column.bounds for column in filled if column.bounds is not None]
        bounds = (min(low for low, _ in known), max(high for _, high in known))
    values = _concat_values([column.values for column in filled], xp)
    return Column(first.dtype, values, validity, None, bounds)


def _concat_validity(columns: Sequence[Column], xp: Any) -> Array | None:
    if all(column.validity is None for column in columns):
        return None
    return xp.concatenate(
        [xp.ones(len(c), dtype=np.bool_) if c.validity is None else c.validity for c in columns]
    )


def _concat_values(parts: Sequence[Array], xp: Any) -> Array:
    if any(part.ndim == 2 for part in parts) and any(part.ndim == 1 for part in parts):
        return xp.concatenate([two_words.widen(part, xp=xp) for part in parts])
    if len({part.dtype for part in parts}) == 1:
        return xp.concatenate(parts)
    # NumPy would join uint64 and signed integers as float64; uint64 appears only where no value is negative.
    target = np.dtype(np.uint64) if any(part.dtype == np.uint64 for part in parts) else None
    if target is None:
        target = np.result_type(*[part.dtype for part in parts])
    return xp.concatenate([part.astype(target, copy=False) for part in parts])


def _concat_strings(columns: Sequence[Column], xp: Any) -> tuple[Array, StringArray]:
    if len({id(column.strings) for column in columns}) == 1:
        assert columns[0].strings is not None, "a string column has strings"
        return _concat_values([column.values for column in columns], xp), columns[0].strings
    columns = [compact_strings(column, xp=xp) for column in columns]
    distinct: dict[int, StringArray] = {}
    for column in columns:
        assert column.strings is not None, "all columns of one type have strings"
        distinct.setdefault(id(column.strings), column.strings)
    arrays = list(distinct.values())
    num_entries = sum(len(strings) for strings in arrays)
    if num_entries <= MERGED_DICTIONARY_ENTRIES and all(strings.unique for strings in arrays):
        merged, new_positions = merge_dictionaries(arrays)
        moved = {key: xp.asarray(positions) for key, positions in zip(distinct, new_positions, strict=True)}
        # Positions in an empty StringArray belong to NULL rows and may be anything.
        parts = [
            moved[id(c.strings)][c.values] if len(moved[id(c.strings)]) else xp.zeros(len(c), dtype=np.int32)
            for c in columns
        ]
        strings = StringArray(xp.asarray(merged.offsets), xp.asarray(merged.data), unique=True, sorted=True)
        return narrow_positions(xp.concatenate(parts), len(merged)), strings
    starts: dict[int, int] = {}
    done = 0
    for key, strings in distinct.items():
        starts[key] = done if len(strings) else 0
        done += len(strings)
    dtype = np.int32 if done < 2**31 else np.int64
    parts = [
        column.values.astype(dtype) + dtype(starts[id(column.strings)])
        if len(distinct[id(column.strings)])
        else xp.zeros(len(column), dtype=dtype)
        for column in columns
    ]
    return xp.concatenate(parts), concat_string_arrays(arrays, xp=xp)
