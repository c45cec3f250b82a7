"""Hyperbolic and special functions, number theory, bits, and numbers as text."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gpuql.columnar.column import NATURAL_DTYPE, Array, Column
from gpuql.expressions.cast import exact_to_float
from gpuql.expressions.host_calls import host_function
from gpuql.expressions.numeric import round_to
from gpuql.expressions.vectors import (
    EvaluationContext,
    as_wide,
    constant_integer,
    is_wide,
    joint_validity,
    make_column,
)
from gpuql_planner.errors import DataError, OutOfRangeError
from gpuql_planner.types import DataType, TypeId

_HUGEINT_MAX = 2**127 - 1


def _doubles(xp: Any, column: Column) -> Array:
    return column.values if column.dtype.is_float else exact_to_float(xp, column)


def _floating(compute: Callable[..., Array]) -> Callable[..., Column]:
    """A function of doubles from one of arrays: ``compute(xp, *values)``."""

    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        xp = context.xp
        result = compute(xp, *(_doubles(xp, argument) for argument in arguments))
        return make_column(xp, dtype, result.astype(NATURAL_DTYPE[dtype.id]), joint_validity(*arguments))

    return apply


def _even(xp: Any, values: Array) -> Array:
    """The next even number away from zero."""
    away = xp.where(values >= 0, xp.ceil(values), -xp.ceil(-values))
    odd = xp.fmod(away, 2.0) != 0
    return xp.where(odd & xp.isfinite(away), away + xp.copysign(1.0, away), away)


def _floored_modulo(xp: Any, left: Array, right: Array) -> Array:
    return left - xp.floor(left / right) * right


def _signbit(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    xp = context.xp
    return make_column(xp, dtype, xp.signbit(_doubles(xp, arguments[0])), arguments[0].validity)


def _gamma(value: float) -> float:
    if value == 0:
        return math.copysign(math.inf, value)
    try:
        return math.gamma(value)
    except ValueError:
        return math.nan
    except OverflowError:
        return math.inf


def _lgamma(value: float) -> float:
    try:
        return math.lgamma(value)
    except (ValueError, OverflowError):
        return math.inf


def _checked_hugeint(name: str, value: int) -> int:
    if value > _HUGEINT_MAX:
        raise OutOfRangeError(f"overflow in {name}: HUGEINT")
    return value


def _factorial(number: int) -> int:
    if number < 0:
        raise OutOfRangeError(f"factorial of a negative number: {number}")
    if number > 33:
        raise OutOfRangeError("overflow in factorial: HUGEINT")
    return math.factorial(number)


def _binom(total: int, chosen: int) -> int:
    if total < 0 or chosen < 0:
        raise OutOfRangeError(f"binom of a negative number: {total}, {chosen}")
    if min(chosen, total - chosen) > 128:
        raise OutOfRangeError("overflow in binom: HUGEINT")
    return _checked_hugeint("binom", math.comb(total, chosen))


def _number_pair(name: str) -> Callable[..., Column]:
    """Gcd and lcm."""
    on_host = host_function(_checked_gcd if name == "gcd" else _checked_lcm)

    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        xp = context.xp
        if name == "lcm" or any(is_wide(argument) for argument in arguments):
            return on_host(dtype, arguments, context)
        left, right = (argument.values.astype(xp.int64) for argument in arguments)
        lowest = np.iinfo(np.int64).min
        if bool((left == lowest).any()) or bool((right == lowest).any()):
            return on_host(dtype, arguments, context)
        return make_column(xp, dtype, xp.abs(xp.gcd(left, right)), joint_validity(*arguments))

    return apply


def _checked_gcd(left: int, right: int) -> int:
    return math.gcd(left, right)


def _checked_lcm(left: int, right: int) -> int:
    return _checked_hugeint("lcm", math.lcm(left, right))


def _bits_of_words(xp: Any, values: Array) -> Array:
    """Number of set bits of uint64 values: sums over ever larger fields."""
    first, second, third = (
        xp.uint64(mask) for mask in (0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F)
    )
    values = values - ((values >> xp.uint64(1)) & first)
    values = (values & second) + ((values >> xp.uint64(2)) & second)
    values = (values + (values >> xp.uint64(4))) & third
    return ((values * xp.uint64(0x0101010101010101)) >> xp.uint64(56)).astype(xp.int64)


def _bit_count(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Set bits in two's complement of the type's width; TINYINT wraps at 128 bits, as in DuckDB."""
    xp = context.xp
    (column,) = arguments
    wide_type = column.dtype.id is TypeId.HUGEINT
    if wide_type or (is_wide(column) and column.values.ndim == 2):
        words = as_wide(xp, column)
        counts = sum(
            _bits_of_words(xp, xp.ascontiguousarray(words[:, part]).view(xp.uint64)) for part in (0, 1)
        )
    else:
        bits = NATURAL_DTYPE[column.dtype.id]
        words = column.values.astype(bits).astype(f"u{np.dtype(bits).itemsize}").astype(xp.uint64)
        counts = _bits_of_words(xp, words)
    return make_column(xp, dtype, xp.asarray(counts).astype(xp.int8), column.validity)


def _round_even(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """Rounding with halves to the even neighbour."""
    xp = context.xp
    column = arguments[0]
    digits = constant_integer(arguments[1])
    assert digits is not None, "the binder takes constant digits only"
    if column.dtype.is_float:
        unit = 10.0 ** min(abs(digits), 308)
        scaled = column.values * unit if digits >= 0 else column.values / unit
        rounded = xp.rint(scaled) / unit if digits >= 0 else xp.rint(scaled) * unit
        result = xp.where(xp.isfinite(rounded), rounded, column.values)
        return make_column(xp, dtype, result.astype(NATURAL_DTYPE[dtype.id]), column.validity)
    if column.dtype.scale - digits > 18 or is_wide(column):
        return round_to(dtype, arguments, context)
    unit = 10 ** (column.dtype.scale - digits)
    values = column.values.astype(xp.int64)
    quotient = values // unit
    rest = values - quotient * unit
    up = (2 * rest > unit) | ((2 * rest == unit) & (quotient % 2 == 1))
    result = (quotient + up) * 10 ** max(0, dtype.scale - digits)
    return make_column(xp, dtype, result, column.validity)


_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _to_base(number: int, radix: int, min_length: int = 0) -> str:
    if number < 0:
        raise DataError(f"number must not be negative: to_base({number})")
    if not 2 <= radix <= 36:
        raise DataError(f"radix must be between 2 and 36: to_base(..., {radix})")
    if not 0 <= min_length <= 64:
        raise DataError(f"least length must be between 0 and 64: to_base(..., {min_length})")
    digits: list[str] = []
    while number or not digits:
        number, rest = divmod(number, radix)
        digits.append(_DIGITS[rest])
    return "".join(reversed(digits)).rjust(min_length, "0")


def _digits_of(base: int) -> Callable[..., Column]:
    """Bin and hex: of numbers without leading zeros (negative ones in 64 or 128 bits), of bytes with them."""
    letter, width = ("b", 8) if base == 2 else ("X", 2)

    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        bits = 128 if arguments[0].dtype.id is TypeId.HUGEINT else 64

        def text(value: Any) -> str:
            if isinstance(value, int):
                return format(value % 2**bits, letter)
            data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
            return "".join(format(byte, f"0{width}{letter}") for byte in data)

        return host_function(text)(dtype, arguments, context)

    return apply


_BAR_WIDTH = 80.0
_BAR_PARTS = " ▏▎▍▌▋▊▉"


def _bar(value: float, low: float, high: float, width: float = _BAR_WIDTH) -> str:
    if not 1 <= width <= 1000:
        raise OutOfRangeError(f"width must be between 1 and 1000: bar(..., {width})")
    if value < low:
        share = 0.0
    elif value > high:
        share = width
    elif high != low:
        share = width * (value - low) / (high - low)
    else:
        share = 0.0
    whole = int(share)
    text = "█" * whole
    part = int((share - whole) * 8)
    if whole < width and part:
        text += _BAR_PARTS[part]
    return text + " " * (int(width) - len(text))


_BINARY_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")
_DECIMAL_UNITS = ("kB", "MB", "GB", "TB", "PB")


def _readable_bytes(count: int, factor: int, units: tuple[str, ...]) -> str:
    sign, size = ("-" if count < 0 else ""), abs(count)
    if size < factor:
        return f"{sign}{size} byte{'' if size == 1 else 's'}"
    unit = 0
    scale = factor
    while size // scale >= factor and unit + 1 < len(units):
        scale *= factor
        unit += 1
    tenths = size * 10 // scale
    return f"{sign}{tenths // 10}.{tenths % 10} {units[unit]}"


_BYTE_UNITS = {
    **dict.fromkeys(("", "b", "byte", "bytes"), 1),
    **{name: 1000 ** (power + 1) for power, unit in enumerate("kmgtp") for name in (unit, f"{unit}b")},
    **{f"{unit}ib": 1024 ** (power + 1) for power, unit in enumerate("kmgtp")},
}


def _parse_bytes(text: str) -> int:
    stripped = text.strip()
    number = stripped.rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
    unit = stripped[len(number) :].strip().lower()
    if unit not in _BYTE_UNITS or not unit:
        raise DataError(f"text is no number of bytes: {text!r}")
    try:
        return int(float(number) * _BYTE_UNITS[unit])
    except ValueError:
        raise DataError(f"text is no number of bytes: {text!r}") from None


FUNCTIONS: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    "sinh": _floating(lambda xp, values: xp.sinh(values)),
    "cosh": _floating(lambda xp, values: xp.cosh(values)),
    "tanh": _floating(lambda xp, values: xp.tanh(values)),
    "asinh": _floating(lambda xp, values: xp.arcsinh(values)),
    "acosh": _floating(lambda xp, values: xp.arccosh(values)),
    "atanh": _floating(lambda xp, values: xp.arctanh(values)),
    "cot": _floating(lambda xp, values: 1.0 / xp.tan(values)),
    "even": _floating(_even),
    "nextafter": _floating(lambda xp, start, end: xp.nextafter(start, end)),
    "fmod": _floating(_floored_modulo),
    "fdiv": _floating(lambda xp, left, right: xp.floor(left / right)),
    "signbit": _signbit,
    "gamma": host_function(_gamma),
    "lgamma": host_function(_lgamma),
    "factorial": host_function(_factorial),
    "binom": host_function(_binom),
    "gcd": _number_pair("gcd"),
    "lcm": _number_pair("lcm"),
    "bit_count": _bit_count,
    "round_even": _round_even,
    "to_base": host_function(_to_base),
    "bin": _digits_of(2),
    "hex": _digits_of(16),
    "bar": host_function(_bar),
    "format_bytes": host_function(lambda count: _readable_bytes(count, 1024, _BINARY_UNITS)),
    "formatreadabledecimalsize": host_function(lambda count: _readable_bytes(count, 1000, _DECIMAL_UNITS)),
    "parse_formatted_bytes": host_function(_parse_bytes),
}
