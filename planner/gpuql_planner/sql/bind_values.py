"""VALUES lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.errors import BinderError, GpuqlError
from gpuql_planner.functions.coercion import coerce, is_integer_literal, is_null_literal, unified_type
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Expression, Literal
from gpuql_planner.logical.nodes import LogicalNode, Project, UnionAll, Values
from gpuql_planner.sql.scope import Scope
from gpuql_planner.types import DataType

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import BoundQuery, QueryBinder

ONE_ROW = Values((), ((),))


def bind_values(
    queries: QueryBinder,
    node: exp.Values,
    *,
    targets: Sequence[DataType] | None = None,
    default: Callable[[int], Expression] | None = None,
) -> BoundQuery:
    """Rows of expressions; columns are called ``col0``, ``col1``, … Each column takes one type.

    ``targets`` are the types of an INSERT's columns, to which the values are cast instead, and ``default`` gives
    what DEFAULT stands for in each.
    """
    from gpuql_planner.sql.bind_query import BoundQuery

    rows = [_row(queries, row, targets, default) for row in node.expressions]
    width = len(rows[0])
    for row, row_node in zip(rows, node.expressions, strict=True):
        if len(row) != width:
            raise queries.context.error(
                BinderError, f"VALUES rows have different lengths: {width} and {len(row)}", row_node
            )
    if targets is None:
        with queries.context.locating(node):
            columns = [_unify_column([row[index] for row in rows]) for index in range(width)]
        rows = [list(row) for row in zip(*columns, strict=True)]
    attributes = tuple(
        Attribute.fresh(f"col{index}", rows[0][index].dtype, nullable=True) for index in range(width)
    )
    return BoundQuery(_plan(rows, attributes), tuple(attribute.name for attribute in attributes))


def _unify_column(values: list[Expression]) -> tuple[Expression, ...]:
    """All rows in one type: an integer in the first row that is not NULL has its own, others adapt to their peers."""
    typed = list(values)
    for place, value in enumerate(values):
        if is_integer_literal(value):
            typed[place] = AttributeRef(Attribute.fresh("", value.dtype))
        if not is_null_literal(value):
            break
    dtype = unified_type(typed, construct="VALUES")
    return tuple(coerce(value, dtype) for value in values)


def _row(
    queries: QueryBinder,
    node: exp.Expr,
    targets: Sequence[DataType] | None,
    default: Callable[[int], Expression] | None,
) -> list[Expression]:
    from gpuql_planner.sql.bind_expressions import ExpressionBinder

    binder = ExpressionBinder(queries.context, Scope(parent=queries.parent), queries, "VALUES")
    cells = list(node.expressions) if isinstance(node, exp.Tuple) else [node]
    if targets is None:
        return [binder.bind(cell) for cell in cells]
    if len(cells) != len(targets):
        raise queries.context.error(
            BinderError, f"number of values and columns differ: {len(cells)} and {len(targets)}", node
        )
    values: list[Expression] = []
    for index, (cell, dtype) in enumerate(zip(cells, targets, strict=True)):
        if default is not None and isinstance(cell, exp.Var) and cell.name.upper() == "DEFAULT":
            values.append(default(index))
            continue
        try:
            values.append(coerce(binder.bind(cell), dtype))
        except GpuqlError as error:
            error.position = error.position or queries.context.position(cell)
            error.statement = error.statement or queries.context.text
            raise
    return values


def _plan(rows: list[list[Expression]], attributes: tuple[Attribute, ...]) -> LogicalNode:
    constants = [[cell.value for cell in row if isinstance(cell, Literal)] for row in rows]
    if all(len(row) == len(attributes) for row in constants):
        return Values(attributes, tuple(tuple(row) for row in constants))
    if len(rows) == 1:
        return Project(ONE_ROW, tuple(zip(attributes, rows[0], strict=True)))
    sources: list[LogicalNode] = []
    for row in rows:
        fresh = (Attribute.fresh(a.name, a.dtype) for a in attributes)
        sources.append(Project(ONE_ROW, tuple(zip(fresh, row, strict=True))))
    return UnionAll(tuple(sources), attributes)
