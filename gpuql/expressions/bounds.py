"""Range analysis: from the ranges of arguments to the range of a result, in Python integers.

A range is an inclusive pair that contains every non-NULL value. Shared by the interpreter and the code generator,
which both pick the width of their arithmetic by it and drop the overflow checks that it makes needless.
"""

from __future__ import annotations

from collections.abc import Callable

Range = tuple[int, int]


def add(left: Range, right: Range) -> Range:
    """Range of ``a + b``."""
    return left[0] + right[0], left[1] + right[1]


def subtract(left: Range, right: Range) -> Range:
    """Range of ``a - b``."""
    return left[0] - right[1], left[1] - right[0]


def multiply(left: Range, right: Range) -> Range:
    """Range of ``a * b``."""
    products = [a * b for a in left for b in right]
    return min(products), max(products)


def negate(value: Range) -> Range:
    """Range of ``-a``."""
    return -value[1], -value[0]


def absolute(value: Range) -> Range:
    """Range of ``abs(a)``."""
    low, high = value
    if low >= 0:
        return value
    return (0, max(-low, high)) if high >= 0 else (-high, -low)


def integer_divide(left: Range, right: Range) -> Range:
    """Range of ``a / b`` truncated toward zero, for ``b`` not 0."""
    size = max(abs(left[0]), abs(left[1]))
    divisor = 1 if right[0] <= 0 <= right[1] else min(abs(right[0]), abs(right[1]))
    size //= divisor
    low = 0 if left[0] >= 0 and right[0] >= 0 else -size
    high = 0 if left[1] <= 0 and right[0] >= 0 else size
    return low, high


def modulo(left: Range, right: Range) -> Range:
    """Range of the remainder with the sign of ``a``."""
    size = max(abs(right[0]), abs(right[1]), 1) - 1
    low = 0 if left[0] >= 0 else -min(size, -left[0])
    high = 0 if left[1] <= 0 else min(size, left[1])
    return low, high


def scale_up(value: Range, digits: int) -> Range:
    """Range of ``a * 10**digits``."""
    return value[0] * 10**digits, value[1] * 10**digits


def scale_down(value: Range, digits: int) -> Range:
    """Range of ``a / 10**digits`` rounded half away from zero."""
    return round_half_away(value[0], 10**digits), round_half_away(value[1], 10**digits)


def round_half_away(value: int, unit: int) -> int:
    """``value / unit`` rounded half away from zero."""
    quotient = (abs(value) + unit // 2) // unit
    return quotient if value >= 0 else -quotient


def union(left: Range | None, right: Range | None) -> Range | None:
    """Range of a value taken from either side; None if one is unknown."""
    if left is None or right is None:
        return None
    return min(left[0], right[0]), max(left[1], right[1])


def minimum(left: Range, right: Range) -> Range:
    """Range of the smaller of two values."""
    return min(left[0], right[0]), min(left[1], right[1])


def maximum(left: Range, right: Range) -> Range:
    """Range of the larger of two values."""
    return max(left[0], right[0]), max(left[1], right[1])


def within(value: Range, limits: Range) -> bool:
    """Every value of the range is inside the limits."""
    return limits[0] <= value[0] and value[1] <= limits[1]


#: Ranges of the arithmetic functions of ``Call.function`` by name, for decimals over scaled integers.
BINARY: dict[str, Callable[[Range, Range], Range]] = {
    "add": add,
    "subtract": subtract,
    "multiply": multiply,
    "integer_divide": integer_divide,
    "modulo": modulo,
}


def compare(function: str, left: Range, right: Range) -> bool | None:
    """Truth of a comparison that holds, or fails, for all values of both ranges; None if it depends on them."""
    if function == "eq":
        if left[1] < right[0] or right[1] < left[0]:
            return False
        return True if left[0] == left[1] == right[0] == right[1] else None
    if function == "ne":
        equal = compare("eq", left, right)
        return None if equal is None else not equal
    if function == "lt":
        if left[1] < right[0]:
            return True
        return False if left[0] >= right[1] else None
    if function == "ge":
        less = compare("lt", left, right)
        return None if less is None else not less
    if function == "gt":
        return compare("lt", right, left)
    if function == "le":
        return compare("ge", right, left)
    return None
