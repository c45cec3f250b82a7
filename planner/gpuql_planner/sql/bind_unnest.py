"""UNNEST: in a select list, and in FROM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.errors import BinderError, NotSupportedError
from gpuql_planner.functions.coercion import coerce
from gpuql_planner.functions.json_text import ROW_FIELDS, make_rows
from gpuql_planner.functions.lists import LIST_FUNCTIONS
from gpuql_planner.functions.nested_arguments import constant_integer
from gpuql_planner.functions.structs import make_field
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Expression, Literal
from gpuql_planner.logical.nodes import Project, Unnest
from gpuql_planner.sql.bind_values import ONE_ROW
from gpuql_planner.sql.scope import Scope
from gpuql_planner.statement_errors import DatatypeMismatch, InvalidParameterValue, NoMatchingFunction
from gpuql_planner.types import BIGINT, BOOLEAN, NULL, TypeId, is_row, list_of

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_expressions import ExpressionBinder
    from gpuql_planner.sql.bind_from import FromItem
    from gpuql_planner.sql.bind_query import QueryBinder

UNNEST_NAMES = frozenset({"unnest", "unlist"})


@dataclass(frozen=True)
class _Options:
    """The parts of an UNNEST call. ``depth`` is how many levels of lists and structs it opens, None for all."""

    argument: exp.Expr
    depth: int | None = 1


def is_unnest(node: exp.Expr | None) -> bool:
    """Whether a select item is an UNNEST call."""
    return isinstance(node, exp.Anonymous) and str(node.name).lower() in UNNEST_NAMES


def _options(binder: ExpressionBinder, node: exp.Anonymous) -> _Options:
    arguments = list(node.expressions)
    depth: int | None = 1
    positional = []
    for argument in arguments:
        if not isinstance(argument, exp.PropertyEQ):
            positional.append(argument)
            continue
        name, value = str(argument.this.name).lower(), binder.bind(argument.expression)
        if name == "recursive" and isinstance(value, Literal) and value.type == BOOLEAN:
            depth = None if value.value else 1
        elif name == "max_depth":
            depth = constant_integer("max_depth of UNNEST", value)
            if depth < 1:
                raise binder.context.error(
                    InvalidParameterValue, "max_depth of UNNEST must be at least 1", argument
                )
        else:
            raise binder.context.error(BinderError, f"unknown option of UNNEST: {name}", argument)
    if len(positional) != 1:
        raise binder.context.error(NoMatchingFunction, "UNNEST takes one list or struct", node)
    return _Options(positional[0], depth)


def _value(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    """What is unnested, in which no other UNNEST may stand."""
    outside, binder.unnests = binder.unnests, None
    try:
        return binder.bind(node)
    finally:
        binder.unnests = outside


def _as_list(value: Expression) -> Expression:
    """An array as a list, NULL as one of nothing, other values as they are."""
    if value.dtype == NULL:
        return Literal(None, list_of(NULL))
    return coerce(value, list_of(value.dtype.element)) if value.dtype.is_array else value


def _elements(
    binder: ExpressionBinder, value: Expression, depth: int | None
) -> tuple[Expression, int | None]:
    """The elements of a list, of lists in it too as far as ``depth`` goes, and what is left of it."""
    assert binder.unnests is not None, "the caller looked whether UNNEST may stand here"
    depth = None if depth is None else depth - 1
    while value.dtype.element.id in (TypeId.LIST, TypeId.ARRAY) and depth != 0:
        value = LIST_FUNCTIONS["flatten"]([value])
        depth = None if depth is None else depth - 1
    attribute = Attribute.fresh("unnest", value.dtype.element)
    binder.unnests.append((attribute, value))
    return AttributeRef(attribute), depth


def bind_unnest(binder: ExpressionBinder, node: exp.Anonymous) -> Expression:
    """UNNEST of a list inside of an expression."""
    if binder.unnests is None or binder.parameters or binder.inside_aggregate:
        raise binder.context.error(BinderError, f"UNNEST is not allowed in {binder.clause}", node)
    options = _options(binder, node)
    value = _as_list(_value(binder, options.argument))
    if value.dtype.id is TypeId.STRUCT:
        raise binder.context.error(BinderError, "UNNEST of a struct must be a select item of its own", node)
    if value.dtype.id is not TypeId.LIST:
        raise binder.context.error(DatatypeMismatch, f"UNNEST takes a list or struct: {value.dtype}", node)
    return _elements(binder, value, options.depth)[0]


def bind_subscripts(binder: ExpressionBinder, node: exp.Anonymous) -> Expression:
    """``generate_subscripts(list, 1)``: the places of a list as rows."""
    if binder.unnests is None or binder.parameters or binder.inside_aggregate:
        raise binder.context.error(
            BinderError, f"generate_subscripts is not allowed in {binder.clause}", node
        )
    with binder.context.locating(node):
        if not 1 <= len(node.expressions) <= 2:
            raise NoMatchingFunction("generate_subscripts takes a list and its dimension")
        dimensions = [
            constant_integer("generate_subscripts", binder.bind(one)) for one in node.expressions[1:]
        ]
        if dimensions not in ([], [1]):
            raise NotSupportedError("generate_subscripts of another dimension than 1")
        values = _as_list(_value(binder, node.expressions[0]))
        length = LIST_FUNCTIONS["array_length"]([values])
        places = LIST_FUNCTIONS["generate_series"]([Literal(1, BIGINT), length])
    return _elements(binder, places, 1)[0]


def bind_unnest_item(
    binder: ExpressionBinder, node: exp.Anonymous, name: str
) -> list[tuple[str, Expression]]:
    """Names and expressions that an UNNEST call as a select item stands for: several for a struct."""
    options = _options(binder, node)
    value = _as_list(_value(binder, options.argument))
    depth = options.depth
    if value.dtype.id is TypeId.LIST:
        value, depth = _elements(binder, value, depth)
        if depth == 0:
            return [(name, value)]
    elif value.dtype.id is not TypeId.STRUCT:
        raise binder.context.error(DatatypeMismatch, f"UNNEST takes a list or struct: {value.dtype}", node)
    return _fields(name, value, depth)


def _fields(name: str, value: Expression, depth: int | None) -> list[tuple[str, Expression]]:
    if value.dtype.id is not TypeId.STRUCT or depth == 0:
        return [(name, value)]
    below = None if depth is None else depth - 1
    found = []
    for place, (field, _) in enumerate(value.dtype.fields):
        own = f"element{place + 1}" if is_row(value.dtype) else field
        found += _fields(own, make_field(value, place), below)
    return found


def bind_json_rows(queries: QueryBinder, node: exp.Table, left: Scope) -> FromItem:
    """``json_each`` and ``json_tree`` in FROM: a row for each part of a document."""
    from gpuql_planner.sql.bind_expressions import ExpressionBinder
    from gpuql_planner.sql.bind_from import aliased_query, note_lateral
    from gpuql_planner.sql.bind_query import BoundQuery

    context, call = queries.context, node.this
    name = call.name.lower()
    binder = ExpressionBinder(context, Scope(parent=left), queries, name)
    with context.locating(node):
        rows = make_rows(name, [binder.bind(argument) for argument in call.expressions])
    row = Attribute.fresh("row", rows.dtype.element)
    fields = [
        (Attribute.fresh(field, dtype), make_field(AttributeRef(row), place))
        for place, (field, dtype) in enumerate(ROW_FIELDS)
    ]
    plan = Project(Unnest(ONE_ROW, ((row, rows),)), tuple(fields))
    query = BoundQuery(plan, tuple(field for field, _ in ROW_FIELDS))
    return note_lateral(aliased_query(queries, node, query, name), left)


def bind_unnest_source(queries: QueryBinder, node: exp.Unnest, left: Scope) -> FromItem:
    """UNNEST in FROM: one column for each list."""
    from gpuql_planner.sql.bind_expressions import ExpressionBinder
    from gpuql_planner.sql.bind_from import aliased_query, note_lateral
    from gpuql_planner.sql.bind_query import BoundQuery

    context = queries.context
    context.reject_other(node, "expressions", "alias", "offset")
    binder = ExpressionBinder(context, Scope(parent=left), queries, "UNNEST")
    lists: list[tuple[Attribute, Expression]] = []
    names = []
    if len(node.expressions) != 1:
        raise context.error(NoMatchingFunction, "UNNEST in FROM takes one list", node)
    for argument in node.expressions:
        value = _as_list(binder.bind(argument))
        if value.dtype.id is not TypeId.LIST:
            raise context.error(DatatypeMismatch, f"UNNEST in FROM takes lists: {value.dtype}", argument)
        lists.append((Attribute.fresh("unnest", value.dtype.element), value))
        names.append("unnest")
    ordinality = None
    if node.args.get("offset"):
        ordinality = Attribute.fresh("ordinality", BIGINT, nullable=False)
        # sqlglot takes the last name of the alias for the ordinality.
        offset = node.args["offset"]
        names.append(str(offset.name) if isinstance(offset, exp.Expr) else "ordinality")
    plan = Unnest(ONE_ROW, tuple(lists), ordinality=ordinality)
    return note_lateral(aliased_query(queries, node, BoundQuery(plan, tuple(names)), "unnest"), left)
