"""Joins are put in the order that is expected to be cheapest, the smaller side of each on the right (build).

SEMI, ANTI, MARK, SINGLE and LEFT joins take part: they are placed where they cost least.
"""

from __future__ import annotations

from gpuql_planner.logical.expressions import Expression
from gpuql_planner.logical.nodes import Filter, Join, JoinKind, LogicalNode, Shared
from gpuql_planner.logical.visit import with_inputs, with_outputs
from gpuql_planner.optimizer.join_enumeration import JoinTree, best_tree
from gpuql_planner.optimizer.join_graph import JoinGraph, Relation, build_graph


def order_joins(plan: LogicalNode) -> LogicalNode:
    """``plan`` with every group of reorderable joins in its cheapest order."""
    return _Reorderer().visit(plan)


class _Reorderer:
    def __init__(self) -> None:
        self.shared: dict[int, LogicalNode] = {}

    def visit(self, node: LogicalNode) -> LogicalNode:
        if isinstance(node, Shared):
            definition = self.shared.get(node.key)
            if definition is None:
                definition = with_outputs(self.visit(node.definition), node.definition.outputs)
                self.shared[node.key] = definition
            return with_inputs(node, (definition,))
        graph = build_graph(node)
        if graph is None:
            return with_inputs(node, tuple(map(self.visit, node.inputs)))
        inputs = [self.visit(relation.node) for relation in graph.relations]
        built = _build(graph, best_tree(graph), inputs)
        constant = tuple(predicate for predicate, mask, _ in graph.predicates if not mask)
        return Filter(built, constant) if constant else built


def _build(graph: JoinGraph, tree: JoinTree, inputs: list[LogicalNode]) -> LogicalNode:
    """The plan of a join tree."""
    if tree.probe is None or tree.build is None:
        index = tree.relations.bit_length() - 1
        own = tuple(predicate for predicate, mask, _ in graph.predicates if mask == tree.relations)
        dependent = graph.relations[index].dependent
        return Filter(inputs[index], own) if own and not dependent else inputs[index]
    left, right = _build(graph, tree.probe, inputs), _build(graph, tree.build, inputs)
    parts = (tree.probe.relations, tree.build.relations)
    ready = tuple(
        predicate
        for predicate, mask, _ in graph.predicates
        if mask & tree.relations == mask and not any(_applied_within(graph, mask, part) for part in parts)
    )
    dependent_relation = _dependent(graph, tree.build.relations)
    if dependent_relation is None:
        return inner_join(left, right, (*graph.join_conditions(*parts), *ready))
    joined = Join(
        left, right, dependent_relation.kind, dependent_relation.conditions, dependent_relation.mark
    )
    return Filter(joined, ready) if ready else joined


def _applied_within(graph: JoinGraph, mask: int, part: int) -> bool:
    """The predicate was applied below, in a tree over ``part``; not to a dependent relation before its join."""
    return mask & part == mask and _dependent(graph, part) is None


def _dependent(graph: JoinGraph, relations: int) -> Relation | None:
    if relations & (relations - 1):
        return None
    relation = graph.relations[relations.bit_length() - 1]
    return relation if relation.dependent else None


def inner_join(left: LogicalNode, right: LogicalNode, conditions: tuple[Expression, ...]) -> Join:
    """INNER, or CROSS without conditions."""
    return Join(left, right, JoinKind.INNER if conditions else JoinKind.CROSS, conditions)
