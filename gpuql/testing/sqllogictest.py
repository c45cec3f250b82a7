"""sqllogictest files: statements and queries with the rows they must give.

Understood: ``statement ok``, ``statement error [text]``, ``query <types> [sortmode]`` with sort modes nosort, rowsort
and valuesort, ``skipif``/``onlyif`` (a label, and a reason after #), ``halt``. Types are I (integer), R (floating point
or decimal) and T (anything, as text). Values of a row are separated by tabs, or by single spaces if no value holds one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuql.api.table_text import format_value
from gpuql.errors import GpuqlError


@dataclass(frozen=True)
class Record:
    """One statement or query of a file. ``expected`` are the lines below ``----``, or the error text."""

    path: Path
    line: int
    kind: str  # "ok", "error" or "query"
    sql: str
    types: str = ""
    sort_mode: str = "nosort"
    expected: tuple[str, ...] = ()


class Mismatch(AssertionError):
    """A record whose outcome is not what the file says."""

    def __init__(self, record: Record, message: str) -> None:
        super().__init__(f"{record.path}:{record.line}: {message}\n{record.sql}")


def parse_file(path: Path, labels: Collection[str] = ()) -> list[Record]:
    """Records of a file that apply under ``labels`` (such as "gpu" or "interpreted")."""
    records = []
    for line, block in _blocks(path.read_text(encoding="utf-8")):
        directives = list(block)
        applies = True
        while directives and directives[0].split()[0] in ("skipif", "onlyif"):
            word, label = directives.pop(0).partition("#")[0].split()
            applies = applies and (label in labels) == (word == "onlyif")
        if not directives:
            raise ValueError(f"{path}:{line}: a condition without a record")
        if directives[0].split()[0] == "halt":
            break
        if applies:
            records.append(_record(path, line, directives))
    return records


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    block: list[str] = []
    start = 0
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.startswith("#") and "----" not in block:
            continue
        if line.strip():
            start = start if block else number
            block.append(line)
        elif block:
            yield start, block
            block = []


def _record(path: Path, line: int, block: Sequence[str]) -> Record:
    head, body = block[0].split(), list(block[1:])
    divider = body.index("----") if "----" in body else len(body)
    sql, expected = "\n".join(body[:divider]), tuple(body[divider + 1 :])
    match head:
        case ["statement", "ok"]:
            return Record(path, line, "ok", sql)
        case ["statement", "error", *rest]:
            return Record(path, line, "error", sql, expected=expected or ((" ".join(rest),) if rest else ()))
        case ["query", types, *modes] if len(modes) <= 1 and set(types) <= set("IRT"):
            mode = modes[0] if modes else "nosort"
            if mode in ("nosort", "rowsort", "valuesort"):
                return Record(path, line, "query", sql, types, mode, expected)
    raise ValueError(f"{path}:{line}: not a record: {block[0]}")


def run_file(path: Path, connection: Any, labels: Collection[str] = ()) -> int:
    """Run all records of a file; returns how many there were. Mismatch at the first that fails."""
    records = parse_file(path, labels)
    for record in records:
        run_record(record, connection)
    return len(records)


def run_record(
    record: Record, connection: Any, *, errors: type[Exception] = GpuqlError, match_text: bool = True
) -> None:
    """Run one record on a connection: anything whose ``execute(sql)`` gives a cursor with ``fetchall``.

    ``errors`` is the root of its errors; ``match_text`` false ignores what an error should say.
    """
    try:
        rows = connection.execute(record.sql).fetchall()
    except errors as error:
        if record.kind != "error":
            raise Mismatch(record, f"{type(error).__name__}: {error}") from error
        wanted = record.expected[0] if record.expected else ""
        if match_text and wanted.lower() not in f"{type(error).__name__}: {error}".lower():
            raise Mismatch(
                record, f"another error than {wanted!r}: {type(error).__name__}: {error}"
            ) from error
        return
    if record.kind == "error":
        raise Mismatch(record, f"no error, but {len(rows)} rows")
    if record.kind == "query":
        _compare(record, rows)


def _compare(record: Record, rows: Sequence[Sequence[object]]) -> None:
    if rows and len(rows[0]) != len(record.types):
        raise Mismatch(record, f"{len(rows[0])} columns, not {len(record.types)}")
    got = [[_text(value) for value in row] for row in rows]
    expected = [_split(line, len(record.types)) for line in record.expected]
    if record.sort_mode == "rowsort":
        got, expected = sorted(got), sorted(expected)
    elif record.sort_mode == "valuesort":
        got = [[value] for value in sorted(value for row in got for value in row)]
        expected = [[value] for value in sorted(value for row in expected for value in row)]
    types = record.types if record.sort_mode != "valuesort" else record.types[:1]
    same = len(got) == len(expected) and all(
        len(one) == len(other) and all(map(_same, one, other, types))
        for one, other in zip(got, expected, strict=True)
    )
    if not same:
        shown = "\n".join("\t".join(row) for row in got)
        raise Mismatch(record, f"rows differ; got:\n{shown}\n")


def _text(value: object) -> str:
    return "(empty)" if value == "" else format_value(value)


def _split(line: str, num_columns: int) -> list[str]:
    if num_columns == 1:
        return [line]
    return line.split("\t") if "\t" in line else re.split(" +", line.strip())


def _same(got: str, expected: str, kind: str) -> bool:
    if kind == "R" and "NULL" not in (got, expected):
        try:
            return math.isclose(float(got), float(expected), rel_tol=1e-9, abs_tol=1e-12) or (
                math.isnan(float(got)) and math.isnan(float(expected))
            )
        except ValueError:
            return False
    return got == expected
