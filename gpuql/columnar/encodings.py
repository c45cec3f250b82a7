"""Physical encoding of a stored column, chosen from its data.

Narrowest integers, dictionaries for strings, then runs or offsets from a reference where they are smaller.

Columns made by a query carry whatever widths and strings its operators left; before they are kept in a table
they pass through :func:`encode_column`.
"""

from __future__ import annotations

import numpy as np

from gpuql.columnar import two_words
from gpuql.columnar.column import Column
from gpuql.columnar.compressed import compress_column
from gpuql.columnar.construct import narrowest_dtype, null_column
from gpuql.columnar.strings import is_row_by_row, on_host
from gpuql_planner.types import BLOB, TypeId


def encode_column(column: Column) -> Column:
    """Same rows on the host, as :func:`narrow_column`, then compressed if that is smaller."""
    return compress_column(narrow_column(column))


def narrow_column(column: Column) -> Column:
    """Same rows on the host.

    Exact bounds, narrowest width, no validity if nothing is NULL, strings deduplicated.
    """
    values = on_host(column.values)
    validity = None if column.validity is None else on_host(column.validity)
    if validity is not None and validity.all():
        validity = None
    if validity is not None and not validity.any():
        return null_column(column.dtype, len(column))
    if len(column) == 0:
        return null_column(column.dtype, 0)
    if column.dtype.is_bytes:
        return _encode_strings(column)
    if column.dtype.is_float or column.dtype.id in (TypeId.BOOLEAN, TypeId.INTERVAL):
        return Column(column.dtype, np.ascontiguousarray(values), validity)
    return _encode_integers(Column(column.dtype, values, validity))


def _encode_integers(column: Column) -> Column:
    values = column.values
    valid = values if column.validity is None else values[column.validity]
    if values.ndim == 2:
        if not two_words.fits_one_word(valid).all():
            contiguous = np.ascontiguousarray(values)
            return Column(column.dtype, contiguous, column.validity, None, two_words.bounds(valid))
        values, valid = values[:, 0], valid[:, 0]
    low, high = int(valid.min()), int(valid.max())
    narrow = narrowest_dtype(low, high, column.dtype)
    assert narrow is not None, "one-word integers have a one-word width"
    stored = np.ascontiguousarray(values, dtype=narrow)
    if column.validity is not None:
        stored = np.where(column.validity, stored, narrow.type(low))
    return Column(column.dtype, stored, column.validity, None, (low, high))


def _encode_strings(column: Column) -> Column:
    if column.dtype.is_nested:
        plain = _encode_strings(Column(BLOB, column.values, column.validity, column.strings))
        return Column(column.dtype, plain.values, plain.validity, plain.strings)
    strings = column.strings
    assert strings is not None, "a string column has strings"
    if strings.unique and strings.sorted and len(strings) <= len(column):
        return column
    from gpuql.columnar.arrow_export import column_to_arrow
    from gpuql.columnar.arrow_strings import row_strings_to_arrow, strings_from_arrow, worth_a_dictionary

    if not strings.unique and is_row_by_row(column):
        array = row_strings_to_arrow(column)
        if not worth_a_dictionary(array):
            return column
        return strings_from_arrow(array, column.dtype)
    return strings_from_arrow(column_to_arrow(column), column.dtype)
