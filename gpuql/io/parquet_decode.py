"""Columns of row groups, decoded by several threads at once: each takes one column of a few row groups at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from gpuql.columnar.arrow_assembly import StringAssembly, constant_chunk
from gpuql.columnar.arrow_dictionary import GrowingDictionary
from gpuql.columnar.arrow_import import column_from_arrow
from gpuql.columnar.arrow_types import type_from_arrow, type_to_arrow
from gpuql.columnar.assembly import ColumnAssembly
from gpuql.columnar.column import Column
from gpuql.columnar.construct import literal_column, null_column
from gpuql.io.parquet_source import ParquetSource, SourceReaders
from gpuql.thresholds import PARQUET_SPAN_ROWS
from gpuql_planner.errors import ConversionError
from gpuql_planner.types import DataType, TypeId


@dataclass(frozen=True, eq=False)
class Span:
    """Neighbouring row groups of one file. ``arrays``: their columns, if they were read already."""

    source: ParquetSource
    groups: tuple[int, ...]
    num_rows: int
    arrays: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class ColumnForm:
    """What is known of a column before it is read: its type, and a range that holds all values of the table."""

    name: str
    dtype: DataType
    bounds: tuple[int, int] | None
    dictionary: GrowingDictionary

    @property
    def is_string(self) -> bool:
        """VARCHAR or BLOB."""
        return self.dtype.id in (TypeId.VARCHAR, TypeId.JSON, TypeId.BLOB)


def spans_of(kept: Sequence[tuple[ParquetSource, Sequence[int]]]) -> list[Span]:
    """All row groups, in order, in spans of not too few rows."""
    spans = []
    for source, groups in kept:
        taken: list[int] = []
        num_rows = 0
        for group in groups:
            taken.append(group)
            num_rows += source.rows_in([group])
            if num_rows >= PARQUET_SPAN_ROWS:
                spans.append(Span(source, tuple(taken), num_rows))
                taken, num_rows = [], 0
        if taken:
            spans.append(Span(source, tuple(taken), num_rows))
    return spans


def decode(
    forms: Sequence[ColumnForm], spans: Sequence[Span], readers: SourceReaders, pool: Executor, *, widen: bool
) -> dict[str, Column]:
    """The columns over all spans; with ``widen`` the bounds are those of the forms if these are wider.

    Errors: InputError for damaged files, ConversionError for values that do not fit the table's types.
    """
    num_rows = sum(span.num_rows for span in spans)
    assemblies = {form.name: _assembly(form, num_rows, widen=widen) for form in forms}
    tasks: list[Callable[[], None]] = []
    # Columns that take longest go first.
    by_size = sorted(
        forms, key=lambda form: -max((s.source.stored_bytes(form.name) for s in spans), default=0)
    )
    for form in by_size:
        start = 0
        for span in spans:
            tasks.append(partial(_decode_span, form, span, start, assemblies[form.name], readers))
            start += span.num_rows
    _run(pool, tasks)
    strings = [assembly for assembly in assemblies.values() if isinstance(assembly, StringAssembly)]
    _run(pool, [assembly.prepare for assembly in strings])
    _run(pool, [task for assembly in strings for task in assembly.tasks()])
    return {name: assembly.finish() for name, assembly in assemblies.items()}


def _run(pool: Executor, tasks: Sequence[Callable[[], None]]) -> None:
    """Run all tasks; the first error is raised after none runs any more."""
    if len(tasks) == 1:
        tasks[0]()
        return
    futures = [pool.submit(task) for task in tasks]
    error: BaseException | None = None
    for future in futures:
        if error is not None and future.cancel():
            continue
        error = error or future.exception()
    if error is not None:
        raise error


def _assembly(form: ColumnForm, num_rows: int, *, widen: bool) -> ColumnAssembly | StringAssembly:
    if form.is_string:
        return StringAssembly(form.dtype, num_rows, form.dictionary, form.name)
    return ColumnAssembly(form.dtype, num_rows, form.bounds, widen=widen)


def _decode_span(
    form: ColumnForm,
    span: Span,
    start: int,
    assembly: ColumnAssembly | StringAssembly,
    readers: SourceReaders,
) -> None:
    name, dtype, source = form.name, form.dtype, span.source
    constant = name in source.partition or name not in source.leaf_of
    value = source.partition.get(name)
    if isinstance(assembly, StringAssembly):
        if constant:
            assembly.put(start, constant_chunk(value, dtype, span.num_rows))
        else:
            assembly.put(start, _array(span, form, readers, coded=source.is_dictionary_coded(name)))
    elif constant and value is None:
        assembly.put(start, null_column(dtype, span.num_rows))
    elif constant:
        assembly.put(start, literal_column(value, dtype, span.num_rows))
    else:
        assembly.put(start, column_from_arrow(_array(span, form, readers, coded=False), name))


def _array(span: Span, form: ColumnForm, readers: SourceReaders, *, coded: bool) -> Any:
    if span.arrays is not None:
        array = span.arrays[form.name]
    else:
        array = readers.read(span.source, span.groups, form.name, coded=coded)
    return _adapted(array, form.dtype, form.name, span.source.identity.path)


def _adapted(array: Any, dtype: DataType, name: str, path: str) -> Any:
    """The array itself if its SQL type is the column's, else cast to it without loss."""
    if type_from_arrow(array.type, name) == dtype:
        return array
    try:
        return array.cast(type_to_arrow(dtype))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ConversionError(
            f"column does not fit the type of the first file: {name} {array.type} to {dtype} ({path})"
        ) from error


def stream_spans(
    forms: Sequence[ColumnForm], source: ParquetSource, group: int, num_rows: int, readers: SourceReaders
) -> Iterator[list[Span]]:
    """One large row group in spans of at most ``num_rows`` rows, each in a list, read as they are asked for."""
    total = source.rows_in([group])
    streams = {
        form.name: _Pieces(
            readers.stream(source, group, form.name, num_rows, coded=source.is_dictionary_coded(form.name))
        )
        for form in forms
        if form.name in source.leaf_of and form.name not in source.partition
    }
    for start in range(0, total, num_rows):
        length = min(num_rows, total - start)
        # No name for the arrays: it would keep them until the next ones are there.
        yield [
            Span(source, (group,), length, {name: pieces.take(length) for name, pieces in streams.items()})
        ]


class _Pieces:
    """Arrow arrays of any lengths, taken so many rows at a time."""

    def __init__(self, arrays: Iterator[Any]) -> None:
        self._arrays = arrays
        self._rest: Any = None

    def take(self, num_rows: int) -> Any:
        """The next rows as a chunked array."""
        taken = []
        while num_rows:
            array = next(self._arrays) if self._rest is None else self._rest
            self._rest = array[num_rows:] if len(array) > num_rows else None
            array = array[:num_rows]
            num_rows -= len(array)
            taken.append(array)
        return pa.chunked_array(taken)
