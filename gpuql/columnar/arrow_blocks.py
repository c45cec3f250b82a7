"""Arrays as one block of bytes and back: an Arrow IPC message with one row of binary cells, compressed or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from gpuql.columnar.arrow_buffers import buffer_view

Host = np.ndarray[Any, Any]


def pack(arrays: Sequence[Host], *, compression: str | None) -> Any:
    """A buffer (it has ``size``) that :func:`unpack` reads; ``compression`` is lz4, zstd, None."""
    cells = []
    for array in arrays:
        contiguous = np.ascontiguousarray(array)
        ends = pa.py_buffer(np.array([0, contiguous.nbytes], np.int64))
        content = pa.py_buffer(contiguous.reshape(-1).view(np.uint8))
        cells.append(pa.LargeBinaryArray.from_buffers(pa.large_binary(), 1, [None, ends, content]))
    message = pa.record_batch(cells, names=[str(position) for position in range(len(cells))])
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression, use_threads=False)
    with pa.ipc.new_stream(sink, message.schema, options=options) as writer:
        writer.write_batch(message)
    return sink.getvalue()


def unpack(block: Host, forms: Sequence[tuple[np.dtype[Any], tuple[int, ...]]]) -> list[Host]:
    """Arrays of the given dtypes and shapes from the bytes (uint8) that :func:`pack` made; views where uncompressed."""
    if not forms:
        return []
    with pa.ipc.open_stream(pa.py_buffer(block)) as reader:
        message = reader.read_next_batch()
    arrays = []
    for cell, (dtype, shape) in zip(message.columns, forms, strict=True):
        length = int(np.prod(shape, dtype=np.int64))
        arrays.append(buffer_view(cell.buffers()[2], dtype, 0, length).reshape(shape))
    return arrays
