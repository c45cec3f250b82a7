"""Lists, arrays, structs and maps between Python and columns.

A list; a tuple; a dict, or a tuple of a row without names; a dict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gpuql.columnar.column import Column
from gpuql.columnar.construct import column_from_python, column_to_python
from gpuql.columnar.nested import (
    host_column,
    lists_column,
    read_lists,
    read_structs,
    structs_column,
)
from gpuql_planner.errors import ConversionError
from gpuql_planner.types import DataType, TypeId, is_row


def nested_from_python(values: Sequence[Any], dtype: DataType) -> Column:
    """Host column of Python values; None is NULL. Errors: ConversionError for a value of another kind."""
    present = np.array([value is not None for value in values], np.bool_)
    validity = None if bool(present.all()) else present
    if dtype.id is TypeId.STRUCT:
        parts = [_struct_parts(value, dtype) for value in values]
        fields = tuple(
            column_from_python([part[place] for part in parts], kind)
            for place, (_, kind) in enumerate(dtype.fields)
        )
        return structs_column(dtype, fields, len(values), validity)
    lists = [_items(value, dtype) for value in values]
    lengths = np.array([len(items) for items in lists], np.int64)
    if dtype.is_array and bool((lengths[present] != dtype.width).any()):
        raise ConversionError(f"number of elements is not that of the type: {dtype}")
    elements = column_from_python([item for items in lists for item in items], dtype.element)
    return lists_column(dtype, lengths, elements, validity)


def _struct_parts(value: Any, dtype: DataType) -> Sequence[Any]:
    if value is None:
        return [None] * len(dtype.fields)
    if isinstance(value, Mapping):
        folded = {str(name).lower(): part for name, part in value.items()}
        return [folded.get(name.lower()) for name, _ in dtype.fields]
    if isinstance(value, (tuple, list)) and len(value) == len(dtype.fields):
        return value
    raise ConversionError(f"value is not of type {dtype}: {value!r}")


def _items(value: Any, dtype: DataType) -> list[Any]:
    if value is None:
        return []
    if dtype.id is TypeId.MAP and isinstance(value, Mapping):
        return [{"key": key, "value": item} for key, item in value.items()]
    if isinstance(value, (str, bytes, Mapping)):
        raise ConversionError(f"value is not of type {dtype}: {value!r}")
    try:
        return list(value)
    except TypeError:
        raise ConversionError(f"value is not of type {dtype}: {value!r}") from None


def nested_to_python(column: Column, zone: str = "UTC") -> list[Any]:
    """Values as Python objects; None is NULL. Moments are in ``zone``."""
    column = host_column(column)
    valid = [True] * len(column) if column.validity is None else column.validity.tolist()
    if column.dtype.id is TypeId.STRUCT:
        fields = read_structs(column).fields
        rows = list(zip(*(column_to_python(field, zone) for field in fields), strict=True))
        if not is_row(column.dtype):
            names = [name for name, _ in column.dtype.fields]
            rows = [dict(zip(names, row, strict=True)) for row in rows]  # type: ignore[misc]
        return [row if good else None for row, good in zip(rows, valid, strict=True)]
    lists = read_lists(column)
    offsets = lists.offsets.tolist()
    if column.dtype.id is TypeId.MAP:
        return _maps(lists.elements, offsets, valid, zone)
    elements = column_to_python(lists.elements, zone)
    kind: type = tuple if column.dtype.is_array else list
    return [kind(elements[offsets[i] : offsets[i + 1]]) if good else None for i, good in enumerate(valid)]


def _maps(entries: Column, offsets: list[int], valid: list[bool], zone: str) -> list[Any]:
    keys, items = (column_to_python(field, zone) for field in read_structs(entries).fields)
    maps: list[Any] = []
    for row, good in enumerate(valid):
        own = slice(offsets[row], offsets[row + 1])
        if not good:
            maps.append(None)
        elif all(key.__hash__ is not None for key in keys[own]):
            maps.append(dict(zip(keys[own], items[own], strict=True)))
        else:  # lists and dicts are no keys of a dict
            maps.append({"key": keys[own], "value": items[own]})
    return maps
