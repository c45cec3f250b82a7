"""Window kernels on CuPy arrays, or NumPy arrays under the simulator (see ``contract``): whole-array operations."""

from __future__ import annotations

from typing import Any

from gpuql_kernels.array_module import array_module
from gpuql_kernels.window.doubling import fold_spans, merge_function, neutral_element, search_ranges

Array = Any


def fold(name: str, values: Array, start: Array, stop: Array, /) -> Array:
    """As many rounds as the longest frame's length has bits."""
    xp = array_module(values)
    neutral = neutral_element(xp, name, values.dtype)
    return fold_spans(xp, (values,), (neutral,), merge_function(xp, name), start, stop)[0]


def search(keys: Array, values: Array, low: Array, high: Array, /, *, past_equal: bool) -> Array:
    """As many rounds as the longest range's length has bits."""
    return search_ranges(array_module(keys), keys, values, low, high, past_equal=past_equal)
