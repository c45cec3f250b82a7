"""Arrow types and SQL types, both ways.

Chosen readings: timestamps of any unit are TIMESTAMP (microseconds; a nanosecond value that is not a whole
number of microseconds is refused, not rounded), those with a time zone TIMESTAMP WITH TIME ZONE; durations are
INTERVAL; decimal256 is DECIMAL when its values fit 38 digits; dictionaries are their value type; extension
types are their storage.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from gpuql_planner import types
from gpuql_planner.catalog import Field
from gpuql_planner.errors import NotSupportedError
from gpuql_planner.types import MAX_DECIMAL_WIDTH, DataType, TypeId, decimal

_SIMPLE: dict[Any, DataType] = {
    pa.null(): types.NULL,
    pa.bool_(): types.BOOLEAN,
    pa.int8(): types.TINYINT,
    pa.int16(): types.SMALLINT,
    pa.int32(): types.INTEGER,
    pa.int64(): types.BIGINT,
    pa.uint8(): types.UTINYINT,
    pa.uint16(): types.USMALLINT,
    pa.uint32(): types.UINTEGER,
    pa.uint64(): types.UBIGINT,
    pa.float16(): types.REAL,
    pa.float32(): types.REAL,
    pa.float64(): types.DOUBLE,
    pa.string(): types.VARCHAR,
    pa.large_string(): types.VARCHAR,
    pa.string_view(): types.VARCHAR,
    pa.binary(): types.BLOB,
    pa.large_binary(): types.BLOB,
    pa.binary_view(): types.BLOB,
    pa.date32(): types.DATE,
    pa.date64(): types.DATE,
    pa.month_day_nano_interval(): types.INTERVAL,
}

_TO_ARROW: dict[TypeId, Any] = {
    TypeId.NULL: pa.null(),
    TypeId.BOOLEAN: pa.bool_(),
    TypeId.TINYINT: pa.int8(),
    TypeId.SMALLINT: pa.int16(),
    TypeId.INTEGER: pa.int32(),
    TypeId.BIGINT: pa.int64(),
    TypeId.HUGEINT: pa.decimal128(38, 0),
    TypeId.UTINYINT: pa.uint8(),
    TypeId.USMALLINT: pa.uint16(),
    TypeId.UINTEGER: pa.uint32(),
    TypeId.UBIGINT: pa.uint64(),
    TypeId.REAL: pa.float32(),
    TypeId.DOUBLE: pa.float64(),
    TypeId.VARCHAR: pa.string(),
    TypeId.BLOB: pa.binary(),
    TypeId.DATE: pa.date32(),
    TypeId.TIME: pa.time64("us"),
    TypeId.TIMESTAMP: pa.timestamp("us"),
    TypeId.TIMESTAMP_S: pa.timestamp("s"),
    TypeId.TIMESTAMP_MS: pa.timestamp("ms"),
    TypeId.TIMESTAMP_NS: pa.timestamp("ns"),
    TypeId.UUID: pa.string(),
    TypeId.TIMESTAMPTZ: pa.timestamp("us", tz="UTC"),
    TypeId.JSON: pa.string(),
    TypeId.INTERVAL: pa.month_day_nano_interval(),
}


def is_list(arrow_type: Any) -> bool:
    """A list of any layout; no map."""
    return bool(
        pat.is_list(arrow_type)
        or pat.is_large_list(arrow_type)
        or pat.is_fixed_size_list(arrow_type)
        or pat.is_list_view(arrow_type)
        or pat.is_large_list_view(arrow_type)
    )


def type_from_arrow(arrow_type: Any, column_name: str = "") -> DataType:
    """SQL type of an Arrow type. Errors: NotSupportedError, naming the column, for types that SQL has no name for."""
    simple = _SIMPLE.get(arrow_type)
    if simple is not None:
        return simple
    if pat.is_dictionary(arrow_type):
        return type_from_arrow(arrow_type.value_type, column_name)
    if pat.is_decimal(arrow_type) and 0 <= arrow_type.scale <= MAX_DECIMAL_WIDTH:
        return decimal(
            max(min(arrow_type.precision, MAX_DECIMAL_WIDTH), arrow_type.scale, 1), arrow_type.scale
        )
    if pat.is_timestamp(arrow_type):
        return types.TIMESTAMP if arrow_type.tz is None else types.TIMESTAMPTZ
    if pat.is_time(arrow_type):
        return types.TIME
    if pat.is_duration(arrow_type):
        return types.INTERVAL
    if pat.is_fixed_size_binary(arrow_type):
        return types.BLOB
    if isinstance(arrow_type, pa.BaseExtensionType):
        return type_from_arrow(arrow_type.storage_type, column_name)
    if pat.is_map(arrow_type):
        key, value = arrow_type.key_type, arrow_type.item_type
        return types.map_of(type_from_arrow(key, column_name), type_from_arrow(value, column_name))
    if pat.is_fixed_size_list(arrow_type) and 1 <= arrow_type.list_size <= types.MAX_ARRAY_SIZE:
        return types.array_of(type_from_arrow(arrow_type.value_type, column_name), arrow_type.list_size)
    if is_list(arrow_type):
        return types.list_of(type_from_arrow(arrow_type.value_type, column_name))
    if pat.is_struct(arrow_type) and arrow_type.num_fields:
        fields = [arrow_type.field(place) for place in range(arrow_type.num_fields)]
        return types.struct_of((field.name, type_from_arrow(field.type, column_name)) for field in fields)
    raise NotSupportedError(f"column type is not supported: {arrow_type} (column {column_name})")


def type_to_arrow(dtype: DataType, zone: str = "UTC") -> Any:
    """Arrow type in which values of a SQL type leave the engine; moments say that they are from ``zone``."""
    if dtype.id is TypeId.TIMESTAMPTZ:
        return pa.timestamp("us", tz=zone)
    if dtype.is_decimal:
        return pa.decimal128(dtype.width, dtype.scale)
    if dtype.is_enum:
        return pa.dictionary(pa.int32(), pa.string())
    if not dtype.is_nested:
        return _TO_ARROW[dtype.id]
    parts = [type_to_arrow(part, zone) for _, part in dtype.fields]
    if dtype.id is TypeId.LIST:
        return pa.list_(parts[0])
    if dtype.id is TypeId.ARRAY:
        return pa.list_(parts[0], dtype.width)
    if dtype.id is TypeId.MAP:
        return pa.map_(*parts)
    return pa.struct([(name, part) for (name, _), part in zip(dtype.fields, parts, strict=True)])


def fields_from_schema(schema: Any) -> tuple[Field, ...]:
    """Fields of an Arrow schema, with repeated names made distinct as by :func:`unique_names`."""
    names = unique_names(schema.names)
    return tuple(
        Field(name, type_from_arrow(field.type, name), field.nullable)
        for name, field in zip(names, schema, strict=True)
    )


def unique_names(names: Sequence[str]) -> list[str]:
    """Names that differ, ignoring case: ``a, a, A`` become ``a, a_1, A_2``, as in DuckDB."""
    taken = {name.lower() for name in names}
    seen: dict[str, int] = {}
    result = []
    for name in names:
        count = seen.get(name.lower(), 0)
        renamed = name
        while count and renamed.lower() in taken:
            renamed = f"{name}_{count}"
            count += 1
        seen[name.lower()] = max(count, 1)
        taken.add(renamed.lower())
        result.append(renamed)
    return result


def schema_to_arrow(names: Sequence[str], dtypes: Sequence[DataType], zone: str = "UTC") -> Any:
    """Arrow schema of a result; names may repeat, and moments are from ``zone``."""
    return pa.schema([pa.field(n, type_to_arrow(d, zone)) for n, d in zip(names, dtypes, strict=True)])
