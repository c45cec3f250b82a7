"""Walk and rebuild expressions and plans without naming every kind of node in every rule.

Facts derived from an immutable node (attributes referred to, attributes put out) are remembered on the node
itself, in its ``__dict__`` under a name with a leading underscore: equality and hashing look at fields only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from gpuql_planner.errors import InternalError, Origin
from gpuql_planner.logical.expressions import (
    SUBQUERY_EXPRESSIONS,
    VOLATILE_CALLS,
    AggregateCall,
    Attribute,
    AttributeRef,
    Call,
    Case,
    Cast,
    Exists,
    Expression,
    InList,
    Lambda,
    Literal,
    QuantifiedComparison,
    ScalarSubquery,
    SortKey,
)
from gpuql_planner.logical.nodes import (
    Aggregate,
    DependentJoin,
    Filter,
    Join,
    Limit,
    LogicalNode,
    Project,
    Recursive,
    Repeat,
    Running,
    Scan,
    Shared,
    Sort,
    UnionAll,
    Unnest,
    Values,
    Window,
    WorkingScan,
)
from gpuql_planner.logical.traced import SlotValues, Trace, TracedLiteral
from gpuql_planner.logical.window_calls import FrameBound, WindowCall
from gpuql_planner.types import BOOLEAN

ExpressionFunction = Callable[[Expression], Expression]
NodeFunction = Callable[[LogicalNode], LogicalNode]

TRUE = Literal(True, BOOLEAN)  # noqa: FBT003
FALSE = Literal(False, BOOLEAN)  # noqa: FBT003

# --- expressions --------------------------------------------------------------------------------------------


def children(expression: Expression) -> tuple[Expression, ...]:
    """Direct operands, left to right; plans of subqueries are not among them."""
    if isinstance(expression, (AttributeRef, Literal)):
        return ()
    if isinstance(expression, Call):
        return expression.arguments
    if isinstance(expression, Cast):
        return (expression.argument,)
    if isinstance(expression, Lambda):
        return (expression.body,)
    if isinstance(expression, Case):
        branches = (part for branch in expression.branches for part in branch)
        return (*branches, expression.otherwise)
    if isinstance(expression, InList):
        return (expression.argument, *expression.options)
    if isinstance(expression, AggregateCall):
        condition = () if expression.filter is None else (expression.filter,)
        return (*expression.arguments, *condition, *(key.expression for key in expression.order_by))
    if isinstance(expression, QuantifiedComparison):
        return expression.arguments
    if isinstance(expression, WindowCall):
        return _window_operands(expression)
    return ()


def _window_operands(call: WindowCall) -> tuple[Expression, ...]:
    condition = () if call.filter is None else (call.filter,)
    keys = (key.expression for key in (*call.argument_order, *call.order_by))
    bounds = (part for bound in (call.frame.start, call.frame.end) for part in (bound.value, bound.key))
    return (
        *call.arguments,
        *condition,
        *call.partition_by,
        *keys,
        *(part for part in bounds if part is not None),
    )


def _with_window_operands(call: WindowCall, operands: Sequence[Expression]) -> WindowCall:
    rest = iter(operands)

    def keys(before: tuple[SortKey, ...]) -> tuple[SortKey, ...]:
        return tuple(replace(key, expression=next(rest)) for key in before)

    def bound(before: FrameBound) -> FrameBound:
        value = None if before.value is None else next(rest)
        return FrameBound(before.kind, value, None if before.key is None else next(rest))

    return replace(
        call,
        arguments=tuple(next(rest) for _ in call.arguments),
        filter=None if call.filter is None else next(rest),
        partition_by=tuple(next(rest) for _ in call.partition_by),
        argument_order=keys(call.argument_order),
        order_by=keys(call.order_by),
        frame=replace(call.frame, start=bound(call.frame.start), end=bound(call.frame.end)),
    )


def map_children(expression: Expression, function: ExpressionFunction) -> Expression:
    """``expression`` with ``function`` applied to each direct operand; the same object if nothing changed."""
    if isinstance(expression, (AttributeRef, Literal)):
        return expression
    before = children(expression)
    after = [function(child) for child in before]
    if all(old is new for old, new in zip(before, after, strict=True)):
        return expression
    if isinstance(expression, Call):
        return Call(expression.function, tuple(after), expression.type, expression.origin)
    if isinstance(expression, Cast):
        return Cast(after[0], expression.type, expression.try_, expression.zone, expression.origin)
    if isinstance(expression, Lambda):
        return Lambda(expression.parameters, after[0])
    if isinstance(expression, Case):
        pairs = tuple(zip(after[:-1:2], after[1:-1:2], strict=True))
        return Case(pairs, after[-1], expression.type)
    if isinstance(expression, InList):
        return InList(after[0], tuple(after[1:]))
    if isinstance(expression, QuantifiedComparison):
        return replace(expression, arguments=tuple(after))
    if isinstance(expression, AggregateCall):
        rest = iter(after)
        arguments = tuple(next(rest) for _ in expression.arguments)
        condition = None if expression.filter is None else next(rest)
        order_by = tuple(replace(key, expression=next(rest)) for key in expression.order_by)
        return replace(expression, arguments=arguments, filter=condition, order_by=order_by)
    if isinstance(expression, WindowCall):
        return _with_window_operands(expression, after)
    raise InternalError(f"expression has operands but no rebuilding: {type(expression).__name__}")


def note_origin(expression: Expression, origin: Origin) -> None:
    """Give ``origin`` to calls and casts that have none: the expression itself, and what was made around its operands.

    It is noted in place, on objects that were just made, as it is no part of what an expression means.
    """
    if isinstance(expression, Call | Cast):
        if expression.origin is not None:
            return
        object.__setattr__(expression, "origin", origin)
    for child in children(expression):
        if isinstance(child, Call | Cast) and child.origin is None:
            note_origin(child, origin)


def transform(expression: Expression, function: ExpressionFunction) -> Expression:
    """Rebuild bottom-up: operands first, then ``function`` on the node made of them."""
    return function(map_children(expression, lambda child: transform(child, function)))


def walk(expression: Expression) -> Iterator[Expression]:
    """``expression`` and everything in it, parents first; plans of subqueries are not entered."""
    yield expression
    for child in children(expression):
        yield from walk(child)


def compares_column_with_constant(arguments: Sequence[Expression]) -> bool:
    """One of the two is a plain column and the other a constant."""
    one, other = arguments
    if isinstance(one, Literal):
        one, other = other, one
    return isinstance(one, AttributeRef) and isinstance(other, Literal)


def untraced(expression: Expression) -> Expression:
    """``expression`` with plain constants; whoever decides anything by it says what the plan depends on."""
    return transform(expression, lambda e: e.untraced if isinstance(e, Literal) else e)


def with_values(expression: Expression, values: SlotValues) -> Expression:
    """``expression`` with the plain constants of ``values``."""
    return transform(expression, lambda e: values.literal(e) if isinstance(e, Literal) else e)


def trace_of(expressions: Iterable[Expression]) -> Trace | None:
    """The trace that the constants inside belong to; None if all of them are plain."""
    parts = (part for expression in expressions for part in walk(expression))
    return next((part.trace for part in parts if isinstance(part, TracedLiteral)), None)


def depend_on_literals(expression: Expression) -> None:
    """Say that the plan is right only for the constants inside as they are (see ``logical.traced``)."""
    for part in walk(expression):
        if isinstance(part, Literal):
            _ = part.value


def references(expression: Expression) -> frozenset[Attribute]:
    """Attributes referred to, including the correlated ones of subqueries inside."""
    if isinstance(expression, AttributeRef):
        return frozenset((expression.attribute,))
    if isinstance(expression, Literal):
        return frozenset()
    known: frozenset[Attribute] | None = vars(expression).get("_references")
    if known is None:
        known = frozenset().union(*(references(child) for child in children(expression)))
        if isinstance(expression, SUBQUERY_EXPRESSIONS):
            known |= free_attributes(expression.plan)
        if isinstance(expression, Lambda):
            known = known.difference(expression.parameters)
        vars(expression)["_references"] = known
    return known


def has_subquery(expression: Expression) -> bool:
    """A scalar, EXISTS or quantified subquery stands anywhere inside."""
    if isinstance(expression, (AttributeRef, Literal)):
        return False
    known: bool | None = vars(expression).get("_has_subquery")
    if known is None:
        known = isinstance(expression, SUBQUERY_EXPRESSIONS) or any(map(has_subquery, children(expression)))
        vars(expression)["_has_subquery"] = known
    return known


def is_volatile(expression: Expression) -> bool:
    """Whether a value differs from row to row and from time to time although no column does."""
    if isinstance(expression, (AttributeRef, Literal)):
        return False
    known: bool | None = vars(expression).get("_is_volatile")
    if known is None:
        called = isinstance(expression, Call) and expression.function in VOLATILE_CALLS
        known = called or any(map(is_volatile, children(expression)))
        vars(expression)["_is_volatile"] = known
    return known


def substitute(expression: Expression, mapping: Mapping[Attribute, Expression]) -> Expression:
    """Replace references to the attributes of ``mapping``, also the correlated ones inside subqueries."""
    if not mapping or references(expression).isdisjoint(mapping):
        return expression
    if isinstance(expression, AttributeRef):
        return mapping[expression.attribute]
    result = map_children(expression, lambda child: substitute(child, mapping))
    if isinstance(result, SUBQUERY_EXPRESSIONS) and not free_attributes(result.plan).isdisjoint(mapping):
        result = replace(result, plan=substitute_plan(result.plan, mapping))
    return result


def conjuncts(expression: Expression) -> list[Expression]:
    """Operands of nested ANDs; TRUE has none."""
    if isinstance(expression, Call) and expression.function == "and":
        return [part for argument in expression.arguments for part in conjuncts(argument)]
    return [] if expression == TRUE else [expression]


def disjuncts(expression: Expression) -> list[Expression]:
    """Operands of nested ORs."""
    if isinstance(expression, Call) and expression.function == "or":
        return [part for argument in expression.arguments for part in disjuncts(argument)]
    return [expression]


def conjunction(parts: Iterable[Expression]) -> Expression:
    """AND of ``parts``: TRUE if there are none."""
    return _connect("and", tuple(parts), TRUE)


def disjunction(parts: Iterable[Expression]) -> Expression:
    """OR of ``parts``: FALSE if there are none."""
    return _connect("or", tuple(parts), FALSE)


def _connect(function: str, parts: tuple[Expression, ...], neutral: Expression) -> Expression:
    return Call(function, parts, BOOLEAN) if len(parts) > 1 else parts[0] if parts else neutral


def pass_through(attributes: Iterable[Attribute]) -> tuple[tuple[Attribute, Expression], ...]:
    """Project items that hand columns on unchanged."""
    return tuple((attribute, AttributeRef(attribute)) for attribute in attributes)


# --- plans --------------------------------------------------------------------------------------------------


def output_set(node: LogicalNode) -> frozenset[Attribute]:
    """``node.outputs`` as a set."""
    known: frozenset[Attribute] | None = vars(node).get("_output_set")
    if known is None:
        known = vars(node)["_output_set"] = frozenset(node.outputs)
    return known


def node_expressions(node: LogicalNode) -> tuple[Expression, ...]:
    """Expressions of this node that are evaluated over its inputs (so not a scan's predicates)."""
    if isinstance(node, Filter):
        return node.predicates
    if isinstance(node, (Join, DependentJoin)):
        return node.conditions
    if isinstance(node, Project):
        return tuple(expression for _, expression in node.expressions)
    if isinstance(node, Aggregate):
        return (*(e for _, e in node.keys), *(call for _, call in node.aggregates))
    if isinstance(node, Window):
        return tuple(call for _, call in node.calls)
    if isinstance(node, Sort):
        return tuple(key.expression for key in node.keys)
    if isinstance(node, Repeat):
        return (node.count,)
    if isinstance(node, Running):
        read = () if node.marker is None else (node.marker,)
        return tuple(AttributeRef(a) for a in (*read, *(origin for _, origin in node.carried)))
    if isinstance(node, Unnest):
        return tuple(expression for _, expression in node.lists)
    return ()


def map_expressions(node: LogicalNode, function: ExpressionFunction) -> LogicalNode:
    """``node`` with ``function`` applied to each of its :func:`node_expressions`; inputs are left alone."""
    before = node_expressions(node)
    after = [function(expression) for expression in before]
    if all(old is new for old, new in zip(before, after, strict=True)):
        return node
    if isinstance(node, Filter):
        return Filter(node.input, tuple(after))
    if isinstance(node, (Join, DependentJoin)):
        return replace(node, conditions=tuple(after))
    if isinstance(node, Project):
        return Project(node.input, tuple((a, e) for (a, _), e in zip(node.expressions, after, strict=True)))
    if isinstance(node, Aggregate):
        keys = tuple((a, e) for (a, _), e in zip(node.keys, after[: len(node.keys)], strict=True))
        calls = tuple(map(_expect_call, after[len(node.keys) :]))
        aggregates = tuple((a, c) for (a, _), c in zip(node.aggregates, calls, strict=True))
        return Aggregate(node.input, keys, aggregates)
    if isinstance(node, Sort):
        sort_keys = tuple(
            SortKey(e, k.descending, k.nulls_first) for k, e in zip(node.keys, after, strict=True)
        )
        return replace(node, keys=sort_keys)
    if isinstance(node, Repeat):
        return Repeat(node.input, after[0])
    if isinstance(node, Window):
        window_calls = tuple(map(_expect_window_call, after))
        named = tuple((a, c) for (a, _), c in zip(node.calls, window_calls, strict=True))
        return replace(node, calls=named)
    if isinstance(node, Running):
        origins = [_expect_attribute(e) for e in after]
        marker = None if node.marker is None else origins.pop(0)
        return replace(
            node,
            marker=marker,
            carried=tuple((out, origin) for (out, _), origin in zip(node.carried, origins, strict=True)),
        )
    if isinstance(node, Unnest):
        return replace(node, lists=tuple((a, e) for (a, _), e in zip(node.lists, after, strict=True)))
    raise InternalError(f"node has expressions but no rebuilding: {type(node).__name__}")


def _expect_attribute(expression: Expression) -> Attribute:
    if not isinstance(expression, AttributeRef):
        raise InternalError(f"a column was rewritten to something else: {type(expression).__name__}")
    return expression.attribute


def _expect_call(expression: Expression) -> AggregateCall:
    if not isinstance(expression, AggregateCall):
        raise InternalError(f"an aggregate was rewritten to something else: {type(expression).__name__}")
    return expression


def _expect_window_call(expression: Expression) -> WindowCall:
    if not isinstance(expression, WindowCall):
        raise InternalError(f"a window call was rewritten to something else: {type(expression).__name__}")
    return expression


def with_inputs(node: LogicalNode, inputs: tuple[LogicalNode, ...]) -> LogicalNode:
    """``node`` over other inputs; the same object if they are the ones it has.

    Nodes that take columns by position (UnionAll, Shared) get a Project where an input's columns moved.
    """
    old = node.inputs
    if all(before is after for before, after in zip(old, inputs, strict=True)):
        return node
    if isinstance(node, (Filter, Project, Aggregate, Window, Sort, Limit, Repeat, Running, Unnest)):
        return replace(node, input=inputs[0])
    if isinstance(node, (Join, DependentJoin)):
        return replace(node, left=inputs[0], right=inputs[1])
    if isinstance(node, UnionAll):
        ordered = tuple(with_outputs(new, o.outputs) for o, new in zip(old, inputs, strict=True))
        return UnionAll(ordered, node.attributes)
    if isinstance(node, Recursive):
        anchor, step = (with_outputs(new, o.outputs) for o, new in zip(old, inputs, strict=True))
        return Recursive(node.key, anchor, step, node.attributes)
    if isinstance(node, Shared):
        return Shared(node.key, with_outputs(inputs[0], old[0].outputs), node.attributes)
    raise InternalError(f"node has inputs but no rebuilding: {type(node).__name__}")


def with_outputs(node: LogicalNode, outputs: tuple[Attribute, ...]) -> LogicalNode:
    """``node`` putting out exactly ``outputs`` in this order, through a Project if it does not already."""
    return node if node.outputs == outputs else Project(node, pass_through(outputs))


def transform_plan(
    plan: LogicalNode, function: NodeFunction, shared: dict[int, LogicalNode] | None = None
) -> LogicalNode:
    """Rebuild bottom-up; a shared definition is rebuilt once (``shared`` remembers them by key)."""
    shared = {} if shared is None else shared
    if isinstance(plan, Shared):
        definition = shared.get(plan.key)
        if definition is None:
            definition = with_outputs(
                transform_plan(plan.definition, function, shared), plan.definition.outputs
            )
            shared[plan.key] = definition
        return function(with_inputs(plan, (definition,)))
    inputs = tuple(transform_plan(child, function, shared) for child in plan.inputs)
    return function(with_inputs(plan, inputs))


def walk_plan(plan: LogicalNode) -> Iterator[LogicalNode]:
    """All nodes, parents first; a shared definition once per use; plans of subqueries are not entered."""
    yield plan
    for child in plan.inputs:
        yield from walk_plan(child)


def free_attributes(plan: LogicalNode) -> frozenset[Attribute]:
    """Attributes that ``plan`` refers to and does not produce where it does: its correlation."""
    known: frozenset[Attribute] | None = vars(plan).get("_free_attributes")
    if known is None:
        used = frozenset().union(*(references(expression) for expression in node_expressions(plan)))
        for child in plan.inputs:
            used -= output_set(child)
        for child in plan.inputs:
            used |= free_attributes(child)
        if isinstance(plan, DependentJoin):
            used -= output_set(plan.left) - free_attributes(plan.left)
        known = vars(plan)["_free_attributes"] = used
    return known


def substitute_plan(plan: LogicalNode, mapping: Mapping[Attribute, Expression]) -> LogicalNode:
    """Replace the correlated references of ``plan`` to the attributes of ``mapping``."""
    if free_attributes(plan).isdisjoint(mapping):
        return plan
    inputs = tuple(substitute_plan(child, mapping) for child in plan.inputs)
    return map_expressions(with_inputs(plan, inputs), lambda e: substitute(e, mapping))


def with_fresh_attributes(plan: LogicalNode) -> tuple[LogicalNode, dict[Attribute, Attribute]]:
    """A copy of ``plan`` that produces attributes of its own, and which new one stands for which old one.

    Correlated references stay. Shared definitions stay shared: only the attributes of the use are new.
    """
    mapping: dict[Attribute, Attribute] = {}
    return _refresh(plan, mapping), mapping


def _fresh(attribute: Attribute, mapping: dict[Attribute, Attribute]) -> Attribute:
    if attribute not in mapping:
        mapping[attribute] = Attribute.fresh(attribute.name, attribute.dtype, nullable=attribute.nullable)
    return mapping[attribute]


def _refresh(plan: LogicalNode, mapping: dict[Attribute, Attribute]) -> LogicalNode:
    if isinstance(plan, Shared | WorkingScan):
        return replace(plan, attributes=tuple(_fresh(a, mapping) for a in plan.attributes))
    inputs = tuple(_refresh(child, mapping) for child in plan.inputs)

    def rename(expression: Expression) -> Expression:
        return _rename(expression, mapping)

    if isinstance(plan, UnionAll):
        return UnionAll(inputs, tuple(_fresh(a, mapping) for a in plan.attributes))
    if isinstance(plan, Recursive):
        return Recursive(plan.key, inputs[0], inputs[1], tuple(_fresh(a, mapping) for a in plan.attributes))
    node = with_inputs(plan, inputs) if inputs else plan
    if isinstance(node, Scan):
        columns = tuple((_fresh(a, mapping), name) for a, name in node.columns)
        return Scan(node.table, columns, tuple(map(rename, node.predicates)))
    if isinstance(node, Values):
        return Values(tuple(_fresh(a, mapping) for a in node.attributes), node.rows)
    node = map_expressions(node, rename)
    if isinstance(node, Project):
        return Project(node.input, tuple((_fresh(a, mapping), e) for a, e in node.expressions))
    if isinstance(node, Aggregate):
        keys = tuple((_fresh(a, mapping), e) for a, e in node.keys)
        return Aggregate(node.input, keys, tuple((_fresh(a, mapping), c) for a, c in node.aggregates))
    if isinstance(node, Window):
        limit = None if node.limit is None else (_fresh(node.limit[0], mapping), node.limit[1])
        return Window(node.input, tuple((_fresh(a, mapping), call) for a, call in node.calls), limit)
    if isinstance(node, Running):
        number = None if node.number is None else _fresh(node.number, mapping)
        return replace(
            node, number=number, carried=tuple((_fresh(out, mapping), origin) for out, origin in node.carried)
        )
    if isinstance(node, (Join, DependentJoin)) and node.mark is not None:
        return replace(node, mark=_fresh(node.mark, mapping))
    return node


def _rename(expression: Expression, mapping: dict[Attribute, Attribute]) -> Expression:
    if isinstance(expression, AttributeRef):
        new = mapping.get(expression.attribute)
        return expression if new is None else AttributeRef(new)
    result = map_children(expression, lambda child: _rename(child, mapping))
    if isinstance(result, (ScalarSubquery, Exists, QuantifiedComparison)):
        outer = {old: AttributeRef(new) for old, new in mapping.items()}
        inner, _ = with_fresh_attributes(substitute_plan(result.plan, outer))
        result = replace(result, plan=inner)
    return result
