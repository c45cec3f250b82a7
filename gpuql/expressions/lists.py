"""List functions over all elements at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.construct import null_column
from gpuql.columnar.nested import (
    Lists,
    fixed_elements_at,
    list_lengths,
    lists_column,
    offsets_of,
    read_lists,
    structs_column,
)
from gpuql.expressions.list_rows import (
    blanked,
    kept_lists,
    lists_of,
    on_rows,
    ranks,
    repeated,
    taken_lists,
    valid_rows,
    validity_of,
    within,
)
from gpuql.thresholds import MAX_LIST_ELEMENTS
from gpuql_planner.errors import DataError
from gpuql_planner.types import BOOLEAN, DataType


def _list_value(dtype: DataType, rows: list[Column], context: Any) -> Column:
    """One list of all arguments a row; may see NULL."""
    count = len(rows)
    if not count:
        return lists_column(dtype, np.zeros(1, np.int64), null_column(dtype.element, 0))
    num_rows = len(rows[0])
    joined = concat_columns(rows) if num_rows else rows[0]
    places = np.arange(num_rows)[:, None] + num_rows * np.arange(count)[None, :]
    return lists_column(dtype, np.full(num_rows, count, np.int64), joined.take(places.reshape(-1)))


def _length(dtype: DataType, rows: list[Column], context: Any) -> Column:
    lengths = list_lengths(rows[0])
    return Column(dtype, lengths, rows[0].validity, None, (0, int(lengths.max(initial=0))))


def _integers(column: Column) -> Array:
    """Whole numbers of a BIGINT column; what stands under NULL is 0."""
    values = column.values.astype(np.int64)
    return values if column.validity is None else np.where(column.validity, values, 0)


def _extract(dtype: DataType, rows: list[Column], context: Any) -> Column:
    index = _integers(rows[1])
    direct = fixed_elements_at(rows[0], index)
    if direct is not None:
        return direct
    lists = read_lists(rows[0])
    place = np.where(index > 0, index - 1, index + lists.lengths)
    there = (index != 0) & (place >= 0) & (place < lists.lengths)
    return _picked(dtype, lists, np.where(there, lists.offsets[:-1] + place, 0), there)


def _picked(dtype: DataType, lists: Lists, places: Array, there: Array) -> Column:
    """The elements at ``places`` of all elements, where they are there."""
    if len(lists.elements) == 0:
        return null_column(dtype, len(places))
    found = lists.elements.take(places)
    validity = there if found.validity is None else found.validity & there
    return Column(dtype, found.values, validity, found.strings, found.bounds)


def _slice(dtype: DataType, rows: list[Column], context: Any) -> Column:
    validity = validity_of(rows, len(rows[0]))
    lists = lists_of(rows[0], validity)
    begin, end = slice_bounds(lists.lengths, _integers(rows[1]), _integers(rows[2]))
    step = _integers(rows[3]) if len(rows) > 3 else np.ones(len(begin), np.int64)
    if validity is not None:
        step = np.where(validity, step, 1)
    if bool((step == 0).any()):
        raise DataError("slice step must not be zero")
    size = np.maximum(end - begin, 0)
    lengths = -(-size // np.abs(step))
    first = lists.offsets[:-1] + np.where(step > 0, begin, end - 1)
    places = np.repeat(first, lengths) + within(lengths) * np.repeat(step, lengths)
    return taken_lists(dtype, lengths, lists.elements, places, validity)


def slice_bounds(lengths: Array, begin: Array, end: Array) -> tuple[Array, Array]:
    """Bounds from 0, the end not included, of slices counted from 1, or from the end if negative."""
    begin = np.where(begin < 0, np.maximum(begin + lengths, 0), np.maximum(begin - 1, 0))
    end = np.where(end < 0, end + lengths + 1, end)
    return begin, np.clip(end, 0, lengths)


def _append(dtype: DataType, rows: list[Column], context: Any) -> Column:
    return _joined(dtype, [_elements_or_none(rows[0]), _as_single(rows[1])], None)


def _prepend(dtype: DataType, rows: list[Column], context: Any) -> Column:
    return _joined(dtype, [_as_single(rows[1]), _elements_or_none(rows[0])], None)


def _as_single(column: Column) -> Lists:
    return Lists(np.arange(len(column) + 1), column)


def _elements_or_none(column: Column) -> Lists:
    return read_lists(column)


def _joined(dtype: DataType, parts: list[Lists], validity: Array | None) -> Column:
    """The lists of each row one after the other."""
    parts = [blanked(part, validity) for part in parts]
    lengths = np.zeros(len(parts[0].lengths), np.int64)
    for part in parts:
        lengths += part.lengths
    starts = offsets_of(lengths)[:-1]
    sources: list[Array] = []
    targets: list[Array] = []
    done = 0
    columns = []
    for part in parts:
        targets.append(np.repeat(starts - part.offsets[:-1], part.lengths) + np.arange(len(part.elements)))
        sources.append(done + np.arange(len(part.elements)))
        starts = starts + part.lengths
        done += len(part.elements)
        columns.append(part.elements)
    places = np.empty(done, np.int64)
    places[np.concatenate(targets)] = np.concatenate(sources)
    filled = [column for column in columns if len(column)] or columns[:1]
    return taken_lists(dtype, lengths, concat_columns(filled), places, validity)


def _concat(dtype: DataType, rows: list[Column], context: Any) -> Column:
    """NULL lists are left out."""
    return _joined(dtype, [read_lists(row) for row in rows], None)


def _concat_operator(dtype: DataType, rows: list[Column], context: Any) -> Column:
    return _joined(dtype, [read_lists(row) for row in rows], validity_of(rows, len(rows[0])))


def _flatten(dtype: DataType, rows: list[Column], context: Any) -> Column:
    outer = read_lists(rows[0])
    inner = read_lists(outer.elements) if len(outer.elements) else None
    if inner is None:
        return lists_column(dtype, outer.lengths, null_column(dtype.element, 0), rows[0].validity)
    lengths = np.diff(inner.offsets[outer.offsets])
    return lists_column(dtype, lengths, inner.elements, rows[0].validity)


def _needle_ranks(lists: Lists, needle: Column) -> tuple[Array, Array]:
    own, other = ranks([lists.elements, needle])
    return own, other[lists.rows] if len(other) else other


def _matches(rows: list[Column]) -> tuple[Lists, Array]:
    """Lists, and which of their elements are equal to the row's value; NULL equals NULL."""
    lists = read_lists(rows[0])
    own, wanted = _needle_ranks(lists, rows[1])
    return lists, own == wanted


def _contains(dtype: DataType, rows: list[Column], context: Any) -> Column:
    lists, match = _matches(rows)
    found = np.bincount(lists.rows[match], minlength=len(rows[0])) > 0
    return Column(BOOLEAN, found, validity_of(rows, len(rows[0])))


def _equals_any(dtype: DataType, rows: list[Column], context: Any) -> Column:
    """``value = ANY (list)``: as a comparison with each of the elements, of which a NULL list has none."""
    lists, match = _matches(rows)
    known = match & valid_rows(lists.elements)
    found = np.bincount(lists.rows[known], minlength=len(rows[0])) > 0
    has_null = np.bincount(lists.rows[~valid_rows(lists.elements)], minlength=len(rows[0])) > 0
    unknown = has_null | (~valid_rows(rows[1]) & (lists.lengths > 0))
    return Column(BOOLEAN, found, found | ~unknown)


def _position(dtype: DataType, rows: list[Column], context: Any) -> Column:
    """Place of the first equal element; NULL if there is none; may see NULL."""
    lists, match = _matches(rows)
    places = within(lists.lengths)
    first = np.full(len(rows[0]), np.iinfo(np.int64).max)
    np.minimum.at(first, lists.rows[match], places[match] + 1)
    found = first != np.iinfo(np.int64).max
    return Column(dtype, np.where(found, first, 0), found & valid_rows(rows[0]))


def _first_of_each(lists: Lists) -> Array:
    """Mask of elements that are not NULL and stand in their list for the first time."""
    (own,) = ranks([lists.elements])
    order = np.lexsort((own, lists.rows))
    row, value = lists.rows[order], own[order]
    new = np.ones(len(order), np.bool_)
    new[1:] = (row[1:] != row[:-1]) | (value[1:] != value[:-1])
    first = np.zeros(len(order), np.bool_)
    first[order[new]] = True
    return first & valid_rows(lists.elements)


def _distinct(dtype: DataType, rows: list[Column], context: Any) -> Column:
    lists = read_lists(rows[0])
    return kept_lists(dtype, lists, _first_of_each(lists), rows[0].validity)


def _unique(dtype: DataType, rows: list[Column], context: Any) -> Column:
    lists = read_lists(rows[0])
    counts = np.bincount(lists.rows[_first_of_each(lists)], minlength=len(rows[0]))
    return Column(dtype, counts.astype(np.int64), rows[0].validity)


def _sorted_places(rows: list[Column]) -> tuple[Lists, Array]:
    lists = read_lists(rows[0])
    descending, nulls_first = (bool(flag.values[0]) if len(flag) else False for flag in rows[1:3])
    (own,) = ranks([lists.elements])
    null = ~valid_rows(lists.elements)
    value = -own if descending else own
    order = np.lexsort((value, ~null if nulls_first else null, lists.rows))
    return lists, order


def _sort(dtype: DataType, rows: list[Column], context: Any) -> Column:
    lists, order = _sorted_places(rows)
    return taken_lists(dtype, lists.lengths, lists.elements, order, rows[0].validity)


def _grade_up(dtype: DataType, rows: list[Column], context: Any) -> Column:
    lists, order = _sorted_places(rows)
    places = within(lists.lengths)[order] + 1
    return lists_column(dtype, lists.lengths, Column(dtype.element, places), rows[0].validity)


def _reverse(dtype: DataType, rows: list[Column], context: Any) -> Column:
    lists = read_lists(rows[0])
    last = np.repeat(lists.offsets[1:] - 1, lists.lengths)
    return taken_lists(dtype, lists.lengths, lists.elements, last - within(lists.lengths), rows[0].validity)


def _membership(one: Lists, other: Lists) -> Array:
    """Which elements of ``one`` are in the same row of ``other``; NULL is in none."""
    own, others = ranks([one.elements, other.elements])
    others_valid, own_valid = valid_rows(other.elements), valid_rows(one.elements)
    span = int(max(own.max(initial=0), others.max(initial=0))) + 1
    keys = other.rows[others_valid] * span + others[others_valid]
    return np.isin(one.rows * span + own, keys) & own_valid


def _has_any(dtype: DataType, rows: list[Column], context: Any) -> Column:
    one, other = read_lists(rows[0]), read_lists(rows[1])
    found = np.bincount(one.rows[_membership(one, other)], minlength=len(rows[0])) > 0
    return Column(BOOLEAN, found, validity_of(rows, len(rows[0])))


def _has_all(dtype: DataType, rows: list[Column], context: Any) -> Column:
    """Whether all elements of the second list that are not NULL are in the first."""
    one, other = read_lists(rows[0]), read_lists(rows[1])
    missing = ~_membership(other, one) & valid_rows(other.elements)
    found = np.bincount(other.rows[missing], minlength=len(rows[0])) == 0
    return Column(BOOLEAN, found, validity_of(rows, len(rows[0])))


def _intersect(dtype: DataType, rows: list[Column], context: Any) -> Column:
    """Nothing is in a NULL list; may see NULL."""
    one, other = read_lists(rows[0]), read_lists(rows[1])
    return kept_lists(dtype, one, _membership(one, other) & _first_of_each(one), rows[0].validity)


def _zip(dtype: DataType, rows: list[Column], context: Any) -> Column:
    """Structs of the elements at the same place; the first argument says whether to stop at the shortest list."""
    shortest, parts = rows[0], [read_lists(row) for row in rows[1:]]
    num_rows = len(rows[1])
    stop = repeated(shortest, num_rows)
    wanted = stop.values.astype(np.bool_) & valid_rows(stop)
    lengths = np.array([part.lengths for part in parts])
    counts = np.where(wanted, lengths.min(axis=0), lengths.max(axis=0)).astype(np.int64)
    row, place = np.repeat(np.arange(num_rows), counts), within(counts)
    fields = []
    for part in parts:
        there = place < part.lengths[row]
        places = np.where(there, part.offsets[row] + place, 0)
        fields.append(_picked(part.elements.dtype, part, places, there))
    return lists_column(dtype, counts, structs_column(dtype.element, tuple(fields), len(row)))


def _resize(dtype: DataType, rows: list[Column], context: Any) -> Column:
    """May see NULL: of the size, which then is 0, and of what fills up."""
    validity, lists = rows[0].validity, read_lists(rows[0])
    size = _integers(rows[1])
    if bool((size < 0).any()):
        raise DataError(f"list cannot have a size below zero: {int(size.min())}")
    lengths = size if validity is None else np.where(validity, size, 0)
    _check_elements(int(lengths.sum()))
    row, place = np.repeat(np.arange(len(lengths)), lengths), within(lengths)
    there = place < lists.lengths[row]
    pool = concat_columns([lists.elements, rows[2]]) if len(lists.elements) else rows[2]
    places = np.where(there, lists.offsets[row] + place, len(lists.elements) + row)
    return taken_lists(dtype, lengths, pool, places, validity)


def _check_elements(count: int) -> None:
    if count > MAX_LIST_ELEMENTS:
        raise DataError(f"lists of a batch would have too many elements: {count} (most: {MAX_LIST_ELEMENTS})")


def _select(dtype: DataType, rows: list[Column], context: Any) -> Column:
    validity = validity_of(rows, len(rows[0]))
    lists, wanted = lists_of(rows[0], validity), lists_of(rows[1], validity)
    if wanted.elements.validity is not None and not bool(wanted.elements.validity.all()):
        raise DataError("places of list_select must not be NULL")
    place = wanted.elements.values.astype(np.int64) - 1
    lengths = lists.lengths[wanted.rows]
    there = (place >= 0) & (place < lengths)
    places = np.where(there, lists.offsets[:-1][wanted.rows] + place, 0)
    found = _picked(dtype.element, lists, places, there)
    return lists_column(dtype, wanted.lengths, found, validity)


def _where(dtype: DataType, rows: list[Column], context: Any) -> Column:
    validity = validity_of(rows, len(rows[0]))
    lists, mask = lists_of(rows[0], validity), lists_of(rows[1], validity)
    if mask.elements.validity is not None and not bool(mask.elements.validity.all()):
        raise DataError("NULLs are not allowed in the mask of list_where")
    chosen = mask.elements.values.astype(np.bool_)
    row, place = mask.rows[chosen], within(mask.lengths)[chosen]
    there = place < lists.lengths[row]
    found = _picked(dtype.element, lists, np.where(there, lists.offsets[:-1][row] + place, 0), there)
    return lists_column(dtype, np.bincount(row, minlength=len(rows[0])), found, validity)


def _repeat(dtype: DataType, rows: list[Column], context: Any) -> Column:
    validity = validity_of(rows, len(rows[0]))
    lists, times = lists_of(rows[0], validity), np.maximum(_integers(rows[1]), 0)
    lengths = lists.lengths * times
    _check_elements(int(lengths.sum()))
    row = np.repeat(np.arange(len(lengths)), lengths)
    places = lists.offsets[:-1][row] + within(lengths) % np.maximum(lists.lengths[row], 1)
    return taken_lists(dtype, lengths, lists.elements, places, validity)


def _series(inclusive: bool) -> Any:  # noqa: FBT001
    def apply(dtype: DataType, rows: list[Column], context: Any) -> Column:
        validity = validity_of(rows, len(rows[0]))
        start, stop, step = (_integers(row) for row in rows)
        ascending = step > 0
        last = stop if inclusive else np.where(ascending, stop - 1, stop + 1)
        span = np.where(ascending, last - start, start - last)
        lengths = np.where((step == 0) | (span < 0), 0, span // np.maximum(np.abs(step), 1) + 1)
        if validity is not None:
            lengths = np.where(validity, lengths, 0)
        _check_elements(int(lengths.astype(np.float64).sum()))
        numbers = np.repeat(start, lengths) + within(lengths) * np.repeat(step, lengths)
        return lists_column(dtype, lengths, Column(dtype.element, numbers), validity)

    return apply


def _pairs(rows: list[Column]) -> tuple[Array, Array, Array, int, Array | None]:
    """Row and both numbers of each pair of elements of two lists of one length."""
    validity = validity_of(rows, len(rows[0]))
    one, other = lists_of(rows[0], validity), lists_of(rows[1], validity)
    if not bool((one.lengths == other.lengths).all()):
        raise DataError("lists of a distance must have the same length")
    for part in (one, other):
        if part.elements.validity is not None and not bool(part.elements.validity.all()):
            raise DataError("lists of a distance must not hold NULL")
    return one.rows, one.elements.values, other.elements.values, len(rows[0]), validity


def _distance(name: str) -> Any:
    def apply(dtype: DataType, rows: list[Column], context: Any) -> Column:
        row, one, other, num_rows, validity = _pairs(rows)

        def total(values: Array) -> Array:
            return np.bincount(row, values.astype(np.float64), num_rows).astype(np.float64, copy=False)

        if name == "list_distance":
            found = np.sqrt(total((one - other) ** 2))
        elif name.endswith("inner_product"):
            found = total(one * other) * (-1.0 if name.startswith("list_negative") else 1.0)
        else:
            norms = np.sqrt(total(one * one)) * np.sqrt(total(other * other))
            found = np.clip(total(one * other) / norms, -1.0, 1.0)
            found = 1.0 - found if name == "list_cosine_distance" else found
        values = found.astype(np.float32 if dtype.id.value == "FLOAT" else np.float64)
        return Column(dtype, values, validity)

    return apply


_DISTANCES = (
    "list_cosine_similarity",
    "list_cosine_distance",
    "list_distance",
    "list_inner_product",
    "list_negative_inner_product",
)

#: Functions that get no row in which an argument is NULL but by chance.
FUNCTIONS = {
    "list_length": on_rows(_length),
    "list_extract": on_rows(_extract),
    "list_slice": on_rows(_slice),
    "list_concat_operator": on_rows(_concat_operator),
    "flatten": on_rows(_flatten),
    "list_contains": on_rows(_contains),
    "list_distinct": on_rows(_distinct),
    "list_unique": on_rows(_unique),
    "list_sort": on_rows(_sort),
    "list_grade_up": on_rows(_grade_up),
    "list_reverse": on_rows(_reverse),
    "list_has_any": on_rows(_has_any),
    "list_has_all": on_rows(_has_all),
    "list_select": on_rows(_select),
    "list_where": on_rows(_where),
    "list_repeat": on_rows(_repeat),
    "list_range": on_rows(_series(inclusive=False)),
    "list_series": on_rows(_series(inclusive=True)),
    **{name: on_rows(_distance(name)) for name in _DISTANCES},
}

#: Functions that see NULL arguments.
NULL_AWARE = {
    "list_value": on_rows(_list_value),
    "list_append": on_rows(_append),
    "list_prepend": on_rows(_prepend),
    "list_concat": on_rows(_concat),
    "list_intersect": on_rows(_intersect),
    "list_equals_any": on_rows(_equals_any),
    "list_position": on_rows(_position),
    "list_zip": on_rows(_zip),
    "list_resize": on_rows(_resize),
}
