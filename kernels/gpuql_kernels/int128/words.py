"""Arithmetic on arrays of 128-bit integers, for NumPy and CuPy (``xp`` is the array module).

A *wide* array has shape (n, 2) and dtype int64: low word first, the low word's bits read as unsigned. Arrays of one
row broadcast. Nothing here raises for overflow: functions that can overflow return a mask, and rows under the mask
hold the result modulo 2**128.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Array = Any

_MASK32 = 0xFFFFFFFF
_MASK64 = 0xFFFFFFFFFFFFFFFF


def from_int64(xp: Any, values: Array) -> Array:
    """Widen signed integers of any width, or uint64, to shape (n, 2)."""
    if values.dtype == xp.uint64:
        return _join(xp, values, xp.zeros(values.shape, xp.int64))
    low = values.astype(xp.int64)
    return xp.stack((low, low >> 63), axis=-1)


def from_python(xp: Any, values: Iterable[int]) -> Array:
    """Python ints in -2**127 .. 2**127 - 1 as a wide array."""
    rows = [(_signed64(value & _MASK64), value >> 64) for value in values]
    return xp.asarray(rows, dtype=xp.int64).reshape(len(rows), 2)


def to_python(wide: Array) -> list[int]:
    """Rows of a wide array as Python ints (copies to the host)."""
    return [(high << 64) | (low & _MASK64) for low, high in wide.tolist()]


def _signed64(bits: int) -> int:
    return bits - (1 << 64) if bits >> 63 else bits


def _low(xp: Any, wide: Array) -> Array:
    return wide[..., 0].view(xp.uint64)


def _high(wide: Array) -> Array:
    return wide[..., 1]


def _join(xp: Any, low: Array, high: Array) -> Array:
    low, high = xp.broadcast_arrays(low, high)
    return xp.stack((low.view(xp.int64), high.astype(xp.int64)), axis=-1)


def fits_int64(wide: Array) -> Array:
    """Mask of rows whose value fits one signed word."""
    return wide[..., 1] == (wide[..., 0] >> 63)


def add(xp: Any, left: Array, right: Array) -> tuple[Array, Array]:
    """Sum and overflow mask."""
    low = _low(xp, left) + _low(xp, right)
    carry = (low < _low(xp, right)).astype(xp.int64)
    high = _high(left) + _high(right) + carry
    overflow = ((_high(left) ^ high) & (_high(right) ^ high)) < 0
    return _join(xp, low, high), overflow


def subtract(xp: Any, left: Array, right: Array) -> tuple[Array, Array]:
    """Difference and overflow mask."""
    low = _low(xp, left) - _low(xp, right)
    borrow = (_low(xp, left) < _low(xp, right)).astype(xp.int64)
    high = _high(left) - _high(right) - borrow
    overflow = ((_high(left) ^ _high(right)) & (_high(left) ^ high)) < 0
    return _join(xp, low, high), overflow


def negate(xp: Any, wide: Array) -> tuple[Array, Array]:
    """Negated values and overflow mask (only -2**127 overflows)."""
    return subtract(xp, xp.zeros_like(wide), wide)


def negative(wide: Array) -> Array:
    """Mask of rows below zero."""
    return wide[..., 1] < 0


def absolute(xp: Any, wide: Array) -> tuple[Array, Array]:
    """Magnitudes and overflow mask (only -2**127 overflows)."""
    flipped, overflow = negate(xp, wide)
    below = negative(wide)
    return xp.where(below[..., None], flipped, wide), overflow & below


def _multiply_unsigned64(xp: Any, left: Array, right: Array) -> tuple[Array, Array]:
    """Low and high word (both uint64) of the product of two uint64 arrays."""
    shift, mask = xp.uint64(32), xp.uint64(_MASK32)
    left_low, left_high = left & mask, left >> shift
    right_low, right_high = right & mask, right >> shift
    low = left_low * right_low
    middle = left_high * right_low + (low >> shift)
    cross = left_low * right_high + (middle & mask)
    high = left_high * right_high + (middle >> shift) + (cross >> shift)
    return (cross << shift) | (low & mask), high


def multiply_int64(xp: Any, left: Array, right: Array) -> Array:
    """Exact wide product of two int64 arrays."""
    left, right = xp.broadcast_arrays(left.astype(xp.int64), right.astype(xp.int64))
    low, high = _multiply_unsigned64(xp, left.view(xp.uint64), right.view(xp.uint64))
    signed_high = high.view(xp.int64) - xp.where(left < 0, right, 0) - xp.where(right < 0, left, 0)
    return _join(xp, low, signed_high)


def multiply(xp: Any, left: Array, right: Array) -> tuple[Array, Array]:
    """Product of two wide arrays and overflow mask."""
    below = negative(left) ^ negative(right)
    # The magnitude of -2**127 is right when read as unsigned, as it is below.
    first, _ = absolute(xp, left)
    second, _ = absolute(xp, right)
    low_a, high_a = _low(xp, first), _high(first).view(xp.uint64)
    low_b, high_b = _low(xp, second), _high(second).view(xp.uint64)
    low, high = _multiply_unsigned64(xp, low_a, low_b)
    cross_a, overflow_a = _multiply_unsigned64(xp, high_a, low_b)
    cross_b, overflow_b = _multiply_unsigned64(xp, low_a, high_b)
    total = high + cross_a
    carried = total < cross_a
    total2 = total + cross_b
    carried |= total2 < cross_b
    lowest = below & (total2 == xp.uint64(1 << 63)) & (low == 0)
    overflow = (
        ((high_a != 0) & (high_b != 0))
        | (overflow_a != 0)
        | (overflow_b != 0)
        | carried
        | ((total2 >> xp.uint64(63) != 0) & ~lowest)
    )
    product = _join(xp, low, total2.view(xp.int64))
    flipped, _ = negate(xp, product)
    return xp.where(below[..., None], flipped, product), overflow


def is_zero(wide: Array) -> Array:
    """Mask of rows equal to zero."""
    return (wide[..., 0] | wide[..., 1]) == 0


def equal(left: Array, right: Array) -> Array:
    """Mask ``left == right``."""
    return (left[..., 0] == right[..., 0]) & (left[..., 1] == right[..., 1])


def less(xp: Any, left: Array, right: Array) -> Array:
    """Mask ``left < right``."""
    same_high = _high(left) == _high(right)
    return (_high(left) < _high(right)) | (same_high & (_low(xp, left) < _low(xp, right)))


def to_float64(xp: Any, wide: Array) -> Array:
    """Nearest double of each row, up to one rounding of the low word."""
    magnitude, _ = absolute(xp, wide)
    size = _high(magnitude).view(xp.uint64).astype(xp.float64) * 2.0**64 + _low(xp, magnitude).astype(
        xp.float64
    )
    narrow = wide[..., 0].astype(xp.float64)
    return xp.where(fits_int64(wide), narrow, xp.where(negative(wide), -size, size))


def from_float64(xp: Any, values: Array) -> Array:
    """Wide integers of doubles that are whole numbers within -2**127 .. 2**127 (others give garbage)."""
    size = xp.abs(values)
    high = xp.floor(size / 2.0**64)
    low = size - high * 2.0**64
    wide = _join(xp, low.astype(xp.uint64), high.astype(xp.int64))
    flipped, _ = negate(xp, wide)
    return xp.where((values < 0)[..., None], flipped, wide)


def _divide_by_small(xp: Any, magnitude: Array, divisor: int) -> tuple[Array, Array]:
    """Quotient and remainder (uint64) of non-negative rows by a constant below 2**32."""
    shift, mask, by = xp.uint64(32), xp.uint64(_MASK32), xp.uint64(divisor)
    low, high = _low(xp, magnitude), _high(magnitude).view(xp.uint64)
    limbs = (high >> shift, high & mask, low >> shift, low & mask)
    quotients, remainder = [], xp.zeros(low.shape, xp.uint64)
    for limb in limbs:
        current = (remainder << shift) | limb
        quotients.append(current // by)
        remainder = current % by
    new_low = (quotients[2] << shift) | quotients[3]
    new_high = (quotients[0] << shift) | quotients[1]
    return _join(xp, new_low, new_high.view(xp.int64)), remainder


def _divide_unsigned(xp: Any, magnitude: Array, divisor: Array) -> tuple[Array, Array]:
    """Quotient and remainder of non-negative wide rows by positive wide rows: shift and subtract, bit by bit."""
    magnitude, divisor = xp.broadcast_arrays(magnitude, divisor)
    one, top = xp.uint64(1), xp.uint64(63)
    low, high = _low(xp, xp.ascontiguousarray(magnitude)), magnitude[..., 1].astype(xp.int64).view(xp.uint64)
    by_low, by_high = (
        _low(xp, xp.ascontiguousarray(divisor)),
        divisor[..., 1].astype(xp.int64).view(xp.uint64),
    )
    rest_low, rest_high = xp.zeros_like(low), xp.zeros_like(low)
    low, high = low.copy(), high.copy()
    for _ in range(128):
        rest_high = (rest_high << one) | (rest_low >> top)
        rest_low = (rest_low << one) | (high >> top)
        high = (high << one) | (low >> top)
        low = low << one
        enough = (rest_high > by_high) | ((rest_high == by_high) & (rest_low >= by_low))
        borrow = (enough & (rest_low < by_low)).astype(xp.uint64)
        rest_low = rest_low - xp.where(enough, by_low, xp.uint64(0))
        rest_high = rest_high - xp.where(enough, by_high, xp.uint64(0)) - borrow
        low = low | enough.astype(xp.uint64)
    return _join(xp, low, high.view(xp.int64)), _join(xp, rest_low, rest_high.view(xp.int64))


def divide(xp: Any, left: Array, right: Array) -> tuple[Array, Array]:
    """Quotient truncated toward zero and remainder with the sign of ``left``; rows with ``right`` = 0 hold garbage."""
    divisor, _ = absolute(xp, right)
    magnitude, _ = absolute(xp, left)
    quotient, rest = _divide_unsigned(xp, magnitude, divisor)
    flipped, _ = negate(xp, quotient)
    flipped_rest, _ = negate(xp, rest)
    below = negative(left) ^ negative(right)
    return (
        xp.where(below[..., None], flipped, quotient),
        xp.where(xp.broadcast_to(negative(left), below.shape)[..., None], flipped_rest, rest),
    )


def scale_up(xp: Any, wide: Array, digits: int) -> tuple[Array, Array]:
    """Rows times ``10**digits`` (0 to 38) and overflow mask."""
    return multiply(xp, wide, from_python(xp, [10**digits]))


def scale_down(xp: Any, wide: Array, digits: int, *, half_away: bool = True) -> Array:
    """Rows divided by ``10**digits`` (1 to 38), rounded half away from zero or truncated toward zero."""
    magnitude, _ = absolute(xp, wide)
    if half_away:
        magnitude, _ = add(xp, magnitude, from_python(xp, [10**digits // 2]))
    while digits > 0:
        step = min(digits, 9)
        magnitude, _ = _divide_by_small(xp, magnitude, 10**step)
        digits -= step
    flipped, _ = negate(xp, magnitude)
    return xp.where(negative(wide)[..., None], flipped, magnitude)


def minimum_maximum(xp: Any, wide: Array) -> tuple[int, int]:
    """Smallest and largest value of a non-empty wide array, as Python ints (waits for the device)."""
    high = _high(wide)
    lowest, highest = int(high.min()), int(high.max())
    low = _low(xp, wide)
    smallest = int(low[high == lowest].min())
    largest = int(low[high == highest].max())
    return (lowest << 64) | smallest, (highest << 64) | largest
