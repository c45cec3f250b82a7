"""The command of a page of the docs that is made from the code: write it, or compare it with what is there."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path


def write_or_check(
    page: Callable[[], str], path: Path, description: str | None, arguments: Sequence[str] | None
) -> int:
    """Write what ``page`` gives to ``path``; with ``--check`` only compare: 1 if it would be written otherwise."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--check", action="store_true", help="only compare")
    chosen = parser.parse_args(arguments)
    text = page()
    if chosen.check:
        return int(path.read_text(encoding="utf-8") != text)
    path.write_text(text, encoding="utf-8")
    return 0
