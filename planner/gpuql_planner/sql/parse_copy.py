"""The grammar of COPY, with options in parentheses and in the older form."""

from __future__ import annotations

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from gpuql_planner.errors import did_you_mean
from gpuql_planner.sql.command_syntax import CopySyntax, Name, Option
from gpuql_planner.sql.command_words import Words


def parse_copy(words: Words) -> CopySyntax:
    """What stands behind COPY. Errors: ParserError."""
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
        written = words.until("WITH", "(") if not words.opens() else words.until()
        if not written:
            raise words.unexpected("expecting the path of a file")
        path = words.grammar.expression(written)
    words.accept("WITH")
    options: list[Option] = []
    if words.opens():
        options = [_option(words.within(item)) for item in words.items()]
    while words.token() is not None:  # the older form: CSV HEADER DELIMITER '|'
        options.append(_old_option(words))
    return CopySyntax(table, columns, query, to_file, path, tuple(options), offset)


def _option(words: Words) -> Option:
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


def _option_name(words: Words) -> Name:
    if words.is_next(TokenType.STRING):
        offset = words.offset
        return Name((words.string(),), offset)
    return words.name()


_OLD_OPTIONS = ("csv", "header", "delimiter", "null", "quote", "escape", "force_quote")


def _old_option(words: Words) -> Option:
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
