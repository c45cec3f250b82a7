"""Texts of the benchmark queries, from the wheel or from a checkout."""

from __future__ import annotations

from pathlib import Path

from gpuql.errors import BinderError
from gpuql_planner.statement_errors import InvalidParameterValue, UndefinedFile


def query_folder(suite: str) -> Path:
    """Folder of ``<suite>``'s query files: inside an installed package, else at the root of the checkout."""
    package = Path(__file__).parent
    for folder in (package / "queries" / suite, package.parents[1] / "bench" / "queries" / suite):
        if folder.is_dir():
            return folder
    raise UndefinedFile(f"queries not found: {suite}")


def load_queries(suite: str, selection: str = "") -> dict[int, str]:
    """Query text by number; ``selection`` such as ``"1,5,12-15"`` picks some, empty means all."""
    available = {int(path.stem[1:]): path for path in sorted(query_folder(suite).glob("q*.sql"))}
    chosen = parse_selection(selection) or list(available)
    unknown = [number for number in chosen if number not in available]
    if unknown:
        raise BinderError(f"no such query in {suite}: {', '.join(map(str, unknown))}")
    return {number: available[number].read_text(encoding="utf-8").strip().rstrip(";") for number in chosen}


def parse_selection(text: str) -> list[int]:
    """Numbers of a list such as ``"1,5,12-15"``."""
    numbers: list[int] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise InvalidParameterValue(f"not a list of query numbers: {text}", hint="such as 1,5,12-15")
        numbers.extend(range(int(first), int(last or first) + 1))
    return numbers
