"""Regular expressions in RE2's syntax over the strings of a :class:`StringArray`, by Arrow's kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuql.columnar.arrow_strings import string_array_from_arrow, string_array_to_arrow
from gpuql.columnar.column import Array, StringArray
from gpuql.columnar.strings import on_host
from gpuql_planner.statement_errors import InvalidRegularExpression
from gpuql_planner.types import VARCHAR

_MAX_GROUP = 9


@lru_cache(maxsize=256)
def regex_with_options(pattern: str, options: str = "") -> str:
    """The pattern under DuckDB's option letters (c, i, l, m, n, p, s, g); DataError for another letter."""
    folds = literal = dot_matches_newline = False
    for option in options:
        match option:
            case "i":
                folds = True
            case "c":
                folds = False
            case "l":
                literal = True
            case "s":
                dot_matches_newline = True
            case "m" | "n" | "p":
                dot_matches_newline = False
            case "g":
                continue
            case _:
                raise InvalidRegularExpression(f"unknown option of a regular expression: {option}")
    if literal:
        pattern = quoted(pattern)
    flags = ("i" if folds else "") + ("s" if dot_matches_newline else "")
    return f"(?{flags}:{pattern})" if flags else pattern


def quoted(text: str) -> str:
    """A pattern that matches just this text."""
    return "".join(
        letter if letter.isalnum() or letter == "_" or ord(letter) >= 128 else f"\\x{{{ord(letter):x}}}"
        for letter in text
    )


def matches(strings: StringArray, pattern: str, *, whole: bool) -> Array:
    """Whether each string contains, or as a ``whole`` is, a match. Result: bool (n,), NumPy."""
    anchored = rf"\A(?:{pattern})\z" if whole else pattern
    found = _run(lambda array: pc.match_substring_regex(array, anchored), strings, pattern)
    return np.asarray(found.to_numpy(zero_copy_only=False), bool)


def replaced(strings: StringArray, pattern: str, replacement: str, *, every: bool) -> StringArray:
    r"""Strings with the first match, or every one, replaced; ``\0`` to ``\9`` in the replacement are its groups."""
    limit = None if every else 1
    found = _run(
        lambda array: pc.replace_substring_regex(array, pattern, replacement, max_replacements=limit),
        strings,
        pattern,
    )
    return string_array_from_arrow(found)


def extracted(strings: StringArray, pattern: str, group: int) -> StringArray:
    """Group of the first match of each string, 0 for the match itself; empty where there is none."""
    named, num_groups = _with_named_groups(pattern)
    if not 0 <= group <= _MAX_GROUP:
        raise InvalidRegularExpression(
            f"group of a regular expression must be between 0 and {_MAX_GROUP}: {group}"
        )
    if group > num_groups:
        named, group = "(?P<g0>)", 0
    found = _run(lambda array: pc.extract_regex(array, named), strings, pattern)
    field = pc.struct_field(found, [f"g{group}"])
    filled = pc.if_else(pc.is_valid(found), field, pa.scalar("", field.type))
    return string_array_from_arrow(pc.fill_null(filled, ""))


def _run(function: Callable[[Any], Any], strings: StringArray, pattern: str) -> Any:
    host = StringArray(on_host(strings.offsets), on_host(strings.data))
    try:
        result = function(string_array_to_arrow(host, VARCHAR))
    except pa.lib.ArrowInvalid as error:
        reason = str(error).removeprefix("Invalid regular expression: ")
        raise InvalidRegularExpression(f"regular expression is not valid: {pattern!r}: {reason}") from None
    return result.combine_chunks() if isinstance(result, pa.ChunkedArray) else result


@lru_cache(maxsize=256)
def _with_named_groups(pattern: str) -> tuple[str, int]:
    """The pattern as group ``g0``, with its groups named ``g1``, ``g2`` and so on; and how many it has."""
    pieces: list[str] = []
    place = count = 0
    while place < len(pattern):
        letter = pattern[place]
        if pattern.startswith("\\Q", place):
            end = pattern.find("\\E", place)
            end = len(pattern) if end < 0 else end + 2
            pieces.append(pattern[place:end])
        elif letter == "\\":
            end = place + 2
            pieces.append(pattern[place:end])
        elif letter == "[":
            end = _end_of_class(pattern, place)
            pieces.append(pattern[place:end])
        elif letter == "(":
            end, is_group = _opening(pattern, place)
            count += is_group
            pieces.append(f"(?P<g{count}>" if is_group else pattern[place:end])
        else:
            end = place + 1
            pieces.append(letter)
        place = end
    return f"(?P<g0>{''.join(pieces)})", count


def _opening(pattern: str, place: int) -> tuple[int, bool]:
    """Where what opens a group ends, and whether the group captures."""
    if not pattern.startswith("(?", place):
        return place + 1, True
    for prefix in ("(?P<", "(?<"):
        if pattern.startswith(prefix, place):
            end = pattern.find(">", place)
            return (len(pattern) if end < 0 else end + 1), True
    return place + 2, False


def _end_of_class(pattern: str, place: int) -> int:
    """Position behind a character class such as ``[^]a-z[:digit:]]``."""
    place += 1
    if pattern.startswith("^", place):
        place += 1
    if pattern.startswith("]", place):
        place += 1
    while place < len(pattern):
        if pattern.startswith("[:", place):
            end = pattern.find(":]", place + 2)
            if end >= 0:
                place = end + 2
                continue
        if pattern[place] == "]":
            return place + 1
        place += 2 if pattern[place] == "\\" else 1
    return len(pattern)
