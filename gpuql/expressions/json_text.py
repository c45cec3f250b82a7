"""Functions over JSON kept as text: parts of documents by path, and what they are."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np

from gpuql.columnar.column import Column
from gpuql.columnar.construct import column_from_python, column_to_python, strings_from_python
from gpuql.columnar.nested import lists_column
from gpuql.expressions.host_calls import call_on_host
from gpuql.expressions.list_rows import on_rows
from gpuql.expressions.vectors import EvaluationContext
from gpuql_planner.errors import DataError
from gpuql_planner.statement_errors import InvalidJson
from gpuql_planner.types import DataType, TypeId

#: The place ``[*]`` of a path.
_ANY_PLACE = 2**62
#: What stands for a part that a document does not have.
MISSING = object()
_STEP = re.compile(r"""\.(?:"([^"]*)"|([^."\[\]]+))|\[(\d+|\*)\]|\[#-(\d+)\]""")
#: Digits that stand before the point, and zeros after it, where no exponent is written.
_MOST_DIGITS, _MOST_ZEROS = 21, 6
_ESCAPED = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose repeated keys have their first value."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def _integer(text: str) -> int | float:
    number = int(text)
    return number if -(2**63) <= number < 2**64 else float(text)


def _refuse(constant: str) -> Any:
    raise ValueError(f"not a JSON value: {constant}")


def _read(text: str) -> Any:
    return json.loads(
        text, object_pairs_hook=_first_of_each, parse_int=_integer, parse_constant=_refuse, strict=True
    )


@lru_cache(maxsize=1024)
def document(text: str) -> Any:
    """The document as Python values. Errors: InvalidJson."""
    try:
        return _read(text)
    except (ValueError, RecursionError) as error:
        raise InvalidJson(f"malformed JSON: {str(error)[:80]}") from None


def written(value: Any) -> str:
    """A part of a document as JSON text without blanks."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(_escape(letter) for letter in value) + '"'
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{written(key)}:{written(part)}" for key, part in value.items()) + "}"
    return str(value)


def number_text(value: float) -> str:
    """The shortest decimal that is the double, without an exponent where JavaScript has none."""
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    sign, digits, exponent = Decimal(repr(value)).as_tuple()
    text = "".join(map(str, digits)).rstrip("0") or "0"
    point = len(digits) + int(exponent)  # digits before the point
    minus = "-" if sign else ""
    if text == "0":
        return f"{minus}0.0"
    if -_MOST_ZEROS < point <= _MOST_DIGITS:
        if point <= 0:
            return f"{minus}0.{'0' * -point}{text}"
        whole, rest = text[:point].ljust(point, "0"), text[point:]
        return f"{minus}{whole}.{rest or '0'}"
    rest = f".{text[1:]}" if len(text) > 1 else ""
    return f"{minus}{text[0]}{rest}e{point - 1}"


def _escape(letter: str) -> str:
    return _ESCAPED.get(letter) or (f"\\u{ord(letter):04X}" if letter < " " else letter)


@lru_cache(maxsize=1024)
def _steps(path: str) -> tuple[str | int, ...]:
    """Keys and places of a path: ``$.a[0]``, ``/a/0``, or one key as it is. Errors: DataError."""
    if path.startswith("/"):
        return tuple(part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/"))
    if not path.startswith("$"):
        return (path,)
    steps: list[str | int] = []
    place = 1
    while place < len(path):
        found = _STEP.match(path, place)
        if found is None:
            raise DataError(f"path of JSON is not understood: {path!r}")
        quoted, plain, index, from_end = found.groups()
        if index is not None:
            steps.append(_ANY_PLACE if index == "*" else int(index))
        elif from_end is not None:
            steps.append(-int(from_end))
        else:
            steps.append(quoted if quoted is not None else plain)
        place = found.end()
    return tuple(steps)


def _all_parts(value: Any, steps: Sequence[str | int]) -> Iterator[Any]:
    """Parts on a path whose keys and places may be ``*``."""
    if not steps:
        yield value
        return
    first, *rest = steps
    found: list[Any] = []
    if first == "*" and isinstance(value, dict):
        found = list(value.values())
    elif first == _ANY_PLACE and isinstance(value, list):
        found = value
    elif isinstance(value, dict):
        found = [value[first]] if first in value else []
    elif isinstance(value, list) and isinstance(first, int):
        found = value[first:][:1] if -len(value) <= first else []
    for part in found:
        yield from _all_parts(part, rest)


def part_at(text: str, path: str | int | None) -> Any:
    """A part of a document, or MISSING."""
    value = document(text)
    if path is None:
        return value
    pointer = isinstance(path, str) and path.startswith("/")
    for step in (path,) if isinstance(path, int) else _steps(path):
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step, MISSING)
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step] if -len(value) <= step < len(value) else MISSING
        elif isinstance(value, list) and pointer and str(step).isdigit():
            value = value[int(step)] if int(step) < len(value) else MISSING
        else:
            return MISSING
        if value is MISSING:
            return MISSING
    return value


def _extract(text: str, path: str | int) -> str | None:
    value = part_at(text, path)
    return None if value is MISSING else written(value)


def _extract_string(text: str, path: str | int) -> str | None:
    value = part_at(text, path)
    if value is MISSING or value is None:
        return None
    return value if isinstance(value, str) else written(value)


def _value(text: str, path: str | int) -> str | None:
    value = part_at(text, path)
    return None if value is None or value is MISSING or isinstance(value, (list, dict)) else written(value)


def _valid(text: str) -> bool:
    try:
        _read(text)
    except (ValueError, RecursionError):
        return False
    return True


def _type(text: str, path: str | None = None) -> str | None:
    value = part_at(text, path)
    return None if value is MISSING else type_of(value)


def type_of(value: Any) -> str:
    """What a part of a document is, in DuckDB's words."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int):
        return "BIGINT" if value < 0 else "UBIGINT"
    return {float: "DOUBLE", str: "VARCHAR", list: "ARRAY", dict: "OBJECT"}[type(value)]


def _array_length(text: str, path: str | None = None) -> int | None:
    value = part_at(text, path)
    if value is MISSING:
        return None
    return len(value) if isinstance(value, list) else 0


def _exists(text: str, path: str | int) -> bool:
    return part_at(text, path) is not MISSING


def _extract_all(dtype: DataType, rows: list[Column], context: Any) -> Column:
    """Parts of each document on a path with wildcards, as JSON or as text."""
    as_text = dtype.element.id is TypeId.VARCHAR
    found: list[list[str | None] | None] = []
    for text, path in zip(*map(column_to_python, rows), strict=True):
        if text is None or path is None:
            found.append(None)
            continue
        parts = list(_all_parts(document(text), _steps(path)))
        if as_text:
            found.append([None if p is None else p if isinstance(p, str) else written(p) for p in parts])
        else:
            found.append([written(part) for part in parts])
    return column_from_python(found, dtype)


def _keys(dtype: DataType, rows: list[Column], context: Any) -> Column:
    found: list[list[str] | None] = []
    for arguments in zip(*map(column_to_python, rows), strict=True):
        value = MISSING if None in arguments else part_at(arguments[0], (*arguments[1:], None)[0])
        found.append(None if value is MISSING else list(value) if isinstance(value, dict) else [])
    keys = strings_from_python([key for row in found for key in row or ()])
    lengths = np.array([len(row or ()) for row in found], np.int64)
    return lists_column(dtype, lengths, keys, np.array([row is not None for row in found], np.bool_))


def _on_host(function: Callable[..., Any]) -> Callable[..., Column]:
    def apply(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
        return call_on_host(function, dtype, arguments, context)

    return apply


FUNCTIONS: dict[str, Callable[..., Column]] = {
    "json_extract": _on_host(_extract),
    "json_extract_string": _on_host(_extract_string),
    "json_value": _on_host(_value),
    "json_valid": _on_host(_valid),
    "json_type": _on_host(_type),
    "json_array_length": _on_host(_array_length),
    "json_exists": _on_host(_exists),
    "json_keys": on_rows(_keys),
    "json_extract_all": on_rows(_extract_all),
    "json_extract_string_all": on_rows(_extract_all),
    "json_value_all": on_rows(_extract_all),
}
