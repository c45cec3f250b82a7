"""Aggregate calls: DISTINCT, FILTER, ORDER BY inside the call, and WITHIN GROUP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.errors import BinderError
from gpuql_planner.functions import as_condition, make_aggregate
from gpuql_planner.functions.derived_aggregates import from_above, make_derived
from gpuql_planner.logical.expressions import AggregateCall, Expression, SortKey
from gpuql_planner.logical.visit import references
from gpuql_planner.statement_errors import GroupingError, LimitExceeded
from gpuql_planner.thresholds import MAX_GROUPING_ARGUMENTS
from gpuql_planner.types import BIGINT

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_expressions import ExpressionBinder


#: Function of the call that GROUPING(...) is until the grouping step replaces it.
GROUPING = "grouping"

_GROUPING_NAMES = frozenset((GROUPING, "grouping_id"))


@dataclass
class Spelled:
    """The parts of a call of an aggregate or window function as written."""

    name: str
    arguments: list[exp.Expr]
    distinct: bool = False
    ignore_nulls: bool = False
    condition: exp.Expr | None = None
    order_by: list[exp.Expr] = field(default_factory=list)
    within_group: list[exp.Expr] = field(default_factory=list)


def bind_aggregate(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    """Typed aggregate call; BinderError where none may stand."""
    spelled = unwrap_call(binder, node)
    if not binder.aggregates:
        raise binder.context.error(
            GroupingError, f"aggregate functions are not allowed in {binder.clause}", node
        )
    if binder.inside_aggregate:
        raise binder.context.error(GroupingError, "aggregate function calls cannot be nested", node)
    binder.inside_aggregate = True
    try:
        call = _bind_spelled(binder, spelled, node)
    finally:
        binder.inside_aggregate = False
    _reject_outer_aggregate(binder, call, node)
    return call


def is_grouping(node: exp.Expr) -> bool:
    """Whether a call is one of GROUPING or GROUPING_ID."""
    return isinstance(node, exp.Anonymous) and str(node.name).lower() in _GROUPING_NAMES


def bind_grouping_call(binder: ExpressionBinder, node: exp.Anonymous) -> Expression:
    """``GROUPING(a, b)``: which arguments, or keys if none are given, the row's grouping set lacks."""
    if not binder.aggregates:
        raise binder.context.error(GroupingError, "GROUPING needs a GROUP BY", node)
    if len(node.expressions) > MAX_GROUPING_ARGUMENTS:
        raise binder.context.error(
            LimitExceeded, f"GROUPING takes at most {MAX_GROUPING_ARGUMENTS} arguments", node
        )
    return AggregateCall(GROUPING, tuple(binder.bind(part) for part in node.expressions), BIGINT)


def _bind_spelled(binder: ExpressionBinder, spelled: Spelled, node: exp.Expr) -> Expression:
    arguments = [binder.bind(argument) for argument in spelled.arguments]
    order_by = tuple(bind_sort_key(binder, item) for item in spelled.order_by)
    condition = None if spelled.condition is None else as_condition(binder.bind(spelled.condition))
    if spelled.within_group:
        arguments = ordered_set(binder, spelled, arguments, node)
    if spelled.ignore_nulls and spelled.name not in ("any_value", "min", "max", "sum", "avg"):
        raise binder.context.unsupported(f"IGNORE NULLS with {spelled.name}", node)

    def call(name: str, *values: Expression) -> AggregateCall:
        return make_aggregate(name, values, distinct=spelled.distinct, filter=condition, order_by=order_by)

    derived = make_derived(spelled.name, call, arguments)
    return call(spelled.name, *arguments) if derived is None else derived


def ordered_set(
    binder: ExpressionBinder, spelled: Spelled, arguments: list[Expression], node: exp.Expr
) -> list[Expression]:
    """Arguments of ``percentile_cont(f) WITHIN GROUP (ORDER BY x)`` as ``quantile_cont(x, f)``."""
    if spelled.name not in ("percentile_cont", "percentile_disc", "quantile_cont", "quantile_disc"):
        raise binder.context.unsupported(f"WITHIN GROUP with {spelled.name}", node)
    if len(spelled.within_group) != 1 or len(arguments) != 1:
        raise binder.context.error(BinderError, "WITHIN GROUP takes one fraction and one ORDER BY item", node)
    key = bind_sort_key(binder, spelled.within_group[0])
    fraction = arguments[0]
    if key.descending:
        with binder.context.locating(node):
            fraction = from_above(spelled.name, fraction)
    return [key.expression, fraction]


def bind_sort_key(binder: ExpressionBinder, node: exp.Expr) -> SortKey:
    """One item of an ORDER BY inside a call."""
    if not isinstance(node, exp.Ordered):
        return SortKey(binder.bind(node))
    binder.context.reject_other(node, "this", "desc", "nulls_first")
    return SortKey(binder.bind(node.this), bool(node.args.get("desc")), bool(node.args.get("nulls_first")))


def unwrap_call(binder: ExpressionBinder, node: exp.Expr) -> Spelled:
    """The call inside FILTER, WITHIN GROUP and the treatment of NULLs."""
    condition: exp.Expr | None = None
    within_group: list[exp.Expr] = []
    ignore_nulls = False
    call = node
    while not isinstance(call, exp.Anonymous):
        if isinstance(call, exp.Filter):
            condition = call.expression.this
        elif isinstance(call, exp.WithinGroup):
            within_group = list(call.expression.expressions)
        elif isinstance(call, exp.IgnoreNulls):
            ignore_nulls = True
        elif not isinstance(call, exp.RespectNulls):
            raise binder.context.unsupported(f"{type(call).__name__} of an aggregate", node)
        call = call.this
    spelled = Spelled(str(call.name).lower(), list(call.expressions), condition=condition)
    spelled.within_group, spelled.ignore_nulls = within_group, ignore_nulls
    _unwrap_arguments(binder, spelled)
    return spelled


def _unwrap_arguments(binder: ExpressionBinder, spelled: Spelled) -> None:
    """Take DISTINCT, ORDER BY and IGNORE NULLS off the arguments that carry them."""
    plain: list[exp.Expr] = []
    for argument in spelled.arguments:
        inner = argument
        while isinstance(inner, (exp.Order, exp.IgnoreNulls, exp.RespectNulls)):
            if isinstance(inner, exp.Order):
                spelled.order_by = list(inner.expressions)
            elif isinstance(inner, exp.IgnoreNulls):
                spelled.ignore_nulls = True
            inner = inner.this
        if isinstance(inner, exp.Distinct):
            spelled.distinct = True
            plain.extend(inner.expressions)
        elif _is_star(inner):
            if spelled.name != "count":
                raise binder.context.error(
                    BinderError, f"* is an argument of count only: {spelled.name}(*)", argument
                )
        elif inner is not None:  # ORDER BY may stand without an argument
            plain.append(inner)
    # DISTINCT may itself carry the ORDER BY of its last argument.
    while plain and isinstance(plain[-1], exp.Order):
        spelled.order_by = list(plain[-1].expressions)
        plain[-1] = plain[-1].this
    spelled.arguments = plain


def _is_star(node: exp.Expr) -> bool:
    return isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))


def _reject_outer_aggregate(binder: ExpressionBinder, call: Expression, node: exp.Expr) -> None:
    """An aggregate over outer columns alone belongs to the outer query by the standard; it is refused."""
    if binder.scope.parent is None:
        return
    used = references(call)
    local = {*binder.scope.attributes(), *binder.scope.merged.values()}
    if used and used.isdisjoint(local):
        raise binder.context.unsupported("an aggregate over columns of an outer query only", node)
