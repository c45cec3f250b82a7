"""What a statement is about, as a place in its text: errors that know no better place point there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from gpuql_planner.errors import (
    CatalogError,
    GpuqlError,
    InputError,
    IntegrityError,
    NotSupportedError,
    Position,
    ProgrammingError,
    TransactionError,
)
from gpuql_planner.sql.command_syntax import CopySyntax, Name
from gpuql_planner.sql.parse import ParsedStatement, position_of_offset
from gpuql_planner.statement_errors import RowChangedTwice

#: Errors about what a statement names or asks for. Others concern values, whose place is in an expression, or memory.
_ABOUT_SUBJECT = (
    CatalogError,
    InputError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
    RowChangedTwice,
    TransactionError,
)
_ASSIGNS = (TokenType.EQ, TokenType.ALIAS)


@contextmanager
def about_subject(parsed: ParsedStatement) -> Iterator[None]:
    """Let errors raised inside that know no place point at the subject of the statement."""
    try:
        yield
    except _ABOUT_SUBJECT as error:
        if error.position is None and error.statement in (None, parsed.text):
            error.position, error.statement = subject_position(parsed), parsed.text
        raise


def locate_at_start(error: GpuqlError, parsed: ParsedStatement) -> None:
    """Point at the first word of the statement, unless the error knows a place."""
    if error.position is None and error.statement in (None, parsed.text):
        error.position, error.statement = _position(parsed, parsed.tokens[0].start), parsed.text


def subject_position(parsed: ParsedStatement) -> Position:
    """The table, view, path, setting or other name that the statement is about; else its first word."""
    return _position(parsed, _subject_offset(parsed))


def _position(parsed: ParsedStatement, offset: int) -> Position:
    return position_of_offset(parsed.text, offset)


def _subject_offset(parsed: ParsedStatement) -> int:
    tokens = parsed.tokens
    if isinstance(parsed.syntax, CopySyntax):
        return _start_of(parsed.syntax.path) or parsed.syntax.offset
    name = getattr(parsed.syntax, "name", None)
    if isinstance(name, Name):
        return name.offset
    if parsed.command == "reset":
        return tokens[-1].start
    tree = parsed.tree
    if isinstance(tree, exp.Set):
        return _value_start(tokens)
    if tree is not None and not isinstance(tree, exp.Query):
        table = tree.find(exp.Table)
        start = None if table is None else _start_of(table)
        if start is not None:
            return start
    return tokens[0].start


def _value_start(tokens: tuple[Token, ...]) -> int:
    """Where the value of SET name = value begins; the name if there is no sign before it."""
    for token, following in pairwise(tokens):
        if token.token_type in _ASSIGNS or token.text.upper() == "TO":
            return following.start
    return tokens[min(1, len(tokens) - 1)].start


def _start_of(tree: exp.Expr) -> int | None:
    """Offset of the first token that ``tree`` remembers."""
    starts = [part.meta["start"] for part in tree.walk() if part._meta and "start" in part.meta]
    return min(starts, default=None)
