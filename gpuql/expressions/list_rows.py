"""Arguments of list functions as rows on the host, and ranks of their elements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.construct import null_column
from gpuql.columnar.nested import (
    Lists,
    device_column,
    host_column,
    lists_column,
    offsets_of,
    read_lists,
    structs_column,
)
from gpuql.columnar.strings import entry_bytes, take_strings
from gpuql.expressions.vectors import EvaluationContext, joint_validity, match_length
from gpuql.thresholds import DECODED_COPIES
from gpuql_planner.types import DataType, struct_of

HostFunction = Callable[[DataType, list[Column], Any], Column]


def rows_of(arguments: Sequence[Column]) -> tuple[int, list[Column]]:
    """Number of rows, and the arguments on the host with constants written out for each row."""
    num_rows = max((len(argument) for argument in arguments), default=1)
    return num_rows, [repeated(host_column(argument), num_rows) for argument in arguments]


def repeated(column: Column, num_rows: int) -> Column:
    """A constant's value for each row; other columns as they are."""
    if len(column) == num_rows:
        return column
    return column.take(np.zeros(num_rows, np.int64))


def on_rows(function: HostFunction) -> Callable[[DataType, list[Column], EvaluationContext], Column]:
    """A function of the interpreter made of one over host rows.

    All arguments of one row give one row, which stands for all. Rows whose lists take more memory than a step may have
    go in several steps.
    """

    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        num_rows, rows = rows_of(arguments)
        taken = DECODED_COPIES * sum(map(entry_bytes_of, rows))
        if taken <= context.work_bytes or num_rows < 2:
            with context.working(taken, "nested values"):
                return device_column(context.xp, function(dtype, rows, context))
        step = max(1, num_rows * context.work_bytes // taken)
        parts = []
        for start in range(0, num_rows, step):
            some = [row.slice(start, min(start + step, num_rows)) for row in rows]
            with context.working(DECODED_COPIES * sum(map(entry_bytes_of, some)), "nested values"):
                parts.append(function(dtype, some, context))
        return device_column(context.xp, concat_columns(parts))

    return apply


def entry_bytes_of(column: Column) -> int:
    """Bytes of the strings or nested values of a host column's rows, each row counted."""
    if column.strings is None or not len(column.strings):
        return 0
    offsets = column.strings.offsets
    if len(column) == len(column.strings) and not column.strings.unique:
        return int(offsets[-1])
    positions = column.values.astype(np.int64)
    return int((offsets[positions + 1] - offsets[positions]).sum())


def validity_of(arguments: Sequence[Column], num_rows: int) -> Array | None:
    """Rows where no argument is NULL."""
    return match_length(np, joint_validity(*arguments), num_rows)


def valid_rows(column: Column) -> Array:
    """Mask of rows that are not NULL."""
    return np.ones(len(column), np.bool_) if column.validity is None else column.validity


def kept_lists(dtype: DataType, lists: Lists, keep: Array, validity: Array | None) -> Column:
    """Lists of those elements alone that ``keep`` is true for."""
    counts = np.bincount(lists.rows[keep], minlength=len(lists.offsets) - 1)
    return lists_column(dtype, counts, lists.elements.take(np.flatnonzero(keep)), validity)


def taken_lists(
    dtype: DataType, lengths: Array, elements: Column, places: Array, validity: Array | None
) -> Column:
    """Lists of so many elements each, which stand at ``places`` of ``elements`` one after the other."""
    if len(elements) == 0:
        return lists_column(dtype, lengths, null_column(elements.dtype, len(places)), validity)
    return lists_column(dtype, lengths, elements.take(places), validity)


def within(lengths: Array) -> Array:
    """Place of each element in its list, from 0."""
    offsets = offsets_of(lengths)
    return np.arange(int(offsets[-1])) - np.repeat(offsets[:-1], lengths)


def blanked(lists: Lists, validity: Array | None) -> Lists:
    """Lists without the elements of rows that are not valid."""
    if validity is None or bool(validity.all()) or not bool(lists.lengths[~validity].any()):
        return lists
    keep = validity[lists.rows]
    return Lists(offsets_of(np.where(validity, lists.lengths, 0)), lists.elements.take(np.flatnonzero(keep)))


def lists_of(column: Column, validity: Array | None) -> Lists:
    """Lists of a column; rows that are not valid have no elements."""
    return blanked(read_lists(column), validity)


def ranks(columns: Sequence[Column]) -> list[Array]:
    """Int64 numbers that compare as the values of all columns do, which have one type; NULL is the largest."""
    dtype = columns[0].dtype
    filled = [column for column in columns if len(column)]
    if not filled:
        return [np.zeros(0, np.int64) for _ in columns]
    joined = concat_columns(filled)
    # The key of a nested value orders values of any type, NULL last.
    keyed = structs_column(struct_of((("", dtype),)), (joined,), len(joined))
    strings = keyed.strings
    assert strings is not None, "a nested column has strings"
    entries = entry_bytes(take_strings(strings, keyed.values.astype(np.int64)))
    number = {entry: index for index, entry in enumerate(sorted(set(entries)))}
    every = np.fromiter((number[entry] for entry in entries), np.int64, len(entries))
    result, start = [], 0
    for column in columns:
        result.append(every[start : start + len(column)])
        start += len(column)
    return result
