"""Facts about a column that the planner asks for: range, NULLs, distinct values, order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from gpuql.columnar import two_words
from gpuql.columnar.column import Column, StringArray
from gpuql.columnar.compressed import RunLengthColumn
from gpuql.columnar.concat import concat_columns
from gpuql.columnar.pieced import PiecedColumn
from gpuql.columnar.strings import on_host, take_strings
from gpuql.thresholds import (
    BITMAP_PLACES_PER_ROW,
    FEW_BITMAP_PLACES,
    MOST_BITMAP_PLACES,
    PROVE_UNIQUE_ROWS,
    STATISTICS_BLOCK_BYTES,
    STATISTICS_BLOCK_ROWS,
    STATISTICS_SAMPLE_ROWS,
    STATISTICS_SAMPLE_STRINGS,
    UNIQUE_TEXT_ROWS,
)
from gpuql_planner.catalog import ColumnStatistics
from gpuql_planner.types import TypeId

Host = np.ndarray[Any, Any]

#: Most places of the bitmap over the domain of a column that is not in memory, which are bytes too.
_MOST_PIECED_PLACES = 64 * STATISTICS_BLOCK_ROWS


def column_statistics(column: Column) -> ColumnStatistics:
    """Statistics of a whole column on the host.

    Range and NULL count are exact; distinct is close for dictionaries and dense integer domains, else
    estimated from a sample; ``unique`` and ``sorted`` are True only if proved, and never for a column with
    NULLs. Memory: at most max(4 bytes for each row, 1 MiB) for the bitmap.
    """
    num_rows = len(column)
    if isinstance(column, RunLengthColumn):
        runs = Column(column.dtype, column.run_values, None, column.strings, column.bounds)
        of_runs = column_statistics(runs)  # the rows may be more than memory has room for
        return replace(of_runs, unique=of_runs.unique and len(runs) == num_rows)
    validity = None if column.validity is None else on_host(column.validity)
    null_count = 0 if validity is None else num_rows - int(np.count_nonzero(validity))
    if null_count == num_rows or column.dtype.id is TypeId.NULL:
        return ColumnStatistics(
            null_count=num_rows, distinct_count=0, unique=num_rows == 0, sorted=num_rows == 0
        )
    values = on_host(column.values)
    valid = values if null_count == 0 else values[validity]
    if column.dtype.is_bytes:
        return _of_strings(column, valid, null_count)
    if column.dtype.id is TypeId.INTERVAL:
        return ColumnStatistics(null_count=null_count, average_bytes=24.0)
    if values.ndim == 2:
        low, high = two_words.bounds(valid)
        distinct = _distinct_of_sample(valid, axis=0)
        return ColumnStatistics(low, high, null_count, distinct, average_bytes=16.0)
    if column.dtype.is_float:
        return _of_floats(valid, null_count)
    return _of_integers(valid, null_count)


def pieced_statistics(column: PiecedColumn) -> ColumnStatistics:
    """As :func:`column_statistics` of a column that is not in memory, reading a block of rows at a time.

    Range and NULL count are those of the rows, order is proved; values are proved unique only if they ascend, or lie in
    a domain of not too many places.
    """
    gathered = _Gathered(column)
    row_bytes = max(1, column.num_bytes // max(1, len(column)))
    for block in column.parts(max(1, min(STATISTICS_BLOCK_ROWS, STATISTICS_BLOCK_BYTES // row_bytes))):
        gathered.add(block)
    return gathered.statistics()


class _Gathered:
    """What blocks of one column told so far."""

    def __init__(self, column: PiecedColumn) -> None:
        self.num_rows = len(column)
        self.null_count = 0
        self.parts: list[ColumnStatistics] = []
        self.samples: list[Column] = []
        self.ascending = self.strictly = True
        self.last: int | None = None
        self.seen: Host | None = None
        bounds = column.form.bounds
        self.low = 0 if bounds is None else bounds[0]
        if bounds is not None and column.form.dtype.id is not TypeId.NULL:
            places = bounds[1] - bounds[0] + 1
            if places <= min(
                max(BITMAP_PLACES_PER_ROW * self.num_rows, FEW_BITMAP_PLACES), _MOST_PIECED_PLACES
            ):
                self.seen = np.zeros(places, dtype=np.bool_)

    def add(self, block: Column) -> None:
        """Take the next rows."""
        self.parts.append(column_statistics(block))
        # One row is drawn from each of equal stretches, as in a sample of the whole column.
        share = max(1, len(block) * STATISTICS_SAMPLE_ROWS // max(1, self.num_rows))
        rows = np.sort(np.random.default_rng(len(self.parts)).integers(0, max(1, len(block)), share))
        self.samples.append(_copied(block.take(rows)))
        if block.validity is not None or block.values.ndim != 1 or block.bounds is None:
            self.ascending = self.strictly = False
            if block.validity is None:
                return
        values = block.values if block.validity is None else block.values[block.validity]
        if values.ndim != 1 or not len(values) or block.bounds is None:
            return
        if self.ascending:
            self.ascending = self.parts[-1].sorted and (self.last is None or self.last <= int(values[0]))
            self.strictly = self.strictly and self.ascending and bool((values[1:] > values[:-1]).all())
            self.strictly = self.strictly and (self.last is None or self.last < int(values[0]))
            self.last = int(values[-1])
        if self.seen is not None:
            self.seen[_above(values, self.low)] = True

    def statistics(self) -> ColumnStatistics:
        """Of all rows."""
        null_count = sum(part.null_count or 0 for part in self.parts)
        valued = [part for part in self.parts if part.distinct_count]
        if not valued:
            return ColumnStatistics(null_count=self.num_rows, distinct_count=0)
        lows = [part.minimum for part in valued if part.minimum is not None]
        highs = [part.maximum for part in valued if part.maximum is not None]
        low = min(lows) if len(lows) == len(valued) else None
        high = max(highs) if len(highs) == len(valued) else None
        valid_rows = self.num_rows - null_count
        if self.seen is not None:
            distinct = int(np.count_nonzero(self.seen))
        elif self.strictly:
            distinct = valid_rows
        else:
            distinct = self._estimated(valid_rows)
        is_unique = null_count == 0 and (self.strictly or (self.seen is not None and distinct == valid_rows))
        widths = [part.average_bytes for part in valued if part.average_bytes is not None]
        average = sum(widths) / len(widths) if widths else None
        return ColumnStatistics(low, high, null_count, distinct, is_unique, self.ascending, average)

    def _estimated(self, valid_rows: int) -> int:
        """Distinct values of all rows, by those of the sample."""
        column = concat_columns(self.samples)
        values = column.values if column.validity is None else column.values[column.validity]
        if column.strings is not None and not column.strings.unique:
            counts = np.array(list(Counter(_entries(column.strings, values)).values()))
        else:
            _, counts = np.unique(values, return_counts=True, axis=None if values.ndim == 1 else 0)
        return max(1, int(estimate_distinct(counts, valid_rows))) if len(counts) else 1


def _copied(sample: Column) -> Column:
    """The rows with strings of their own: they would keep those of all rows alive."""
    if sample.strings is None or sample.strings.unique:
        return sample
    strings = take_strings(sample.strings, sample.values.astype(np.int64))
    return Column(sample.dtype, np.arange(len(sample)), sample.validity, strings)


def estimate_distinct(sample_counts: Host, num_rows: int) -> float:
    """Distinct values among ``num_rows`` given how often each value of a uniform sample occurs in it.

    The larger of two estimators, as each errs low on other data: guaranteed-error (Charikar et al., PODS 2000,
    section 4) and the first-order jackknife (Haas et al., VLDB 1995, section 4). A sample without any repeat
    is taken as unique.
    """
    sample_rows = int(sample_counts.sum())
    seen = len(sample_counts)
    once = int((sample_counts == 1).sum())
    if once == sample_rows:
        return float(num_rows)
    fraction = sample_rows / num_rows
    guaranteed = once / float(np.sqrt(fraction)) + (seen - once)
    jackknife = seen / (1.0 - (1.0 - fraction) * once / sample_rows)
    return min(float(num_rows), max(guaranteed, jackknife))


def _of_integers(valid: Host, null_count: int) -> ColumnStatistics:
    low, high = int(valid.min()), int(valid.max())
    if valid.dtype == np.bool_:
        valid = valid.view(np.int8)
    is_sorted = null_count == 0 and _is_sorted(valid)
    distinct = _distinct_in_domain(valid, low, high)
    if distinct is None:
        distinct = _distinct_of_sample(valid)
        is_unique = distinct == len(valid) and _is_unique(valid, presorted=is_sorted)
        if distinct == len(valid) and not is_unique:
            distinct -= 1
    else:
        is_unique = distinct == len(valid)
    return ColumnStatistics(
        low, high, null_count, distinct, is_unique and null_count == 0, is_sorted, float(valid.dtype.itemsize)
    )


def _of_floats(valid: Host, null_count: int) -> ColumnStatistics:
    has_nan = bool(np.isnan(valid).any())
    # NaN is above every number, so a smallest number is a lower bound but a largest one no upper bound.
    minimum = None if np.isnan(valid).all() else float(np.nanmin(valid))
    maximum = None if has_nan else float(valid.max())
    is_sorted = null_count == 0 and not has_nan and _is_sorted(valid)
    distinct = _distinct_of_sample(valid)
    return ColumnStatistics(
        minimum, maximum, null_count, distinct, sorted=is_sorted, average_bytes=float(valid.dtype.itemsize)
    )


def _of_strings(column: Column, positions: Host, null_count: int) -> ColumnStatistics:
    strings = column.strings
    assert strings is not None, "a string column has strings"
    average = float(on_host(strings.offsets)[-1]) / max(1, len(strings))
    if not strings.unique:
        sample = _sample(positions)
        if len(sample) == STATISTICS_SAMPLE_ROWS:
            sample = sample[:: STATISTICS_SAMPLE_ROWS // STATISTICS_SAMPLE_STRINGS]
        counts = Counter(_entries(strings, sample))
        distinct = int(estimate_distinct(np.array(list(counts.values())), len(positions)))
        is_unique = (
            len(counts) == len(sample)
            and null_count == 0
            and len(positions) <= min(len(strings), UNIQUE_TEXT_ROWS)
            and _have_distinct_hashes(strings, positions)
        )
        return ColumnStatistics(
            null_count=null_count,
            distinct_count=len(positions) if is_unique else distinct,
            unique=is_unique,
            average_bytes=average,
        )
    lengths = np.diff(on_host(strings.offsets))
    if len(strings) < len(positions):
        average = float(lengths[_sample(positions)].mean())
    distinct = _count_occupied(positions, 0, len(strings))
    is_sorted = null_count == 0 and strings.sorted and _is_sorted(positions)
    is_unique = null_count == 0 and distinct == len(positions)
    return ColumnStatistics(None, None, null_count, distinct, is_unique, is_sorted, average)


def _have_distinct_hashes(strings: StringArray, positions: Host) -> bool:
    """Whether the hashes of all strings differ, which proves that the strings do."""
    from gpuql_kernels.partition import cpu as partition_kernels

    hashes = partition_kernels.hash_strings(on_host(strings.offsets), on_host(strings.data), positions)
    hashes.sort()
    return not bool((hashes[1:] == hashes[:-1]).any())


def _entries(strings: StringArray, positions: Host) -> Iterator[bytes]:
    offsets, raw = on_host(strings.offsets), on_host(strings.data).data
    starts, stops = offsets[positions].tolist(), offsets[1:][positions].tolist()
    return (bytes(raw[start:stop]) for start, stop in zip(starts, stops, strict=True))


def _distinct_in_domain(valid: Host, low: int, high: int) -> int | None:
    """Exact number of distinct integers by a bitmap, or None if their domain is too wide for one."""
    places = high - low + 1
    if places > min(MOST_BITMAP_PLACES, max(BITMAP_PLACES_PER_ROW * len(valid), FEW_BITMAP_PLACES)):
        return None
    return _count_occupied(valid, low, places)


def _count_occupied(valid: Host, low: int, places: int) -> int:
    """How many of ``places`` values from ``low`` on occur.

    A sample decides alone if it shows all of them, or each that it shows at least twice: then those that it misses are
    rare (Good, "The population frequencies of species and the estimation of population parameters", 1953).
    """
    sample = _sample(valid)
    if len(sample) < len(valid) and places <= len(sample):
        counts = np.bincount(_above(sample, low), minlength=places)
        found = int(np.count_nonzero(counts))
        if found == places or not (counts == 1).any():
            return found
    return int(np.count_nonzero(_occupied(valid, low, places)))


def _occupied(valid: Host, low: int, places: int) -> Host:
    occupied = np.zeros(places, dtype=np.bool_)
    for start in range(0, len(valid), STATISTICS_BLOCK_ROWS):
        occupied[_above(valid[start : start + STATISTICS_BLOCK_ROWS], low)] = True
    return occupied


def _above(values: Host, low: int) -> Host:
    """``values - low`` as int64.

    Shifting in the column's own width could wrap round; unsigned 64-bit values stay below 2**63 once shifted.
    """
    if values.dtype == np.uint64:
        return (values - np.uint64(low)).astype(np.int64)
    return values.astype(np.int64) - low


def _is_sorted(valid: Host) -> bool:
    for start in range(0, len(valid), STATISTICS_BLOCK_ROWS):
        block = valid[start : start + STATISTICS_BLOCK_ROWS + 1]
        if not (block[1:] >= block[:-1]).all():
            return False
    return True


def _is_unique(valid: Host, *, presorted: bool) -> bool:
    if not presorted and len(valid) > PROVE_UNIQUE_ROWS:
        return False
    ordered = valid if presorted else np.sort(valid)
    return bool((ordered[1:] != ordered[:-1]).all())


def _sample(valid: Host) -> Host:
    if len(valid) <= 2 * STATISTICS_SAMPLE_ROWS:
        return valid
    # Rows with repeats would feign duplicates, so one row is drawn from each of equal stretches.
    stretch = len(valid) // STATISTICS_SAMPLE_ROWS
    inside = np.random.default_rng(0).integers(0, stretch, STATISTICS_SAMPLE_ROWS)
    return np.asarray(valid[np.arange(STATISTICS_SAMPLE_ROWS) * stretch + inside])


def _distinct_of_sample(valid: Host, axis: int | None = None) -> int:
    _, counts = np.unique(_sample(valid), return_counts=True, axis=axis)
    return max(1, int(estimate_distinct(counts, len(valid))))
