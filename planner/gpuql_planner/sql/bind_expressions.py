"""Expressions: syntax trees to typed logical expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from gpuql_planner.definitions import DATABASE, MAIN_SCHEMA, TEMPORARY_SCHEMA
from gpuql_planner.errors import BinderError, GpuqlError, did_you_mean
from gpuql_planner.functions import (
    AGGREGATE_FUNCTIONS,
    SCALAR_FUNCTIONS,
    explicit_cast,
    is_aggregate_function,
    is_scalar_function,
    is_window_function,
    make_and,
    make_call,
    make_case,
    make_coalesce,
    make_comparison,
    make_date_part,
    make_in_list,
    make_is_null,
    make_not,
    make_or,
    make_simple_case,
)
from gpuql_planner.functions.structs import make_struct
from gpuql_planner.functions.temporal import VOLATILE_FUNCTIONS
from gpuql_planner.logical.expressions import (
    AggregateCall,
    Attribute,
    AttributeRef,
    Call,
    Case,
    Cast,
    Expression,
    InList,
    Literal,
)
from gpuql_planner.logical.visit import note_origin
from gpuql_planner.sql.bind_aggregates import bind_aggregate, bind_grouping_call, is_grouping
from gpuql_planner.sql.bind_constants import (
    bind_adjacent_texts,
    bind_boolean,
    bind_interval,
    bind_literal,
    bind_negate,
    bind_null,
    bind_placeholder,
    bind_text,
)
from gpuql_planner.sql.bind_nested import (
    LAMBDA_FUNCTIONS,
    NAMED_ARGUMENTS,
    bind_array,
    bind_arrow,
    bind_contained_by,
    bind_dot,
    bind_identifier,
    bind_lambda_call,
    bind_list,
    bind_map,
    bind_map_literal,
    bind_named_call,
    bind_row,
    bind_struct,
    bind_subscript,
    field_of,
    parameter_reference,
)
from gpuql_planner.sql.bind_subqueries import (
    QuerySource,
    bind_exists,
    bind_in_query,
    bind_quantified,
    bind_scalar_subquery,
)
from gpuql_planner.sql.bind_unnest import UNNEST_NAMES, bind_subscripts, bind_unnest
from gpuql_planner.sql.bind_windows import bind_window
from gpuql_planner.sql.collations import collated, collation_of, without_collation
from gpuql_planner.sql.columns_expression import ATTRIBUTE, is_columns
from gpuql_planner.sql.context import BindContext
from gpuql_planner.sql.data_types import bind_type
from gpuql_planner.sql.scope import Relation, Scope
from gpuql_planner.sql.session_functions import SESSION_FUNCTIONS, bind_session_function
from gpuql_planner.statement_errors import (
    MissingFromEntry,
    UndefinedColumn,
    UndefinedFunction,
    WrongKindOfFunction,
)
from gpuql_planner.types import (
    BOOLEAN,
    DataType,
)

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder

_COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "eq",
    exp.NEQ: "ne",
    exp.LT: "lt",
    exp.LTE: "le",
    exp.GT: "gt",
    exp.GTE: "ge",
    exp.NullSafeEQ: "is_not_distinct_from",
    exp.NullSafeNEQ: "is_distinct_from",
}

_BINARY_CALLS: dict[type[exp.Expr], str] = {
    exp.Add: "add",
    exp.Sub: "subtract",
    exp.Mul: "multiply",
    exp.IntDiv: "integer_divide",
    exp.Mod: "modulo",
    exp.Pow: "power",
    exp.DPipe: "concat_operator",
    exp.BitwiseAnd: "bit_and",
    exp.BitwiseOr: "bit_or",
    exp.BitwiseLeftShift: "shift_left",
    exp.BitwiseRightShift: "shift_right",
    exp.RegexpLike: "regexp_matches",
    exp.RegexpFullMatch: "regexp_full_match",
    exp.SimilarTo: "regexp_full_match",
    exp.StartsWith: "starts_with",
    exp.ArrayOverlaps: "list_has_any",
    exp.ArrayContainsAll: "list_has_all",
    exp.Glob: "glob",
}

_UNARY_CALLS: dict[type[exp.Expr], str] = {
    exp.Neg: "negate",
    exp.BitwiseNot: "bit_not",
    exp.Abs: "abs",
}

#: Expressions that may fail, or be given casts that may.
_LOCATED = (Call, Cast, Case, InList, AggregateCall)

#: Functions without arguments that are written like a column, and are one where there is a column of that name.
_SESSION_NAMES = frozenset({"user", "current_schema", "current_user", "session_user", "current_catalog"})

_CONSTANT_CALLS: dict[type[exp.Expr], str] = {
    exp.CurrentDate: "current_date",
    exp.CurrentTimestamp: "now",
    exp.Localtimestamp: "localtimestamp",
    exp.Localtime: "localtime",
    exp.CurrentUser: "current_user",
    exp.SessionUser: "current_user",
    exp.CurrentCatalog: "current_database",
    exp.CurrentSchema: "current_schema",
}


@dataclass
class ExpressionBinder:
    """Binds the expressions of one clause.

    ``aliases`` are select items that may be named here, tried after columns. ``aggregates`` says whether aggregate
    calls may stand here; they are bound as they are and replaced by the grouping step; ``windows`` says the same of
    window functions.
    """

    context: BindContext
    scope: Scope
    queries: QueryBinder
    clause: str
    aliases: Mapping[str, exp.Expr] = field(default_factory=dict)
    aggregates: bool = False
    inside_aggregate: bool = False
    windows: bool = False
    inside_window: bool = False
    #: Lists that UNNEST asks for here, and the attributes of their elements; None where it may not stand.
    unnests: list[tuple[Attribute, Expression]] | None = None
    #: Parameters of the lambda functions around what is bound, outermost first, by folded name.
    parameters: list[dict[str, Attribute]] = field(default_factory=list)
    #: Nodes of select items that are bound already, as keys of GROUP BY.
    bound_items: Sequence[tuple[exp.Expr, Expression]] = ()
    #: Keys of GROUP BY with subqueries in them; the same text means the key.
    query_keys: Sequence[tuple[exp.Expr, Expression]] = ()
    _expanding: set[str] = field(default_factory=set)

    def bind(self, node: exp.Expr) -> Expression:
        """Typed expression of a tree; errors point at the innermost tree that caused them."""
        for known, key in self.query_keys:
            if type(known) is type(node) and known == node:
                return key
        handler = _HANDLERS.get(type(node))
        if handler is None:
            raise self.context.unsupported(_construct(node), node)
        try:
            bound = handler(self, node)
        except GpuqlError as error:
            if error.position is None and error.statement is None:
                error.position = self.context.position(_culprit(node, error))
                error.statement = self.context.text
            raise
        if isinstance(bound, _LOCATED):
            origin = self.context.origin(node)
            if origin is not None:
                note_origin(bound, origin)
        return bound

    def parameter(self, name: str, dtype: DataType) -> Attribute:
        """The attribute of a lambda function's parameter: the same for functions written the same way."""
        key = (name.lower(), len(self.parameters), dtype)
        known = self.context.lambda_parameters.get(key)
        if known is None:
            known = self.context.lambda_parameters[key] = Attribute.fresh(name, dtype)
        return known

    def bind_subplan(self, node: exp.Expr) -> QuerySource:
        """Plan of a subquery that sees this expression's columns from outside."""
        if self.parameters:
            raise self.context.unsupported("a subquery inside of a lambda function", node)
        query = node
        while isinstance(query, (exp.Subquery, exp.Paren)):
            query = query.this
        if isinstance(query, exp.Select) and query.args.get("order") is None:
            self.context.nameless.add(id(query))
        source = self.queries.nested(self.scope).bind(node)
        return QuerySource(source.plan)

    def attribute(self, node: exp.Column) -> Attribute | None:
        """Attribute that a column name stands for; None if it may be an alias."""
        known: Attribute | None = node.meta.get(ATTRIBUTE) if node._meta else None
        if known is not None:
            self.scope.nodes[known] = node
            return known
        name, table = node.name, self._table_of(node)
        local = self.scope.find_local(name, table)
        if local is not None:
            self.scope.nodes[local] = node
            return local
        if table is None and name.lower() in self.aliases and name.lower() not in self._expanding:
            return None
        outer = self.scope.find_outer(name, table, node)
        if outer is not None:
            return outer
        if table is None and name.lower() in _SESSION_NAMES and not node.this.args.get("quoted"):
            return None
        raise self._not_found(node, table)

    def _table_of(self, node: exp.Column) -> str | None:
        database, schema = node.args.get("catalog"), node.args.get("db")
        if database is not None and database.name.lower() not in (DATABASE, TEMPORARY_SCHEMA):
            raise self.context.error(MissingFromEntry, f"database not found: {database.name}", node)
        if schema is not None:
            relation = self._relation(str(node.table))
            known = MAIN_SCHEMA if relation is None else relation.schema.lower() or MAIN_SCHEMA
            if schema.name.lower() not in (known, DATABASE if known == MAIN_SCHEMA else known):
                raise self.context.error(
                    MissingFromEntry,
                    f"schema not found: {schema.name}",
                    node,
                    hint=f"write table.column or {known}.table.column",
                )
        return str(node.table) or None

    def _relation(self, name: str) -> Relation | None:
        scope: Scope | None = self.scope
        while scope is not None:
            found = scope.relation(name)
            if found is not None:
                return found
            scope = scope.parent
        return None

    def row_value(self, node: exp.Column) -> Expression | None:
        """A row of a table as a struct, where its name stands for no column."""
        name = node.name
        relation = None if node.table else self.scope.relation(name)
        if (
            relation is None
            or (node._meta and node.meta.get(ATTRIBUTE) is not None)
            or name.lower() in self.aliases
            or self.scope.find_local(name, None) is not None
            or self.scope.find_outer(name, None, node) is not None
        ):
            return None
        names = [column.name for column in relation.columns]
        found = [self.scope.find_local(column, relation.name) for column in names]
        return make_struct(names, [AttributeRef(attribute) for attribute in found if attribute is not None])

    def _not_found(self, node: exp.Column, table: str | None) -> BinderError:
        if table is not None:
            known = self.scope.relation_names()
            return self.context.error(
                MissingFromEntry, f"table not found in FROM: {table}", node, hint=did_you_mean(table, known)
            )
        if not self.scope.relations and self.scope.parent is None:
            hint = (
                "there is no FROM clause; write text in single quotes"
                if node.this.args.get("quoted")
                else None
            )
            return self.context.error(
                UndefinedColumn,
                f"column not found: {node.name}",
                node,
                hint=hint or "there is no FROM clause",
            )
        hint = did_you_mean(node.name, [*self.scope.column_names(), *self.aliases])
        return self.context.error(UndefinedColumn, f"column not found: {node.name}", node, hint=hint)

    def knows_relation(self, name: str) -> bool:
        """Whether a table of that name stands in this FROM clause or one around it."""
        return name.lower() in {known.lower() for known in self.scope.relation_names()}

    def knows_column(self, name: str) -> bool:
        """Whether a column or alias of that name may stand here."""
        known = {column.lower() for column in (*self.scope.column_names(), *self.aliases)}
        return name.lower() in known

    def expand_alias(self, name: str) -> Expression:
        """Expression of the select item called ``name``, bound here."""
        folded = name.lower()
        known = self.bound_before(self.aliases[folded])
        if known is not None:
            return known
        self._expanding.add(folded)
        try:
            return self.bind(self.aliases[folded])
        finally:
            self._expanding.discard(folded)

    def alias_of(self, node: exp.Expr) -> exp.Expr | None:
        """Select item that ``node`` names by its alias alone."""
        if not isinstance(node, exp.Column) or node.table or node.name.lower() not in self.aliases:
            return None
        if self.attribute(node) is not None:
            return None
        return self.aliases[node.name.lower()]

    def bound_before(self, node: exp.Expr) -> Expression | None:
        """What a select item is bound to that is a key of GROUP BY."""
        return next((expression for known, expression in self.bound_items if known is node), None)


def _culprit(node: exp.Expr, error: GpuqlError) -> exp.Expr:
    """The text constant that an error quotes, else ``node``."""
    for operand in node.iter_expressions():
        if (
            isinstance(operand, exp.Literal)
            and operand.is_string
            and repr(str(operand.this)) in error.message
        ):
            return operand
    return node


def _construct(node: exp.Expr) -> str:
    known: dict[type[exp.Expr], str] = {
        exp.Lambda: "a lambda function here",
        exp.Star: "* here",
        exp.Collate: "COLLATE of anything but a side of a comparison or a sort key",
    }
    written = "an operator without an operand" if node is None else known.get(type(node))
    if written is not None:
        return written
    try:
        return f"{type(node).__name__} ({node.sql('duckdb')})"
    except AttributeError:  # of an operator without its operand there is no text
        return type(node).__name__


def _column(binder: ExpressionBinder, node: exp.Column) -> Expression:
    if isinstance(node.this, exp.Star):
        raise binder.context.unsupported(f"{node.sql('duckdb')} here", node)
    if binder.parameters or len(node.parts) > 1:
        found = _parameter_or_field(binder, node)
        if found is not None:
            return found
    row = binder.row_value(node)
    if row is not None:
        return row
    attribute = binder.attribute(node)
    if attribute is None and node.name.lower() not in binder.aliases:
        return make_call(node.name, ())
    return binder.expand_alias(node.name) if attribute is None else AttributeRef(attribute)


def _parameter_or_field(binder: ExpressionBinder, node: exp.Column) -> Expression | None:
    """What a name is that begins with a lambda function's parameter, or names a field of a struct; else None."""
    parts = [str(part.name) for part in node.parts]
    value: Expression | None = parameter_reference(binder, parts[0])
    rest = parts[1:]
    if value is None and len(parts) > 1:
        with_table = parts[0] if binder.knows_relation(parts[0]) else None
        if with_table is not None and len(parts) == 2:
            return None
        column = exp.Column(this=node.parts[0 if with_table is None else 1].copy())
        if with_table is not None:
            column.set("table", node.parts[0].copy())
            rest = parts[2:]
        elif not binder.knows_column(parts[0]):
            return None
        attribute = binder.attribute(column)
        value = binder.expand_alias(column.name) if attribute is None else AttributeRef(attribute)
    if value is not None:
        for name in rest:
            value = field_of(binder, value, name, node)
    return value


def _paren(binder: ExpressionBinder, node: exp.Paren) -> Expression:
    return binder.bind(node.this)


def _and(binder: ExpressionBinder, node: exp.And) -> Expression:
    return make_and([binder.bind(part) for part in node.flatten()])


def _or(binder: ExpressionBinder, node: exp.Or) -> Expression:
    return make_or([binder.bind(part) for part in node.flatten()])


def _not(binder: ExpressionBinder, node: exp.Not) -> Expression:
    inner = node.this
    if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
        return make_call("is_not_null", (binder.bind(inner.this),))
    if isinstance(inner, exp.In) and inner.args.get("query") is not None:
        return bind_in_query(binder, inner, negated=True)
    return make_not(binder.bind(inner))


def _is(binder: ExpressionBinder, node: exp.Is) -> Expression:
    argument = binder.bind(node.this)
    if isinstance(node.expression, exp.Null):
        return make_is_null(argument)
    if isinstance(node.expression, exp.Boolean):
        value = Literal(bool(node.expression.this), BOOLEAN)
        return make_comparison("is_not_distinct_from", explicit_cast(argument, BOOLEAN), value)
    raise binder.context.unsupported(f"IS {node.expression.sql('duckdb')}", node)


def _comparison(binder: ExpressionBinder, node: exp.Binary) -> Expression:
    name = _COMPARISONS[type(node)]
    left, right = node.this, node.expression
    if isinstance(right, (exp.Any, exp.All)):
        return bind_quantified(binder, name, left, right)
    if isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple):
        return _compare_rows(binder, name, left, right)
    functions = collation_of(binder.context, left, right)
    sides = (binder.bind(without_collation(side)) for side in (left, right))
    return make_comparison(name, *(collated(side, functions) for side in sides))


def _compare_rows(binder: ExpressionBinder, name: str, left: exp.Tuple, right: exp.Tuple) -> Expression:
    if name not in ("eq", "ne"):
        raise binder.context.unsupported("rows compared with anything but = and <>", left)
    if len(left.expressions) != len(right.expressions):
        raise binder.context.error(BinderError, "rows of different lengths are compared", left)
    pairs = zip(left.expressions, right.expressions, strict=True)
    # As in DuckDB, NULLs within rows are equal: a row with a NULL in it is not NULL itself.
    parts = [make_comparison("is_not_distinct_from", binder.bind(a), binder.bind(b)) for a, b in pairs]
    equal = make_and(parts)
    return equal if name == "eq" else make_not(equal)


def _binary_call(binder: ExpressionBinder, node: exp.Binary) -> Expression:
    return make_call(_BINARY_CALLS[type(node)], (binder.bind(node.this), binder.bind(node.expression)))


def _divide(binder: ExpressionBinder, node: exp.Div) -> Expression:
    left, right = binder.bind(node.this), binder.bind(node.expression)
    if binder.context.integer_division and left.dtype.is_integer and right.dtype.is_integer:
        return make_call("integer_divide", (left, right))
    return make_call("divide", (left, right))


def _unary_call(binder: ExpressionBinder, node: exp.Unary) -> Expression:
    return make_call(_UNARY_CALLS[type(node)], (binder.bind(node.this),))


def _between(binder: ExpressionBinder, node: exp.Between) -> Expression:
    argument = binder.bind(node.this)
    low, high = binder.bind(node.args["low"]), binder.bind(node.args["high"])
    if node.args.get("symmetric"):
        low, high = make_call("least", (low, high)), make_call("greatest", (low, high))
    return make_and([make_comparison("ge", argument, low), make_comparison("le", argument, high)])


def _in(binder: ExpressionBinder, node: exp.In) -> Expression:
    if node.args.get("query") is not None:
        return bind_in_query(binder, node, negated=False)
    values = node.args.get("field")
    if values is not None:
        return make_call("contains", (binder.bind(values), binder.bind(node.this)))
    if node.args.get("unnest") is not None:
        raise binder.context.unsupported("IN over UNNEST", node)
    if isinstance(node.this, exp.Tuple):
        rows = [option for option in node.expressions if isinstance(option, exp.Tuple)]
        if len(rows) != len(node.expressions):
            raise binder.context.error(BinderError, "a row is compared with a single value in IN", node)
        return make_or([_compare_rows(binder, "eq", node.this, row) for row in rows])
    functions = collation_of(binder.context, node.this, *node.expressions)
    sides = [binder.bind(without_collation(side)) for side in (node.this, *node.expressions)]
    argument, *options = [collated(side, functions) for side in sides]
    return make_in_list(argument, options)


def _like(binder: ExpressionBinder, node: exp.Like | exp.ILike) -> Expression:
    if isinstance(node.expression, (exp.Any, exp.All)):
        raise binder.context.unsupported("LIKE ANY and LIKE ALL", node)
    name = "ilike" if isinstance(node, exp.ILike) else "like"
    functions = collation_of(binder.context, node.this, node.expression)
    sides = (binder.bind(without_collation(side)) for side in (node.this, node.expression))
    test = make_call(name, tuple(collated(side, functions) for side in sides))
    return make_not(test) if node.args.get("negate") else test


def _escape(binder: ExpressionBinder, node: exp.Escape) -> Expression:
    inner = node.this
    if not isinstance(inner, (exp.Like, exp.ILike)):
        raise binder.context.unsupported("ESCAPE after anything but LIKE and ILIKE", node)
    arguments = (binder.bind(inner.this), binder.bind(inner.expression), binder.bind(node.expression))
    test = make_call("ilike_escape" if isinstance(inner, exp.ILike) else "like_escape", arguments)
    return make_not(test) if inner.args.get("negate") else test


def _at_time_zone(binder: ExpressionBinder, node: exp.AtTimeZone) -> Expression:
    return make_call("timezone", (binder.bind(node.args["zone"]), binder.bind(node.this)))


def _case(binder: ExpressionBinder, node: exp.Case) -> Expression:
    branches = [(binder.bind(branch.this), binder.bind(branch.args["true"])) for branch in node.args["ifs"]]
    default = node.args.get("default")
    otherwise = None if default is None else binder.bind(default)
    if node.this is None:
        return make_case(branches, otherwise)
    return make_simple_case(binder.bind(node.this), branches, otherwise)


def _if(binder: ExpressionBinder, node: exp.If) -> Expression:
    otherwise = node.args.get("false")
    branch = (binder.bind(node.this), binder.bind(node.args["true"]))
    return make_case([branch], None if otherwise is None else binder.bind(otherwise))


def _cast(binder: ExpressionBinder, node: exp.Cast) -> Expression:
    binder.context.reject_other(node, "this", "to", "safe")
    dtype = bind_type(binder.context, node.to)
    return explicit_cast(binder.bind(node.this), dtype, try_=isinstance(node, exp.TryCast))


def _extract(binder: ExpressionBinder, node: exp.Extract) -> Expression:
    return make_date_part(str(node.this.this), binder.bind(node.expression))


def _substring(binder: ExpressionBinder, node: exp.Substring) -> Expression:
    length = node.args.get("length")
    start = node.args.get("start") or (exp.Literal.number(1) if length is not None else None)
    parts = (node.this, start, length)
    return make_call("substring", [binder.bind(part) for part in parts if part is not None])


def _overlay(binder: ExpressionBinder, node: exp.Overlay) -> Expression:
    parts = (node.this, node.expression, node.args.get("from_"), node.args.get("for_"))
    return make_call("overlay", [binder.bind(part) for part in parts if part is not None])


def _trim(binder: ExpressionBinder, node: exp.Trim) -> Expression:
    binder.context.reject_other(node, "this", "expression", "position")
    name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(
        str(node.args.get("position") or "BOTH").upper(), "trim"
    )
    parts = [part for part in (node.this, node.expression) if part is not None]
    return make_call(name, [binder.bind(part) for part in parts])


def _strpos(binder: ExpressionBinder, node: exp.StrPosition) -> Expression:
    return make_call("strpos", (binder.bind(node.this), binder.bind(node.args["substr"])))


def _coalesce(binder: ExpressionBinder, node: exp.Coalesce) -> Expression:
    return make_coalesce([binder.bind(part) for part in (node.this, *node.expressions)])


def _constant_call(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    return _volatile(binder, _CONSTANT_CALLS[type(node)])


def _volatile(binder: ExpressionBinder, name: str) -> Expression:
    """The same value wherever the statement asks for it."""
    if name in SESSION_FUNCTIONS:
        return bind_session_function(binder, exp.Anonymous(this=name))
    values = binder.context.volatile_values
    if name not in values:
        values[name] = make_call(name, ())
    return values[name]


def _call(binder: ExpressionBinder, node: exp.Anonymous) -> Expression:
    name = str(node.name)
    if name.lower() in SESSION_FUNCTIONS:
        return bind_session_function(binder, node)
    if is_columns(node):
        raise binder.context.unsupported(f"COLUMNS in {binder.clause}", node)
    if name.lower() == "array":
        return bind_array(binder, node)
    if name.lower() in UNNEST_NAMES:
        return bind_unnest(binder, node)
    if name.lower() == "generate_subscripts":
        return bind_subscripts(binder, node)
    if name.lower() in LAMBDA_FUNCTIONS:
        return bind_lambda_call(binder, node)
    if name.lower() in NAMED_ARGUMENTS:
        return bind_named_call(binder, node)
    if is_aggregate_function(name):
        return bind_aggregate(binder, node)
    if is_grouping(node):
        return bind_grouping_call(binder, node)
    if is_window_function(name):
        raise binder.context.error(WrongKindOfFunction, f"window function without OVER: {name}", node)
    if not is_scalar_function(name):
        raise binder.context.error(
            UndefinedFunction,
            f"function does not exist: {name}",
            node,
            hint=did_you_mean(name, [*SCALAR_FUNCTIONS, *AGGREGATE_FUNCTIONS]),
        )
    if name.lower() in VOLATILE_FUNCTIONS and not node.expressions:
        return _volatile(binder, name.lower())
    # Written as a function, divide is the operator //.
    canonical = "integer_divide" if name.lower() == "divide" else name
    return make_call(canonical, [binder.bind(argument) for argument in node.expressions])


def _subquery(binder: ExpressionBinder, node: exp.Subquery) -> Expression:
    return bind_scalar_subquery(binder, node)


def _exists(binder: ExpressionBinder, node: exp.Exists) -> Expression:
    return bind_exists(binder, node)


def _aggregate(binder: ExpressionBinder, node: exp.Expr) -> Expression:
    return bind_aggregate(binder, node)


_HANDLERS: dict[type[exp.Expr], Callable[[ExpressionBinder, Any], Expression]] = {
    exp.Column: _column,
    exp.Literal: bind_literal,
    exp.Neg: bind_negate,
    exp.Null: bind_null,
    exp.Boolean: bind_boolean,
    exp.RawString: bind_text,
    exp.ByteString: bind_text,
    exp.Concat: bind_adjacent_texts,
    exp.Placeholder: bind_placeholder,
    exp.Paren: _paren,
    exp.And: _and,
    exp.Or: _or,
    exp.Not: _not,
    exp.Is: _is,
    exp.Div: _divide,
    exp.Between: _between,
    exp.In: _in,
    exp.Like: _like,
    exp.ILike: _like,
    exp.Escape: _escape,
    exp.Case: _case,
    exp.If: _if,
    exp.AtTimeZone: _at_time_zone,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Extract: _extract,
    exp.Interval: bind_interval,
    exp.Substring: _substring,
    exp.Trim: _trim,
    exp.Overlay: _overlay,
    exp.StrPosition: _strpos,
    exp.Coalesce: _coalesce,
    exp.Anonymous: _call,
    exp.Array: bind_list,
    exp.Struct: bind_struct,
    exp.Tuple: bind_row,
    exp.Map: bind_map,
    exp.ToMap: bind_map_literal,
    exp.Bracket: bind_subscript,
    exp.Dot: bind_dot,
    exp.Lambda: bind_arrow,
    exp.ArrayContainedBy: bind_contained_by,
    exp.Identifier: bind_identifier,
    exp.Subquery: _subquery,
    exp.Select: _subquery,
    exp.Exists: _exists,
    exp.Filter: _aggregate,
    exp.WithinGroup: _aggregate,
    exp.IgnoreNulls: _aggregate,
    exp.Window: bind_window,
    **dict.fromkeys(_COMPARISONS, _comparison),
    **dict.fromkeys(_BINARY_CALLS, _binary_call),
    **{kind: _unary_call for kind in _UNARY_CALLS if kind is not exp.Neg},
    **dict.fromkeys(_CONSTANT_CALLS, _constant_call),
}
