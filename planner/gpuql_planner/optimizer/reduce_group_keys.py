"""Group keys that other keys determine are only carried along.

Before: ``Aggregate by o_orderkey, o_orderdate`` with ``o_orderkey`` unique in its table; after:
``Aggregate by o_orderkey: any_value(o_orderdate)``. A text key that stands and falls with an integer (the name of a
customer whose number the row has) gives way to it: ``Aggregate by o_custkey: any_value(c_name)``.
"""

from __future__ import annotations

from dataclasses import dataclass

from gpuql_planner.logical.expressions import AggregateCall, Attribute, AttributeRef, Expression, Literal
from gpuql_planner.logical.nodes import (
    Aggregate,
    Filter,
    Join,
    JoinKind,
    Limit,
    LogicalNode,
    Project,
    Repeat,
    Scan,
    Shared,
    Sort,
    Unnest,
)
from gpuql_planner.logical.visit import output_set, references, transform_plan
from gpuql_planner.optimizer.cardinality import column_estimate
from gpuql_planner.optimizer.statistics import equality_attributes, unique_keys
from gpuql_planner.thresholds import WIDE_TEXT_KEYS
from gpuql_planner.types import TypeId


def reduce_group_keys(plan: LogicalNode) -> LogicalNode:
    """``plan`` with no group key that the others determine."""
    return transform_plan(plan, lambda node: _reduce(node) if isinstance(node, Aggregate) else node)


@dataclass(frozen=True)
class _Dependency:
    """Rows equal in ``determinants`` are equal in ``dependants`` (NULLs equal)."""

    determinants: frozenset[Attribute]
    dependants: frozenset[Attribute]


def _reduce(node: Aggregate) -> Aggregate:
    plain = [(a, e) for a, e in node.keys if isinstance(e, AttributeRef)]
    kept = dict(node.keys)
    for attribute, expression in node.keys:
        if isinstance(expression, Literal) and len(kept) > 1:
            del kept[attribute]
    dependencies = _dependencies(node.input) if plain else []
    if len(plain) > 1:
        for attribute, expression in sorted(plain, key=_drop_first):
            others = frozenset(
                e.attribute for a, e in kept.items() if a != attribute and isinstance(e, AttributeRef)
            )
            if others and expression.attribute in _closure(others, dependencies):
                del kept[attribute]
    keys = tuple(_stand_in(a, e, node.input, dependencies) for a, e in kept.items())
    if keys == node.keys:
        return node
    kept_attributes = {attribute for attribute, _ in keys}
    carried = tuple(
        (a, AggregateCall("any_value", (e,), e.dtype)) for a, e in node.keys if a not in kept_attributes
    )
    return Aggregate(node.input, keys, (*carried, *node.aggregates))


def _stand_in(
    attribute: Attribute, expression: Expression, source: LogicalNode, dependencies: list[_Dependency]
) -> tuple[Attribute, Expression]:
    """An integer of ``source`` that is equal just where a text key is, under a name of its own; else the key."""
    if not isinstance(expression, AttributeRef) or expression.dtype.id is not TypeId.VARCHAR:
        return attribute, expression
    if column_estimate(source, expression.attribute).distinct < WIDE_TEXT_KEYS:
        return attribute, expression
    determined = _closure(frozenset((expression.attribute,)), dependencies)
    for other in source.outputs:
        if (
            other.dtype.is_integer
            and other in determined
            and expression.attribute in _closure(frozenset((other,)), dependencies)
        ):
            return Attribute.fresh(other.name, other.dtype), AttributeRef(other)
    return attribute, expression


def _drop_first(item: tuple[Attribute, Expression]) -> int:
    """Wide keys go before narrow ones, so that an integer stays if something must."""
    dtype = item[1].dtype
    if dtype.id is TypeId.VARCHAR:
        return 0
    return 3 if dtype.is_integer else 2 if dtype.id is TypeId.DATE else 1


def _closure(start: frozenset[Attribute], dependencies: list[_Dependency]) -> frozenset[Attribute]:
    known = start
    while True:
        grown = known.union(*(d.dependants for d in dependencies if d.determinants <= known))
        if len(grown) == len(known):
            return known
        known = grown


def _dependencies(node: LogicalNode) -> list[_Dependency]:
    """Functional dependencies among the attributes of ``node`` and of what lies below it."""
    found: list[_Dependency] = []
    _collect(node, found)
    return found


def _collect(node: LogicalNode, found: list[_Dependency]) -> None:
    if isinstance(node, (Filter, Sort, Limit, Repeat, Unnest)):
        _collect(node.input, found)
        return
    if isinstance(node, Project):
        _collect(node.input, found)
        for attribute, expression in node.expressions:
            used = references(expression)
            if used and expression != AttributeRef(attribute):
                found.append(_Dependency(used, frozenset((attribute,))))
            if isinstance(expression, AttributeRef):
                found.append(_Dependency(frozenset((attribute,)), used))
        return
    if isinstance(node, Join):
        _collect_join(node, found)
        return
    if isinstance(node, (Scan, Aggregate, Shared)):
        outputs = output_set(node)
        found.extend(_Dependency(key, outputs) for key in unique_keys(node) if key)


def _collect_join(node: Join, found: list[_Dependency]) -> None:
    _collect(node.left, found)
    if node.kind in (JoinKind.SEMI, JoinKind.ANTI, JoinKind.MARK):
        return
    # A padded row is NULL in every column of its side, so the side's own dependencies survive padding only where
    # no real row has NULL in the determinants: unique keys are not NULL, but computed columns may be.
    if node.kind in (JoinKind.INNER, JoinKind.CROSS):
        _collect(node.right, found)
        for one, other in zip(*equality_attributes(node), strict=True):
            if one.dtype == other.dtype and not one.dtype.is_float:
                found.append(_Dependency(frozenset((one,)), frozenset((other,))))
                found.append(_Dependency(frozenset((other,)), frozenset((one,))))
