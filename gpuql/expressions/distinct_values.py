"""Host functions run once per distinct value: fixed-width to text, and text to fixed-width.

Python runs for each distinct value only; the rest is gathered with arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column
from gpuql.columnar.construct import column_from_python
from gpuql.columnar.strings import entry_bytes, narrow_positions, on_host, string_array, take_strings
from gpuql_planner.errors import ConversionError
from gpuql_planner.types import DataType


def distinct_rows(xp: Any, values: Array) -> tuple[Array, Array]:
    """Distinct values (or rows of a two-dimensional array), and for each row the number of its value."""
    if values.ndim == 1:
        distinct, inverse = xp.unique(values, return_inverse=True)
        return distinct, inverse
    host, inverse = np.unique(on_host(values), axis=0, return_inverse=True)
    return xp.asarray(host), xp.asarray(inverse.reshape(-1))


def strings_of_distinct(xp: Any, dtype: DataType, column: Column, function: Callable[[Any], str]) -> Column:
    """Text of each value. ``function`` takes the stored value as int, float, or list of words."""
    values = column.values
    if column.validity is not None:
        # NULL rows hold garbage that the function may refuse.
        kept = xp.flatnonzero(column.validity)
        texts = strings_of_distinct(xp, dtype, Column(column.dtype, values[kept]), function)
        positions = xp.zeros(len(values), texts.values.dtype)
        positions[kept] = texts.values
        return Column(dtype, positions, column.validity, texts.strings)
    distinct, inverse = distinct_rows(xp, values)
    texts_of = [function(value) for value in on_host(distinct).tolist()]
    return string_column(xp, dtype, [text.encode("utf-8", "surrogateescape") for text in texts_of], inverse)


def string_column(xp: Any, dtype: DataType, entries: list[bytes], codes: Array) -> Column:
    """A string column of entries (repeats allowed) and the entry number of each row, with distinct strings."""
    ordered = sorted(set(entries))
    number = {entry: index for index, entry in enumerate(ordered)}
    moved = xp.asarray(np.array([number[entry] for entry in entries], np.int64).reshape(-1))
    host = string_array(ordered, unique=True, sorted=True)
    strings = type(host)(xp.asarray(host.offsets), xp.asarray(host.data), unique=True, sorted=True)
    positions = moved[codes] if len(entries) else xp.zeros(len(codes), xp.int8)
    return Column(dtype, narrow_positions(positions, len(ordered)), None, strings)


@dataclass(frozen=True, slots=True)
class EntryTexts:
    """Distinct entries of a string column on the host, and the entry number of each row."""

    entries: list[bytes]
    codes: Array


def text_of_entries(xp: Any, column: Column) -> EntryTexts:
    """Strings used by a column, each position once."""
    strings = column.strings
    assert strings is not None, "a string column has strings"
    if len(strings) == 0:
        return EntryTexts([b""], xp.zeros(len(column.values), xp.int64))
    if len(strings) <= 2 * len(column.values):
        return EntryTexts(entry_bytes(strings), column.values)
    used, codes = xp.unique(column.values, return_inverse=True)
    return EntryTexts(entry_bytes(take_strings(strings, used.astype(xp.int64), xp=xp)), codes)


def values_of_entries(
    xp: Any,
    dtype: DataType,
    column: Column,
    texts: EntryTexts,
    parse: Callable[[str], Any],
    complaint: str,
    *,
    try_: bool,
) -> Column:
    """Fixed-width values parsed from text: stored integers or floats; None of ``parse`` is a failure.

    Failures in rows that are not NULL raise ConversionError, or give NULL if ``try_`` is set.
    """
    parsed = [parse(entry.decode("utf-8", "surrogateescape")) for entry in texts.entries]
    good = np.array([value is not None for value in parsed], bool)
    validity = column.validity
    if not good.all():
        failed = xp.asarray(~good)[texts.codes]
        if validity is not None:
            failed = failed & validity
        if bool(failed.any()):
            if not try_:
                first = int(xp.flatnonzero(failed)[0])
                text = texts.entries[int(texts.codes[first])].decode("utf-8", "replace")
                raise ConversionError(f"{complaint}: {text!r}")
            validity = ~failed if validity is None else validity & ~failed
    stored = stored_column(xp, dtype, parsed)
    return Column(dtype, stored.values[texts.codes], validity, None, stored.bounds)


def stored_column(xp: Any, dtype: DataType, stored: list[Any]) -> Column:
    """A column of stored integers, floats or interval triples; None becomes any value."""
    some = next((value for value in stored if value is not None), None)
    if some is None:
        some = (0, 0, 0) if dtype.id.value == "INTERVAL" else 0
    filled = [some if value is None else value for value in stored]
    if dtype.id.value == "INTERVAL":
        return Column(dtype, xp.asarray(np.array(filled, np.int64).reshape(-1, 3)))
    if dtype.is_decimal:
        from gpuql_planner.types import HUGEINT

        # Scaled integers already, so they are built as plain integers and relabelled.
        host = column_from_python(filled, HUGEINT)
    else:
        host = column_from_python(filled, dtype)
    return Column(dtype, xp.asarray(host.values), None, None, host.bounds)
