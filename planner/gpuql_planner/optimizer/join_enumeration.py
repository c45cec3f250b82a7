"""The cheapest tree of joins for a join graph: exact for small graphs, greedy for large ones.

Exact: dynamic programming over pairs of connected subgraphs, Moerkotte and Neumann, "Analysis of Two Existing and One
New Dynamic Programming Algorithm" (VLDB 2006). Greedy: operator ordering, Fegaras, "A New Heuristic for Optimizing
Large Queries" (DEXA 1998).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gpuql_planner.optimizer.join_graph import JoinGraph
from gpuql_planner.thresholds import BUILD_COST, MAX_EXACT_PAIRS, MAX_EXACT_RELATIONS, OUTPUT_COST, PROBE_COST


@dataclass(frozen=True, slots=True)
class JoinTree:
    """A set of relations joined at a cost; ``probe`` and ``build`` are None for a single relation."""

    relations: int
    cost: float
    probe: JoinTree | None = None
    build: JoinTree | None = None


def best_tree(graph: JoinGraph) -> JoinTree:
    """A tree over all relations of ``graph``."""
    everything = (1 << len(graph.relations)) - 1
    trees = [_component_tree(graph, component) for component in _components(graph, everything)]
    trees.sort(key=lambda tree: graph.rows(tree.relations), reverse=True)
    while len(trees) > 1:  # nothing connects them: cross products, the smallest inputs first
        one, other = trees.pop(), trees.pop()
        joined = _join(graph, one, other) or _join(graph, other, one)
        assert joined is not None, "a dependent relation is connected to what it depends on"
        trees.append(joined)
        trees.sort(key=lambda tree: graph.rows(tree.relations), reverse=True)
    return trees[0]


def _components(graph: JoinGraph, relations: int) -> list[int]:
    found = []
    while relations:
        component = relations & -relations
        while True:
            grown = (component | _neighbourhood(graph, component)) & relations
            if grown == component:
                break
            component = grown
        found.append(component)
        relations &= ~component
    return found


def _neighbourhood(graph: JoinGraph, relations: int) -> int:
    result = 0
    for index, neighbours in enumerate(graph.neighbours):
        if relations >> index & 1:
            result |= neighbours
    return result & ~relations


def _join(graph: JoinGraph, one: JoinTree, other: JoinTree) -> JoinTree | None:
    """The cheaper way to join two trees; None if a dependent relation forbids it."""
    orders = []
    for probe, build in ((one, other), (other, one)):
        if _allowed(graph, probe.relations, build.relations):
            orders.append((_join_cost(graph, probe, build), probe, build))
    if not orders:
        return None
    cost, probe, build = min(orders, key=lambda order: order[0])
    return JoinTree(probe.relations | build.relations, cost, probe, build)


def _allowed(graph: JoinGraph, probe: int, build: int) -> bool:
    if probe & (probe - 1) == 0 and graph.relations[probe.bit_length() - 1].dependent:
        return False
    if build & (build - 1) == 0:
        relation = graph.relations[build.bit_length() - 1]
        return not relation.dependent or relation.required & probe == relation.required
    return True


def _join_cost(graph: JoinGraph, probe: JoinTree, build: JoinTree) -> float:
    joined = probe.relations | build.relations
    probe_rows = graph.rows(probe.relations)
    build_rows = _build_rows(graph, build.relations)
    own = PROBE_COST * probe_rows + BUILD_COST * build_rows + OUTPUT_COST * graph.rows(joined)
    if not _has_keys(graph, probe.relations, build.relations):
        own += probe_rows * build_rows
    return probe.cost + build.cost + own


def _build_rows(graph: JoinGraph, build: int) -> float:
    if build & (build - 1) == 0:
        return graph.relations[build.bit_length() - 1].rows
    return graph.rows(build)


def _has_keys(graph: JoinGraph, probe: int, build: int) -> bool:
    if build & (build - 1) == 0 and graph.relations[build.bit_length() - 1].dependent:
        return bool(graph.relations[build.bit_length() - 1].conditions)
    return graph.equated(probe, build) or graph.equality_between(probe, build)


def _component_tree(graph: JoinGraph, component: int) -> JoinTree:
    best = {1 << i: JoinTree(1 << i, 0.0) for i in range(len(graph.relations)) if component >> i & 1}
    if len(best) == 1:
        return best[component]
    if len(best) <= MAX_EXACT_RELATIONS:
        exact = _exact(graph, component, best)
        if exact is not None:
            return exact
    return _greedy(graph, [best[1 << i] for i in range(len(graph.relations)) if component >> i & 1])


def _exact(graph: JoinGraph, component: int, singles: dict[int, JoinTree]) -> JoinTree | None:
    best = dict(singles)
    pairs = list(_limited(_connected_pairs(graph, component)))
    if len(pairs) > MAX_EXACT_PAIRS:
        return None
    pairs.sort(key=lambda pair: (pair[0] | pair[1]).bit_count())
    for one, other in pairs:
        first, second = best.get(one), best.get(other)
        if first is None or second is None:
            continue
        joined = _join(graph, first, second)
        if joined is None:
            continue
        known = best.get(joined.relations)
        if known is None or joined.cost < known.cost:
            best[joined.relations] = joined
    return best.get(component)


def _limited(pairs: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    for count, pair in enumerate(pairs):
        yield pair
        if count >= MAX_EXACT_PAIRS:
            return


def _connected_pairs(graph: JoinGraph, component: int) -> Iterator[tuple[int, int]]:
    """All pairs of disjoint connected sets with an edge between them, each once."""
    for index in reversed(range(component.bit_length())):
        if not component >> index & 1:
            continue
        start = 1 << index
        smaller = (start - 1) & component
        yield from _pairs_of(graph, start, component)
        for grown in _grow(graph, start, smaller | start, component):
            yield from _pairs_of(graph, grown, component)


def _grow(graph: JoinGraph, subset: int, forbidden: int, component: int) -> Iterator[int]:
    """Connected supersets of ``subset`` that avoid ``forbidden`` (EnumerateCsgRec)."""
    reachable = _neighbourhood(graph, subset) & component & ~forbidden
    if not reachable:
        return
    for addition in _subsets(reachable):
        yield subset | addition
    for addition in _subsets(reachable):
        yield from _grow(graph, subset | addition, forbidden | reachable, component)


def _pairs_of(graph: JoinGraph, subset: int, component: int) -> Iterator[tuple[int, int]]:
    """Connected complements of ``subset`` (EnumerateCmp)."""
    lowest = subset & -subset
    forbidden = (lowest | (lowest - 1)) & component | subset
    reachable = _neighbourhood(graph, subset) & component & ~forbidden
    for index in reversed(range(reachable.bit_length())):
        start = 1 << index
        if not reachable & start:
            continue
        yield subset, start
        blocked = forbidden | (reachable & (start | (start - 1)))
        for grown in _grow(graph, start, blocked, component):
            yield subset, grown


def _subsets(relations: int) -> Iterator[int]:
    """Non-empty subsets, smaller numbers first."""
    subset = relations & -relations
    while subset:
        yield subset
        subset = (subset - relations) & relations


def _greedy(graph: JoinGraph, trees: list[JoinTree]) -> JoinTree:
    """Join the pair that adds least cost, until one tree is left."""
    while len(trees) > 1:
        choice: tuple[float, int, int, JoinTree] | None = None
        for connected_only in (True, False):
            for i, one in enumerate(trees):
                near = _neighbourhood(graph, one.relations)
                for j in range(i + 1, len(trees)):
                    if connected_only and not near & trees[j].relations:
                        continue
                    joined = _join(graph, one, trees[j])
                    if joined is None:
                        continue
                    added = joined.cost - one.cost - trees[j].cost
                    if choice is None or added < choice[0]:
                        choice = (added, i, j, joined)
            if choice is not None:
                break
        assert choice is not None, "free relations can always be joined"
        _, i, j, joined = choice
        trees = [tree for k, tree in enumerate(trees) if k not in (i, j)] + [joined]
    return trees[0]
