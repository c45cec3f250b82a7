"""Arrays as compressed bytes and back, by the codec that Arrow brings along."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from gpuql.columnar.arrow_buffers import buffer_view

Host = np.ndarray[Any, Any]


def compressed(array: Host) -> Host:
    """The bytes of a contiguous array, compressed by LZ4; uint8 (n,)."""
    packed = _codec().compress(pa.py_buffer(array.reshape(-1).view(np.uint8)))
    return buffer_view(packed, np.uint8, 0, packed.size)


def decompressed(content: Host, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Host:
    """The array whose bytes :func:`compressed` made ``content`` of."""
    length = int(np.prod(shape, dtype=np.int64))
    plain = _codec().decompress(pa.py_buffer(content), decompressed_size=length * dtype.itemsize)
    return buffer_view(plain, dtype, 0, length).reshape(shape)


@cache
def _codec() -> Any:
    return pa.Codec("lz4_raw")
