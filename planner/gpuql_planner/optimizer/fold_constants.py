"""Constants are computed, connectives flattened, and plans that cannot give a row become empty.

Before: ``Filter d < DATE '1994-01-01' + INTERVAL '1 year' AND 1 = 1``; after: ``Filter d < DATE '1995-01-01'``.
"""

from __future__ import annotations

from dataclasses import replace

from gpuql_planner.logical.expressions import SUBQUERY_EXPRESSIONS, Attribute, Expression, Literal
from gpuql_planner.logical.nodes import (
    Aggregate,
    DependentJoin,
    Filter,
    Join,
    JoinKind,
    Limit,
    LogicalNode,
    Project,
    Repeat,
    Sort,
    UnionAll,
    Unnest,
    Values,
    Window,
)
from gpuql_planner.logical.visit import (
    FALSE,
    conjuncts,
    has_subquery,
    map_children,
    map_expressions,
    output_set,
    pass_through,
    transform_plan,
)
from gpuql_planner.optimizer.number_bounds import contradictory
from gpuql_planner.optimizer.simplify import simplify, simplify_predicate


def fold_constants(plan: LogicalNode) -> LogicalNode:
    """Simplify every expression, also in subqueries, and drop inputs that give no rows."""
    return transform_plan(plan, _fold)


def _fold(node: LogicalNode) -> LogicalNode:
    if isinstance(node, Filter):
        return _fold_filter(node)
    if isinstance(node, (Join, DependentJoin)):
        return _drop_empty(_fold_join(node))
    return _drop_empty(map_expressions(node, _fold_expression))


def _fold_expression(expression: Expression) -> Expression:
    return simplify(_fold_subqueries(expression))


def _fold_subqueries(expression: Expression) -> Expression:
    if not has_subquery(expression):
        return expression
    expression = map_children(expression, _fold_subqueries)
    if isinstance(expression, SUBQUERY_EXPRESSIONS):
        plan = fold_constants(expression.plan)
        return expression if plan is expression.plan else replace(expression, plan=plan)
    return expression


def _fold_predicates(predicates: tuple[Expression, ...]) -> tuple[Expression, ...]:
    """Simplified conjuncts, each once; FALSE alone if they contradict each other."""
    parts: dict[Expression, None] = {}
    for predicate in predicates:
        for part in conjuncts(simplify_predicate(_fold_subqueries(predicate))):
            parts[part] = None
    if FALSE in parts or contradictory(parts):
        return (FALSE,)
    result = tuple(parts)
    return predicates if result == predicates else result


def _fold_filter(node: Filter) -> LogicalNode:
    predicates = _fold_predicates(node.predicates)
    if not predicates:
        return node.input
    if predicates == (FALSE,) or is_empty(node.input):
        return empty(node.outputs)
    return node if predicates is node.predicates else Filter(node.input, predicates)


def _fold_join(node: Join | DependentJoin) -> Join | DependentJoin:
    if node.kind is JoinKind.MARK:  # NULL and false differ here
        folded = map_expressions(node, _fold_expression)
        assert isinstance(folded, (Join, DependentJoin)), "expressions change, not the node"
        return folded
    conditions = _fold_predicates(node.conditions)
    if conditions is node.conditions:
        return node
    kind = JoinKind.CROSS if not conditions and node.kind is JoinKind.INNER else node.kind
    return replace(node, conditions=conditions, kind=kind)


def is_empty(node: LogicalNode) -> bool:
    """The plan is known to give no rows."""
    return isinstance(node, Values) and not node.rows


def empty(attributes: tuple[Attribute, ...]) -> Values:
    """A plan of no rows."""
    return Values(attributes, ())


def _drop_empty(node: LogicalNode) -> LogicalNode:
    if isinstance(node, (Project, Sort, Repeat, Window, Unnest)) and is_empty(node.input):
        return empty(node.outputs)
    if isinstance(node, Limit) and (node.limit == 0 or is_empty(node.input)):
        return empty(node.outputs)
    if isinstance(node, Aggregate) and node.keys and is_empty(node.input):
        return empty(node.outputs)
    if isinstance(node, UnionAll):
        sources = tuple(source for source in node.sources if not is_empty(source))
        if not sources:
            return empty(node.outputs)
        return node if len(sources) == len(node.sources) else UnionAll(sources, node.attributes)
    if isinstance(node, Join):
        return _drop_empty_side(node)
    return node


def _drop_empty_side(node: Join) -> LogicalNode:
    never = node.conditions == (FALSE,)
    left_empty, right_empty = is_empty(node.left), is_empty(node.right)
    kind = node.kind
    if kind in (JoinKind.INNER, JoinKind.CROSS, JoinKind.SEMI):
        return empty(node.outputs) if never or left_empty or right_empty else node
    if left_empty and kind not in (JoinKind.RIGHT, JoinKind.FULL):
        return empty(node.outputs)
    if kind is JoinKind.ANTI and (never or right_empty):
        return node.left
    if kind in (JoinKind.LEFT, JoinKind.SINGLE) and (never or right_empty):
        return _padded(node.left, node.right)
    if kind is JoinKind.RIGHT and right_empty:
        return empty(node.outputs)
    return node


def _padded(kept: LogicalNode, missing: LogicalNode) -> Project:
    nulls = tuple((a, Literal(None, a.dtype)) for a in missing.outputs if a not in output_set(kept))
    return Project(kept, (*pass_through(kept.outputs), *nulls))
