"""Columns from Python values, and back."""

from __future__ import annotations

import datetime
import uuid
import zoneinfo
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from typing import Any

import numpy as np

from gpuql.columnar import two_words
from gpuql.columnar.column import NATURAL_DTYPE, Array, Column, StringArray
from gpuql.columnar.strings import entry_bytes, narrow_positions, on_host, sorted_dictionary
from gpuql_planner.errors import ConversionError, OutOfRangeError
from gpuql_planner.logical.expressions import Interval
from gpuql_planner.time_zones import load_zone
from gpuql_planner.types import (
    BYTE_TYPES,
    INFINITE_DATE,
    INFINITE_TIMESTAMP,
    TICKS_PER_SECOND,
    VARCHAR,
    DataType,
    TypeId,
)

EPOCH_DATE = datetime.date(1970, 1, 1)
EPOCH = datetime.datetime(1970, 1, 1)
#: A UUID is stored as a 128-bit number less this, so that signed words order as its text does.
UUID_SHIFT = 2**127
_MICROSECOND = datetime.timedelta(microseconds=1)
_STRING_TYPES = BYTE_TYPES


def stored_value(value: Any, dtype: DataType) -> Any:
    """Stored form of one non-NULL Python value: int, float, bytes, or (months, days, microseconds).

    Errors: ConversionError if ``value`` is not of the type, OutOfRangeError if it is beyond its range.
    """
    try:
        stored = _stored_value(value, dtype)
    except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise ConversionError(f"value is not of type {dtype}: {value!r}") from error
    limits = dtype.limits
    if limits is not None and not limits[0] <= stored <= limits[1]:
        raise OutOfRangeError(f"value is out of range of type {dtype}: {value!r}")
    return stored


def _stored_value(value: Any, dtype: DataType) -> Any:
    match dtype.id:
        case TypeId.BOOLEAN:
            return bool(value)
        case TypeId.DECIMAL:
            return _scaled(value, dtype.scale)
        case TypeId.REAL | TypeId.DOUBLE:
            return float(value)
        case TypeId.VARCHAR | TypeId.JSON:
            return value.encode("utf-8")
        case TypeId.BLOB:
            return bytes(value)
        case TypeId.DATE:
            day = value.date() if isinstance(value, datetime.datetime) else value
            return value if isinstance(value, int) else (day - EPOCH_DATE).days
        case TypeId.TIME:
            if isinstance(value, int):
                return value
            seconds = (value.hour * 60 + value.minute) * 60 + value.second
            return seconds * 1_000_000 + value.microsecond
        case TypeId.TIMESTAMP | TypeId.TIMESTAMPTZ:
            return value if isinstance(value, int) else _microseconds_since_epoch(value)
        case TypeId.TIMESTAMP_S | TypeId.TIMESTAMP_MS | TypeId.TIMESTAMP_NS:
            if isinstance(value, int):
                return value
            return _microseconds_since_epoch(value) * TICKS_PER_SECOND[dtype.id] // 1_000_000
        case TypeId.UUID:
            return value if isinstance(value, int) else uuid.UUID(str(value)).int - UUID_SHIFT
        case TypeId.INTERVAL:
            if isinstance(value, datetime.timedelta):
                return (0, value.days, value.seconds * 1_000_000 + value.microseconds)
            return (value.months, value.days, value.microseconds)
        case TypeId.ENUM:
            return value if isinstance(value, int) else dtype.labels.index(value)
        case TypeId.NULL:
            raise TypeError("a value of type NULL is always NULL")
        case _:
            return int(value)


def _scaled(value: Any, scale: int) -> int:
    if isinstance(value, Decimal):
        sign, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int):
            raise ValueError("not a finite number")  # noqa: TRY004
        shift = exponent + scale
        whole = int("".join(map(str, digits)) or "0")
        if shift < 0:
            # More digits than the scale: round half away from zero, as a cast to the type would.
            divisor = int(10**-shift)
            whole = (2 * whole + divisor) // (2 * divisor)
        else:
            whole *= int(10**shift)
        return -whole if sign else whole
    if isinstance(value, float):
        return _scaled(Decimal(repr(value)), scale)
    return int(int(value) * 10**scale)


def _microseconds_since_epoch(value: datetime.date) -> int:
    if not isinstance(value, datetime.datetime):
        return (value - EPOCH_DATE).days * 86_400_000_000
    if value.tzinfo is not None:
        value = value.astimezone(datetime.UTC).replace(tzinfo=None)
    return (value - EPOCH) // _MICROSECOND


def null_column(dtype: DataType, num_rows: int, *, xp: Any = np) -> Column:
    """``num_rows`` NULLs of a type."""
    natural = NATURAL_DTYPE[dtype.id]
    validity = xp.zeros(num_rows, dtype=np.bool_) if num_rows else None
    if dtype.id in _STRING_TYPES:
        return Column(dtype, xp.zeros(num_rows, dtype=np.int8), validity, _strings_on(xp, [b""]))
    if dtype.id is TypeId.INTERVAL:
        return Column(dtype, xp.zeros((num_rows, 3), dtype=np.int64), validity)
    if dtype.limits is None or dtype.id is TypeId.BOOLEAN:
        return Column(dtype, xp.zeros(num_rows, dtype=natural), validity)
    return Column(dtype, xp.zeros(num_rows, dtype=np.int8), validity, None, (0, 0))


def literal_column(value: Any, dtype: DataType, num_rows: int, *, xp: Any = np) -> Column:
    """``num_rows`` times one Python value (None is NULL)."""
    if value is None:
        return null_column(dtype, num_rows, xp=xp)
    if dtype.is_nested:
        from gpuql.columnar.nested import device_column

        return device_column(xp, column_from_python([value], dtype).take(np.zeros(num_rows, np.int64)))
    stored = stored_value(value, dtype)
    if dtype.id in _STRING_TYPES:
        return Column(dtype, xp.zeros(num_rows, dtype=np.int8), None, _strings_on(xp, [stored]))
    if dtype.id is TypeId.INTERVAL:
        values = xp.zeros((num_rows, 3), dtype=np.int64)
        values[:] = xp.asarray(stored, dtype=np.int64)
        return Column(dtype, values)
    if dtype.limits is None or dtype.id is TypeId.BOOLEAN:
        return Column(dtype, xp.full(num_rows, stored, dtype=NATURAL_DTYPE[dtype.id]))
    bounds = (stored, stored)
    narrow = narrowest_dtype(stored, stored, dtype)
    if narrow is None:
        values = xp.zeros((num_rows, 2), dtype=np.int64)
        values[:] = xp.asarray(two_words.from_integers([stored]))
        return Column(dtype, values, None, None, bounds)
    return Column(dtype, xp.full(num_rows, stored, dtype=narrow), None, None, bounds)


def _strings_on(xp: Any, entries: list[bytes]) -> StringArray:
    strings, _ = sorted_dictionary(entries)
    return StringArray(xp.asarray(strings.offsets), xp.asarray(strings.data), strings.unique, strings.sorted)


def narrowest_dtype(low: int, high: int, dtype: DataType) -> np.dtype[Any] | None:
    """Narrowest signed dtype that holds ``low`` to ``high``; beyond int64, uint64 for UBIGINT, else None."""
    for candidate in (np.int8, np.int16, np.int32, np.int64):
        limits = np.iinfo(candidate)
        if limits.min <= low and high <= limits.max:
            return np.dtype(candidate)
    return np.dtype(np.uint64) if dtype.id is TypeId.UBIGINT else None


def column_from_python(values: Sequence[Any], dtype: DataType) -> Column:
    """Host column of Python values; None is NULL. Integers get the narrowest width, strings a dictionary."""
    present = [value is not None for value in values]
    if not any(present):
        return null_column(dtype, len(values))
    if dtype.is_nested:
        from gpuql.columnar.nested_python import nested_from_python

        return nested_from_python(values, dtype)
    validity = None if all(present) else np.array(present, dtype=np.bool_)
    stored = [None if value is None else stored_value(value, dtype) for value in values]
    some = next(value for value in stored if value is not None)
    filled = [some if value is None else value for value in stored]
    if dtype.id in _STRING_TYPES:
        strings, position = sorted_dictionary(filled)
        codes = np.array([position[entry] for entry in filled], dtype=np.int64)
        return Column(dtype, narrow_positions(codes, len(strings)), validity, strings)
    if dtype.limits is None or dtype.id is TypeId.BOOLEAN:
        return Column(dtype, np.array(filled, dtype=NATURAL_DTYPE[dtype.id]), validity)
    bounds = (min(filled), max(filled))
    narrow = narrowest_dtype(*bounds, dtype)
    if narrow is None:
        return Column(dtype, two_words.from_integers(filled), validity, None, bounds)
    return Column(dtype, np.array(filled, dtype=narrow), validity, None, bounds)


def strings_from_python(values: Sequence[str | None]) -> Column:
    """VARCHAR column with a unique, sorted dictionary."""
    return column_from_python(values, VARCHAR)


def column_to_python(column: Column, zone: str = "UTC") -> list[Any]:
    """Values as Python objects: int, float, bool, Decimal, str, bytes, date, time, datetime, Interval, list, dict.

    TIMESTAMPTZ is a datetime in ``zone``.
    Errors: OutOfRangeError for a date or timestamp outside the years 1 to 9999, which Python cannot express.
    """
    if column.dtype.is_nested:
        from gpuql.columnar.nested_python import nested_to_python

        return nested_to_python(column, zone)
    if column.strings is not None and column.dtype.id in _STRING_TYPES:
        plain = _string_values(column)
    elif column.dtype.id is TypeId.INTERVAL:
        plain = [Interval(*parts) for parts in on_host(column.values).tolist()]
    else:
        values = on_host(column.values)
        integers = two_words.to_integers(values) if values.ndim == 2 else values.tolist()
        plain = _converted(integers, column, zone)
    if column.validity is None:
        return [None] * len(column) if column.dtype.id is TypeId.NULL else plain
    valid = on_host(column.validity).tolist()
    return [value if is_valid else None for value, is_valid in zip(plain, valid, strict=True)]


def _converted(stored: list[Any], column: Column, zone: str) -> list[Any]:
    convert = _CONVERTERS.get(column.dtype.id)
    if column.dtype.id is TypeId.TIMESTAMPTZ:
        convert = _moments_in(zone)
    if column.dtype.is_decimal:
        exponent = -column.dtype.scale
        return [Decimal(value).scaleb(exponent, _EXACT) for value in stored]
    if column.dtype.is_enum:
        labels = column.dtype.labels
        return [labels[place] for place in stored]
    if convert is None:
        return stored
    if column.dtype.id is TypeId.DATE or column.dtype.is_timestamp or column.dtype.id is TypeId.TIMESTAMPTZ:
        convert = _with_extremes(convert, column.dtype)
    valid = [True] * len(stored) if column.validity is None else on_host(column.validity).tolist()
    try:
        return [convert(value) if is_valid else None for value, is_valid in zip(stored, valid, strict=True)]
    except OverflowError as error:
        raise OutOfRangeError(f"value of type {column.dtype} cannot be expressed in Python") from error


def _with_extremes(convert: Callable[[Any], Any], dtype: DataType) -> Callable[[Any], Any]:
    """Python's first and last date for infinite ones, as DuckDB has it."""
    is_date = dtype.id is TypeId.DATE
    infinity = INFINITE_DATE if is_date else INFINITE_TIMESTAMP
    kind: Any = datetime.date if is_date else datetime.datetime
    zone = {"tzinfo": datetime.UTC} if dtype.id is TypeId.TIMESTAMPTZ else {}
    extremes = {infinity: kind.max, -infinity: kind.min}
    extremes = {value: moment.replace(**zone) if zone else moment for value, moment in extremes.items()}
    return lambda value: extremes[value] if value in extremes else convert(value)


def _moments_in(zone: str) -> Callable[[int], datetime.datetime]:
    """Datetimes of microseconds since 1970 UTC: Python's own zone of that name, else the offset at each."""
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    if zone == "UTC":
        return lambda micros: epoch + datetime.timedelta(microseconds=micros)
    try:
        named = zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        offsets = load_zone(zone)

        def at_offset(micros: int) -> datetime.datetime:
            shift = datetime.timedelta(seconds=offsets.offset_at(micros // 1_000_000))
            return (epoch + datetime.timedelta(microseconds=micros)).astimezone(datetime.timezone(shift))

        return at_offset
    return lambda micros: (epoch + datetime.timedelta(microseconds=micros)).astimezone(named)


_EXACT = Context(prec=60)
_CONVERTERS: dict[TypeId, Callable[[Any], Any]] = {
    TypeId.DATE: lambda days: EPOCH_DATE + datetime.timedelta(days=days),
    TypeId.TIMESTAMP: lambda micros: EPOCH + datetime.timedelta(microseconds=micros),
    TypeId.TIMESTAMP_S: lambda seconds: EPOCH + datetime.timedelta(seconds=seconds),
    TypeId.TIMESTAMP_MS: lambda millis: EPOCH + datetime.timedelta(milliseconds=millis),
    TypeId.TIMESTAMP_NS: lambda nanos: EPOCH + datetime.timedelta(microseconds=nanos // 1000),
    TypeId.UUID: lambda shifted: uuid.UUID(int=shifted + UUID_SHIFT),
    TypeId.TIME: lambda micros: (EPOCH + datetime.timedelta(microseconds=micros)).time(),
    TypeId.BOOLEAN: bool,
}


def _string_values(column: Column) -> list[Any]:
    assert column.strings is not None, "a string column has strings"
    positions = on_host(column.values)
    used, inverse = np.unique(positions, return_inverse=True)
    entries = _entries_at(column.strings, used)
    decoded: list[Any] = entries
    if column.dtype.is_text:
        decoded = [entry.decode("utf-8") for entry in entries]
    if not decoded:
        return [None] * len(column)
    return [decoded[i] for i in inverse.tolist()]


def _entries_at(strings: StringArray, positions: Array) -> list[bytes]:
    if len(positions) == len(strings):
        return entry_bytes(strings)
    if len(strings) == 0:
        return []
    starts = on_host(strings.offsets)[positions].tolist()
    stops = on_host(strings.offsets)[positions.astype(np.int64) + 1].tolist()
    data = on_host(strings.data)
    return [data[start:stop].tobytes() for start, stop in zip(starts, stops, strict=True)]
