"""Sub-plans that occur more than once run once; shared plans that are used once are inlined.

Two sub-plans are the same if they join, filter and group the same tables in the same way; they may read different
columns of those tables, as the shared plan then reads all of them.

Before: two joins of ``partsupp``, ``supplier`` and ``nation``; after: two uses of one ``Shared``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from gpuql_planner.logical.expressions import Attribute, AttributeRef, Literal
from gpuql_planner.logical.format import format_expression
from gpuql_planner.logical.nodes import (
    Aggregate,
    Filter,
    Join,
    LogicalNode,
    Project,
    Scan,
    Shared,
)
from gpuql_planner.logical.visit import (
    depend_on_literals,
    node_expressions,
    untraced,
    walk,
    walk_plan,
    with_inputs,
    with_outputs,
)
from gpuql_planner.optimizer.cardinality import estimate_rows
from gpuql_planner.optimizer.dependent_domain import fresh_like, fresh_shared_key
from gpuql_planner.thresholds import KEEP_COST, MIN_ROWS_TO_SHARE


def inline_single_uses(plan: LogicalNode) -> LogicalNode:
    """Shared plans with one use become part of it, so that filters and joins see through them."""
    uses: Counter[int] = Counter()
    seen: set[int] = set()

    def count(node: LogicalNode) -> None:
        if isinstance(node, Shared):
            uses[node.key] += 1
            if node.key in seen:
                return
            seen.add(node.key)
        for child in node.inputs:
            count(child)

    count(plan)
    if not uses:
        return plan
    definitions: dict[int, LogicalNode] = {}

    def inline(node: LogicalNode) -> LogicalNode:
        if not isinstance(node, Shared):
            return with_inputs(node, tuple(map(inline, node.inputs)))
        definition = definitions.get(node.key)
        if definition is None:
            definition = with_outputs(inline(node.definition), node.definition.outputs)
            definitions[node.key] = definition
        if uses[node.key] > 1:
            return with_inputs(node, (definition,))
        pairs = zip(node.attributes, definition.outputs, strict=True)
        return Project(definition, tuple((use, AttributeRef(origin)) for use, origin in pairs))

    return inline(plan)


def share_subplans(plan: LogicalNode) -> LogicalNode:
    """``plan`` with repeated joins and aggregates shared, where reading the result again is cheaper."""
    signatures: Counter[str] = Counter()
    for node in walk_plan(plan):
        if _worth_a_look(node):
            signatures[_signature(node)] += 1
    if not any(count > 1 for count in signatures.values()):
        return plan
    return _Sharer(plan, signatures).plan()


def _worth_a_look(node: LogicalNode) -> bool:
    if not isinstance(node, (Join, Aggregate)):
        return False
    return all(isinstance(n, (Scan, Filter, Join, Aggregate, Project)) for n in walk_plan(node))


def _signature(node: LogicalNode) -> str:
    """Equal for equal sub-plans, and cheap: kinds of nodes and tables in order."""
    known: str | None = vars(node).get("_signature")
    if known is None:
        own = str(id(node.table)) if isinstance(node, Scan) else type(node).__name__[0]
        known = vars(node)["_signature"] = f"{own}({','.join(map(_signature, node.inputs))})"
    return known


class _Naming:
    """Canonical text of a sub-plan: attributes are named after the column, or expression, they come from."""

    def __init__(self) -> None:
        self.origins: dict[Attribute, str] = {}
        self._scans = 0

    def text(self, node: LogicalNode) -> str:
        below = " | ".join(map(self.text, node.inputs))
        name = self.origins.__getitem__
        if isinstance(node, Scan):
            for attribute, source in node.columns:
                self.origins[attribute] = f"{self._scans}.{source}"
            self._scans += 1
            return f"Scan {id(node.table)}"
        if isinstance(node, (Project, Aggregate)):
            items = node.expressions if isinstance(node, Project) else (*node.keys, *node.aggregates)
            texts = [format_expression(untraced(expression), name) for _, expression in items]
            for (attribute, expression), text in zip(items, texts, strict=True):
                if expression != AttributeRef(attribute):
                    self.origins[attribute] = f"[{text}]"
            keys = len(node.keys) if isinstance(node, Aggregate) else 0
            return f"{type(node).__name__} {keys} {'; '.join(texts)} ({below})"
        texts = sorted(format_expression(untraced(e), name) for e in node_expressions(node))
        kind = node.kind.value if isinstance(node, Join) else ""
        if isinstance(node, Join) and node.mark is not None:
            self.origins[node.mark] = f"mark {'; '.join(texts)}"
        return f"{type(node).__name__} {kind} {'; '.join(texts)} ({below})"


@dataclass
class _Occurrence:
    """A sub-plan, and its outputs by where they come from."""

    node: LogicalNode
    outputs: dict[str, Attribute]


class _Sharer:
    def __init__(self, plan: LogicalNode, signatures: Counter[str]) -> None:
        self._plan = plan
        self._signatures = signatures
        self._groups: dict[str, list[_Occurrence]] = {}
        self._seen: set[int] = set()
        self._replacements: dict[int, LogicalNode] = {}
        self._definitions: dict[int, LogicalNode] = {}

    def plan(self) -> LogicalNode:
        self._find(self._plan)
        for group in self._groups.values():
            if len(group) > 1 and _pays(group[0].node):
                self._share(group)
        return self._replace(self._plan) if self._replacements else self._plan

    def _find(self, node: LogicalNode) -> None:
        """Group the largest candidates by their text; what lies inside a repeated one is not looked at."""
        if isinstance(node, Shared):
            if node.key in self._seen:
                return
            self._seen.add(node.key)
        if _worth_a_look(node) and self._signatures[_signature(node)] > 1:
            naming = _Naming()
            text = naming.text(node)
            outputs = {naming.origins[a]: a for a in node.outputs}
            if len(outputs) == len(node.outputs):
                self._groups.setdefault(text, []).append(_Occurrence(node, outputs))
                if len(self._groups[text]) > 1:
                    return
        for child in node.inputs:
            self._find(child)

    def _share(self, group: list[_Occurrence]) -> None:
        _depend_on_equal_constants(group)
        first = group[0]
        wanted: dict[str, Attribute] = dict(first.outputs)
        for occurrence in group[1:]:
            for origin, attribute in occurrence.outputs.items():
                if origin not in wanted:
                    wanted[origin] = fresh_like(attribute)
        added = {origin: a for origin, a in wanted.items() if origin not in first.outputs}
        definition = with_outputs(_Widener(added).widen(first.node), tuple(wanted.values()))
        key = fresh_shared_key()
        for occurrence in group:
            names = tuple(occurrence.outputs.get(origin) or fresh_like(a) for origin, a in wanted.items())
            self._replacements[id(occurrence.node)] = Shared(key, definition, names)

    def _replace(self, node: LogicalNode) -> LogicalNode:
        replacement = self._replacements.get(id(node))
        if replacement is not None:
            return replacement
        if isinstance(node, Shared):
            definition = self._definitions.get(node.key)
            if definition is None:
                definition = with_outputs(self._replace(node.definition), node.definition.outputs)
                self._definitions[node.key] = definition
            return with_inputs(node, (definition,))
        return with_inputs(node, tuple(map(self._replace, node.inputs)))


def _depend_on_equal_constants(group: list[_Occurrence]) -> None:
    """The occurrences are the same only as long as the constants in them that are equal now stay equal."""
    first, *others = [_constants(occurrence.node) for occurrence in group]
    for constants in others:
        for constant in constants:  # finding them equal is what makes the plan depend on it
            if constant not in first:
                depend_on_literals(constant)
    for constant in first:
        if any(constant not in constants for constants in others):
            depend_on_literals(constant)


def _constants(plan: LogicalNode) -> frozenset[Literal]:
    return frozenset(
        part
        for node in walk_plan(plan)
        for expression in node_expressions(node)
        for part in walk(expression)
        if isinstance(part, Literal)
    )


class _Widener:
    """Adds columns to the scans of a sub-plan, found by their place in it."""

    def __init__(self, added: dict[str, Attribute]) -> None:
        self._added = added
        self._scans = 0

    def widen(self, node: LogicalNode) -> LogicalNode:
        node = with_inputs(node, tuple(map(self.widen, node.inputs)))
        if not isinstance(node, Scan):
            return node
        prefix = f"{self._scans}."
        self._scans += 1
        extra = tuple((a, o.removeprefix(prefix)) for o, a in self._added.items() if o.startswith(prefix))
        return replace(node, columns=(*node.columns, *extra)) if extra else node


def _pays(node: LogicalNode) -> bool:
    read = sum(estimate_rows(n) for n in walk_plan(node) if isinstance(n, (Scan, Join)))
    return read > MIN_ROWS_TO_SHARE and read > KEEP_COST * estimate_rows(node)
