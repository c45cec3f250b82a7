"""GROUP BY: keys, and select expressions rewritten over keys and aggregates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from gpuql_planner.errors import BinderError
from gpuql_planner.functions import is_aggregate_function
from gpuql_planner.logical.expressions import (
    SUBQUERY_EXPRESSIONS,
    AggregateCall,
    Attribute,
    AttributeRef,
    Expression,
    Literal,
)
from gpuql_planner.logical.nodes import Aggregate, LogicalNode
from gpuql_planner.logical.visit import map_children, references, substitute, walk
from gpuql_planner.sql.bind_aggregates import GROUPING
from gpuql_planner.sql.bind_expressions import ExpressionBinder
from gpuql_planner.sql.bind_order import output_position
from gpuql_planner.sql.column_names import column_name
from gpuql_planner.sql.context import BindContext
from gpuql_planner.sql.grouping_sets import (
    GroupedColumns,
    KeySet,
    has_grouping_sets,
    key_sets,
    plan_grouping_sets,
)
from gpuql_planner.sql.scope import Scope
from gpuql_planner.sql.select_list import SelectItem
from gpuql_planner.statement_errors import GroupingError


def contains_aggregate(node: exp.Expr) -> bool:
    """Whether a tree calls an aggregate function outside its subqueries."""
    if isinstance(node, exp.Anonymous) and is_aggregate_function(str(node.name)):
        return True
    if isinstance(node, exp.Query):
        return False
    if isinstance(node, exp.Window):  # the call itself is none, but an operand may be
        call = node.this
        while not isinstance(call, exp.Anonymous) and isinstance(call.this, exp.Expr):
            call = call.this
        operands = [
            *call.iter_expressions(),
            *(child for child in node.iter_expressions() if child is not node.this),
        ]
        return any(map(contains_aggregate, operands))
    return any(contains_aggregate(child) for child in node.iter_expressions())


def _contains_window(node: exp.Expr) -> bool:
    """Whether a tree calls a window function outside its subqueries."""
    if isinstance(node, (exp.Query, exp.Window)):
        return isinstance(node, exp.Window)
    return any(map(_contains_window, node.iter_expressions()))


class Grouping:
    """Keys and aggregates of one grouped SELECT, collected while its expressions are rewritten."""

    def __init__(self, context: BindContext, scope: Scope) -> None:
        self.context, self.scope = context, scope
        self.keys: dict[Expression, Attribute] = {}
        self.aggregates: dict[AggregateCall, Attribute] = {}
        #: Of GROUPING SETS, ROLLUP and CUBE: the keys of each set. The rows of one lack the keys of others.
        self.sets: list[KeySet] | None = None
        self.groupings: dict[KeySet, Attribute] = {}
        #: Nodes of select items that are keys, and what they are bound to: bound again, their subqueries would differ.
        self.bound_items: list[tuple[exp.Expr, Expression]] = []
        #: Keys with subqueries in them, which have attributes of their own each time they are bound.
        self.query_keys: list[tuple[exp.Expr, Expression]] = []
        #: Of keys of grouping sets that are columns, whether they are written as such.
        self._by_name: dict[AttributeRef, bool] = {}
        self._local = {*scope.attributes(), *scope.merged.values(), *scope.replaced.values()}

    def add_keys(self, group: exp.Group, items: Sequence[SelectItem], binder: ExpressionBinder) -> None:
        """Keys of a GROUP BY clause: expressions, positions, aliases, or ALL."""
        self.context.reject_other(group, "expressions", "all")
        if group.args.get("all"):
            for item in items:
                if item.node is None or not (contains_aggregate(item.node) or _contains_window(item.node)):
                    self._add_item(item, binder)
        if has_grouping_sets(group.expressions):
            self.sets = []
        sets = key_sets(self.context, group.expressions, lambda node: self._add_node(node, items, binder))
        if self.sets is not None:
            self.sets = sets

    def _add_node(self, node: exp.Expr, items: Sequence[SelectItem], binder: ExpressionBinder) -> Expression:
        position = None
        is_number = isinstance(node, exp.Literal) and not node.is_string
        if is_number and self.sets is not None and not str(node.this).isdigit():
            # A constant in another expression would have to mean the key, NULL in some sets, there too.
            raise self.context.unsupported("a constant as a key of grouping sets", node)
        if is_number and str(node.this).isdigit():  # other constants are keys, if dull ones
            position = output_position(self.context, node, len(items), "GROUP BY")
        if position is None:
            name = "key" if self.context.has_slots(node) else column_name(node)
            bound = binder.bind(node)
            item = binder.alias_of(node)
            self._refuse_another_meaning(bound, item or node)
            key = self._add(bound, name)
            if item is not None:
                self.bound_items.append((item, key))
            if node.find(exp.Query) is not None:
                self.query_keys.append((node, key))
            return key
        return self._add_item(items[position], binder)

    def _refuse_another_meaning(self, key: Expression, node: exp.Expr) -> None:
        """Refuse a column beside what is that column by another name, such as ``trunc(i)`` of an integer ``i``.

        In some sets one would be NULL and the other not; here they are one expression.
        """
        if self.sets is None or not isinstance(key, AttributeRef):
            return
        is_column = isinstance(node.unnest(), exp.Column)
        if self._by_name.setdefault(key, is_column) != is_column:
            raise self.context.unsupported(
                f"keys of grouping sets that both are column {key.attribute.name}", node
            )

    def _add_item(self, item: SelectItem, binder: ExpressionBinder) -> Expression:
        if item.attribute is not None:
            return self._add(AttributeRef(item.attribute), item.name)
        assert item.node is not None, "a select item is a column of * or an expression"
        bound = binder.bind(item.node)
        self._refuse_another_meaning(bound, item.node)
        key = self._add(bound, item.name)
        self.bound_items.append((item.node, key))
        return key

    def _add(self, key: Expression, name: str) -> Expression:
        if isinstance(key, AttributeRef) and self.sets is None and key.attribute in self._local:
            self.keys.setdefault(key, key.attribute)
        else:
            self.keys.setdefault(key, Attribute.fresh(name, key.dtype))
        return key

    def rewrite(self, expression: Expression, node: exp.Expr) -> Expression:
        """``expression`` over the outputs of the aggregation; BinderError if it needs a column that is no key."""
        with self.context.locating(node):
            rewritten = self._replace(expression)
        allowed = {*self.keys.values(), *self.aggregates.values(), *self.groupings.values()}
        for attribute in references(rewritten):
            if attribute in self._local and attribute not in allowed:
                direct = any(part == AttributeRef(attribute) for part in walk(rewritten))
                place = self.scope.nodes.get(attribute) if direct else self._capturing(attribute)
                raise self._not_grouped(attribute, place or node)
        return rewritten

    def _capturing(self, attribute: Attribute) -> exp.Expr | None:
        """Where a subquery names the attribute."""
        return next((node for captured, node in reversed(self.scope.captured) if captured == attribute), None)

    def _replace(self, expression: Expression) -> Expression:
        key = self.keys.get(expression)
        if key is not None:
            return AttributeRef(key)
        if isinstance(expression, AggregateCall) and expression.function == GROUPING:
            return self._grouping(expression)
        if isinstance(expression, AggregateCall):
            attribute = self.aggregates.get(expression)
            if attribute is None:
                attribute = Attribute.fresh(expression.function, expression.dtype)
                self.aggregates[expression] = attribute
            return AttributeRef(attribute)
        if isinstance(expression, SUBQUERY_EXPRESSIONS):
            mapping = {a: AttributeRef(k) for e, k in self.keys.items() for a in _plain(e) if a != k}
            expression = substitute(expression, mapping)
        return map_children(expression, self._replace)

    def _grouping(self, call: AggregateCall) -> Expression:
        """GROUPING(...) as a column of the aggregation; a constant if there is one set only."""
        written: dict[Expression, Expression] = {AttributeRef(k): e for e, k in self.keys.items()}
        call = replace(call, arguments=tuple(written.get(a, a) for a in call.arguments))
        for argument in call.arguments:
            if argument not in self.keys:
                raise GroupingError("argument of GROUPING must be a key of GROUP BY")
        if self.sets is None:
            return Literal(0, call.type)
        arguments = call.arguments or tuple(self.keys)
        attribute = self.groupings.get(arguments)
        if attribute is None:
            attribute = self.groupings[arguments] = Attribute.fresh(GROUPING, call.type, nullable=False)
        return AttributeRef(attribute)

    def _not_grouped(self, attribute: Attribute, node: exp.Expr) -> BinderError:
        return self.context.error(
            GroupingError,
            f"column must appear in GROUP BY or inside an aggregate function: {attribute.name}",
            node,
            hint=f"add {attribute.name} to GROUP BY, or use any_value({attribute.name})",
        )

    def check_captured(self) -> None:
        """Subqueries above the aggregation may refer to keys only."""
        plain = {attribute for key in self.keys for attribute in _plain(key)}
        inside = {a for call in self.aggregates for a in references(call)}
        for attribute, node in self.scope.captured:
            if attribute in self._local and attribute not in plain and attribute not in inside:
                raise self._not_grouped(attribute, node)

    def aggregate(self, plan: LogicalNode) -> LogicalNode:
        """The aggregation over ``plan``."""
        if self.sets is not None:
            columns = GroupedColumns(self.keys, self.aggregates, self.groupings)
            return plan_grouping_sets(plan, self.sets, columns)
        keys = tuple((attribute, key) for key, attribute in self.keys.items())
        calls = tuple((attribute, call) for call, attribute in self.aggregates.items())
        return Aggregate(plan, keys, calls)


def _plain(expression: Expression) -> tuple[Attribute, ...]:
    return (expression.attribute,) if isinstance(expression, AttributeRef) else ()
