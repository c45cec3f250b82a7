"""Invariants of logical plans, checked between rules in tests and on demand.

Who must keep them: the binder, the DataFrame API and every optimizer rule. Broken ones raise InternalError.
"""

from __future__ import annotations

from gpuql_planner.errors import InternalError
from gpuql_planner.logical.expressions import (
    SUBQUERY_EXPRESSIONS,
    AggregateCall,
    Attribute,
    AttributeRef,
    Expression,
    Literal,
    QuantifiedComparison,
)
from gpuql_planner.logical.nodes import (
    Aggregate,
    DependentJoin,
    Filter,
    Join,
    JoinKind,
    LogicalNode,
    Recursive,
    Repeat,
    Scan,
    Shared,
    UnionAll,
    Unnest,
    Values,
    Window,
)
from gpuql_planner.logical.visit import children, node_expressions, output_set, references
from gpuql_planner.logical.window_calls import WindowCall
from gpuql_planner.types import BIGINT, BOOLEAN

_NO_ATTRIBUTES: frozenset[Attribute] = frozenset()


def verify(
    plan: LogicalNode, *, unnested: bool = False, outer: frozenset[Attribute] = _NO_ATTRIBUTES
) -> None:
    """Check ``plan``.

    Parameters
    ----------
    unnested : forbid DependentJoin, subquery expressions and correlated references.
    outer : attributes that a correlated plan may refer to.

    Raises
    ------
    InternalError
        Says which belief is broken, then the node and the attribute.
    """
    _Verifier(unnested=unnested).check(plan, outer)


class _Verifier:
    def __init__(self, *, unnested: bool) -> None:
        self.unnested = unnested
        self.definitions: dict[int, LogicalNode] = {}

    def check(self, node: LogicalNode, outer: frozenset[Attribute]) -> None:
        if isinstance(node, DependentJoin):
            _believe(not self.unnested, "dependent join after unnesting", node)
            self.check(node.left, outer)
            self.check(node.right, outer | output_set(node.left))
        elif isinstance(node, Shared):
            self._check_shared(node, outer)
        else:
            for child in node.inputs:
                self.check(child, outer)
        outputs = node.outputs
        _believe(len(set(outputs)) == len(outputs), "an attribute is put out twice", node)
        available = outer.union(*(output_set(child) for child in node.inputs))
        for expression in node_expressions(node):
            self._check_expression(expression, node, available)
        self._check_kind(node)

    def _check_shared(self, node: Shared, outer: frozenset[Attribute]) -> None:
        known = self.definitions.setdefault(node.key, node.definition)
        if known is node.definition:
            self.check(node.definition, outer)
        _believe(
            known is node.definition or known == node.definition,
            "shared nodes with the same key have different definitions",
            node,
        )
        types = [a.dtype for a in node.definition.outputs]
        _believe(types == [a.dtype for a in node.attributes], "shared columns and their uses differ", node)

    def _check_expression(
        self, expression: Expression, node: LogicalNode, available: frozenset[Attribute]
    ) -> None:
        missing = references(expression) - available
        _believe(not missing, f"attributes are not produced by an input: {_names(missing)}", node)
        stack = [expression]
        while stack:
            part = stack.pop()
            stack.extend(children(part))
            aggregate = isinstance(part, AggregateCall)
            _believe(
                not aggregate or (isinstance(node, Aggregate) and part is expression),
                "an aggregate stands outside an Aggregate",
                node,
            )
            windowed = isinstance(part, WindowCall)
            _believe(
                not windowed or (isinstance(node, Window) and part is expression),
                "a window call stands outside a Window",
                node,
            )
            if isinstance(part, SUBQUERY_EXPRESSIONS):
                _believe(not self.unnested, "subquery expression after unnesting", node)
                self.check(part.plan, available)
            if isinstance(part, QuantifiedComparison):
                same = [a.dtype for a in part.arguments] == [a.dtype for a in part.plan.outputs]
                _believe(same, "types of a quantified comparison differ", node)

    def _check_kind(self, node: LogicalNode) -> None:
        if isinstance(node, Filter):
            _believe(all(p.dtype == BOOLEAN for p in node.predicates), "a predicate is not BOOLEAN", node)
        elif isinstance(node, (Join, DependentJoin)):
            _believe(all(c.dtype == BOOLEAN for c in node.conditions), "a condition is not BOOLEAN", node)
            _believe((node.kind is JoinKind.MARK) == (node.mark is not None), "mark and kind differ", node)
            _believe(node.kind is not JoinKind.CROSS or not node.conditions, "CROSS with conditions", node)
            both = output_set(node.left) & output_set(node.right)
            _believe(not both, f"both sides of a join produce: {_names(both)}", node)
        elif isinstance(node, Aggregate):
            calls = [call for _, call in node.aggregates]
            _believe(all(isinstance(c, AggregateCall) for c in calls), "not an aggregate call", node)
        elif isinstance(node, Window):
            calls_made = [call for _, call in node.calls]
            _believe(all(isinstance(c, WindowCall) for c in calls_made), "not a window call", node)
            plain = all(isinstance(o, (AttributeRef, Literal)) for c in calls_made for o in children(c))
            _believe(plain, "an operand of a window call is neither column nor constant", node)
        elif isinstance(node, UnionAll):
            types = [a.dtype for a in node.attributes]
            same = all([a.dtype for a in source.outputs] == types for source in node.sources)
            _believe(same, "types of a union's inputs differ", node)
        elif isinstance(node, Recursive):
            types = [a.dtype for a in node.attributes]
            same = all([a.dtype for a in part.outputs] == types for part in node.inputs)
            _believe(same, "types of a recursion's inputs differ", node)
        elif isinstance(node, Repeat):
            _believe(node.count.dtype == BIGINT, "a repeat count is not BIGINT", node)
        elif isinstance(node, Unnest):
            lists = all(e.dtype.is_list and e.dtype.element == a.dtype for a, e in node.lists)
            _believe(lists, "what is unnested is no list of the output's type", node)
        elif isinstance(node, Scan):
            names = {field.name for field in node.table.fields}
            _believe(all(source in names for _, source in node.columns), "column not in table", node)
        elif isinstance(node, Values):
            _believe(all(len(r) == len(node.attributes) for r in node.rows), "ragged rows", node)


def _names(attributes: frozenset[Attribute]) -> str:
    return ", ".join(sorted(f"{a.name}#{a.id}" for a in attributes))


def _believe(condition: bool, belief: str, node: LogicalNode) -> None:  # noqa: FBT001
    if not condition:
        raise InternalError(f"broken plan: {belief}: {type(node).__name__}")
