"""Columns between host and device. On the CPU and in the simulator both are the same arrays and nothing is copied."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column, StringArray
from gpuql.columnar.compressed import FrameOfReferenceColumn


class Uploads:
    """Device copies of host columns, kept as long as the host column lives: a table's columns stay resident.

    String arrays keep their identity: columns that share one on the host share its copy on the device, so positions
    stay comparable.
    """

    def __init__(self, xp: Any) -> None:
        self._xp = xp
        self._columns: WeakKeyDictionary[Column, Column] = WeakKeyDictionary()
        self._strings: WeakKeyDictionary[StringArray, StringArray] = WeakKeyDictionary()

    def batch(self, batch: Batch) -> Batch:
        """The batch on the device."""
        if self._xp is np:
            return batch
        return Batch({key: self.column(column) for key, column in batch.columns.items()}, batch.num_rows)

    def column(self, column: Column) -> Column:
        """The column on the device."""
        known = self._columns.get(column)
        if known is None:
            known = self._columns[column] = self._upload(column)
        return known

    def _upload(self, column: Column) -> Column:
        """Offsets from a reference go as they are; runs are decoded here."""
        validity = None if column.validity is None else self._array(column.validity)
        if isinstance(column, FrameOfReferenceColumn):
            assert column.bounds is not None, "an encoded column knows its range"
            offsets = self._array(column.offsets)
            return FrameOfReferenceColumn(column.dtype, offsets, column.reference, validity, column.bounds)
        strings = None if column.strings is None else self.strings(column.strings)
        return Column(column.dtype, self._array(column.values), validity, strings, column.bounds)

    def strings(self, strings: StringArray) -> StringArray:
        """The string array on the device."""
        known = self._strings.get(strings)
        if known is None:
            offsets, data = self._array(strings.offsets), self._array(strings.data)
            known = self._strings[strings] = StringArray(offsets, data, strings.unique, strings.sorted)
        return known

    def _array(self, array: Array) -> Array:
        return self._xp.asarray(array)


def download(batch: Batch, xp: Any) -> Batch:
    """The batch in host memory; waits for the device."""
    if xp is np:
        return batch
    return Batch({key: _download_column(column, xp) for key, column in batch.columns.items()}, batch.num_rows)


def _download_column(column: Column, xp: Any) -> Column:
    strings = column.strings
    if strings is not None:
        offsets, data = xp.asnumpy(strings.offsets), xp.asnumpy(strings.data)
        strings = StringArray(offsets, data, strings.unique, strings.sorted)
    validity = None if column.validity is None else xp.asnumpy(column.validity)
    return Column(column.dtype, xp.asnumpy(column.values), validity, strings, column.bounds)
