"""Facts about join and group keys that decide how they are packed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gpuql.columnar.column import Array, StringArray
from gpuql.columnar.strings import entry_bytes
from gpuql.execution.fused.operands import Operand
from gpuql.execution.fused.refusal import NotFusible
from gpuql.operators.contract import JoinTable, RunContext
from gpuql.thresholds import STRING_TRANSLATION_ENTRIES
from gpuql_kernels.codegen import program as ir
from gpuql_planner.physical.nodes import HashJoinProbe

#: Largest packed key; hash tables use -1 for an empty slot.
PACKED_LIMIT = 2**62


class KeyPlace(NamedTuple):
    """Where a packed key has a part: ``code * stride`` is in word ``word``, and code is less than ``room``."""

    word: int
    stride: int
    room: int

    def codes(self, words: list[Array]) -> Array:
        """The part of all keys, whose words are int64 arrays."""
        packed = words[self.word]
        if self.stride & (self.stride - 1) or self.room & (self.room - 1):
            return (packed // self.stride) % self.room
        return (packed >> (self.stride.bit_length() - 1)) & (self.room - 1)


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
    return places


def places_of_bits(cardinalities: list[int]) -> list[KeyPlace]:
    """As :func:`tight_places`, but in whole bits, unless that took another word.

    Parts then come back by shifts, where others take two divisions each.
    """
    tight = tight_places(cardinalities)
    rounded = tight_places([1 << (cardinality - 1).bit_length() for cardinality in cardinalities])
    return rounded if max(rounded).word == max(tight).word else tight


def mark_follows_from_presence(node: HashJoinProbe, table: JoinTable, keys: tuple[ir.KeyPart, ...]) -> bool:
    """Whether an unmatched row is NULL just if its key or some build key is NULL; else other keys decide with it."""
    if len(keys) == 1 and not node.null_safe:
        return True
    return not table.has_null_key and not any(part.value.nullable for part in keys)


def translate(source: StringArray, target: StringArray, context: RunContext, most_entries: int) -> Array:
    """Position in ``target``, whose entries are distinct, of each entry of ``source``: int32, -1 where it has none.

    NotFusible if both have more than ``most_entries`` entries together, unless they are few in any case.
    """
    key = ("translation", id(target))
    known = source.cache.get(key)
    if known is not None and known[0] is target:
        return known[1]
    num_entries = len(source) + len(target)
    if num_entries > max(STRING_TRANSLATION_ENTRIES, most_entries):
        raise NotFusible("join keys are strings of large dictionaries")
    if num_entries > STRING_TRANSLATION_ENTRIES:
        strings = context.kernels.string_match
        found = strings.lookup(target.offsets, target.data, source.offsets, source.data, None)
        table = found.astype(np.int32)
    else:
        positions = {entry: position for position, entry in enumerate(entry_bytes(target))}
        table = np.array([positions.get(entry, -1) for entry in entry_bytes(source)] or [-1], dtype=np.int32)
    source.cache[key] = (target, table)
    return table


def distinct_entries(
    strings: StringArray, context: RunContext, most_entries: int
) -> tuple[StringArray, Array]:
    """The different ones among ``strings``, and the place among them of each entry (int32).

    NotFusible if ``strings`` has more than ``most_entries`` entries.
    """
    if len(strings) > most_entries:
        raise NotFusible("group key is a string without a dictionary")
    key = "distinct entries"
    if key not in strings.cache:
        kernel = context.kernels.string_match
        codes, first = kernel.factorize(strings.offsets, strings.data, None)
        codes = (
            codes if len(codes) else context.xp.zeros(1, np.int64)
        )  # rows that are all NULL point at something
        offsets, data = kernel.gather(strings.data, strings.offsets[first], strings.offsets[first + 1])
        strings.cache[key] = StringArray(offsets, data, unique=True), codes.astype(np.int32)
    found: tuple[StringArray, Array] = strings.cache[key]
    return found


def key_domain(operand: Operand) -> tuple[int, int]:
    """Smallest stored value and number of possible values of a group key."""
    if operand.strings is not None:
        return 0, max(1, len(operand.strings))
    if operand.value.dtype == "bool":
        return 0, 2
    if not operand.is_integer or operand.bounds is None or operand.value.dtype == "uint64":
        raise NotFusible(f"group key of type {operand.dtype} has no small range")
    low, high = operand.bounds
    if high - low >= PACKED_LIMIT - 1:  # NULL takes a place, too
        raise NotFusible("group key does not fit one word")
    return low, high - low + 1
