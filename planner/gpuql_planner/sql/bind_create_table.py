"""CREATE TABLE with columns: types, defaults, generated columns, checks and keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.catalog import Field, View
from gpuql_planner.errors import ParserError, did_you_mean
from gpuql_planner.functions import as_condition, make_comparison
from gpuql_planner.logical.expressions import Attribute, AttributeRef
from gpuql_planner.sql.context import BindContext
from gpuql_planner.sql.data_types import bind_type
from gpuql_planner.sql.names import known_name
from gpuql_planner.sql.rule_text import bind_rule, columns_in, rule_text
from gpuql_planner.statement_errors import (
    DuplicateColumn,
    InvalidColumnReference,
    InvalidDefinition,
    InvalidForeignKey,
    InvalidKeys,
    InvalidTableDefinition,
    MissingFromEntry,
    UndefinedColumn,
    UndefinedTable,
    WrongObjectType,
)
from gpuql_planner.table_rules import Check, ForeignKey, Generated, Key, TableRules, rules_of
from gpuql_planner.types import INTEGER, NULL, DataType

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder


@dataclass
class TableDefinition:
    """Columns and rules of a table to be, as they are read."""

    queries: QueryBinder
    name: str
    fields: list[Field] = field(default_factory=list)
    defaults: list[tuple[str, str]] = field(default_factory=list)
    generated: list[tuple[str, exp.Expr]] = field(default_factory=list)
    checks: list[tuple[exp.Expr, str | None]] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)
    foreign_keys: list[tuple[ForeignKey, exp.Expr]] = field(default_factory=list)

    @property
    def context(self) -> BindContext:
        """Of the statement."""
        return self.queries.context

    @property
    def short_name(self) -> str:
        """Its name without the schema."""
        return self.name.rpartition(".")[2]

    def column(self, name: str, node: exp.Expr) -> str:
        """The column's name as it was spelled. Errors: CatalogError if there is none."""
        for known in self.fields:
            if known.name.lower() == name.lower():
                return known.name
        hint = did_you_mean(name, [known.name for known in self.fields])
        raise self.context.error(
            UndefinedColumn, f"column not found in table {self.name}: {name}", node, hint=hint
        )


def bind_columns(
    queries: QueryBinder, name: str, nodes: Sequence[exp.Expr], node: exp.Expr
) -> tuple[tuple[Field, ...], TableRules]:
    """Columns and rules of ``CREATE TABLE name (nodes)``."""
    made = TableDefinition(queries, name)
    columns = [one for one in nodes if isinstance(one, exp.ColumnDef)]
    if not nodes:
        raise made.context.error(InvalidTableDefinition, f"table has no columns: {name}", node)
    seen: set[str] = set()
    for column in columns:
        if column.name.lower() in seen:
            raise made.context.error(DuplicateColumn, f"column defined twice: {column.name}", column)
        seen.add(column.name.lower())
    for column in columns:
        _bind_column(made, column)
    for column in columns:
        for constraint in column.args.get("constraints") or ():
            _bind_column_constraint(made, column, constraint)
    for one in nodes:
        if not isinstance(one, exp.ColumnDef):
            bind_table_constraint(made, one)
    return _finish(made, node)


def _reject_repeated(context: BindContext, names: Sequence[str], node: exp.Expr) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise context.error(DuplicateColumn, f"column defined twice: {name}", node)
        seen.add(name.lower())


def _generated_expression(constraint: exp.Expr) -> exp.Expr | None:
    kind = constraint.this if isinstance(constraint, exp.ComputedColumnConstraint) else None
    if isinstance(constraint, exp.GeneratedAsIdentityColumnConstraint):
        kind = constraint.args.get("expression")
    return kind.this if isinstance(kind, exp.Paren) else kind


def _bind_column(made: TableDefinition, column: exp.ColumnDef) -> None:
    context = made.context
    kinds = [constraint.kind for constraint in column.args.get("constraints") or ()]
    computed = any(_generated_expression(kind) is not None for kind in kinds)
    typed = column.args.get("kind")
    if typed is None and not computed:
        raise context.error(ParserError, f"syntax error: column without a type: {column.name}", column)
    dtype = NULL if typed is None else bind_type(context, typed)
    refused = next((kind for kind in kinds if isinstance(kind, exp.NotNullColumnConstraint)), None)
    # NOT NULL wins over NULL wherever both are written.
    required = any(
        isinstance(kind, exp.NotNullColumnConstraint) and not kind.args.get("allow_null") for kind in kinds
    )
    if computed and refused is not None and required:
        raise context.unsupported("NOT NULL of a generated column", column)
    made.fields.append(Field(column.name, dtype, nullable=not required))


def _bind_column_constraint(made: TableDefinition, column: exp.ColumnDef, node: exp.Expr) -> None:
    context, kind, name = made.context, node.args["kind"], node.name or None
    match kind:
        case exp.NotNullColumnConstraint():
            return
        case exp.DefaultColumnConstraint():
            bind_default(made, column, kind.this)
        case exp.PrimaryKeyColumnConstraint():
            _add_key(made, [column], node, primary=True, name=name)
        case exp.UniqueColumnConstraint() if kind.this is None:
            _add_key(made, [column], node, primary=False, name=name)
        case exp.CheckColumnConstraint():
            made.checks.append((kind.this, name))
        case exp.Reference():
            _add_foreign_key(made, [column], kind, name)
        case exp.ComputedColumnConstraint() | exp.GeneratedAsIdentityColumnConstraint():
            expression = _generated_expression(kind)
            if expression is None:
                raise context.unsupported("identity columns", column)
            if kind.meta.get("stored") or kind.args.get("persisted"):
                raise context.unsupported("STORED generated columns", column)
            made.generated.append((column.name, expression))
        case _:
            raise context.unsupported(f"column constraint {node.sql('duckdb')}", column)


def bind_table_constraint(made: TableDefinition, node: exp.Expr) -> None:
    """A constraint of CREATE TABLE or ALTER TABLE that stands beside the columns."""
    name: str | None = None
    inner = [node]
    if isinstance(node, exp.Constraint):
        name, inner = node.name, list(node.expressions)
    for one in inner:
        match one:
            case exp.UniqueColumnConstraint() if isinstance(one.this, exp.Schema):
                _add_key(made, one.this.expressions, one, primary=False, name=name)
            case exp.PrimaryKey():
                _add_key(made, one.expressions, one, primary=True, name=name)
            case exp.CheckColumnConstraint():
                made.checks.append((one.this, name))
            case exp.ForeignKey():
                made.context.reject_other(one, "expressions", "reference")
                _add_foreign_key(made, one.expressions, one.args.get("reference"), name)
            case _:
                raise made.context.unsupported(f"table constraint {node.sql('duckdb')}", node)


def bind_default(made: TableDefinition, column: exp.Expr, node: exp.Expr, name: str | None = None) -> None:
    """The DEFAULT of a column. Errors: BinderError if it names columns or asks for rows."""
    context = made.context
    for used in columns_in(node):
        raise context.error(InvalidColumnReference, f"a DEFAULT may not name columns: {used.name}", used)
    text = rule_text(context, node, "a DEFAULT")
    with context.locating(node):
        bind_rule(text, context.catalog)
    made.defaults.append((column.name if name is None else name, text))


def _add_key(
    made: TableDefinition, nodes: Sequence[exp.Expr], node: exp.Expr, *, primary: bool, name: str | None
) -> None:
    context = made.context
    columns = tuple(made.column(one.name, one) for one in nodes)
    if primary and any(key.primary for key in made.keys):
        raise context.error(InvalidKeys, f"table has more than one primary key: {made.name}", node)
    _reject_repeated(context, columns, node)
    if any(set(key.columns) == set(columns) for key in made.keys):
        if not primary:
            return  # the same columns are unique already
        made.keys = [key for key in made.keys if set(key.columns) != set(columns)]
    made.keys.append(Key(columns, primary, name))
    if primary:
        made.fields = [replace(one, nullable=one.nullable and one.name not in columns) for one in made.fields]


def _add_foreign_key(
    made: TableDefinition, nodes: Sequence[exp.Expr], reference: exp.Expr | None, name: str | None
) -> None:
    context = made.context
    if reference is None or reference.args.get("options"):
        raise context.unsupported("actions of a FOREIGN KEY such as ON DELETE", nodes[0])
    schema = reference.this if isinstance(reference.this, exp.Schema) else None
    table_node = schema.this if schema is not None else reference.this
    columns = tuple(made.column(one.name, one) for one in nodes)
    referenced = tuple(one.name for one in schema.expressions) if schema is not None else ()
    table = known_name(made.queries, table_node)
    made.foreign_keys.append((ForeignKey(columns, table, referenced, name), table_node))


# --- what needs all columns ---


def _finish(made: TableDefinition, node: exp.Expr) -> tuple[tuple[Field, ...], TableRules]:
    context = made.context
    generated = _bind_generated(made)
    if len(made.generated) == len(made.fields):
        raise context.error(InvalidDefinition, f"table has only generated columns: {made.name}", node)
    columns = _attributes(made.fields)
    taking = {one.column for one in generated}
    for key in made.keys:
        if not taking.isdisjoint(key.columns):
            raise context.error(InvalidDefinition, f"a generated column cannot be part of a {key.kind}", node)
    checks = []
    for condition, name in made.checks:
        text, used = _row_text(made, condition, "a CHECK")
        with context.locating(condition):
            as_condition(bind_rule(text, context.catalog, made.short_name, columns))
        checks.append(Check(text, used, name))
    foreign_keys = tuple(_foreign_key(made, key, where) for key, where in made.foreign_keys)
    rules = TableRules(tuple(made.defaults), tuple(generated), tuple(checks), tuple(made.keys), foreign_keys)
    return tuple(made.fields), rules


def _attributes(fields: Sequence[Field]) -> dict[str, Attribute]:
    return {one.name: Attribute.fresh(one.name, one.dtype) for one in fields}


def _row_text(made: TableDefinition, node: exp.Expr, what: str) -> tuple[str, tuple[str, ...]]:
    """SQL of an expression over a row, and the columns in it."""
    text = rule_text(made.context, node, what)
    used = []
    for column in columns_in(node):
        if column.table and column.table.lower() != made.short_name.lower():
            raise made.context.error(MissingFromEntry, f"table not found in {what}: {column.table}", column)
        used.append(made.column(column.name, column))
    return text, tuple(dict.fromkeys(used))


def _bind_generated(made: TableDefinition) -> list[Generated]:
    """Generated columns, each after those that it is computed from."""
    context = made.context
    waiting = {}
    for name, node in made.generated:
        text, used = _row_text(made, node, "a generated column")
        waiting[name] = (Generated(name, text, used), node)
    ordered: list[Generated] = []
    while waiting:
        ready = [
            name for name, (one, _) in waiting.items() if not any(used in waiting for used in one.columns)
        ]
        if not ready:
            name, (_, node) = next(iter(waiting.items()))
            raise context.error(InvalidDefinition, f"generated column depends on itself: {name}", node)
        for name in ready:
            one, node = waiting.pop(name)
            _give_type(made, one, node)
            ordered.append(one)
    return ordered


def _give_type(made: TableDefinition, one: Generated, node: exp.Expr) -> None:
    context = made.context
    with context.locating(node):
        dtype: DataType = bind_rule(
            one.text, context.catalog, made.short_name, _attributes(made.fields)
        ).dtype
    made.fields = [
        replace(known, dtype=INTEGER if dtype == NULL else dtype)
        if known.name == one.column and known.dtype == NULL
        else known
        for known in made.fields
    ]


def _foreign_key(made: TableDefinition, key: ForeignKey, node: exp.Expr) -> ForeignKey:
    """The key with the referenced columns spelled as the other table does."""
    context = made.context
    parent_fields: Sequence[Field] = made.fields
    parent_keys: Sequence[Key] = made.keys
    table = key.table
    if table.lower() != made.name.lower():
        parent = context.catalog.resolve(table)
        if parent is None:
            hint = did_you_mean(table, context.catalog.relation_names())
            raise context.error(UndefinedTable, f"table does not exist: {table}", node, hint=hint)
        if isinstance(parent, View):
            raise context.error(WrongObjectType, f"not a table but a view: {table}", node)
        parent_fields, parent_keys, table = parent.fields, rules_of(parent).keys, parent.name
    spelled = {one.name.lower(): one for one in parent_fields}
    referenced = key.referenced
    if not referenced:
        primary = next((one for one in parent_keys if one.primary), None)
        if primary is None:
            raise context.error(InvalidForeignKey, f"table has no primary key to refer to: {table}", node)
        referenced = primary.columns
    for name in referenced:
        if name.lower() not in spelled:
            raise context.error(UndefinedColumn, f"column not found in table {table}: {name}", node)
    referenced = tuple(spelled[name.lower()].name for name in referenced)
    if len(referenced) != len(key.columns):
        raise context.error(
            InvalidForeignKey,
            f"number of columns differs from that referred to: {len(key.columns)} and {len(referenced)}",
            node,
        )
    if not any(set(one.columns) == set(referenced) for one in parent_keys):
        raise context.error(
            InvalidForeignKey,
            f"columns referred to are no PRIMARY KEY or UNIQUE: {table} ({', '.join(referenced)})",
            node,
        )
    own = {one.name: one for one in made.fields}
    for name, other in zip(key.columns, referenced, strict=True):
        with context.locating(node):
            make_comparison(
                "eq",
                AttributeRef(Attribute.fresh(name, own[name].dtype)),
                AttributeRef(Attribute.fresh(other, spelled[other.lower()].dtype)),
            )
    return ForeignKey(key.columns, table, referenced, key.name)
