"""LIMIT, OFFSET and FETCH FIRST: constants, percentages, and what is known only once the query runs."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.errors import OutOfRangeError
from gpuql_planner.functions import explicit_cast, make_aggregate, make_and, make_call, make_comparison
from gpuql_planner.functions.coercion import coerce
from gpuql_planner.logical.expressions import (
    Attribute,
    AttributeRef,
    Expression,
    Literal,
    ScalarSubquery,
    SortKey,
)
from gpuql_planner.logical.nodes import Aggregate, Filter, Limit, LogicalNode, Project, Running, Shared, Sort
from gpuql_planner.logical.visit import pass_through
from gpuql_planner.sql.context import BindContext, next_shared_key
from gpuql_planner.sql.scope import Scope
from gpuql_planner.statement_errors import InvalidRowCount
from gpuql_planner.types import BIGINT, DOUBLE, HUGEINT, UBIGINT

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder

_NO_LIMIT = 2**64


class _NotConstant(Exception):
    """The value is known only once the query runs."""


def apply_limit(queries: QueryBinder, node: exp.Expr, plan: LogicalNode) -> LogicalNode:
    """``plan`` cut as the LIMIT and OFFSET of ``node`` say."""
    context = queries.context
    limit_node, offset_node, percent = _written(context, node)
    if percent:
        assert limit_node is not None, "a percentage is of something"
        return _share_of_rows(queries, plan, limit_node, offset_node)
    try:
        limit = None if limit_node is None else _constant(context, limit_node, "LIMIT")
        offset = None if offset_node is None else _constant(context, offset_node, "OFFSET")
    except _NotConstant:
        return _computed_limit(queries, plan, limit_node, offset_node)
    return Limit(plan, limit, offset or 0) if limit is not None or offset else plan


def _written(context: BindContext, node: exp.Expr) -> tuple[exp.Expr | None, exp.Expr | None, bool]:
    """LIMIT, OFFSET, and whether the limit is a percentage."""
    limit_clause, offset_clause = node.args.get("limit"), node.args.get("offset")
    limit: exp.Expr | None = None
    offset: exp.Expr | None = None if offset_clause is None else offset_clause.expression
    percent = False
    if limit_clause is not None:
        options = limit_clause.args.get("limit_options")
        if options is not None and options.args.get("with_ties"):
            raise context.unsupported("LIMIT WITH TIES", limit_clause)
        percent = options is not None and bool(options.args.get("percent"))
        if isinstance(limit_clause, exp.Fetch):
            limit = limit_clause.args.get("count") or exp.Literal.number(1)
        else:
            context.reject_other(limit_clause, "expression", "offset", "limit_options")
            limit = limit_clause.expression
            offset = limit_clause.args.get("offset") or offset
    return limit, offset, percent


# --- constants -------------------------------------------------------------------------------------------------------


def _constant(context: BindContext, node: exp.Expr, clause: str) -> int | None:
    value = _evaluate(context, node)
    if value is None:
        return None
    if not math.isfinite(value):
        raise context.error(InvalidRowCount, f"{clause} must be a whole number: {value}", node)
    whole = int(Decimal(value).to_integral_value(ROUND_HALF_UP))
    if whole < 0:
        raise context.error(InvalidRowCount, f"{clause} must not be negative: {value}", node)
    return whole


def _evaluate(context: BindContext, node: exp.Expr) -> int | float | Decimal | None:
    """Value of a constant number, a parameter, or a sum, difference or product of them."""
    match node:
        case exp.Literal() if not node.is_string:
            return Decimal(str(node.this))
        case exp.Null():
            return None
        case exp.Var() if node.name.upper() == "ALL":
            return None
        case exp.Paren():
            return _evaluate(context, node.this)
        case exp.Neg():
            value = _evaluate(context, node.this)
            return None if value is None else -value
        case exp.Placeholder():
            parameter = context.parameter(node).value
            if parameter is None or (
                isinstance(parameter, (int, float, Decimal)) and not isinstance(parameter, bool)
            ):
                return parameter
        case exp.Add() | exp.Sub() | exp.Mul():
            left, right = _evaluate(context, node.this), _evaluate(context, node.expression)
            if left is None or right is None:
                return None
            left, right = Decimal(left), Decimal(right)
            if isinstance(node, exp.Add):
                return left + right
            return left - right if isinstance(node, exp.Sub) else left * right
    raise _NotConstant


# --- what is known only once the query runs --------------------------------------------------------------------------


def _computed_limit(
    queries: QueryBinder, plan: LogicalNode, limit: exp.Expr | None, offset: exp.Expr | None
) -> LogicalNode:
    """Rows are numbered, and compared with the values."""
    number = Attribute.fresh("row", BIGINT, nullable=False)
    first = _number(queries, offset, "OFFSET", 0)
    last = make_call("add", (first, _number(queries, limit, "LIMIT", _NO_LIMIT)))
    return _rows_between(plan, Running(plan, number), number, first, last)


def _number(queries: QueryBinder, node: exp.Expr | None, clause: str, missing: int) -> Expression:
    """Value of an expression as HUGEINT; ``missing`` for NULL. A negative one is an error."""
    if node is None:
        return Literal(missing, HUGEINT)
    with queries.context.locating(node):
        value = coerce(explicit_cast(_bound(queries, node, clause), UBIGINT), HUGEINT)
        return make_call("coalesce", (value, Literal(missing, HUGEINT)))


def _bound(queries: QueryBinder, node: exp.Expr, clause: str) -> Expression:
    from gpuql_planner.sql.bind_expressions import ExpressionBinder

    return ExpressionBinder(queries.context, Scope(parent=queries.parent), queries, clause).bind(node)


def _rows_between(
    plan: LogicalNode, numbered: LogicalNode, number: Attribute, first: Expression, last: Expression
) -> LogicalNode:
    """Rows with a number above ``first`` and up to ``last``, in order, without the number."""
    row = coerce(AttributeRef(number), HUGEINT)
    within = make_and([make_comparison("gt", row, first), make_comparison("le", row, last)])
    kept = Sort(Filter(numbered, (within,)), (SortKey(AttributeRef(number)),))
    return Project(kept, pass_through(plan.outputs))


def _share_of_rows(
    queries: QueryBinder, plan: LogicalNode, percent: exp.Expr, offset: exp.Expr | None
) -> LogicalNode:
    """``LIMIT p%``: as many rows as that share of all, rounded down."""
    context = queries.context
    try:
        constant = _evaluate(context, percent)
    except _NotConstant:
        share = explicit_cast(_bound(queries, percent, "LIMIT"), DOUBLE)
    else:
        if constant is not None and not 0 <= constant <= 100:
            raise context.error(OutOfRangeError, f"LIMIT must be between 0% and 100%: {constant}%", percent)
        share = Literal(100.0 if constant is None else float(constant), DOUBLE)
    return share_of_rows(plan, share, _number(queries, offset, "OFFSET", 0), "floor")


def share_of_rows(plan: LogicalNode, percent: Expression, first: Expression, rounding: str) -> LogicalNode:
    """As many rows after ``first`` as a percentage of all, ``rounding`` being floor or round."""
    number = Attribute.fresh("row", BIGINT, nullable=False)
    numbered = Running(plan, number)
    key = next_shared_key()
    # The last row's number says how many there are.
    counted = tuple(Attribute.fresh(a.name, a.dtype, nullable=a.nullable) for a in numbered.outputs)
    num_rows = Attribute.fresh("rows", BIGINT)
    highest = make_aggregate("max", [AttributeRef(counted[-1])])
    total = ScalarSubquery(Aggregate(Shared(key, numbered, counted), (), ((num_rows, highest),)))
    share = make_call(
        "divide", (make_call("multiply", (coerce(total, DOUBLE), percent)), Literal(100.0, DOUBLE))
    )
    whole = explicit_cast(make_call(rounding, (share,)), HUGEINT)
    return _rows_between(
        plan, Shared(key, numbered, numbered.outputs), number, first, make_call("add", (first, whole))
    )
