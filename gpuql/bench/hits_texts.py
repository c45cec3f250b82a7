"""Texts of the table ``hits``: each is a function of a number, so that equal numbers have equal texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gpuql.io.write_arrays import Texts

# Half of the syllables are Cyrillic: the characters of many pages take two bytes.
_LATIN = (
    "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so",
    "tu", "va", "we", "xi", "yo", "zu",
)  # fmt: skip
_CYRILLIC = (
    "ба", "ве", "ги", "до", "жу", "за", "ки", "лу", "мо", "не", "па", "ре", "си", "ту",  # noqa: RUF001
    "фо", "ха", "че", "шу", "эм", "ял",  # noqa: RUF001
)  # fmt: skip
_SECTIONS = (
    "catalog", "news", "forum", "video", "photo", "maps", "jobs", "games", "auto", "music", "mail", "weather", "tv",
    "shop", "board",
)  # fmt: skip
_ENGINES = ("www.google.ru", "yandex.ru", "go.mail.ru", "www.bing.com", "nova.rambler.ru")
#: One text in so many is about the engine whose name the queries look for.
_GOOGLE_TEXT_EVERY = 701


def mix(values: np.ndarray[Any, Any], salt: int) -> np.ndarray[Any, Any]:
    """Well-mixed uint64 of integers: the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    words = values.astype(np.uint64) + np.uint64((salt * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _mix_one(value: int, salt: int) -> int:
    """As :func:`mix`, of one Python integer."""
    mask = 0xFFFFFFFFFFFFFFFF
    word = (value + salt * 0x9E3779B97F4A7C15) & mask
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & mask
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
    return word ^ (word >> 31)


def texts_of(numbers: np.ndarray[Any, Any], text: Callable[[int], str]) -> Texts:
    """``text`` of each number, called once for each different one."""
    different, codes = np.unique(numbers, return_inverse=True)
    return Texts(codes.reshape(-1), [text(number) for number in different.tolist()])


def choice(numbers: np.ndarray[Any, Any], entries: list[str]) -> Texts:
    """An entry for each number."""
    return Texts((numbers % len(entries)).astype(np.int32), entries)


def _words(seed: int, count: int) -> list[str]:
    syllables = _CYRILLIC if seed & 1 else _LATIN
    word = seed >> 1
    words = []
    for _ in range(count):
        first, second, third = word % 20, word // 20 % 20, word // 400 % 3
        words.append(syllables[first] + syllables[second] + ("" if third else syllables[(first + 7) % 20]))
        word //= 1200
    return words


def phrase(number: int) -> str:
    """What somebody searched for; nothing for 0."""
    if number == 0:
        return ""
    seed = _mix_one(number, 11)
    return " ".join(_words(seed >> 3, 1 + seed % 5)) + (f" {number % 1000}" if seed & 0x300 == 0 else "")


def host(counter: int) -> str:
    """Name of the site that has a counter."""
    seed = _mix_one(counter, 12)
    return ("www." if seed & 0x10 else "") + "".join(_words((seed >> 8) & ~1, 2)) + (".ru", ".com")[seed & 1]


def url(number: int) -> str:
    """Address of a page: the counter of its site in the upper bits, the page in the lower 32."""
    counter, page = number >> 32, number & 0xFFFFFFFF
    seed = _mix_one(number, 13)
    section = _SECTIONS[seed % len(_SECTIONS)]
    if seed // 16 % _GOOGLE_TEXT_EVERY == 0:
        return f"http://{host(counter)}/{section}/google-{page}.html"
    if seed & 0x7000 == 0:
        return f"http://{host(counter)}/"
    tail = f"&sort={seed >> 40 & 7}&hash={seed >> 20:x}" if seed & 0x8000 else ""
    return f"http{'s' if seed & 0x10000 else ''}://{host(counter)}/{section}/{seed >> 55}/index.php?id={page}{tail}"


def title(number: int) -> str:
    """Title of the page of :func:`url`; some pages have none."""
    seed = _mix_one(number, 14)
    if seed % 8 == 0:
        return ""
    words = " ".join(_words(seed >> 5, 2 + seed % 4))
    about = " Google" if seed // 16 % _GOOGLE_TEXT_EVERY < 4 else ""
    return f"{words}{about} - {host(number >> 32)}"


def search_address(number: int) -> str:
    """Address of a result page: the engine in the upper bits, the number of the phrase in the lower 32."""
    return f"http://{_ENGINES[(number >> 32) % len(_ENGINES)]}/search?text={phrase(number & 0xFFFFFFFF)}"


def phone_model(number: int) -> str:
    """Model of a mobile phone; nothing for 0."""
    return "" if number == 0 else f"{_LATIN[number % 20].capitalize()}Phone {number // 20 + 1}"
