"""Lists, structs and maps in expressions: literals, subscripts, fields, lambda functions and comprehensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.errors import BinderError
from gpuql_planner.functions import as_condition, make_call
from gpuql_planner.functions.coercion import coerce
from gpuql_planner.functions.lists import make_list, make_list_filter, make_slice, make_transform
from gpuql_planner.functions.nested_arguments import as_list, joint_type
from gpuql_planner.functions.structs import (
    make_changed,
    make_map,
    make_named_field,
    make_struct,
    make_subscript,
)
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Call, Expression, Lambda, Literal
from gpuql_planner.statement_errors import DatatypeMismatch, NoMatchingFunction
from gpuql_planner.types import BIGINT, VARCHAR, DataType, TypeId, list_of

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_expressions import ExpressionBinder

#: Names of the functions that take a lambda, by what they do.
LAMBDA_FUNCTIONS: dict[str, str] = {
    **dict.fromkeys(("list_transform", "array_transform", "list_apply", "array_apply", "apply"), "transform"),
    **dict.fromkeys(("list_filter", "array_filter", "filter"), "filter"),
    **dict.fromkeys(("list_reduce", "array_reduce", "reduce"), "reduce"),
}

#: Functions whose arguments have names.
NAMED_ARGUMENTS = frozenset({"struct_pack", "struct_insert", "struct_update"})


def bind_list(binder: ExpressionBinder, node: exp.Array) -> Expression:
    """``[a, b]`` or ``[f(x) FOR x IN list IF test]``."""
    parts = node.expressions
    if len(parts) == 1 and isinstance(parts[0], exp.Comprehension):
        return _comprehension(binder, parts[0])
    return make_list([binder.bind(part) for part in parts])


def bind_struct(binder: ExpressionBinder, node: exp.Struct) -> Expression:
    """``{'name': value}``."""
    return _named_struct(binder, node.expressions, node)


def _named(
    binder: ExpressionBinder, parts: Sequence[exp.Expr], node: exp.Expr
) -> list[tuple[str, Expression]]:
    named = []
    for part in parts:
        if not isinstance(part, exp.PropertyEQ):
            raise binder.context.error(BinderError, "a field of a struct needs a name", part or node)
        named.append((str(part.this.name), binder.bind(part.expression)))
    return named


def _named_struct(binder: ExpressionBinder, parts: Sequence[exp.Expr], node: exp.Expr) -> Expression:
    named = _named(binder, parts, node)
    return make_struct([name for name, _ in named], [value for _, value in named])


def bind_named_call(binder: ExpressionBinder, node: exp.Anonymous) -> Expression:
    """struct_pack, struct_insert and struct_update."""
    name = str(node.name).lower()
    if name == "struct_pack":
        return _named_struct(binder, node.expressions, node)
    if not node.expressions:
        raise binder.context.error(NoMatchingFunction, f"wrong number of arguments for {name}: 0", node)
    named = _named(binder, node.expressions[1:], node)
    return make_changed(
        binder.bind(node.expressions[0]),
        [field for field, _ in named],
        [value for _, value in named],
        replace=name == "struct_update",
    )


def bind_array(binder: ExpressionBinder, node: exp.Anonymous) -> Expression:
    """``ARRAY(query)``: the only column of a query as a list."""
    query = node.expressions[0] if len(node.expressions) == 1 else None
    if not isinstance(query, (exp.Query, exp.Subquery)):
        raise binder.context.error(NoMatchingFunction, "ARRAY takes a query", node)
    inner = (query.this if isinstance(query, exp.Subquery) else query).copy()
    keys = _order_as_columns(binder, inner)
    names = ["value", *(f"key{number}" for number in range(len(keys)))]
    alias = exp.TableAlias(
        this=exp.to_identifier("rows"), columns=[exp.to_identifier(name) for name in names]
    )
    source = exp.Subquery(this=inner, alias=alias)
    value: exp.Expr = exp.column("value", "rows")
    if keys:
        for name, key in zip(names[1:], keys, strict=True):
            key.set("this", exp.column(name, "rows"))
        value = exp.Order(this=value, expressions=keys)
    values = exp.Anonymous(this="list", expressions=[value])
    found = binder.bind(exp.Subquery(this=exp.Select(expressions=[values]).from_(source)))
    return make_call("coalesce", (found, make_list([])))


def _order_as_columns(binder: ExpressionBinder, query: exp.Expr) -> list[exp.Expr]:
    """The items of a query's ORDER BY, each of which becomes one more column of it."""
    order = query.args.get("order")
    if order is None:
        return []
    if (
        not isinstance(query, exp.Select)
        or query.args.get("distinct") is not None
        or len(query.expressions) != 1
    ):
        raise binder.context.unsupported("ARRAY of an ordered query that is more than a plain SELECT", order)
    keys: list[exp.Expr] = []
    value = query.expressions[0]
    for item in order.expressions:
        key = item.this if isinstance(item, exp.Ordered) else item
        same = isinstance(key, exp.Literal) and not key.is_string and str(key.this) == "1"
        named = (
            isinstance(key, exp.Column) and not key.table and key.name.lower() == value.alias_or_name.lower()
        )
        query.append("expressions", (value.unalias() if same or named else key).copy())
        keys.append(item.copy() if isinstance(item, exp.Ordered) else exp.Ordered(this=item.copy()))
    return keys


def bind_row(binder: ExpressionBinder, node: exp.Tuple) -> Expression:
    """``(a, b)`` as a value."""
    return make_struct([""] * len(node.expressions), [binder.bind(part) for part in node.expressions])


def bind_map(binder: ExpressionBinder, node: exp.Map) -> Expression:
    """``MAP(keys, values)``."""
    keys, values = node.args.get("keys"), node.args.get("values")
    if (keys is None) != (values is None):
        raise binder.context.error(NoMatchingFunction, "MAP takes a list of keys and a list of values", node)
    if keys is None or values is None:
        return make_map(make_list([]), make_list([]))
    return make_map(binder.bind(keys), binder.bind(values))


def bind_map_literal(binder: ExpressionBinder, node: exp.ToMap) -> Expression:
    """``MAP {key: value}``, whose subscripts sqlglot puts inside."""
    if isinstance(node.this, exp.Bracket):
        outer = node.this.copy()
        outer.set("this", exp.ToMap(this=outer.this))
        return binder.bind(outer)
    keys, values = [], []
    for part in node.this.expressions:
        if not isinstance(part, exp.PropertyEQ):
            raise binder.context.error(BinderError, "an entry of a map is written key: value", part)
        keys.append(binder.bind(part.this))
        values.append(binder.bind(part.expression))
    return make_map(make_list(keys), make_list(values))


def bind_subscript(binder: ExpressionBinder, node: exp.Bracket) -> Expression:
    """``value[index]`` and ``value[begin:end:step]``."""
    binder.context.reject_other(node, "this", "expressions")
    value = binder.bind(node.this)
    for index in node.expressions:
        if not isinstance(index, exp.Slice):
            value = make_subscript(value, binder.bind(index))
            continue
        parts = (index.this, index.expression, index.args.get("step"))
        begin, end, step = (None if part is None else binder.bind(part) for part in parts)
        value = make_slice(value, begin, end, step)
    return value


def bind_contained_by(binder: ExpressionBinder, node: exp.ArrayContainedBy) -> Expression:
    """``part <@ whole``."""
    return make_call("list_has_all", (binder.bind(node.expression), binder.bind(node.this)))


def bind_dot(binder: ExpressionBinder, node: exp.Dot) -> Expression:
    """``value.field`` and ``value.function(arguments)``."""
    last = node.expression
    if isinstance(last, exp.Anonymous):
        own = node.this
        receiver = exp.Column(this=own.copy()) if isinstance(own, exp.Identifier) else own.copy()
        call = last.copy()
        call.set("expressions", [receiver, *call.expressions])
        return binder.bind(call)
    return field_of(binder, binder.bind(node.this), str(last.name), node)


def field_of(binder: ExpressionBinder, value: Expression, name: str, node: exp.Expr) -> Expression:
    """A field of a struct, or of a JSON object, by its name."""
    if value.dtype.id is TypeId.JSON:
        return make_call("json_extract", (value, Literal(name, VARCHAR)))
    if value.dtype.id is not TypeId.STRUCT:
        raise binder.context.error(
            DatatypeMismatch, f"field of a value that is no struct: {name} ({value.dtype})", node
        )
    with binder.context.locating(node):
        return make_named_field(value, name)


def bind_arrow(binder: ExpressionBinder, node: exp.Lambda) -> Expression:
    """``document -> path`` as the argument of a call, which sqlglot takes for a lambda function."""
    parameters = node.expressions
    if len(parameters) != 1:
        raise binder.context.unsupported("a lambda function here", node)
    document = exp.Column(this=parameters[0].copy())
    return make_call("json_extract", (binder.bind(document), binder.bind(node.this)))


def bind_identifier(binder: ExpressionBinder, node: exp.Identifier) -> Expression:
    """A name inside of a lambda function: a parameter, or a column."""
    return binder.bind(exp.Column(this=node.copy()))


# --- lambda functions ----------------------------------------------------------------------------------------


def bind_lambda_call(binder: ExpressionBinder, node: exp.Anonymous) -> Expression:
    """list_transform, list_filter and list_reduce."""
    name = str(node.name).lower()
    kind = LAMBDA_FUNCTIONS[name]
    parts = node.expressions
    if not (2 <= len(parts) <= (3 if kind == "reduce" else 2)) or not isinstance(parts[1], exp.Lambda):
        raise binder.context.error(NoMatchingFunction, f"{name} takes a list and a lambda function", node)
    values = as_list(name, binder.bind(parts[0]), ())
    names = [str(parameter.name) for parameter in parts[1].expressions]
    if kind == "reduce":
        initial = binder.bind(parts[2]) if len(parts) > 2 else None
        return _reduce(binder, values, names, parts[1], initial)
    if not 1 <= len(names) <= 2:
        raise binder.context.error(
            NoMatchingFunction, f"lambda function of {name} takes one or two parameters", parts[1]
        )
    types = (values.dtype.element, BIGINT)
    function = _lambda(binder, list(zip(names, types, strict=False)), parts[1].this)
    if kind == "filter":
        return make_list_filter(values, Lambda(function.parameters, as_condition(function.body)))
    return make_transform(values, function)


def _lambda(binder: ExpressionBinder, parameters: Sequence[tuple[str, DataType]], body: exp.Expr) -> Lambda:
    attributes = [binder.parameter(name, dtype) for name, dtype in parameters]
    names = {name.lower(): attribute for (name, _), attribute in zip(parameters, attributes, strict=True)}
    binder.parameters.append(names)
    allowed, binder.aggregates = binder.aggregates, False
    try:
        return Lambda(tuple(attributes), binder.bind(body))
    finally:
        binder.parameters.pop()
        binder.aggregates = allowed


def _reduce(
    binder: ExpressionBinder,
    values: Expression,
    names: Sequence[str],
    function: exp.Lambda,
    initial: Expression | None,
) -> Expression:
    if not 2 <= len(names) <= 3:
        raise binder.context.error(
            NoMatchingFunction, "lambda function of list_reduce takes two or three parameters", function
        )
    element = values.dtype.element
    state = (
        element if initial is None else joint_type("list_reduce", (element, initial.dtype), (values, initial))
    )
    # What the function gives may be of a wider type, which the next step then gets.
    while True:
        types = (state, element if initial is not None else state, BIGINT)
        bound = _lambda(binder, list(zip(names, types, strict=False)), function.this)
        wider = joint_type("list_reduce", (state, bound.dtype), (values,))
        if wider == state or initial is None:
            break
        state = wider
    body = coerce(bound.body, state)
    values = coerce(values, list_of(types[1]))
    start = () if initial is None else (coerce(initial, state),)
    return Call("list_reduce", (values, Lambda(bound.parameters, body), *start), state)


def _comprehension(binder: ExpressionBinder, node: exp.Comprehension) -> Expression:
    values = as_list("a list comprehension", binder.bind(node.args["iterator"]), ())
    place = node.args.get("position")
    parameters = [(str(node.expression.name), values.dtype.element)]
    if place is not None:
        parameters.append((str(place.name), BIGINT))
    function = _lambda(binder, parameters, node.this)
    condition = node.args.get("condition")
    if condition is None:
        return make_transform(values, function)
    test = _lambda(binder, parameters, condition)
    kept = Lambda(test.parameters, as_condition(test.body))
    return Call("list_comprehension", (values, kept, function), list_of(function.dtype))


def parameter_reference(binder: ExpressionBinder, name: str) -> AttributeRef | None:
    """What a name means as a parameter of a lambda function around it."""
    for scope in reversed(binder.parameters):
        found: Attribute | None = scope.get(name.lower())
        if found is not None:
            return AttributeRef(found)
    return None
