"""Ways to print a result."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

from gpuql.api.table_text import format_value, result_lines

if TYPE_CHECKING:
    from gpuql.api.result import Result


def write_table(result: Result, output: TextIO) -> None:
    """A box; cut after 40 rows on a terminal, whole when it goes to a file or a pipe."""
    rows = 40 if output.isatty() else sys.maxsize
    for line in result_lines(result, max_rows=rows):
        output.write(line + "\n")


def write_csv(result: Result, output: TextIO) -> None:
    """RFC 4180 with a header; NULL is an empty field, an empty string is ``""``."""
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(result.names)
    for row in result.iter_rows():
        if any(value == "" for value in row):
            output.write(",".join(_quoted(value) for value in row) + "\n")
        else:
            writer.writerow(["" if value is None else format_value(value) for value in row])


def _quoted(value: object) -> str:
    return "" if value is None else '"' + format_value(value).replace('"', '""') + '"'


def write_json(result: Result, output: TextIO) -> None:
    """One array of objects."""
    output.write("[")
    for number, row in enumerate(result.iter_dicts()):
        output.write(("," if number else "") + "\n" + _json_object(row))
    output.write("\n]\n" if result.num_rows else "]\n")


def write_json_lines(result: Result, output: TextIO) -> None:
    """One object per line."""
    for row in result.iter_dicts():
        output.write(_json_object(row) + "\n")


def _json_object(row: dict[str, Any]) -> str:
    members = (f"{json.dumps(name, ensure_ascii=False)}: {_json_value(value)}" for name, value in row.items())
    return "{" + ", ".join(members) + "}"


def _json_value(value: object) -> str:
    """JSON text. Numbers keep all their digits; NaN and infinity, which JSON does not know, are strings."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps("NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity")
    if value is None or isinstance(value, (bool, int, float, str)):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(format_value(value), ensure_ascii=False)


def write_markdown(result: Result, output: TextIO) -> None:
    """A GitHub table."""
    output.write("| " + " | ".join(map(_markdown, result.names)) + " |\n")
    output.write("|" + "|".join("--:" if dtype.is_numeric else "---" for dtype in result.dtypes) + "|\n")
    for row in result.iter_rows():
        output.write("| " + " | ".join(_markdown(format_value(value)) for value in row) + " |\n")


def _markdown(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")


FORMATS: dict[str, Callable[[Result, TextIO], None]] = {
    "table": write_table,
    "csv": write_csv,
    "json": write_json,
    "jsonl": write_json_lines,
    "markdown": write_markdown,
}


def write_result(result: Result, output: TextIO, form: str) -> None:
    """Print ``result``; one without columns (CREATE, SET ...) prints nothing."""
    if result.outputs:
        FORMATS[form](result, output)
