"""Text to syntax trees, with sqlglot's stock DuckDB dialect."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ErrorLevel, ParseError, TokenError
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.tokenizer_core import Token, TokenType

from gpuql_planner.errors import NotSupportedError, ParserError, Position
from gpuql_planner.functions import VOLATILE_FUNCTIONS
from gpuql_planner.functions.text_literals import interval_unit
from gpuql_planner.sql.change_grammar import (
    ChangeGrammar,
    transaction_statement,
    without_by_position,
)
from gpuql_planner.sql.command_syntax import CommandSyntax, Name, PrepareSyntax
from gpuql_planner.sql.command_words import Grammar
from gpuql_planner.sql.parse_commands import parse_command
from gpuql_planner.sql.statement_words import is_refused, may_be_misspelt, statement_hint

#: Meta entry of a COLUMNS call with a star before it: its columns are so many arguments.
UNPACKED = "unpacked"
#: Meta entry of a type: offset of its first token.
TYPE_START = "type_start"

_DIALECT = DuckDB()
#: Subscripts as written: sqlglot would count those that are constants from 0.
_DIALECT.INDEX_OFFSET = 0


class _Tokenizer(DuckDB.Tokenizer):
    """DuckDB's tokens, also of what follows EXPLAIN, PREPARE and the like, which sqlglot keeps as one text."""

    COMMANDS: ClassVar[set[TokenType]] = set()


#: Function calls with syntax of their own; every other call keeps its spelled name and argument order.
_SYNTAX_FUNCTIONS = ("CAST", "TRY_CAST", "EXTRACT", "OVERLAY", "POSITION", "SUBSTRING", "TRIM")

#: Names of a column from the last to the first.
_COLUMN_PARTS = ("this", "table", "db", "catalog")

_EXPLAIN_OPTIONS = re.compile(r"\s*(?:\(\s*(\w+)\s*\)|(analyze)\b)", re.IGNORECASE)
#: The dollar sign of a parameter; or a comment, name or text in which a dollar sign is none. sqlglot knows @name too,
#: and takes $1,$2 for the beginning of a text quoted with dollar signs.
_DOLLAR = re.compile(
    r"""--[^\n]* | /\*.*?\*/ | "(?:[^"]|"")*" | (?<!\w)[eE]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*'"""
    r""" | \$((?:[^\W\d]\w*)?)\$ .*? \$\1\$ | (?<!\w)\$(?=\w) """,
    re.VERBOSE | re.DOTALL,
)
_MISSING_END = re.compile(r"Missing (\S+) from \d+:(\d+)")
_TOKEN_DUMP = re.compile(r" but got <Token .*", re.DOTALL)
_MISSING_KEYWORD = re.compile(r"Required keyword: '(\w+)' missing.*")
_NOT_NEWLINE = re.compile(r"[^\n]")


def _arrow(name: str) -> Callable[[Any, exp.Expr, exp.Expr], exp.Expr]:
    """``json -> path`` as a call, the path as it is written."""
    return lambda self, this, path: self.expression(exp.Anonymous(this=name, expressions=[this, path]))


def _positioned(kind: Callable[[Any], exp.Expr]) -> Callable[[Any, Token], exp.Expr]:
    return lambda self, token: self.expression(kind(token), token)


def _column_of_names(node: exp.Expr) -> exp.Expr:
    """``table.column`` of bare names, or one bare name as an argument, as a column."""
    parent = node.parent
    if isinstance(node, exp.Identifier):
        named = isinstance(parent, (exp.PropertyEQ, exp.Kwarg)) and node.arg_key == "this"
        is_value = isinstance(parent, (exp.Func, exp.Binary, exp.Unary, exp.Bracket)) and not named
        if isinstance(parent, exp.Dot):
            is_value = node.arg_key == "this" and isinstance(parent.expression, exp.Anonymous)
        return exp.Column(this=node) if is_value else node
    if not isinstance(node, exp.Dot) or isinstance(parent, exp.Table):
        return node
    names: list[exp.Expr] = []
    part: exp.Expr = node
    while isinstance(part, exp.Dot):
        names.append(part.expression)
        part = part.this
    names.append(part)
    if len(names) > len(_COLUMN_PARTS) or not all(isinstance(name, exp.Identifier) for name in names):
        return node
    return exp.Column(**dict(zip(_COLUMN_PARTS, names, strict=False)))


_QUERY_PREDICATES: dict[str, type[exp.Expr]] = {"ALL": exp.All, "EXISTS": exp.Exists}


class _CallKeepingParser(ChangeGrammar):
    """DuckDB's grammar, but calls are not turned into sqlglot's own function classes.

    gpuql resolves functions itself; sqlglot's classes rename them and reorder arguments between dialects.
    """

    FUNCTIONS: ClassVar[dict[str, Any]] = {}
    #: ``list(x)[1]`` is an element of a call's result, ``list[1]`` one of a column's value.
    ARRAY_CONSTRUCTORS: ClassVar[dict[str, type[exp.Func]]] = {"ARRAY": exp.Array}
    FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
        name: DuckDBParser.FUNCTION_PARSERS[name] for name in _SYNTAX_FUNCTIONS
    }
    PRIMARY_PARSERS: ClassVar[dict[Any, Any]] = {
        **DuckDBParser.PRIMARY_PARSERS,
        TokenType.NULL: _positioned(lambda _: exp.Null()),
        TokenType.TRUE: _positioned(lambda _: exp.Boolean(this=True)),
        TokenType.FALSE: _positioned(lambda _: exp.Boolean(this=False)),
    }
    JSON_OPERATORS: ClassVar[dict[Any, Any]] = {
        TokenType.ARROW: _arrow("json_extract"),
        TokenType.DARROW: _arrow("json_extract_string"),
    }
    PLACEHOLDER_PARSERS: ClassVar[dict[Any, Any]] = {
        TokenType.PLACEHOLDER: lambda self: self.expression(exp.Placeholder(), self._prev),
        TokenType.PARAMETER: lambda self: (
            self.expression(exp.Placeholder(this=self._prev.text), self._prev)
            if self._match(TokenType.NUMBER) or self._match_set(self.ID_VAR_TOKENS)
            else None
        ),
    }

    def _parse_function(self, *options: Any, **named: Any) -> exp.Expr | None:
        """ALL and EXISTS over a query in parentheses of its own, as in ``ALL ((SELECT 1) UNION (SELECT 2))``."""
        parsed: exp.Expr | None = super()._parse_function(*options, **named)
        if isinstance(parsed, exp.Anonymous) and len(parsed.expressions) == 1:
            predicate = _QUERY_PREDICATES.get(parsed.name.upper())
            if predicate is not None and isinstance(parsed.expressions[0].unnest(), exp.Query):
                found = self.expression(predicate(this=parsed.expressions[0].unnest()))
                found.update_positions(**parsed.meta)
                return found
        return parsed

    def _parse_star_ops(self) -> exp.Expr | None:
        """Note on ``*COLUMNS(...)`` that a star stands before it."""
        parsed: exp.Expr | None = super()._parse_star_ops()
        if isinstance(parsed, exp.Anonymous):
            parsed.meta[UNPACKED] = True
        return parsed

    def _parse_column_ops(self, this: exp.Expr | None) -> exp.Expr | None:
        """``value.function()`` with the columns inside of ``value`` as columns; sqlglot makes bare names of them."""
        parsed: exp.Expr | None = super()._parse_column_ops(this)
        if parsed is None or isinstance(parsed, exp.Column):
            return parsed
        return parsed.transform(_column_of_names, copy=False)

    def _parse_type(
        self,
        parse_interval: bool = True,  # noqa: FBT001, FBT002
        fallback_to_identifier: bool = False,  # noqa: FBT001, FBT002
    ) -> exp.Expr | None:
        """``DATE '2020-01-01'::VARCHAR`` casts the date; sqlglot would cast the text before it becomes a date."""
        first = self._curr
        parsed: exp.Expr | None = super()._parse_type(parse_interval, fallback_to_identifier)
        if not isinstance(parsed, exp.Cast) or first is None or parsed.to.meta.get(TYPE_START) != first.start:
            return parsed
        literal = parsed.this
        while not isinstance(literal, exp.Literal) and isinstance(literal.this, exp.Expr):
            literal = literal.this
        if literal is parsed.this or not isinstance(literal, exp.Literal):
            return parsed
        whole, dtype = parsed.this, parsed.to
        literal.replace(self.expression(exp.Cast(this=literal.copy(), to=dtype)))
        whole.pop()
        return whole  # type: ignore[no-any-return]

    def _parse_in(self, this: exp.Expr | None, alias: bool = False) -> exp.In:  # noqa: FBT001, FBT002
        """``x IN [a, b]`` asks a list, which other than ``x IN (a, b)`` is never NULL for its NULLs."""
        if self._curr and self._curr.token_type is TokenType.L_BRACKET:
            return self.expression(exp.In(this=this, field=self._parse_unary()))
        return super()._parse_in(this, alias=alias)

    def _parse_simplified_pivot(self, is_unpivot: bool | None = None) -> exp.Pivot:  # noqa: FBT001
        """PIVOT and UNPIVOT statements, with any expressions, ORDER BY and LIMIT."""
        source = self._parse_table()
        on = self._match(TokenType.ON) and self._parse_csv(self._parse_pivoted)
        into = self._parse_unpivot_columns()
        using = self._match(TokenType.USING) and self._parse_csv(self._parse_pivoted)
        group = self._parse_group()
        pivot = self.expression(
            exp.Pivot(
                this=source, expressions=on or [], using=using, group=group, unpivot=is_unpivot, into=into
            )
        )
        for clause, found in (("order", self._parse_order()), ("limit", self._parse_limit())):
            if found is not None:
                pivot.set(clause, found)
        offset = self._parse_offset()
        if offset is not None:
            pivot.set("offset", offset)
        return pivot

    def _parse_pivoted(self) -> exp.Expr | None:
        parsed = self._parse_disjunction()
        return self._parse_alias(parsed) if self._match(TokenType.ALIAS, advance=False) else parsed

    def _parse_lambda_arg(self) -> exp.Expr | None:
        """A text before ``->`` is JSON, not the parameter of a lambda function."""
        if self._curr and self._curr.token_type is TokenType.STRING:
            return None
        parsed: exp.Expr | None = super()._parse_lambda_arg()
        return parsed

    def _parse_types(self, *options: Any, **named: Any) -> exp.Expr | None:
        """Note where a type begins, which sqlglot does not, for errors about the type itself."""
        first = self._curr
        parsed: exp.Expr | None = super()._parse_types(*options, **named)
        if first is not None and isinstance(parsed, exp.DataType):
            parsed.meta[TYPE_START] = first.start
        return parsed

    def _warn_unsupported(self) -> None:
        """Say nothing: the binder refuses such statements with an error."""

    def _parse_interval_span(self, this: exp.Expr, parse_function_unit: bool = True) -> exp.Interval:  # noqa: FBT001, FBT002
        """Keep the text as written: sqlglot's own form drops what follows the first amount."""
        unit = None
        if self._curr and interval_unit(self._curr.text) is not None:
            unit = self._parse_var(any_token=True, upper=True)
        return self.expression(exp.Interval(this=this, unit=unit))


@dataclass(frozen=True)
class ParsedStatement:
    """One statement of a text. Positions of all nodes are offsets into the whole ``text``.

    ``command`` is "statement" for what sqlglot parses, which is ``tree``; "explain" wraps another statement, "reset"
    has the words behind it as ``mode``; a "command" has ``syntax``.
    """

    text: str
    tokens: tuple[Token, ...]
    command: str = "statement"
    tree: exp.Expr | None = None
    mode: str = (
        ""  # of EXPLAIN: plan, analyze or codegen; of RESET: the variable; of a transaction: what to do
    )
    inner: ParsedStatement | None = None
    syntax: CommandSyntax | None = None


def position_of_offset(text: str, offset: int) -> Position:
    """Line and column, from 1, of a character offset."""
    before = text[:offset]
    return Position(before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1)


def parse_statements(text: str) -> list[ParsedStatement]:
    """All statements of ``text``, separated by semicolons; empty ones are left out.

    Raises
    ------
    ParserError
        With the line and column of the first token that does not fit.
    """
    return [_parse_chunk(text, chunk) for chunk in _chunks(_tokenize(text, text))]


def last_statement_tokens(text: str) -> tuple[Token, ...]:
    """Tokens of the last statement of a text that was parsed before."""
    *_, last = _chunks(_tokenize(text, text))
    return last


def _tokenize(visible: str, text: str) -> list[Token]:
    try:
        tokenizer = _Tokenizer(dialect=_DIALECT)
        tokens = list(
            tokenizer.tokenize(_DOLLAR.sub(_parameter_sign, visible) if "$" in visible else visible)
        )
    except TokenError as error:
        missing = _MISSING_END.match(str(error.__cause__))
        reason = (
            f"text or comment has no end: expecting {missing[1]}" if missing else "text or comment has no end"
        )
        position = position_of_offset(text, int(missing[2])) if missing else None
        raise ParserError(f"syntax error: {reason}", position=position, statement=text) from None
    for token in tokens:
        if token.token_type is TokenType.PARAMETER:
            token.text = visible[token.start]
    if any(token.token_type is TokenType.QDCOLON for token in tokens):
        tokens = list(itertools.chain.from_iterable(map(_cast_parameter, tokens)))
    for token, following in itertools.pairwise(tokens):
        if following.token_type is TokenType.LT and token.token_type in _NESTED_TYPES:
            token.token_type = TokenType.VAR  # a column called range or list: types take no <> here
    for before, opening, token, following in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        if (
            token.text.upper() == "GROUPS"
            and opening.token_type is TokenType.L_PAREN
            and before.token_type in (TokenType.OVER, TokenType.ALIAS)
            and following.token_type not in _AFTER_WINDOW_NAME
        ):
            token.token_type = (
                TokenType.ROWS
            )  # the unit of a frame, which sqlglot would take for a window's name
    return tokens


_AFTER_WINDOW_NAME = (
    TokenType.R_PAREN,
    TokenType.PARTITION_BY,
    TokenType.ORDER_BY,
    TokenType.ROWS,
    TokenType.RANGE,
)


def _cast_parameter(token: Token) -> list[Token]:
    """``?::`` is a parameter that is cast; sqlglot takes it for one sign."""
    if token.token_type is not TokenType.QDCOLON:
        return [token]
    mark = Token(TokenType.PLACEHOLDER, "?", token.line, token.col - 2, token.start, token.start)
    cast = Token(TokenType.DCOLON, "::", token.line, token.col, token.start + 1, token.end)
    return [mark, cast]


_NESTED_TYPES = (
    TokenType.RANGE,
    TokenType.LIST,
    TokenType.STRUCT,
    TokenType.OBJECT,
    TokenType.ARRAY,
    TokenType.MAP,
    TokenType.ROW,
)


def _parameter_sign(found: re.Match[str]) -> str:
    return "@" if found[0] == "$" else found[0]


def _chunks(tokens: list[Token]) -> Iterator[tuple[Token, ...]]:
    chunk: list[Token] = []
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            if chunk:
                yield tuple(chunk)
            chunk = []
        else:
            chunk.append(token)
    if chunk:
        yield tuple(chunk)


def _parse_chunk(text: str, tokens: tuple[Token, ...]) -> ParsedStatement:
    first = tokens[0]
    word = "" if first.token_type in (TokenType.IDENTIFIER, TokenType.STRING) else first.text.lower()
    start, end = first.end + 1, tokens[-1].end + 1
    if word == "explain":
        return _parse_explain(text, tokens, start, end)
    if word == "reset":
        return ParsedStatement(text, tokens, command="reset", mode=text[start:end].strip())
    if word in ("describe", "desc", "show") and len(tokens) == 1:
        return ParsedStatement(text, tokens, tree=exp.Describe())
    if word == "prepare":
        return _parse_prepare(text, tokens)
    if word == "call":
        return ParsedStatement(text, tokens, tree=_parse_call(text, tokens))
    if word == "set":
        tokens = _with_time_zone_as_setting(tokens)
    transaction = transaction_statement(tokens)
    if transaction is not None:
        return ParsedStatement(text, tokens, command="transaction", mode=transaction)
    syntax = parse_command(tokens, _grammar(text))
    if syntax is not None:
        return ParsedStatement(text, tokens, command="command", syntax=syntax)
    if first.token_type is TokenType.COMMAND or is_refused(word):
        raise NotSupportedError(
            f"statement not supported: {word.upper()}",
            position=position_of_offset(text, first.start),
            statement=text,
        )
    try:
        return ParsedStatement(text, tokens, tree=_parse_tokens(text, without_by_position(tokens)))
    except ParserError:
        if not may_be_misspelt(word):
            raise
        raise ParserError(
            f"syntax error: no statement begins with {first.text!r}",
            position=position_of_offset(text, first.start),
            statement=text,
            hint=statement_hint(word),
        ) from None


def _with_time_zone_as_setting(tokens: tuple[Token, ...]) -> tuple[Token, ...]:
    """``SET TIME ZONE value`` as the ``SET timezone = value`` that it stands for."""
    if [token.text.upper() for token in tokens[1:3]] != ["TIME", "ZONE"]:
        return tokens
    time, zone = tokens[1:3]
    name = Token(TokenType.VAR, "timezone", time.line, time.col, time.start, time.end)
    equals = Token(TokenType.EQ, "=", zone.line, zone.col, zone.start, zone.end)
    return (tokens[0], name, equals, *tokens[3:])


def _grammar(text: str) -> Grammar:
    def expression(tokens: Sequence[Token]) -> exp.Expr:
        if not tokens:
            raise ParserError("syntax error: an expression is missing", statement=text)
        return _parse_tokens(text, tuple(tokens), into=exp.Condition)

    def query(tokens: Sequence[Token]) -> exp.Expr:
        if len(tokens) == 1 or (len(tokens) > 1 and tokens[1].token_type is TokenType.DOT):
            return _parse_tokens(text, tuple(tokens), into=exp.Table)
        return _parse_tokens(text, tuple(tokens))

    def data_type(tokens: Sequence[Token]) -> exp.Expr:
        try:
            return _parse_tokens(text, tuple(tokens), into=exp.DataType)
        except ParserError:
            if not all(token.text.isidentifier() or token.token_type is TokenType.DOT for token in tokens):
                raise
            named = exp.DataType(this=exp.DType.USERDEFINED, kind="".join(token.text for token in tokens))
            named.meta["start"] = tokens[0].start
            return named

    def error(message: str, offset: int, hint: str | None) -> ParserError:
        return ParserError(message, position=position_of_offset(text, offset), statement=text, hint=hint)

    return Grammar(expression, query, data_type, error, text)


def parse_expression(text: str) -> exp.Expr:
    """The tree of a text that is one expression; ParserError otherwise."""
    return _parse_tokens(text, tuple(_tokenize(text, text)), into=exp.Condition)


def _parse_prepare(text: str, tokens: tuple[Token, ...]) -> ParsedStatement:
    if len(tokens) < 4 or tokens[2].token_type is not TokenType.ALIAS:
        raise ParserError(
            "syntax error: PREPARE needs a name, AS and a statement",
            position=position_of_offset(text, tokens[min(1, len(tokens) - 1)].start),
            statement=text,
        )
    inner = _parse_chunk(text, tokens[3:])
    name = Name((str(tokens[1].text),), tokens[1].start)
    syntax = PrepareSyntax(name, text[tokens[3].start : tokens[-1].end + 1], inner)
    return ParsedStatement(text, tokens, command="command", syntax=syntax, inner=inner)


def _parse_call(text: str, tokens: tuple[Token, ...]) -> exp.Expr:
    """CALL function(arguments) as the query that reads the function's rows."""
    if len(tokens) < 2:
        raise ParserError(
            "syntax error: CALL needs a table function",
            position=position_of_offset(text, tokens[0].start),
            statement=text,
        )
    source = _parse_tokens(text, tokens[1:], into=exp.Table)
    if isinstance(source.this, exp.Identifier):
        raise ParserError(
            f"syntax error near {tokens[1].text!r}: CALL needs a table function and its arguments",
            position=position_of_offset(text, tokens[1].start),
            statement=text,
        )
    return exp.Select(expressions=[exp.Star()], from_=exp.From(this=source))


def _parse_explain(text: str, tokens: tuple[Token, ...], start: int, end: int) -> ParsedStatement:
    mode = "plan"
    option = _EXPLAIN_OPTIONS.match(text, start, end)
    if option is not None:
        mode = (option[1] or option[2]).lower()
        start = option.end()
        if mode not in ("analyze", "codegen", "plan"):
            raise ParserError(
                f"unknown EXPLAIN option: {mode}",
                position=position_of_offset(text, option.start(1)),
                statement=text,
                hint="options: analyze, codegen",
            )
    # sqlglot takes the rest of an EXPLAIN as one opaque text; blank out what stands before it and read it again,
    # so that positions stay those of the whole text.
    visible = _NOT_NEWLINE.sub(" ", text[:start]) + text[start:end]
    inner = list(_chunks(_tokenize(visible, text)))
    if not inner:
        raise ParserError(
            "syntax error: EXPLAIN needs a statement",
            position=position_of_offset(text, tokens[0].start),
            statement=text,
        )
    explained = _parse_chunk(text, inner[0])
    if explained.command == "explain":
        raise ParserError(
            "syntax error near 'EXPLAIN': EXPLAIN of an EXPLAIN",
            position=position_of_offset(text, inner[0][0].start),
            statement=text,
        )
    return ParsedStatement(text, tokens, command="explain", mode=mode, inner=explained)


#: Nothing may be missing before a comma, and after these words.
_BEFORE_AN_ITEM = frozenset({TokenType.COMMA, TokenType.L_PAREN, TokenType.SELECT, TokenType.DISTINCT})
_NEED_AN_ITEM = frozenset(
    {TokenType.ALIAS, TokenType.GROUP_BY, TokenType.ORDER_BY, TokenType.PARTITION_BY, TokenType.HAVING}
)
_ENDS_AN_ITEM = frozenset({TokenType.COMMA, TokenType.R_PAREN})


def _check_gaps(text: str, tokens: Sequence[Token]) -> None:
    """Refuse items that are missing, as in ``1,,2`` and ``1 AS``; sqlglot reads over the gap."""
    for token, following in zip(tokens, (*tokens[1:], None), strict=True):
        kind = token.token_type
        if following is None or following.token_type in _ENDS_AN_ITEM:
            gap = kind in _NEED_AN_ITEM
            if following is not None and following.token_type is TokenType.COMMA:
                gap = gap or kind in _BEFORE_AN_ITEM
            if gap:
                raise ParserError(
                    f"syntax error near {token.text!r}: something is missing here",
                    position=position_of_offset(text, token.start),
                    statement=text,
                )


def _parse_tokens(text: str, tokens: Sequence[Token], into: type[exp.Expr] | None = None) -> exp.Expr:
    _check_gaps(text, tokens)
    parser = _CallKeepingParser(dialect=_DIALECT, error_level=ErrorLevel.IMMEDIATE)
    try:
        trees = (
            parser.parse(list(tokens), text) if into is None else parser.parse_into(into, list(tokens), text)
        )
    except ParseError as error:
        raise _parser_error(text, error) from None
    except RecursionError:
        raise ParserError("statement is nested too deeply", statement=text) from None
    tree = trees[0] if trees else None
    if tree is None:
        raise ParserError(
            "syntax error: no statement", position=position_of_offset(text, tokens[0].start), statement=text
        )
    return tree


def _parser_error(text: str, error: ParseError) -> ParserError:
    detail = error.errors[0] if error.errors else {}
    description = str(detail.get("description") or "not understood").rstrip(".")
    near = str(detail.get("highlight") or "")
    line, end_column = detail.get("line"), detail.get("col")
    position = None
    if isinstance(line, int) and isinstance(end_column, int):
        position = Position(line, max(end_column - len(near) + 1, 1))
    where = f" near {near!r}" if near else ""
    description = _MISSING_KEYWORD.sub("something is missing here", description)
    reserved = _TOKEN_DUMP.search(description) is not None and near.isidentifier()
    description = _TOKEN_DUMP.sub("", description)
    description = description.replace("Invalid expression / Unexpected token", "unexpected token")
    return ParserError(
        f"syntax error{where}: {description[:1].lower()}{description[1:]}",
        position=position,
        statement=text,
        hint=f'a name that is a keyword is written in double quotes: "{near}"' if reserved else None,
    )


_VOLATILE_WORD = re.compile(
    rf"\b(?:{'|'.join(sorted((*VOLATILE_FUNCTIONS, 'sample', 'tablesample')))})\b", re.IGNORECASE
)


def is_volatile(text: str) -> bool:
    """Whether the text may ask for the current time or a new sample, so that its plan must not be kept.

    Errs on the side of True: a column called ``now`` counts.
    """
    return _VOLATILE_WORD.search(text) is not None
