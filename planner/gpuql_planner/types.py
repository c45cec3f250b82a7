"""Logical SQL types, and the rules that combine them.

A :class:`DataType` says what a value means; how it is stored is the business of the columns (``gpuql.columnar``).
Rules follow DuckDB's dialect.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace


class TypeId(enum.Enum):
    """The kind of a type, without its parameters."""

    NULL = "NULL"
    BOOLEAN = "BOOLEAN"
    TINYINT = "TINYINT"
    SMALLINT = "SMALLINT"
    INTEGER = "INTEGER"
    BIGINT = "BIGINT"
    HUGEINT = "HUGEINT"
    UTINYINT = "UTINYINT"
    USMALLINT = "USMALLINT"
    UINTEGER = "UINTEGER"
    UBIGINT = "UBIGINT"
    REAL = "FLOAT"
    DOUBLE = "DOUBLE"
    DECIMAL = "DECIMAL"
    VARCHAR = "VARCHAR"
    BLOB = "BLOB"
    DATE = "DATE"
    TIME = "TIME"
    TIMESTAMP = "TIMESTAMP"
    INTERVAL = "INTERVAL"
    TIMESTAMP_S = "TIMESTAMP_S"
    TIMESTAMP_MS = "TIMESTAMP_MS"
    TIMESTAMP_NS = "TIMESTAMP_NS"
    UUID = "UUID"
    TIMESTAMPTZ = "TIMESTAMP WITH TIME ZONE"
    LIST = "LIST"
    ARRAY = "ARRAY"
    STRUCT = "STRUCT"
    MAP = "MAP"
    ENUM = "ENUM"
    JSON = "JSON"


#: Types whose values are lists, arrays, structs and maps of other values.
NESTED_TYPES = frozenset({TypeId.LIST, TypeId.ARRAY, TypeId.STRUCT, TypeId.MAP})

#: Types whose values are stored as byte strings.
BYTE_TYPES = frozenset({TypeId.VARCHAR, TypeId.BLOB, TypeId.JSON}) | NESTED_TYPES


@dataclass(frozen=True, slots=True)
class DataType:
    """A logical type. ``width`` is the digits of a DECIMAL, of which ``scale`` are decimals, or the size of an ARRAY.

    ``fields`` are names and types of what a nested type is made of: one nameless element of LIST and ARRAY, ``key`` and
    ``value`` of MAP, the fields of STRUCT. Of ENUM their names are its labels, in order.

    Stored form (before encoding): integers as themselves; DECIMAL as the integer ``value * 10**scale``; DATE as days
    and TIMESTAMP as microseconds since 1970-01-01, its kin in their own units; TIMESTAMPTZ as microseconds since
    1970-01-01 UTC, its constants as datetimes in UTC that name no zone; TIME as microseconds since midnight;
    INTERVAL as (months, days, microseconds); UUID as its 128-bit number less 2**127;
    ENUM as the place of the label, which is also the value of its constants.
    """

    id: TypeId
    width: int = 0
    scale: int = 0
    fields: tuple[tuple[str, DataType], ...] = ()

    def __str__(self) -> str:
        if self.id is TypeId.DECIMAL:
            return f"DECIMAL({self.width},{self.scale})"
        if self.id in NESTED_TYPES:
            return _nested_name(self)
        if self.id is TypeId.ENUM:
            return f"ENUM({', '.join(_quoted_label(label) for label in self.labels)})"
        return str(self.id.value)

    @property
    def is_nested(self) -> bool:
        """LIST, ARRAY, STRUCT or MAP."""
        return self.id in NESTED_TYPES

    @property
    def is_enum(self) -> bool:
        """An ENUM."""
        return self.id is TypeId.ENUM

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of an ENUM in their order."""
        return tuple(label for label, _ in self.fields)

    @property
    def is_list(self) -> bool:
        """A LIST."""
        return self.id is TypeId.LIST

    @property
    def is_array(self) -> bool:
        """An ARRAY: a list of a fixed size."""
        return self.id is TypeId.ARRAY

    @property
    def is_bytes(self) -> bool:
        """Stored as byte strings: VARCHAR, JSON, BLOB and the nested types."""
        return self.id in BYTE_TYPES

    @property
    def is_text(self) -> bool:
        """VARCHAR, or JSON, which is text that is known to be a document."""
        return self.id in (TypeId.VARCHAR, TypeId.JSON)

    @property
    def element(self) -> DataType:
        """Type of the elements of a LIST or ARRAY; a MAP is a list of structs of a key and a value."""
        return struct_of(self.fields) if self.id is TypeId.MAP else self.fields[0][1]

    def field(self, name: str) -> int | None:
        """Place of a field of a STRUCT by its name, ignoring case; None if it has no such field."""
        folded = name.lower()
        return next((place for place, (own, _) in enumerate(self.fields) if own.lower() == folded), None)

    @property
    def is_integer(self) -> bool:
        """A signed or unsigned integer of any width."""
        return self.id in INTEGER_LIMITS

    @property
    def is_float(self) -> bool:
        """REAL or DOUBLE."""
        return self.id in (TypeId.REAL, TypeId.DOUBLE)

    @property
    def is_decimal(self) -> bool:
        """DECIMAL of any width and scale."""
        return self.id is TypeId.DECIMAL

    @property
    def is_numeric(self) -> bool:
        """Integer, floating point or decimal."""
        return self.is_integer or self.is_float or self.is_decimal

    @property
    def is_temporal(self) -> bool:
        """DATE, TIME, TIMESTAMPTZ or a TIMESTAMP of any precision."""
        return self.id in (TypeId.DATE, TypeId.TIME, TypeId.TIMESTAMPTZ) or self.is_timestamp

    @property
    def is_timestamp(self) -> bool:
        """TIMESTAMP of any precision, without time zone."""
        return self.id in TICKS_PER_SECOND

    @property
    def is_zoned(self) -> bool:
        """TIMESTAMPTZ, or made of it: what its values look like depends on the session's time zone."""
        return self.id is TypeId.TIMESTAMPTZ or (self.is_nested and any(d.is_zoned for _, d in self.fields))

    @property
    def limits(self) -> tuple[int, int] | None:
        """Smallest and largest stored integer of an exact type; None for types not stored as one integer."""
        if self.id in INTEGER_LIMITS:
            return INTEGER_LIMITS[self.id]
        if self.is_decimal:
            return 1 - 10**self.width, 10**self.width - 1
        if self.id is TypeId.BOOLEAN:
            return 0, 1
        if self.is_enum:
            return 0, len(self.fields) - 1
        if self.id is TypeId.DATE:
            return INTEGER_LIMITS[TypeId.INTEGER]
        if self.id in (TypeId.TIME, TypeId.TIMESTAMPTZ) or self.is_timestamp:
            return INTEGER_LIMITS[TypeId.BIGINT]
        if self.id is TypeId.UUID:
            return INTEGER_LIMITS[TypeId.HUGEINT]
        return None


def _signed(bits: int) -> tuple[int, int]:
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


INTEGER_LIMITS: dict[TypeId, tuple[int, int]] = {
    TypeId.TINYINT: _signed(8),
    TypeId.SMALLINT: _signed(16),
    TypeId.INTEGER: _signed(32),
    TypeId.BIGINT: _signed(64),
    TypeId.HUGEINT: _signed(128),
    TypeId.UTINYINT: (0, 2**8 - 1),
    TypeId.USMALLINT: (0, 2**16 - 1),
    TypeId.UINTEGER: (0, 2**32 - 1),
    TypeId.UBIGINT: (0, 2**64 - 1),
}

NULL = DataType(TypeId.NULL)
BOOLEAN = DataType(TypeId.BOOLEAN)
TINYINT = DataType(TypeId.TINYINT)
SMALLINT = DataType(TypeId.SMALLINT)
INTEGER = DataType(TypeId.INTEGER)
BIGINT = DataType(TypeId.BIGINT)
HUGEINT = DataType(TypeId.HUGEINT)
UTINYINT = DataType(TypeId.UTINYINT)
USMALLINT = DataType(TypeId.USMALLINT)
UINTEGER = DataType(TypeId.UINTEGER)
UBIGINT = DataType(TypeId.UBIGINT)
REAL = DataType(TypeId.REAL)
DOUBLE = DataType(TypeId.DOUBLE)
VARCHAR = DataType(TypeId.VARCHAR)
BLOB = DataType(TypeId.BLOB)
DATE = DataType(TypeId.DATE)
TIME = DataType(TypeId.TIME)
TIMESTAMP = DataType(TypeId.TIMESTAMP)
INTERVAL = DataType(TypeId.INTERVAL)
TIMESTAMP_S = DataType(TypeId.TIMESTAMP_S)
TIMESTAMP_MS = DataType(TypeId.TIMESTAMP_MS)
TIMESTAMP_NS = DataType(TypeId.TIMESTAMP_NS)
UUID = DataType(TypeId.UUID)
TIMESTAMPTZ = DataType(TypeId.TIMESTAMPTZ)

#: Stored timestamps and dates that stand for infinity, and their negatives for the other one.
INFINITE_TIMESTAMP = 2**63 - 1
INFINITE_DATE = 2**31 - 1
JSON = DataType(TypeId.JSON)

#: What timestamps count in.
TICKS_PER_SECOND: dict[TypeId, int] = {
    TypeId.TIMESTAMP_S: 1,
    TypeId.TIMESTAMP_MS: 1_000,
    TypeId.TIMESTAMP: 1_000_000,
    TypeId.TIMESTAMP_NS: 1_000_000_000,
}

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: Common field names that are keywords of DuckDB and stand in quotes in a type's name.
_QUOTED_WORDS = frozenset(
    {
        "all",
        "any",
        "array",
        "as",
        "asc",
        "by",
        "case",
        "column",
        "data",
        "date",
        "day",
        "default",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "format",
        "from",
        "group",
        "hour",
        "index",
        "interval",
        "key",
        "limit",
        "minute",
        "month",
        "name",
        "offset",
        "order",
        "row",
        "rows",
        "schema",
        "second",
        "select",
        "set",
        "table",
        "text",
        "then",
        "time",
        "timestamp",
        "to",
        "type",
        "union",
        "user",
        "using",
        "value",
        "values",
        "when",
        "where",
        "window",
        "with",
        "year",
    }
)


def _nested_name(dtype: DataType) -> str:
    if dtype.id is TypeId.LIST:
        return f"{_part_name(dtype.fields[0][1])}[]"
    if dtype.id is TypeId.ARRAY:
        return f"{_part_name(dtype.fields[0][1])}[{dtype.width}]"
    if dtype.id is TypeId.MAP:
        return f"MAP({', '.join(_part_name(part) for _, part in dtype.fields)})"
    if is_row(dtype):
        return f"TUPLE({', '.join(_part_name(part) for _, part in dtype.fields)})"
    return f"STRUCT({', '.join(f'{_quoted(name)} {_part_name(part)}' for name, part in dtype.fields)})"


def _part_name(dtype: DataType) -> str:
    return '"NULL"' if dtype.id is TypeId.NULL else str(dtype)


def _quoted(name: str) -> str:
    if _PLAIN_NAME.fullmatch(name) and name.lower() not in _QUOTED_WORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def enum_of(labels: Iterable[str]) -> DataType:
    """ENUM of at least one label; ``ValueError`` if one appears twice."""
    given = tuple(labels)
    if not given:
        raise ValueError("an ENUM has at least one label")
    for place, label in enumerate(given):
        if label in given[:place]:
            raise ValueError(f"label appears twice: {label}")
    return DataType(TypeId.ENUM, fields=tuple((label, NULL) for label in given))


def _quoted_label(label: str) -> str:
    return "'" + label.replace("'", "''") + "'"


def with_moments_as_text(dtype: DataType) -> DataType:
    """The type with VARCHAR in place of TIMESTAMPTZ, within nested types as well."""
    if dtype.id is TypeId.TIMESTAMPTZ:
        return VARCHAR
    if not dtype.is_zoned:
        return dtype
    return replace(dtype, fields=tuple((name, with_moments_as_text(part)) for name, part in dtype.fields))


def list_of(element: DataType) -> DataType:
    """``element[]``."""
    return DataType(TypeId.LIST, fields=(("", element),))


MAX_ARRAY_SIZE = 100_000


def array_of(element: DataType, size: int) -> DataType:
    """``element[size]``; ``ValueError`` unless 1 <= size <= 100,000."""
    if not 1 <= size <= MAX_ARRAY_SIZE:
        raise ValueError(f"size of an array must be 1 to {MAX_ARRAY_SIZE}: {size}")
    return DataType(TypeId.ARRAY, size, fields=(("", element),))


def struct_of(fields: Iterable[tuple[str, DataType]]) -> DataType:
    """``STRUCT(name type, ...)``; of a row without names all are empty."""
    return DataType(TypeId.STRUCT, fields=tuple((name, dtype) for name, dtype in fields))


def map_of(key: DataType, value: DataType) -> DataType:
    """``MAP(key, value)``."""
    return DataType(TypeId.MAP, fields=(("key", key), ("value", value)))


MAX_DECIMAL_WIDTH = 38

#: DECIMAL that holds every value of an integer type exactly (DuckDB's choice of width).
INTEGER_AS_DECIMAL_WIDTH: dict[TypeId, int] = {
    TypeId.TINYINT: 3,
    TypeId.UTINYINT: 3,
    TypeId.SMALLINT: 5,
    TypeId.USMALLINT: 5,
    TypeId.INTEGER: 10,
    TypeId.UINTEGER: 10,
    TypeId.BIGINT: 19,
    TypeId.UBIGINT: 20,
    TypeId.HUGEINT: 38,
}

_SIGNED_ORDER = (TypeId.TINYINT, TypeId.SMALLINT, TypeId.INTEGER, TypeId.BIGINT, TypeId.HUGEINT)


def decimal(width: int, scale: int) -> DataType:
    """DECIMAL(width, scale); ``ValueError`` unless 0 <= scale <= width and 1 <= width <= 38."""
    if not (1 <= width <= MAX_DECIMAL_WIDTH and 0 <= scale <= width):
        raise ValueError(f"decimal width must be 1 to 38 and scale 0 to width: ({width}, {scale})")
    return DataType(TypeId.DECIMAL, width, scale)


def integer_as_decimal(dtype: DataType) -> DataType:
    """The DECIMAL(n, 0) that stands for an integer type in decimal arithmetic."""
    return decimal(INTEGER_AS_DECIMAL_WIDTH[dtype.id], 0)


def common_type(left: DataType, right: DataType) -> DataType | None:
    """Smallest type to which both cast implicitly, or None if there is none.

    Used by comparisons, CASE, COALESCE, IN and set operations. A string literal adapts to the other side instead
    (the binder does that before it asks here).
    """
    if left == right:
        return left
    if left.id is TypeId.NULL:
        return right
    if right.id is TypeId.NULL:
        return left
    if left.is_numeric and right.is_numeric:
        return _common_numeric(left, right)
    if left.is_nested and right.is_nested:
        return _common_nested(left, right)
    pair = {left.id, right.id}
    if pair == {TypeId.ENUM}:
        return VARCHAR
    if left.is_timestamp and right.is_timestamp:
        return max(left, right, key=lambda dtype: TICKS_PER_SECOND[dtype.id])
    if TypeId.TIMESTAMPTZ in pair:
        other = right if left.id is TypeId.TIMESTAMPTZ else left
        if other.id is TypeId.TIMESTAMP_NS:
            return other
        if other.is_timestamp or other.id is TypeId.DATE:
            return TIMESTAMPTZ
    if TypeId.DATE in pair and (left.is_timestamp or right.is_timestamp):
        return left if left.is_timestamp else right
    if TypeId.BOOLEAN in pair and (left.is_numeric or right.is_numeric):
        return left if left.is_numeric else right
    if TypeId.VARCHAR in pair:
        return JSON if TypeId.JSON in pair else VARCHAR
    return None


def _common_nested(left: DataType, right: DataType) -> DataType | None:
    """Part by part; structs by their fields' names, in the order of the left, those that only the right has last."""
    if {left.id, right.id} == {TypeId.ARRAY, TypeId.LIST}:
        element = common_type(left.element, right.element)
        size = max(left.width, right.width)
        return None if element is None else array_of(element, size)
    if left.id is not right.id or (left.is_array and left.width != right.width):
        return None
    if left.id is not TypeId.STRUCT or is_row(left) or is_row(right):
        if len(left.fields) != len(right.fields):
            return None
        pairs = list(zip(left.fields, right.fields, strict=True))
        parts = [common_type(one, other) for (_, one), (_, other) in pairs]
        names = [one or other for (one, _), (other, _) in pairs]
    else:
        others = {name.lower(): (name, dtype) for name, dtype in right.fields}
        names, parts = [], []
        for name, dtype in left.fields:
            other = others.pop(name.lower(), None)
            names.append(name)
            parts.append(dtype if other is None else common_type(dtype, other[1]))
        for name, dtype in others.values():
            names.append(name)
            parts.append(dtype)
    if any(part is None for part in parts):
        return None
    return DataType(
        left.id, left.width, fields=tuple((n, p) for n, p in zip(names, parts, strict=True) if p is not None)
    )


def is_row(dtype: DataType) -> bool:
    """A STRUCT whose fields have no names, as ``ROW(1, 2)`` makes it."""
    return all(not name for name, _ in dtype.fields)


def _common_numeric(left: DataType, right: DataType) -> DataType:
    if left.is_float or right.is_float:
        return DOUBLE if TypeId.DOUBLE in (left.id, right.id) else REAL
    if left.is_integer and right.is_integer:
        return _common_integer(left, right)
    if TypeId.HUGEINT in (left.id, right.id):
        # Has more than 38 digits anyway: DuckDB keeps the other's scale.
        return decimal(MAX_DECIMAL_WIDTH, max(left.scale, right.scale))
    left = integer_as_decimal(left) if left.is_integer else left
    right = integer_as_decimal(right) if right.is_integer else right
    scale = max(left.scale, right.scale)
    whole = max(left.width - left.scale, right.width - right.scale)
    if whole + scale > MAX_DECIMAL_WIDTH:
        return decimal(MAX_DECIMAL_WIDTH, min(scale, MAX_DECIMAL_WIDTH - min(whole, MAX_DECIMAL_WIDTH)))
    return decimal(whole + scale, scale)


def _common_integer(left: DataType, right: DataType) -> DataType:
    low = min(INTEGER_LIMITS[left.id][0], INTEGER_LIMITS[right.id][0])
    high = max(INTEGER_LIMITS[left.id][1], INTEGER_LIMITS[right.id][1])
    for candidate in (left.id, right.id, *_SIGNED_ORDER):
        limits = INTEGER_LIMITS[candidate]
        if limits[0] <= low and high <= limits[1]:
            return DataType(candidate)
    return HUGEINT
