"""Batches in a spill file: what is needed to read one again stays in memory, its arrays do not."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column, StringArray
from gpuql.columnar.parts import stays_in_memory, stored_arrays, string_bytes, with_arrays
from gpuql.columnar.strings import compact_strings, narrow_positions, take_strings
from gpuql.memory.spill_space import SpillFile, SpillSpace

#: Compressed blocks at least this much smaller are worth the time; otherwise the next few are written as they are.
_WORTHWHILE_SHARE = 0.8
_BLOCKS_BETWEEN_TRIALS = 16


@dataclass(frozen=True, eq=False)
class _StoredColumn:
    """A column without its arrays: ``empty`` has no rows but the form; ``own_strings`` are in the block too."""

    empty: Column
    own_strings: bool


@dataclass(frozen=True, eq=False)
class StoredBatch:
    """Where a batch is: ``forms`` are dtype and shape of each array in the block."""

    start: int
    num_bytes: int
    num_rows: int
    forms: Sequence[tuple[Any, tuple[int, ...]]]
    columns: dict[int, _StoredColumn]


class BlockFile:
    """Batches of host arrays in a file that is made when the first one is written. Thread-safe."""

    def __init__(self, space: SpillSpace) -> None:
        self._space = space
        self._file: SpillFile | None = None
        self._lock = threading.Lock()
        self._plain_blocks = 0

    @property
    def num_bytes(self) -> int:
        """Bytes in the file."""
        return 0 if self._file is None else self._file.num_bytes

    def put(self, batch: Batch) -> StoredBatch:
        """Write a batch. Errors: OutOfMemoryError, InputError as ``SpillFile.write``."""
        from gpuql.columnar.arrow_blocks import pack

        arrays: list[Array] = []
        columns = {}
        for key, column in batch.columns.items():
            stored, own_strings = _storable(column)
            arrays.extend(stored_arrays(stored))
            if own_strings:
                assert stored.strings is not None, "own strings are there"
                arrays += [stored.strings.offsets, stored.strings.data]
            columns[key] = _StoredColumn(_without_rows(stored, keep_strings=not own_strings), own_strings)
        compression = self._compression()
        block = pack(arrays, compression=compression)
        plain_bytes = sum(int(array.nbytes) for array in arrays)
        if compression is not None and block.size > _WORTHWHILE_SHARE * plain_bytes:
            self._plain_blocks = _BLOCKS_BETWEEN_TRIALS
        forms = [(array.dtype, array.shape) for array in arrays]
        return StoredBatch(self._opened().write(block), block.size, batch.num_rows, forms, columns)

    def get(self, stored: StoredBatch) -> Batch:
        """Read a batch again. Errors: InputError."""
        from gpuql.columnar.arrow_blocks import unpack

        arrays = iter(unpack(self._opened().read(stored.start, stored.num_bytes), stored.forms))
        columns = {}
        for key, column in stored.columns.items():
            count = len(stored_arrays(column.empty))
            own = [next(arrays) for _ in range(count)]
            strings = column.empty.strings
            if column.own_strings:
                assert strings is not None, "own strings were written"
                strings = StringArray(next(arrays), next(arrays), strings.unique, strings.sorted)
            columns[key] = with_arrays(column.empty, own, strings)
        return Batch(columns, stored.num_rows)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()

    def _opened(self) -> SpillFile:
        with self._lock:
            if self._file is None:
                self._file = self._space.new_file()
            return self._file

    def _compression(self) -> str | None:
        if self._plain_blocks > 0:
            self._plain_blocks -= 1
            return None
        return "lz4"


def _storable(column: Column) -> tuple[Column, bool]:
    """The column as it is written, and whether its strings are written with it.

    Strings of a small dictionary stay where they are; of others, those that the rows use are gathered.
    """
    strings = column.strings
    if strings is None or stays_in_memory(strings):
        return column, False
    column = compact_strings(column)
    strings = column.strings
    assert strings is not None, "a string column has strings"
    if string_bytes(strings) and len(strings) > len(column):
        taken = take_strings(strings, column.values.astype(np.int64))
        positions = narrow_positions(np.arange(len(column)), len(column))
        column = Column(column.dtype, positions, column.validity, taken)
    return column, True


def _without_rows(column: Column, *, keep_strings: bool) -> Column:
    arrays = [array[:0].copy() for array in stored_arrays(column)]
    strings = column.strings
    if strings is not None and not keep_strings:
        strings = StringArray(np.zeros(1, np.int64), np.empty(0, np.uint8), strings.unique, strings.sorted)
    return with_arrays(column, arrays, strings)
