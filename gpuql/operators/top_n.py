"""The rows that can still be among the first N: a threshold on the sort keys, applied before anything is sorted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpuql.columnar.column import Array, Column, StringArray
from gpuql.expressions.vectors import is_wide
from gpuql.operators.contract import RunContext
from gpuql.operators.ordering import Direction
from gpuql_planner.types import TypeId


@dataclass(frozen=True, eq=False)
class KeyThreshold:
    """One key of the N-th best row.

    ``value`` is a number that compares as the key does, None where the key is NULL. ``exact`` is false where
    different keys may have equal numbers (a prefix of a string). ``strings``, if given, is what numbers of other rows
    must be positions in.
    """

    value: Any
    exact: bool
    strings: StringArray | None = None


def threshold_of(keys: Sequence[Column], row: int, context: RunContext) -> list[KeyThreshold]:
    """Keys of the N-th best row, as far as they can be compared cheaply."""
    thresholds = []
    for key in keys:
        one = key.slice(row, row + 1)
        if one.validity is not None and not bool(one.validity[0]):
            thresholds.append(KeyThreshold(None, exact=True))
            continue
        numbers, exact = _numbers(one, context)
        if numbers is None:
            break
        ordered_strings = key.strings if key.strings is not None and exact else None
        thresholds.append(KeyThreshold(numbers[0].item(), exact, ordered_strings))
        if not exact:
            break
    return thresholds


def rows_within(
    keys: Sequence[Column],
    thresholds: Sequence[KeyThreshold],
    directions: Sequence[Direction],
    context: RunContext,
    *,
    with_ties: bool,
) -> Array | None:
    """Rows (ascending) that may come before the threshold's row; None if all may.

    Rows that equal it in all keys are left out unless ``with_ties``.
    """
    xp = context.xp
    rows: Array | None = None
    settled: list[Array] = []
    for number, (key, threshold, direction) in enumerate(zip(keys, thresholds, directions, strict=False)):
        last = number == len(keys) - 1 or not threshold.exact
        if rows is not None:
            key = key.take(rows)
        or_ties = with_ties or not last or not threshold.exact
        if rows is None and not or_ties and _is_first_of_all(key, threshold, direction):
            return xp.zeros(0, xp.int64)
        mask = _mask(key, threshold, direction, context, or_ties=or_ties)
        if mask is None:
            break
        chosen = xp.flatnonzero(mask)
        rows = chosen if rows is None else rows[chosen]
        if last or len(rows) == 0:
            break
        # Only rows that tie with the threshold so far are compared by the next key.
        before = _mask(key.take(chosen), threshold, direction, context, or_ties=False)
        assert before is not None, "the same key was compared a moment ago"
        settled.append(rows[before])
        rows = rows[~before]
    if rows is None or not settled:
        return rows
    return xp.sort(xp.concatenate([*settled, rows]))


def _is_first_of_all(key: Column, threshold: KeyThreshold, direction: Direction) -> bool:
    """Whether the column's known range says that nothing comes before the threshold."""
    if key.bounds is None or threshold.value is None or (key.validity is not None and direction.nulls_first):
        return False
    low, high = key.bounds
    return bool(threshold.value >= high if direction.descending else threshold.value <= low)


def _mask(
    key: Column, threshold: KeyThreshold, direction: Direction, context: RunContext, *, or_ties: bool
) -> Array | None:
    """Rows whose key comes before the threshold, or may equal it; None if they cannot be compared."""
    xp = context.xp
    validity = key.validity
    if threshold.value is None:
        if validity is None:
            validity = xp.ones(len(key.values), bool)
        if direction.nulls_first:
            return ~validity if or_ties else xp.zeros(len(key.values), bool)
        return xp.ones(len(key.values), bool) if or_ties else validity
    numbers, exact = _numbers(key, context)
    if numbers is None or exact != threshold.exact or (exact and key.strings is not threshold.strings):
        return None
    value = threshold.value
    if value != value:  # NaN is above all numbers
        mask = xp.isnan(numbers)
        if not direction.descending:
            mask = xp.ones(len(numbers), bool) if or_ties else ~mask
        elif not or_ties:
            mask = xp.zeros(len(numbers), bool)
    elif direction.descending:
        # Written so that NaN in the key counts as above the threshold.
        mask = ~(numbers < value) if or_ties else ~(numbers <= value)
    else:
        mask = numbers <= value if or_ties else numbers < value
    if validity is None:
        return mask
    return mask | ~validity if direction.nulls_first else mask & validity


def _numbers(column: Column, context: RunContext) -> tuple[Array | None, bool]:
    """Numbers that never contradict the order of the values, and whether equal numbers mean equal values."""
    strings = column.strings
    if strings is not None:
        if strings.unique and strings.sorted and len(strings):
            return column.values, True
        if len(strings) == 0:
            return None, False
        return context.kernels.string_match.prefix_word(
            strings.offsets, strings.data, column.values, 0
        ), False
    if column.dtype.id is TypeId.INTERVAL or is_wide(column):
        return None, False
    if column.values.dtype == bool:
        return column.values.view("u1"), True
    return column.values, True
