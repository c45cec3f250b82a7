"""The tokens of a statement, read word by word, by a grammar of our own: see :mod:`parse_commands`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from gpuql_planner.errors import ParserError
from gpuql_planner.sql.command_syntax import Name

_CLOSED_BY = {
    TokenType.L_PAREN: TokenType.R_PAREN,
    TokenType.L_BRACKET: TokenType.R_BRACKET,
    TokenType.L_BRACE: TokenType.R_BRACE,
}


@dataclass(frozen=True)
class Grammar:
    """sqlglot's part of the work: trees of tokens, and errors that point into the text."""

    expression: Callable[[Sequence[Token]], exp.Expr]
    query: Callable[[Sequence[Token]], exp.Expr]
    data_type: Callable[[Sequence[Token]], exp.Expr]
    error: Callable[[str, int, str | None], ParserError]
    text: str


class Words:
    """The tokens of a statement, read one after the other."""

    def __init__(self, tokens: Sequence[Token], grammar: Grammar) -> None:
        self._tokens = list(tokens)
        self._at = 0
        self.grammar = grammar

    def peek(self, ahead: int = 0) -> str:
        """The next word in capitals; empty at the end, and for quoted names and texts."""
        token = self.token(ahead)
        if token is None or token.token_type in (TokenType.IDENTIFIER, TokenType.STRING):
            return ""
        return str(token.text).upper()

    def token(self, ahead: int = 0) -> Token | None:
        """The next token; None at the end."""
        place = self._at + ahead
        return self._tokens[place] if place < len(self._tokens) else None

    @property
    def offset(self) -> int:
        """Where the next token begins, or the text ends."""
        token = self.token()
        return int(token.start) if token is not None else int(self._tokens[-1].end) + 1

    def take(self) -> Token:
        """The next token, and go on."""
        token = self.token()
        if token is None:
            raise self.unexpected()
        self._at += 1
        return token

    def accept(self, *words: str) -> bool:
        """Whether these words come next; then go on behind them."""
        if all(self.peek(index) == word for index, word in enumerate(words)):
            self._at += len(words)
            return True
        return False

    def expect(self, word: str) -> None:
        """Go on behind ``word``, or fail."""
        if not self.accept(word):
            raise self.unexpected(f"expecting {word}")

    def unexpected(self, expecting: str = "") -> ParserError:
        """The error that the next token does not fit."""
        token = self.token()
        if token is None:
            near, reason = str(self._tokens[-1].text), "something is missing here"
            return self.grammar.error(
                f"syntax error near {near!r}: {expecting or reason}", int(self._tokens[-1].start), None
            )
        return self.grammar.error(
            f"syntax error near {str(token.text)!r}: {expecting or 'unexpected token'}",
            int(token.start),
            None,
        )

    def end(self) -> None:
        """Fail unless all is read."""
        if self.token() is not None:
            raise self.unexpected()

    def name(self) -> Name:
        """``[catalog.[schema.]]name``."""
        offset = self.offset
        parts = [self.part()]
        while self._kind() is TokenType.DOT:
            self.take()
            parts.append(self.part())
        return Name(tuple(parts), offset)

    def part(self) -> str:
        """One name."""
        token = self.token()
        if token is None or token.token_type is TokenType.STRING:
            raise self.unexpected("expecting a name")
        text = str(token.text)
        if token.token_type is not TokenType.IDENTIFIER and not text.isidentifier():
            raise self.unexpected("expecting a name")
        self._at += 1
        return text

    def string(self) -> str:
        """A text in quotes."""
        if self._kind() is not TokenType.STRING:
            raise self.unexpected("expecting a text in single quotes")
        return str(self.take().text)

    def integer(self) -> int:
        """A whole number."""
        negative = self.accept("-")
        if not self.peek().isdigit():
            raise self.unexpected("expecting a whole number")
        number = int(str(self.take().text))
        return -number if negative else number

    def opens(self) -> bool:
        """Whether a parenthesis opens here."""
        return self._kind() is TokenType.L_PAREN

    def is_next(self, kind: TokenType, ahead: int = 0) -> bool:
        """Whether a token of that kind comes next."""
        token = self.token(ahead)
        return token is not None and token.token_type is kind

    def parenthesised(self) -> list[Token]:
        """The tokens between the parentheses that open here."""
        if not self.opens():
            raise self.unexpected("expecting (")
        inner = self.until()
        return inner[1:-1]

    def items(self) -> list[list[Token]]:
        """Tokens of each item between the parentheses that open here, separated by commas."""
        inner = self.parenthesised()
        return split(inner) if inner else []

    def until(self, *words: str) -> list[Token]:
        """Tokens up to one of ``words`` outside all parentheses, or of one parenthesised group without words."""
        taken: list[Token] = []
        open_: list[TokenType] = []
        while (token := self.token()) is not None:
            if not open_ and words and self.peek() in words:
                break
            kind = token.token_type
            if kind in _CLOSED_BY:
                open_.append(_CLOSED_BY[kind])
            elif open_ and kind is open_[-1]:
                open_.pop()
            taken.append(self.take())
            if not open_ and not words:
                break
        if open_:
            raise self.unexpected("a parenthesis is not closed")
        return taken

    def rest(self) -> list[Token]:
        """All tokens that are left."""
        taken = self._tokens[self._at :]
        self._at = len(self._tokens)
        if not taken:
            raise self.unexpected()
        return taken

    def within(self, tokens: Sequence[Token]) -> Words:
        """A reader of some of the tokens."""
        return Words(tokens, self.grammar)

    def text_of(self, tokens: Sequence[Token]) -> str:
        """The text that tokens were read from, quotes included."""
        return self.grammar.text[tokens[0].start : tokens[-1].end + 1]

    def _kind(self) -> TokenType | None:
        token = self.token()
        return None if token is None else token.token_type


def nesting(token: Token) -> int:
    """1 for a parenthesis, bracket or brace that opens, -1 for one that closes, 0 for all else."""
    return (token.token_type in _CLOSED_BY) - (token.token_type in _CLOSED_BY.values())


def split(tokens: Sequence[Token]) -> list[list[Token]]:
    """Tokens between commas that are outside all parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        kind = token.token_type
        depth += nesting(token)
        if kind is TokenType.COMMA and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts
