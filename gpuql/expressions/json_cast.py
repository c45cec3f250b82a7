"""Values as JSON, and JSON as values of other types: ``to_json``, casts, ``json_transform``."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column
from gpuql.columnar.construct import column_from_python, column_to_python, null_column, strings_from_python
from gpuql.columnar.nested import (
    device_column,
    host_column,
    lists_column,
    read_lists,
    read_structs,
    structs_column,
)
from gpuql.expressions.cast import evaluate_cast
from gpuql.expressions.json_text import document, number_text, written
from gpuql.expressions.list_rows import on_rows
from gpuql.expressions.nested_cast import host_context
from gpuql.expressions.vectors import EvaluationContext
from gpuql_planner.errors import ConversionError
from gpuql_planner.statement_errors import InvalidJson
from gpuql_planner.types import DOUBLE, JSON, VARCHAR, DataType, TypeId, is_row, with_moments_as_text

#: What stands for what a document does not have.
_ABSENT = object()


def cast_json(
    column: Column, dtype: DataType, context: EvaluationContext, *, try_: bool, zone: str = ""
) -> Column:
    """A cast of or to JSON. TIMESTAMPTZ becomes text in ``zone``; text that does not say where it is from is UTC."""
    if column.dtype.is_text and dtype.is_text:
        result = Column(dtype, column.values, column.validity, column.strings, column.bounds)
        return _checked(result, context, try_=try_) if dtype == JSON else result
    host, on_host = host_column(column), host_context(context)
    if host.dtype.is_zoned:
        host = evaluate_cast(host, with_moments_as_text(host.dtype), on_host, zone=zone)
    if dtype.is_zoned:
        read = _transformed(host, with_moments_as_text(dtype), on_host, strict=not try_)
        return device_column(context.xp, evaluate_cast(read, dtype, on_host, try_=try_, zone="UTC"))
    if dtype == JSON:
        return device_column(context.xp, _as_json(json_texts(host, on_host)))
    return device_column(context.xp, _transformed(host, dtype, on_host, strict=not try_))


def _as_json(texts: list[str | None]) -> Column:
    column = strings_from_python(texts)
    return Column(JSON, column.values, column.validity, column.strings, column.bounds)


def _checked(column: Column, context: EvaluationContext, *, try_: bool) -> Column:
    """JSON of which every text is a document; NULL for others if ``try_`` is set."""
    texts = column_to_python(host_column(column))
    wrong = np.array([text is not None and not _is_document(text, try_=try_) for text in texts], np.bool_)
    if not bool(wrong.any()):
        return column
    known = context.xp.asarray(~wrong)
    validity = known if column.validity is None else column.validity & known
    return Column(column.dtype, column.values, validity, column.strings, column.bounds)


def _is_document(text: str, *, try_: bool) -> bool:
    try:
        document(text)
    except InvalidJson as error:
        if try_:
            return False
        raise ConversionError(error.message) from None
    return True


# --- values as JSON ----------------------------------------------------------------------------------------------


def json_texts(column: Column, context: EvaluationContext) -> list[str | None]:
    """JSON of each value of a host column; None for NULL."""
    dtype = column.dtype
    if len(column) == 0:
        return []
    if dtype.is_nested:
        return _nested_texts(column, context)
    if dtype == JSON:
        return column_to_python(column)
    if dtype.is_decimal or dtype.is_float:
        numbers = column_to_python(evaluate_cast(column, DOUBLE, context))
        return [None if number is None else number_text(number) for number in numbers]
    texts = column_to_python(evaluate_cast(column, VARCHAR, context))
    if dtype.is_integer or dtype.id is TypeId.BOOLEAN:
        return texts
    return [None if text is None else written(text) for text in texts]


def _nested_texts(column: Column, context: EvaluationContext) -> list[str | None]:
    dtype = column.dtype
    valid = [True] * len(column) if column.validity is None else column.validity.tolist()
    if dtype.id is TypeId.STRUCT:
        parts = [_known(json_texts(field, context)) for field in read_structs(column).fields]
        if is_row(dtype):
            rows = [f"[{','.join(row)}]" for row in zip(*parts, strict=True)]
        else:
            keys = [written(name) for name, _ in dtype.fields]
            rows = [_object_text(keys, row) for row in zip(*parts, strict=True)]
        return [row if good else None for row, good in zip(rows, valid, strict=True)]
    lists = read_lists(column)
    offsets = lists.offsets.tolist()
    if dtype.id is TypeId.MAP:
        keys_column, items = read_structs(lists.elements).fields
        names = [
            written(name) for name in _known(column_to_python(evaluate_cast(keys_column, VARCHAR, context)))
        ]
        values = _known(json_texts(items, context))
        return [
            _object_text(names[offsets[i] : offsets[i + 1]], values[offsets[i] : offsets[i + 1]])
            if good
            else None
            for i, good in enumerate(valid)
        ]
    elements = _known(json_texts(lists.elements, context))
    return [
        "[" + ",".join(elements[offsets[i] : offsets[i + 1]]) + "]" if good else None
        for i, good in enumerate(valid)
    ]


def _object_text(keys: Any, values: Any) -> str:
    return "{" + ",".join(f"{key}:{value}" for key, value in zip(keys, values, strict=True)) + "}"


def _known(texts: list[str | None]) -> list[str]:
    return ["null" if text is None else text for text in texts]


def _to_json(dtype: DataType, rows: list[Column], context: Any) -> Column:
    return _as_json(json_texts(rows[0], host_context(context)))


def _object(dtype: DataType, rows: list[Column], context: Any) -> Column:
    """An object of keys and values in turn; may see NULL, which no key may be."""
    if not rows:
        return _as_json(["{}"])
    keys = [column_to_python(column) for column in rows[::2]]
    if any(key is None for column in keys for key in column):
        raise ConversionError("keys of json_object must not be NULL")
    values = [_known(json_texts(column, host_context(context))) for column in rows[1::2]]
    names = [[written(key) for key in column] for column in keys]
    return _as_json(
        [
            _object_text(own, row)
            for own, row in zip(zip(*names, strict=True), zip(*values, strict=True), strict=True)
        ]
    )


def _array(dtype: DataType, rows: list[Column], context: Any) -> Column:
    """An array of all arguments; may see NULL."""
    if not rows:
        return _as_json(["[]"])
    values = [_known(json_texts(column, host_context(context))) for column in rows]
    return _as_json(["[" + ",".join(row) + "]" for row in zip(*values, strict=True)])


# --- JSON as values ----------------------------------------------------------------------------------------------


def _transformed(column: Column, dtype: DataType, context: EvaluationContext, *, strict: bool) -> Column:
    texts = column_to_python(column)
    return _read(
        [_ABSENT if text is None else document(text) for text in texts], dtype, context, strict=strict
    )


def _read(values: list[Any], dtype: DataType, context: EvaluationContext, *, strict: bool) -> Column:
    """Parts of documents as a column; what is absent, null or of another kind is NULL, or refused if ``strict``."""
    missing = [value is None or value is _ABSENT for value in values]
    if dtype.id is TypeId.STRUCT:
        good = _of_kind(values, missing, dict, dtype, strict=strict)
        fields = tuple(
            _read(
                [value.get(name, _ABSENT) if ok else _ABSENT for value, ok in zip(values, good, strict=True)],
                part,
                context,
                strict=strict,
            )
            for name, part in dtype.fields
        )
        return structs_column(dtype, fields, len(values), good)
    if dtype.id is TypeId.MAP:
        good = _of_kind(values, missing, dict, dtype, strict=strict)
        pairs = [pair for value, ok in zip(values, good, strict=True) if ok for pair in value.items()]
        keys = _read([key for key, _ in pairs], dtype.fields[0][1], context, strict=True)
        mapped = _read([item for _, item in pairs], dtype.fields[1][1], context, strict=strict)
        entries = structs_column(dtype.element, (keys, mapped), len(pairs))
        return lists_column(dtype, _lengths(values, good), entries, good)
    if dtype.is_nested:
        good = _of_kind(values, missing, list, dtype, strict=strict)
        if dtype.is_array:
            wrong = good & (_lengths(values, good) != dtype.width)
            if strict and bool(wrong.any()):
                raise ConversionError(f"JSON array is not of the size of {dtype}")
            good &= ~wrong
        items = [item for value, ok in zip(values, good, strict=True) if ok for item in value]
        elements = _read(items, dtype.element, context, strict=strict)
        return lists_column(dtype, _lengths(values, good), elements, good)
    if dtype == JSON:
        return _as_json([None if value is _ABSENT else written(value) for value in values])
    return _leaves(values, missing, dtype, context, strict=strict)


def _leaves(
    values: list[Any], missing: list[bool], dtype: DataType, context: EvaluationContext, *, strict: bool
) -> Column:
    texts: list[str | None] = []
    for value, absent in zip(values, missing, strict=True):
        if absent:
            texts.append(None)
        elif isinstance(value, (dict, list)) and dtype != VARCHAR:
            if strict:
                raise ConversionError(f"JSON cannot be converted to {dtype}: {written(value)[:80]}")
            texts.append(None)
        else:
            texts.append(value if isinstance(value, str) else written(value))
    if not texts or all(text is None for text in texts):
        return null_column(dtype, len(texts))
    return evaluate_cast(column_from_python(texts, VARCHAR), dtype, context, try_=not strict)


def _of_kind(values: list[Any], missing: list[bool], kind: type, dtype: DataType, *, strict: bool) -> Array:
    good = [isinstance(value, kind) for value in values]
    if strict:
        for value, ok, absent in zip(values, good, missing, strict=True):
            if not ok and not absent:
                raise ConversionError(f"JSON cannot be converted to {dtype}: {written(value)[:80]}")
    return np.array(good, np.bool_)


def _lengths(values: list[Any], good: Array) -> Array:
    return np.array([len(value) if ok else 0 for value, ok in zip(values, good, strict=True)], np.int64)


def _transform(strict: bool) -> Any:  # noqa: FBT001
    def apply(dtype: DataType, rows: list[Column], context: Any) -> Column:
        return _transformed(rows[0], dtype, host_context(context), strict=strict)

    return apply


FUNCTIONS = {
    "to_json": on_rows(_to_json),
    "json_transform": on_rows(_transform(strict=False)),
    "json_transform_strict": on_rows(_transform(strict=True)),
}

#: Functions that see NULL arguments.
NULL_AWARE = {"json_object": on_rows(_object), "json_array": on_rows(_array)}
