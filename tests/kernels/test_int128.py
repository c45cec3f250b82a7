"""128-bit words against Python's integers."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gpuql_kernels.int128 import words

# A loaded machine makes drawing slow, which says nothing about the arithmetic.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

LOW, HIGH = -(2**127), 2**127 - 1
wide_ints = st.one_of(
    st.integers(LOW, HIGH),
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([LOW, HIGH, 0, 1, -1, 2**63, -(2**63), 2**64, 10**18, 10**37]),
)


def wrap(value: int) -> int:
    return (value - LOW) % 2**128 + LOW


@given(st.lists(st.tuples(wide_ints, wide_ints), min_size=1, max_size=20))
def test_add_subtract_multiply_compare(pairs: list[tuple[int, int]]) -> None:
    left = words.from_python(np, [a for a, _ in pairs])
    right = words.from_python(np, [b for _, b in pairs])
    for function, exact in (
        (words.add, [a + b for a, b in pairs]),
        (words.subtract, [a - b for a, b in pairs]),
        (words.multiply, [a * b for a, b in pairs]),
    ):
        result, overflow = function(np, left, right)
        fits = [LOW <= value <= HIGH for value in exact]
        for value, got, flagged, fit in zip(
            exact, words.to_python(result), overflow.tolist(), fits, strict=True
        ):
            assert flagged is not fit
            if not flagged:
                assert got == value
    assert words.less(np, left, right).tolist() == [a < b for a, b in pairs]
    assert words.equal(left, right).tolist() == [a == b for a, b in pairs]


@given(st.lists(st.tuples(wide_ints, wide_ints.filter(bool)), min_size=1, max_size=20))
def test_divide_truncates(pairs: list[tuple[int, int]]) -> None:
    pairs = [(a, b) for a, b in pairs if (a, b) != (LOW, -1)] or [(7, -2)]
    left = words.from_python(np, [a for a, _ in pairs])
    right = words.from_python(np, [b for _, b in pairs])
    quotient, rest = words.divide(np, left, right)
    signs = [1 if (a < 0) == (b < 0) else -1 for a, b in pairs]
    expected = [sign * (abs(a) // abs(b)) for sign, (a, b) in zip(signs, pairs, strict=True)]
    assert words.to_python(quotient) == expected
    assert words.to_python(rest) == [a - q * b for q, (a, b) in zip(expected, pairs, strict=True)]


@given(st.lists(st.integers(-(10**37), 10**37), min_size=1, max_size=20), st.integers(1, 37))
def test_scale_down_rounds_half_away(values: list[int], digits: int) -> None:
    got = words.to_python(words.scale_down(np, words.from_python(np, values), digits))
    unit = 10**digits
    assert got == [(1 if v >= 0 else -1) * ((abs(v) + unit // 2) // unit) for v in values]


@given(st.lists(wide_ints, min_size=1, max_size=20))
def test_round_trips(values: list[int]) -> None:
    wide = words.from_python(np, values)
    assert words.to_python(wide) == values
    assert words.minimum_maximum(np, wide) == (min(values), max(values))
    assert words.fits_int64(wide).tolist() == [-(2**63) <= v < 2**63 for v in values]
    np.testing.assert_allclose(words.to_float64(np, wide), [float(v) for v in values], rtol=1e-15)


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1)), min_size=1))
def test_multiply_int64_is_exact(pairs: list[tuple[int, int]]) -> None:
    left = np.array([a for a, _ in pairs], np.int64)
    right = np.array([b for _, b in pairs], np.int64)
    assert words.to_python(words.multiply_int64(np, left, right)) == [a * b for a, b in pairs]
