"""Window kernels on NumPy arrays (see ``contract``): NumPy alone for few rows, compiled loops beyond."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql_kernels.thresholds import SMALL_WINDOW_ROWS
from gpuql_kernels.window.contract import FOLDS
from gpuql_kernels.window.doubling import fold_spans, merge_function, neutral_element, search_ranges

Array = Any


def _loops() -> Any:
    from gpuql_kernels.window import cpu_loops

    return cpu_loops


def fold(name: str, values: Array, start: Array, stop: Array, /) -> Array:
    """From the frame before where that is a part of this one, else over a tree of spans."""
    if len(start) < SMALL_WINDOW_ROWS:
        neutral = neutral_element(np, name, values.dtype)
        return fold_spans(np, (values,), (neutral,), merge_function(np, name), start, stop)[0]
    kind: Any = np.float64 if values.dtype.kind == "f" else np.int64
    leaves = np.ascontiguousarray(values, kind)
    arguments = (FOLDS.index(name), kind(neutral_element(np, name, leaves.dtype)))
    loops = _loops()
    run = loops.fold_floats if kind is np.float64 else loops.fold_integers
    # Each level folds so many entries of the one below.
    levels, parts, below = [0], [], leaves
    while len(below) > 2 * loops.LEAF_ROWS:
        bounds = np.minimum(np.arange(0, len(below) + loops.LEAF_ROWS, loops.LEAF_ROWS), len(below))
        above = np.empty(len(bounds) - 1, kind)
        run(below, bounds[:-1], bounds[1:], above, np.zeros(1, np.int64), *arguments, above)
        parts.append(above)
        levels.append(levels[-1] + len(above))
        below = above
    tree = np.concatenate(parts) if parts else np.empty(0, kind)
    result = np.empty(len(start), kind)
    places = (np.ascontiguousarray(start), np.ascontiguousarray(stop))
    run(leaves, *places, tree, np.asarray(levels), *arguments, result)
    return result.astype(values.dtype, copy=False)


def search(keys: Array, values: Array, low: Array, high: Array, /, *, past_equal: bool) -> Array:
    """Each search begins where the one before ended."""
    if len(low) < SMALL_WINDOW_ROWS:
        return search_ranges(np, keys, values, low, high, past_equal=past_equal)
    result = np.empty(len(low), np.int64)
    arrays = [np.ascontiguousarray(array) for array in (keys, values, low, high)]
    _loops().search(*arrays, past_equal, result)
    return result
