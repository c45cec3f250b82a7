"""SELECT: from FROM to LIMIT, in the order in which the clauses take effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.errors import BinderError
from gpuql_planner.functions import as_condition, make_aggregate, split_conjuncts
from gpuql_planner.logical.expressions import (
    Attribute,
    AttributeRef,
    Expression,
    Literal,
    SortKey,
)
from gpuql_planner.logical.nodes import Aggregate, Filter, LogicalNode, Project, Sort, Unnest
from gpuql_planner.logical.visit import map_children, references
from gpuql_planner.sql.bind_expressions import ExpressionBinder
from gpuql_planner.sql.bind_from import bind_from
from gpuql_planner.sql.bind_grouping import Grouping, contains_aggregate
from gpuql_planner.sql.bind_limit import apply_limit
from gpuql_planner.sql.bind_order import OrderItem, order_items, output_position
from gpuql_planner.sql.bind_query import BoundQuery, keep_outputs
from gpuql_planner.sql.bind_sample import sampled
from gpuql_planner.sql.bind_set_operations import distinct
from gpuql_planner.sql.bind_unnest import bind_unnest_item, is_unnest
from gpuql_planner.sql.bind_windows import WindowStep, write_out_windows
from gpuql_planner.sql.collations import collated, collation_of, without_collation
from gpuql_planner.sql.column_names import column_name
from gpuql_planner.sql.select_list import SelectItem, expand_select_list, for_each_column
from gpuql_planner.statement_errors import InvalidColumnReference, WindowingError

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder

_UNDERSTOOD = [
    "with_",
    "expressions",
    "from_",
    "joins",
    "laterals",
    "where",
    "group",
    "having",
    "order",
    "limit",
    "offset",
    "distinct",
    "sample",
    "kind",
    "hint",
    "windows",
    "qualify",
]


@dataclass(frozen=True)
class _Output:
    """A bound select item."""

    name: str
    expression: Expression
    attribute: Attribute


class SelectBinder:
    """Binds one SELECT."""

    def __init__(self, queries: QueryBinder, select: exp.Select) -> None:
        self.queries, self.context, self.select = queries, queries.context, select

    def bind(self) -> BoundQuery:
        """Plan and column names."""
        self.context.reject_other(self.select, *_UNDERSTOOD)
        if not self.select.expressions:
            raise self.context.error(BinderError, "SELECT without columns", self.select)
        source = bind_from(self.queries, self.select)
        self.plan, self.scope = source.plan, source.scope
        sample = self.select.args.get("sample")
        if sample is not None:
            self.plan = sampled(self.context, self.plan, sample)
        write_out_windows(self.context, self.select)
        self.items = expand_select_list(
            self.context,
            self.select.expressions,
            self.scope,
            nameless=id(self.select) in self.context.nameless,
        )
        self.aliases = self._aliases()
        self.windows = WindowStep()
        self.unnests: list[tuple[Attribute, Expression]] = []
        self.grouping: Grouping | None = None
        self._bind_where()
        self.grouping = self._bind_grouping()
        # Correlated references of subqueries in the clauses below must be to group keys, if there are groups.
        self.scope.captured.clear()
        outputs = self._outputs()
        having = self._bind_having()
        qualify = self._bind_qualify()
        return self._finish(outputs, having, qualify)

    def _aliases(self) -> Mapping[str, exp.Expr]:
        aliases: dict[str, exp.Expr] = {}
        for item in self.items:
            if item.has_alias and item.node is not None:
                aliases.setdefault(item.name.lower(), item.node)
        return aliases

    def _binder(self, clause: str, *, aggregates: bool, windows: bool = False) -> ExpressionBinder:
        return ExpressionBinder(
            self.context,
            self.scope,
            self.queries,
            clause,
            aliases=self.aliases,
            aggregates=aggregates,
            windows=windows,
            bound_items=() if self.grouping is None else self.grouping.bound_items,
            query_keys=() if self.grouping is None else self.grouping.query_keys,
        )

    def _bind_where(self) -> None:
        where = self.select.args.get("where")
        if where is not None:
            conjuncts: list[Expression] = []
            for part in for_each_column(self.context, where.this, self.scope):
                condition = self._binder("WHERE", aggregates=False).bind(part)
                with self.context.locating(where.this):
                    conjuncts.extend(split_conjuncts(as_condition(condition)))
            self.plan = Filter(self.plan, tuple(conjuncts))

    def _bind_grouping(self) -> Grouping | None:
        group = self.select.args.get("group")
        order, qualify = self.select.args.get("order"), self.select.args.get("qualify")
        grouped = (
            group is not None
            or self.select.args.get("having") is not None
            or any(item.node is not None and contains_aggregate(item.node) for item in self.items)
            or (order is not None and contains_aggregate(order))
            or (qualify is not None and contains_aggregate(qualify))
        )
        if not grouped:
            return None
        grouping = Grouping(self.context, self.scope)
        if group is not None:
            grouping.add_keys(group, self.items, self._binder("GROUP BY", aggregates=False))
        return grouping

    def _bind_item(self, item: SelectItem) -> list[tuple[str, Expression]]:
        """Name and expression of the item; several of a struct that is unnested."""
        if item.attribute is not None:
            if self.grouping is not None:
                return [(item.name, self.grouping.rewrite(AttributeRef(item.attribute), item.source))]
            return [(item.name, AttributeRef(item.attribute))]
        assert item.node is not None, "a select item is a column of * or an expression"
        binder = self._output_binder("SELECT")
        key = binder.bound_before(item.node)
        if key is not None:
            return [(item.name, self._above_groups(key, item.node))]
        binder.unnests = []
        if isinstance(item.node, exp.Anonymous) and is_unnest(item.node):
            with self.context.locating(item.node):
                found = bind_unnest_item(binder, item.node, item.name)
        else:
            found = [(item.name, binder.bind(item.node))]
        for attribute, values in binder.unnests:
            self.unnests.append((attribute, self._above_groups(values, item.node)))
        return [(name, self._above_groups(expression, item.node)) for name, expression in found]

    def _output_binder(self, clause: str) -> ExpressionBinder:
        return self._binder(clause, aggregates=self.grouping is not None, windows=clause != "HAVING")

    def _above_groups(self, bound: Expression, node: exp.Expr) -> Expression:
        """The expression over the outputs of the aggregation and the windows."""
        if self.grouping is not None:
            bound = self.grouping.rewrite(bound, node)
        return self.windows.rewrite(bound)

    def _bind_output_expression(self, node: exp.Expr, clause: str) -> Expression:
        return self._above_groups(self._output_binder(clause).bind(node), node)

    def _outputs(self) -> list[_Output]:
        outputs: list[_Output] = []
        used: set[Attribute] = set()
        for item in self.items:
            for name, expression in self._bind_item(item):
                attribute = _output_attribute(name, expression, used | self._outer_attributes())
                used.add(attribute)
                outputs.append(_Output(name, expression, attribute))
        return outputs

    def _bind_having(self) -> tuple[Expression, ...]:
        having = self.select.args.get("having")
        if having is None:
            return ()
        condition = self._bind_output_expression(having.this, "HAVING")
        with self.context.locating(having.this):
            return split_conjuncts(as_condition(condition))

    def _bind_qualify(self) -> tuple[Expression, ...]:
        qualify = self.select.args.get("qualify")
        if qualify is None:
            return ()
        condition = self._bind_output_expression(qualify.this, "QUALIFY")
        if not self.windows.calls:
            raise self.context.error(
                WindowingError, "QUALIFY needs a window function in it or in the select list", qualify.this
            )
        with self.context.locating(qualify.this):
            return split_conjuncts(as_condition(condition))

    # --- from bound clauses to a plan ---

    def _finish(
        self, outputs: list[_Output], having: tuple[Expression, ...], qualify: tuple[Expression, ...]
    ) -> BoundQuery:
        hidden: list[_Output] = []
        keys = self._sort_keys(outputs, hidden)
        on = self._distinct_on(outputs, hidden)
        plan = self.plan
        if self.grouping is not None:
            self.grouping.check_captured()
            plan = self.grouping.aggregate(plan)
        if having:
            plan = Filter(plan, having)
        plan = self.windows.plan(plan)
        if qualify:
            plan = Filter(plan, qualify)
        if self.unnests:
            plan = Unnest(plan, tuple(self.unnests))
        plan = self._project(plan, [*outputs, *hidden])
        visible = tuple(output.attribute for output in outputs)
        if on is not None:
            plan, keys = self._first_of_each(plan, on, keys)
        elif self.select.args.get("distinct") is not None:
            plan = self._distinct_rows(plan, outputs, hidden)
        if keys:
            plan = Sort(plan, keys)
        plan = apply_limit(self.queries, self.select, plan)
        return BoundQuery(keep_outputs(plan, visible), tuple(output.name for output in outputs))

    def _distinct_rows(self, plan: LogicalNode, outputs: list[_Output], hidden: list[_Output]) -> LogicalNode:
        """Each different row of the outputs once, with sort keys that are computed from outputs."""
        visible = tuple(output.attribute for output in outputs)
        known = {output.expression: output.attribute for output in reversed(outputs)}

        def over_outputs(expression: Expression) -> Expression:
            attribute = known.get(expression)
            return AttributeRef(attribute) if attribute else map_children(expression, over_outputs)

        keys = tuple((key.attribute, over_outputs(key.expression)) for key in hidden)
        if any(not references(key) <= set(visible) for _, key in keys):
            raise self.context.error(
                InvalidColumnReference,
                "ORDER BY expressions of SELECT DISTINCT must be in the select list",
                self.select.args["order"],
            )
        rows = distinct(keep_outputs(plan, visible))
        return Project(rows, (*((a, AttributeRef(a)) for a in visible), *keys)) if keys else rows

    def _project(self, plan: LogicalNode, outputs: list[_Output]) -> LogicalNode:
        expressions = tuple((output.attribute, output.expression) for output in outputs)
        passed = all(isinstance(e, AttributeRef) and e.attribute == a for a, e in expressions)
        if passed and plan.outputs == tuple(attribute for attribute, _ in expressions):
            return plan
        return Project(plan, expressions)

    def _sort_keys(self, outputs: list[_Output], hidden: list[_Output]) -> tuple[SortKey, ...]:
        order = self.select.args.get("order")
        if order is None:
            return ()
        keys: list[SortKey] = []

        def expand(node: exp.Expr) -> list[exp.Expr]:
            return for_each_column(self.context, node, self.scope)

        for item in order_items(self.context, order, len(outputs), expand):
            attribute = self._sort_attribute(item, outputs, hidden)
            keys.append(SortKey(AttributeRef(attribute), item.descending, item.nulls_first))
        return tuple(keys)

    def _sort_attribute(self, item: OrderItem, outputs: list[_Output], hidden: list[_Output]) -> Attribute:
        if item.position is not None:
            return outputs[item.position].attribute
        node = item.node
        if isinstance(node, exp.Column) and not node.table:
            for output in outputs:
                if output.name.lower() == node.name.lower():
                    return output.attribute
        return self._computed(node, "ORDER BY", outputs, hidden)

    def _computed(
        self, node: exp.Expr, clause: str, outputs: list[_Output], hidden: list[_Output]
    ) -> Attribute:
        """Output that has the value of an expression; a hidden one is added if none has."""
        functions = collation_of(self.context, node)
        expression = collated(self._bind_output_expression(without_collation(node), clause), functions)
        for output in (*outputs, *hidden):
            if output.expression == expression:
                return output.attribute
        used = {output.attribute for output in (*outputs, *hidden)}
        name = "key" if self.context.has_slots(node) else column_name(node)
        attribute = _output_attribute(name, expression, used | self._outer_attributes())
        hidden.append(_Output(attribute.name, expression, attribute))
        return attribute

    def _outer_attributes(self) -> set[Attribute]:
        """Columns of outer queries named here; an output that is one of them may be NULL where the outer one is not."""
        found: set[Attribute] = set()
        scope = self.scope.parent
        while scope is not None:
            found.update(attribute for attribute, _ in scope.captured)
            scope = scope.parent
        return found

    # --- DISTINCT ON ---

    def _distinct_on(self, outputs: list[_Output], hidden: list[_Output]) -> list[Attribute] | None:
        clause = self.select.args.get("distinct")
        on = None if clause is None else clause.args.get("on")
        if on is None:
            return None
        nodes = on.expressions if isinstance(on, exp.Tuple) else [on]
        attributes: list[Attribute] = []
        for written in nodes:
            position = self._distinct_position(written, len(outputs))
            if position is not None:
                attributes.append(outputs[position].attribute)
                continue
            attributes.extend(
                self._computed(node, "DISTINCT ON", outputs, hidden)
                for node in for_each_column(self.context, written, self.scope)
            )
        return attributes

    def _distinct_position(self, node: exp.Expr, num_outputs: int) -> int | None:
        if isinstance(node, exp.Literal) and not node.is_string:
            return output_position(self.context, node, num_outputs, "DISTINCT ON")
        return None

    def _first_of_each(
        self, plan: LogicalNode, on: list[Attribute], keys: tuple[SortKey, ...]
    ) -> tuple[LogicalNode, tuple[SortKey, ...]]:
        """The first row, by the sort keys, of each combination of the ON columns; other columns keep their names."""
        group: tuple[tuple[Attribute, Expression], ...] = tuple(
            (a, AttributeRef(a)) for a in dict.fromkeys(on)
        )
        rest = [attribute for attribute in plan.outputs if attribute not in on]
        firsts = {a: Attribute.fresh(a.name, a.dtype) for a in rest}
        calls = tuple((firsts[a], make_aggregate("first", [AttributeRef(a)], order_by=keys)) for a in rest)
        aggregated = Aggregate(plan, group, calls)
        back: tuple[tuple[Attribute, Expression], ...] = tuple(
            (a, AttributeRef(firsts.get(a, a))) for a in plan.outputs
        )
        return Project(aggregated, back), keys


def _output_attribute(name: str, expression: Expression, used: set[Attribute]) -> Attribute:
    """The column itself where it is passed through and not among ``used``, else a new attribute."""
    if isinstance(expression, AttributeRef):
        if expression.attribute not in used:
            return expression.attribute
        return Attribute.fresh(name, expression.dtype, nullable=expression.attribute.nullable)
    nullable = not (isinstance(expression, Literal) and not expression.is_null)
    return Attribute.fresh(name, expression.dtype, nullable=nullable)
