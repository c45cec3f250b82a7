"""LIMIT, OFFSET and FETCH FIRST."""

from __future__ import annotations

import math
from decimal import Decimal

from sqlglot import exp

from gpuql_planner.errors import BinderError
from gpuql_planner.sql.context import BindContext


def bind_limit(context: BindContext, node: exp.Expr) -> tuple[int | None, int]:
    """Row limit (None for no limit) and offset of a query."""
    limit_node, offset_node = node.args.get("limit"), node.args.get("offset")
    limit: int | None = None
    offset = 0
    if limit_node is not None:
        options = limit_node.args.get("limit_options")
        if options is not None and (options.args.get("percent") or options.args.get("with_ties")):
            raise context.unsupported("LIMIT in percent or WITH TIES", limit_node)
        if isinstance(limit_node, exp.Fetch):
            limit = _constant(context, limit_node.args.get("count") or exp.Literal.number(1), "LIMIT")
        else:
            context.reject_other(limit_node, "expression", "offset", "limit_options")
            limit = _constant(context, limit_node.expression, "LIMIT")
            if limit_node.args.get("offset") is not None:
                offset = _constant(context, limit_node.args["offset"], "OFFSET") or 0
    if offset_node is not None:
        offset = _constant(context, offset_node.expression, "OFFSET") or 0
    return limit, offset


def _constant(context: BindContext, node: exp.Expr, clause: str) -> int | None:
    value = _evaluate(context, node)
    if value is None:
        return None
    if isinstance(value, str) or not math.isfinite(value) or value != int(value):
        raise context.error(BinderError, f"{clause} must be a whole number: {value}", node)
    if value < 0:
        raise context.error(BinderError, f"{clause} must not be negative: {value}", node)
    return int(value)


def _evaluate(context: BindContext, node: exp.Expr) -> int | float | Decimal | str | None:
    """Value of a constant number, a parameter, or a sum, difference or product of them."""
    match node:
        case exp.Literal() if not node.is_string:
            return Decimal(str(node.this))
        case exp.Null():
            return None
        case exp.Paren():
            return _evaluate(context, node.this)
        case exp.Neg():
            value = _evaluate(context, node.this)
            return None if value is None or isinstance(value, str) else -value
        case exp.Placeholder():
            parameter = context.parameter(node).value
            if parameter is None or (
                isinstance(parameter, (int, float, Decimal)) and not isinstance(parameter, bool)
            ):
                return parameter
        case exp.Add() | exp.Sub() | exp.Mul():
            left, right = _evaluate(context, node.this), _evaluate(context, node.expression)
            if left is None or right is None or isinstance(left, str) or isinstance(right, str):
                return None
            left, right = Decimal(left), Decimal(right)
            return (
                left + right
                if isinstance(node, exp.Add)
                else left - right
                if isinstance(node, exp.Sub)
                else left * right
            )
    raise context.unsupported("LIMIT and OFFSET that are not constant numbers", node)
