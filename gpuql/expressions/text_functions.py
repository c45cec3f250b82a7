"""String functions of one row in plain Python, run once per distinct combination of arguments.

They cover what needs Unicode tables or regular expressions, and every argument that is not a constant.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from gpuql.columnar.column import Array, Column, StringArray
from gpuql.columnar.strings import on_host
from gpuql.expressions.distinct_values import string_column, text_of_entries
from gpuql.expressions.string_entries import constant_bytes, map_strings, per_row
from gpuql.expressions.vectors import (
    EvaluationContext,
    constant_integer,
    is_constant,
    is_null_constant,
    joint_validity,
    make_column,
    match_length,
)
from gpuql_kernels.string_match.contract import ANY_CHARACTER, ANY_SEQUENCE, parse_like
from gpuql_kernels.string_match.cpu import substring_positions
from gpuql_planner.errors import DataError
from gpuql_planner.types import DataType, TypeId

FOLD_CASE = "lower"
_WHITESPACE = " "


def _simple_case(text: str, change: Callable[[str], str]) -> str:
    """Change case letter by letter: a letter whose other form has several letters stays, as in DuckDB."""
    changed = change(text)
    if len(changed) == len(text):
        return changed
    return "".join(new if len(new := change(letter)) == 1 else letter for letter in text)


def _upper(text: str) -> str:
    return _simple_case(text, str.upper)


def _lower(text: str) -> str:
    return _simple_case(text, str.lower)


def _substring(text: str, start: int, length: int = 2**40) -> str:
    low, high = substring_positions(len(text), start, length)
    return text[low:high]


def _left(text: str, count: int) -> str:
    return text[:count]


def _right(text: str, count: int) -> str:
    if count == 0:
        return ""
    return text[-count:]


def _pad(text: str, size: int, fill: str, *, before: bool) -> str:
    if size <= len(text):
        return text[: max(size, 0)]
    if not fill:
        raise DataError("insufficient padding: the fill of lpad and rpad must not be empty")
    missing = size - len(text)
    padding = (fill * (missing // len(fill) + 1))[:missing]
    return padding + text if before else text + padding


def _split_part(text: str, separator: str, index: int) -> str:
    parts = text.split(separator) if separator else [text]
    if index == 0:
        return ""
    position = index - 1 if index > 0 else len(parts) + index
    return parts[position] if 0 <= position < len(parts) else ""


def _chr(code: int) -> str:
    try:
        if 0xD800 <= code <= 0xDFFF:
            raise DataError(f"code is no character: {code}")
        return chr(code)
    except (ValueError, OverflowError):
        raise DataError(f"code is no character: {code}") from None


def _replace(text: str, old: str, new: str) -> str:
    return text.replace(old, new) if old else text


def _like(text: str, pattern: str, escape: str | None = None) -> bool:
    return _like_regex(pattern, escape).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _like_regex(pattern: str, escape: str | None) -> re.Pattern[str]:
    parsed = parse_like(pattern, escape)
    if parsed is None:
        raise DataError("LIKE pattern must not end with its escape character")
    parts: list[str] = []
    literal = bytearray()
    for token in (*parsed.tokens, -1):
        if 0 <= token <= 255:
            literal.append(token)
            continue
        parts.append(re.escape(literal.decode("utf-8", "surrogatepass")))
        literal.clear()
        parts.append({ANY_SEQUENCE: ".*", ANY_CHARACTER: ".", -1: ""}[token])
    return re.compile("".join(parts), re.DOTALL)


def _concat_ws(separator: str, *parts: str | None) -> str:
    return separator.join(part for part in parts if part is not None)


def _translate(text: str, letters: str, substitutes: str) -> str:
    """Each of ``letters`` becomes its counterpart, or nothing if there is none; a repeated letter counts once."""
    table: dict[int, str | None] = {}
    for position, letter in enumerate(letters):
        table.setdefault(ord(letter), substitutes[position] if position < len(substitutes) else None)
    return text.translate(table)


def _position(text: str, part: str) -> int:
    return text.find(part) + 1


_PYTHON: dict[str, Callable[..., Any]] = {
    "upper": _upper,
    "lower": _lower,
    "substring": _substring,
    "left": _left,
    "right": _right,
    "trim": lambda text, letters=_WHITESPACE: text.strip(letters) if letters else text,
    "ltrim": lambda text, letters=_WHITESPACE: text.lstrip(letters) if letters else text,
    "rtrim": lambda text, letters=_WHITESPACE: text.rstrip(letters) if letters else text,
    "replace": _replace,
    "translate": _translate,
    "reverse": lambda text: text[::-1],
    "repeat": lambda text, times: text * max(times, 0),
    "lpad": lambda text, size, fill: _pad(text, size, fill, before=True),
    "rpad": lambda text, size, fill: _pad(text, size, fill, before=False),
    "split_part": _split_part,
    "chr": _chr,
    "ascii": lambda text: ord(text[0]) if text else 0,
    "unicode": lambda text: ord(text[0]) if text else -1,
    "strpos": _position,
    "like": _like,
    "like_escape": _like,
    "ilike": lambda text, pattern: _like(_lower(text), _lower(pattern)),
    "ilike_escape": lambda text, pattern, escape: _like(_lower(text), _lower(pattern), escape),
    "starts_with": lambda text, part: text.startswith(part),
    "ends_with": lambda text, part: text.endswith(part),
    "contains": lambda text, part: part in text,
    "join": lambda *parts: "".join(part for part in parts if part is not None),
    "concat_ws": _concat_ws,
}

#: Functions of ``_PYTHON`` that get None for a NULL argument; for all others the caller says which rows are NULL.
_SEES_NULL = {"join", "concat_ws"}


def apply_text_function(
    name: str,
    dtype: DataType,
    arguments: list[Column],
    context: EvaluationContext,
    *,
    validity: Array | None = None,
) -> Column:
    """Value of a function of ``_PYTHON``. ``validity`` is that of the result for functions that see NULL."""
    xp = context.xp
    function = _PYTHON[name]
    if name not in _SEES_NULL:
        validity = joint_validity(*arguments)
    varying = [index for index, argument in enumerate(arguments) if not is_constant(argument)]
    sole = arguments[varying[0]] if len(varying) == 1 else None
    if sole is None or sole.strings is None or (name in _SEES_NULL and sole.validity is not None):
        return _by_combination(xp, name, function, dtype, arguments, validity)
    if sole.validity is not None:
        kept = xp.flatnonzero(sole.validity)
        if len(kept) < len(sole.values):
            # NULL rows hold garbage that a function may refuse.
            present = Column(sole.dtype, sole.values[kept], None, sole.strings)
            chosen = [present if argument is sole else argument for argument in arguments]
            return _scatter(xp, apply_text_function(name, dtype, chosen, context), kept, sole.validity)
    constants = [
        None if index in varying else _constant(argument) for index, argument in enumerate(arguments)
    ]
    slot = varying[0]
    key = (name, tuple(constants), slot, dtype)

    def call(text: Any) -> Any:
        return function(*constants[:slot], text, *constants[slot + 1 :])

    if dtype.id in (TypeId.VARCHAR, TypeId.JSON, TypeId.BLOB):

        def to_strings(strings: StringArray, positions: Array | None) -> tuple[StringArray, Array | None]:
            entries = _entries(xp, sole.dtype, strings, positions)
            results = [_encode(call(_decode(entry))) for entry in entries.entries]
            column = string_column(xp, dtype, results, entries.codes)
            assert column.strings is not None, "string_column makes strings"
            return column.strings, column.values

        mapped = map_strings(xp, sole, key, to_strings)
        return Column(dtype, mapped.values, validity, mapped.strings)

    def to_values(strings: StringArray, positions: Array | None) -> Array:
        entries = _entries(xp, sole.dtype, strings, positions)
        results = np.array([call(_decode(entry)) for entry in entries.entries], _result_dtype(dtype))
        return xp.asarray(results)[entries.codes]

    values = per_row(xp, sole, key, to_values, default=_result_dtype(dtype)(0))
    return make_column(xp, dtype, values, validity)


def _scatter(xp: Any, part: Column, kept: Array, validity: Array) -> Column:
    values = xp.zeros((len(validity), *part.values.shape[1:]), part.values.dtype)
    values[kept] = part.values
    return Column(part.dtype, values, validity, part.strings)


def _entries(xp: Any, dtype: DataType, strings: StringArray, positions: Array | None) -> Any:
    if positions is None:
        positions = xp.arange(len(strings))
    return text_of_entries(xp, Column(dtype, positions, None, strings))


def _result_dtype(dtype: DataType) -> Any:
    return np.bool_ if dtype.id is TypeId.BOOLEAN else np.int64


def _decode(entry: bytes) -> str:
    return entry.decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _constant(column: Column) -> Any:
    if is_null_constant(column):
        return None
    if column.strings is not None:
        return _decode(constant_bytes(column))
    return constant_integer(column)


def _by_combination(
    xp: Any,
    name: str,
    function: Callable[..., Any],
    dtype: DataType,
    arguments: list[Column],
    validity: Array | None,
) -> Column:
    """One call per row: for several varying arguments."""
    num_rows = max(len(argument.values) for argument in arguments)
    if any(len(argument.values) == 0 for argument in arguments):
        num_rows = 0
    validity = match_length(xp, validity, num_rows)
    valid = [True] * num_rows if validity is None else on_host(validity).tolist()
    rows = list(zip(*(_host_values(xp, argument, num_rows) for argument in arguments), strict=True))
    strings = dtype.id in (TypeId.VARCHAR, TypeId.JSON, TypeId.BLOB)
    blank: Any = "" if strings else 0
    results = [function(*row) if good else blank for row, good in zip(rows, valid, strict=True)]
    if not strings:
        return Column(dtype, xp.asarray(np.array(results, _result_dtype(dtype))), validity)
    column = string_column(xp, dtype, [_encode(text) for text in results], xp.arange(num_rows))
    return Column(dtype, column.values, validity, column.strings)


def _host_values(xp: Any, column: Column, num_rows: int) -> list[Any]:
    if column.strings is not None:
        texts = text_of_entries(xp, column)
        decoded = [_decode(entry) for entry in texts.entries]
        values: list[Any] = [decoded[code] for code in on_host(texts.codes).tolist()]
    else:
        values = on_host(column.values).tolist()
    if column.validity is not None:
        valid = on_host(column.validity).tolist()
        values = [value if good else None for value, good in zip(values, valid, strict=True)]
    return values * num_rows if len(values) == 1 and num_rows != 1 else values
