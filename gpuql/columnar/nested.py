"""Lists, structs and maps as byte strings that are equal and ordered as the values are, and back.

A nested column is stored as text is: positions into a :class:`StringArray`. Whatever keeps, moves, compares, sorts,
groups, joins or spills text does so with nested values. The string of a value begins with its key, whose bytes compare
as DuckDB compares the values:

- fixed-width values: big-endian words, the sign bit flipped; floats so that NaN is the largest and zero has no sign
- VARCHAR: each byte plus one (UTF-8 has no byte 255), then a zero; BLOB: two bytes for each, then a zero
- STRUCT: for each field a byte (1 a value, 2 NULL, which is larger than all), then the field's key
- LIST: the same for each element, then a zero; MAP: a list of structs

A value that is NULL has the key of an empty one. No key is the beginning of another one, so anything may follow. What
follows are lengths, which make all of a column readable without a loop over its bytes: for each list and each text of
the type, outer ones first, 32-bit lengths of all that are in the value, then the length of the key. Types of fixed
width have no such tail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gpuql.columnar.column import Column, StringArray
from gpuql.columnar.nested_fixed import fixed_bytes, fixed_column, fixed_width
from gpuql.columnar.strings import on_host, take_strings
from gpuql_planner.errors import DataError
from gpuql_planner.types import BYTE_TYPES, DataType, TypeId

Host = np.ndarray[Any, Any]

_VALUE, _NULL = 1, 2
_LENGTH_BYTES = 4


@dataclass(frozen=True, eq=False)
class Lists:
    """Rows of a LIST or MAP column: row ``i`` has elements ``offsets[i]`` to ``offsets[i + 1]``; NULL has none."""

    offsets: Host
    elements: Column

    @property
    def lengths(self) -> Host:
        """Number of elements of each row."""
        lengths: Host = np.diff(self.offsets)
        return lengths

    @property
    def rows(self) -> Host:
        """Row of each element."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)


@dataclass(frozen=True, eq=False)
class Structs:
    """Rows of a STRUCT column; where the row is NULL, so are its fields."""

    fields: tuple[Column, ...]


def offsets_of(lengths: Host) -> Host:
    """Int64 offsets of pieces of these lengths."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def lists_column(dtype: DataType, lengths: Host, elements: Column, validity: Host | None = None) -> Column:
    """LIST or MAP column of rows that have so many of the elements each, in order; NULL rows have none."""
    lists = Lists(offsets_of(lengths), elements)
    return _encoded(dtype, lists, validity, len(lengths))


def structs_column(
    dtype: DataType, fields: tuple[Column, ...], num_rows: int, validity: Host | None = None
) -> Column:
    """STRUCT column of columns of its fields."""
    if validity is not None:
        fields = tuple(_without(field, validity) for field in fields)
    return _encoded(dtype, Structs(fields), validity, num_rows)


def read_lists(column: Column) -> Lists:
    """Rows of a LIST or MAP column, on the host."""
    lists = _decoded(column)
    assert isinstance(lists, Lists), "the column holds lists"
    return lists


def read_structs(column: Column) -> Structs:
    """Rows of a STRUCT column, on the host."""
    structs = _decoded(column)
    assert isinstance(structs, Structs), "the column holds structs"
    return structs


def host_column(column: Column) -> Column:
    """The column in host memory."""
    if isinstance(column.values, np.ndarray):
        return column
    strings = column.strings
    if strings is not None:
        strings = StringArray(on_host(strings.offsets), on_host(strings.data), strings.unique, strings.sorted)
    validity = None if column.validity is None else on_host(column.validity)
    return Column(column.dtype, on_host(column.values), validity, strings, column.bounds)


def device_column(xp: Any, column: Column) -> Column:
    """A host column in the memory of an array module."""
    if xp is np:
        return column
    strings = column.strings
    if strings is not None:
        strings = StringArray(
            xp.asarray(strings.offsets), xp.asarray(strings.data), strings.unique, strings.sorted
        )
    validity = None if column.validity is None else xp.asarray(column.validity)
    return Column(column.dtype, xp.asarray(column.values), validity, strings, column.bounds)


def _without(column: Column, validity: Host) -> Column:
    kept = validity if column.validity is None else column.validity & validity
    return Column(column.dtype, column.values, kept, column.strings, column.bounds)


def _positions(num_rows: int) -> Host:
    return np.arange(num_rows, dtype=np.int32 if num_rows < 2**31 else np.int64)


# --- writing -------------------------------------------------------------------------------------------------


def _encoded(dtype: DataType, rows: Lists | Structs, validity: Host | None, num_rows: int) -> Column:
    if validity is not None and bool(validity.all()):
        validity = None
    even = _even_lists(dtype, rows) if validity is None and isinstance(rows, Lists) else None
    if even is not None:
        return even
    tails: list[tuple[Host, Host]] = []
    owners = np.arange(num_rows + 1, dtype=np.int64)
    writer = _rows_writer(rows, owners, tails)
    sizes = writer.sizes
    total = sizes.copy()
    counts = [np.diff(offsets) for _, offsets in tails]
    for count in counts:
        total += _LENGTH_BYTES * count
    if tails:
        total += _LENGTH_BYTES
    offsets = offsets_of(total)
    data = np.zeros(int(offsets[-1]), np.uint8)
    writer.write(data, offsets[:-1])
    place = offsets[:-1] + sizes
    for (lengths, item_offsets), count in zip(tails, counts, strict=True):
        starts = np.repeat(place - _LENGTH_BYTES * item_offsets[:-1], count)
        _put_words(data, starts + _LENGTH_BYTES * np.arange(len(lengths)), lengths)
        place = place + _LENGTH_BYTES * count
    if tails:
        _put_words(data, place, sizes)
    return Column(dtype, _positions(num_rows), validity, StringArray(offsets, data))


def _even_lists(dtype: DataType, rows: Lists) -> Column | None:
    """Lists of one length of fixed-width values, as a matrix of bytes; None for others."""
    num_rows, num_elements, element = len(rows.offsets) - 1, len(rows.elements), rows.elements.dtype
    if not num_elements or element.id in BYTE_TYPES or num_elements % num_rows:
        return None
    length = num_elements // num_rows
    if not bool((rows.lengths == length).all()):
        return None
    width = fixed_width(element) + 1
    size = length * width + 1
    matrix = np.zeros((num_rows, size + 2 * _LENGTH_BYTES), np.uint8)
    items = np.empty((num_elements, width), np.uint8)
    validity = rows.elements.validity
    items[:, 0] = _VALUE if validity is None else np.where(validity, _VALUE, _NULL)
    items[:, 1:] = fixed_bytes(rows.elements)
    matrix[:, : size - 1] = items.reshape(num_rows, size - 1)
    matrix[:, size:] = np.array([length, size], "<u4").view(np.uint8)
    offsets = np.arange(num_rows + 1, dtype=np.int64) * matrix.shape[1]
    return Column(dtype, _positions(num_rows), None, StringArray(offsets, matrix.reshape(-1)))


def _put_words(data: Host, places: Host, words: Host) -> None:
    if len(words) and int(words.max()) >= 2**32:
        raise DataError("a nested value is larger than 4 GiB")
    parts = words.astype("<u4").view(np.uint8).reshape(-1, _LENGTH_BYTES)
    for byte in range(_LENGTH_BYTES):
        data[places + byte] = parts[:, byte]


class _Writer:
    """Keys of the items of one part of a type. ``sizes``: bytes of each."""

    sizes: Host

    def write(self, data: Host, starts: Host) -> None:
        """Write each item's key at its place."""
        raise NotImplementedError


def _writer(column: Column, owners: Host, tails: list[tuple[Host, Host]]) -> _Writer:
    """``owners[i]`` to ``owners[i + 1]`` are the items of row ``i`` of the whole column."""
    if column.dtype.id in (TypeId.VARCHAR, TypeId.JSON, TypeId.BLOB):
        return _TextWriter(column, owners, tails)
    if column.dtype.is_nested:
        return _rows_writer(_decoded(column), owners, tails)
    return _FixedWriter(column)


def _rows_writer(rows: Lists | Structs, owners: Host, tails: list[tuple[Host, Host]]) -> _Writer:
    if isinstance(rows, Lists):
        return _ListWriter(rows, owners, tails)
    return _StructWriter(rows, owners, tails)


class _FixedWriter(_Writer):
    def __init__(self, column: Column) -> None:
        self._bytes = fixed_bytes(column)
        num_rows, width = self._bytes.shape
        self.sizes = np.full(num_rows, width, np.int64)

    def write(self, data: Host, starts: Host) -> None:
        for byte in range(self._bytes.shape[1]):
            data[starts + byte] = self._bytes[:, byte]


class _TextWriter(_Writer):
    def __init__(self, column: Column, owners: Host, tails: list[tuple[Host, Host]]) -> None:
        strings = column.strings
        assert strings is not None, "a string column has strings"
        lengths = np.zeros(len(column), np.int64)
        if len(strings):
            used = column.values if column.validity is None else column.values[column.validity]
            taken = take_strings(strings, used.astype(np.int64))
            data = taken.data
            of_used = np.asarray(np.diff(taken.offsets))
            if column.validity is None:
                lengths = of_used
            else:
                lengths[column.validity] = of_used
        else:
            data = np.empty(0, np.uint8)
        tails.append((lengths, owners))
        self._width = 2 if column.dtype.id is TypeId.BLOB else 1
        self._lengths = lengths * self._width
        self._data = _blob_key(data) if column.dtype.id is TypeId.BLOB else _text_key(data)
        self.sizes = self._lengths + 1

    def write(self, data: Host, starts: Host) -> None:
        own = offsets_of(self._lengths)
        data[np.repeat(starts - own[:-1], self._lengths) + np.arange(len(self._data))] = self._data


class _StructWriter(_Writer):
    def __init__(self, rows: Structs, owners: Host, tails: list[tuple[Host, Host]]) -> None:
        self._fields = [(field.validity, _writer(field, owners, tails)) for field in rows.fields]
        self.sizes = _total([writer.sizes for _, writer in self._fields])

    def write(self, data: Host, starts: Host) -> None:
        for validity, writer in self._fields:
            data[starts] = _VALUE if validity is None else np.where(validity, _VALUE, _NULL)
            writer.write(data, starts + 1)
            starts = np.asarray(starts + 1 + writer.sizes)


def _total(sizes: list[Host]) -> Host:
    """Bytes of fields of these sizes, each behind a byte that says whether it is NULL."""
    total = np.full(len(sizes[0]), len(sizes), np.int64)
    for own in sizes:
        total += own
    return total


class _ListWriter(_Writer):
    def __init__(self, rows: Lists, owners: Host, tails: list[tuple[Host, Host]]) -> None:
        self._rows = rows
        tails.append((rows.lengths, owners))
        self._elements = _writer(rows.elements, rows.offsets[owners], tails)
        self._within = offsets_of(self._elements.sizes + 1)
        self.sizes = np.diff(self._within[rows.offsets]) + 1

    def write(self, data: Host, starts: Host) -> None:
        offsets, validity = self._rows.offsets, self._rows.elements.validity
        places = np.repeat(starts - self._within[offsets[:-1]], self._rows.lengths) + self._within[:-1]
        data[places] = _VALUE if validity is None else np.where(validity, _VALUE, _NULL)
        self._elements.write(data, places + 1)


def _text_key(data: Host) -> Host:
    if bool((data == 255).any()):
        raise DataError("text in a list, struct or map is not UTF-8")
    key: Host = data + np.uint8(1)
    return key


def _blob_key(data: Host) -> Host:
    key = np.empty(2 * len(data), np.uint8)
    key[::2] = (data >> 4) + 1
    key[1::2] = (data & 15) + 1
    return key


# --- reading -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Entries:
    """Where the bytes of the rows that are there begin and end; ``present`` says which rows these are, None for all."""

    data: Host
    starts: Host
    stops: Host
    present: Host | None

    @property
    def tails(self) -> Host:
        """Where what stands behind the keys begins."""
        return self.starts + _get_words(self.data, self.stops - _LENGTH_BYTES)

    def reader(self, dtype: DataType) -> _Reader:
        """A reader of the rows' keys."""
        owners = np.arange(len(self.starts) + 1, dtype=np.int64)
        tail = _Tail(self.data, self.tails) if _has_tail(dtype) else None
        return _reader(dtype, len(self.starts), owners, tail)

    def spread(self, found: Column) -> Column:
        """A column over the rows that are there as one over all rows."""
        if self.present is None:
            return found
        place = np.maximum(np.cumsum(self.present) - 1, 0)
        return _without(found.take(place), self.present)


def _entries(column: Column) -> _Entries | None:
    """The bytes of a host column's rows; None if no row is there."""
    strings = column.strings
    assert strings is not None, "a nested column has strings"
    if len(strings) == 0 or len(column) == 0:
        return None
    positions = column.values.astype(np.int64)
    starts, stops = strings.offsets[positions], strings.offsets[positions + 1]
    # The empty string, which is no value's, stands under rows that are NULL.
    present = stops > starts if column.validity is None else column.validity & (stops > starts)
    if bool(present.all()):
        return _Entries(strings.data, starts, stops, None)
    if not bool(present.any()):
        return None
    return _Entries(strings.data, starts[present], stops[present], present)


def _decoded(column: Column) -> Lists | Structs:
    column = host_column(column)
    entries = _entries(column)
    if entries is None:
        return _nulls(column.dtype, len(column))
    rows = entries.reader(column.dtype).read(entries.data, entries.starts)
    assert not isinstance(rows, Column), "a nested type has rows of parts"
    return rows if entries.present is None else _spread(rows, entries.present)


def list_lengths(column: Column) -> Host:
    """Number of elements of each row of a LIST or MAP column, without reading them; NULL has none."""
    column = host_column(column)
    entries = _entries(column)
    if entries is None:
        return np.zeros(len(column), np.int64)
    found = _get_words(entries.data, entries.tails)
    if entries.present is None:
        return found
    lengths = np.zeros(len(column), np.int64)
    lengths[entries.present] = found
    return lengths


def read_field(column: Column, place: int) -> Column:
    """One field of a STRUCT column, on the host, without reading the others."""
    column = host_column(column)
    part = column.dtype.fields[place][1]
    entries = _entries(column)
    if entries is None:
        from gpuql.columnar.construct import null_column

        return null_column(part, len(column))
    reader = entries.reader(column.dtype)
    assert isinstance(reader, _StructReader), "the column holds structs"
    return entries.spread(reader.read_one(entries.data, entries.starts, place))


def read_arrays(column: Column) -> Column:
    """Elements of an ARRAY column of fixed-width values, one array after the other without those that are NULL."""
    column = host_column(column)
    entries = _entries(column)
    element = column.dtype.element
    if entries is None:
        from gpuql.columnar.construct import null_column

        return null_column(element, 0)
    width = fixed_width(element) + 1
    windows = np.lib.stride_tricks.sliding_window_view(entries.data, column.dtype.width * width)
    items = windows[entries.starts].reshape(-1, width)
    valid = items[:, 0] == _VALUE
    found = fixed_column(element, np.ascontiguousarray(items[:, 1:]))
    validity = None if bool(valid.all()) else valid
    return Column(element, found.values, validity, None, found.bounds)


def fixed_elements_at(column: Column, index: Host) -> Column | None:
    """Element ``index`` (from 1, or from the end if negative) of each list; NULL where there is none.

    None if the elements are not of a fixed width: then all have to be read.
    """
    element = column.dtype.element
    if element.id in BYTE_TYPES or element.id is TypeId.STRUCT:
        return None
    column = host_column(column)
    entries = _entries(column)
    if entries is None:
        from gpuql.columnar.construct import null_column

        return null_column(element, len(column))
    lengths = _get_words(entries.data, entries.tails)
    own = index if entries.present is None else index[entries.present]
    place = np.where(own > 0, own - 1, own + lengths)
    there = (own != 0) & (place >= 0) & (place < lengths)
    width = fixed_width(element)
    # Where there is no such element any bytes will do: the first that are there.
    starts = np.where(there, entries.starts + place * (width + 1), 0)
    valid = there & (entries.data[starts] == _VALUE)
    starts = np.where(there, starts, int(starts[int(np.argmax(there))]))
    if not bool(there.any()):
        from gpuql.columnar.construct import null_column

        return null_column(element, len(column))
    found = _FixedReader(element, len(starts)).read(entries.data, starts + 1)
    return entries.spread(Column(found.dtype, found.values, valid, found.strings, found.bounds))


def _nulls(dtype: DataType, num_rows: int) -> Lists | Structs:
    from gpuql.columnar.construct import null_column

    if dtype.id is TypeId.STRUCT:
        return Structs(tuple(null_column(part, num_rows) for _, part in dtype.fields))
    return Lists(np.zeros(num_rows + 1, np.int64), null_column(dtype.element, 0))


def _spread(rows: Lists | Structs, present: Host) -> Lists | Structs:
    """Rows at the places that are present, NULL between them."""
    if isinstance(rows, Lists):
        lengths = np.zeros(len(present), np.int64)
        lengths[present] = rows.lengths
        return Lists(offsets_of(lengths), rows.elements)
    place = np.maximum(np.cumsum(present) - 1, 0)
    return Structs(tuple(_without(field.take(place), present) for field in rows.fields))


def _has_tail(dtype: DataType) -> bool:
    if dtype.id is TypeId.STRUCT:
        return any(_has_tail(part) for _, part in dtype.fields)
    return dtype.id in BYTE_TYPES


def _get_words(data: Host, places: Host) -> Host:
    parts = np.empty((len(places), _LENGTH_BYTES), np.uint8)
    for byte in range(_LENGTH_BYTES):
        parts[:, byte] = data[places + byte]
    return parts.view("<u4").reshape(-1).astype(np.int64)


class _Tail:
    """Lengths behind the keys of all rows, read one part of the type after the other."""

    def __init__(self, data: Host, places: Host) -> None:
        self._data = data
        self._places = places

    def next(self, owners: Host) -> Host:
        """Lengths of the items of the next part."""
        counts = np.diff(owners)
        starts = np.repeat(self._places - _LENGTH_BYTES * owners[:-1], counts)
        self._places = self._places + _LENGTH_BYTES * counts
        return _get_words(self._data, starts + _LENGTH_BYTES * np.arange(int(owners[-1])))


class _Reader:
    """Items of one part of a type. ``sizes``: bytes of each key."""

    sizes: Host

    def read(self, data: Host, starts: Host) -> Column | Lists | Structs:
        """Items whose keys begin at ``starts``."""
        raise NotImplementedError


def _reader(dtype: DataType, num_items: int, owners: Host, tail: _Tail | None) -> _Reader:
    if dtype.id is TypeId.STRUCT:
        return _StructReader(dtype, num_items, owners, tail)
    if dtype.id not in BYTE_TYPES:
        return _FixedReader(dtype, num_items)
    assert tail is not None, "types of varying width have lengths"
    if dtype.is_nested:
        return _ListReader(dtype, owners, tail)
    return _TextReader(dtype, owners, tail)


def _item_column(reader: _Reader, dtype: DataType, data: Host, starts: Host) -> Column:
    """Items that stand behind the byte which says whether they are NULL."""
    rows = reader.read(data, starts)
    valid = data[starts - 1] == _VALUE
    validity = None if bool(valid.all()) else valid
    if isinstance(rows, Column):
        return Column(rows.dtype, rows.values, validity, rows.strings, rows.bounds)
    return _encoded(dtype, rows, validity, len(starts))


class _FixedReader(_Reader):
    def __init__(self, dtype: DataType, num_items: int) -> None:
        self._dtype = dtype
        self._width = fixed_width(dtype)
        self.sizes = np.full(num_items, self._width, np.int64)

    def read(self, data: Host, starts: Host) -> Column:
        key = np.empty((len(starts), self._width), np.uint8)
        for byte in range(self._width):
            key[:, byte] = data[starts + byte]
        return fixed_column(self._dtype, key)


class _TextReader(_Reader):
    def __init__(self, dtype: DataType, owners: Host, tail: _Tail) -> None:
        self._dtype = dtype
        self._lengths = tail.next(owners)
        self._width = 2 if dtype.id is TypeId.BLOB else 1
        self.sizes = self._lengths * self._width + 1

    def read(self, data: Host, starts: Host) -> Column:
        lengths = self._lengths * self._width
        own = offsets_of(lengths)
        key: Host = data[np.repeat(starts - own[:-1], lengths) + np.arange(int(own[-1]))] - np.uint8(1)
        if self._width == 2:
            key = (key[::2] << 4) | key[1::2]
        strings = StringArray(offsets_of(self._lengths), key)
        return Column(self._dtype, _positions(len(starts)), None, strings)


class _StructReader(_Reader):
    def __init__(self, dtype: DataType, num_items: int, owners: Host, tail: _Tail | None) -> None:
        self._fields = [(part, _reader(part, num_items, owners, tail)) for _, part in dtype.fields]
        self.sizes = _total([reader.sizes for _, reader in self._fields])

    def read(self, data: Host, starts: Host) -> Structs:
        columns = []
        for part, reader in self._fields:
            columns.append(_item_column(reader, part, data, starts + 1))
            starts = np.asarray(starts + 1 + reader.sizes)
        return Structs(tuple(columns))

    def read_one(self, data: Host, starts: Host, place: int) -> Column:
        """One of the fields."""
        for _, reader in self._fields[:place]:
            starts = np.asarray(starts + 1 + reader.sizes)
        part, reader = self._fields[place]
        return _item_column(reader, part, data, starts + 1)


class _ListReader(_Reader):
    def __init__(self, dtype: DataType, owners: Host, tail: _Tail) -> None:
        self._element = dtype.element
        self._offsets = offsets_of(tail.next(owners))
        self._elements = _reader(dtype.element, int(self._offsets[-1]), self._offsets[owners], tail)
        self._within = offsets_of(self._elements.sizes + 1)
        self.sizes = np.diff(self._within[self._offsets]) + 1

    def read(self, data: Host, starts: Host) -> Lists:
        lengths = np.diff(self._offsets)
        places = np.repeat(starts - self._within[self._offsets[:-1]], lengths) + self._within[:-1]
        return Lists(self._offsets, _item_column(self._elements, self._element, data, places + 1))
