"""Values of results as the lines of a file, and whether they are what the file says."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Sequence

from gpuql.api.table_text import format_value
from gpuql.testing.slt.records import Record

Rows = Sequence[Sequence[str]]

_HASHED = re.compile(r"(\d+) values hashing to ([0-9a-f]{32})")


def texts(rows: Iterable[Sequence[object]]) -> list[list[str]]:
    """Rows as files hold them."""
    return [[_text(value) for value in row] for row in rows]


def _text(value: object) -> str:
    if value == "":
        return "(empty)"
    return format_value(value).replace("\t", "\\t").replace("\n", "\\n")


def sort_rows(rows: Rows, mode: str) -> list[list[str]]:
    """Rows in the order that a sort mode compares; valuesort makes a row of each value."""
    if mode == "rowsort":
        return sorted(map(list, rows))
    if mode == "valuesort":
        return [[value] for value in sorted(value for row in rows for value in row)]
    return [list(row) for row in rows]


def hash_line(rows: Rows) -> str:
    """All values in one line: their number and the MD5 of them, each followed by a line feed."""
    values = [value for row in rows for value in row]
    digest = hashlib.md5("".join(f"{value}\n" for value in values).encode(), usedforsecurity=False)
    return f"{len(values)} values hashing to {digest.hexdigest()}"


def difference(record: Record, rows: Rows) -> str:
    """What is wrong with the rows of a query (:func:`texts`), or nothing."""
    if record.types == "?":
        return "the types of the columns are left open; --complete writes them"
    if rows and len(rows[0]) != len(record.types):
        return f"{len(rows[0])} columns, not {len(record.types)}"
    got = sort_rows(rows, record.sort_mode)
    shown = "rows differ; got:\n" + "\n".join("\t".join(row) for row in got) + "\n"
    if len(record.expected) == 1 and _HASHED.fullmatch(record.expected[0]):
        return "" if hash_line(got) == record.expected[0] else f"{shown}{hash_line(got)}\n"
    expected = sort_rows(_expected_rows(record, len(rows)), record.sort_mode)
    types = record.types if record.sort_mode != "valuesort" else record.types[:1]
    same = len(got) == len(expected) and all(
        len(one) == len(other) and all(map(_same, one, other, types))
        for one, other in zip(got, expected, strict=True)
    )
    return "" if same else shown


def _expected_rows(record: Record, num_rows: int) -> list[list[str]]:
    lines, width = record.expected, len(record.types)
    if width == 1 or record.sort_mode == "valuesort":
        return [[line] for line in lines]
    if lines and all(line.count("\t") == width - 1 for line in lines):
        return [line.split("\t") for line in lines]
    if len(lines) == num_rows * width:
        return [list(lines[start : start + width]) for start in range(0, len(lines), width)]
    return [line.split("\t") if "\t" in line else re.split(" +", line.strip()) for line in lines]


def _same(got: str, expected: str, kind: str) -> bool:
    if expected.startswith("<REGEX>:"):
        return re.fullmatch(expected.removeprefix("<REGEX>:"), got, re.DOTALL) is not None
    if expected.startswith("<!REGEX>:"):
        return re.fullmatch(expected.removeprefix("<!REGEX>:"), got, re.DOTALL) is None
    if kind == "R" and "NULL" not in (got, expected):
        try:
            return math.isclose(float(got), float(expected), rel_tol=1e-9, abs_tol=1e-12) or (
                math.isnan(float(got)) and math.isnan(float(expected))
            )
        except ValueError:
            return got == expected
    return got == expected


def message_matches(wanted: str, message: str) -> bool:
    """Whether an error says what a file wants: a part of it, whatever the case, or a pattern found in it."""
    if wanted.startswith("<REGEX>:"):
        return re.search(wanted.removeprefix("<REGEX>:"), message, re.DOTALL) is not None
    if wanted.startswith("<!REGEX>:"):
        return re.search(wanted.removeprefix("<!REGEX>:"), message, re.DOTALL) is None
    return wanted.lower() in message.lower()
