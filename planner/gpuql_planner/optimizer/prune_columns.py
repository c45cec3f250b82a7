"""Columns, aggregates and joins that nobody reads are dropped.

Before: ``Project a <- Join left on k = u.k <- (Scan t, Scan u)`` with ``u.k`` unique; after: ``Scan t (a)``.
"""

from __future__ import annotations

from dataclasses import replace

from gpuql_planner.errors import InternalError
from gpuql_planner.logical.expressions import Attribute, AttributeRef
from gpuql_planner.logical.nodes import (
    Aggregate,
    Filter,
    Join,
    JoinKind,
    Limit,
    LogicalNode,
    Project,
    Recursive,
    Repeat,
    Running,
    Scan,
    Shared,
    Sort,
    UnionAll,
    Unnest,
    Values,
    Window,
    WorkingScan,
)
from gpuql_planner.logical.visit import node_expressions, output_set, references, with_inputs, with_outputs
from gpuql_planner.optimizer.statistics import equality_attributes, is_unique

Required = frozenset[Attribute]


def prune_columns(plan: LogicalNode) -> LogicalNode:
    """``plan`` computing only what its outputs need."""
    pruner = _Pruner()
    body = with_outputs(pruner.prune(plan, output_set(plan)), plan.outputs)
    definitions: dict[int, LogicalNode] = {}
    for key, definition in _shared_outermost_first(plan):
        wanted = pruner.wanted.get(key)
        if wanted is None:
            continue
        kept = tuple(definition.outputs[i] for i in sorted(wanted))
        definitions[key] = with_outputs(pruner.prune(definition, frozenset(kept)), kept)
    return _Assembler(definitions, pruner.wanted).assemble(body)


def _shared_outermost_first(plan: LogicalNode) -> list[tuple[int, LogicalNode]]:
    """Each shared definition after all definitions and plans that use it."""
    found: dict[int, LogicalNode] = {}

    def visit(node: LogicalNode) -> None:
        if isinstance(node, Shared) and node.key in found:
            return
        for child in node.inputs:
            visit(child)
        if isinstance(node, Shared):
            found[node.key] = node.definition

    visit(plan)
    return list(reversed(found.items()))


class _Pruner:
    """Prunes down to shared definitions, and collects which of their columns are wanted."""

    def __init__(self) -> None:
        self.wanted: dict[int, set[int]] = {}

    def prune(self, node: LogicalNode, required: Required) -> LogicalNode:
        """A plan whose outputs are among ``node.outputs`` and include ``required``."""
        match node:
            case Scan():
                return _prune_scan(node, required)
            case Values():
                return _prune_values(node, required)
            case WorkingScan():
                return node
            case Recursive():  # every column may be read in the next round
                return with_inputs(node, tuple(self.prune(part, output_set(part)) for part in node.inputs))
            case Project():
                items = tuple(item for item in node.expressions if item[0] in required)
                below = self.prune(node.input, frozenset().union(*(references(e) for _, e in items)))
                if all(isinstance(e, AttributeRef) and e.attribute == a for a, e in items):
                    return below
                return (
                    Project(below, items)
                    if below is not node.input or len(items) < len(node.expressions)
                    else node
                )
            case Join():
                return self.prune_join(node, required)
            case Aggregate():
                return self.prune_aggregate(node, required)
            case Window():
                return self.prune_window(node, required)
            case UnionAll():
                return self.prune_union(node, required)
            case Shared():
                wanted = self.wanted.setdefault(node.key, set())
                wanted.update(i for i, a in enumerate(node.attributes) if a in required)
                return node
            case Running():
                carried = tuple(pair for pair in node.carried if pair[0] in required)
                kept = replace(node, number=node.number if node.number in required else None, carried=carried)
                if kept.number is None and kept.marker is None:
                    return self.prune(node.input, required)
                used = (required & output_set(node.input)).union(*map(references, node_expressions(kept)))
                return with_inputs(kept, (self.prune(node.input, used),))
            case Filter() | Sort() | Limit() | Repeat():
                used = required.union(*map(references, node_expressions(node)))
                return with_inputs(node, (self.prune(node.input, used),))
            case Unnest():
                used = required.difference(node.made).union(*map(references, node_expressions(node)))
                return with_inputs(node, (self.prune(node.input, used),))
        raise InternalError(f"plan node cannot be pruned: {type(node).__name__}")

    def prune_join(self, node: Join, required: Required) -> LogicalNode:
        if node.kind is JoinKind.MARK and node.mark not in required:
            return self.prune(node.left, required)
        if node.kind is JoinKind.LEFT and _adds_nothing(node, required):
            return self.prune(node.left, required)
        used = required.union(*map(references, node.conditions))
        left = self.prune(node.left, used & output_set(node.left))
        right = self.prune(node.right, used & output_set(node.right))
        return with_inputs(node, (left, right))

    def prune_aggregate(self, node: Aggregate, required: Required) -> LogicalNode:
        aggregates = tuple(item for item in node.aggregates if item[0] in required)
        if not node.keys and not aggregates:
            return Values((), ((),))  # one row, whatever the input
        kept = node if len(aggregates) == len(node.aggregates) else replace(node, aggregates=aggregates)
        used = frozenset().union(*map(references, node_expressions(kept)))
        return with_inputs(kept, (self.prune(node.input, used),))

    def prune_window(self, node: Window, required: Required) -> LogicalNode:
        calls = tuple(item for item in node.calls if item[0] in required)
        used = (required & output_set(node.input)).union(*(references(call) for _, call in calls))
        below = self.prune(node.input, used)
        if not calls:
            return below
        if len(calls) < len(node.calls):
            limit = node.limit if node.limit is not None and node.limit[0] in required else None
            node = replace(node, calls=calls, limit=limit)
        return with_inputs(node, (below,))

    def prune_union(self, node: UnionAll, required: Required) -> LogicalNode:
        positions = [i for i, attribute in enumerate(node.attributes) if attribute in required]
        sources = []
        for source in node.sources:
            kept = tuple(source.outputs[i] for i in positions)
            sources.append(with_outputs(self.prune(source, frozenset(kept)), kept))
        return UnionAll(tuple(sources), tuple(node.attributes[i] for i in positions))


def _adds_nothing(node: Join, required: Required) -> bool:
    """No column of the right side is read, and it neither drops nor repeats a left row."""
    return required.isdisjoint(output_set(node.right)) and is_unique(node.right, equality_attributes(node)[1])


def _prune_scan(node: Scan, required: Required) -> Scan:
    columns = tuple(column for column in node.columns if column[0] in required)
    if len(columns) == len(node.columns):
        return node
    predicates = tuple(p for p in node.predicates if references(p) <= required)
    return Scan(node.table, columns, predicates)


def _prune_values(node: Values, required: Required) -> Values:
    positions = [i for i, attribute in enumerate(node.attributes) if attribute in required]
    if len(positions) == len(node.attributes):
        return node
    rows = tuple(tuple(row[i] for i in positions) for row in node.rows)
    return Values(tuple(node.attributes[i] for i in positions), rows)


class _Assembler:
    """Puts the pruned definitions back under their uses."""

    def __init__(self, definitions: dict[int, LogicalNode], wanted: dict[int, set[int]]) -> None:
        self.definitions = definitions
        self.wanted = wanted
        self.done: dict[int, LogicalNode] = {}

    def assemble(self, node: LogicalNode) -> LogicalNode:
        if not isinstance(node, Shared):
            return with_inputs(node, tuple(map(self.assemble, node.inputs)))
        definition = self.done.get(node.key)
        if definition is None:
            definition = self.done[node.key] = self.assemble(self.definitions[node.key])
        return Shared(node.key, definition, tuple(node.attributes[i] for i in sorted(self.wanted[node.key])))
