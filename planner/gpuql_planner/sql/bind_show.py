"""DESCRIBE, SHOW, SUMMARIZE and PRAGMA: questions, which become queries over constants or over our own tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.catalog import Table, View
from gpuql_planner.errors import BinderError, CatalogError, did_you_mean
from gpuql_planner.logical.expressions import Attribute, Literal, LiteralValue
from gpuql_planner.logical.nodes import Values
from gpuql_planner.sql.bind_commands import bind_search_path, error_at
from gpuql_planner.sql.bind_query import BoundQuery
from gpuql_planner.sql.bind_settings import SEARCH_PATH_SETTINGS, check_setting
from gpuql_planner.sql.command_syntax import PragmaSyntax, ShowSyntax
from gpuql_planner.sql.context import BindContext
from gpuql_planner.sql.expand_macros import expand_macros
from gpuql_planner.sql.names import known_name, schema_names
from gpuql_planner.sql.parse import parse_statements, position_of_offset
from gpuql_planner.sql.scope import Scope
from gpuql_planner.sql.statements import Query, SetVariable, ShowPlacement, Statement
from gpuql_planner.sql.summarize import summary_query
from gpuql_planner.statement_errors import UndefinedFunction, UndefinedSchema, UndefinedTable
from gpuql_planner.table_rules import NO_RULES, rules_of
from gpuql_planner.types import BOOLEAN, INTEGER, VARCHAR, DataType

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder

#: Queries of SHOW by their words.
_SHOWN: dict[tuple[str, ...], str] = {
    ("TABLES",): "SELECT name FROM gpuql_shown_tables() WHERE visible ORDER BY 1",
    ("ALL", "TABLES"): (
        "SELECT database, schema, name, column_names, column_types, temporary FROM gpuql_shown_tables()"
        " ORDER BY 1, 2, 3"
    ),
    ("DATABASES",): "SELECT 'memory' AS database_name",
    ("SCHEMAS",): (
        "SELECT database_name, schema_name, schema_name = current_schema() AS current FROM gpuql_schemas()"
        " WHERE NOT internal OR (schema_name = 'main' AND database_name = 'memory') ORDER BY 1, 2"
    ),
    ("VARIABLES",): "SELECT name, value, type FROM gpuql_variables() ORDER BY 1",
    ("SETTINGS",): "SELECT name, value, description FROM gpuql_settings() ORDER BY 1",
    ("FUNCTIONS",): "SELECT DISTINCT function_name, function_type FROM gpuql_functions() ORDER BY 1, 2",
    ("SEQUENCES",): "SELECT sequence_name FROM gpuql_sequences() ORDER BY 1",
    ("TYPES",): "SELECT type_name FROM gpuql_types() ORDER BY 1",
    ("VIEWS",): "SELECT view_name AS name FROM gpuql_views() ORDER BY 1",
    (
        "MACROS",
    ): "SELECT function_name AS name FROM gpuql_functions() WHERE function_type LIKE '%macro' ORDER BY 1",
}


def query_of(context: BindContext, text: str) -> Query:
    """A query of our own."""
    from gpuql_planner.sql.bind_query import QueryBinder

    inner = BindContext(text, context.catalog)
    tree = parse_statements(text)[0].tree
    assert tree is not None, "a query of our own is one statement"
    query = QueryBinder(inner, {}).bind(tree)
    return Query(query.plan, query.names)


def bind_show(queries: QueryBinder, syntax: ShowSyntax) -> Statement:
    """SHOW of one of our lists, a relation, a query, or a setting."""
    context, words = queries.context, syntax.words
    if words == ("PLACEMENT",):
        return ShowPlacement()
    if syntax.of is not None:
        if syntax.of.parts[-1].lower() not in [name.lower() for name in schema_names(context)]:
            raise error_at(
                context, UndefinedSchema, f"schema does not exist: {syntax.of.text}", syntax.of.offset
            )
        schema = syntax.of.parts[-1].replace("'", "''")
        return query_of(
            context,
            f"SELECT name FROM gpuql_shown_tables() WHERE lower(schema) = lower('{schema}') ORDER BY 1",
        )
    if words in _SHOWN:
        return query_of(context, _SHOWN[words])
    if isinstance(syntax.relation, exp.Table) and not syntax.relation.args.get("db"):
        name = syntax.relation.name
        found = context.catalog.resolve(known_name(queries, syntax.relation))
        known = context.catalog.definitions("setting")
        if found is None and name.lower() in (*known, *SEARCH_PATH_SETTINGS):
            return _show_setting(context, name.lower())
        if found is None:
            hint = did_you_mean(
                name, [*context.catalog.relation_names(), *known, *(" ".join(one) for one in _SHOWN)]
            )
            raise error_at(context, UndefinedTable, f"table does not exist: {name}", syntax.offset, hint)
    if syntax.relation is None:
        spelled = " ".join(words)
        hint = did_you_mean(spelled, [" ".join(one) for one in _SHOWN])
        raise error_at(context, BinderError, f"nothing to show: {spelled}", syntax.offset, hint)
    return describe(queries, expand_macros(context, syntax.relation))


def _show_setting(context: BindContext, name: str) -> Query:
    if name in SEARCH_PATH_SETTINGS:
        value: object = ",".join(context.catalog.search_path())
    else:
        value = context.catalog.definitions("setting")[name]
    dtype = BOOLEAN if isinstance(value, bool) else INTEGER if isinstance(value, int) else VARCHAR
    assert isinstance(value, (bool, int, str)), "settings are numbers, texts or truth values"
    return Query(Values((Attribute.fresh(name, dtype),), ((value,),)), (name,))


def bind_describe(queries: QueryBinder, node: exp.Describe) -> Query:
    """DESCRIBE of a table, view or query; of nothing, all tables."""
    queries.context.reject_other(node, "this", "kind")
    if node.this is None:
        return query_of(queries.context, _SHOWN["ALL", "TABLES"])
    return describe(queries, node.this)


_DESCRIBED = ("column_name", "column_type", "null", "key", "default", "extra")


def describe(queries: QueryBinder, tree: exp.Expr) -> Query:
    """Names and types of a relation's or query's columns, and what is declared of a table's columns."""
    table = _described_table(queries, tree)
    query = queries.bind(tree)
    rows: list[tuple[LiteralValue, ...]] = []
    for place, (name, output) in enumerate(zip(query.names, query.plan.outputs, strict=True)):
        nullable = table is None or table.fields[place].nullable
        shown = '"NULL"' if str(output.dtype) == "NULL" else str(output.dtype)
        rules = NO_RULES if table is None else rules_of(table)
        rows.append((name, shown, "YES" if nullable else "NO", rules.key_word(name), rules.shown(name), None))
    return _constant_rows([(name, VARCHAR) for name in _DESCRIBED], rows)


def _described_table(queries: QueryBinder, tree: exp.Expr) -> Table | None:
    if not isinstance(tree, exp.Table) or not isinstance(tree.this, exp.Identifier):
        return None
    found = queries.context.catalog.resolve(known_name(queries, tree))
    return None if found is None or isinstance(found, View) else found


def _constant_rows(columns: list[tuple[str, DataType]], rows: Sequence[tuple[LiteralValue, ...]]) -> Query:
    outputs = tuple(Attribute.fresh(name, dtype) for name, dtype in columns)
    return Query(Values(outputs, tuple(rows)), tuple(name for name, _ in columns))


def bind_summarize(queries: QueryBinder, node: exp.Summarize) -> Query:
    """SUMMARIZE of a table or query: a row of aggregates for each of its columns."""
    source = queries.bind(node.this)
    query: BoundQuery = summary_query(queries, source)
    return Query(query.plan, query.names)


#: Pragmas that are queries, without and with the name of a table.
_PRAGMA_QUERIES: dict[str, str] = {
    "version": "SELECT * FROM pragma_version()",
    "database_list": "SELECT 0 AS seq, 'memory' AS name, CAST(NULL AS VARCHAR) AS file",
    "show_tables": _SHOWN["TABLES",],
    "show_tables_expanded": _SHOWN["ALL", "TABLES"],
    "show_databases": _SHOWN["DATABASES",],
    "show_schemas": _SHOWN["SCHEMAS",],
    "database_size": "SELECT * FROM pragma_database_size()",
    "functions": _SHOWN["FUNCTIONS",],
    "collations": "SELECT collname FROM (VALUES ('binary')) AS t(collname)",
}


def bind_pragma(queries: QueryBinder, syntax: PragmaSyntax) -> Statement:
    """PRAGMA of a question, or of a setting as ``PRAGMA name = value``."""
    context, name = queries.context, syntax.name.text.lower()
    if syntax.value is not None:
        if name in SEARCH_PATH_SETTINGS:
            return bind_search_path(context, str(syntax.value.name))
        check_setting(context, name, syntax.value)
        return SetVariable(name, _pragma_value(queries, syntax.value))
    arguments = [_pragma_value(queries, argument.value) for argument in syntax.arguments]
    if name in _PRAGMA_QUERIES and not arguments:
        return query_of(context, _PRAGMA_QUERIES[name])
    if name == "table_info" and len(arguments) == 1:
        written = str(arguments[0]).replace("'", "''")
        try:
            return query_of(context, f"SELECT * FROM pragma_table_info('{written}')")
        except CatalogError as error:
            error.position = position_of_offset(context.text, syntax.name.offset)
            error.statement = context.text
            raise
    if name in context.catalog.definitions("setting"):
        return _show_setting(context, name)
    hint = did_you_mean(name, [*_PRAGMA_QUERIES, "table_info", *context.catalog.definitions("setting")])
    raise error_at(context, UndefinedFunction, f"pragma does not exist: {name}", syntax.name.offset, hint)


def _pragma_value(queries: QueryBinder, node: exp.Expr) -> object:
    from gpuql_planner.sql.bind_expressions import ExpressionBinder

    if isinstance(node, exp.Column):
        return node.name
    literal = ExpressionBinder(queries.context, Scope(), queries, "PRAGMA").bind(node)
    if not isinstance(literal, Literal):
        raise queries.context.error(BinderError, "value of PRAGMA must be a constant", node)
    return literal.value
