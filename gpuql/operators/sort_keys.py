"""The keys of a sort: encoded to words by all workers, and read back from the sorted words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Array, Column
from gpuql.expressions.vectors import is_wide
from gpuql.operators.contract import RunContext
from gpuql.operators.ordering import (
    Direction,
    has_later_words,
    later_words,
    sort_words,
    value_from_words,
    with_known_range,
)
from gpuql.thresholds import SORT_KEY_TASK_ROWS, SORT_ROW_BYTES, SORT_TIE_BYTES, SORT_WORD_BYTES
from gpuql_kernels.sort.ties import LaterWords
from gpuql_planner.types import TypeId

_FIRST_WORDS = 3


@dataclass(frozen=True)
class SortOrder:
    """Which columns of a batch are the keys, most significant first, and how each is ordered."""

    key_ids: tuple[int, ...]
    directions: tuple[Direction, ...]

    def keys(self, rows: Batch, context: RunContext) -> SortKeys:
        """The keys of ``rows`` (at least one)."""
        return SortKeys([rows.columns[key] for key in self.key_ids], self.directions, context)

    def order(self, rows: Batch, context: RunContext) -> Array:
        """Positions (int64) of ``rows`` (at least one) in order; equal rows stay as they are."""
        keys = self.keys(rows, context)
        words, bits = keys.encode()
        order: Array = context.kernels.sort.order(
            words, bits, later=keys.later(), run_tasks=context.run_tasks, consume=True
        )
        return order

    def work_bytes(self, rows: Batch) -> int:
        """Bytes of memory that :meth:`order` needs for each row, as measured for keys of all types."""
        words, extra = 0, SORT_ROW_BYTES
        for key in self.key_ids:
            column = rows.columns[key]
            if column.strings is not None and not column.strings.unique:
                words += _FIRST_WORDS
                extra += SORT_TIE_BYTES
            else:
                words += 2 if column.dtype.id is TypeId.INTERVAL or is_wide(column) else 1
        return extra + SORT_WORD_BYTES * words


class SortKeys:
    """Key columns (at least one row), and how each is ordered."""

    def __init__(
        self, columns: Sequence[Column], directions: Sequence[Direction], context: RunContext
    ) -> None:
        self._columns = columns
        self._ranged = [with_known_range(column, context) for column in columns]
        self._directions = directions
        self._context = context
        later = [place for place, key in enumerate(self._ranged) if has_later_words(key, context)]
        #: Keys that have words at once: up to the first of which some are left for later.
        self._num_first = min(later) + 1 if later else len(columns)
        self._has_later = bool(later)
        sizes = [self._words(place, slice(0, 0))[1] for place in range(self._num_first)]
        self._sizes = [sum(size) for size in sizes]
        self._bits = [size for key in sizes for size in key]

    @property
    def in_one_word(self) -> bool:
        """Whether all keys together take at most 64 bits."""
        return not self._has_later and sum(self._bits) <= 64

    def later(self, rows: Array | None = None) -> list[LaterWords]:
        """What follows the words of :meth:`encode` for rows that are equal in these.

        Row numbers count in ``rows`` if they are given.
        """
        if not self._has_later:
            return []
        sources: list[LaterWords] = []
        for place in range(self._num_first - 1, len(self._ranged)):
            key = self._ranged[place]
            if place >= self._num_first:
                sources.append(partial(self._words, place))
            if has_later_words(key, self._context):
                descending = self._directions[place].descending
                sources.extend(later_words(key, self._context, descending=descending))
        return sources if rows is None else [_through(rows, source) for source in sources]

    def encode(self) -> tuple[list[Array], list[int]]:
        """Words of all rows, most significant first, and their bits."""
        context = self._context
        xp = context.xp
        num_rows = len(self._columns[0].values)
        if context.workers == 1:
            return self._encode(0, num_rows), self._bits
        words = [xp.empty(num_rows, xp.uint64) for _ in self._bits]

        def task(index: int) -> None:
            start, stop = index * SORT_KEY_TASK_ROWS, min((index + 1) * SORT_KEY_TASK_ROWS, num_rows)
            for word, part in zip(words, self._encode(start, stop), strict=True):
                word[start:stop] = part

        context.run_tasks(-(-num_rows // SORT_KEY_TASK_ROWS), task)
        return words, self._bits

    def _encode(self, start: int, stop: int) -> list[Array]:
        words: list[Array] = []
        for place in range(self._num_first):
            words.extend(self._words(place, slice(start, stop))[0])
        return words

    def _words(self, place: int, rows: Array | slice) -> tuple[list[Array], list[int]]:
        """Words of one key for some rows."""
        key, direction = self._ranged[place], self._directions[place]
        key = key.slice(rows.start, rows.stop) if isinstance(rows, slice) else key.take(rows)
        return sort_words(
            key,
            self._context,
            descending=direction.descending,
            nulls_first=direction.nulls_first,
            first_only=True,
        )

    def can_decode(self, place: int) -> bool:
        """Whether :meth:`decode` gives back exactly the values of a key."""
        column = self._columns[place]
        if column.strings is not None:
            return column.strings.unique and column.strings.sorted
        if column.dtype.is_float:
            return not self._has_negative_zero(column)
        return column.values.ndim == 1 and not is_wide(column)

    def _has_negative_zero(self, column: Column) -> bool:
        """Whether a float column has a -0.0, which is encoded as 0.0."""
        values = column.values
        integers = values.view(f"i{values.itemsize}")
        negative_zero = self._context.xp.iinfo(integers.dtype).min
        found: list[bool] = []

        def task(index: int) -> None:
            part = integers[index * SORT_KEY_TASK_ROWS : (index + 1) * SORT_KEY_TASK_ROWS]
            if bool((part == negative_zero).any()):
                found.append(True)

        if self._context.workers == 1:
            return bool((integers == negative_zero).any())
        self._context.run_tasks(-(-len(values) // SORT_KEY_TASK_ROWS), task)
        return bool(found)

    def decode(self, words: Array, place: int) -> Column:
        """One key of the rows whose keys, joined, are ``words``."""
        context = self._context
        xp = context.xp
        column, direction = self._ranged[place], self._directions[place]
        shift = sum(self._sizes) - list(accumulate(self._sizes))[place]
        size = self._sizes[place]
        values = xp.empty(len(words), self._columns[place].values.dtype)
        validity = None if column.validity is None else xp.empty(len(words), bool)

        def decode(start: int, stop: int) -> None:
            word = words[start:stop] >> xp.uint64(shift)
            if shift + size < 64:
                word &= xp.uint64((1 << size) - 1)
            part, valid = value_from_words(column, word, size, context, direction)
            values[start:stop] = part
            if validity is not None:
                validity[start:stop] = valid

        if context.workers == 1:
            decode(0, len(words))
        else:
            context.run_tasks(
                -(-len(words) // SORT_KEY_TASK_ROWS),
                lambda i: decode(i * SORT_KEY_TASK_ROWS, min((i + 1) * SORT_KEY_TASK_ROWS, len(words))),
            )
        original = self._columns[place]
        return Column(original.dtype, values, validity, original.strings, original.bounds)


def _through(rows: Array, source: LaterWords) -> LaterWords:
    return lambda places: source(rows[places])
