"""What a statement is about, as a place in its text: errors that know no better place point there."""

from __future__ import annotations

from itertools import pairwise

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from gpuql_planner.errors import (
    CatalogError,
    DataError,
    GpuqlError,
    InputError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    Position,
    ProgrammingError,
    TransactionError,
)
from gpuql_planner.sql.command_syntax import CopySyntax, Name
from gpuql_planner.sql.parse import ParsedStatement, last_statement_tokens, position_of_offset

#: Errors about what a statement names, asks for, or does to values. Others concern memory, devices, interrupts.
_ABOUT_SUBJECT = (
    CatalogError,
    DataError,
    InputError,
    IntegrityError,
    InterfaceError,
    NotSupportedError,
    ProgrammingError,
    TransactionError,
)
_ASSIGNS = (TokenType.EQ, TokenType.ALIAS)


def locate_in_statement(error: GpuqlError, parsed: ParsedStatement) -> None:
    """Point at the expression that the error comes from; if it knows none, at the subject of the statement."""
    if error.position is None and error.statement in (None, parsed.text):
        offset = _origin_offset(error, parsed.text)
        if offset is None and isinstance(error, _ABOUT_SUBJECT):
            offset = _subject_offset(parsed)
        if offset is not None:
            error.position, error.statement = _position(parsed, offset), parsed.text


def locate_value(error: GpuqlError, text: str) -> None:
    """Point at the expression that the error comes from, or at the beginning of the query that ends ``text``."""
    about_values = isinstance(error, DataError | NotSupportedError)
    if about_values and error.position is None and error.statement in (None, text):
        offset = _origin_offset(error, text)
        if offset is None:
            offset = last_statement_tokens(text)[0].start
        error.position, error.statement = position_of_offset(text, offset), text


def _origin_offset(error: GpuqlError, text: str) -> int | None:
    """Offset of the expression that raised the error, in ``text`` or one of the same words with other constants."""
    origin = error.origin
    if origin is None:
        return None
    if origin.text == text:
        return origin.offset
    written, now = last_statement_tokens(origin.text), last_statement_tokens(text)
    if len(written) != len(now) or any(
        one.token_type is not other.token_type for one, other in zip(written, now, strict=True)
    ):
        return None
    for one, other in zip(written, now, strict=True):
        if one.start == origin.offset:
            return int(other.start)
    return None


def locate_at_subject(error: GpuqlError, parsed: ParsedStatement) -> None:
    """Point at the subject of the statement, unless the error knows a place."""
    if error.position is None and error.statement in (None, parsed.text):
        error.position, error.statement = subject_position(parsed), parsed.text


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
