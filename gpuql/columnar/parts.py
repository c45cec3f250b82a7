"""A column as the arrays that it is stored in, so that it can be measured, moved and put together again elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column, StringArray
from gpuql.columnar.compressed import FrameOfReferenceColumn, RunLengthColumn
from gpuql.thresholds import SPILLED_DICTIONARY_BYTES


def stored_arrays(column: Column) -> list[Array]:
    """Arrays that hold the rows of a column as it is stored, strings apart; nothing is decoded."""
    arrays: list[Array]
    if isinstance(column, FrameOfReferenceColumn):
        arrays = [column.offsets]
    elif isinstance(column, RunLengthColumn):
        arrays = [column.run_values, column.run_ends]
    else:
        arrays = [column.values]
    if column.validity is not None:
        arrays.append(column.validity)
    return arrays


def with_arrays(column: Column, arrays: list[Array], strings: StringArray | None) -> Column:
    """A column of the same form over other arrays, which stand in the order of :func:`stored_arrays`."""
    validity = None if column.validity is None else arrays[-1]
    if isinstance(column, FrameOfReferenceColumn):
        assert column.bounds is not None, "an encoded column knows its range"
        return FrameOfReferenceColumn(column.dtype, arrays[0], column.reference, validity, column.bounds)
    if isinstance(column, RunLengthColumn):
        return RunLengthColumn(column.dtype, arrays[0], arrays[1], strings, column.bounds)
    return Column(column.dtype, arrays[0], validity, strings, column.bounds)


def mapped(column: Column, move: Callable[[Array], Array], strings: StringArray | None) -> Column:
    """The column with each of its arrays replaced by ``move`` of it."""
    return with_arrays(column, [move(array) for array in stored_arrays(column)], strings)


def root_of(array: Array) -> Array:
    """The array whose memory ``array`` is a view of; itself if it owns its memory."""
    base: Any = getattr(array, "base", None)
    while base is not None and hasattr(base, "nbytes") and hasattr(base, "base"):
        array, base = base, base.base
    return array


@dataclass(frozen=True)
class BatchSize:
    """Bytes of a batch: of its rows, and of the string arrays that they point into."""

    row_bytes: int
    strings: tuple[StringArray, ...]


def batch_size(batch: Batch, resident: frozenset[int] | set[int] = frozenset()) -> BatchSize:
    """Measure a batch; arrays that are views of arrays whose id is in ``resident`` count nothing."""
    row_bytes = 0
    strings: dict[int, StringArray] = {}
    for column in batch.columns.values():
        for array in stored_arrays(column):
            if not resident or id(root_of(array)) not in resident:
                row_bytes += int(array.nbytes)
        if column.strings is not None and id(root_of(column.strings.offsets)) not in resident:
            strings[id(column.strings)] = column.strings
    return BatchSize(row_bytes, tuple(strings.values()))


def string_bytes(strings: StringArray) -> int:
    """Bytes of a string array."""
    return int(strings.offsets.nbytes) + int(strings.data.nbytes)


def is_small_dictionary(strings: StringArray) -> bool:
    """Whether a string array is a dictionary so small that rows which point into it may share it when they move."""
    return strings.unique and string_bytes(strings) <= SPILLED_DICTIONARY_BYTES
