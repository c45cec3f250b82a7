"""128-bit integers as two int64 words, low word first: how HUGEINT and DECIMAL beyond one word are stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpuql.columnar.column import Array

INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1
_WORD = 2**64


def fits_one_word(words: Array) -> Array:
    """Bool (n,): does each value of int64 ``words`` (n, 2) lie in the range of int64."""
    return words[:, 1] == (words[:, 0] >> 63)


def widen(values: Array, *, xp: Any = np) -> Array:
    """Integers (n,) of any width as int64 (n, 2); two-word input is returned as it is."""
    if values.ndim == 2:
        return values
    words = xp.empty((len(values), 2), dtype=np.int64)
    words[:, 0] = values.astype(np.int64)
    words[:, 1] = 0 if values.dtype.kind in "ub" else words[:, 0] >> 63
    return words


def from_integers(integers: Sequence[int]) -> np.ndarray[Any, Any]:
    """Python integers in the range of 128 bits as int64 (n, 2); OverflowError beyond it."""
    data = b"".join(value.to_bytes(16, "little", signed=True) for value in integers)
    return np.frombuffer(bytearray(data), dtype="<i8").reshape(-1, 2)


def to_integers(words: Array) -> list[int]:
    """Python integers of int64 ``words`` (n, 2)."""
    low = words[:, 0].tolist()
    high = words[:, 1].tolist()
    return [high_word * _WORD + low_word % _WORD for low_word, high_word in zip(low, high, strict=True)]


def bounds(words: Array) -> tuple[int, int]:
    """Exact smallest and largest value of int64 ``words`` (n, 2), n > 0."""
    high = words[:, 1]
    extremes = []
    for extreme, of_low in ((int(high.min()), "min"), (int(high.max()), "max")):
        low = words[:, 0][high == extreme].view(np.uint64)
        extremes.append(extreme * _WORD + int(getattr(low, of_low)()))
    return extremes[0], extremes[1]
