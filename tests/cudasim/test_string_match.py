from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpuql_kernels.string_match import cpu, gpu, gpu_kernels
from gpuql_kernels.string_match.contract import parse_like

Array = Any
Copy = Callable[..., Array]
PIECES = ["", "a", "b", "ab", "aab", "special", "requests", "é", "日本", "🙂", "%", "_", "a\0", "\x7f", " "]


@pytest.fixture(params=[0, 1, 2, 33, 257, 600])
def size(request: pytest.FixtureRequest, simulated: bool) -> int:
    # 600 strings take the compiled loops of the CPU; a GPU gets many, to meet in atomics.
    return int(request.param) if simulated or request.param < 600 else 20_000


def strings_of(size: int, seed: int = 0) -> tuple[Array, Array]:
    random = np.random.default_rng(size + seed)
    texts = ["".join(random.choice(PIECES, random.integers(0, 7))).encode() for _ in range(size)]
    offsets = np.concatenate(([0], np.cumsum([len(text) for text in texts]))).astype(np.int64)
    return offsets, np.frombuffer(b"".join(texts), np.uint8).copy()


def rows_of(size: int) -> list[Array | None]:
    if size == 0:
        return [None, np.zeros(0, np.int64)]
    random = np.random.default_rng(size)
    return [None, random.integers(0, size, max(1, size - 1)), random.permutation(size).astype(np.int32)]


def check(found: Any, expected: Any, get: Copy) -> None:
    if isinstance(expected, tuple):
        for one, other in zip(found, expected, strict=True):
            check(one, other, get)
        return
    assert get(found).dtype == expected.dtype
    np.testing.assert_array_equal(get(found), expected)


def check_all(name: str, size: int, put: Copy, get: Copy, *arguments: Any) -> None:
    offsets, data = strings_of(size)
    for rows in rows_of(size):
        found = getattr(gpu, name)(put(offsets), put(data), put(rows), *arguments)
        check(found, getattr(cpu, name)(offsets, data, rows, *arguments), get)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "%",
        "a",
        "a%",
        "%b",
        "%a%b%",
        "%special%requests%",
        "a%a",
        "_",
        "%_",
        "_%",
        "a_%b",
        "%é_",
        "%_a%_b%",
    ],
)
def test_like(size: int, pattern: str, put: Copy, get: Copy) -> None:
    check_all("like", size, put, get, parse_like(pattern, None))


@pytest.mark.parametrize("literal", ["", "a", "ab", "special", "日", "special requests and more"])
def test_literals(size: int, literal: str, put: Copy, get: Copy) -> None:
    check_all("find", size, put, get, literal.encode())
    check_all("compare_literal", size, put, get, literal.encode())


def test_character_count(size: int, put: Copy, get: Copy) -> None:
    check_all("character_count", size, put, get)


@pytest.mark.parametrize("start", [-(2**62), -3, -1, 0, 1, 2, 2**62])
@pytest.mark.parametrize("length", [-(2**62), -2, 0, 1, 3, 2**62])
def test_character_range(start: int, length: int, put: Copy, get: Copy) -> None:
    for size in (0, 5, 40):
        check_all("character_range", size, put, get, start, length)


@pytest.mark.parametrize("skip", [0, 1, 8, 1000])
def test_prefix_word(size: int, skip: int, put: Copy, get: Copy) -> None:
    check_all("prefix_word", size, put, get, skip)


def test_factorize(size: int, put: Copy, get: Copy) -> None:
    check_all("factorize", size, put, get)


def test_compare(size: int, put: Copy, get: Copy) -> None:
    (offsets, data), (other_offsets, other_data) = strings_of(size), strings_of(size, seed=1)
    for rows in rows_of(size)[1:]:
        arguments = offsets, data, rows, other_offsets, other_data, rows[::-1].copy()
        check(gpu.compare(*(put(argument) for argument in arguments)), cpu.compare(*arguments), get)
        arguments = offsets, data, rows, offsets, data, rows
        check(gpu.compare(*(put(argument) for argument in arguments)), cpu.compare(*arguments), get)


def test_gather(size: int, put: Copy, get: Copy) -> None:
    offsets, data = strings_of(size)
    order = np.random.default_rng(size).permutation(size)
    starts, ends = offsets[:-1][order], offsets[1:][order]
    check(gpu.gather(put(data), put(starts), put(ends)), cpu.gather(data, starts, ends), get)
    # Empty ranges anywhere, first and last.
    ends = np.where(order % 3 == 0, starts, ends)
    check(gpu.gather(put(data), put(starts), put(ends)), cpu.gather(data, starts, ends), get)
    check(gpu.gather(put(data), put(starts), put(starts)), cpu.gather(data, starts, starts), get)


def test_lookup(size: int, put: Copy, get: Copy) -> None:
    offsets, data = strings_of(size)
    _, first = cpu.factorize(offsets, data, None)
    distinct = cpu.gather(data, offsets[first], offsets[first + 1])
    others = strings_of(size, seed=2)
    for rows in rows_of(size):
        arguments = *distinct, *others, rows
        check(gpu.lookup(*(put(argument) for argument in arguments)), cpu.lookup(*arguments), get)
    none = np.zeros(1, np.int64), np.zeros(0, np.uint8)
    found = gpu.lookup(*(put(array) for array in (*none, *others)), None)
    assert get(found).tolist() == [-1] * size


def test_equal_hashes_do_not_make_strings_equal(
    simulated: bool, put: Copy, get: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not simulated:
        pytest.skip("compiled kernels keep the hash that they were compiled with")
    monkeypatch.setattr(gpu_kernels, "_hash", lambda data, begin, end: np.uint64(2**64 - 1))
    check_all("factorize", 65, put, get)
    test_lookup(33, put, get)
