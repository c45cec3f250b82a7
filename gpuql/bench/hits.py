"""Rows of the table ``hits``, made with a seed: the shape and skew of a web log, and nobody's data.

Rows are in the order of the counter, then of time, as the service keeps them. Each column is a function of a few
draws: a counter and its page, a user, a search phrase, where the visitor came from. Shares are those that make such
a log what it is: most search phrases are empty, few counters, pages and users have most of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gpuql.bench.hits_schema import HITS_TYPES
from gpuql.bench.hits_texts import choice, mix, phone_model, phrase, search_address, texts_of, title, url
from gpuql.io.write_arrays import Texts, write_arrays

Array = np.ndarray[Any, Any]

_PART_ROWS = 122_880
_FIRST_DAY = 15_887  # 2013-07-01, in days since 1970
_DAYS = 31
_DAY_MICROSECONDS = 86_400_000_000

# Values that the queries look for.
_COUNTER = 62
_USER = 435090932899640449
_URL_HASH = 2868770270353813622
_REFERER_HASH = 3594120000172545465

#: Queries skip up to 10,000 groups of this counter's rows; with so many rows some groups are left after them.
_COUNTER_ROWS = 45_000
_COUNTER_SHARE = 0.0075
_COUNTERS = 6_500
_SCREENS = np.array([0, 320, 360, 768, 800, 1024, 1280, 1280, 1366, 1366, 1368, 1440, 1600, 1680, 1920, 1920])
#: Every so many rows one is of the user that a query looks for.
_USER_EVERY = 20_000


def write_hits(path: Path, num_rows: int, seed: int = 2013) -> None:
    """Write ``num_rows`` rows as Parquet, part by part."""
    write_arrays(str(path), HITS_TYPES, hits_parts(num_rows, seed))


def hits_parts(num_rows: int, seed: int = 2013) -> Iterator[dict[str, Array | Texts]]:
    """All columns of one part of the rows after the other."""
    counters, ends = _counters(num_rows)
    for number, start in enumerate(range(0, num_rows, _PART_ROWS)):
        rows = np.arange(start, min(start + _PART_ROWS, num_rows))
        run = np.searchsorted(ends, rows, side="right")
        first = np.where(run > 0, ends[run - 1], 0)
        place = (rows - first) / np.maximum(ends[run] - first, 1)
        generator = np.random.default_rng([seed, number])
        yield _Part(rows, counters[run], ends[run] - first, place, num_rows, generator).columns()


def _counters(num_rows: int) -> tuple[Array, Array]:
    """Numbers of all counters in rising order, and the row after the last one of each."""
    shares = 1 / np.arange(3, _COUNTERS + 3)
    numbers = 1 + np.unique(mix(np.arange(_COUNTERS + 500), 1) % np.uint64(250_000)).astype(np.int64)
    numbers = numbers[numbers != _COUNTER][: _COUNTERS - 1]
    shares = shares[np.argsort(mix(np.arange(len(numbers)), 2))]
    own = min(max(int(num_rows * _COUNTER_SHARE), _COUNTER_ROWS), num_rows)
    rows = np.floor(shares / shares.sum() * (num_rows - own)).astype(np.int64)
    rows[0] += num_rows - own - rows.sum()
    place = int(np.searchsorted(numbers, _COUNTER))
    return np.insert(numbers, place, _COUNTER), np.cumsum(np.insert(rows, place, own))


def _skewed(generator: np.random.Generator, size: int, domain: Array | int, power: float) -> Array:
    """Ranks below ``domain``, low ones more often the higher the power."""
    return np.floor(domain * generator.random(size) ** power).astype(np.int64)


def _share(generator: np.random.Generator, size: int, share: float) -> Array:
    return generator.random(size) < share


class _Part:
    """The draws of one part, and the columns that follow from them."""

    def __init__(
        self,
        rows: Array,
        counter: Array,
        counter_rows: Array,
        place: Array,
        num_rows: int,
        generator: np.random.Generator,
    ) -> None:
        size = len(rows)
        self.rows, self.counter, self.generator, self.size = rows, counter, generator, size
        self.own = counter == _COUNTER
        self.page = counter << 32 | _skewed(generator, size, np.maximum(counter_rows * 2 // 3, 1), 3.0)
        popular = self.own & _share(generator, size, 0.4)
        self.page[popular] = _COUNTER << 32
        user = _skewed(generator, size, max(num_rows // 3, 1), 2.0) + 1
        self.user = np.where(rows % _USER_EVERY == 777, 0, user)
        searched = _share(generator, size, 0.13)
        self.phrase = np.where(searched, 1 + _skewed(generator, size, max(num_rows // 10, 1), 2.5), 0)
        self.time = self._time(place)

    def _time(self, place: Array) -> Array:
        """Microseconds since 1970, whole seconds: days rise within a counter, times of a day come as they come."""
        day = np.minimum((place * _DAYS).astype(np.int64), _DAYS - 1)
        second = np.minimum(self.generator.normal(54_000, 18_000, self.size) % 86_400, 86_399).astype(
            np.int64
        )
        return (day + _FIRST_DAY) * _DAY_MICROSECONDS + second * 1_000_000

    def columns(self) -> dict[str, Array | Texts]:
        """Every column of the table; those that say nothing here are zero or empty, as most of theirs are."""
        zeros = np.zeros(self.size, np.int16)
        empty = Texts(zeros, [""])
        made = {**self._visit(), **self._source(), **self._user(), **self._page()}
        return {
            name: made.get(name, empty if kind == "VARCHAR" else zeros) for name, kind in HITS_TYPES.items()
        }

    def _below(self, bound: int) -> Array:
        return self.generator.integers(0, bound, self.size)

    def _visit(self) -> dict[str, Array | Texts]:
        # Sizes of windows vary on the counter whose queries group by them; elsewhere they are mostly those of screens.
        width = np.where(self.own, 300 + self._below(1600), _SCREENS[self._below(len(_SCREENS))])
        height = np.where(self.own, 200 + self._below(900), width * 5 // 8)
        measured = _share(self.generator, self.size, 0.05)
        return {
            "WatchID": (mix(self.rows, 3) >> np.uint64(1)).astype(np.int64),
            "GoodEvent": np.ones(self.size, np.int16),
            "EventTime": self.time,
            "EventDate": self.time // _DAY_MICROSECONDS,
            "ClientEventTime": self.time + _skewed(self.generator, self.size, 7200, 20.0) * 1_000_000,
            "LocalEventTime": self.time + 10_800_000_000,
            "IsRefresh": _share(self.generator, self.size, 0.1),
            "IsLink": _share(self.generator, self.size, 0.3),
            "IsDownload": _share(self.generator, self.size, 0.01),
            "IsNotBounce": _share(self.generator, self.size, 0.7),
            "DontCountHits": _share(self.generator, self.size, 0.05),
            "WindowClientWidth": width,
            "WindowClientHeight": height,
            "HID": self._below(1 << 30),
            "HitColor": choice(self._below(64) // 60, ["5", "7", "D"]),
            "HistoryLength": _skewed(self.generator, self.size, 100, 3.0),
            "ResponseStartTiming": np.where(measured, self._below(2000), 0),
            "ResponseEndTiming": np.where(measured, self._below(5000), 0),
            "SendTiming": np.where(measured, self._below(1000), 0),
            "ConnectTiming": np.where(measured, self._below(1000), 0),
        }

    def _source(self) -> dict[str, Array | Texts]:
        """Where the visitor came from: an engine, another page of the site, another site, or nowhere."""
        searched = self.phrase > 0
        engine = np.where(searched, 1 + self._below(100) // 45, 0)
        advertised = _share(self.generator, self.size, 0.006) & ~searched
        draw = self.generator.random(self.size)
        empty, internal = draw < 0.2, draw < 0.7
        own_page = self.counter << 32 | _skewed(self.generator, self.size, 20_000, 3.0)
        other = (1 + _skewed(self.generator, self.size, 40_000, 3.0)) << 32 | self._below(50)
        page = np.where(internal, own_page, other)
        from_engine = np.where(searched, (engine << 32) + self.phrase, 0)
        number = np.where(searched, -1 - from_engine, np.where(empty, 0, page))
        hashes = mix(number, 6).view(np.int64)
        hashes[self.own & _share(self.generator, self.size, 0.06)] = _REFERER_HASH
        kinds = np.array([-1, 0, 1, 1, 3, 4, 5, 6, 6, 7])
        return {
            "SearchPhrase": texts_of(self.phrase, phrase),
            "SearchEngineID": np.array([0, 2, 3, 13])[engine],
            "AdvEngineID": np.where(advertised, np.array([2, 2, 2, 27, 13, 45, 50, 54])[self._below(8)], 0),
            "Referer": texts_of(number, _referer),
            "RefererHash": hashes,
            "RefererRegionID": np.where(number == 0, 0, mix(number >> 32, 7) % np.uint64(9000)),
            "TraficSourceID": np.where(searched, 2, kinds[self._below(len(kinds))]),
            "IsArtifical": _share(self.generator, self.size, 0.001),
        }

    def _user(self) -> dict[str, Array | Texts]:
        """What a user brings along at each visit."""
        seeds = [mix(self.user, salt) for salt in range(20, 26)]
        region = np.floor(9_000 * (seeds[0] / 2.0**64) ** 4).astype(np.int64)
        screen = seeds[3] % np.uint64(len(_SCREENS))
        mobile = seeds[1] % np.uint64(20) == 0
        model = np.where(mobile, 1 + np.floor(165 * (seeds[2] / 2.0**64) ** 3).astype(np.int64), 0)
        identity = (seeds[3] >> np.uint64(1)).astype(np.int64)
        languages = ["ru", "ru", "ru", "en", "uk", "de", "tr", ""]
        return {
            "UserID": np.where(self.user == 0, _USER, identity),
            "ClientIP": (mix(self.user * 5 + self._below(5) // 3, 8) >> np.uint64(32))
            .astype(np.uint32)
            .view(np.int32),
            "RemoteIP": (seeds[4] >> np.uint64(32)).astype(np.uint32).view(np.int32),
            "IPNetworkID": region * 400 + 7,
            "RegionID": region + 1,
            "OS": seeds[1] % np.uint64(90),
            "UserAgent": seeds[2] % np.uint64(80),
            "UserAgentMajor": seeds[2] % np.uint64(30),
            "UserAgentMinor": choice(seeds[2] % np.uint64(7), ["0", "1", "2", "3", "4", "5", "D\u00d0"]),
            "ResolutionWidth": _SCREENS[screen],
            "ResolutionHeight": _SCREENS[screen] * 9 // 16,
            "ResolutionDepth": np.array([0, 24, 32, 32])[seeds[3] % np.uint64(4)],
            "FlashMajor": seeds[4] % np.uint64(12),
            "JavaEnable": seeds[5] % np.uint64(2),
            "CookieEnable": np.ones(self.size, np.int16),
            "JavascriptEnable": np.ones(self.size, np.int16),
            "IsMobile": mobile,
            "MobilePhone": np.where(mobile, model % 90 + 1, 0),
            "MobilePhoneModel": texts_of(np.where(seeds[2] % np.uint64(5) > 0, model, 0), phone_model),
            "Age": np.array([0, 0, 16, 22, 31, 39, 50, 60])[seeds[5] >> np.uint64(61)],
            "Sex": seeds[5] % np.uint64(3),
            "Income": seeds[5] % np.uint64(4),
            "Interests": np.where(mobile, seeds[5] % np.uint64(16_000), 0),
            "BrowserLanguage": choice(seeds[5] >> np.uint64(40) & np.uint64(7), languages),
            "BrowserCountry": choice(seeds[5] >> np.uint64(50) & np.uint64(7), languages),
            "ClientTimeZone": np.array([0, 120, 180, 180, 180, 240, 300, 420])[seeds[4] >> np.uint64(61)],
            "FUniqID": np.where(seeds[4] % np.uint64(3) == 0, identity, 0),
        }

    def _page(self) -> dict[str, Array | Texts]:
        hashes = mix(self.page, 9).view(np.int64)
        hashes[self.page == _COUNTER << 32] = _URL_HASH
        return {
            "CounterID": self.counter,
            "CounterClass": mix(self.counter, 10) % np.uint64(3),
            "URL": texts_of(self.page, url),
            "URLHash": hashes,
            "URLCategoryID": mix(self.page, 15) % np.uint64(50),
            "URLRegionID": mix(self.counter, 16) % np.uint64(9000),
            "Title": texts_of(self.page, title),
            "PageCharset": choice(
                mix(self.counter, 17) >> np.uint64(62), ["utf-8", "windows-1251", "utf-8", ""]
            ),
            "OriginalURL": texts_of(
                np.where(mix(self.page, 18) % np.uint64(40) == 0, self.page, 0), _original
            ),
            "CodeVersion": 291 + mix(self.counter, 19) % np.uint64(2000),
        }


def _referer(number: int) -> str:
    if number == 0:
        return ""
    return search_address(-1 - number) if number < 0 else url(number)


def _original(number: int) -> str:
    return "" if number == 0 else url(number)
