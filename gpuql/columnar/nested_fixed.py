"""Keys of fixed-width values inside of lists, structs and maps: bytes that order as the values do."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql.columnar import two_words
from gpuql.columnar.column import NATURAL_DTYPE, Column
from gpuql_planner.types import DataType, TypeId

Host = np.ndarray[Any, Any]

_SIGN = {1: 0x80, 2: 0x8000, 4: 0x8000_0000, 8: 0x8000_0000_0000_0000}

#: An INTERVAL is months, days and microseconds. Its bytes do not tell that 30 days are as long as a month: plans never
#: compare nested values that hold one (``refuse_uncomparable``).
_INTERVAL_WORDS = 3


def is_two_words(dtype: DataType) -> bool:
    """Fixed-width values that are stored in two words inside of nested values."""
    return dtype.id in (TypeId.HUGEINT, TypeId.UUID) or (dtype.is_decimal and dtype.width > 18)


def fixed_width(dtype: DataType) -> int:
    """Bytes of the key of a fixed-width value."""
    if dtype.id is TypeId.INTERVAL:
        return 8 * _INTERVAL_WORDS
    return 16 if is_two_words(dtype) else int(np.dtype(NATURAL_DTYPE[dtype.id]).itemsize)


def fixed_bytes(column: Column) -> Host:
    """Uint8 (n, width): the key of each value; any value's under NULL."""
    dtype, values = column.dtype, column.values
    if column.validity is not None:
        shaped = column.validity if values.ndim == 1 else column.validity[:, None]
        values = np.where(shaped, values, np.zeros((), values.dtype))
    if dtype.id is TypeId.INTERVAL:
        parts = np.ascontiguousarray(values.astype(np.int64)).view(np.uint64) ^ np.uint64(_SIGN[8])
        return np.ascontiguousarray(parts.astype(">u8")).view(np.uint8).reshape(-1, 8 * _INTERVAL_WORDS)
    if is_two_words(dtype):
        words = two_words.widen(values)
        both = np.empty((len(words), 2), ">u8")
        both[:, 0] = np.ascontiguousarray(words[:, 1]).view(np.uint64) ^ np.uint64(_SIGN[8])
        both[:, 1] = np.ascontiguousarray(words[:, 0]).view(np.uint64)
        return both.view(np.uint8).reshape(-1, 16)
    natural: np.dtype[Any] = np.dtype(NATURAL_DTYPE[dtype.id])
    width = natural.itemsize
    unsigned = np.dtype(f"u{width}")
    if dtype.is_float:
        plain = values.astype(natural) + natural.type(0)  # -0.0 + 0.0 is 0.0
        plain = np.where(np.isnan(plain), natural.type(np.nan), plain)
        bits = np.ascontiguousarray(plain).view(unsigned)
        sign = unsigned.type(_SIGN[width])
        bits = np.where(bits & sign, ~bits, bits | sign)
        bits = np.where(np.isnan(plain), np.iinfo(unsigned).max, bits).astype(unsigned)
    elif natural.kind == "i":
        bits = np.ascontiguousarray(values.astype(natural)).view(unsigned) ^ unsigned.type(_SIGN[width])
    else:
        bits = values.astype(unsigned)
    return np.ascontiguousarray(bits.astype(unsigned.newbyteorder(">"))).view(np.uint8).reshape(-1, width)


def fixed_column(dtype: DataType, key: Host) -> Column:
    """The values of keys."""
    if dtype.id is TypeId.INTERVAL:
        words = np.ascontiguousarray(key).view(">u8").reshape(-1, _INTERVAL_WORDS).astype(np.uint64)
        return Column(dtype, (words ^ np.uint64(_SIGN[8])).view(np.int64))
    if is_two_words(dtype):
        words = np.ascontiguousarray(key).view(">u8").astype(np.uint64)
        values = np.stack((words[:, 1], words[:, 0] ^ np.uint64(_SIGN[8])), axis=1).view(np.int64)
        if bool(two_words.fits_one_word(values).all()):
            return Column(dtype, np.ascontiguousarray(values[:, 0]))
        return Column(dtype, np.ascontiguousarray(values))
    natural: np.dtype[Any] = np.dtype(NATURAL_DTYPE[dtype.id])
    width = natural.itemsize
    unsigned = np.dtype(f"u{width}")
    bits = np.ascontiguousarray(key).view(unsigned.newbyteorder(">")).reshape(-1).astype(unsigned)
    if dtype.is_float:
        has_nan = bool((bits == np.iinfo(unsigned).max).any())
        flipped = bits >> unsigned.type(8 * width - 1)
        flipped -= unsigned.type(1)  # all bits of a negative number were flipped, of others the sign alone
        flipped |= unsigned.type(_SIGN[width])
        bits ^= flipped
        plain = bits.view(natural)
        return Column(dtype, np.where(np.isnan(plain), natural.type(np.nan), plain) if has_nan else plain)
    if natural.kind == "i":
        return Column(dtype, (bits ^ unsigned.type(_SIGN[width])).view(natural))
    return Column(dtype, bits.astype(natural))
