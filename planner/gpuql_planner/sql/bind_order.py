"""ORDER BY items: positions, ALL, directions and the place of NULLs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlglot import exp

from gpuql_planner.errors import BinderError
from gpuql_planner.sql.context import BindContext
from gpuql_planner.statement_errors import InvalidColumnReference


@dataclass(frozen=True)
class OrderItem:
    """One item; ``position`` counts outputs from 0 and is None for an expression."""

    node: exp.Expr
    position: int | None
    descending: bool
    nulls_first: bool


def order_items(
    context: BindContext,
    order: exp.Order,
    num_outputs: int,
    expand: Callable[[exp.Expr], list[exp.Expr]] = lambda node: [node],
) -> Iterator[OrderItem]:
    """Items of an ORDER BY; ALL stands for every output from left to right, COLUMNS for what ``expand`` gives."""
    context.reject_other(order, "expressions")
    for ordered in order.expressions:
        context.reject_other(ordered, "this", "desc", "nulls_first")
        node = ordered.this
        descending, nulls_first = bool(ordered.args.get("desc")), bool(ordered.args.get("nulls_first"))
        if isinstance(node, exp.Var) and node.name.upper() == "ALL":
            for output in range(num_outputs):
                yield OrderItem(node, output, descending, nulls_first)
        else:
            position = output_position(context, node, num_outputs, "ORDER BY")
            for part in expand(node) if position is None else [node]:
                yield OrderItem(part, position, descending, nulls_first)


def output_position(context: BindContext, node: exp.Expr, num_outputs: int, clause: str) -> int | None:
    """Output that an integer constant names, from 0; None if ``node`` is no integer constant."""
    if not isinstance(node, exp.Literal):
        return None
    text = str(node.this)
    if node.is_string or not text.isdigit():
        raise context.error(BinderError, f"constant in {clause} has no effect: {node.sql('duckdb')}", node)
    position = int(text)
    if not 1 <= position <= num_outputs:
        raise context.error(
            InvalidColumnReference,
            f"{clause} position out of range: {position} (columns: {num_outputs})",
            node,
        )
    return position - 1
