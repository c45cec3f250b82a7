"""The table that a statement changes: its rows with their numbers, defaults, generated columns, RETURNING."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.catalog import Field, Table, View
from gpuql_planner.errors import BinderError, GpuqlError, did_you_mean
from gpuql_planner.functions import coerce
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Expression, Literal
from gpuql_planner.logical.nodes import LogicalNode, Project, Scan
from gpuql_planner.logical.visit import pass_through
from gpuql_planner.sql.bind_from import FromItem, scan
from gpuql_planner.sql.bind_grouping import contains_aggregate
from gpuql_planner.sql.change_statements import Returning
from gpuql_planner.sql.context import BindContext
from gpuql_planner.sql.names import known_name
from gpuql_planner.sql.rule_text import bind_rule
from gpuql_planner.sql.scope import Relation, Scope, relation_of
from gpuql_planner.sql.statements import Query
from gpuql_planner.statement_errors import (
    GeneratedColumn,
    GroupingError,
    UndefinedColumn,
    UndefinedTable,
    WrongObjectType,
)
from gpuql_planner.table_rules import PendingTable, TableRules, changeable, rules_of

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder


@dataclass(frozen=True)
class Target:
    """A table to be changed, under the name that the statement gives it."""

    name: str
    table: Table
    alias: str
    rules: TableRules

    def field(self, context: BindContext, name: str, node: exp.Expr) -> Field:
        """The column called ``name``. Errors: BinderError if there is none."""
        for field in self.table.fields:
            if field.name.lower() == name.lower():
                return field
        hint = did_you_mean(name, [field.name for field in self.table.fields])
        raise context.error(
            UndefinedColumn, f"column not found in table {self.table.name}: {name}", node, hint=hint
        )

    def given_field(self, context: BindContext, name: str, node: exp.Expr) -> Field:
        """As :meth:`field`, of a column that takes values. Errors: BinderError for a generated column too."""
        field = self.field(context, name, node)
        if field.name in self.rules.generated_columns:
            raise context.error(
                GeneratedColumn,
                f"column is generated and takes no values: {self.table.name}.{field.name}",
                node,
            )
        return field

    @property
    def given_fields(self) -> list[Field]:
        """All columns that take values."""
        generated = self.rules.generated_columns
        return [field for field in self.table.fields if field.name not in generated]


@dataclass(frozen=True)
class NumberedRows:
    """The target's rows as a relation; ``number`` is the attribute that holds their numbers, visible to nobody."""

    item: FromItem
    number: Attribute
    columns: dict[str, Attribute]


def bind_target(queries: QueryBinder, node: exp.Expr | None) -> Target:
    """The table that a statement names.

    Errors: CatalogError if there is none, or a view; NotSupportedError if its rows cannot be changed.
    """
    context = queries.context
    if not isinstance(node, exp.Table):
        raise context.unsupported("this target of a change", node)
    context.reject_other(node, "this", "db", "catalog", "alias")
    name = known_name(queries, node)
    with context.locating(node):
        found = context.catalog.resolve(name)
    if found is None:
        hint = did_you_mean(name, context.catalog.relation_names())
        raise context.error(UndefinedTable, f"table does not exist: {name}", node, hint=hint)
    if isinstance(found, View):
        raise context.error(WrongObjectType, f"not a table but a view: {name}", node)
    alias = node.args.get("alias")
    if alias is not None and alias.columns:
        raise context.unsupported("column names for the target of a change", node)
    return Target(name, found, node.alias or node.name, rules_of(found))


def numbered_rows(queries: QueryBinder, target: Target, node: exp.Expr | None) -> NumberedRows:
    """The target's rows with their numbers. Errors: NotSupportedError if its rows cannot be changed."""
    table = changeable(target.table)
    if table is None:
        raise queries.context.unsupported(f"changes of this kind of table: {target.name}", node)
    plan = scan(table.numbered())
    *attributes, number = plan.outputs
    names = [field.name for field in target.table.fields]
    columns = dict(zip(names, attributes, strict=True))
    relation = relation_of(target.alias, names, attributes)
    return NumberedRows(FromItem(plan, Scope([relation], parent=queries.parent)), number, columns)


def is_default(node: exp.Expr) -> bool:
    """Whether this is the word DEFAULT in place of a value."""
    if isinstance(node, exp.Var):
        return node.name.upper() == "DEFAULT"
    if not isinstance(node, exp.Column) or node.args.get("table") is not None:
        return False
    return node.name.upper() == "DEFAULT" and not node.this.args.get("quoted")


def default_value(context: BindContext, target: Target, field: Field) -> Expression:
    """What the column holds where no value is given."""
    text = target.rules.default(field.name)
    if text is None:
        return Literal(None, field.dtype)
    with context.for_column(field.name):
        return coerce(bind_rule(text, context.catalog), field.dtype)


def assigned(context: BindContext, value: Expression, field: Field, node: exp.Expr | None) -> Expression:
    """The value as the column's type. Errors: those of the cast, pointing at ``node``."""
    try:
        return coerce(value, field.dtype)
    except GpuqlError as error:
        if error.position is None:
            error.position, error.statement = context.position(node), context.text
        error.hint = error.hint or f"for column {field.name}"
        raise


def with_generated(
    context: BindContext,
    target: Target,
    plan: LogicalNode,
    values: Mapping[str, Attribute],
    changed: Iterable[str] | None = None,
) -> tuple[LogicalNode, dict[str, Attribute]]:
    """The plan with generated columns computed from ``values``; only those that depend on ``changed`` if given."""
    known = dict(values)
    stale = None if changed is None else set(changed)
    for one in target.rules.generated:
        if stale is not None and stale.isdisjoint(one.columns):
            continue
        if stale is not None:
            stale.add(one.column)
        field = next(field for field in target.table.fields if field.name == one.column)
        with context.for_column(field.name):
            value = coerce(
                bind_rule(one.text, context.catalog, target.table.name.rpartition(".")[2], known), field.dtype
            )
        attribute = Attribute.fresh(field.name, field.dtype)
        plan = Project(plan, (*pass_through(plan.outputs), (attribute, value)))
        known[field.name] = attribute
    return plan, known


def bind_returning(
    queries: QueryBinder, target: Target, node: exp.Expr | None, extra: Sequence[Field] = ()
) -> Returning | None:
    """RETURNING over the rows as changed. ``extra`` columns are there too, and not part of ``*``."""
    from gpuql_planner.sql.bind_expressions import ExpressionBinder
    from gpuql_planner.sql.select_list import expand_select_list

    if node is None:
        return None
    context = queries.context
    context.reject_other(node, "expressions")
    for item in node.expressions:
        if item.find(exp.Query) is not None:
            raise context.error(BinderError, "subqueries may not stand in RETURNING", item)
        if contains_aggregate(item):
            raise context.error(GroupingError, "aggregate functions may not stand in RETURNING", item)
    fields = tuple(replace(field, nullable=True) for field in target.table.fields)
    pending = PendingTable(target.table.name, (*fields, *extra))
    plan: Scan = scan(pending)
    hidden = frozenset(field.name.lower() for field in extra)
    relation = relation_of(target.alias, [field.name for field in pending.fields], plan.outputs)
    scope = Scope([Relation(relation.name, relation.columns, hidden)])
    items: list[tuple[Attribute, Expression]] = []
    for selected in expand_select_list(context, node.expressions, scope):
        if selected.attribute is not None:
            value: Expression = AttributeRef(selected.attribute)
        else:
            assert selected.node is not None, "a select item is a column of * or an expression"
            value = ExpressionBinder(context, scope, queries, "RETURNING").bind(selected.node)
        items.append((Attribute.fresh(selected.name, value.dtype), value))
    names = tuple(attribute.name for attribute, _ in items)
    return Returning(pending, Query(Project(plan, tuple(items)), names))
