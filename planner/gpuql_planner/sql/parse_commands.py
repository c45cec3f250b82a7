"""A grammar for statements that sqlglot keeps as opaque text, or does not know: see :mod:`command_syntax`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from gpuql_planner.errors import ParserError, did_you_mean
from gpuql_planner.sql.command_syntax import (
    Argument,
    CommandSyntax,
    CommentSyntax,
    CopySyntax,
    CreateSchemaSyntax,
    DeallocateSyntax,
    DropSyntax,
    ExecuteSyntax,
    MacroOverload,
    MacroParameter,
    MacroSyntax,
    MaintenanceSyntax,
    Name,
    Option,
    PragmaSyntax,
    SequenceSyntax,
    ShowSyntax,
    TypeSyntax,
    UseSyntax,
)

_CLOSED_BY = {
    TokenType.L_PAREN: TokenType.R_PAREN,
    TokenType.L_BRACKET: TokenType.R_BRACKET,
    TokenType.L_BRACE: TokenType.R_BRACE,
}
_QUERY_STARTS = (TokenType.SELECT, TokenType.FROM, TokenType.WITH, TokenType.VALUES)
_ASSIGNS = (TokenType.COLON_EQ, TokenType.FARROW)


@dataclass(frozen=True)
class Grammar:
    """sqlglot's part of the work: trees of tokens, and errors that point into the text."""

    expression: Callable[[Sequence[Token]], exp.Expr]
    query: Callable[[Sequence[Token]], exp.Expr]
    data_type: Callable[[Sequence[Token]], exp.Expr]
    error: Callable[[str, int, str | None], ParserError]
    text: str


def parse_command(tokens: Sequence[Token], grammar: Grammar) -> CommandSyntax | None:
    """The command that ``tokens`` are; None if they are something that sqlglot reads. Errors: ParserError."""
    words = _Words(tokens, grammar)
    parse = _STATEMENTS.get(words.peek())
    if parse is None:
        return None
    words.take()
    command = parse(words)
    if command is not None:
        words.end()
    return command


class _Words:
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

    def within(self, tokens: Sequence[Token]) -> _Words:
        """A reader of some of the tokens."""
        return _Words(tokens, self.grammar)

    def text_of(self, tokens: Sequence[Token]) -> str:
        """The text that tokens were read from, quotes included."""
        return self.grammar.text[tokens[0].start : tokens[-1].end + 1]

    def _kind(self) -> TokenType | None:
        token = self.token()
        return None if token is None else token.token_type


def split(tokens: Sequence[Token]) -> list[list[Token]]:
    """Tokens between commas that are outside all parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        kind = token.token_type
        depth += (kind in _CLOSED_BY) - (kind in _CLOSED_BY.values())
        if kind is TokenType.COMMA and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _arguments(words: _Words) -> tuple[Argument, ...]:
    if not words.opens():
        return ()
    return tuple(_argument(words.within(item)) for item in words.items())


def _argument(words: _Words) -> Argument:
    name, offset = None, words.offset
    if words.is_next(TokenType.COLON_EQ, 1) or words.is_next(TokenType.FARROW, 1):
        name = words.part()
        words.take()
    return Argument(name, words.grammar.expression(words.rest()), offset)


def _execute(words: _Words) -> CommandSyntax:
    return ExecuteSyntax(words.name(), _arguments(words))


def _deallocate(words: _Words) -> CommandSyntax:
    if words.peek() == "PREPARE" and words.token(1) is not None:
        words.take()
    if words.peek() == "ALL" and words.token(1) is None:
        words.take()
        return DeallocateSyntax(None)
    return DeallocateSyntax(words.name())


def _pragma(words: _Words) -> CommandSyntax:
    name = words.name()
    arguments = _arguments(words)
    value = None
    if words.accept("="):
        value = words.grammar.expression(words.rest())
    return PragmaSyntax(name, arguments, value)


def _show(words: _Words) -> CommandSyntax:
    offset = words.offset
    shown = [words.peek(index) for index in range(2)]
    of = None
    if shown[0] == "TABLES" and shown[1] in ("FROM", "IN"):
        words.take()
        words.take()
        of = words.name()
        return ShowSyntax(("TABLES",), None, of, offset)
    tokens = words.rest()
    relation = None
    if len(tokens) == 1 or tokens[1].token_type is TokenType.DOT or tokens[0].token_type in _QUERY_STARTS:
        relation = words.grammar.query(tokens)
    return ShowSyntax(tuple(str(token.text).upper() for token in tokens), relation, None, offset)


def _use(words: _Words) -> CommandSyntax:
    return UseSyntax(words.name())


def _maintenance(kind: str) -> Callable[[_Words], CommandSyntax]:
    def parse(words: _Words) -> CommandSyntax:
        if kind == "VACUUM":
            while words.accept("ANALYZE") or words.accept("FULL"):
                pass
        relation = None if words.token() is None else words.name()
        if relation is not None and words.opens():
            words.parenthesised()
        return MaintenanceSyntax(kind, relation)

    return parse


def _force(words: _Words) -> CommandSyntax | None:
    return _maintenance("CHECKPOINT")(words) if words.accept("CHECKPOINT") else None


def _comment(words: _Words) -> CommandSyntax:
    words.expect("ON")
    kind = words.part().lower()
    name = words.name()
    words.expect("IS")
    return CommentSyntax(kind, name, None if words.accept("NULL") else words.string())


def _create(words: _Words) -> CommandSyntax | None:
    or_replace = words.accept("OR", "REPLACE")
    temporary = words.accept("TEMP") or words.accept("TEMPORARY")
    kind = words.peek()
    parse = {
        "SCHEMA": _create_schema,
        "SEQUENCE": _create_sequence,
        "MACRO": _create_macro,
        "FUNCTION": _create_macro,
        "TYPE": _create_type,
    }.get(kind)
    if parse is None:
        return None
    words.take()
    if_not_exists = words.accept("IF", "NOT", "EXISTS")
    return parse(words, or_replace, if_not_exists, temporary)


def _create_schema(words: _Words, or_replace: bool, if_not_exists: bool, temporary: bool) -> CommandSyntax:  # noqa: FBT001
    return CreateSchemaSyntax(words.name(), or_replace, if_not_exists)


def _create_sequence(words: _Words, or_replace: bool, if_not_exists: bool, temporary: bool) -> CommandSyntax:  # noqa: FBT001
    name = words.name()
    given: dict[str, int | None] = {}
    cycle = False

    def give(option: str, value: int | None) -> None:
        if option in given:
            raise words.grammar.error(f"syntax error: {option.upper()} is given twice", words.offset, None)
        given[option] = value

    while words.token() is not None:
        if words.accept("NO", "MINVALUE"):
            give("minvalue", None)
        elif words.accept("NO", "MAXVALUE"):
            give("maxvalue", None)
        elif words.accept("NO", "CYCLE"):
            cycle = False
        elif words.accept("CYCLE"):
            cycle = True
        elif words.accept("START"):
            words.accept("WITH")
            give("start", words.integer())
        elif words.accept("INCREMENT"):
            words.accept("BY")
            give("increment", words.integer())
        elif words.accept("MINVALUE"):
            give("minvalue", words.integer())
        elif words.accept("MAXVALUE"):
            give("maxvalue", words.integer())
        else:
            raise words.unexpected("expecting START, INCREMENT, MINVALUE, MAXVALUE or CYCLE")
    return SequenceSyntax(
        name,
        or_replace,
        if_not_exists,
        temporary,
        given.get("start"),
        given.get("increment"),
        given.get("minvalue"),
        given.get("maxvalue"),
        cycle,
    )


def _create_macro(words: _Words, or_replace: bool, if_not_exists: bool, temporary: bool) -> CommandSyntax:  # noqa: FBT001
    name = words.name()
    overloads = [_overload(words)]
    while words.is_next(TokenType.COMMA):
        words.take()
        overloads.append(_overload(words))
    return MacroSyntax(name, tuple(overloads), or_replace, if_not_exists, temporary)


def _overload(words: _Words) -> MacroOverload:
    offset = words.offset
    parameters = [_parameter(words.within(item)) for item in words.items()]
    seen: set[str] = set()
    for before, parameter in zip([None, *parameters], parameters, strict=False):
        if parameter.name.lower() in seen:
            raise words.grammar.error(f"parameter appears twice: {parameter.name}", offset, None)
        if before is not None and before.default is not None and parameter.default is None:
            raise words.grammar.error(
                f"parameter without a default after one that has a default: {parameter.name}", offset, None
            )
        seen.add(parameter.name.lower())
    words.expect("AS")
    is_table = words.accept("TABLE")
    body_offset = words.offset
    tokens = _body(words)
    (words.grammar.query if is_table else words.grammar.expression)(tokens)
    return MacroOverload(tuple(parameters), words.text_of(tokens), is_table, body_offset)


def _body(words: _Words) -> list[Token]:
    """Tokens up to the comma before another overload, or the end."""
    taken: list[Token] = []
    depth = 0
    while (token := words.token()) is not None:
        kind = token.token_type
        if kind is TokenType.COMMA and depth == 0 and _another_overload(words):
            break
        depth += (kind in _CLOSED_BY) - (kind in _CLOSED_BY.values())
        taken.append(words.take())
    if not taken:
        raise words.unexpected("a macro needs a body")
    return taken


def _another_overload(words: _Words) -> bool:
    """Whether ``, (names) AS`` comes next."""
    if not words.is_next(TokenType.L_PAREN, 1):
        return False
    depth, ahead = 0, 1
    while (token := words.token(ahead)) is not None:
        kind = token.token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        ahead += 1
        if depth == 0:
            return words.peek(ahead) == "AS"
    return False


def _parameter(words: _Words) -> MacroParameter:
    name = words.part()
    default = None
    token = words.token()
    if token is not None:
        if token.token_type not in _ASSIGNS:
            raise words.unexpected("a parameter is a name, or name := default; types are not supported here")
        words.take()
        tokens = words.rest()
        words.grammar.expression(tokens)
        default = words.text_of(tokens)
    return MacroParameter(name, default)


def _create_type(words: _Words, or_replace: bool, if_not_exists: bool, temporary: bool) -> CommandSyntax:  # noqa: FBT001
    name = words.name()
    words.expect("AS")
    if words.peek() == "ENUM" and words.is_next(TokenType.L_PAREN, 1):
        words.take()
        inner = words.parenthesised()
        if inner and inner[0].token_type in _QUERY_STARTS:
            return TypeSyntax(name, or_replace, if_not_exists, query=words.grammar.query(inner))
        labels = tuple(_label(words.within(item)) for item in split(inner)) if inner else ()
        return TypeSyntax(name, or_replace, if_not_exists, labels=labels)
    return TypeSyntax(name, or_replace, if_not_exists, alias=words.grammar.data_type(words.rest()))


def _label(words: _Words) -> str:
    label = words.string()
    words.end()
    return label


def _drop(words: _Words) -> CommandSyntax | None:
    kind = words.peek().lower()
    if kind not in ("schema", "sequence", "macro", "function", "type"):
        return None
    words.take()
    if kind == "function":
        kind = "macro"
    if kind == "macro" and words.peek() == "TABLE":
        words.take()
        kind = "table macro"
    if_exists = words.accept("IF", "EXISTS")
    name = words.name()
    cascade = words.accept("CASCADE")
    if not cascade:
        words.accept("RESTRICT")
    return DropSyntax(kind, name, if_exists, cascade)


def _copy(words: _Words) -> CommandSyntax:
    offset = words.offset
    table, query = None, None
    columns: tuple[Name, ...] = ()
    if words.opens():
        query = words.grammar.query(words.parenthesised())
    else:
        table = words.name()
        if words.opens():
            columns = tuple(words.within(item).name() for item in words.items())
    to_file = words.accept("TO")
    if not to_file:
        words.expect("FROM")
        if query is not None:
            raise words.grammar.error("a query cannot be copied into: name a table", offset, None)
    if words.is_next(TokenType.IDENTIFIER):
        path: exp.Expr = exp.Literal.string(str(words.take().text))
    else:
        path = words.grammar.expression(words.until("WITH", "(") if not words.opens() else words.until())
    words.accept("WITH")
    options: list[Option] = []
    if words.opens():
        options = [_option(words.within(item)) for item in words.items()]
    while words.token() is not None:  # the older form: CSV HEADER DELIMITER '|'
        options.append(_old_option(words))
    return CopySyntax(table, columns, query, to_file, path, tuple(options), offset)


def _option(words: _Words) -> Option:
    offset = words.offset
    name = words.part().lower()
    words.accept("=")
    if words.token() is None:
        return Option(name, None, offset)
    if words.opens():
        names = tuple(_option_name(words.within(item)) for item in words.items())
        words.end()
        return Option(name, names, offset)
    tokens = words.rest()
    if len(tokens) == 1 and tokens[0].token_type is TokenType.STAR:
        return Option(name, exp.Star(), offset)
    return Option(name, words.grammar.expression(tokens), offset)


def _option_name(words: _Words) -> Name:
    if words.is_next(TokenType.STRING):
        offset = words.offset
        return Name((words.string(),), offset)
    return words.name()


_OLD_OPTIONS = ("csv", "header", "delimiter", "null", "quote", "escape", "force_quote")


def _old_option(words: _Words) -> Option:
    offset = words.offset
    name = words.part().lower()
    if name not in _OLD_OPTIONS:
        raise words.grammar.error(
            f"syntax error near {name!r}: unexpected option",
            offset,
            did_you_mean(name, list(_OLD_OPTIONS)) or "options stand in parentheses: (FORMAT csv, HEADER)",
        )
    if name == "csv":
        return Option("format", exp.Literal.string("csv"), offset)
    if name == "header":
        return Option(name, None, offset)
    words.accept("AS")
    return Option("nullstr" if name == "null" else name, exp.Literal.string(words.string()), offset)


_STATEMENTS: dict[str, Callable[[_Words], CommandSyntax | None]] = {
    "EXECUTE": _execute,
    "DEALLOCATE": _deallocate,
    "PRAGMA": _pragma,
    "SHOW": _show,
    "USE": _use,
    "CHECKPOINT": _maintenance("CHECKPOINT"),
    "FORCE": _force,
    "VACUUM": _maintenance("VACUUM"),
    "ANALYZE": _maintenance("ANALYZE"),
    "COMMENT": _comment,
    "CREATE": _create,
    "DROP": _drop,
    "COPY": _copy,
}
