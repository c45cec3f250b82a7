"""Writes an engine's answers into a file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from gpuql.errors import GpuqlError
from gpuql.testing.slt.records import Record, parse_file
from gpuql.testing.slt.runner import Mismatch, Runner
from gpuql.testing.slt.values import hash_line, sort_rows, texts


def complete(
    path: Path,
    connection: Any,
    labels: Collection[str] = (),
    *,
    errors: type[Exception] = GpuqlError,
) -> list[str]:
    """Run a file, and replace the expected values of its queries by those of the engine.

    A query's types may be left to the engine as ``query ?``. Records inside loops are run and left as they are.

    Returns
    -------
    list of str
        What is not as the file says and cannot be written: statements that fail or should have failed.
    """
    lines: list[str] = path.read_text(encoding="utf-8").splitlines()
    problems: list[str] = []
    answers: list[tuple[Record, list[str]]] = []
    with Runner(connection, errors=errors, match_text=False) as runner:
        for record in parse_file(path, labels):
            if record.kind == "query" and record.span is not None:
                answers += _answer(record, runner, problems, errors)
                continue
            try:
                runner.run(record)
            except Mismatch as mismatch:
                problems.append(str(mismatch))
    for record, block in reversed(answers):
        assert record.span is not None, "only records outside loops are answered"
        start, stop = record.span
        lines[start:stop] = block
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return problems


def _answer(
    record: Record, runner: Runner, problems: list[str], errors: type[Exception]
) -> list[tuple[Record, list[str]]]:
    try:
        cursor = runner.execute(record)
        rows, width = cursor.fetchall(), len(cursor.description or ())
    except errors as error:
        problems.append(f"{record.path}:{record.line}: {type(error).__name__}: {error}\n{record.sql}")
        return []
    types = _types(rows, width) if record.types == "?" else record.types
    head = ["query", types, *([record.sort_mode] if record.sort_mode != "nosort" else [])]
    name = record.connection or record.label
    shown = sort_rows(texts(rows), record.sort_mode)
    values = ["\t".join(row) for row in shown]
    if record.hash_threshold and sum(map(len, shown)) > record.hash_threshold:
        values = [hash_line(shown)]
    return [
        (record, [" ".join([*head, *([name] if name else [])]), *record.sql.split("\n"), "----", *values])
    ]


def _types(rows: Sequence[Sequence[object]], width: int) -> str:
    return "".join(_type([row[place] for row in rows]) for place in range(width))


def _type(values: Sequence[object]) -> str:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, int) and not isinstance(value, bool) for value in known):
        return "I"
    if known and all(isinstance(value, float) for value in known):
        return "R"
    return "T"
