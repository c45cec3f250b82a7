"""Facts about join and group keys that decide how they are packed."""

from __future__ import annotations

import numpy as np

from gpuql.columnar.column import Array, StringArray
from gpuql.columnar.strings import entry_bytes
from gpuql.execution.fused.refusal import NotFusible
from gpuql.operators.contract import JoinTable, RunContext
from gpuql.thresholds import STRING_TRANSLATION_ENTRIES
from gpuql_kernels.codegen import program as ir
from gpuql_planner.physical.nodes import HashJoinProbe

#: Largest packed key; hash tables use -1 for an empty slot.
PACKED_LIMIT = 2**62


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
