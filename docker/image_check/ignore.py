"""Which files of the build context ``.dockerignore`` leaves out."""

from __future__ import annotations

import re
from pathlib import PurePosixPath


class IgnoreRules:
    """The lines of a ``.dockerignore``: the last one that matches a path or a folder above it decides."""

    def __init__(self, text: str) -> None:
        lines = (line.strip() for line in text.splitlines())
        self._rules = [
            (not line.startswith("!"), _pattern(line.removeprefix("!").strip("/")))
            for line in lines
            if line and not line.startswith("#")
        ]

    def ignores(self, path: str) -> bool:
        """Whether this path, relative to the context, stays out of it."""
        places = [path, *(str(parent) for parent in PurePosixPath(path).parents if str(parent) != ".")]
        ignored = False
        for ignoring, pattern in self._rules:
            if any(pattern.fullmatch(place) for place in places):
                ignored = ignoring
        return ignored


def _pattern(glob: str) -> re.Pattern[str]:
    """``**`` is any number of folders, ``*`` and ``?`` stay within one."""
    pieces = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    words = re.split(r"(\*\*/|\*\*|\*|\?)", glob)
    return re.compile("".join(pieces.get(word, re.escape(word)) for word in words))
