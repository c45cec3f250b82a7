"""Distances between texts, user-perceived characters, normal forms, paths, and GLOB."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from gpuql.columnar.column import Column
from gpuql.expressions.host_calls import host_function
from gpuql.expressions.vectors import EvaluationContext
from gpuql_kernels.string_match.cpu import substring_positions
from gpuql_planner.errors import DataError
from gpuql_planner.types import DataType

# --- distances, over bytes as in DuckDB ------------------------------------------------------------------------------


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _levenshtein(one: str, other: str) -> int:
    a, b = _raw(one), _raw(other)
    if len(a) < len(b):
        a, b = b, a
    above = list(range(len(b) + 1))
    for row, letter in enumerate(a, 1):
        current = [row]
        for column, against in enumerate(b, 1):
            current.append(min(above[column] + 1, current[-1] + 1, above[column - 1] + (letter != against)))
        above = current
    return above[-1]


def _damerau_levenshtein(one: str, other: str) -> int:
    """Edits with transpositions of letters between which other edits lie (Lowrance and Wagner, 1975)."""
    a, b = _raw(one), _raw(other)
    most = len(a) + len(b)
    table = [[most] * (len(b) + 2) for _ in range(len(a) + 2)]
    for row in range(len(a) + 1):
        table[row + 1][1] = row
    for column in range(len(b) + 1):
        table[1][column + 1] = column
    last_row: dict[int, int] = {}
    for row in range(1, len(a) + 1):
        last_column = 0
        for column in range(1, len(b) + 1):
            row_match, column_match = last_row.get(b[column - 1], 0), last_column
            cost = a[row - 1] != b[column - 1]
            if not cost:
                last_column = column
            table[row + 1][column + 1] = min(
                table[row][column] + cost,
                table[row + 1][column] + 1,
                table[row][column + 1] + 1,
                table[row_match][column_match] + (row - row_match - 1) + 1 + (column - column_match - 1),
            )
        last_row[a[row - 1]] = row
    return table[-1][-1]


def _hamming(one: str, other: str) -> int:
    a, b = _raw(one), _raw(other)
    if len(a) != len(b):
        raise DataError("texts must have the same length: hamming")
    if not a:
        raise DataError("texts must not be empty: hamming")
    return sum(x != y for x, y in zip(a, b, strict=True))


def _jaccard(one: str, other: str) -> float:
    a, b = set(_raw(one)), set(_raw(other))
    if not a or not b:
        raise DataError("texts must not be empty: jaccard")
    return len(a & b) / len(a | b)


def _jaro(one: str, other: str, least: float = 0.0) -> float:
    similarity = _jaro_of(_raw(one), _raw(other))
    return similarity if similarity >= least else 0.0


def _jaro_of(a: bytes, b: bytes) -> float:
    if not a or not b:
        return 0.0
    reach = max(max(len(a), len(b)) // 2 - 1, 0)
    used = [False] * len(b)
    matched: list[int] = []
    for place, letter in enumerate(a):
        for candidate in range(max(0, place - reach), min(len(b), place + reach + 1)):
            if not used[candidate] and b[candidate] == letter:
                used[candidate] = True
                matched.append(letter)
                break
    if not matched:
        return 0.0
    partners = [letter for letter, taken in zip(b, used, strict=True) if taken]
    moved = sum(x != y for x, y in zip(matched, partners, strict=True)) // 2
    count = len(matched)
    return (count / len(a) + count / len(b) + (count - moved) / count) / 3.0


_WINKLER_WEIGHT = 0.1
_WINKLER_PREFIX = 4
_WINKLER_FROM = 0.7


def _jaro_winkler(one: str, other: str, least: float = 0.0) -> float:
    a, b = _raw(one), _raw(other)
    similarity = _jaro_of(a, b)
    if similarity > _WINKLER_FROM:
        prefix = 0
        while prefix < min(len(a), len(b), _WINKLER_PREFIX) and a[prefix] == b[prefix]:
            prefix += 1
        similarity += prefix * _WINKLER_WEIGHT * (1.0 - similarity)
    return similarity if similarity >= least else 0.0


# --- graphemes -----------------------------------------------------------------------------------------------------

_JOINER = "\u200d"


def _is_regional(letter: str) -> bool:
    return "\U0001f1e6" <= letter <= "\U0001f1ff"


def _extends(letter: str) -> bool:
    """Belongs to the character before it: marks, joiners, variation selectors, skin tones."""
    return (
        letter in (_JOINER, "\u200c")
        or "\U0001f3fb" <= letter <= "\U0001f3ff"
        or "\U000e0020" <= letter <= "\U000e007f"
        or unicodedata.category(letter) in ("Mn", "Me", "Mc")
    )


def _hangul(letter: str) -> str:
    code = ord(letter)
    if 0x1100 <= code <= 0x115F or 0xA960 <= code <= 0xA97C:
        return "L"
    if 0x1160 <= code <= 0x11A7 or 0xD7B0 <= code <= 0xD7C6:
        return "V"
    if 0x11A8 <= code <= 0x11FF or 0xD7CB <= code <= 0xD7FB:
        return "T"
    if 0xAC00 <= code <= 0xD7A3:
        return "LV" if (code - 0xAC00) % 28 == 0 else "LVT"
    return ""


_HANGUL_JOINS = {
    "L": ("L", "V", "LV", "LVT"),
    "V": ("V", "T"),
    "LV": ("V", "T"),
    "T": ("T",),
    "LVT": ("T",),
}


def graphemes(text: str) -> list[str]:
    """User-perceived characters, by the rules of Unicode Annex 29 for extended grapheme clusters."""
    if text.isascii() and "\r" not in text:
        return list(text)
    clusters: list[str] = []
    flags = 0
    for letter in text:
        before = clusters[-1] if clusters else ""
        joins = False
        if before:
            last = before[-1]
            if last in "\r\n" or letter in "\r\n":
                joins = last == "\r" and letter == "\n"
            elif unicodedata.category(last) == "Cc" or unicodedata.category(letter) == "Cc":
                joins = False
            elif _extends(letter):
                joins = True
            elif last == _JOINER:
                joins = unicodedata.category(letter) == "So" and len(before) > 1
            elif _is_regional(last) and _is_regional(letter):
                joins = flags % 2 == 1
            else:
                joins = _hangul(letter) in _HANGUL_JOINS.get(_hangul(last), ())
        flags = flags + 1 if _is_regional(letter) else 0
        if joins:
            clusters[-1] += letter
        else:
            clusters.append(letter)
    return clusters


def _left_grapheme(text: str, count: int) -> str:
    return "".join(graphemes(text)[:count])


def _right_grapheme(text: str, count: int) -> str:
    return "".join(graphemes(text)[-count:]) if count else ""


def _substring_grapheme(text: str, start: int, length: int = 2**31 - 1) -> str:
    parts = graphemes(text)
    low, high = substring_positions(len(parts), start, length)
    return "".join(parts[low:high])


def _strip_accents(text: str) -> str:
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if unicodedata.category(c) != "Mn"))


def _regexp_escape(text: str) -> str:
    """Every byte but letters, digits, underscore and those above ASCII gets a backslash, as RE2 quotes."""
    return re.sub(r"[^A-Za-z0-9_\x80-\U0010ffff]", lambda found: _escaped(found[0]), text)


def _escaped(letter: str) -> str:
    return "\\x00" if letter == "\0" else "\\" + letter


def _overlay(text: str, new: str, start: int, length: int | None = None) -> str:
    skipped = len(new) if length is None else length
    kept = max(start - 1, 0)
    if skipped < 0:
        skipped = len(new)
    return text[:kept] + new + text[max(start - 1 + skipped, 0) :]


# --- paths -----------------------------------------------------------------------------------------------------------

_SEPARATORS = {"both_slash": "/\\", "forward_slash": "/", "backslash": "\\", "system": "/"}


def _separators(option: str) -> str:
    return _SEPARATORS.get(option.lower(), _SEPARATORS["both_slash"])


def _last_separator(path: str, separators: str) -> int:
    return max(path.rfind(separator) for separator in separators)


def _dirname(path: str, option: str = "both_slash") -> str:
    """The first part; ``/`` of an absolute path."""
    separators = _separators(option)
    found = [place for place in (path.find(separator) for separator in separators) if place >= 0]
    if not found:
        return ""
    return path[0] if min(found) == 0 else path[: min(found)]


def _dirpath(path: str, option: str = "both_slash") -> str:
    """All but the last part."""
    place = _last_separator(path, _separators(option))
    return path[: max(place, 0)]


def _filename(path: str, trim: bool | str = False, option: str = "both_slash") -> str:  # noqa: FBT001, FBT002
    """The last part; without its extension if ``trim`` is set."""
    separators = trim if isinstance(trim, str) else option
    name = path[_last_separator(path, _separators(separators)) + 1 :]
    if trim is True and (dot := name.rfind(".")) >= 0:
        return name[:dot]
    return name


def _path_join(first: str, *others: str) -> str:
    path = first
    for other in others:
        if other.startswith("/") and path:
            raise DataError(f"absolute path cannot be joined onto another: {other!r} onto {path!r}")
        if other:
            path = path + other if not path or path.endswith("/") else f"{path}/{other}"
    return path


# --- GLOB ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _glob_regex(text: str) -> re.Pattern[bytes] | None:
    """``*``, ``?``, ``[abc]``, ``[a-z]``, ``[!a]``, backslash quotes; of bytes. None if nothing matches."""
    pattern = _raw(text).decode("latin-1")
    parts: list[str] = []
    place = 0
    while place < len(pattern):
        letter = pattern[place]
        place += 1
        if letter == "*":
            parts.append(".*")
        elif letter == "?":
            parts.append(".")
        elif letter == "\\":
            if place == len(pattern):
                return None
            parts.append(re.escape(pattern[place]))
            place += 1
        elif letter == "[":
            end, negated = place, pattern[place : place + 1] == "!"
            place += negated
            end = pattern.find("]", place + 1)
            if end < 0:
                return None
            inside = pattern[place:end]
            ranges = re.sub(r"(.)-(.)|(.)", _class_part, inside, flags=re.DOTALL)
            parts.append(f"[{'^' if negated else ''}{ranges}]")
            place = end + 1
        else:
            parts.append(re.escape(letter))
    return re.compile("".join(parts).encode("latin-1"), re.DOTALL)


def _class_part(found: re.Match[str]) -> str:
    if found[3] is not None:
        return re.escape(found[3])
    low, high = sorted((found[1], found[2]))
    return f"{re.escape(low)}-{re.escape(high)}"


def _glob(text: str, pattern: str) -> bool:
    compiled = _glob_regex(pattern)
    return compiled is not None and compiled.fullmatch(_raw(text)) is not None


FUNCTIONS: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    "levenshtein": host_function(_levenshtein),
    "damerau_levenshtein": host_function(_damerau_levenshtein),
    "hamming": host_function(_hamming),
    "jaccard": host_function(_jaccard),
    "jaro_similarity": host_function(_jaro),
    "jaro_winkler_similarity": host_function(_jaro_winkler),
    "length_grapheme": host_function(lambda text: len(graphemes(text))),
    "left_grapheme": host_function(_left_grapheme),
    "right_grapheme": host_function(_right_grapheme),
    "substring_grapheme": host_function(_substring_grapheme),
    "strip_accents": host_function(_strip_accents),
    "nfc_normalize": host_function(lambda text: unicodedata.normalize("NFC", text)),
    "regexp_escape": host_function(_regexp_escape),
    "bit_length": host_function(lambda text: 8 * len(_raw(text))),
    "overlay": host_function(_overlay),
    "glob": host_function(_glob),
    "parse_dirname": host_function(_dirname),
    "parse_dirpath": host_function(_dirpath),
    "parse_filename": host_function(_filename),
    "path_join": host_function(_path_join),
}
