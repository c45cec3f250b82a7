"""Folds of frames with whole-array operations: of spans of 1, 2, 4 … rows, of which every frame is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Array = Any
#: One or more arrays of the same length: the partial result of each span.
State = tuple[Array, ...]


def fold_spans(
    xp: Any,
    leaves: State,
    neutral: Sequence[Any],
    merge: Callable[[State, State], State],
    start: Array,
    stop: Array,
) -> State:
    """Fold rows ``start`` to ``stop`` of ``leaves`` for each frame; ``merge`` is associative, the earlier rows left.

    Takes as many rounds as the longest frame's length has bits.
    """
    result: State = tuple(
        xp.full(len(start), value, leaf.dtype) for value, leaf in zip(neutral, leaves, strict=True)
    )
    if len(start) == 0:
        return result
    place, length = start.copy(), stop - start
    longest = int(length.max())
    spans, size = leaves, 1
    while size <= longest:
        chosen = xp.flatnonzero(length & size)
        if len(chosen):
            here = place[chosen]
            merged = merge(tuple(part[chosen] for part in result), tuple(part[here] for part in spans))
            for part, new in zip(result, merged, strict=True):
                part[chosen] = new
            place[chosen] = here + size
        if 2 * size <= longest:
            spans = merge(tuple(part[:-size] for part in spans), tuple(part[size:] for part in spans))
        size *= 2
    return result


def search_ranges(xp: Any, keys: Array, values: Array, low: Array, high: Array, *, past_equal: bool) -> Array:
    """All binary searches at once, a step of each in every round."""
    if len(low) == 0:
        return low
    last = len(keys) - 1
    for _ in range(int((high - low).max()).bit_length()):
        middle = (low + high) >> 1
        here = keys[xp.clip(middle, 0, last)]
        before = (here <= values) if past_equal else (here < values)
        before &= low < high
        low, high = xp.where(before, middle + 1, low), xp.where(before, high, middle)
    return low


def neutral_element(xp: Any, name: str, dtype: Any) -> Any:
    """What adds nothing to a fold of that dtype."""
    match name:
        case "minimum":
            return xp.iinfo(dtype).max
        case "maximum":
            return xp.iinfo(dtype).min
        case "product":
            return 1
        case "bit_and":
            return -1
    return 0


def fold_function(xp: Any, name: str) -> Callable[[Array, Array], Array]:
    """The array function that folds two values."""
    functions: dict[str, Callable[[Array, Array], Array]] = {
        "sum": xp.add,
        "product": xp.multiply,
        "minimum": xp.minimum,
        "maximum": xp.maximum,
        "bit_and": xp.bitwise_and,
        "bit_or": xp.bitwise_or,
        "bit_xor": xp.bitwise_xor,
    }
    return functions[name]


def merge_function(xp: Any, name: str) -> Callable[[State, State], State]:
    """The fold of two spans."""
    function = fold_function(xp, name)
    return lambda left, right: (function(left[0], right[0]),)
