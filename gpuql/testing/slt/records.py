"""Text of sqllogictest files to records: loops unrolled, conditions decided."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

#: What ``require`` may ask for and every engine here has.
FEATURES = frozenset(
    {"parquet", "json", "icu", "core_functions", "vector_size", "skip_reload", "no_alternative_verify"}
)

_SORT_MODES = ("nosort", "rowsort", "valuesort")


@dataclass(frozen=True)
class Record:
    """One statement, query or command of a file.

    Attributes
    ----------
    path, line : where it begins.
    kind : "ok", "error", "maybe" (may fail), "query", or a command: "reconnect", "sleep".
    sql : its text, loop variables replaced. For "sleep": seconds.
    types : a letter for each column of a query.
    sort_mode : "nosort", "rowsort" or "valuesort".
    expected : the lines below ``----``; for errors one text that the message must contain, or none.
    connection : the name of the connection that runs it; "" is the usual one.
    label : queries with the same one must give the same rows; "" is none.
    has_result : whether the file says what the result is, be it no rows.
    hash_threshold : results of more values than this are hashed when they are written; 0 is never.
    span : line of the first word and line after the last one, as numbers from 0; None inside a loop.
    """

    path: Path
    line: int
    kind: str
    sql: str
    types: str = ""
    sort_mode: str = "nosort"
    expected: tuple[str, ...] = ()
    connection: str = ""
    label: str = ""
    has_result: bool = True
    hash_threshold: int = 0
    span: tuple[int, int] | None = None


def parse_file(
    path: Path, labels: Collection[str] = (), *, features: Collection[str] = FEATURES
) -> list[Record]:
    """Records of a file that apply under ``labels`` (such as "gpu" or "interpreted").

    Raises
    ------
    ValueError
        For what is not in the format, with file and line.
    """
    return parse_text(path.read_text(encoding="utf-8"), path, labels, features=features)


def parse_text(
    text: str, path: Path, labels: Collection[str] = (), *, features: Collection[str] = FEATURES
) -> list[Record]:
    """As :func:`parse_file`, for text that ``path`` names in messages."""
    return _Parser(path, frozenset(labels), frozenset(features)).parse(text)


@dataclass(frozen=True)
class _Block:
    """Lines without an empty one between them, comments left out. ``numbers`` are theirs in the file, from 0."""

    numbers: tuple[int, ...]
    lines: tuple[str, ...]

    @property
    def start(self) -> int:
        return self.numbers[0]

    @property
    def head(self) -> list[str]:
        return self.lines[0].partition("#")[0].split()


class _Parser:
    def __init__(self, path: Path, labels: frozenset[str], features: frozenset[str]) -> None:
        self._path = path
        self._labels = labels
        self._features = features
        self._skipping = False
        self._halted = False
        self._hash_threshold = 0

    def parse(self, text: str) -> list[Record]:
        blocks = list(_blocks(text))
        records, stop = self._sequence(blocks, 0, {})
        if stop < len(blocks):
            raise self._error(blocks[stop], "endloop without a loop")
        return records

    def _error(self, block: _Block, message: str) -> ValueError:
        return ValueError(f"{self._path}:{block.start + 1}: {message}")

    def _sequence(
        self, blocks: Sequence[_Block], start: int, variables: dict[str, str]
    ) -> tuple[list[Record], int]:
        """Records from ``blocks[start]`` to the ``endloop`` of this level, and its place."""
        records: list[Record] = []
        place = start
        while place < len(blocks):
            block = blocks[place]
            match [_replace(word, variables) for word in block.head]:
                case ["endloop"]:
                    return records, place
                case ["loop" | "foreach" | "concurrentloop" | "concurrentforeach" as word, name, *values]:
                    if word.endswith("loop"):
                        values = self._range(block, values)
                    place = self._loop(blocks, place, variables, name, values, records)
                case _:
                    if not self._halted:
                        record = self._record(block, variables)
                        if record is not None and not self._skipping:
                            records.append(record)
                    place += 1
        return records, place

    def _range(self, block: _Block, values: Sequence[str]) -> list[str]:
        try:
            first, last = map(int, values)
        except ValueError:
            raise self._error(block, "a loop needs a name, a first number and one past the last") from None
        return [str(number) for number in range(first, last)]

    def _loop(
        self,
        blocks: Sequence[_Block],
        place: int,
        variables: dict[str, str],
        name: str,
        values: Sequence[str],
        records: list[Record],
    ) -> int:
        """Unroll the loop at ``place`` into ``records``; returns the place after its ``endloop``."""
        stop = None
        for value in values:
            body, stop = self._sequence(blocks, place + 1, {**variables, name: value})
            records += [dataclasses.replace(record, span=None) for record in body]
        if stop is None:  # no turn at all: find the end of the body
            halted, self._halted = self._halted, True
            _, stop = self._sequence(blocks, place + 1, {**variables, name: ""})
            self._halted = halted
        if stop == len(blocks):
            raise self._error(blocks[place], "a loop without endloop")
        return stop + 1

    def _record(self, block: _Block, variables: dict[str, str]) -> Record | None:
        lines = list(block.lines)
        applies = True
        while lines and lines[0].split()[0] in ("skipif", "onlyif"):
            word, label = lines.pop(0).partition("#")[0].split()
            applies = applies and (label in self._labels) == (word == "onlyif")
        if not lines:
            raise self._error(block, "a condition without a record")
        match [_replace(word, variables) for word in lines[0].partition("#")[0].split()]:
            case ["halt"]:
                self._halted = self._halted or applies
                return None
            case ["require", feature, *_]:
                self._halted = self._halted or (applies and feature not in self._features)
                return None
            case ["mode", "skip" | "unskip" as mode]:
                self._skipping = mode == "skip"
                return None
            case ["hash-threshold", number]:
                self._hash_threshold = int(number)
                return None
        record = self._runnable(block, lines, variables)
        return record if applies else None

    def _runnable(self, block: _Block, lines: Sequence[str], variables: dict[str, str]) -> Record:
        body = [_replace(line, variables) for line in lines[1:]]
        divider = body.index("----") if "----" in body else len(body)
        sql, expected = "\n".join(body[:divider]), tuple(body[divider + 1 :])
        first = block.numbers[len(block.lines) - len(lines)]
        found = Record(
            self._path,
            block.start + 1,
            "",
            sql,
            expected=expected,
            has_result=divider < len(body),
            hash_threshold=self._hash_threshold,
            span=(first, block.numbers[-1] + 1),
        )
        match [_replace(word, variables) for word in lines[0].partition("#")[0].split()]:
            case ["statement", "ok" | "maybe" as kind, *names] if len(names) <= 1 and not expected:
                return dataclasses.replace(found, kind=kind, connection="".join(names))
            case ["statement", "error", *rest]:
                words = tuple(lines[0].split()[2:])
                if len(rest) == 1 and re.fullmatch(r"con\d*", rest[0]):
                    found, words = dataclasses.replace(found, connection=rest[0]), ()
                message = "\n".join(expected) or " ".join(words)
                return dataclasses.replace(found, kind="error", expected=(message,) if message else ())
            case ["query", types, *modes] if set(types) <= set("IRT") or types == "?":
                mode = modes.pop(0) if modes and modes[0] in _SORT_MODES else "nosort"
                name = "".join(modes[:1])
                if len(modes) <= 1:
                    on_connection = re.fullmatch(r"con\d*", name) is not None
                    return dataclasses.replace(
                        found,
                        kind="query",
                        types=types,
                        sort_mode=mode,
                        connection=name if on_connection else "",
                        label="" if on_connection else name,
                    )
            case ["reconnect"]:
                return dataclasses.replace(found, kind="reconnect")
            case ["sleep", amount, unit] if unit.rstrip("s") in _SECONDS:
                return dataclasses.replace(
                    found, kind="sleep", sql=str(float(amount) * _SECONDS[unit.rstrip("s")])
                )
        raise self._error(block, f"not a record: {lines[0]}")


_SECONDS = {"second": 1.0, "millisecond": 1e-3, "microsecond": 1e-6}


def _replace(text: str, variables: dict[str, str]) -> str:
    for name, value in variables.items():
        text = text.replace(f"${{{name}}}", value)
    return text


#: Commands that need no empty line after them.
_SINGLE = (
    "loop",
    "foreach",
    "concurrentloop",
    "concurrentforeach",
    "endloop",
    "mode",
    "require",
    "hash-threshold",
)


def _blocks(text: str) -> Iterator[_Block]:
    lines: dict[int, str] = {}
    for number, line in enumerate([*text.splitlines(), ""]):
        if line.startswith("#") and "----" not in lines.values():
            continue
        if line.strip():
            lines[number] = line
        if lines and (not line.strip() or (len(lines) == 1 and line.split()[0] in _SINGLE)):
            yield _Block(tuple(lines), tuple(lines.values()))
            lines = {}
