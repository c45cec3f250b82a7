"""The keys of a sort: encoded to words by all workers, and read back from the sorted words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from gpuql.columnar.column import Array, Column
from gpuql.expressions.vectors import is_wide
from gpuql.operators.contract import RunContext
from gpuql.operators.ordering import Direction, sort_words, value_from_words, with_known_range

#: Rows that one task encodes or decodes: the steps pass their arrays on in the cache.
_TASK_ROWS = 1 << 16


class SortKeys:
    """Key columns (at least one row), and how each is ordered."""

    def __init__(
        self, columns: Sequence[Column], directions: Sequence[Direction], context: RunContext
    ) -> None:
        self._columns = columns
        self._ranged = [with_known_range(column, context) for column in columns]
        self._directions = directions
        self._context = context
        sizes = [self._words(key.slice(0, 0), direction)[1] for key, direction in self._items]
        self._sizes = [sum(size) for size in sizes]
        self._bits = [size for key in sizes for size in key]

    @property
    def _items(self) -> list[tuple[Column, Direction]]:
        return list(zip(self._ranged, self._directions, strict=True))

    @property
    def in_one_word(self) -> bool:
        """Whether all keys together take at most 64 bits."""
        return sum(self._bits) <= 64

    def encode(self) -> tuple[list[Array], list[int]]:
        """Words of all rows, most significant first, and their bits."""
        context = self._context
        xp = context.xp
        num_rows = len(self._columns[0].values)
        if context.workers == 1:
            return self._encode(0, num_rows), self._bits
        words = [xp.empty(num_rows, xp.uint64) for _ in self._bits]

        def task(index: int) -> None:
            start, stop = index * _TASK_ROWS, min((index + 1) * _TASK_ROWS, num_rows)
            for word, part in zip(words, self._encode(start, stop), strict=True):
                word[start:stop] = part

        context.run_tasks(-(-num_rows // _TASK_ROWS), task)
        return words, self._bits

    def _encode(self, start: int, stop: int) -> list[Array]:
        words: list[Array] = []
        for key, direction in self._items:
            words.extend(self._words(key.slice(start, stop), direction)[0])
        return words

    def _words(self, key: Column, direction: Direction) -> tuple[list[Array], list[int]]:
        descending, nulls_first = direction.descending, direction.nulls_first
        return sort_words(key, self._context, descending=descending, nulls_first=nulls_first)

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
            part = integers[index * _TASK_ROWS : (index + 1) * _TASK_ROWS]
            if bool((part == negative_zero).any()):
                found.append(True)

        if self._context.workers == 1:
            return bool((integers == negative_zero).any())
        self._context.run_tasks(-(-len(values) // _TASK_ROWS), task)
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
                -(-len(words) // _TASK_ROWS),
                lambda i: decode(i * _TASK_ROWS, min((i + 1) * _TASK_ROWS, len(words))),
            )
        original = self._columns[place]
        return Column(original.dtype, values, validity, original.strings, original.bounds)
