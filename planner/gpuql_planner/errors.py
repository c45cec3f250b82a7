"""Every error a user of gpuql can meet, under the DB-API 2.0 (PEP 249) tree.

Fixed words come first in a message and values last: ``column not found: l_qty``. The class is API, the text is not.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar

#: Characters of a statement's line that an error shows before and after its position.
_SHOWN_BEFORE = 80
_SHOWN_AFTER = 60


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a statement: ``line`` and ``column`` count from 1."""

    line: int
    column: int


class Origin:
    """Where in which text an expression was written: carried by the expression, and by errors that it raises."""

    __slots__ = ("offset", "text")

    def __init__(self, text: str, offset: int) -> None:
        self.text = text
        self.offset = offset


class GpuqlError(Exception):
    """Root of all gpuql errors.

    Parameters
    ----------
    message : fixed words, then the values.
    position : where in ``statement`` the cause stands, if known.
    statement : the SQL text, used to print the line and a caret.
    hint : a way out, or candidates ("did you mean").
    """

    sqlstate: ClassVar[str] = "XX000"
    #: Of the innermost expression that raised it; whoever knows the statement turns it into a position.
    origin: Origin | None = None

    def __init__(
        self,
        message: str,
        *,
        position: Position | None = None,
        statement: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.statement = statement
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.message]
        if self.position is not None and self.statement is not None:
            source = self.statement.split("\n")
            if 0 < self.position.line <= len(source):
                lines += _line_with_caret(source[self.position.line - 1], self.position)
        if self.hint:
            lines.append(f"Hint: {self.hint}")
        return "\n".join(lines)


class InterfaceError(GpuqlError):
    """Misuse of the Python API, such as a closed connection."""

    sqlstate = "08003"


class DatabaseError(GpuqlError):
    """Anything that went wrong inside the engine."""


class DataError(DatabaseError):
    """A value that cannot be processed."""

    sqlstate = "22000"


class OperationalError(DatabaseError):
    """A failure outside the statement: memory, files, devices, interrupts."""

    sqlstate = "58000"


class IntegrityError(DatabaseError):
    """A violated constraint."""

    sqlstate = "23000"


class NotNullViolation(IntegrityError):
    """NULL in a column that is NOT NULL."""

    sqlstate = "23502"


class ForeignKeyViolation(IntegrityError):
    """A row that refers to none, or one that others refer to is about to go."""

    sqlstate = "23503"


class UniqueViolation(IntegrityError):
    """Rows that agree in a PRIMARY KEY or UNIQUE."""

    sqlstate = "23505"


class CheckViolation(IntegrityError):
    """A row for which a CHECK is false."""

    sqlstate = "23514"


class ProgrammingError(DatabaseError):
    """A statement that is wrong as written."""

    sqlstate = "42000"


class InternalError(DatabaseError):
    """A broken belief of ours. Users should never see it; please report it."""

    sqlstate = "XX000"


class NotSupportedError(DatabaseError):
    """A construct that gpuql understands but does not run."""

    sqlstate = "0A000"


class ParserError(ProgrammingError):
    """Text that is not SQL."""

    sqlstate = "42601"


class BinderError(ProgrammingError):
    """Names or types that do not fit together; :mod:`gpuql_planner.statement_errors` has kinds of it."""

    sqlstate = "42601"


class CatalogError(ProgrammingError):
    """A table, function or setting that does not exist, or exists already; there are kinds of it, too."""

    sqlstate = "42704"


class ConversionError(DataError):
    """A value that cannot be cast, or a file whose bytes are not what they claim to be."""

    sqlstate = "22018"


class OutOfRangeError(DataError):
    """Arithmetic or a cast beyond the range of its type."""

    sqlstate = "22003"


class ArithmeticOverflowError(OutOfRangeError):
    """The result of an operation does not fit its SQL type."""


class OutOfMemoryError(OperationalError):
    """No memory tier could hold the data; names the tier, the limit and the setting.

    ``tier`` is the memory that ran out if it was a limited one, such as "GPU memory"; None otherwise.
    """

    sqlstate = "53200"
    tier: str | None = None


class InputError(OperationalError):
    """A file or stream that cannot be read."""

    sqlstate = "58030"


class DeviceError(OperationalError):
    """A device that was asked for and is not usable; says what is missing."""

    sqlstate = "58000"


class InterruptError(OperationalError):
    """The query was cancelled."""

    sqlstate = "57014"


class PermissionError(OperationalError):
    """The session is not allowed to do this."""

    sqlstate = "42501"


class TransactionError(OperationalError):
    """A transaction could not be committed."""

    sqlstate = "40001"


class TransactionStateError(TransactionError):
    """A statement that the session's transaction, or the lack of one, does not allow."""

    sqlstate = "25000"


def _line_with_caret(line: str, position: Position) -> list[str]:
    """The line and, below it, a caret under the position; of a long line only what stands around the position."""
    line = line.rstrip("\r")
    start = max(position.column - 1, 0)
    before, after = line[:start], line[start:]
    if len(before) > _SHOWN_BEFORE:
        before = "..." + before[-_SHOWN_BEFORE:]
    if len(after) > _SHOWN_AFTER:
        after = after[:_SHOWN_AFTER] + "..."
    prefix = f"LINE {position.line}: "
    return [prefix + before + after, " " * len(prefix) + "".join(map(_blank, before)) + "^"]


def _blank(character: str) -> str:
    """White space as wide as the character is on a terminal."""
    if character == "\t":
        return "\t"
    if unicodedata.combining(character):
        return ""
    return "  " if unicodedata.east_asian_width(character) in "WF" else " "


def did_you_mean(name: str, candidates: list[str]) -> str | None:
    """Hint naming up to three of ``candidates`` that resemble ``name`` (case-insensitively); None if none does."""
    by_folded = {candidate.lower(): candidate for candidate in candidates}
    close = get_close_matches(name.lower(), list(by_folded), n=3, cutoff=0.6)
    return f"did you mean {', '.join(by_folded[match] for match in close)}?" if close else None
