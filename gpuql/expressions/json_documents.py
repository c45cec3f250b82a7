"""Functions of whole documents: their structure, merging, containing, their rows, and other ways to write them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from gpuql.columnar.column import Column
from gpuql.columnar.construct import column_from_python, column_to_python
from gpuql.expressions.host_calls import host_function
from gpuql.expressions.json_text import MISSING, document, part_at, type_of, written
from gpuql.expressions.list_rows import on_rows
from gpuql_planner.types import DataType

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _minified(text: str) -> str:
    return written(document(text))


def _pretty(text: str) -> str:
    return _indented(document(text), "")


def _indented(value: Any, margin: str) -> str:
    inner = margin + "    "
    if isinstance(value, dict) and value:
        rows = [f"{inner}{written(key)}: {_indented(part, inner)}" for key, part in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{margin}}}"
    if isinstance(value, list) and value:
        rows = [inner + _indented(part, inner) for part in value]
        return "[\n" + ",\n".join(rows) + f"\n{margin}]"
    return written(value)


def _merge_patch(text: str, patch: str) -> str:
    """RFC 7396."""
    return written(_merged(document(text), document(patch)))


def _merged(value: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for key, part in patch.items():
        if part is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), part)
    return result


def _contains(text: str, needle: str) -> bool:
    return _holds(document(text), document(needle))


def _holds(value: Any, needle: Any) -> bool:
    """Whether the needle is in the value, or a part of it."""
    if _matches(value, needle):
        return True
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_holds(part, needle) for part in parts)


def _matches(value: Any, needle: Any) -> bool:
    if isinstance(needle, dict) and isinstance(value, dict):
        return all(key in value and _matches(value[key], part) for key, part in needle.items())
    if isinstance(needle, list) and isinstance(value, list):
        return all(any(_matches(own, part) for own in value) for part in needle)
    return type(value) is type(needle) and bool(value == needle)


# --- structure ---------------------------------------------------------------------------------------------------


def _structure(text: str) -> str:
    return json.dumps(_shape(document(text)), ensure_ascii=False, separators=(",", ":"))


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(part) for key, part in value.items()} if value else "JSON"
    if isinstance(value, list):
        found: Any = "NULL"
        for part in value:
            found = _joint(found, _shape(part))
        return [found]
    return type_of(value)


_INTEGERS = ("UBIGINT", "BIGINT", "HUGEINT")


def _joint(one: Any, other: Any) -> Any:
    """The structure of values of both."""
    if one == other or other == "NULL":
        return one
    if one == "NULL":
        return other
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: _joint(one.get(key, "NULL"), other.get(key, "NULL")) for key in {**one, **other}}
    if isinstance(one, list) and isinstance(other, list):
        return [_joint(one[0], other[0])]
    if isinstance(one, str) and isinstance(other, str):
        pair = {one, other}
        if pair <= set(_INTEGERS):
            return "HUGEINT"
        if pair <= {*_INTEGERS, "DOUBLE"}:
            return "DOUBLE"
    return "JSON"


# --- rows --------------------------------------------------------------------------------------------------------

_Row = tuple[str | None, str, str, str | None, int, int | None, str, str]


def _rows(*, deep: bool) -> Callable[[DataType, list[Column], Any], Column]:
    """Lists of the rows of ``json_each``, or with ``deep`` of ``json_tree``."""

    def apply(dtype: DataType, rows: list[Column], context: Any) -> Column:
        found: list[list[_Row] | None] = []
        for text, *paths in zip(*map(column_to_python, rows), strict=True):
            if text is None or None in paths:
                found.append(None)
            else:
                found.append(list(_rows_of(text, paths[0] if paths else "$", deep=deep)))
        return column_from_python(found, dtype)

    return apply


def _rows_of(text: str, path: str, *, deep: bool) -> Iterator[_Row]:
    root = part_at(text, path)
    if root is MISSING:
        return
    place = _number_of(document(text), root)
    name = path if path.startswith("$") else f"$.{_key_text(path)}"
    if deep:
        yield from _tree(None, root, place, None, name, name)
    elif isinstance(root, (dict, list)):
        for key, part, number, full in _children(root, place, name):
            yield _row(key, part, number, None, full, name)
    else:
        yield _row(None, root, place, None, name, name)


def _tree(
    key: str | None, value: Any, place: int, parent: int | None, full: str, path: str
) -> Iterator[_Row]:
    yield _row(key, value, place, parent, full, path)
    if isinstance(value, (dict, list)):
        for own, part, number, own_full in _children(value, place, full):
            yield from _tree(own, part, number, place, own_full, full)


def _row(key: str | None, value: Any, place: int, parent: int | None, full: str, path: str) -> _Row:
    atom = None if value is None or isinstance(value, (dict, list)) else written(value)
    return key, written(value), type_of(value), atom, place, parent, full, path


def _children(value: Any, place: int, path: str) -> Iterator[tuple[str, Any, int, str]]:
    """Key, value, number and path of each part. Keys and values are numbered in the order of the text."""
    number = place + 1
    if isinstance(value, dict):
        for key, part in value.items():
            yield key, part, number + 1, f"{path}.{_key_text(key)}"
            number += 1 + _size(part)
    else:
        for index, part in enumerate(value):
            yield str(index), part, number, f"{path}[{index}]"
            number += _size(part)


def _key_text(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else written(key)


def _size(value: Any) -> int:
    """How many keys and values are in a value, itself among them."""
    if isinstance(value, dict):
        return 1 + sum(1 + _size(part) for part in value.values())
    return 1 + sum(map(_size, value)) if isinstance(value, list) else 1


def _number_of(value: Any, wanted: Any, place: int = 0) -> int:
    """The number of a part, which is in the value."""
    while value is not wanted:
        for _, part, number, _ in _children(value, place, ""):
            if number + _size(part) > place and _has(part, wanted):
                value, place = part, number
                break
        else:
            return place
    return place


def _has(value: Any, wanted: Any) -> bool:
    if value is wanted:
        return True
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(_has(part, wanted) for part in parts)


FUNCTIONS: dict[str, Callable[..., Column]] = {
    "json": host_function(_minified),
    "json_pretty": host_function(_pretty),
    "json_merge_patch": host_function(_merge_patch),
    "json_contains": host_function(_contains),
    "json_structure": host_function(_structure),
    "json_each_rows": on_rows(_rows(deep=False)),
    "json_tree_rows": on_rows(_rows(deep=True)),
}
