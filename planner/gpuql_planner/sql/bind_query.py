"""Queries: WITH, parentheses, set operations, VALUES, and the clauses that follow any of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from sqlglot import exp

from gpuql_planner.errors import BinderError
from gpuql_planner.logical.expressions import Attribute, AttributeRef, SortKey
from gpuql_planner.logical.nodes import LogicalNode, Project, Shared, Sort
from gpuql_planner.logical.visit import free_attributes
from gpuql_planner.sql.bind_limit import apply_limit
from gpuql_planner.sql.bind_sample import sampled
from gpuql_planner.sql.collations import collated, collation_of, without_collation
from gpuql_planner.sql.context import BindContext, CommonTable
from gpuql_planner.sql.scope import Scope, relation_of
from gpuql_planner.statement_errors import RepeatedAlias


@dataclass(frozen=True)
class BoundQuery:
    """Plan of a query and the names of its columns, one per output."""

    plan: LogicalNode
    names: tuple[str, ...]


@dataclass(frozen=True)
class QueryBinder:
    """Binds queries that see ``environment`` (WITH tables) and, if correlated, the columns of ``parent``."""

    context: BindContext
    environment: dict[str, CommonTable]
    parent: Scope | None = None

    def nested(self, scope: Scope) -> QueryBinder:
        """Binder of a subquery inside an expression over ``scope``."""
        return replace(self, parent=scope)

    def bind(self, node: exp.Expr) -> BoundQuery:
        """Plan and column names of any query expression."""
        with self.context.locating(node):
            with_ = node.args.get("with_")
            binder = self if with_ is None else self._with_tables(node, with_)
            return binder._bind_body(node)

    def _bind_body(self, node: exp.Expr) -> BoundQuery:
        match node:
            case exp.Select():
                from gpuql_planner.sql.bind_select import SelectBinder

                return SelectBinder(self, node).bind()
            case exp.SetOperation():
                from gpuql_planner.sql.bind_set_operations import bind_set_operation

                return self._with_clauses(node, bind_set_operation(self, node))
            case exp.Values():
                from gpuql_planner.sql.bind_values import bind_values

                return self._with_clauses(node, bind_values(self, node))
            case exp.Subquery():
                # Joins of a parenthesised source are the business of FROM.
                understood = ("this", "alias", "with_", "order", "limit", "offset", "joins", "sample")
                self.context.reject_other(node, *understood)
                query = self._with_clauses(node, self.bind(node.this))
                sample = node.args.get("sample")
                if sample is None:
                    return query
                return BoundQuery(sampled(self.context, query.plan, sample), query.names)
            case exp.Paren():
                return self.bind(node.this)
            case exp.Pivot():
                return self._with_clauses(node, self._pivoted(node))
            case exp.Describe() | exp.Summarize():
                from gpuql_planner.sql.bind_show import bind_describe, bind_summarize

                described = (
                    bind_describe(self, node)
                    if isinstance(node, exp.Describe)
                    else bind_summarize(self, node)
                )
                return BoundQuery(described.plan, described.names)
            case exp.Table():
                select = exp.Select(expressions=[exp.Star()], from_=exp.From(this=node.copy()))
                return self.bind(select)
            case _:
                raise self.context.unsupported(f"{type(node).__name__} as a query", node)

    def _pivoted(self, node: exp.Pivot) -> BoundQuery:
        """PIVOT and UNPIVOT as a statement."""
        from gpuql_planner.sql.bind_from import bind_source
        from gpuql_planner.sql.bind_pivot import bind_pivot
        from gpuql_planner.sql.bind_unpivot import bind_unpivot

        understood = ("this", "expressions", "using", "group", "unpivot", "into", "with_", "order", "limit")
        self.context.reject_other(node, *understood, "offset", "include_nulls")
        if node.args.get("unpivot"):
            return bind_unpivot(self, node, bind_source(self, node.this, Scope(parent=self.parent)))
        return bind_pivot(self, node, node.this)

    def _with_clauses(self, node: exp.Expr, query: BoundQuery) -> BoundQuery:
        """ORDER BY, LIMIT and OFFSET over finished columns."""
        order = node.args.get("order")
        plan = query.plan
        if order is not None:
            plan = self._sorted(order, query)
        return BoundQuery(apply_limit(self, node, plan), query.names)

    def _sorted(self, order: exp.Order, query: BoundQuery) -> LogicalNode:
        from gpuql_planner.sql.bind_expressions import ExpressionBinder
        from gpuql_planner.sql.bind_order import order_items

        scope = Scope([relation_of("", query.names, query.plan.outputs)], parent=self.parent)
        binder = ExpressionBinder(self.context, scope, self, "ORDER BY")
        keys: list[SortKey] = []
        for item in order_items(self.context, order, len(query.names)):
            if item.position is None:
                functions = collation_of(self.context, item.node)
                expression = collated(binder.bind(without_collation(item.node)), functions)
            else:
                expression = AttributeRef(query.plan.outputs[item.position])
            keys.append(SortKey(expression, item.descending, item.nulls_first))
        return Sort(query.plan, tuple(keys))

    def _with_tables(self, node: exp.Expr, with_: exp.With) -> QueryBinder:
        """Binder that also sees the tables of a WITH clause."""
        self.context.reject_other(with_, "expressions", "recursive")
        uses = Counter(table.name.lower() for table in node.find_all(exp.Table) if not table.args.get("db"))
        environment = dict(self.environment)
        for table in with_.expressions:
            alias = table.args["alias"]
            name = alias.name
            if any(name.lower() == other.alias.lower() for other in with_.expressions if other is not table):
                raise self.context.error(RepeatedAlias, f"WITH table defined twice: {name}", table)
            visible = dict(environment)
            recursive = bool(with_.args.get("recursive")) and refers_to(table.this, name)
            self.context.reject_other(table, "this", "alias", "materialized")
            environment[name.lower()] = CommonTable(
                name,
                table.this,
                tuple(column.name for column in alias.columns),
                visible,
                self.parent,
                uses[name.lower()],
                is_recursive=recursive,
            )
        return replace(self, environment=environment)

    def bind_common_table(self, table: CommonTable, node: exp.Expr) -> BoundQuery:
        """One use of a WITH table: its plan in place, or a use of the plan shared by all."""
        from gpuql_planner.sql.bind_recursive import bind_recursive, working_rows

        if table.working is not None:
            return working_rows(table)
        binder = QueryBinder(self.context, table.environment, table.scope)
        if table.definition is None:
            query = bind_recursive(binder, table) if table.is_recursive else binder.bind(table.tree)
            names = rename(self.context, query.names, table.column_names, table.name, node)
            if table.references < 2 or free_attributes(query.plan):
                return BoundQuery(query.plan, names)
            table.definition, table.names = query.plan, names
            table.new_key()
        attributes = tuple(
            Attribute.fresh(name, output.dtype, nullable=output.nullable)
            for name, output in zip(table.names, table.definition.outputs, strict=True)
        )
        return BoundQuery(Shared(table.key, table.definition, attributes), table.names)


def rename(
    context: BindContext,
    names: tuple[str, ...],
    aliases: tuple[str, ...],
    table: str,
    node: exp.Expr | None,
) -> tuple[str, ...]:
    """``names`` with the first ones replaced by a column alias list."""
    if len(aliases) > len(names):
        raise context.error(
            BinderError,
            f"more column names than columns: {table} has {len(names)}, names given are {len(aliases)}",
            node,
        )
    return (*aliases, *names[len(aliases) :])


def keep_outputs(plan: LogicalNode, attributes: tuple[Attribute, ...]) -> LogicalNode:
    """``plan`` with exactly these outputs, in this order."""
    if plan.outputs == attributes:
        return plan
    return Project(plan, tuple((attribute, AttributeRef(attribute)) for attribute in attributes))


def refers_to(tree: exp.Expr, name: str) -> bool:
    """Whether a table of that name stands anywhere in a tree."""
    return any(table.name.lower() == name.lower() for table in tree.find_all(exp.Table))
