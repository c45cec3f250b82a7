"""Statements: parsed text to what the session executes."""

from __future__ import annotations

import datetime
from dataclasses import replace

from sqlglot import exp

from gpuql_planner.catalog import Catalog
from gpuql_planner.errors import CatalogError, GpuqlError, NotSupportedError, ParserError
from gpuql_planner.logical.traced import Trace
from gpuql_planner.session_zone import binding_in_zone
from gpuql_planner.sql.bind_alter import bind_alter
from gpuql_planner.sql.bind_changes import bind_delete, bind_truncate, bind_update
from gpuql_planner.sql.bind_commands import bind_command
from gpuql_planner.sql.bind_definitions import bind_create, bind_drop
from gpuql_planner.sql.bind_insert import bind_insert
from gpuql_planner.sql.bind_merge import bind_merge
from gpuql_planner.sql.bind_query import BoundQuery, QueryBinder
from gpuql_planner.sql.bind_settings import bind_reset, bind_set
from gpuql_planner.sql.bind_show import bind_describe, bind_summarize
from gpuql_planner.sql.change_statements import TransactionStatement
from gpuql_planner.sql.context import BindContext, Parameters
from gpuql_planner.sql.expand_macros import expand_macros
from gpuql_planner.sql.parse import ParsedStatement, parse_statements, position_of_offset
from gpuql_planner.sql.statement_shape import StatementShape, mark_slots
from gpuql_planner.sql.statement_subject import locate_at_subject
from gpuql_planner.sql.statement_words import statement_hint
from gpuql_planner.sql.statements import Explain, Query, Statement
from gpuql_planner.statement_errors import InvalidDefinition, LimitExceeded

_UNSUPPORTED_STATEMENTS: dict[type[exp.Expr], str] = {
    exp.Transaction: "this form of BEGIN",
    exp.Commit: "this form of COMMIT",
    exp.Rollback: "this form of ROLLBACK",
}


def bind_statements(
    text: str,
    catalog: Catalog,
    parameters: Parameters = None,
    *,
    integer_division: bool = False,
    time_zone: str = "UTC",
) -> list[Statement]:
    """Parse and bind every statement of ``text`` against the catalog as it is now.

    A statement that uses what an earlier one creates must be bound after that one ran: see :func:`bind_statement`.
    """
    return [
        bind_statement(parsed, catalog, parameters, integer_division=integer_division, time_zone=time_zone)
        for parsed in parse_statements(text)
    ]


def bind_statement(
    parsed: ParsedStatement,
    catalog: Catalog,
    parameters: Parameters = None,
    *,
    integer_division: bool = False,
    time_zone: str = "UTC",
    began: datetime.datetime | None = None,
    shape: StatementShape | None = None,
    trace: Trace | None = None,
) -> Statement:
    """Bind one parsed statement.

    Parameters
    ----------
    parsed : one result of :func:`gpuql_planner.sql.parse.parse_statements`.
    catalog : resolves table, view and file names.
    parameters : values for ``?`` and ``$1`` (a sequence) or ``$name`` (a mapping). Every value must be used.
    integer_division : ``/`` of two integers truncates, as ``//`` does.
    time_zone : where TIMESTAMP WITH TIME ZONE has a date and a time of day; a name as the database spells it.
    began : when the transaction did, in UTC and without a zone; None for one that begins now.
    shape, trace : the statement's constants as slots, and where to record what becomes of them. Only queries are
        traced; the constants of other statements are plain.

    Raises
    ------
    BinderError, CatalogError, ConversionError, NotSupportedError, InterfaceError
        With the position in the text.
    """
    context = BindContext(parsed.text, catalog, parameters, integer_division=integer_division)
    if shape is not None and trace is not None and isinstance(parsed.tree, exp.Query):
        mark_slots(parsed.tree, shape)
        context.trace, context.parameter_slots = trace, shape.parameters
    _number_placeholders(parsed)
    try:
        with binding_in_zone(time_zone, began):
            statement = _bind(context, parsed)
        context.check_parameters()
    except RecursionError:
        raise LimitExceeded(
            "statement is nested too deeply",
            position=position_of_offset(parsed.text, parsed.tokens[0].start),
            statement=parsed.text,
        ) from None
    except GpuqlError as error:
        locate_at_subject(error, parsed)
        raise
    if trace is not None:
        trace.pin_unbound()
    return statement


def bind_query_text(
    text: str, catalog: Catalog, *, views: tuple[str, ...] = (), integer_division: bool = False
) -> BoundQuery:
    """Bind the text of a view, ``views`` being those it is part of."""
    parsed = parse_statements(text)
    if len(parsed) != 1 or not isinstance(parsed[0].tree, (exp.Query, exp.Values)):
        raise InvalidDefinition("text of a view is not one query", statement=text)
    context = BindContext(text, catalog, views=views, integer_division=integer_division)
    return QueryBinder(context, {}).bind(expand_macros(context, parsed[0].tree))


def check_prepared(context: BindContext, parsed: ParsedStatement) -> None:
    """Refuse a prepared statement that names what does not exist; its parameters stand for NULL here.

    Other errors may be due to that, and are told when it is executed.
    """
    names = {str(node.this) for node in _placeholders(parsed) if node.this}
    positional = any(not node.this for node in _placeholders(parsed)) or any(map(str.isdigit, names))
    values: Parameters = None
    if positional:
        highest = max((int(name) for name in names if name.isdigit()), default=0)
        values = (None,) * max(highest, sum(not node.this for node in _placeholders(parsed)))
    elif names:
        values = dict.fromkeys(names)
    _number_placeholders(parsed)
    probe = BindContext(context.text, context.catalog, values, integer_division=context.integer_division)
    tree = None if parsed.tree is None else parsed.tree.copy()
    try:
        _bind(probe, replace(parsed, tree=tree))
    except CatalogError:
        raise
    except GpuqlError:
        if values is None:
            raise


def _placeholders(parsed: ParsedStatement) -> list[exp.Placeholder]:
    return [] if parsed.tree is None else list(parsed.tree.find_all(exp.Placeholder))


def _number_placeholders(parsed: ParsedStatement) -> None:
    """Number the ``?`` of a statement as they stand in its text, whatever clause is bound first."""
    innermost = parsed
    while innermost.inner is not None:
        innermost = innermost.inner
    if innermost.tree is None:
        return
    marks = [node for node in innermost.tree.find_all(exp.Placeholder) if not node.this]
    for index, node in enumerate(sorted(marks, key=lambda node: int(node.meta.get("start", 0)))):
        node.meta["parameter_index"] = index


def _bind(context: BindContext, parsed: ParsedStatement) -> Statement:
    if parsed.command == "explain":
        assert parsed.inner is not None, "EXPLAIN wraps a statement"
        return Explain(_bind(context, parsed.inner), parsed.mode)
    if parsed.command == "transaction":
        return TransactionStatement(parsed.mode)
    if parsed.command == "reset":
        return bind_reset(context, parsed.mode)
    queries = QueryBinder(context, {})
    if parsed.syntax is not None:
        return bind_command(queries, parsed)
    assert parsed.tree is not None, "a statement has a tree"
    tree = expand_macros(context, parsed.tree)
    match tree:
        case exp.Query() | exp.Values() | exp.Pivot():
            query = queries.bind(tree)
            return Query(query.plan, query.names)
        case exp.Create():
            return bind_create(queries, parsed, tree)
        case exp.Drop():
            return bind_drop(queries, tree)
        case exp.Insert():
            return bind_insert(queries, tree)
        case exp.Update():
            return bind_update(queries, tree)
        case exp.Delete():
            return bind_delete(queries, tree)
        case exp.Merge():
            return bind_merge(queries, tree)
        case exp.Alter():
            return bind_alter(queries, tree)
        case exp.TruncateTable():
            return bind_truncate(queries, tree)
        case exp.Describe():
            return bind_describe(queries, tree)
        case exp.Summarize():
            return bind_summarize(queries, tree)
        case exp.Set():
            return bind_set(queries, tree)
    name = _UNSUPPORTED_STATEMENTS.get(type(tree))
    if name is None and isinstance(tree, exp.Command):
        name = f"this form of {str(tree.this).upper()}"
    if name is not None:
        first = position_of_offset(parsed.text, parsed.tokens[0].start)
        raise NotSupportedError(f"statement not supported: {name}", position=first, statement=context.text)
    raise ParserError(
        "not a statement",
        position=position_of_offset(parsed.text, parsed.tokens[0].start),
        statement=context.text,
        hint=statement_hint(parsed.tokens[0].text),
    )
