"""Functions of structs and maps over all rows at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.nested import Lists, lists_column, read_field, read_lists, read_structs, structs_column
from gpuql.expressions.list_rows import (
    kept_lists,
    lists_of,
    on_rows,
    ranks,
    valid_rows,
    validity_of,
)
from gpuql.expressions.vectors import constant_integer
from gpuql_planner.errors import DataError
from gpuql_planner.types import BOOLEAN, DataType


def _struct_pack(dtype: DataType, rows: list[Column], context: Any) -> Column:
    return structs_column(dtype, tuple(rows), len(rows[0]))


def _struct_extract(dtype: DataType, rows: list[Column], context: Any) -> Column:
    place = constant_integer(rows[1].slice(0, 1))
    assert place is not None, "the place of a field is a constant"
    return read_field(rows[0], place)


def _map(dtype: DataType, rows: list[Column], context: Any) -> Column:
    validity = validity_of(rows, len(rows[0]))
    keys, values = lists_of(rows[0], validity), lists_of(rows[1], validity)
    if not bool((keys.lengths == values.lengths).all()):
        raise DataError("keys and values of a map must be equally many")
    return _checked_map(dtype, keys, values.elements, validity)


def _checked_map(dtype: DataType, keys: Lists, values: Column, validity: Array | None) -> Column:
    if not bool(valid_rows(keys.elements).all()):
        raise DataError("keys of a map must not be NULL")
    if _repeats(keys):
        raise DataError("keys of a map must be unique")
    entries = structs_column(dtype.element, (keys.elements, values), len(keys.elements))
    return lists_column(dtype, keys.lengths, entries, validity)


def _repeats(keys: Lists) -> bool:
    """Whether a key stands in a row twice."""
    (own,) = ranks([keys.elements])
    pairs = keys.rows * (int(own.max(initial=0)) + 1) + own
    return len(np.unique(pairs)) != len(pairs)


def _fields(lists: Lists) -> tuple[Column, Column]:
    keys, values = read_structs(lists.elements).fields
    return keys, values


def _keys(dtype: DataType, rows: list[Column], context: Any) -> Column:
    lists = read_lists(rows[0])
    return lists_column(dtype, lists.lengths, _fields(lists)[0], rows[0].validity)


def _values(dtype: DataType, rows: list[Column], context: Any) -> Column:
    lists = read_lists(rows[0])
    return lists_column(dtype, lists.lengths, _fields(lists)[1], rows[0].validity)


def _entries(dtype: DataType, rows: list[Column], context: Any) -> Column:
    lists = read_lists(rows[0])
    return lists_column(dtype, lists.lengths, lists.elements, rows[0].validity)


def _matches(rows: list[Column]) -> tuple[Lists, Column, Array]:
    """Entries of the maps, their values, and which have the row's key."""
    lists = read_lists(rows[0])
    keys, values = _fields(lists)
    own, wanted = ranks([keys, rows[1]])
    return lists, values, own == wanted[lists.rows]


def _contains(dtype: DataType, rows: list[Column], context: Any) -> Column:
    lists, _, match = _matches(rows)
    found = np.bincount(lists.rows[match], minlength=len(rows[0])) > 0
    return Column(BOOLEAN, found, validity_of(rows, len(rows[0])))


def _extract(dtype: DataType, rows: list[Column], context: Any) -> Column:
    lists, values, match = _matches(rows)
    return kept_lists(dtype, Lists(lists.offsets, values), match, rows[0].validity)


def _extract_value(dtype: DataType, rows: list[Column], context: Any) -> Column:
    lists, values, match = _matches(rows)
    place = np.full(len(rows[0]), -1, np.int64)
    place[lists.rows[match]] = np.flatnonzero(match)
    there = place >= 0
    if len(values) == 0:
        from gpuql.columnar.construct import null_column

        return null_column(dtype, len(rows[0]))
    found = values.take(np.maximum(place, 0))
    validity = there if found.validity is None else there & found.validity
    return Column(dtype, found.values, validity, found.strings, found.bounds)


def _from_entries(dtype: DataType, rows: list[Column], context: Any) -> Column:
    lists = read_lists(rows[0])
    if not bool(valid_rows(lists.elements).all()):
        raise DataError("entries of a map must not be NULL")
    keys, values = _fields(lists)
    return _checked_map(dtype, Lists(lists.offsets, keys), values, rows[0].validity)


def _concat(dtype: DataType, rows: list[Column], context: Any) -> Column:
    """Keys stand where they came first, with the value that came last. NULL maps count nothing."""
    parts = [read_lists(row) for row in rows]
    some = np.any([valid_rows(row) for row in rows], axis=0)
    row_of = np.concatenate([part.rows for part in parts])
    filled = [part.elements for part in parts if len(part.elements)] or [parts[0].elements]
    entries = concat_columns(filled)
    keys, values = read_structs(entries).fields
    (own,) = ranks([keys])
    order = np.lexsort((np.arange(len(own)), own, row_of))
    row, key = row_of[order], own[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (row[1:] != row[:-1]) | (key[1:] != key[:-1])
    last = np.ones(len(order), np.bool_)
    last[:-1] = new[1:]
    first_places, last_places = order[new], order[last]
    back = np.lexsort((first_places, row_of[first_places]))
    lengths = np.bincount(row_of[first_places], minlength=len(rows[0]))
    if len(entries) == 0:
        return lists_column(dtype, lengths, entries, None if bool(some.all()) else some)
    merged = structs_column(
        dtype.element, (keys.take(first_places[back]), values.take(last_places[back])), len(back)
    )
    return lists_column(dtype, lengths, merged, None if bool(some.all()) else some)


FUNCTIONS = {
    "struct_extract": on_rows(_struct_extract),
    "map": on_rows(_map),
    "map_keys": on_rows(_keys),
    "map_values": on_rows(_values),
    "map_entries": on_rows(_entries),
    "map_contains": on_rows(_contains),
    "map_extract": on_rows(_extract),
    "map_extract_value": on_rows(_extract_value),
    "map_from_entries": on_rows(_from_entries),
}

#: Functions that see NULL arguments.
NULL_AWARE = {"struct_pack": on_rows(_struct_pack), "map_concat": on_rows(_concat)}
