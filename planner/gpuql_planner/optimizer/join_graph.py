"""A tree of joins as a set of relations and predicates, with estimates for every subset of the relations.

Relations are numbered; a set of them is an integer with one bit each. INNER and CROSS inputs are free relations. The
right side of a LEFT, SINGLE, SEMI, ANTI or MARK join is a *dependent* relation: it can only be joined to a set that has
the relations its condition reads, and stays on the right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gpuql_planner.logical.expressions import Attribute, AttributeRef, Call, Expression
from gpuql_planner.logical.nodes import Filter, Join, JoinKind, LogicalNode
from gpuql_planner.logical.visit import conjuncts, output_set, references
from gpuql_planner.optimizer.cardinality import (
    column_estimate,
    estimate_rows,
    expression_estimate,
    key_values,
    match_share,
    selectivity,
    sides_of_equality,
)
from gpuql_planner.optimizer.statistics import equated_columns
from gpuql_planner.types import BOOLEAN

_FREE = (JoinKind.INNER, JoinKind.CROSS)
_DEPENDENT = (JoinKind.LEFT, JoinKind.SINGLE, JoinKind.SEMI, JoinKind.ANTI, JoinKind.MARK)


@dataclass(frozen=True)
class Relation:
    """One input. ``required`` is the set a dependent relation needs; ``factor`` what it does to the row count."""

    node: LogicalNode
    rows: float
    kind: JoinKind = JoinKind.INNER
    conditions: tuple[Expression, ...] = ()
    mark: Attribute | None = None
    required: int = 0
    factor: float = 1.0

    @property
    def dependent(self) -> bool:
        """Not a free relation."""
        return self.kind is not JoinKind.INNER


@dataclass
class Member:
    """A column of an equality class: its relation and how many distinct values it has there.

    ``domain`` is how many values it may be equal to elsewhere: of a key whose table is filtered, those left out too.
    """

    attribute: Attribute
    relation: int
    distinct: float
    domain: float


@dataclass
class JoinGraph:
    """Relations, classes of equal columns, other predicates (with the set of relations each reads), and edges."""

    relations: list[Relation] = field(default_factory=list)
    classes: list[list[Member]] = field(default_factory=list)
    predicates: list[tuple[Expression, int, float]] = field(default_factory=list)
    neighbours: list[int] = field(default_factory=list)
    equality_masks: list[int] = field(default_factory=list)
    _corrections: list[tuple[int, frozenset[int], float]] = field(default_factory=list)
    _class_terms: list[list[tuple[int, float]]] = field(default_factory=list)
    _rows: dict[int, float] = field(default_factory=dict)

    def rows(self, relations: int) -> float:
        """Expected rows of the join of a set of relations; the same for every order of joining them."""
        known = self._rows.get(relations)
        if known is not None:
            return known
        result = 1.0
        for index, relation in enumerate(self.relations):
            if relations >> index & 1:
                result *= relation.factor if relation.dependent else relation.rows
        for terms in self._class_terms:
            distinct = [d for bit, d in terms if relations & bit]
            if len(distinct) > 1:
                smallest = min(distinct)
                for value in distinct:
                    result /= value
                result *= smallest
        for _, mask, share in self.predicates:
            if mask & relations == mask:
                result *= share
        applied: dict[frozenset[int], float] = {}
        for mask, shared, factor in self._corrections:
            if mask & relations == mask:
                applied[shared] = max(applied.get(shared, 1.0), factor)
        for factor in applied.values():
            result *= factor
        self._rows[relations] = result = max(result, 0.01)
        return result

    def equated(self, one: int, other: int) -> bool:
        """Some equality connects the two sets."""
        return any(
            any(one & bit for bit, _ in terms) and any(other & bit for bit, _ in terms)
            for terms in self._class_terms
        )

    def equality_between(self, one: int, other: int) -> bool:
        """A predicate ``expression = expression`` has one side in each set."""
        return any(
            mask & (one | other) == mask and mask & one and mask & other for mask in self.equality_masks
        )

    def join_conditions(self, one: int, other: int) -> list[Expression]:
        """An equality for every class that has columns in both sets."""
        found: list[Expression] = []
        for members in self.classes:
            left = [m for m in members if one >> m.relation & 1]
            right = [m for m in members if other >> m.relation & 1]
            if left and right:
                first = max(left, key=lambda m: m.distinct)
                second = max(right, key=lambda m: m.distinct)
                equality = (AttributeRef(first.attribute), AttributeRef(second.attribute))
                found.append(Call("eq", equality, BOOLEAN))
        return found


def build_graph(root: LogicalNode) -> JoinGraph | None:
    """The graph of the joins at the top of ``root``; None if there is nothing to reorder."""
    if not isinstance(root, (Join, Filter)) or not _has_join(root):
        return None
    builder = _Builder()
    builder.flatten(root)
    return builder.finish()


def _has_join(node: LogicalNode) -> bool:
    while isinstance(node, Filter):
        node = node.input
    return isinstance(node, Join) and (node.kind in _FREE or node.kind in _DEPENDENT)


class _Builder:
    def __init__(self) -> None:
        self.graph = JoinGraph()
        self.provider: dict[Attribute, int] = {}
        self.predicates: dict[Expression, None] = {}

    def flatten(self, node: LogicalNode) -> int:
        """Take in the relations under ``node``; the set of them."""
        if isinstance(node, Filter) and _has_join(node):
            below = self.flatten(node.input)
            self.take(node.predicates)
            return below
        if isinstance(node, Join) and node.kind in _FREE:
            below = self.flatten(node.left) | self.flatten(node.right)
            self.take(node.conditions)
            return below
        if isinstance(node, Join) and node.kind in _DEPENDENT:
            below = self.flatten(node.left)
            return below | self.add_dependent(node, below)
        return self.add(Relation(node, estimate_rows(node)), node.outputs)

    def add(self, relation: Relation, outputs: Iterable[Attribute]) -> int:
        index = len(self.graph.relations)
        self.graph.relations.append(relation)
        for attribute in outputs:
            self.provider[attribute] = index
        return 1 << index

    def add_dependent(self, node: Join, below: int) -> int:
        required = self.mask(node.conditions, output_set(node.left))
        if node.kind is JoinKind.SINGLE:
            required = below  # checks that no row finds two partners: for exactly the rows it was asked about
        inputs = [relation.node for relation in self.graph.relations]
        relation = Relation(
            node.right,
            estimate_rows(node.right),
            node.kind,
            node.conditions,
            node.mark,
            required,
            _factor(node, inputs),
        )
        outputs: tuple[Attribute, ...] = ()
        if node.kind in (JoinKind.LEFT, JoinKind.SINGLE):
            outputs = node.right.outputs
        elif node.mark is not None:
            outputs = (node.mark,)
        return self.add(relation, outputs)

    def take(self, predicates: Iterable[Expression]) -> None:
        self.predicates.update((part, None) for p in predicates for part in conjuncts(p))

    def mask(self, expressions: Iterable[Expression], among: frozenset[Attribute] | None = None) -> int:
        result = 0
        for expression in expressions:
            for attribute in references(expression):
                if among is None or attribute in among:
                    result |= 1 << self.provider[attribute]
        return result

    def finish(self) -> JoinGraph:
        graph = self.graph
        self.group_equalities()
        graph.neighbours = [0] * len(graph.relations)
        for members in graph.classes:
            mask = 0
            for member in members:
                mask |= 1 << member.relation
            self.connect(mask)
        for _, mask, _ in graph.predicates:
            self.connect(mask)
        free = sum(1 << i for i, relation in enumerate(graph.relations) if not relation.dependent)
        for index, relation in enumerate(graph.relations):
            if relation.dependent:
                for other in _members(relation.required or free):
                    self.connect(1 << index | 1 << other)
        graph.equality_masks = [mask for p, mask, _ in graph.predicates if _is_equality(p)]
        graph._class_terms = [[(1 << m.relation, m.domain) for m in members] for members in graph.classes]
        graph._corrections = _corrections(graph)
        return graph

    def connect(self, mask: int) -> None:
        for index in _members(mask):
            self.graph.neighbours[index] |= mask & ~(1 << index)

    def group_equalities(self) -> None:
        """Sort predicates into equality classes of plain columns and others."""
        graph = self.graph
        parent: dict[Attribute, Attribute] = {}

        def find(attribute: Attribute) -> Attribute:
            while parent.setdefault(attribute, attribute) != attribute:
                attribute = parent[attribute]
            return attribute

        inputs = [r.node for r in graph.relations if not r.dependent or r.kind is JoinKind.LEFT]
        for predicate in self.predicates:
            pair = self.class_pair(predicate)
            if pair is None:
                mask = self.mask((predicate,))
                graph.predicates.append((predicate, mask, selectivity((predicate,), inputs)))
            else:
                parent[find(pair[0])] = find(pair[1])
        classes: dict[Attribute, list[Attribute]] = {}
        for attribute in parent:
            classes.setdefault(find(attribute), []).append(attribute)
        graph.classes = [
            self.one_of_each_relation([self.member(attribute, attributes) for attribute in attributes])
            for attributes in classes.values()
        ]

    def member(self, attribute: Attribute, equal: Sequence[Attribute]) -> Member:
        """A column of the class ``equal``."""
        relations = self.graph.relations
        index = self.provider[attribute]
        node = relations[index].node
        distinct = max(column_estimate(node, attribute).distinct, 1.0)
        partners = (
            column_estimate(relations[self.provider[other]].node, other)
            for other in equal
            if self.provider[other] != index
        )
        keys = (key_values(node, AttributeRef(attribute), partner) for partner in partners)
        return Member(attribute, index, distinct, max([distinct, *keys]))

    def one_of_each_relation(self, members: list[Member]) -> list[Member]:
        """The class with one column a relation; that a relation's other columns equal it becomes a predicate there."""
        kept: dict[int, Member] = {}
        for member in members:
            first = kept.setdefault(member.relation, member)
            if first is not member:
                equality = Call(
                    "eq", (AttributeRef(first.attribute), AttributeRef(member.attribute)), BOOLEAN
                )
                share = selectivity((equality,), [self.graph.relations[member.relation].node])
                self.graph.predicates.append((equality, 1 << member.relation, share))
        return list(kept.values())

    def class_pair(self, predicate: Expression) -> tuple[Attribute, Attribute] | None:
        """Columns of two different free relations that the predicate equates."""
        pair = equated_columns(predicate)
        if pair is None or not isinstance(predicate, Call) or predicate.function != "eq":
            return None
        one, other = (self.provider[a] for a in pair)
        relations = self.graph.relations
        if one == other or relations[one].dependent or relations[other].dependent:
            return None
        return pair


def _factor(node: Join, inputs: Sequence[LogicalNode]) -> float:
    """Rows after the join per left row."""
    if node.kind in (JoinKind.MARK, JoinKind.SINGLE):
        return 1.0
    if node.kind in (JoinKind.SEMI, JoinKind.ANTI):
        share = match_share(node.conditions, inputs, node.right)
        return max(share if node.kind is JoinKind.SEMI else 1.0 - share, 0.05)
    partners = estimate_rows(node.right)
    right_set = output_set(node.right)
    for condition in node.conditions:
        pair = sides_of_equality(condition, right_set)
        if pair is not None:
            distinct = expression_estimate(pair[0], inputs).distinct
            partners /= max(distinct, expression_estimate(pair[1], (node.right,)).distinct)
    return max(1.0, partners)


def _is_equality(predicate: Expression) -> bool:
    return isinstance(predicate, Call) and predicate.function in ("eq", "is_not_distinct_from")


def _members(relations: int) -> list[int]:
    return [index for index in range(relations.bit_length()) if relations >> index & 1]


def _corrections(graph: JoinGraph) -> list[tuple[int, frozenset[int], float]]:
    """Relations joined by several columns at once: the columns' values do not occur in all combinations.

    The number of combinations in a relation is at most its number of rows, so the selectivity of all equalities
    together is that much weaker than their product.
    """
    columns: dict[int, dict[int, float]] = {}
    for number, members in enumerate(graph.classes):
        for member in members:
            columns.setdefault(member.relation, {})[number] = member.distinct
    found = []
    for one, own in columns.items():
        for other, others in columns.items():
            shared = own.keys() & others.keys()
            if one == other or len(shared) < 2:
                continue
            product = 1.0
            for number in shared:
                product *= own[number]
            rows = max(graph.relations[one].rows, 1.0)
            if product > rows:
                found.append((1 << one | 1 << other, frozenset(shared), product / rows))
    return found
