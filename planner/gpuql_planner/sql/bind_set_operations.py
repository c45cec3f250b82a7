"""UNION, INTERSECT and EXCEPT, with and without ALL."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.errors import BinderError
from gpuql_planner.functions import coerce, make_aggregate, make_call, make_comparison
from gpuql_planner.functions.coercion import is_string_literal
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Expression, Literal
from gpuql_planner.logical.nodes import Aggregate, Filter, LogicalNode, Project, Repeat, UnionAll
from gpuql_planner.statement_errors import DatatypeMismatch
from gpuql_planner.types import BIGINT, BOOLEAN, NULL, DataType, common_type

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import BoundQuery, QueryBinder


def bind_set_operation(queries: QueryBinder, node: exp.SetOperation) -> BoundQuery:
    """Plan of a set operation; column names are those of its left side, types common to both sides."""
    from gpuql_planner.sql.bind_query import BoundQuery

    context = queries.context
    context.reject_other(
        node, "this", "expression", "distinct", "by_name", "with_", "order", "limit", "offset"
    )
    left, right = queries.bind(node.this), queries.bind(node.expression)
    names = left.names
    if node.args.get("by_name"):
        left, right, names = _align_by_name(left, right)
    if len(left.names) != len(right.names):
        raise context.error(
            BinderError,
            f"set operation over different numbers of columns: {len(left.names)} and {len(right.names)}",
            node.expression,
        )
    with context.locating(node.expression):
        types = [
            _column_type(a.dtype, b.dtype) for a, b in zip(left.plan.outputs, right.plan.outputs, strict=True)
        ]
    sides = (_cast_outputs(left.plan, types), _cast_outputs(right.plan, types))
    keep_duplicates = not node.args.get("distinct")
    if isinstance(node, exp.Union):
        return BoundQuery(_union(sides, names, types, keep_duplicates=keep_duplicates), names)
    if isinstance(node, exp.Intersect):
        return BoundQuery(_counted(sides, names, types, "intersect", keep_duplicates=keep_duplicates), names)
    return BoundQuery(_counted(sides, names, types, "except", keep_duplicates=keep_duplicates), names)


def _column_type(left: DataType, right: DataType) -> DataType:
    common = common_type(left, right)
    if common is None:
        raise DatatypeMismatch(f"types do not mix in a set operation: {left} and {right}")
    return common


def _align_by_name(left: BoundQuery, right: BoundQuery) -> tuple[BoundQuery, BoundQuery, tuple[str, ...]]:
    """BY NAME: columns of both sides matched by name, NULL where a side has none."""
    known = {name.lower() for name in left.names}
    names = (*left.names, *(name for name in right.names if name.lower() not in known))
    return _pick(left, right, names), _pick(right, left, names), names


def _pick(side: BoundQuery, other: BoundQuery, names: tuple[str, ...]) -> BoundQuery:
    from gpuql_planner.sql.bind_query import BoundQuery

    own = {
        name.lower(): output
        for name, output in reversed(list(zip(side.names, side.plan.outputs, strict=True)))
    }
    foreign = {name.lower(): output for name, output in zip(other.names, other.plan.outputs, strict=True)}
    items: list[tuple[Attribute, Expression]] = []
    for name in names:
        output = own.get(name.lower())
        if output is not None:
            items.append((output, AttributeRef(output)))
        else:
            dtype = foreign[name.lower()].dtype
            items.append((Attribute.fresh(name, dtype), Literal(None, dtype)))
    return BoundQuery(Project(side.plan, tuple(items)), names)


def _cast_outputs(plan: LogicalNode, types: list[DataType]) -> LogicalNode:
    if all(output.dtype == dtype for output, dtype in zip(plan.outputs, types, strict=True)):
        return plan
    items: list[tuple[Attribute, Expression]] = []
    constants = dict(plan.expressions) if isinstance(plan, Project) else {}
    for output, dtype in zip(plan.outputs, types, strict=True):
        if output.dtype == dtype:
            items.append((output, AttributeRef(output)))
            continue
        constant = constants.get(output)
        value = AttributeRef(output)
        adapts = isinstance(constant, Literal) and not is_string_literal(constant)
        fresh = Attribute.fresh(output.name, dtype, nullable=output.nullable or output.dtype == NULL)
        items.append((fresh, coerce(constant if adapts and constant is not None else value, dtype)))
    return Project(plan, tuple(items))


def _fresh_columns(names: tuple[str, ...], types: list[DataType]) -> tuple[Attribute, ...]:
    return tuple(Attribute.fresh(name, dtype) for name, dtype in zip(names, types, strict=True))


def _union(
    sides: tuple[LogicalNode, LogicalNode],
    names: tuple[str, ...],
    types: list[DataType],
    *,
    keep_duplicates: bool,
) -> LogicalNode:
    sources: list[LogicalNode] = []
    for side in sides:  # a UNION of UNIONs is one node of several sources, whose duplicates go once
        rows = side if keep_duplicates else _before_distinct(side)
        sources.extend(rows.sources if isinstance(rows, UnionAll) else (side,))
    plan = UnionAll(tuple(sources), _fresh_columns(names, types))
    return plan if keep_duplicates else distinct(plan)


def _before_distinct(plan: LogicalNode) -> LogicalNode:
    """The rows that :func:`distinct` got, if ``plan`` comes from there."""
    if not isinstance(plan, Aggregate) or plan.aggregates:
        return plan
    untouched = tuple((a, AttributeRef(a)) for a in plan.input.outputs)
    return plan.input if plan.keys == untouched else plan


def distinct(plan: LogicalNode) -> LogicalNode:
    """Each different row once."""
    keys: tuple[tuple[Attribute, Expression], ...] = tuple((a, AttributeRef(a)) for a in plan.outputs)
    return Aggregate(plan, keys, ())


def _counted(
    sides: tuple[LogicalNode, LogicalNode],
    names: tuple[str, ...],
    types: list[DataType],
    operation: str,
    *,
    keep_duplicates: bool,
) -> LogicalNode:
    """INTERSECT and EXCEPT: count each different row on both sides, then filter or repeat by the counts."""
    columns = _fresh_columns(names, types)
    marks = (Attribute.fresh("in_left", BOOLEAN), Attribute.fresh("in_right", BOOLEAN))
    tagged = UnionAll(tuple(_tag(side, index) for index, side in enumerate(sides)), (*columns, *marks))
    counts = (
        Attribute.fresh("left_count", BIGINT, nullable=False),
        Attribute.fresh("right_count", BIGINT, nullable=False),
    )
    keys: tuple[tuple[Attribute, Expression], ...] = tuple((a, AttributeRef(a)) for a in columns)
    calls = tuple(
        (count, make_aggregate("count", [AttributeRef(mark)]))
        for count, mark in zip(counts, marks, strict=True)
    )
    counted = Aggregate(tagged, keys, calls)
    left, right = (AttributeRef(count) for count in counts)
    zero = Literal(0, BIGINT)
    plan: LogicalNode
    if not keep_duplicates:
        on_right = make_comparison("gt" if operation == "intersect" else "eq", right, zero)
        plan = Filter(counted, (make_comparison("gt", left, zero), on_right))
    elif operation == "intersect":
        plan = Repeat(counted, make_call("least", (left, right)))
    else:
        plan = Repeat(counted, make_call("subtract", (left, right)))
    return Project(plan, keys)


def _tag(side: LogicalNode, index: int) -> LogicalNode:
    """``side`` with two marks, of which the one of its own number is true and the other NULL."""
    items: list[tuple[Attribute, Expression]] = [(a, AttributeRef(a)) for a in side.outputs]
    for number in range(2):
        value = Literal(True, BOOLEAN) if number == index else Literal(None, BOOLEAN)  # noqa: FBT003
        items.append((Attribute.fresh("mark", BOOLEAN), value))
    return Project(side, tuple(items))
