"""Expressions of the DataFrame API become typed plan expressions, against the columns of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gpuql.api.expressions import (
    AggregateExpr,
    AliasExpr,
    CallExpr,
    CaseExpr,
    CastExpr,
    ColumnExpr,
    Expr,
    InListExpr,
    LiteralExpr,
    SortExpr,
)
from gpuql.api.type_names import parse_type
from gpuql_planner import functions
from gpuql_planner.errors import did_you_mean
from gpuql_planner.logical.expressions import (
    AggregateCall,
    Attribute,
    AttributeRef,
    Expression,
    SortKey,
)
from gpuql_planner.statement_errors import AmbiguousColumn, GroupingError, UndefinedColumn
from gpuql_planner.types import DataType


@dataclass(frozen=True)
class Scope:
    """The columns that an expression may name."""

    names: tuple[str, ...]
    attributes: tuple[Attribute, ...]

    def find(self, name: str) -> int:
        """Position of the column called ``name``: exact match first, else ignoring case; BinderError if not one."""
        for candidates in (
            [i for i, known in enumerate(self.names) if known == name],
            [i for i, known in enumerate(self.names) if known.lower() == name.lower()],
        ):
            if len(candidates) == 1:
                return candidates[0]
            if candidates:
                raise AmbiguousColumn(f"column name is ambiguous: {name}")
        hint = did_you_mean(name, list(self.names)) or f"columns are {', '.join(self.names)}"
        raise UndefinedColumn(f"column not found: {name}", hint=hint)

    def reference(self, name: str) -> AttributeRef:
        """The column called ``name``."""
        return AttributeRef(self.attributes[self.find(name)])


@dataclass
class Grouping:
    """The keys of an aggregation, and the aggregate calls found so far."""

    keys: list[tuple[Attribute, Expression]] = field(default_factory=list)
    aggregates: list[tuple[Attribute, AggregateCall]] = field(default_factory=list)

    def key_for(self, expression: Expression) -> AttributeRef | None:
        """The key that holds ``expression``, if it is one."""
        for attribute, key in self.keys:
            if key == expression:
                return AttributeRef(attribute)
        return None

    def result_of(self, call: AggregateCall) -> AttributeRef:
        """The output of ``call``, computed once however often it is written."""
        for attribute, known in self.aggregates:
            if known == call:
                return AttributeRef(attribute)
        attribute = Attribute.fresh(call.function, call.dtype)
        self.aggregates.append((attribute, call))
        return AttributeRef(attribute)


def output_name(expression: Expr) -> str:
    """Column name of an expression without an alias: the first column in it, as in Polars, else its function."""
    match expression:
        case AliasExpr(name=name) | ColumnExpr(name=name):
            return name
        case LiteralExpr():
            return "literal"
        case CaseExpr(branches=branches):
            return output_name(branches[0][1])
        case AggregateExpr(function=function, arguments=()):
            return {"count_star": "len"}.get(function, function)
        case CallExpr(function=function, arguments=()):
            return function
        case CastExpr(argument=argument) | InListExpr(argument=argument):
            return output_name(argument)
        case CallExpr(arguments=arguments) | AggregateExpr(arguments=arguments):
            named = [argument for argument in arguments if not isinstance(argument, LiteralExpr)]
            return output_name((named or list(arguments))[0])
    raise TypeError(f"not an expression: {expression!r}")


def contains_aggregate(expression: Expr) -> bool:
    """Whether an aggregate function stands anywhere in ``expression``."""
    return isinstance(expression, AggregateExpr) or any(map(contains_aggregate, _children(expression)))


def _children(expression: Expr) -> Sequence[Expr]:
    match expression:
        case CallExpr(arguments=arguments):
            return arguments
        case AliasExpr(argument=argument) | CastExpr(argument=argument):
            return (argument,)
        case InListExpr(argument=argument, options=options):
            return (argument, *options)
        case CaseExpr(branches=branches, default=default):
            return (*(part for branch in branches for part in branch), default)
    return ()


def bind(expression: Expr, scope: Scope, grouping: Grouping | None = None) -> Expression:
    """Typed form of ``expression``.

    With a ``grouping``, aggregates are added to it and stand for their results, and any other column must be a key.
    Errors: BinderError for unknown columns, types that do not fit, and aggregates where no grouping is.
    """
    if grouping is not None and not contains_aggregate(expression) and not isinstance(expression, AliasExpr):
        key = grouping.key_for(bind(expression, scope))
        if key is not None:
            return key
    match expression:
        case AliasExpr(argument=argument):
            return bind(argument, scope, grouping)
        case ColumnExpr(name=name):
            if grouping is not None:
                raise GroupingError(f"column must be a group key or inside an aggregate: {name}")
            return scope.reference(name)
        case LiteralExpr(value=value):
            return functions.python_literal(value)
        case CallExpr(function=function, arguments=arguments):
            return functions.make_call(function, [bind(argument, scope, grouping) for argument in arguments])
        case CastExpr(argument=argument, target=target, try_=try_):
            dtype = target if isinstance(target, DataType) else parse_type(target)
            return functions.explicit_cast(bind(argument, scope, grouping), dtype, try_=try_)
        case InListExpr(argument=argument, options=options):
            if not options:
                return functions.python_literal(False)  # noqa: FBT003  nothing is in an empty list, not even NULL
            bound = [bind(option, scope, grouping) for option in options]
            return functions.make_in_list(bind(argument, scope, grouping), bound)
        case CaseExpr(branches=branches, default=default):
            pairs = [(bind(c, scope, grouping), bind(v, scope, grouping)) for c, v in branches]
            return functions.make_case(pairs, bind(default, scope, grouping))
        case AggregateExpr():
            if grouping is None:
                raise GroupingError(f"aggregate is not allowed here: {expression.function}")
            return grouping.result_of(bind_aggregate(expression, scope))
    raise TypeError(f"not an expression: {expression!r}")


def bind_aggregate(expression: AggregateExpr, scope: Scope) -> AggregateCall:
    """Typed form of an aggregate over the rows of ``scope``."""
    return functions.make_aggregate(
        expression.function,
        [bind(argument, scope) for argument in expression.arguments],
        distinct=expression.distinct,
        filter=None if expression.predicate is None else bind_predicate(expression.predicate, scope),
        order_by=tuple(bind_sort_key(key, scope) for key in expression.order_by),
    )


def bind_sort_key(key: SortExpr, scope: Scope) -> SortKey:
    """Typed form of a sort key."""
    return SortKey(bind(key.expression, scope), key.descending, not key.nulls_last)


def bind_predicate(expression: Expr, scope: Scope) -> Expression:
    """Typed form of a condition; BinderError unless it is a truth value."""
    return functions.as_condition(bind(expression, scope))
