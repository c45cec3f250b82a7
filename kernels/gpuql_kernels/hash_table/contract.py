"""What a join index is, shared by the static kernels and by generated pipelines that probe it inline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from gpuql_kernels.thresholds import SMALL_TABLE_BYTES, SPARSE_ENTRIES_PER_KEY, SPARSE_TABLE_BYTES

Array = Any


@dataclass(frozen=True, eq=False)
class JoinIndex:
    """Build rows by packed key.

    A key leads to a bucket. Direct (``slot_keys is None``): bucket ``key - minimum`` if that is in
    ``0 .. num_buckets - 1``, else no match. Open addressing: start at slot
    ``(key * 0x9E3779B97F4A7C15 mod 2**64) >> shift``, step by one modulo ``num_buckets`` (a power of two) until the
    slot's key equals ``key`` (the bucket) or the slot is empty (no match).

    Attributes
    ----------
    minimum : int
    num_buckets : int
    slot_keys : int64 (num_buckets,) or None
    slot_used : bool (num_buckets,) or None
    shift : int
        ``64 - log2(num_buckets)`` for open addressing.
    first : int32 or int64 (num_buckets,), or None
        Unique keys: the build row of each bucket, -1 when empty. None when keys repeat.
    starts : int32 or int64 (num_buckets + 1,), rows : same dtype (num_keys,), or None
        Repeated keys: build rows of bucket ``b`` are ``rows[starts[b]:starts[b + 1]]``, ascending.
    num_keys : int
        Build rows in the index.
    """

    minimum: int
    num_buckets: int
    slot_keys: Array | None
    slot_used: Array | None
    shift: int
    first: Array | None
    starts: Array | None
    rows: Array | None
    num_keys: int

    @property
    def unique(self) -> bool:
        """Each bucket holds at most one row."""
        return self.first is not None


def is_dense(span: int, num_keys: int, entry_bytes: int, sparse_bytes: int = SPARSE_TABLE_BYTES) -> bool:
    """Whether keys ``minimum .. minimum + span - 1`` are better addressed directly than hashed.

    ``sparse_bytes`` is the most that a table may take of which less than every fourth entry is used.
    """
    table_bytes = span * entry_bytes
    if span <= 4 * num_keys + 1024 or table_bytes <= min(SMALL_TABLE_BYTES, sparse_bytes):
        return True
    return table_bytes <= sparse_bytes and span <= SPARSE_ENTRIES_PER_KEY * num_keys


def is_dense_when_repeated(span: int, num_keys: int) -> bool:
    """Whether repeated keys are better addressed directly: their buckets are counted and summed, used or not."""
    return span <= 8 * num_keys + 1024


def build_bytes(num_keys: int, span: int | None, sparse_bytes: int = SPARSE_TABLE_BYTES) -> int:
    """Most bytes that building an index takes, with what is needed on the way; ``span`` None if it is not known."""
    word = 4 if num_keys < 2**31 - 1 else 8
    numbers = (16 + 2 * word) * num_keys  # of rows, of buckets, and rows by bucket
    if span is not None and is_dense(span, num_keys, word, sparse_bytes):
        # Filled as if keys were unique; then again, counted, if they are not.
        dense = span * word * (2 if is_dense_when_repeated(span, num_keys) else 1)
        if is_dense_when_repeated(span, num_keys):
            return numbers + dense
        return numbers + max(dense, _hashed_bytes(num_keys, word))
    if span is None:
        most_dense = max(word * 2 * (8 * num_keys + 1024), min(sparse_bytes, 256 * word * num_keys))
        return numbers + max(most_dense, _hashed_bytes(num_keys, word))
    return numbers + _hashed_bytes(num_keys, word)


def _hashed_bytes(num_keys: int, word: int) -> int:
    """Slots with their keys, and where each slot's rows begin, twice."""
    num_buckets = 1 << max(2 * num_keys - 1, 1).bit_length()
    return num_buckets * (9 + 2 * word)


class HashTableKernels(Protocol):
    """The family; implemented by ``cpu`` and ``gpu`` with equal results."""

    def build(
        self, keys: Array, rows: Array | None = None, /, *, sparse_bytes: int = SPARSE_TABLE_BYTES
    ) -> JoinIndex:
        """Index int64 ``keys`` (n,); ``rows`` (n,) are the build rows they belong to, None for 0 .. n - 1.

        Chooses direct addressing by :func:`is_dense` (and :func:`is_dense_when_repeated`), and the unique form when
        no key repeats. Memory: :func:`build_bytes`.
        """

    def probe(self, index: JoinIndex, keys: Array, /) -> tuple[Array, Array]:
        """All pairs (probe row, build row), both int64, ordered by probe row then build row."""

    def contains(self, index: JoinIndex, keys: Array, /) -> Array:
        """Bool (m,): does the key have a build row."""
