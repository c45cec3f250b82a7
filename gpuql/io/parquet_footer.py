"""Statistics in the footer of a Parquet file, in stored form."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from gpuql.columnar.construct import stored_value
from gpuql.io.pruning import ValueRange
from gpuql_planner.errors import DataError
from gpuql_planner.types import DataType, TypeId

_PAGE_HEADER_BYTES = 16


def chunk_range(metadata: Any, row_group: int, leaf: int, arrow_type: Any, dtype: DataType) -> ValueRange:
    """What the footer says about column ``leaf`` within one row group."""
    column = metadata.row_group(row_group).column(leaf)
    num_rows = metadata.row_group(row_group).num_rows
    statistics = column.statistics if column.is_stats_set else None
    if statistics is None or dtype.is_nested:  # a leaf's range and NULLs are not those of the rows
        return ValueRange(num_rows=num_rows)
    null_count = statistics.null_count if statistics.has_null_count else None
    if not statistics.has_min_max or not _trustworthy(arrow_type, dtype):
        return ValueRange(None, None, null_count, num_rows)
    minimum = _stored(statistics, "min", dtype)
    # Writers leave NaN out of the maximum, and NaN is the largest value.
    maximum = None if dtype.is_float else _stored(statistics, "max", dtype)
    return ValueRange(minimum, maximum, null_count, num_rows)


def combined(ranges: list[ValueRange]) -> ValueRange:
    """Range over several parts: unknown where any part's is unknown, but parts of NULLs alone do not count."""
    valued = [part for part in ranges if part.null_count is None or part.null_count < part.num_rows]
    lows = [part.minimum for part in valued]
    highs = [part.maximum for part in valued]
    nulls = [part.null_count for part in ranges]
    return ValueRange(
        None if not lows or None in lows else min(lows),
        None if not highs or None in highs else max(highs),
        None if None in nulls else sum(count for count in nulls if count is not None),
        sum(part.num_rows for part in ranges),
    )


def dictionary_entries(metadata: Any, leaf: int) -> int:
    """Guess of the distinct strings of a dictionary-coded column.

    Bytes of its largest dictionary by entry size.
    """
    guesses = [1]
    for group in range(metadata.num_row_groups):
        column = metadata.row_group(group).column(leaf)
        statistics = column.statistics if column.is_stats_set else None
        if statistics is None or not statistics.has_min_max or not column.has_dictionary_page:
            continue
        page_bytes = column.data_page_offset - column.dictionary_page_offset - _PAGE_HEADER_BYTES
        inflation = column.total_uncompressed_size / max(1, column.total_compressed_size)
        entry_bytes = 4 + _ends_bytes(statistics) / 2
        guesses.append(int(page_bytes * inflation / entry_bytes))
    return max(guesses)


def _ends_bytes(statistics: Any) -> int:
    """Length of the smallest and the largest string together; 0 if they are not UTF-8."""
    try:
        return len(statistics.min) + len(statistics.max)
    except UnicodeDecodeError:
        return 0


def _trustworthy(arrow_type: Any, dtype: DataType) -> bool:
    """Whether the order of the footer is SQL's order, and its unit exact."""
    if pat.is_timestamp(arrow_type) or pat.is_time(arrow_type):
        return bool(arrow_type.unit != "ns")
    return dtype.id not in (TypeId.INTERVAL, TypeId.BLOB, TypeId.NULL) and not pat.is_float16(arrow_type)


def _stored(statistics: Any, which: str, dtype: DataType) -> Any:
    try:
        value = getattr(statistics, which)
        if value is None or value != value:
            return None
        if dtype.is_text and isinstance(value, bytes):
            return value
        return stored_value(value, dtype)
    except (DataError, ValueError, OverflowError, pa.ArrowException):
        # A bound that Python cannot express is merely unknown.
        return None
