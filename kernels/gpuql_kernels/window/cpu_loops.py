"""Compiled loops of the window kernels; imported only by ``cpu`` once an input is large enough."""

from __future__ import annotations

from typing import Any

from gpuql_kernels.compiled_loop import compiled_loop

Array = Any

#: Values that one entry of a tree's next level stands for.
LEAF_ROWS = 16
#: Entries up to which a range is folded as it is.
_SHORT_ROWS = 2 * LEAF_ROWS

#: Positions of the folds in ``contract.FOLDS``.
_SUM, _MINIMUM, _MAXIMUM, _BIT_AND, _BIT_OR = 0, 2, 3, 4, 5


@compiled_loop
def _float_step(code: int, left: float, right: float) -> float:
    return left + right if code == _SUM else left * right


@compiled_loop
def _integer_step(code: int, left: int, right: int) -> int:
    if code == _MINIMUM:
        return min(left, right)
    if code == _MAXIMUM:
        return max(left, right)
    if code == _BIT_AND:
        return left & right
    if code == _BIT_OR:
        return left | right
    return left ^ right


# Both loops are the same but for the step, which a compiled function that is kept on disk cannot take as a value.


@compiled_loop
def fold_floats(
    values: Array,
    start: Array,
    stop: Array,
    tree: Array,
    levels: Array,
    code: int,
    neutral: float,
    result: Array,
) -> None:
    """Fold frames; ``tree`` holds the folds of ``LEAF_ROWS`` entries of the level below, from ``levels[i]`` on."""
    total = neutral
    last_start = last_stop = -1
    for frame in range(len(start)):
        first, after = start[frame], stop[frame]
        if first == last_start and last_stop <= after <= last_stop + _SHORT_ROWS:
            for row in range(last_stop, after):
                total = _float_step(code, total, values[row])
        else:
            total = neutral
            level = -1
            while first < after:
                row_base = levels[level] if level >= 0 else 0
                source = values if level < 0 else tree
                short = after - first <= _SHORT_ROWS
                while first < after and (short or first % LEAF_ROWS):
                    total = _float_step(code, total, source[row_base + first])
                    first += 1
                while after > first and after % LEAF_ROWS:
                    after -= 1
                    total = _float_step(code, total, source[row_base + after])
                first //= LEAF_ROWS
                after //= LEAF_ROWS
                level += 1
        last_start, last_stop = start[frame], stop[frame]
        result[frame] = total


@compiled_loop
def fold_integers(
    values: Array,
    start: Array,
    stop: Array,
    tree: Array,
    levels: Array,
    code: int,
    neutral: int,
    result: Array,
) -> None:
    """As :func:`fold_floats`, of int64."""
    total = neutral
    last_start = last_stop = -1
    for frame in range(len(start)):
        first, after = start[frame], stop[frame]
        if first == last_start and last_stop <= after <= last_stop + _SHORT_ROWS:
            for row in range(last_stop, after):
                total = _integer_step(code, total, values[row])
        else:
            total = neutral
            level = -1
            while first < after:
                row_base = levels[level] if level >= 0 else 0
                source = values if level < 0 else tree
                short = after - first <= _SHORT_ROWS
                while first < after and (short or first % LEAF_ROWS):
                    total = _integer_step(code, total, source[row_base + first])
                    first += 1
                while after > first and after % LEAF_ROWS:
                    after -= 1
                    total = _integer_step(code, total, source[row_base + after])
                first //= LEAF_ROWS
                after //= LEAF_ROWS
                level += 1
        last_start, last_stop = start[frame], stop[frame]
        result[frame] = total


@compiled_loop
def search(
    keys: Array,
    values: Array,
    low: Array,
    high: Array,
    past_equal: bool,  # noqa: FBT001
    result: Array,
) -> None:
    """Gallop from the place found before, which for sorted values is near; then halve."""
    guess = 0
    for i in range(len(low)):
        first, after, value = low[i], high[i], values[i]
        place = min(max(guess, first), after)
        step = 1
        # Everything before ``first`` is before the value, nothing from ``after`` on is.
        if place < after and (keys[place] < value or (past_equal and keys[place] == value)):
            first = place + 1
            while first + step < after:
                probe = first + step
                if keys[probe] < value or (past_equal and keys[probe] == value):
                    first = probe + 1
                    step *= 2
                else:
                    after = probe
                    break
        else:
            after = place
            while after - step > first:
                probe = after - step
                if keys[probe] < value or (past_equal and keys[probe] == value):
                    first = probe + 1
                    break
                after = probe
                step *= 2
        while first < after:
            middle = (first + after) >> 1
            if keys[middle] < value or (past_equal and keys[middle] == value):
                first = middle + 1
            else:
                after = middle
        guess = first
        result[i] = first


_FOLD = "(%s[::1], int64[::1], int64[::1], %s[::1], int64[::1], int64, %s, %s[::1])"

#: The argument types that each loop meets.
SIGNATURES = {
    fold_floats: [_FOLD.replace("%s", "float64")],
    fold_integers: [_FOLD.replace("%s", "int64")],
    search: ["(uint64[::1], uint64[::1], int64[::1], int64[::1], boolean, int64[::1])"],
}
