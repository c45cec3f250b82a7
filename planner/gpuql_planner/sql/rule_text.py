"""SQL texts that tables keep: defaults, generated columns, checks. Written from a tree once, bound at each use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.errors import BinderError, GpuqlError, ParserError
from gpuql_planner.logical.expressions import Attribute, Expression
from gpuql_planner.sql.bind_grouping import contains_aggregate
from gpuql_planner.sql.context import BindContext
from gpuql_planner.sql.parse import parse_statements
from gpuql_planner.sql.scope import Scope, relation_of
from gpuql_planner.statement_errors import GroupingError
from gpuql_planner.thresholds import RULE_TEXTS_PARSED

if TYPE_CHECKING:
    from gpuql_planner.catalog import Catalog

_BEFORE = "SELECT "


def rule_text(context: BindContext, node: exp.Expr, what: str) -> str:
    """SQL of the tree, which reads as the tree does.

    Errors: BinderError for subqueries, aggregates and parameters; NotSupportedError if the text would read otherwise.
    """
    if node.find(exp.Query) is not None:
        raise context.error(BinderError, f"subqueries may not stand in {what}", node)
    if contains_aggregate(node):
        raise context.error(GroupingError, f"aggregate functions may not stand in {what}", node)
    if node.find(exp.Placeholder) is not None:
        raise context.unsupported(f"parameters in {what}", node)
    text = str(node.sql("duckdb"))
    try:
        same = rule_tree(text) == node
    except ParserError:
        same = False
    if not same:
        raise context.unsupported(f"this expression in {what}", node)
    return text


@lru_cache(maxsize=RULE_TEXTS_PARSED)
def rule_tree(text: str) -> exp.Expr:
    """The tree of a text from :func:`rule_text`; not to be changed."""
    tree = parse_statements(_BEFORE + text)[0].tree
    assert isinstance(tree, exp.Select), "a SELECT was written"
    item = tree.expressions[0]
    assert isinstance(item, exp.Expr), "an item was written"
    return item


def columns_in(node: exp.Expr) -> list[exp.Column]:
    """All column names of a tree."""
    return list(node.find_all(exp.Column))


def bind_rule(
    text: str, catalog: Catalog, table: str = "", columns: Mapping[str, Attribute] | None = None
) -> Expression:
    """The text as an expression over the columns of a row."""
    from gpuql_planner.sql.bind_expressions import ExpressionBinder
    from gpuql_planner.sql.bind_query import QueryBinder

    context = BindContext(_BEFORE + text, catalog)
    given = {} if columns is None else columns
    scope = Scope([relation_of(table, given, given.values())] if given else [])
    try:
        return ExpressionBinder(context, scope, QueryBinder(context, {}), "a table's rules").bind(
            rule_tree(text)
        )
    except GpuqlError as error:
        error.position = error.statement = None  # they are of the rule's text, not of the statement's
        raise


def renamed_column(text: str, old: str, new: str) -> str:
    """The text after column ``old`` was renamed."""
    tree = rule_tree(text).copy()
    for column in columns_in(tree):
        if column.name.lower() == old.lower():
            column.set("this", exp.to_identifier(new, quoted=True))
    return str(tree.sql("duckdb"))
