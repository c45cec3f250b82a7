"""NumPy views of Arrow buffers, and Arrow arrays over NumPy memory, without copying where possible."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

Host = np.ndarray[Any, Any]


class _BufferHolder:
    """Lends an Arrow buffer to NumPy as writable memory and keeps it alive.

    Arrow marks its buffers read-only, and compiled code would treat a read-only array as another type and be
    compiled twice. Nothing writes to columns.
    """

    def __init__(self, buffer: Any, offset_bytes: int, dtype: np.dtype[Any], length: int) -> None:
        self.buffer = buffer
        self.__array_interface__ = {
            "version": 3,
            "typestr": dtype.str,
            "shape": (length,),
            "data": (buffer.address + offset_bytes, False),
        }


def buffer_view(buffer: Any, dtype: Any, offset: int, length: int) -> Host:
    """Elements ``offset`` to ``offset + length`` of an Arrow buffer.

    Copied only if the memory is not aligned.
    """
    dtype = np.dtype(dtype)
    if buffer is None or length == 0:
        return np.empty(0, dtype=dtype)
    array = np.asarray(_BufferHolder(buffer, offset * dtype.itemsize, dtype, length))
    return array if array.flags.aligned else array.copy()


def bits_view(buffer: Any, offset: int, length: int) -> Host:
    """Bool array (a copy) of the bits ``offset`` to ``offset + length`` of an Arrow bitmap."""
    first = offset // 8
    packed = buffer_view(buffer, np.uint8, first, (offset + length + 7) // 8 - first)
    skip = offset - first * 8
    return np.unpackbits(packed, count=skip + length, bitorder="little")[skip:].view(np.bool_)


def chunks_of(array: Any) -> list[Any]:
    """Non-empty arrays that make up an Arrow Array or ChunkedArray."""
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    return [chunk for chunk in chunks if len(chunk)]


def validity_of(chunks: list[Any]) -> Host | None:
    """Bool (n,), True where not null, over all chunks; None if nothing is null."""
    if not any(chunk.null_count for chunk in chunks):
        return None
    validity = np.ones(sum(len(chunk) for chunk in chunks), dtype=np.bool_)
    start = 0
    for chunk in chunks:
        bitmap = chunk.buffers()[0]
        if pa.types.is_null(chunk.type):
            validity[start : start + len(chunk)] = False
        elif chunk.null_count and bitmap is not None:
            validity[start : start + len(chunk)] = bits_view(bitmap, chunk.offset, len(chunk))
        start += len(chunk)
    return validity


def validity_buffer(validity: Host | None) -> Any:
    """Arrow bitmap of a bool array; None for None."""
    return None if validity is None else pa.py_buffer(np.packbits(validity, bitorder="little"))
