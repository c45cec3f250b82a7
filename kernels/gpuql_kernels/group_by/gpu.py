"""Grouping kernels on CuPy arrays, or NumPy arrays under the simulator (see ``contract``).

What does not depend on the order of rows is folded with atomics, into several copies of the result while groups are
few: neighbouring threads then write to neighbouring addresses instead of queueing for one. Floats are folded in row
order, in sorted runs, so that a query always gives the same digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.array_module import array_module
from gpuql_kernels.grid.gpu import GridKernel, cuda, grid_kernel, upper_bound
from gpuql_kernels.hash_table.gpu import claim_slots, number_by_first, row_dtype
from gpuql_kernels.thresholds import COPIED_ELEMENTS, FOLD_RUN_ROWS

Array = Any
Scalar = Any

_INTEGER_FOLD = "int64, int64[::1], int64[::1], int64, int64[::1]"
_FOLDS = (
    _INTEGER_FOLD,
    "int64, uint64[::1], int64[::1], int64, uint64[::1]",
    "int64, float64[::1], int64[::1], int64, float64[::1]",
)
_RUN_FOLD = "int64, float64[::1], int64[::1], int64[::1], int64[::1], float64[::1]"


@grid_kernel("int64, int64[::1], int64, int64[::1]")
def _count(n: int, groups: Array, copies: int, result: Array) -> None:
    copy = cuda.grid(1) % copies
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        cuda.atomic.add(result, groups[i] * copies + copy, 1)


@grid_kernel(_INTEGER_FOLD)
def _add(n: int, values: Array, groups: Array, copies: int, result: Array) -> None:
    copy = cuda.grid(1) % copies
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        cuda.atomic.add(result, groups[i] * copies + copy, values[i])


@grid_kernel(*_FOLDS)
def _minimum(n: int, values: Array, groups: Array, copies: int, result: Array) -> None:
    copy = cuda.grid(1) % copies
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        cuda.atomic.min(result, groups[i] * copies + copy, values[i])


@grid_kernel(*_FOLDS)
def _maximum(n: int, values: Array, groups: Array, copies: int, result: Array) -> None:
    copy = cuda.grid(1) % copies
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        cuda.atomic.max(result, groups[i] * copies + copy, values[i])


@grid_kernel(_INTEGER_FOLD)
def _bit_and(n: int, values: Array, groups: Array, copies: int, result: Array) -> None:
    copy = cuda.grid(1) % copies
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        cuda.atomic.and_(result, groups[i] * copies + copy, values[i])


@grid_kernel(_INTEGER_FOLD)
def _bit_or(n: int, values: Array, groups: Array, copies: int, result: Array) -> None:
    copy = cuda.grid(1) % copies
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        cuda.atomic.or_(result, groups[i] * copies + copy, values[i])


@grid_kernel(_INTEGER_FOLD)
def _bit_xor(n: int, values: Array, groups: Array, copies: int, result: Array) -> None:
    copy = cuda.grid(1) % copies
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        cuda.atomic.xor(result, groups[i] * copies + copy, values[i])


@cuda.jit(device=True, inline="always")
def _add_words(result: Array, position: Scalar, low: Scalar, high: Scalar) -> None:
    """Add two words atomically, each for itself: whoever makes the low word wrap carries one into the high word."""
    before = np.uint64(cuda.atomic.add(result, (position, 0), low))
    carry = np.int64(before + np.uint64(low) < before)
    if high + carry != 0:
        cuda.atomic.add(result, (position, 1), high + carry)


@grid_kernel("int64, int64[::1], int64[::1], int64, int64[:,::1]")
def _add_narrow(n: int, values: Array, groups: Array, copies: int, result: Array) -> None:
    copy = cuda.grid(1) % copies
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        value = values[i]
        _add_words(result, groups[i] * copies + copy, value, value >> 63)


@grid_kernel("int64, int64[:,::1], int64[::1], int64, int64[:,::1]")
def _add_wide(n: int, values: Array, groups: Array, copies: int, result: Array) -> None:
    copy = cuda.grid(1) % copies
    for i in range(cuda.grid(1), n, cuda.gridsize(1)):
        _add_words(result, groups[i] * copies + copy, values[i, 0], values[i, 1])


@grid_kernel(_RUN_FOLD)
def _add_runs(n: int, values: Array, run_ends: Array, row_ends: Array, counts: Array, result: Array) -> None:
    """One thread folds one run: up to ``FOLD_RUN_ROWS`` rows of a group, the k-th run of it from its k-th such row."""
    for run in range(cuda.grid(1), n, cuda.gridsize(1)):
        group = upper_bound(run_ends, run)
        end = row_ends[group]
        first_run = run_ends[group] - (counts[group] + FOLD_RUN_ROWS - 1) // FOLD_RUN_ROWS
        begin = end - counts[group] + (run - first_run) * FOLD_RUN_ROWS
        total = np.float64(0.0)
        for row in range(begin, min(begin + FOLD_RUN_ROWS, end)):
            total += values[row]
        result[run] = total


@grid_kernel(_RUN_FOLD)
def _multiply_runs(
    n: int, values: Array, run_ends: Array, row_ends: Array, counts: Array, result: Array
) -> None:
    for run in range(cuda.grid(1), n, cuda.gridsize(1)):
        group = upper_bound(run_ends, run)
        end = row_ends[group]
        first_run = run_ends[group] - (counts[group] + FOLD_RUN_ROWS - 1) // FOLD_RUN_ROWS
        begin = end - counts[group] + (run - first_run) * FOLD_RUN_ROWS
        total = np.float64(1.0)
        for row in range(begin, min(begin + FOLD_RUN_ROWS, end)):
            total *= values[row]
        result[run] = total


def factorize(keys: Array, /) -> tuple[Array, Array]:
    """Number distinct keys: a slot for each key, then the numbers in order of the slots' first rows."""
    xp = array_module(keys)
    num_rows = len(keys)
    if num_rows == 0:
        return xp.zeros(0, np.int64), xp.zeros(0, np.int64)
    bits = max(4, (2 * num_rows - 1).bit_length())
    owners = xp.full(1 << bits, -1, row_dtype(num_rows))
    slots = xp.empty(num_rows, np.int64)
    claim_slots(num_rows, xp.ascontiguousarray(keys, dtype=np.int64), owners, 64 - bits, slots)
    return number_by_first(xp, owners[slots])


def _fold(fold: GridKernel, merge: GridKernel, values: Array | None, groups: Array, start: Array) -> Array:
    """Fold ``values`` into copies of ``start``, which has an element or two words for each group, and merge those."""
    xp = array_module(groups)
    num_rows, num_groups = len(groups), len(start)
    # Merging may cost an eighth of folding.
    copies = max(1, min(COPIED_ELEMENTS, num_rows // 8) // max(1, num_groups))
    result = xp.repeat(start, copies, axis=0)
    inputs = [] if values is None else [xp.ascontiguousarray(values)]
    fold(num_rows, *inputs, xp.ascontiguousarray(groups, dtype=np.int64), copies, result)
    if copies == 1:
        return result
    merge(len(result), result, xp.arange(len(result), dtype=np.int64) // copies, 1, start)
    return start


def count(groups: Array, num_groups: int, /) -> Array:
    """Rows of each group."""
    xp = array_module(groups)
    return _fold(_count, _add, None, groups, xp.zeros(num_groups, np.int64))


def sum_int64(values: Array, groups: Array, num_groups: int, /) -> Array:
    """Integer sums."""
    xp = array_module(groups)
    return _fold(_add, _add, values.astype(np.int64), groups, xp.zeros(num_groups, np.int64))


def sum_words(values: Array, groups: Array, num_groups: int, /) -> Array:
    """Two-word sums."""
    xp = array_module(groups)
    fold = _add_narrow if values.ndim == 1 else _add_wide
    return _fold(fold, _add_wide, values.astype(np.int64), groups, xp.zeros((num_groups, 2), np.int64))


def sum_float64(values: Array, groups: Array, num_groups: int, /) -> Array:
    """Floating sums."""
    if num_groups == 1:
        return values.sum(dtype=np.float64).reshape(1)
    return _fold_in_order(_add_runs, values, groups, num_groups, 0.0)


def minimum(values: Array, groups: Array, num_groups: int, /) -> Array:
    """Smallest values."""
    if num_groups == 1 and len(values):
        return values.min(keepdims=True)
    return _extremes(_minimum, values, groups, num_groups, largest=True)


def maximum(values: Array, groups: Array, num_groups: int, /) -> Array:
    """Largest values."""
    if num_groups == 1 and len(values):
        return values.max(keepdims=True)
    return _extremes(_maximum, values, groups, num_groups, largest=False)


def _extremes(kernel: GridKernel, values: Array, groups: Array, num_groups: int, *, largest: bool) -> Array:
    """Fold as the widest dtype of their kind, on which atomics work, from an extreme of their own dtype."""
    xp = array_module(groups)
    kind = values.dtype.kind
    wide: Any
    extreme: Any
    if kind == "f":
        wide, extreme = np.float64, np.inf if largest else -np.inf
    elif kind == "b":
        wide, extreme = np.int64, int(largest)
    else:
        info = np.iinfo(values.dtype)
        wide, extreme = np.uint64 if kind == "u" else np.int64, info.max if largest else info.min
    result = _fold(kernel, kernel, values.astype(wide), groups, xp.full(num_groups, extreme, wide))
    return result.astype(values.dtype)


_BIT_FOLDS = {"bit_and": (_bit_and, -1), "bit_or": (_bit_or, 0), "bit_xor": (_bit_xor, 0)}


def combine(name: str, values: Array, groups: Array, num_groups: int, /) -> Array:
    """Other folds."""
    if name == "product":
        return _fold_in_order(_multiply_runs, values, groups, num_groups, 1.0)
    kernel, start = _BIT_FOLDS[name]
    xp = array_module(groups)
    return _fold(kernel, kernel, values.astype(np.int64), groups, xp.full(num_groups, start, np.int64))


def _fold_in_order(kernel: GridKernel, values: Array, groups: Array, num_groups: int, start: float) -> Array:
    """Fold runs of rows, then runs of what those gave, until each group is one run."""
    xp = array_module(groups)
    narrow = np.uint8 if num_groups <= 2**8 else np.uint16 if num_groups <= 2**16 else np.int64
    values = values[xp.argsort(groups.astype(narrow), kind="stable")].astype(np.float64)
    result = xp.full(num_groups, start, np.float64)
    if not len(values):
        return result
    counts = count(groups, num_groups)
    while True:
        runs = (counts + (FOLD_RUN_ROWS - 1)) // FOLD_RUN_ROWS
        run_ends = xp.cumsum(runs)
        num_runs, most_runs = xp.stack((run_ends[-1], runs.max())).tolist()
        folded = xp.empty(num_runs, np.float64)
        kernel(num_runs, values, run_ends, xp.cumsum(counts), counts, folded)
        if most_runs == 1:
            result[xp.flatnonzero(runs)] = folded
            return result
        values, counts = folded, runs
