"""String kernels: the compiled loops must agree with Python's own strings, which the small path uses."""

from __future__ import annotations

import itertools
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpuql_kernels.group_by import cpu as group_by_cpu
from gpuql_kernels.string_match import cpu, cpu_loops
from gpuql_kernels.string_match.contract import parse_like

TEXTS = [
    "",
    "a",
    "abc",
    "abcabc",
    "Héllo wörld",
    "ñ",
    "%_",
    "aab",
    "b" * 20,
    "日本語テキスト",
    "abc\0",
    "special req",
]


def packed(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *(len(text) for text in encoded)]).astype(np.int64)
    return offsets, np.frombuffer(b"".join(encoded), np.uint8)


@pytest.fixture(params=[1, 60], ids=["python", "compiled"])
def texts(request: pytest.FixtureRequest) -> list[str]:
    return TEXTS * request.param


PATTERNS = [
    "",
    "%",
    "a",
    "a%",
    "%c",
    "%b%",
    "a_c",
    "_",
    "__%",
    "%b%c",
    "H_llo%",
    "%ö%",
    "日%",
    "%_",
    "a%a%b%c",
    "%%a",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_like(texts: list[str], pattern: str) -> None:
    offsets, data = packed(texts)
    parsed = parse_like(pattern, None)
    assert parsed is not None
    expression = "".join({"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in pattern)
    expected = [re.fullmatch(expression, text, re.DOTALL) is not None for text in texts]
    assert cpu.like(offsets, data, None, parsed).tolist() == expected
    rows = np.arange(len(texts))[::-1].copy()
    assert cpu.like(offsets, data, rows, parsed).tolist() == expected[::-1]


def test_like_escape() -> None:
    assert parse_like("a\\", "\\") is None
    parsed = parse_like("a$%%", "$")
    assert parsed is not None
    assert parsed.segments == (b"a%", b"")


def test_search_and_compare(texts: list[str]) -> None:
    offsets, data = packed(texts)
    encoded = [text.encode() for text in texts]
    for literal in (b"", b"b", b"abc", "ö".encode(), b"zzz"):
        assert cpu.find(offsets, data, None, literal).tolist() == [text.find(literal) for text in encoded]
        order = [(text > literal) - (text < literal) for text in encoded]
        assert cpu.compare_literal(offsets, data, None, literal).tolist() == order
    rows, other = np.arange(len(texts)), np.roll(np.arange(len(texts)), 1)
    pairs = [(encoded[a] > encoded[b]) - (encoded[a] < encoded[b]) for a, b in zip(rows, other, strict=True)]
    assert cpu.compare(offsets, data, rows, offsets, data, other).tolist() == pairs


@pytest.mark.parametrize("start", [-20, -3, -1, 0, 1, 2, 5, 30])
@pytest.mark.parametrize("length", [-2, 0, 1, 3, 2**40])
def test_character_range(texts: list[str], start: int, length: int) -> None:
    offsets, data = packed(texts)
    starts, ends = cpu.character_range(offsets, data, None, start, length)
    cut_offsets, cut = cpu.gather(data, starts, ends)
    got = [bytes(cut[a:b]).decode() for a, b in itertools.pairwise(cut_offsets)]
    expected = []
    for text in texts:
        low, high = cpu.substring_positions(len(text), start, length)
        expected.append(text[low:high])
    assert got == expected
    assert cpu.character_count(offsets, data, None).tolist() == [len(text) for text in texts]


def test_factorize_and_lookup(texts: list[str]) -> None:
    offsets, data = packed(texts)
    codes, first = cpu.factorize(offsets, data, None)
    assert [texts[row] for row in first] == list(dict.fromkeys(texts))
    assert [texts[first[code]] for code in codes] == texts
    other_offsets, other = packed(["abc", "nope", ""])
    assert cpu.lookup(other_offsets, other, offsets, data, None).tolist() == [
        {"abc": 0, "": 2}.get(text, -1) for text in texts
    ]


@pytest.mark.parametrize("rows", [None, [0, 1, 2, 3], [3, 1, 1, 0], [2], []])
def test_the_empty_string_is_before_all_others(rows: list[int] | None) -> None:
    offsets, data = packed(["", "a", "", "\0"])
    expected = [[0, 1, 0, 1][row] for row in (range(4) if rows is None else rows)]
    found = cpu.compare_literal(offsets, data, None if rows is None else np.array(rows, np.int32), b"")
    assert found.dtype == np.int8
    assert found.tolist() == expected


def test_prefix_word_orders_like_bytes(texts: list[str]) -> None:
    offsets, data = packed(texts)
    for skip in (0, 8, 40):
        parts = [text.encode()[skip : skip + 8].ljust(8, b"\0") for text in texts]
        assert cpu.prefix_word(offsets, data, None, skip).tolist() == [
            int.from_bytes(p, "big") for p in parts
        ]


@pytest.mark.parametrize(
    "pattern", ["%special%requests%", "%special%", "%ze%", "%q%", "%special%special%", "%al%%s%"]
)
@pytest.mark.parametrize("selection", ["all", "run", "shuffled"])
def test_like_over_many_strings(pattern: str, selection: str) -> None:
    """Long data, where occurrences are rare enough that bytes of all rows are searched at once."""
    generator = np.random.default_rng(11)
    vocabulary = [
        "special",
        "requests",
        "quick",
        "",
        "deposits are",
        "zebra",
        "sp",
        "ecial",
        "al",
        "idle foxes " * 9,
    ]
    weights = np.array([2, 2, 1, 9, 30, 1, 5, 5, 9, 20], float)
    chosen = generator.choice(vocabulary, (4000, 3), p=weights / weights.sum())
    many = [a + b + " " + c if len(a) % 2 else a + b for a, b, c in chosen.tolist()]
    offsets, data = packed(many)
    rows = {
        "all": None,
        "run": np.arange(100, 3500, dtype=np.int16),
        "shuffled": generator.permutation(4000)[:3000].astype(np.int32),
    }[selection]
    parsed = parse_like(pattern, None)
    assert parsed is not None
    expression = re.compile(".*".join(re.escape(part) for part in pattern.split("%")), re.DOTALL)
    expected = [
        expression.fullmatch(many[row]) is not None
        for row in (range(4000) if rows is None else rows.tolist())
    ]
    assert cpu.like(offsets, data, rows, parsed).tolist() == expected
    assert any(expected)
    assert not all(expected)


def test_factorize_short_strings() -> None:
    """Up to seven bytes a string is one word with its length, so that padding is told from zero bytes."""
    texts = ["a", "a\0", "a\0\0", "", "\0", "13", "abcdefg", "abcdef\0", "ÿ", "\x07"] * 100
    offsets, data = packed(texts)
    codes, first = cpu.factorize(offsets, data, None)
    numbers: dict[str, int] = {}
    assert codes.tolist() == [numbers.setdefault(text, len(numbers)) for text in texts]
    assert first.tolist() == [texts.index(text) for text in numbers]


@pytest.mark.parametrize("low", [0, 700])
def test_strings_that_stand_for_many_rows(low: int) -> None:
    generator = np.random.default_rng(6)
    texts = [f"http://example.org/{number % 900}/google-{number % 7}.html" for number in range(2500)]
    offsets, data = packed(texts)
    rows = generator.integers(low, len(texts), 9000).astype(np.int32)
    chosen = [texts[row] for row in rows.tolist()]
    codes, first = cpu.factorize(offsets, data, rows)
    numbers: dict[str, int] = {}
    assert codes.tolist() == [numbers.setdefault(text, len(numbers)) for text in chosen]
    assert first.tolist() == [chosen.index(text) for text in numbers]
    parsed = parse_like("%gle-3%", None)
    assert parsed is not None
    assert cpu.like(offsets, data, rows, parsed).tolist() == ["gle-3" in text for text in chosen]


@pytest.mark.parametrize("hash_bits", [64, 16, 8])
@pytest.mark.parametrize("selection", ["all", "int32", "int64"])
def test_many_distinct_strings_are_numbered_in_partitions(
    selection: str, hash_bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where different strings have the same hash, which only another way to number them can tell apart."""
    monkeypatch.setattr(group_by_cpu, "PARTITIONED_GROUP_ROWS", 3000)
    monkeypatch.setattr(group_by_cpu, "GROUP_TABLE_KEYS", 300)
    compared: list[bool] = []
    loops = SimpleNamespace(**vars(cpu_loops))
    loops.hash_by_words = lambda *strings: cpu_loops.hash_by_words(*strings) >> np.uint64(64 - hash_bits)

    def noting(compare: Any) -> Any:
        return lambda *arguments: compared.append(compare(*arguments)) or compared[-1]

    # Eight bits are few enough different hashes for one table.
    name = "equal_first" if hash_bits == 8 else "equal_representatives"
    setattr(loops, name, noting(getattr(cpu_loops, name)))
    monkeypatch.setattr(cpu, "_loops", lambda: loops)
    generator = np.random.default_rng(5)
    texts = ["", "\0", "\0\0", "eight by", "eight by\0", "sixteen bytes ok", "sixteen bytes oK"]
    texts += [f"{number:0{number % 20}d}é" for number in generator.integers(0, 3000, 6000).tolist()]
    offsets, data = packed(texts)
    rows = None
    if selection != "all":
        rows = generator.integers(0, len(texts), 9000).astype(selection)
        texts = [texts[row] for row in rows.tolist()]
    codes, first = cpu.factorize(offsets, data, rows)
    numbers: dict[str, int] = {}
    assert codes.tolist() == [numbers.setdefault(text, len(numbers)) for text in texts]
    assert [texts[row] for row in first.tolist()] == list(numbers)
    assert compared == [hash_bits == 64]


@pytest.mark.parametrize(
    "pattern", ["%google%", "%gole%", "%gog%", "%el%", "%g%", "%eeeee%goo%", "%google%google%"]
)
@pytest.mark.parametrize("selection", ["all", "run", "tail"])
def test_like_where_pairs_of_bytes_are_frequent(pattern: str, selection: str) -> None:
    """Four bytes together are rare where no two of them are."""
    generator = np.random.default_rng(12)
    many = ["".join(row) for row in generator.choice(list("gole."), (6000, 30)).tolist()]
    many = [text[: len(text) * (index % 7) // 6] for index, text in enumerate(many)]
    for index in range(3, 6000, 500):
        many[index] = many[index - 1] + "google" + many[index + 1] + "google" * (index % 3)
    offsets, data = packed(many)
    rows = {
        "all": None,
        "run": np.arange(100, 5500, dtype=np.int16),
        "tail": np.arange(1500, 6000, dtype=np.int32),
    }[selection]
    parsed = parse_like(pattern, None)
    assert parsed is not None
    expression = re.compile(".*".join(re.escape(part) for part in pattern.split("%")), re.DOTALL)
    chosen = many if rows is None else [many[row] for row in rows.tolist()]
    expected = [expression.fullmatch(text) is not None for text in chosen]
    assert cpu.like(offsets, data, rows, parsed).tolist() == expected
    assert any(expected)
