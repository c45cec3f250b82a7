"""Expressions that were computed over all source rows for a fused pipeline, reused where the interpreter runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile

from gpuql.columnar.batch import Batch
from gpuql.columnar.column import Column
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Expression
from gpuql_planner.logical.visit import map_children
from gpuql_planner.physical.nodes import FilterExec, Transform


def with_computed(
    transforms: Sequence[Transform], source: Batch, computed: Mapping[int, Column]
) -> tuple[tuple[Transform, ...], Batch]:
    """The transforms with their leading filters reading ``computed``, and the source with these columns.

    ``computed`` has the values, for every source row, of expression objects by their ``id``.
    """
    if not computed:
        return tuple(transforms), source
    columns: dict[int, Column] = dict(source.columns)
    replaced: dict[int, AttributeRef] = {}

    def replace(expression: Expression) -> Expression:
        column = computed.get(id(expression))
        if column is None:
            return map_children(expression, replace)
        reference = replaced.get(id(expression))
        if reference is None:
            attribute = Attribute.fresh("computed", expression.dtype, nullable=column.validity is not None)
            columns[attribute.id] = column
            reference = replaced[id(expression)] = AttributeRef(attribute)
        return reference

    filters = [
        FilterExec(tuple(replace(predicate) for predicate in transform.predicates))
        for transform in takewhile(lambda transform: isinstance(transform, FilterExec), transforms)
        if isinstance(transform, FilterExec)
    ]
    return (*filters, *transforms[len(filters) :]), Batch(columns, source.num_rows)
