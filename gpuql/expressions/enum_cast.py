"""Casts between ENUM and text, and functions of the stored place of a label."""

from __future__ import annotations

import numpy as np

from gpuql.columnar.column import Column, StringArray
from gpuql.columnar.strings import entry_bytes, on_host, sorted_dictionary
from gpuql.expressions.vectors import EvaluationContext
from gpuql_planner.errors import ConversionError, NotSupportedError
from gpuql_planner.types import DataType, TypeId


def cast_enum(column: Column, dtype: DataType, context: EvaluationContext, *, try_: bool) -> Column:
    """An ENUM as its label, or text as the ENUM that has it as a label.

    Errors: ConversionError for a text that is no label, unless ``try_`` is set; then it is NULL.
    """
    if column.dtype.is_enum and dtype.id is TypeId.VARCHAR:
        return _labels(column, dtype, context)
    if dtype.is_enum and column.dtype.id is TypeId.VARCHAR:
        return _places(column, dtype, context, try_=try_)
    raise NotSupportedError(f"cast is not supported: {column.dtype} to {dtype}")


def _labels(column: Column, dtype: DataType, context: EvaluationContext) -> Column:
    xp = context.xp
    entries = [label.encode() for label in column.dtype.labels]
    strings, position = sorted_dictionary(entries)
    place_of_label = xp.asarray(np.array([position[entry] for entry in entries], np.int32))
    there = StringArray(xp.asarray(strings.offsets), xp.asarray(strings.data), strings.unique, strings.sorted)
    return Column(dtype, place_of_label[column.values.astype(xp.int64)], column.validity, there)


def _places(column: Column, dtype: DataType, context: EvaluationContext, *, try_: bool) -> Column:
    xp = context.xp
    assert column.strings is not None, "text has strings"
    places = {label.encode(): place for place, label in enumerate(dtype.labels)}
    entries = entry_bytes(column.strings)
    place_of_entry = xp.asarray(np.array([places.get(entry, -1) for entry in entries] or [-1], np.int32))
    positions = column.values.astype(xp.int64)
    values = place_of_entry[positions]
    validity = column.validity
    wrong = values < 0 if validity is None else (values < 0) & validity
    if bool(wrong.any()):
        if not try_:
            row = int(xp.flatnonzero(wrong)[0])
            text = entries[int(on_host(positions)[row])].decode()
            raise ConversionError(f"text is no label of the type: {text!r} ({dtype})")
        validity = ~wrong if validity is None else validity & ~wrong
    return Column(dtype, xp.where(values < 0, 0, values), validity, None, (0, len(dtype.fields) - 1))


def enum_code(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Place of the label."""
    [column] = arguments
    return Column(dtype, column.values, column.validity, None, (0, len(column.dtype.fields) - 1))


FUNCTIONS = {"enum_code": enum_code}
