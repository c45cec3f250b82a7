"""Group keys in words: which part of a word each key column takes, and how columns come back from packed keys."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from gpuql.columnar.column import Array, Column
from gpuql.columnar.construct import narrowest_dtype
from gpuql.execution.fused.arguments import ArgumentList
from gpuql.execution.fused.keys import PACKED_LIMIT
from gpuql.execution.fused.operands import Operand
from gpuql.execution.fused.refusal import NotFusible
from gpuql_kernels.codegen import program as ir
from gpuql_planner.logical.expressions import Attribute


class KeyPlace(NamedTuple):
    """Where a packed key has a part: ``code * stride`` is in word ``word``, and code is less than ``room``.

    A part that has a word to itself has the room of all of it.
    """

    word: int
    stride: int
    room: int

    def codes(self, words: list[Array]) -> Array:
        """The part of all keys, whose words are int64 arrays."""
        packed = words[self.word]
        if self.room == PACKED_LIMIT:
            return packed
        if self.stride & (self.stride - 1) or self.room & (self.room - 1):
            return (packed // self.stride) % self.room
        return (packed >> (self.stride.bit_length() - 1)) & (self.room - 1)


class KeyRange(NamedTuple):
    """Codes of a key column, or of half of its bits: ``minimum`` has code 0, NULL (if it may come) the last one."""

    bits: Literal["all", "high", "low"]
    minimum: int
    cardinality: int
    null_code: int | None


@dataclass(frozen=True, eq=False)
class GroupKey:
    """A key column: the values that are packed, and where; ``ranges`` are one, or the high and the low half."""

    attribute: Attribute
    operand: Operand
    value: ir.Value
    ranges: tuple[KeyRange, ...]
    places: tuple[KeyPlace, ...]

    @property
    def kept_value(self) -> bool:
        """Whether the column cannot come from the keys: equal floats may differ in sign, so each group keeps one."""
        return self.operand.value.dtype.startswith("float")

    def parts(self, arguments: ArgumentList) -> Iterable[ir.KeyPart]:
        """What the program packs."""
        for key_range, place in zip(self.ranges, self.places, strict=True):
            null_code = key_range.null_code
            yield ir.KeyPart(
                self.value,
                arguments.scalar(key_range.minimum, "int64"),
                arguments.scalar(key_range.cardinality, "int64"),
                arguments.scalar(place.stride, "int64"),
                None if null_code is None else arguments.scalar(null_code, "int64"),
                word=place.word,
                bits=key_range.bits,
            )

    def column(self, words: list[Array], xp: Any) -> Column:
        """The column of all keys, whose words are int64 arrays."""
        operand, first = self.operand, self.ranges[0]
        codes = self.places[0].codes(words)
        validity = None
        if first.null_code is not None:
            validity = codes != first.null_code
            if bool(validity.all()):
                validity = None
            else:
                codes = xp.where(validity, codes, 0)
        values = codes + first.minimum if first.minimum else codes
        if len(self.places) == 2:
            return self._joined(values, self.places[1].codes(words), validity)
        if operand.value.dtype == "bool":
            return Column(operand.dtype, values != 0, validity)
        low = first.minimum
        high = low + first.cardinality - 1 - (first.null_code is not None)
        narrow = narrowest_dtype(low, high, operand.dtype)
        assert narrow is not None, "packed keys have at most 62 bits"
        bounds = None if operand.strings is not None else (low, high)
        return Column(operand.dtype, values.astype(narrow), validity, operand.strings, bounds)

    def _joined(self, high: Array, low: Array, validity: Array | None) -> Column:
        """Values of two halves; where NULL, both are 0."""
        values = ((high << 32) | low).view(self.operand.value.dtype)
        return Column(self.operand.dtype, values, validity, None, self.operand.bounds)


def tight_places(cardinalities: list[int]) -> list[KeyPlace]:
    """Places of parts of so many values each, in the first word with room.

    With one word, the keys are the numbers below the product of the ``cardinalities``.
    """
    places: list[KeyPlace] = []
    used: list[int] = []
    for cardinality in cardinalities:
        word = next((n for n, values in enumerate(used) if values * cardinality <= PACKED_LIMIT), len(used))
        if word == len(used):
            used.append(1)
        places.append(KeyPlace(word, used[word], cardinality))
        used[word] *= cardinality
    shared = [place.word for place in places]
    return [place if shared.count(place.word) > 1 else place._replace(room=PACKED_LIMIT) for place in places]


def places_of_bits(cardinalities: list[int]) -> list[KeyPlace]:
    """As :func:`tight_places`, but in whole bits, unless that took another word.

    Parts then come back by shifts, where others take two divisions each.
    """
    tight = tight_places(cardinalities)
    rounded = tight_places([1 << (cardinality - 1).bit_length() for cardinality in cardinalities])
    return rounded if max(rounded).word == max(tight).word else tight


class UnplacedKeys:
    """The key columns of an aggregation before it is known how their groups are kept. Errors: NotFusible."""

    def __init__(self, keys: list[tuple[Attribute, Operand]]) -> None:
        self._keys = [(attribute, operand, packed_value(operand)) for attribute, operand in keys]
        self._ranges = [key_ranges(operand) for _, operand in keys]
        self._cardinalities = [part.cardinality for ranges in self._ranges for part in ranges]
        self.domain = math.prod(self._cardinalities)

    def placed(self, *, dense: bool) -> tuple[GroupKey, ...]:
        """Keys that number the groups below ``domain`` (``dense``), or that are hashed."""
        places = iter((tight_places if dense else places_of_bits)(self._cardinalities))
        return tuple(
            GroupKey(*key, ranges, tuple(next(places) for _ in ranges))
            for key, ranges in zip(self._keys, self._ranges, strict=True)
        )


def packed_value(operand: Operand) -> ir.Value:
    """The integer, or truth value, that stands for a key: for floats, bits that are the same for equal ones."""
    if not operand.value.dtype.startswith("float"):
        return operand.value
    return ir.ScalarCall("int64", operand.value.nullable, "float_bits", (operand.value,))


def key_ranges(operand: Operand) -> tuple[KeyRange, ...]:
    """The codes of a key column; of two halves if the column may have more values than half of a word's."""
    nullable = operand.value.nullable
    if operand.value.dtype.startswith("float"):
        return _halves(-(2**63), 2**63 - 1, nullable=nullable)
    low, high = _bounds(operand)
    cardinality = high - low + 1 + nullable
    if cardinality > PACKED_LIMIT or high >= 2**63:
        return _halves(low, high, nullable=nullable)
    return (KeyRange("all", low, cardinality, cardinality - 1 if nullable else None),)


def _bounds(operand: Operand) -> tuple[int, int]:
    if operand.strings is not None:
        return 0, max(0, len(operand.strings) - 1)
    if operand.value.dtype == "bool":
        return 0, 1
    if not operand.is_integer:
        raise NotFusible(f"group key of type {operand.dtype}")
    limits = np.iinfo(operand.value.dtype)
    return operand.bounds or (int(limits.min), int(limits.max))


def _halves(low: int, high: int, *, nullable: bool) -> tuple[KeyRange, ...]:
    """Halves of the 64 bits of integers from ``low`` to ``high``; NULL is told by the high one."""
    smallest = low >> 32
    cardinality = (high >> 32) - smallest + 1 + nullable
    null_code = cardinality - 1 if nullable else None
    return (
        KeyRange("high", smallest, cardinality, null_code),
        KeyRange("low", 0, 2**32, 0 if nullable else None),
    )


def determined_probes(steps: list[ir.Step], keys: list[ir.Value]) -> frozenset[int]:
    """Steps whose probe finds the same build row for all rows of a group by ``keys``, and finds one for each.

    Its keys are among those of the group, or columns of a build row that is the same for all of it.
    """
    determined: set[int] = set()

    def is_same(value: ir.Value) -> bool:
        return any(value is key for key in keys) or (
            isinstance(value, ir.Gather) and value.probe in determined
        )

    for number, step in enumerate(steps):
        if isinstance(step, ir.Probe) and step.kind == "inner" and step.index is not None:
            unique = step.index.first is not None
            if unique and all(is_same(part.value) for part in step.keys):
                determined.add(number)
    return frozenset(determined)
