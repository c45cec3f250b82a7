"""Logical SQL types, and the rules that combine them.

A :class:`DataType` says what a value means; how it is stored is the business of the columns (``gpuql.columnar``).
Rules follow DuckDB's dialect.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class DataType:
    """A logical type. ``width`` and ``scale`` (digits) are used by DECIMAL only.

    Stored form (before encoding): integers as themselves; DECIMAL as the integer ``value * 10**scale``; DATE as days
    and TIMESTAMP as microseconds since 1970-01-01; TIME as microseconds since midnight; INTERVAL as (months, days,
    microseconds).
    """

    id: TypeId
    width: int = 0
    scale: int = 0

    def __str__(self) -> str:
        return f"DECIMAL({self.width},{self.scale})" if self.id is TypeId.DECIMAL else self.id.value

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
        """DATE, TIME or TIMESTAMP."""
        return self.id in (TypeId.DATE, TypeId.TIME, TypeId.TIMESTAMP)

    @property
    def limits(self) -> tuple[int, int] | None:
        """Smallest and largest stored integer of an exact type; None for types not stored as one integer."""
        if self.id in INTEGER_LIMITS:
            return INTEGER_LIMITS[self.id]
        if self.is_decimal:
            return 1 - 10**self.width, 10**self.width - 1
        if self.id is TypeId.BOOLEAN:
            return 0, 1
        if self.id is TypeId.DATE:
            return INTEGER_LIMITS[TypeId.INTEGER]
        if self.id in (TypeId.TIME, TypeId.TIMESTAMP):
            return INTEGER_LIMITS[TypeId.BIGINT]
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
    pair = {left.id, right.id}
    if pair == {TypeId.DATE, TypeId.TIMESTAMP}:
        return TIMESTAMP
    if TypeId.BOOLEAN in pair and (left.is_numeric or right.is_numeric):
        return left if left.is_numeric else right
    if TypeId.VARCHAR in pair:
        return VARCHAR
    return None


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
