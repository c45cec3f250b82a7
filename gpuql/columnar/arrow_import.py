"""Arrow arrays to columns: each value in its stored form, integers in the narrowest width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.types as pat

from gpuql.columnar import two_words
from gpuql.columnar.arrow_buffers import Host, bits_view, buffer_view, chunks_of, validity_of
from gpuql.columnar.arrow_strings import check_utf8, strings_from_arrow
from gpuql.columnar.arrow_types import type_from_arrow
from gpuql.columnar.column import NATURAL_DTYPE, Column
from gpuql.columnar.construct import narrowest_dtype, null_column
from gpuql_planner.statement_errors import CastOutOfRange, DatetimeOutOfRange
from gpuql_planner.types import DataType, TypeId

_MICROSECONDS_PER = {"s": 1_000_000, "ms": 1_000, "us": 1}


def column_from_arrow(array: Any, name: str = "") -> Column:
    """Column of an Arrow Array or ChunkedArray; ``name`` is used in errors.

    Shares memory with Arrow where the stored form is the same. NULL rows of integers hold the smallest value.
    Errors: NotSupportedError for a type that no SQL type stands for; ConversionError for values that the SQL
    type cannot hold exactly.
    """
    dtype = type_from_arrow(array.type, name)
    array = _storage(array)
    if pat.is_dictionary(array.type) and dtype.id not in (TypeId.VARCHAR, TypeId.BLOB):
        array = _decoded(array)
    num_rows = len(array)
    if num_rows == 0 or array.null_count == num_rows:
        return null_column(dtype, num_rows)
    if dtype.is_nested:
        from gpuql.columnar.arrow_nested import nested_from_arrow

        return nested_from_arrow(array, dtype, name)
    if dtype.id is TypeId.BLOB:
        return strings_from_arrow(array, dtype)
    if dtype.id is TypeId.VARCHAR:
        column = strings_from_arrow(array, dtype)
        check_utf8(column, name)
        return column
    chunks = chunks_of(array)
    validity = validity_of(chunks)
    if dtype.id is TypeId.BOOLEAN:
        parts = [bits_view(chunk.buffers()[1], chunk.offset, len(chunk)) for chunk in chunks]
        return Column(dtype, _joined(parts), validity)
    if dtype.is_float:
        return Column(dtype, _floats(chunks, dtype), validity)
    if dtype.id is TypeId.INTERVAL:
        return Column(dtype, np.concatenate([_intervals(chunk, name) for chunk in chunks]), validity)
    if pat.is_decimal128(array.type) or pat.is_decimal256(array.type):
        return _decimals(chunks, dtype, validity, name)
    return _integers(chunks, dtype, validity, name)


def _storage(array: Any) -> Any:
    """Same values under the storage type of an extension type."""
    if not isinstance(array.type, pa.BaseExtensionType):
        return array
    if isinstance(array, pa.ChunkedArray):
        storage = [chunk.storage for chunk in array.chunks]
        return _storage(pa.chunked_array(storage, type=array.type.storage_type))
    return _storage(array.storage)


def _decoded(array: Any) -> Any:
    if isinstance(array, pa.ChunkedArray):
        decoded = [chunk.dictionary_decode() for chunk in array.chunks]
        return pa.chunked_array(decoded, type=array.type.value_type)
    return array.dictionary_decode()


def _joined(parts: list[Host]) -> Host:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _floats(chunks: list[Any], dtype: DataType) -> Host:
    half = pat.is_float16(chunks[0].type)
    stored = np.float16 if half else NATURAL_DTYPE[dtype.id]
    values = _joined([buffer_view(chunk.buffers()[1], stored, chunk.offset, len(chunk)) for chunk in chunks])
    return values.astype(np.float32) if half else values


def _integers(chunks: list[Any], dtype: DataType, validity: Host | None, name: str) -> Column:
    arrow_type = chunks[0].type
    stored: Any = np.dtype(
        f"{'u' if pat.is_unsigned_integer(arrow_type) else 'i'}{arrow_type.bit_width // 8}"
    )
    convert = _unit_conversion(arrow_type, name)
    parts = [buffer_view(chunk.buffers()[1], stored, chunk.offset, len(chunk)) for chunk in chunks]
    if convert is not None:
        starts = np.cumsum([0, *[len(part) for part in parts]])
        parts = [
            convert(part, None if validity is None else validity[start : start + len(part)])
            for part, start in zip(parts, starts[:-1], strict=True)
        ]
    return narrowed(parts, dtype, validity)


def narrowed(parts: list[Host], dtype: DataType, validity: Host | None) -> Column:
    """One column of one-word integer ``parts``, in the narrowest width; at least one row must not be NULL."""
    low, high = _bounds(parts, validity)
    target = narrowest_dtype(low, high, dtype)
    assert target is not None, "one-word integers have a one-word width"
    if len(parts) == 1 and parts[0].dtype == target and validity is None:
        return Column(dtype, parts[0], None, None, (low, high))
    values = np.empty(sum(len(part) for part in parts), dtype=target)
    start = 0
    for part in parts:
        np.copyto(values[start : start + len(part)], part, casting="unsafe")
        start += len(part)
    if validity is not None:
        values[~validity] = low
    return Column(dtype, values, validity, None, (low, high))


def _bounds(parts: list[Host], validity: Host | None) -> tuple[int, int]:
    lows, highs = [], []
    start = 0
    for part in parts:
        valid = part if validity is None else part[validity[start : start + len(part)]]
        start += len(part)
        if len(valid):
            lows.append(int(valid.min()))
            highs.append(int(valid.max()))
    return min(lows), max(highs)


def _unit_conversion(arrow_type: Any, name: str) -> Callable[[Host, Host | None], Host] | None:
    """Function from Arrow's unit to days or microseconds; None where the unit is the same."""
    if pat.is_date64(arrow_type):
        return lambda values, _: values // 86_400_000
    if not (pat.is_timestamp(arrow_type) or pat.is_time(arrow_type)):
        return None
    unit = arrow_type.unit
    if unit == "us":
        return None
    if unit == "ns":
        return lambda values, validity: _whole_microseconds(values, validity, name)
    return lambda values, validity: _multiplied(values, _MICROSECONDS_PER[unit], validity, name)


def _multiplied(values: Host, factor: int, validity: Host | None, name: str) -> Host:
    values = values.astype(np.int64)
    if validity is not None:
        values = np.where(validity, values, 0)
    limit = two_words.INT64_MAX // factor
    if len(values) and (int(values.min()) < -limit or int(values.max()) > limit):
        raise DatetimeOutOfRange(f"time is beyond the range of microseconds in 64 bits: column {name}")
    return np.asarray(values * factor)


def _whole_microseconds(values: Host, validity: Host | None, name: str) -> Host:
    whole = values // 1000
    rest = values - whole * 1000
    if validity is not None:
        rest = rest[validity]
    if rest.any():
        raise DatetimeOutOfRange(
            f"nanoseconds that are not whole microseconds: column {name}",
            hint="cast the column to microseconds first; TIMESTAMP and TIME have microsecond precision",
        )
    return np.asarray(whole)


def _decimals(chunks: list[Any], dtype: DataType, validity: Host | None, name: str) -> Column:
    num_words = chunks[0].type.byte_width // 8
    parts = []
    start = 0
    for chunk in chunks:
        flat = buffer_view(chunk.buffers()[1], np.int64, chunk.offset * num_words, len(chunk) * num_words)
        words = flat.reshape(-1, num_words)
        if validity is not None:
            valid = validity[start : start + len(chunk)]
            if not valid.all():
                words = np.where(valid[:, None], words, words[valid][:1] if valid.any() else 0)
        start += len(chunk)
        if num_words == 4:
            sign = words[:, 1] >> 63
            if not ((words[:, 2] == sign) & (words[:, 3] == sign)).all():
                raise CastOutOfRange(f"decimal does not fit {dtype}: column {name}")
            words = words[:, :2]
        parts.append(words)
    if num_words == 4 and chunks[0].type.precision > dtype.width:
        _check_digits(parts, dtype, name)
    if all(two_words.fits_one_word(part).all() for part in parts):
        return narrowed([part[:, 0] for part in parts], dtype, validity)
    words = np.ascontiguousarray(np.concatenate(parts))
    return Column(dtype, words, validity, None, two_words.bounds(words))


def _check_digits(parts: list[Host], dtype: DataType, name: str) -> None:
    limit = 10**dtype.width - 1
    for part in parts:
        low, high = two_words.bounds(part)
        if low < -limit or high > limit:
            raise CastOutOfRange(f"decimal does not fit {dtype}: column {name}")


def _intervals(chunk: Any, name: str) -> Host:
    """Int64 (n, 3): months, days, microseconds; NULL rows are zero."""
    values = np.zeros((len(chunk), 3), dtype=np.int64)
    validity = validity_of([chunk])
    if pat.is_duration(chunk.type):
        parts = buffer_view(chunk.buffers()[1], np.int64, chunk.offset, len(chunk))
        unit = chunk.type.unit
        micros = (
            _whole_microseconds(parts, validity, name)
            if unit == "ns"
            else _multiplied(parts, _MICROSECONDS_PER[unit], validity, name)
        )
        values[:, 2] = micros
    else:
        fields = np.dtype([("months", np.int32), ("days", np.int32), ("nanoseconds", np.int64)])
        raw = buffer_view(chunk.buffers()[1], np.uint8, chunk.offset * 16, len(chunk) * 16).view(fields)
        values[:, 0] = raw["months"]
        values[:, 1] = raw["days"]
        values[:, 2] = _whole_microseconds(raw["nanoseconds"], validity, name)
    if validity is not None:
        values[~validity] = 0
    return values
