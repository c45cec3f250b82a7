"""Rows as a text table for terminals."""

from __future__ import annotations

import datetime
import itertools
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from gpuql_planner.logical.expressions import Interval
from gpuql_planner.time_zones import offset_text
from gpuql_planner.types import DataType

if TYPE_CHECKING:
    from gpuql.api.result import Result


def format_value(value: object, null: str = "NULL") -> str:
    """One value as SQL would print it; control characters are escaped so that a table keeps its shape."""
    if value is None:
        return null
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return "".join(chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\x{byte:02X}" for byte in value)
    if isinstance(value, datetime.datetime):
        text = value.replace(tzinfo=None).isoformat(sep=" ")
        shift = value.utcoffset()
        return (
            text
            if shift is None
            else text + offset_text(shift // datetime.timedelta(seconds=1), seconds=False)
        )
    if isinstance(value, Interval):
        return format_interval(value)
    return str(value)


def format_interval(value: Interval) -> str:
    """An interval as DuckDB prints it: ``1 year 2 months 3 days 04:05:06``."""
    years, months = divmod(abs(value.months), 12)
    sign = -1 if value.months < 0 else 1
    amounts = ((sign * years, "year"), (sign * months, "month"), (value.days, "day"))
    parts = [f"{amount} {unit}{'' if abs(amount) == 1 else 's'}" for amount, unit in amounts if amount]
    if value.microseconds or not parts:
        seconds, microseconds = divmod(abs(value.microseconds), 1_000_000)
        clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        fraction = f".{microseconds:06d}".rstrip("0") if microseconds else ""
        parts.append(("-" if value.microseconds < 0 else "") + clock + fraction)
    return " ".join(parts)


def display_width(text: str) -> int:
    """Terminal cells that ``text`` takes: wide East Asian characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def format_table(
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    right_aligned: Sequence[bool],
    *,
    max_cell_width: int = 60,
) -> str:
    """A box with a header. ``right_aligned`` says per column which side the values stand on."""
    return "\n".join(table_lines(names, lambda: rows, right_aligned, max_cell_width=max_cell_width))


def table_lines(
    names: Sequence[str],
    read_rows: Callable[[], Iterable[Sequence[str]]],
    right_aligned: Sequence[bool],
    *,
    max_cell_width: int = 60,
) -> Iterator[str]:
    """As :func:`format_table`, line by line; rows are read twice, first for their widths, and never held together."""
    widths = [0] * len(names)
    for row in itertools.chain([names], read_rows()):
        for place, cell in enumerate(row):
            widths[place] = max(widths[place], display_width(_fit(cell, max_cell_width)))

    def line(row: Sequence[str]) -> str:
        padded = []
        for cell, width, right in zip(row, widths, right_aligned, strict=True):
            cell = _fit(cell, max_cell_width)
            blank = " " * (width - display_width(cell))
            padded.append(blank + cell if right else cell + blank)
        return "│ " + " │ ".join(padded) + " │"

    def rule(left: str, middle: str, right: str) -> str:
        return left + middle.join("─" * (width + 2) for width in widths) + right

    yield rule("┌", "┬", "┐")
    yield line(names)
    yield rule("├", "┼", "┤")
    yield from map(line, read_rows())
    yield rule("└", "┴", "┘")


def format_result(result: Result, *, max_rows: int = 40) -> str:
    """A result as a box, cut after ``max_rows`` rows, with a line that says how many rows there are."""
    return "\n".join(result_lines(result, max_rows=max_rows))


def result_lines(result: Result, *, max_rows: int) -> Iterator[str]:
    """As :func:`format_result`, line by line: however many rows there are, few are in memory."""
    num_rows = result.num_rows
    if result.outputs:

        def read_rows() -> Iterator[list[str]]:
            for row in itertools.islice(result.iter_rows(), max_rows):
                yield [format_value(value) for value in row]

        right_aligned = [is_right_aligned(dtype) for dtype in result.dtypes]
        max_cell_width = 60 if len(result.names) > 1 else 200
        yield from table_lines(result.names, read_rows, right_aligned, max_cell_width=max_cell_width)
    count = f"{num_rows:,} row{'' if num_rows == 1 else 's'}"
    yield count + (f" ({max_rows} shown)" if result.outputs and num_rows > max_rows else "")


def is_right_aligned(dtype: DataType) -> bool:
    """Numbers stand on the right."""
    return dtype.is_numeric


def _fit(text: str, width: int) -> str:
    text = text.translate({9: "\\t", 10: "\\n", 13: "\\r", 27: "\\e"})
    if display_width(text) <= width:
        return text
    while display_width(text) > width - 1:
        text = text[:-1]
    return text + "…"
