"""Statements about tables and views: CREATE, DROP, INSERT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp
from sqlglot.tokenizer_core import TokenType

from gpuql_planner.catalog import Field
from gpuql_planner.errors import BinderError, ParserError
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Expression, Literal
from gpuql_planner.logical.nodes import LogicalNode, Project
from gpuql_planner.sql.bind_create_table import bind_columns
from gpuql_planner.sql.bind_query import BoundQuery, rename
from gpuql_planner.sql.names import known_name, new_name
from gpuql_planner.sql.parse import ParsedStatement
from gpuql_planner.sql.scope import relation_of
from gpuql_planner.sql.statements import (
    CreateTable,
    CreateView,
    Drop,
    Query,
    Statement,
)
from gpuql_planner.types import INTEGER, NULL

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder


def bind_create(queries: QueryBinder, parsed: ParsedStatement, node: exp.Create) -> Statement:
    """CREATE TABLE or CREATE VIEW."""
    context = queries.context
    context.reject_other(node, "this", "kind", "replace", "expression", "exists", "properties", "with_")
    kind = str(node.args.get("kind") or "").upper()
    if kind not in ("TABLE", "VIEW"):
        raise context.unsupported(f"CREATE {kind}", node)
    for option in node.args["properties"].expressions if node.args.get("properties") else ():
        if not isinstance(option, exp.TemporaryProperty):
            raise context.unsupported(f"CREATE {kind} with {option.sql('duckdb')}", option)
    schema = node.this if isinstance(node.this, exp.Schema) else None
    temporary = node.find(exp.TemporaryProperty) is not None
    name = new_name(queries, schema.this if schema else node.this, temporary=temporary)
    or_replace, if_not_exists = bool(node.args.get("replace")), bool(node.args.get("exists"))
    if or_replace and if_not_exists:
        raise context.error(BinderError, "OR REPLACE and IF NOT EXISTS exclude each other", node)
    columns = list(schema.expressions) if schema else []
    if kind == "VIEW":
        return _create_view(queries, parsed, node, name, columns, or_replace, if_not_exists)
    if node.expression is None:
        fields, rules = bind_columns(queries, name, columns, node)
        return CreateTable(name, fields, None, or_replace, if_not_exists, rules)
    query = _named_columns(queries, queries.bind(node.expression), columns, name, node)
    fields = tuple(
        Field(column, INTEGER if output.dtype == NULL else output.dtype)
        for column, output in zip(query.names, query.plan.outputs, strict=True)
    )
    plan = _typed(query.plan, [field.dtype for field in fields])
    return CreateTable(name, fields, Query(plan, query.names), or_replace, if_not_exists)


def _named_columns(
    queries: QueryBinder, query: BoundQuery, columns: Sequence[exp.Expr], name: str, node: exp.Expr
) -> BoundQuery:
    """The query with unique column names, the first ones as given in ``CREATE TABLE name (columns) AS``."""
    for column in columns:
        if isinstance(column, exp.ColumnDef) and column.args.get("kind") is not None:
            raise queries.context.unsupported("column types in CREATE TABLE AS", column)
    given = tuple(column.name for column in columns)
    names = rename(queries.context, query.names, given, name, node)
    unique = relation_of(name, names, query.plan.outputs)
    return BoundQuery(query.plan, tuple(column.name for column in unique.columns))


def _typed(plan: LogicalNode, types: Sequence[object]) -> LogicalNode:
    """Give columns that are NULL throughout the type INTEGER, as DuckDB does when it stores them."""
    if all(output.dtype != NULL for output in plan.outputs):
        return plan
    items: list[tuple[Attribute, Expression]] = []
    for output in plan.outputs:
        if output.dtype == NULL:
            items.append((Attribute.fresh(output.name, INTEGER), Literal(None, INTEGER)))
        else:
            items.append((output, AttributeRef(output)))
    return Project(plan, tuple(items))


def _create_view(
    queries: QueryBinder,
    parsed: ParsedStatement,
    node: exp.Create,
    name: str,
    columns: Sequence[exp.Expr],
    or_replace: bool,  # noqa: FBT001
    if_not_exists: bool,  # noqa: FBT001
) -> Statement:
    context = queries.context
    if node.expression is None:
        raise context.error(ParserError, "view without a query", node)
    names = tuple(column.name for column in columns)
    query = queries.bind(node.expression)
    rename(context, query.names, names, name, node)
    if context.parameters is not None and any(True for _ in node.find_all(exp.Placeholder)):
        raise context.unsupported("parameters in a view", node)
    return CreateView(name, _query_text(parsed), names or None, or_replace, if_not_exists)


def _query_text(parsed: ParsedStatement) -> str:
    """Text after the first AS of a CREATE VIEW that is not inside parentheses."""
    depth = 0
    for index, token in enumerate(parsed.tokens):
        if token.token_type is TokenType.L_PAREN:
            depth += 1
        elif token.token_type is TokenType.R_PAREN:
            depth -= 1
        elif token.token_type is TokenType.ALIAS and depth == 0:
            return parsed.text[parsed.tokens[index + 1].start : parsed.tokens[-1].end + 1]
    raise ParserError("view without a query", statement=parsed.text)


def bind_drop(queries: QueryBinder, node: exp.Drop) -> Drop:
    """DROP TABLE or DROP VIEW of one name."""
    context = queries.context
    kind = str(node.args.get("kind") or "").upper()
    if kind not in ("TABLE", "VIEW"):
        raise context.unsupported(f"DROP {kind}", node)
    context.reject_other(node, "this", "tables", "kind", "exists", "cascade", "restrict")
    tables = node.args.get("tables") or [node.this]
    if len(tables) != 1:
        raise context.unsupported("DROP of several names at once", tables[1])
    return Drop(kind.lower(), known_name(queries, tables[0]), bool(node.args.get("exists")))
