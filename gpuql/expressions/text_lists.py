"""Functions between texts and lists of texts, and subscripts of text."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from gpuql.columnar.column import Column
from gpuql.columnar.construct import column_to_python, strings_from_python
from gpuql.columnar.nested import lists_column, read_lists
from gpuql.columnar.strings import string_array
from gpuql.expressions.list_rows import on_rows, valid_rows, validity_of
from gpuql.expressions.lists import slice_bounds
from gpuql_planner.statement_errors import InvalidRegularExpression
from gpuql_planner.types import DataType


def _split(text: str, separator: str | None) -> list[str]:
    if separator is None:
        return [text]
    if not separator:
        return list(text) or [""]
    return text.split(separator)


@lru_cache(maxsize=256)
def _compiled(pattern: str, options: str) -> re.Pattern[str]:
    """A pattern with DuckDB's option letters that both RE2 and Python's own expressions understand."""
    from gpuql.columnar import arrow_regex

    with_options = arrow_regex.regex_with_options(pattern, options)
    arrow_regex.matches(string_array([b""]), with_options, whole=False)  # raises what RE2 refuses
    try:
        return re.compile(with_options)
    except re.error as error:
        raise InvalidRegularExpression(f"regular expression is not valid: {error}") from error


def _regex_split(text: str, pattern: str | None, options: str | None = "") -> list[str]:
    if pattern is None:
        return [text]
    regex = _compiled(pattern, options or "")
    if not pattern:
        return list(text) or [""]
    parts, start = [], 0
    for match in regex.finditer(text):
        if match.end() > match.start():
            parts.append(text[start : match.start()])
            start = match.end()
    return [*parts, text[start:]]


def _extract_all(text: str, pattern: str, group: int, options: str = "") -> list[str | None]:
    regex = _compiled(pattern, options)
    if not 0 <= group <= regex.groups:
        raise InvalidRegularExpression(f"regular expression has no group: {group}")
    return [match.group(group) for match in regex.finditer(text)]


def _to_lists(function: Callable[..., list[Any]], *, strict: bool) -> Callable[..., Column]:
    """Lists of the texts that a function gives for each row; NULL for NULL text, or any NULL argument if strict."""

    def apply(dtype: DataType, rows: list[Column], context: Any) -> Column:
        known: dict[Any, list[Any]] = {}
        items: list[Any] = []
        lengths = np.zeros(len(rows[0]), np.int64)
        valid = np.ones(len(rows[0]), np.bool_)
        for row, arguments in enumerate(zip(*map(column_to_python, rows), strict=True)):
            if arguments[0] is None or (strict and None in arguments):
                valid[row] = False
                continue
            found = known.get(arguments)
            if found is None:
                found = known[arguments] = function(*arguments)
            items += found
            lengths[row] = len(found)
        return lists_column(dtype, lengths, strings_from_python(items), valid)

    return on_rows(apply)


def _to_string(dtype: DataType, rows: list[Column], context: Any) -> Column:
    lists = read_lists(rows[0])
    texts, offsets = column_to_python(lists.elements), lists.offsets.tolist()
    good = valid_rows(rows[0]).tolist()
    joined: list[str | None] = []
    for row, separator in enumerate(column_to_python(rows[1])):
        own = texts[offsets[row] : offsets[row + 1]]
        present = [text for text in own if text is not None]
        # Of NULLs alone nothing is known; an empty list is an empty text.
        known = good[row] and (bool(present) or not own)
        joined.append(("," if separator is None else separator).join(present) if known else None)
    return strings_from_python(joined)


def _text_slice(dtype: DataType, rows: list[Column], context: Any) -> Column:
    texts = column_to_python(rows[0])
    valid = validity_of(rows, len(texts))
    good = [text is not None for text in texts] if valid is None else valid.tolist()
    lengths = np.array([0 if text is None else len(text) for text in texts], np.int64)
    begin, end = slice_bounds(lengths, rows[1].values.astype(np.int64), rows[2].values.astype(np.int64))
    bounds = zip(begin.tolist(), end.tolist(), strict=True)
    return strings_from_python(
        [text[low:high] if ok else None for text, ok, (low, high) in zip(texts, good, bounds, strict=True)]
    )


def _text_element(dtype: DataType, rows: list[Column], context: Any) -> Column:
    """The letter at a place; an empty text beyond the ends."""
    found: list[str | None] = []
    for text, index in zip(column_to_python(rows[0]), column_to_python(rows[1]), strict=True):
        if text is None or index is None:
            found.append(None)
            continue
        place = index - 1 if index > 0 else index + len(text)
        found.append(text[place] if index and 0 <= place < len(text) else "")
    return strings_from_python(found)


FUNCTIONS = {
    "text_slice": on_rows(_text_slice),
    "text_element": on_rows(_text_element),
    "regexp_extract_all": _to_lists(_extract_all, strict=True),
}

#: Functions that see NULL arguments.
NULL_AWARE = {
    "array_to_string": on_rows(_to_string),
    "string_split": _to_lists(_split, strict=False),
    "regexp_split_to_array": _to_lists(_regex_split, strict=False),
}
