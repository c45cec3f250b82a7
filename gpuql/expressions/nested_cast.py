"""CAST and TRY_CAST with a list, array, struct or map on one side or both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column
from gpuql.columnar.construct import column_to_python, null_column, strings_from_python
from gpuql.columnar.nested import (
    Lists,
    device_column,
    host_column,
    lists_column,
    read_lists,
    read_structs,
    structs_column,
)
from gpuql.expressions.cast import evaluate_cast
from gpuql.expressions.list_rows import blanked
from gpuql.expressions.nested_text import always_quoted, list_items, pairs, quoted, row_items
from gpuql.expressions.vectors import EvaluationContext, Scalars
from gpuql_planner.errors import ConversionError
from gpuql_planner.types import VARCHAR, DataType, TypeId, is_row, map_of


def host_context(context: EvaluationContext) -> EvaluationContext:
    """The context for work on the host's copy of a column."""
    if context.xp is np:
        return context
    from gpuql_kernels.families import cpu_families

    return Scalars(np, cpu_families())


def cast_nested(
    column: Column, dtype: DataType, context: EvaluationContext, *, try_: bool, zone: str = ""
) -> Column:
    """A cast whose source or target is nested; ``zone`` is that of TIMESTAMPTZ."""
    if _same_bytes(column.dtype, dtype):
        return Column(dtype, column.values, column.validity, column.strings, column.bounds)
    host = host_column(column)
    on_host = host_context(context)
    if host.dtype == VARCHAR:
        result = _parsed(host, dtype, on_host, try_=try_, zone=zone)
    elif dtype == VARCHAR:
        result = strings_from_python(texts(host, on_host, zone))
    else:
        result = _parts_cast(host, dtype, on_host, try_=try_, zone=zone)
    return device_column(context.xp, result)


def _parts_cast(
    column: Column, dtype: DataType, context: EvaluationContext, *, try_: bool, zone: str
) -> Column:
    if dtype.id is TypeId.STRUCT:
        fields = read_structs(column).fields
        by_place = is_row(column.dtype) or is_row(dtype)
        chosen = []
        for place, (name, part) in enumerate(dtype.fields):
            source = place if by_place else column.dtype.field(name)
            if source is None or source >= len(fields):
                chosen.append(null_column(part, len(column)))
            else:
                chosen.append(_cast_rows(fields[source], part, context, try_=try_, zone=zone))
        return structs_column(dtype, tuple(chosen), len(column), column.validity)
    lists = read_lists(column)
    elements = _cast_rows(lists.elements, dtype.element, context, try_=try_, zone=zone)
    validity = column.validity
    if dtype.is_array and not column.dtype.is_array:
        wrong = lists.lengths != dtype.width
        if validity is not None:
            wrong &= validity
        if bool(wrong.any()):
            if not try_:
                length = int(lists.lengths[wrong][0])
                raise ConversionError(f"cannot convert a list of {length} elements to {dtype}")
            fits = Lists(lists.offsets, elements)
            validity = ~wrong if validity is None else validity & ~wrong
            lists = blanked(fits, validity)
            elements = lists.elements
    return lists_column(dtype, lists.lengths, elements, validity)


def _same_bytes(source: DataType, target: DataType) -> bool:
    """An array is stored as the list of its elements is."""
    return source.is_array and target.is_list and source.element == target.element


# --- to text -----------------------------------------------------------------------------------------------------


def texts(column: Column, context: EvaluationContext, zone: str = "") -> list[str | None]:
    """Text of each value of a host column, None for NULL."""
    if not column.dtype.is_nested:
        if len(column) == 0:
            return []
        return column_to_python(evaluate_cast(column, VARCHAR, context, zone=zone))
    valid = [True] * len(column) if column.validity is None else column.validity.tolist()
    if column.dtype.id is TypeId.STRUCT:
        parts = [_inner_texts(field, context, zone) for field in read_structs(column).fields]
        rows: list[str] = []
        if is_row(column.dtype):
            rows = [f"({', '.join(row)})" for row in zip(*parts, strict=True)]
        else:
            names = [always_quoted(name) for name, _ in column.dtype.fields]
            for row in zip(*parts, strict=True):
                rows.append("{" + ", ".join(f"{n}: {p}" for n, p in zip(names, row, strict=True)) + "}")
        return [row if good else None for row, good in zip(rows, valid, strict=True)]
    lists = read_lists(column)
    offsets = lists.offsets.tolist()
    if column.dtype.id is TypeId.MAP:
        keys, items = (_inner_texts(field, context, zone) for field in read_structs(lists.elements).fields)
        entries = [f"{key}={item}" for key, item in zip(keys, items, strict=True)]
        opening, closing = "{", "}"
    else:
        entries = _inner_texts(lists.elements, context, zone)
        opening, closing = "[", "]"
    return [
        opening + ", ".join(entries[offsets[i] : offsets[i + 1]]) + closing if good else None
        for i, good in enumerate(valid)
    ]


def _inner_texts(column: Column, context: EvaluationContext, zone: str) -> list[str]:
    written: Callable[[str], str] = str if column.dtype.is_nested else quoted
    return ["NULL" if text is None else written(text) for text in texts(column, context, zone)]


# --- from text ---------------------------------------------------------------------------------------------------


def _parsed(column: Column, dtype: DataType, context: EvaluationContext, *, try_: bool, zone: str) -> Column:
    rows: list[str | None] = column_to_python(column)
    read = _reader(dtype)
    parsed: list[Any] = [None if text is None else read(text) for text in rows]
    if not try_:
        wrong = next((t for t, p in zip(rows, parsed, strict=True) if p is None and t is not None), None)
        if wrong is not None:
            raise ConversionError(f"cannot convert text to {dtype}: {wrong!r}")
    validity: Array | None = np.array([row is not None for row in parsed], np.bool_)
    if dtype.id is TypeId.STRUCT:
        fields = []
        for place, (_, part) in enumerate(dtype.fields):
            raw = strings_from_python([None if row is None else row[place] for row in parsed])
            fields.append(_cast_rows(raw, part, context, try_=try_, zone=zone))
        return structs_column(dtype, tuple(fields), len(rows), validity)
    if dtype.is_array:
        parsed = [_of_size(row, text, dtype, try_=try_) for row, text in zip(parsed, rows, strict=True)]
        validity = np.array([row is not None for row in parsed], np.bool_)
    lengths = np.array([0 if row is None else len(row) for row in parsed], np.int64)
    items = [item for row in parsed if row is not None for item in row]
    if dtype.id is TypeId.MAP:
        both = []
        for place, (_, part) in enumerate(dtype.fields):
            raw = strings_from_python([item[place] for item in items])
            both.append(_cast_rows(raw, part, context, try_=try_, zone=zone))
        if both[0].validity is not None:
            raise ConversionError(f"keys of a map must not be NULL: {dtype}")
        entries = structs_column(dtype.element, tuple(both), len(items))
        return lists_column(map_of(*(part for _, part in dtype.fields)), lengths, entries, validity)
    elements = _cast_rows(strings_from_python(items), dtype.element, context, try_=try_, zone=zone)
    return lists_column(dtype, lengths, elements, validity)


def _of_size(row: list[Any] | None, text: str | None, dtype: DataType, *, try_: bool) -> list[Any] | None:
    if row is None or len(row) == dtype.width:
        return row
    if try_:
        return None
    raise ConversionError(f"cannot convert text to {dtype}: {text!r}")


def _cast_rows(
    column: Column, dtype: DataType, context: EvaluationContext, *, try_: bool, zone: str
) -> Column:
    return (
        evaluate_cast(column, dtype, context, try_=try_, zone=zone) if len(column) else null_column(dtype, 0)
    )


def _reader(dtype: DataType) -> Callable[[str], Any]:
    if dtype.id in (TypeId.LIST, TypeId.ARRAY):
        return list_items
    if dtype.id is TypeId.MAP:
        return lambda text: pairs(text, "=")
    return lambda text: _struct_items(text, dtype)


def _struct_items(text: str, dtype: DataType) -> list[str | None] | None:
    row = row_items(text)
    if row is not None:
        return row if len(row) == len(dtype.fields) else None
    named = pairs(text, ":")
    if named is None:
        return None
    items: list[str | None] = [None] * len(dtype.fields)
    for name, item in named:
        place = None if name is None else dtype.field(name)
        if place is None:
            return None
        items[place] = item
    return items
