"""What the string kernels mean.

Everywhere: ``offsets`` int64 (n + 1,) and ``data`` uint8 hold n strings, UTF-8 where characters matter; ``rows``
(m,) are positions of the strings to look at, in any order, or None for all n. No nulls: callers mask them. A result
has one element for each of ``rows``, in their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

Array = Any
#: Slots, each with the number of a string or -1, and the hash of each string.
StringIndex = tuple[Array, Array]


@dataclass(frozen=True, slots=True)
class LikePattern:
    """A LIKE pattern after escapes are resolved.

    ``tokens`` holds one int per item: 0 … 255 a byte that must match, ``ANY_CHARACTER`` one UTF-8 character,
    ``ANY_SEQUENCE`` any number of bytes. If no ``ANY_CHARACTER`` occurs, ``segments`` are the literal parts between
    the sequences, the first anchored at the start and the last at the end unless empty.
    """

    tokens: tuple[int, ...]
    segments: tuple[bytes, ...] | None


ANY_CHARACTER = 256
ANY_SEQUENCE = 257


def parse_like(pattern: str, escape: str | None) -> LikePattern | None:
    """Parse a LIKE pattern; None if it ends with its escape character."""
    tokens: list[int] = []
    characters = iter(pattern)
    for character in characters:
        if escape and character == escape:
            following = next(characters, None)
            if following is None:
                return None
            tokens.extend(following.encode())
        elif character == "%":
            if not tokens or tokens[-1] != ANY_SEQUENCE:
                tokens.append(ANY_SEQUENCE)
        elif character == "_":
            tokens.append(ANY_CHARACTER)
        else:
            tokens.extend(character.encode("utf-8", "surrogatepass"))
    segments = None
    if ANY_CHARACTER not in tokens:
        parts: list[bytearray] = [bytearray()]
        for token in tokens:
            if token == ANY_SEQUENCE:
                parts.append(bytearray())
            else:
                parts[-1].append(token)
        segments = tuple(bytes(part) for part in parts)
    return LikePattern(tuple(tokens), segments)


class StringMatchKernels(Protocol):
    """The family."""

    def compare(
        self,
        offsets: Array,
        data: Array,
        rows: Array,
        other_offsets: Array,
        other_data: Array,
        other_rows: Array,
        /,
    ) -> Array:
        """Order of each string against its partner by unsigned bytes: int8 -1, 0 or 1."""

    def compare_literal(self, offsets: Array, data: Array, rows: Array | None, literal: bytes, /) -> Array:
        """Order of each string against one constant: int8 -1, 0 or 1."""

    def like(self, offsets: Array, data: Array, rows: Array | None, pattern: LikePattern, /) -> Array:
        """Bool: the whole string matches."""

    def find(self, offsets: Array, data: Array, rows: Array | None, literal: bytes, /) -> Array:
        """Byte position of the first occurrence, -1 if absent: int64."""

    def character_count(self, offsets: Array, data: Array, rows: Array | None, /) -> Array:
        """Number of UTF-8 characters: int64."""

    def character_range(
        self, offsets: Array, data: Array, rows: Array | None, start: int, length: int, /
    ) -> tuple[Array, Array]:
        """Byte range in ``data`` (int64 starts, ends) of substring(string, start, length), counted from 1.

        A negative ``start`` counts from the end, a negative ``length`` reaches back from ``start``, as in DuckDB.
        """

    def gather(self, data: Array, starts: Array, ends: Array, /) -> tuple[Array, Array]:
        """Copy byte ranges into new strings: offsets int64, data."""

    def factorize(self, offsets: Array, data: Array, rows: Array | None, /) -> tuple[Array, Array]:
        """Number equal strings equally.

        Returns codes int64 from 0 by first occurrence, and for each code the index into ``rows`` where it first
        occurs.
        """

    def lookup(
        self,
        offsets: Array,
        data: Array,
        other_offsets: Array,
        other_data: Array,
        other_rows: Array | None,
        /,
    ) -> Array:
        """Position, among the distinct strings ``offsets``/``data``, of each other string; -1 if absent: int64."""

    def string_index(self, offsets: Array, data: Array, /) -> StringIndex:
        """What :meth:`lookup` makes of the distinct strings, for many calls of :meth:`lookup_indexed`.

        Memory: 8 bytes and 2 to 4 slots of 4 (from 2**31 strings on 8) bytes for each string.
        """

    def lookup_indexed(
        self,
        index: StringIndex,
        offsets: Array,
        data: Array,
        other_offsets: Array,
        other_data: Array,
        other_rows: Array | None,
        /,
    ) -> Array:
        """As :meth:`lookup`, with the index of ``offsets``/``data``."""

    def prefix_word(self, offsets: Array, data: Array, rows: Array | None, skip: int, /) -> Array:
        """Eight bytes after the first ``skip``, big-endian in a uint64, zero-padded: compares as the bytes do."""
