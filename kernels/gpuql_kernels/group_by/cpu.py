"""Grouping kernels on NumPy arrays (see ``contract``): NumPy alone for few rows, compiled loops beyond."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.thresholds import (
    GROUP_TABLE_KEYS,
    MOST_GROUP_PARTITION_BITS,
    PARTITIONED_GROUP_ROWS,
    SMALL_GROUP_ROWS,
)

Array = Any


def _loops() -> Any:
    from gpuql_kernels.group_by import cpu_loops

    return cpu_loops


def factorize(keys: Array, /) -> tuple[Array, Array]:
    """Number distinct keys."""
    if len(keys) >= SMALL_GROUP_ROWS:
        return _factorize_many(np.ascontiguousarray(keys, np.int64))
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    # np.unique numbers by value; renumber by first occurrence.
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return rank[inverse], first[order].astype(np.int64)


def few_distinct(keys: Array) -> tuple[Array, Array] | None:
    """As :func:`factorize`, of int64, in one table; None if so many are distinct that partitions are faster."""
    most = len(keys) if len(keys) < PARTITIONED_GROUP_ROWS else GROUP_TABLE_KEYS
    codes, first = _loops().factorize(keys, most)
    return None if len(first) > most else (codes, first)


def first_of_hash(hashes: Array) -> Array:
    """Of each row the first with its hash (uint64, all bits mixed), int64, in the memory of ``hashes``.

    Memory beside it: 12 bytes a row, 16 from 2^31 rows.
    """
    num_bits = min(MOST_GROUP_PARTITION_BITS, max(1, (len(hashes) // GROUP_TABLE_KEYS).bit_length()))
    loops = _loops()
    rows = np.empty(len(hashes), np.int32 if len(hashes) < 2**31 else np.int64)
    scattered, ends = loops.scatter(hashes, rows, num_bits)
    result = hashes.view(np.int64)
    loops.first_of_hash(scattered, rows, ends, result)
    return result


def number_representatives(representatives: Array) -> Array:
    """First rows in order; ``representatives``, the first equal row of each, become codes in place."""
    return _loops().number(representatives)


def _factorize_many(keys: Array) -> tuple[Array, Array]:
    found = few_distinct(keys)
    if found is not None:
        return found
    codes = first_of_hash(_loops().hash_keys(keys))
    return codes, number_representatives(codes)


def count(groups: Array, num_groups: int, /) -> Array:
    """Rows of each group."""
    return np.bincount(groups, minlength=num_groups).astype(np.int64, copy=False)


def sum_int64(values: Array, groups: Array, num_groups: int, /) -> Array:
    """Integer sums."""
    if num_groups == 1:
        return np.array([values.sum(dtype=np.int64)])
    if len(values) >= SMALL_GROUP_ROWS:
        return _loops().sum_int64(values, groups, num_groups)
    result = np.zeros(num_groups, np.int64)
    np.add.at(result, groups, values.astype(np.int64))
    return result


def sum_words(values: Array, groups: Array, num_groups: int, /) -> Array:
    """Two-word sums."""
    if values.ndim == 1:
        narrow = values.astype(np.int64)
        values = np.stack((narrow, narrow >> 63), axis=-1)
    if len(values) >= SMALL_GROUP_ROWS:
        return _loops().sum_words(values, groups, num_groups)
    # Four sums of 32-bit parts cannot overflow for so few rows; carries are added up at the end.
    parts = np.zeros((num_groups, 4), np.int64)
    for index, part in enumerate(
        (
            values[:, 0] & 0xFFFFFFFF,
            (values[:, 0] >> 32) & 0xFFFFFFFF,
            values[:, 1] & 0xFFFFFFFF,
            values[:, 1] >> 32,
        )
    ):
        np.add.at(parts[:, index], groups, part)
    parts[:, 1] += parts[:, 0] >> 32
    parts[:, 2] += parts[:, 1] >> 32
    parts[:, 3] += parts[:, 2] >> 32
    low = (parts[:, 0] & 0xFFFFFFFF) | (parts[:, 1] << 32)
    high = (parts[:, 2] & 0xFFFFFFFF) | (parts[:, 3] << 32)
    return np.stack((low, high), axis=-1)


def sum_float64(values: Array, groups: Array, num_groups: int, /) -> Array:
    """Floating sums."""
    if num_groups == 1:
        return np.array([values.sum(dtype=np.float64)])
    # Of no rows at all bincount gives integers.
    return np.bincount(groups, weights=values, minlength=num_groups).astype(np.float64, copy=False)


def minimum(values: Array, groups: Array, num_groups: int, /) -> Array:
    """Smallest values."""
    if num_groups == 1 and len(values):
        return values.min(keepdims=True)
    result = np.full(num_groups, _extreme(values.dtype, largest=True), values.dtype)
    if len(values) >= SMALL_GROUP_ROWS:
        _loops().minimum(values, groups, result)
    else:
        np.minimum.at(result, groups, values)
    return result


def maximum(values: Array, groups: Array, num_groups: int, /) -> Array:
    """Largest values."""
    if num_groups == 1 and len(values):
        return values.max(keepdims=True)
    result = np.full(num_groups, _extreme(values.dtype, largest=False), values.dtype)
    if len(values) >= SMALL_GROUP_ROWS:
        _loops().maximum(values, groups, result)
    else:
        np.maximum.at(result, groups, values)
    return result


def _extreme(dtype: Any, *, largest: bool) -> Any:
    if dtype.kind == "f":
        return np.inf if largest else -np.inf
    if dtype.kind == "b":
        return largest
    info = np.iinfo(dtype)
    return info.max if largest else info.min


_FOLDS = {
    "product": (np.multiply, 1.0),
    "bit_and": (np.bitwise_and, -1),
    "bit_or": (np.bitwise_or, 0),
    "bit_xor": (np.bitwise_xor, 0),
}


def combine(name: str, values: Array, groups: Array, num_groups: int, /) -> Array:
    """Other folds."""
    function, start = _FOLDS[name]
    result = np.full(num_groups, start, np.float64 if name == "product" else np.int64)
    function.at(result, groups, values.astype(result.dtype))
    return result
