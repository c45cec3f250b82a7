"""Window functions: the call, its window with what it takes from named ones, and the step that computes all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.errors import did_you_mean
from gpuql_planner.functions import (
    AGGREGATE_FUNCTIONS,
    WINDOW_FUNCTIONS,
    as_condition,
    explicit_cast,
    is_aggregate_function,
    is_scalar_function,
    is_window_function,
    make_aggregate,
    make_call,
    resolve_window_function,
)
from gpuql_planner.functions.derived_aggregates import make_derived
from gpuql_planner.functions.windows import IGNORES_NULLS
from gpuql_planner.logical.expressions import (
    AggregateCall,
    Attribute,
    AttributeRef,
    Expression,
    Literal,
    SortKey,
)
from gpuql_planner.logical.nodes import LogicalNode, Project, Window
from gpuql_planner.logical.visit import map_children, pass_through
from gpuql_planner.logical.window_calls import (
    DEFAULT_FRAME,
    BoundKind,
    Exclusion,
    FrameBound,
    FrameUnit,
    WindowCall,
    WindowFrame,
)
from gpuql_planner.sql.bind_aggregates import Spelled, bind_sort_key, ordered_set, unwrap_call
from gpuql_planner.sql.context import BindContext
from gpuql_planner.statement_errors import (
    UndefinedFunction,
    UndefinedObject,
    WindowingError,
    WrongKindOfFunction,
)
from gpuql_planner.types import BIGINT

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_expressions import ExpressionBinder

#: Bounds from the first row that a frame may begin with to the last.
_BOUND_ORDER = list(BoundKind)


def write_out_windows(context: BindContext, select: exp.Select) -> None:
    """Put the definitions of a WINDOW clause where they are named, in the trees of one SELECT. Errors: BinderError."""
    definitions: dict[str, exp.Expr] = {}
    for definition in select.args.get("windows") or ():
        name = str(definition.this.name)
        if name.lower() in definitions:
            raise context.error(WindowingError, f"window defined twice: {name}", definition)
        # A window may extend those before it only.
        _write_out(context, definition, definitions)
        definitions[name.lower()] = definition
    trees = [*select.expressions, *(select.args.get(clause) for clause in ("qualify", "order", "distinct"))]
    for tree in trees:
        if tree is not None:
            for node in _own_windows(tree):
                _write_out(context, node, definitions)


def _own_windows(tree: exp.Expr) -> Iterator[exp.Window]:
    """Calls with OVER outside subqueries."""
    if isinstance(tree, exp.Query):
        return
    if isinstance(tree, exp.Window):
        yield tree
    for child in tree.iter_expressions():
        yield from _own_windows(child)


def _write_out(context: BindContext, node: exp.Expr, definitions: dict[str, exp.Expr]) -> None:
    """Complete a window by what it takes from the one that it names."""
    context.reject_other(node, "this", "partition_by", "order", "spec", "alias", "over")
    if node.args.get("alias") is None:
        return
    name = str(node.args["alias"].name)
    extended = definitions.get(name.lower())
    if extended is None:
        known = [str(definition.this.name) for definition in definitions.values()]
        raise context.error(
            UndefinedObject, f"window not found: {name}", node, hint=did_you_mean(name, known)
        )
    own = {part for part in ("partition_by", "order", "spec") if node.args.get(part)}
    if "partition_by" in own:
        raise context.error(WindowingError, f"PARTITION BY of a window that extends another: {name}", node)
    if "order" in own and extended.args.get("order"):
        raise context.error(WindowingError, f"ORDER BY of a window that extends an ordered one: {name}", node)
    if own and extended.args.get("spec"):
        raise context.error(WindowingError, f"window with a frame cannot be extended: {name}", node)
    for part in ("partition_by", "order", "spec"):
        value = extended.args.get(part)
        if part not in own and value:
            node.set(part, [item.copy() for item in value] if isinstance(value, list) else value.copy())
    node.set("alias", None)


def bind_window(binder: ExpressionBinder, node: exp.Window) -> Expression:
    """Typed window call; BinderError where none may stand."""
    context = binder.context
    if binder.inside_aggregate:
        raise context.error(WindowingError, "aggregate function calls cannot contain window functions", node)
    if not binder.windows:
        raise context.error(WindowingError, f"window functions are not allowed in {binder.clause}", node)
    if binder.inside_window:
        raise context.error(WindowingError, "window function calls cannot be nested", node)
    binder.inside_window = True
    try:
        return _bind_call(binder, unwrap_call(binder, node.this), node)
    finally:
        binder.inside_window = False


def _bind_call(binder: ExpressionBinder, spelled: Spelled, node: exp.Window) -> Expression:
    context, name = binder.context, spelled.name
    if is_window_function(name):
        return _with_window(binder, _bind_window_function(binder, spelled, node), node)
    if not is_aggregate_function(name):
        if is_scalar_function(name):
            raise context.error(
                WrongKindOfFunction, f"neither an aggregate nor a window function: {name}", node
            )
        hint = did_you_mean(name, [*AGGREGATE_FUNCTIONS, *WINDOW_FUNCTIONS])
        raise context.error(UndefinedFunction, f"function does not exist: {name}", node, hint=hint)
    if spelled.ignore_nulls and name not in ("first", "last", "arbitrary"):
        raise context.error(WrongKindOfFunction, f"IGNORE NULLS of a windowed aggregate: {name}", node)
    arguments = [binder.bind(argument) for argument in spelled.arguments]
    if spelled.within_group:
        arguments = ordered_set(binder, spelled, arguments, node)
    condition = None if spelled.condition is None else as_condition(binder.bind(spelled.condition))
    order_by = tuple(bind_sort_key(binder, item) for item in spelled.order_by)

    def call(function: str, *values: Expression) -> Expression:
        aggregate = make_aggregate(
            function, values, distinct=spelled.distinct, filter=condition, order_by=order_by
        )
        return _with_window(binder, _as_window_call(context, aggregate, spelled, node), node)

    derived = make_derived(name, call, arguments)
    return call(name, *arguments) if derived is None else derived


def _as_window_call(
    context: BindContext, call: AggregateCall, spelled: Spelled, node: exp.Window
) -> WindowCall:
    """An aggregate over frames."""
    if call.function in ("first", "last", "any_value") and call.filter is None and not call.order_by:
        function = "last_value" if call.function == "last" else "first_value"
        ignore_nulls = spelled.ignore_nulls or call.function == "any_value"
        return WindowCall(function, call.arguments, call.type, ignore_nulls=ignore_nulls)
    if spelled.ignore_nulls:
        raise context.unsupported(f"IGNORE NULLS of {spelled.name} with FILTER or ORDER BY", node)
    return WindowCall(
        call.function,
        call.arguments,
        call.type,
        distinct=call.distinct,
        filter=call.filter,
        argument_order=call.order_by,
    )


def _bind_window_function(binder: ExpressionBinder, spelled: Spelled, node: exp.Window) -> WindowCall:
    context, name = binder.context, spelled.name
    if spelled.distinct:
        raise context.error(WrongKindOfFunction, f"DISTINCT of a window function: {name}", node)
    if spelled.condition is not None:
        raise context.error(WrongKindOfFunction, f"FILTER of a window function: {name}", node)
    if spelled.order_by or spelled.within_group:
        raise context.unsupported(f"ORDER BY inside the window function {name}", node)
    arguments = [binder.bind(argument) for argument in spelled.arguments]
    function, (arguments_cast, dtype) = resolve_window_function(name, arguments)
    if spelled.ignore_nulls and function not in IGNORES_NULLS:
        raise context.error(
            WrongKindOfFunction, f"IGNORE NULLS of a window function that has no argument: {name}", node
        )
    return WindowCall(function, arguments_cast, dtype, ignore_nulls=spelled.ignore_nulls)


def _with_window(binder: ExpressionBinder, call: WindowCall, node: exp.Window) -> WindowCall:
    partition_by = tuple(dict.fromkeys(binder.bind(part) for part in node.args.get("partition_by") or ()))
    order = node.args.get("order")
    order_by = []
    for item in () if order is None else order.expressions:
        if (
            isinstance(item, exp.Ordered)
            and isinstance(item.this, exp.Var)
            and item.this.name.upper() == "ALL"
        ):
            raise binder.context.error(WindowingError, "ORDER BY ALL in a window", node)
        order_by.append(bind_sort_key(binder, item))
    return replace(
        call,
        partition_by=partition_by,
        order_by=tuple(order_by),
        frame=_bind_frame(binder, node.args.get("spec"), tuple(order_by), node),
    )


# --- frames -------------------------------------------------------------------------------------------------


def _bind_frame(
    binder: ExpressionBinder, spec: exp.WindowSpec | None, order_by: tuple[SortKey, ...], node: exp.Expr
) -> WindowFrame:
    if spec is None:
        return DEFAULT_FRAME
    context = binder.context
    context.reject_other(spec, "kind", "start", "start_side", "end", "end_side", "exclude")
    unit = FrameUnit(str(spec.args.get("kind") or "range").lower())
    kinds = [_bound_kind(spec.args.get(end), spec.args.get(f"{end}_side")) for end in ("start", "end")]
    start_kind, end_kind = kinds
    if start_kind is None or end_kind is None:
        raise context.error(WindowingError, "frame bound needs PRECEDING or FOLLOWING", node)
    _check_bounds(context, start_kind, end_kind, node)
    start = _bind_bound(binder, unit, start_kind, spec.args.get("start"), order_by)
    end = _bind_bound(binder, unit, end_kind, spec.args.get("end"), order_by)
    exclude = spec.args.get("exclude")
    exclusion = Exclusion.NO_OTHERS if exclude is None else Exclusion(str(exclude.name).lower())
    return WindowFrame(unit, start, end, exclusion)


def _bound_kind(value: object, side: object) -> BoundKind | None:
    if value is None or value == "CURRENT ROW":
        return BoundKind.CURRENT_ROW
    if side is None:
        return None
    direction = str(side).lower()
    if value == "UNBOUNDED":
        return BoundKind(f"unbounded {direction}")
    return BoundKind(direction)


def _check_bounds(context: BindContext, start: BoundKind, end: BoundKind, node: exp.Expr) -> None:
    if start is BoundKind.UNBOUNDED_FOLLOWING:
        raise context.error(WindowingError, "frame cannot begin with UNBOUNDED FOLLOWING", node)
    if end is BoundKind.UNBOUNDED_PRECEDING:
        raise context.error(WindowingError, "frame cannot end with UNBOUNDED PRECEDING", node)
    if _BOUND_ORDER.index(start) > _BOUND_ORDER.index(end):
        raise context.error(
            WindowingError,
            f"frame cannot begin with {start.value.upper()} and end with {end.value.upper()}",
            node,
        )


def _bind_bound(
    binder: ExpressionBinder,
    unit: FrameUnit,
    kind: BoundKind,
    value: exp.Expr | str | None,
    order_by: tuple[SortKey, ...],
) -> FrameBound:
    if kind not in (BoundKind.PRECEDING, BoundKind.FOLLOWING):
        return FrameBound(kind)
    assert isinstance(value, exp.Expr), "an offset has a tree"
    context = binder.context
    with context.locating(value):
        offset = binder.bind(value)
        if unit is not FrameUnit.RANGE:
            if unit is FrameUnit.ROWS and isinstance(offset, Literal) and offset.is_null:
                raise context.error(WindowingError, "ROWS offset cannot be NULL", value)
            return FrameBound(kind, explicit_cast(offset, BIGINT))
        if len(order_by) != 1:
            raise context.error(WindowingError, "RANGE with an offset needs exactly one ORDER BY item", value)
        if isinstance(offset, Literal) and offset.is_null:
            raise context.error(WindowingError, "RANGE offset cannot be NULL", value)
        key = order_by[0]
        backwards = (kind is BoundKind.PRECEDING) != key.descending
        bound = make_call("subtract" if backwards else "add", (key.expression, offset))
        return FrameBound(kind, bound, explicit_cast(key.expression, bound.dtype))


# --- from bound calls to a plan -----------------------------------------------------------------------------


@dataclass
class WindowStep:
    """The window calls of one SELECT, collected while its expressions are rewritten."""

    calls: dict[WindowCall, Attribute] = field(default_factory=dict)
    _computed: dict[Expression, Attribute] = field(default_factory=dict)

    def rewrite(self, expression: Expression) -> Expression:
        """``expression`` with its window calls as columns."""
        if not isinstance(expression, WindowCall):
            return map_children(expression, self.rewrite)
        call = map_children(expression, self._operand)
        assert isinstance(call, WindowCall), "operands change, not the call"
        if call.frame.start.key is None and call.frame.end.key is None:
            call = replace(call, order_by=_without_constants(call.order_by))
        # Not before: a constant may be a key of GROUPING SETS, which is NULL in some sets.
        partition_by = tuple(part for part in call.partition_by if not isinstance(part, Literal))
        call = replace(
            call, partition_by=partition_by, argument_order=_without_constants(call.argument_order)
        )
        attribute = self.calls.get(call)
        if attribute is None:
            attribute = self.calls[call] = Attribute.fresh(call.function, call.dtype)
        return AttributeRef(attribute)

    def _operand(self, expression: Expression) -> Expression:
        if isinstance(expression, (AttributeRef, Literal)):
            return expression
        attribute = self._computed.get(expression)
        if attribute is None:
            attribute = self._computed[expression] = Attribute.fresh("operand", expression.dtype)
        return AttributeRef(attribute)

    def plan(self, below: LogicalNode) -> LogicalNode:
        """``below`` with the calls' values added."""
        if not self.calls:
            return below
        if self._computed:
            computed = tuple((attribute, expression) for expression, attribute in self._computed.items())
            below = Project(below, (*pass_through(below.outputs), *computed))
        return Window(below, tuple((attribute, call) for call, attribute in self.calls.items()))


def _without_constants(keys: tuple[SortKey, ...]) -> tuple[SortKey, ...]:
    return tuple(key for key in keys if not isinstance(key.expression, Literal))
