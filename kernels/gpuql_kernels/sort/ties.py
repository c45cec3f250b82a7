"""Ordering by further words the rows whose first words are equal, on either device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

Array = Any

#: Gives, for some rows (int64), further words of their keys and the bits of these; no words if all of them have ended.
LaterWords = Callable[[Array], tuple[list[Array], list[int]]]


def order_ties(
    xp: Any,
    rows: Array,
    repeats: Array,
    later: Iterable[LaterWords],
    order: Callable[[list[Array], list[int]], tuple[Array, Array]],
) -> None:
    """Bring ``rows`` into the order of further words, source after source, until no two rows are equal.

    ``repeats[i]`` says that row ``i`` equals the one before it so far; both are changed in place. ``order`` gives the
    stable order of keys and the repeats in it.
    """
    for source in later:
        tied = repeats.copy()
        tied[:-1] |= repeats[1:]
        places = xp.flatnonzero(tied)
        if len(places) == 0:
            return
        tied_rows = rows[places]
        words, bits = source(tied_rows)
        if not words:
            continue
        group = xp.cumsum(~repeats[places]).astype(np.uint64)
        # Groups stand in ascending places, so ordering by group first keeps every group where it is.
        new_order, new_repeats = order([group, *words], [int(group[-1]).bit_length(), *bits])
        rows[places] = tied_rows[new_order]
        repeats[places] = new_repeats


def repeats_of(xp: Any, words: list[Array], rows: Array) -> Array:
    """Whether each key in the order ``rows`` equals the one before it."""
    repeats = xp.ones(len(rows), np.bool_)
    repeats[:1] = False
    for word in words:
        ordered = word[rows]
        repeats[1:] &= ordered[1:] == ordered[:-1]
    return repeats
