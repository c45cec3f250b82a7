"""A column of values on one device: typed, encoded, nullable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gpuql_planner.types import DataType, TypeId

Array = Any  # numpy.ndarray or cupy.ndarray; the device that owns a batch says which

#: What ``Column.form`` gives.
Form = tuple[str, int]

#: NumPy dtype of the unencoded values of each type; types of several words have shape (n, words).
NATURAL_DTYPE: dict[TypeId, type] = {
    TypeId.NULL: np.int8,
    TypeId.BOOLEAN: np.bool_,
    TypeId.TINYINT: np.int8,
    TypeId.SMALLINT: np.int16,
    TypeId.INTEGER: np.int32,
    TypeId.BIGINT: np.int64,
    TypeId.UTINYINT: np.uint8,
    TypeId.USMALLINT: np.uint16,
    TypeId.UINTEGER: np.uint32,
    TypeId.UBIGINT: np.uint64,
    TypeId.REAL: np.float32,
    TypeId.DOUBLE: np.float64,
    TypeId.DATE: np.int32,
    TypeId.TIME: np.int64,
    TypeId.TIMESTAMP: np.int64,
    TypeId.TIMESTAMP_S: np.int64,
    TypeId.TIMESTAMP_MS: np.int64,
    TypeId.TIMESTAMP_NS: np.int64,
    TypeId.UUID: np.int64,
    TypeId.TIMESTAMPTZ: np.int64,
    TypeId.INTERVAL: np.int64,
    TypeId.HUGEINT: np.int64,
    TypeId.DECIMAL: np.int64,
    TypeId.VARCHAR: np.int32,
    TypeId.JSON: np.int32,
    TypeId.BLOB: np.int32,
    TypeId.LIST: np.int32,
    TypeId.ARRAY: np.int32,
    TypeId.STRUCT: np.int32,
    TypeId.MAP: np.int32,
    TypeId.ENUM: np.int32,
}


@dataclass(frozen=True, eq=False)
class StringArray:
    """Distinct or arbitrary byte strings that the values of a column point into.

    Attributes
    ----------
    offsets : int64, shape (n + 1,)
        String ``i`` is ``data[offsets[i]:offsets[i + 1]]``, UTF-8 for VARCHAR.
    data : uint8, shape (total bytes,)
    unique : bool
        No two entries are equal, so equal positions mean equal strings and different ones different strings.
    sorted : bool
        Entries are in ascending byte order, so positions compare as the strings do.
    cache : dict
        Results of functions over all entries, by function and arguments. Entries may be dropped at any time.
    """

    offsets: Array
    data: Array
    unique: bool = False
    sorted: bool = False
    cache: dict[Any, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclass(frozen=True, eq=False)
class Column:
    """Values of one type.

    Attributes
    ----------
    dtype : the logical type.
    values : array, shape (n,) or (n, words)
        Fixed-width types: any integer width that holds the values (narrower than natural is common, so widen
        before arithmetic), bool for BOOLEAN, float32/float64 as the type says. VARCHAR and BLOB: signed
        integer positions into ``strings`` (a dictionary if ``strings.unique``). Two-word types are int64 of
        shape (n, 2), low word first, when they do not fit one word: HUGEINT and DECIMAL wider than 18 digits
        are stored as int64 of shape (n,) whenever all values fit, so check ``values.ndim``. INTERVAL: int64
        (n, 3): months, days, microseconds. Rows that are NULL hold any value of the right dtype (a position
        into ``strings`` is in range, or ``strings`` is empty).
    validity : bool, shape (n,), True where not NULL; None if no row is NULL.
    strings : what positions of VARCHAR, BLOB and nested types (see ``gpuql.columnar.nested``) point into, else None.
    bounds : inclusive range that contains every non-NULL stored integer (conservative), or None if unknown.
        For strings: None.
    """

    dtype: DataType
    values: Array
    validity: Array | None = None
    strings: StringArray | None = None
    bounds: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def form(self) -> Form:
        """How values are stored: a name that is equal for equal treatment by generated code, and the dimensions."""
        return self.values.dtype.name, self.values.ndim

    @property
    def nbytes(self) -> int:
        """Bytes of values and validity as stored, without ``strings``."""
        return int(self.values.nbytes) + (0 if self.validity is None else int(self.validity.nbytes))

    def take(self, rows: Array) -> Column:
        """Rows at int positions ``rows`` (any order, repeats allowed); bounds are kept."""
        validity = None if self.validity is None else self.validity[rows]
        return Column(self.dtype, self.values[rows], validity, self.strings, self.bounds)

    def slice(self, start: int, stop: int) -> Column:
        """Rows ``start`` to ``stop`` as views, nothing copied."""
        validity = None if self.validity is None else self.validity[start:stop]
        return Column(self.dtype, self.values[start:stop], validity, self.strings, self.bounds)
