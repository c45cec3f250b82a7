"""Subquery expressions become joins; no DependentJoin and no correlated reference is left.

Before: ``Filter EXISTS (Filter u.k = t.k <- Scan u) <- Scan t``; after: ``Join semi on u.k = t.k`` of the two scans.

This file turns expressions into dependent joins. ``decorrelate`` removes the dependency where the shape of the subquery
allows a plain join; ``dependent_domain`` does so for every other shape.
"""

from __future__ import annotations

from dataclasses import replace

from gpuql_planner.errors import NotSupportedError
from gpuql_planner.logical.expressions import (
    Attribute,
    AttributeRef,
    Call,
    Exists,
    Expression,
    QuantifiedComparison,
    ScalarSubquery,
)
from gpuql_planner.logical.nodes import (
    DependentJoin,
    Filter,
    Join,
    JoinKind,
    Limit,
    LogicalNode,
    Project,
    Shared,
    Sort,
)
from gpuql_planner.logical.visit import (
    children,
    conjuncts,
    disjunction,
    free_attributes,
    has_subquery,
    map_children,
    map_expressions,
    node_expressions,
    output_set,
    references,
    with_fresh_attributes,
    with_inputs,
    with_outputs,
)
from gpuql_planner.optimizer.decorrelate import eliminate
from gpuql_planner.optimizer.statistics import never_null, non_null_attributes
from gpuql_planner.types import BOOLEAN

_NEGATED = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}


def unnest_subqueries(plan: LogicalNode) -> LogicalNode:
    """``plan`` without subquery expressions, dependent joins and correlated references."""
    return _Unnester().plan(plan)


class _Unnester:
    def __init__(self) -> None:
        self.shared: dict[int, LogicalNode] = {}

    def plan(self, node: LogicalNode) -> LogicalNode:
        """The node and everything below it; it may put out more attributes than before."""
        if isinstance(node, Shared):
            return self.shared_use(node)
        if isinstance(node, DependentJoin):
            left, right = self.plan(node.left), self.plan(node.right)
            return self.dependent(left, right, node.kind, node.conditions, node.mark)
        node = with_inputs(node, tuple(self.plan(child) for child in node.inputs))
        if not any(map(has_subquery, node_expressions(node))):
            return node
        if isinstance(node, Filter):
            return self.filter(node)
        if isinstance(node, Join):
            return self.join(node)
        below = node.inputs[0]

        def attach(expression: Expression) -> Expression:
            nonlocal below
            below, result = self.attach(below, expression)
            return result

        mapped = map_expressions(node, attach)
        return with_inputs(mapped, (below,))

    def shared_use(self, node: Shared) -> LogicalNode:
        """A correlated definition cannot run once for all uses: such a use gets a copy of its own."""
        if free_attributes(node.definition):
            copy, _ = with_fresh_attributes(node.definition)
            items = zip(node.attributes, map(AttributeRef, copy.outputs), strict=True)
            return self.plan(Project(copy, tuple(items)))
        definition = self.shared.get(node.key)
        if definition is None:
            definition = with_outputs(self.plan(node.definition), node.definition.outputs)
            self.shared[node.key] = definition
        return with_inputs(node, (definition,))

    def dependent(
        self,
        left: LogicalNode,
        right: LogicalNode,
        kind: JoinKind,
        conditions: tuple[Expression, ...] = (),
        mark: Attribute | None = None,
    ) -> LogicalNode:
        """Join with a right side that may depend on the left; subqueries in the conditions are for this join."""
        if any(map(has_subquery, conditions)):
            if kind is not JoinKind.INNER:
                raise NotSupportedError(f"subquery in the condition of a lateral join: {kind.value}")
            joined = eliminate(left, right, JoinKind.CROSS, (), None)
            return self.filter(Filter(joined, conditions))
        return eliminate(left, right, kind, conditions, mark)

    # --- places where subqueries stand -------------------------------------------------------------------------

    def filter(self, node: Filter) -> LogicalNode:
        """Conjuncts that are subqueries themselves become SEMI or ANTI joins; others compute a column first."""
        parts = [part for predicate in node.predicates for part in conjuncts(predicate)]
        plain = tuple(part for part in parts if not has_subquery(part))
        below = Filter(node.input, plain) if plain else node.input
        for part in parts:
            if not has_subquery(part):
                continue
            joined = self.as_join(below, part)
            if joined is None:
                below, predicate = self.attach(below, part)
                joined = Filter(below, (predicate,))
            below = joined
        return below

    def as_join(self, below: LogicalNode, part: Expression) -> LogicalNode | None:
        """A SEMI or ANTI join for a conjunct, if NULL need not be told from false."""
        negated = False
        while isinstance(part, Call) and part.function == "not":
            negated, part = not negated, part.arguments[0]
        if isinstance(part, Exists):
            right = _existence(self.subplan(part.plan))
            return self.dependent(below, right, JoinKind.ANTI if negated else JoinKind.SEMI)
        if not isinstance(part, QuantifiedComparison) or any(map(has_subquery, part.arguments)):
            return None
        if part.quantifier == "all":
            negated = not negated
            part = replace(part, comparison=_NEGATED[part.comparison], quantifier="any")
        right = self.subplan(part.plan)
        conditions = _comparisons(part, right)
        if negated:
            known = non_null_attributes(below) | non_null_attributes(right)
            if not all(never_null(condition, known) for condition in conditions):
                return None
        return self.dependent(below, right, JoinKind.ANTI if negated else JoinKind.SEMI, conditions)

    def join(self, node: Join) -> LogicalNode:
        """Subqueries in ON: above the join if it is INNER, else on the side whose columns they use."""
        if node.kind is JoinKind.INNER:
            plain = tuple(c for c in node.conditions if not has_subquery(c))
            joined = Join(node.left, node.right, JoinKind.INNER if plain else JoinKind.CROSS, plain)
            return self.filter(Filter(joined, tuple(c for c in node.conditions if has_subquery(c))))
        left, right = node.left, node.right
        conditions = []
        for condition in node.conditions:
            result = condition
            if has_subquery(condition):
                used = _subquery_references(condition)
                if used.isdisjoint(output_set(left)):
                    right, result = self.attach(right, condition)
                elif used.isdisjoint(output_set(right)):
                    left, result = self.attach(left, condition)
                else:
                    raise NotSupportedError(f"subquery over both sides of an outer join: {node.kind.value}")
            conditions.append(result)
        return Join(left, right, node.kind, tuple(conditions), node.mark)

    # --- expressions -------------------------------------------------------------------------------------------

    def attach(self, below: LogicalNode, expression: Expression) -> tuple[LogicalNode, Expression]:
        """``below`` with a column for each subquery in ``expression``, and the expression over those columns."""
        if not has_subquery(expression):
            return below, expression
        if isinstance(expression, ScalarSubquery):
            right = self.subplan(expression.plan)
            value = right.outputs[0]
            return self.dependent(below, right, JoinKind.SINGLE), AttributeRef(value)
        if isinstance(expression, Exists):
            mark = Attribute.fresh("exists", BOOLEAN, nullable=False)
            right = _existence(self.subplan(expression.plan))
            return self.dependent(below, right, JoinKind.MARK, (), mark), AttributeRef(mark)
        if isinstance(expression, QuantifiedComparison):
            return self.attach_quantified(below, expression)

        def attach(child: Expression) -> Expression:
            nonlocal below
            below, result = self.attach(below, child)
            return result

        result = map_children(expression, attach)
        return below, result

    def attach_quantified(
        self, below: LogicalNode, expression: QuantifiedComparison
    ) -> tuple[LogicalNode, Expression]:
        """ALL is NOT ANY of the opposite; ANY is a mark join."""
        arguments = []
        for argument in expression.arguments:
            below, result = self.attach(below, argument)
            arguments.append(result)
        negated = expression.quantifier == "all"
        comparison = _NEGATED[expression.comparison] if negated else expression.comparison
        right = self.subplan(expression.plan)
        any_of = QuantifiedComparison(tuple(arguments), comparison, "any", expression.plan)
        mark = Attribute.fresh("mark", BOOLEAN)
        joined = self.dependent(below, right, JoinKind.MARK, _comparisons(any_of, right), mark)
        value: Expression = AttributeRef(mark)
        return joined, Call("not", (value,), BOOLEAN) if negated else value

    def subplan(self, plan: LogicalNode) -> LogicalNode:
        """A copy under attributes of its own, as the same subquery may stand in several places; outputs exact."""
        copy, _ = with_fresh_attributes(plan)
        return with_outputs(self.plan(copy), copy.outputs)


def _comparisons(part: QuantifiedComparison, right: LogicalNode) -> tuple[Expression, ...]:
    pairs = [
        Call(part.comparison, (argument, AttributeRef(output)), BOOLEAN)
        for argument, output in zip(part.arguments, right.outputs, strict=True)
    ]
    # (a, b) <> (c, d) holds if one pair differs; (a, b) = (c, d) if all are equal.
    return (disjunction(pairs),) if part.comparison == "ne" else tuple(pairs)


def _existence(plan: LogicalNode) -> LogicalNode:
    """What decides whether ``plan`` has a row: without columns, order, and limits that leave a row."""
    while True:
        if isinstance(plan, (Sort, Limit)) and (plan.offset or plan.limit == 0):
            return plan
        if not isinstance(plan, (Project, Sort, Limit)):
            return plan
        plan = plan.input


def _subquery_references(expression: Expression) -> frozenset[Attribute]:
    if isinstance(expression, (ScalarSubquery, Exists, QuantifiedComparison)):
        return references(expression)
    found: frozenset[Attribute] = frozenset()
    if has_subquery(expression):
        for child in children(expression):
            found |= _subquery_references(child)
    return found
