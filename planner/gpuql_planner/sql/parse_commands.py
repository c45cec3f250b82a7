"""A grammar for statements that sqlglot keeps as opaque text, or does not know: see :mod:`command_syntax`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot.tokenizer_core import Token, TokenType

from gpuql_planner.sql.command_syntax import (
    Argument,
    CommandSyntax,
    CommentSyntax,
    CreateSchemaSyntax,
    DeallocateSyntax,
    DropSyntax,
    ExecuteSyntax,
    ExportSyntax,
    ImportSyntax,
    MacroOverload,
    MacroParameter,
    MacroSyntax,
    MaintenanceSyntax,
    PragmaSyntax,
    SequenceSyntax,
    ShowSyntax,
    TypeSyntax,
    UseSyntax,
)
from gpuql_planner.sql.command_words import Grammar, Words, nesting, split
from gpuql_planner.sql.parse_copy import parse_copy

_QUERY_STARTS = (TokenType.SELECT, TokenType.FROM, TokenType.WITH, TokenType.VALUES)
_ASSIGNS = (TokenType.COLON_EQ, TokenType.FARROW)


def parse_command(tokens: Sequence[Token], grammar: Grammar) -> CommandSyntax | None:
    """The command that ``tokens`` are; None if they are something that sqlglot reads. Errors: ParserError."""
    words = Words(tokens, grammar)
    parse = _STATEMENTS.get(words.peek())
    if parse is None:
        return None
    words.take()
    command = parse(words)
    if command is not None:
        words.end()
    return command


def _arguments(words: Words) -> tuple[Argument, ...]:
    if not words.opens():
        return ()
    return tuple(_argument(words.within(item)) for item in words.items())


def _argument(words: Words) -> Argument:
    name, offset = None, words.offset
    if words.is_next(TokenType.COLON_EQ, 1) or words.is_next(TokenType.FARROW, 1):
        name = words.part()
        words.take()
    return Argument(name, words.grammar.expression(words.rest()), offset)


def _execute(words: Words) -> CommandSyntax:
    return ExecuteSyntax(words.name(), _arguments(words))


def _deallocate(words: Words) -> CommandSyntax:
    if words.peek() == "PREPARE" and words.token(1) is not None:
        words.take()
    if words.peek() == "ALL" and words.token(1) is None:
        words.take()
        return DeallocateSyntax(None)
    return DeallocateSyntax(words.name())


def _pragma(words: Words) -> CommandSyntax:
    name = words.name()
    arguments = _arguments(words)
    value = None
    if words.accept("="):
        value = words.grammar.expression(words.rest())
    return PragmaSyntax(name, arguments, value)


def _show(words: Words) -> CommandSyntax:
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


def _use(words: Words) -> CommandSyntax:
    return UseSyntax(words.name())


def _maintenance(kind: str) -> Callable[[Words], CommandSyntax]:
    def parse(words: Words) -> CommandSyntax:
        if kind == "VACUUM":
            while words.accept("ANALYZE") or words.accept("FULL"):
                pass
        relation = None if words.token() is None else words.name()
        if relation is not None and words.opens():
            words.parenthesised()
        return MaintenanceSyntax(kind, relation)

    return parse


def _force(words: Words) -> CommandSyntax | None:
    return _maintenance("CHECKPOINT")(words) if words.accept("CHECKPOINT") else None


def _comment(words: Words) -> CommandSyntax:
    words.expect("ON")
    kind = words.part().lower()
    name = words.name()
    words.expect("IS")
    return CommentSyntax(kind, name, None if words.accept("NULL") else words.string())


def _create(words: Words) -> CommandSyntax | None:
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


def _create_schema(words: Words, or_replace: bool, if_not_exists: bool, temporary: bool) -> CommandSyntax:  # noqa: FBT001
    return CreateSchemaSyntax(words.name(), or_replace, if_not_exists)


def _create_sequence(words: Words, or_replace: bool, if_not_exists: bool, temporary: bool) -> CommandSyntax:  # noqa: FBT001
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


def _create_macro(words: Words, or_replace: bool, if_not_exists: bool, temporary: bool) -> CommandSyntax:  # noqa: FBT001
    name = words.name()
    overloads = [_overload(words)]
    while words.is_next(TokenType.COMMA):
        words.take()
        overloads.append(_overload(words))
    return MacroSyntax(name, tuple(overloads), or_replace, if_not_exists, temporary)


def _overload(words: Words) -> MacroOverload:
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


def _body(words: Words) -> list[Token]:
    """Tokens up to the comma before another overload, or the end."""
    taken: list[Token] = []
    depth = 0
    while (token := words.token()) is not None:
        kind = token.token_type
        if kind is TokenType.COMMA and depth == 0 and _another_overload(words):
            break
        depth += nesting(token)
        taken.append(words.take())
    if not taken:
        raise words.unexpected("a macro needs a body")
    return taken


def _another_overload(words: Words) -> bool:
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


def _parameter(words: Words) -> MacroParameter:
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


def _create_type(words: Words, or_replace: bool, if_not_exists: bool, temporary: bool) -> CommandSyntax:  # noqa: FBT001
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


def _label(words: Words) -> str:
    label = words.string()
    words.end()
    return label


def _drop(words: Words) -> CommandSyntax | None:
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


def _export(words: Words) -> CommandSyntax:
    words.expect("DATABASE")
    if not words.is_next(TokenType.STRING):
        words.name()
        words.expect("TO")
    path, offset = words.string(), words.offset
    kind = "csv"
    options: list[tuple[str, str]] = []
    if words.opens():
        for item in words.items():
            option = words.within(item)
            option_offset, name = option.offset, option.part().lower()
            if name == "format":
                kind = option.rest()[0].text.lower()
                if kind not in ("csv", "parquet"):
                    raise words.grammar.error(
                        f"format of an exported database: {kind}", option_offset, "csv or parquet"
                    )
            else:
                options.append((name, words.grammar.text[item[0].start : item[-1].end + 1]))
    return ExportSyntax(path, kind, tuple(options), offset)


def _import(words: Words) -> CommandSyntax:
    words.expect("DATABASE")
    return ImportSyntax(words.string())


_STATEMENTS: dict[str, Callable[[Words], CommandSyntax | None]] = {
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
    "COPY": parse_copy,
    "EXPORT": _export,
    "IMPORT": _import,
}
