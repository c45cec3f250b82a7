"""ALTER TABLE and ALTER VIEW: what the table will be, said as a whole."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.catalog import Field, View
from gpuql_planner.errors import did_you_mean
from gpuql_planner.functions import coerce
from gpuql_planner.logical.expressions import Attribute, Expression
from gpuql_planner.logical.nodes import Project
from gpuql_planner.sql.bind_create_table import TableDefinition, bind_default, bind_table_constraint
from gpuql_planner.sql.bind_from import scan
from gpuql_planner.sql.change_statements import AlterTable, RenameRelation
from gpuql_planner.sql.change_target import Target, assigned, default_value
from gpuql_planner.sql.data_types import bind_type
from gpuql_planner.sql.names import joined_name, known_name
from gpuql_planner.sql.rule_text import renamed_column
from gpuql_planner.sql.scope import Scope, relation_of
from gpuql_planner.sql.statements import NoOperation, Query, Statement
from gpuql_planner.statement_errors import (
    DependentObjects,
    DuplicateColumn,
    InvalidTableDefinition,
    WrongObjectType,
    undefined,
)
from gpuql_planner.table_rules import Key, TableRules, changeable, rules_of

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder


def bind_alter(queries: QueryBinder, node: exp.Alter) -> Statement:
    """ALTER TABLE | VIEW name with one action."""
    context = queries.context
    context.reject_other(node, "this", "kind", "exists", "actions", "options", "cascade")
    kind = str(node.args.get("kind") or "").upper()
    if kind not in ("TABLE", "VIEW"):
        raise context.unsupported(f"ALTER {kind}", node)
    name = known_name(queries, node.this)
    with context.locating(node.this):
        found = context.catalog.resolve(name)
    if found is None:
        if node.args.get("exists"):
            return NoOperation()
        hint = did_you_mean(name, context.catalog.relation_names())
        raise context.error(undefined(kind), f"{kind.lower()} does not exist: {name}", node.this, hint=hint)
    actions = list(node.args.get("actions") or ())
    if len(actions) != 1 or node.args.get("options"):
        raise context.unsupported("several actions in one ALTER", node)
    action = actions[0]
    if isinstance(action, exp.AlterRename):
        if kind == "VIEW" and not isinstance(found, View):
            raise context.error(WrongObjectType, f"not a view but a table: {name}", node.this)
        schema, _, _ = found.name.rpartition(".")
        return RenameRelation(found.name, joined_name(schema or "main", action.this.name))
    if isinstance(found, View):
        raise context.error(WrongObjectType, f"not a table but a view: {name}", node.this)
    if kind == "VIEW":
        raise context.unsupported("this ALTER VIEW", node)
    if changeable(found) is None:
        raise context.unsupported(f"changes of this kind of table: {name}", node.this)
    target = Target(name, found, node.this.name, rules_of(found))
    return _Alteration(queries, target).bind(action)


class _Alteration:
    """Binds one action on one table."""

    def __init__(self, queries: QueryBinder, target: Target) -> None:
        self.queries, self.context, self.target = queries, queries.context, target
        self.fields, self.rules = target.table.fields, target.rules

    def bind(self, action: exp.Expr) -> Statement:
        """The statement."""
        match action:
            case exp.ColumnDef():
                return self._add_column(action)
            case exp.Drop() if str(action.args.get("kind")).upper() == "COLUMN":
                return self._drop_column(action)
            case exp.RenameColumn():
                return self._rename_column(action)
            case exp.AlterColumn():
                return self._alter_column(action)
            case exp.AddConstraint():
                return self._add_constraint(action)
        raise self.context.unsupported(f"ALTER TABLE with {type(action).__name__}", action)

    def _altered(
        self,
        fields: tuple[Field, ...] | None = None,
        rules: TableRules | None = None,
        kept: dict[str, str] | None = None,
        computed: tuple[str, Query] | None = None,
        keys: tuple[Key, ...] = (),
    ) -> AlterTable:
        """The statement: columns of ``fields`` keep their data under their names but for ``kept`` and ``computed``."""
        fields = self.fields if fields is None else fields
        moved = {} if kept is None else kept
        new = None if computed is None else computed[0]
        sources = tuple(
            (field.name, moved.get(field.name, field.name)) for field in fields if field.name != new
        )
        rules = self.rules if rules is None else rules
        return AlterTable(self.target.name, self.target.table, fields, rules, sources, computed, keys)

    def _field(self, node: exp.Expr) -> Field:
        return self.target.field(self.context, node.name, node)

    def _changed(self, field: Field, **changes: object) -> tuple[Field, ...]:
        return tuple(
            replace(one, **changes) if one.name == field.name else one  # type: ignore[arg-type]
            for one in self.fields
        )

    def _computed(self, field: Field, value: Expression) -> tuple[str, Query]:
        plan = scan(self.target.table)
        attribute = Attribute.fresh(field.name, field.dtype)
        return field.name, Query(Project(plan, ((attribute, value),)), (field.name,))

    # --- columns ---

    def _add_column(self, node: exp.ColumnDef) -> Statement:
        context = self.context
        if any(field.name.lower() == node.name.lower() for field in self.fields):
            if node.args.get("exists"):
                return NoOperation()
            raise context.error(DuplicateColumn, f"column exists already: {node.name}", node)
        kind = node.args.get("kind")
        if kind is None:
            raise context.unsupported("adding a column without a type", node)
        made = TableDefinition(self.queries, self.target.table.name, list(self.fields))
        field = Field(node.name, bind_type(context, kind))
        made.fields.append(field)
        unique = False
        for constraint in node.args.get("constraints") or ():
            match constraint.kind:
                case exp.DefaultColumnConstraint():
                    bind_default(made, node, constraint.kind.this)
                case exp.NotNullColumnConstraint():
                    field = replace(field, nullable=bool(constraint.kind.args.get("allow_null")))
                case exp.UniqueColumnConstraint() if constraint.kind.this is None:
                    unique = True
                case _:
                    raise context.unsupported(f"adding a column with {constraint.sql('duckdb')}", node)
        keys = (Key((field.name,)),) if unique else ()
        rules = replace(
            self.rules,
            defaults=(*self.rules.defaults, *made.defaults),
            keys=(*self.rules.keys, *keys),
        )
        value = default_value(context, replace(self.target, rules=rules), field)
        return self._altered((*self.fields, field), rules, computed=self._computed(field, value), keys=keys)

    def _drop_column(self, node: exp.Drop) -> Statement:
        context = self.context
        columns = node.args.get("tables") or [node.this]
        name = columns[0].name
        if not any(field.name.lower() == name.lower() for field in self.fields) and node.args.get("exists"):
            return NoOperation()
        field = self._field(columns[0])
        self._reject_dependents(field, columns[0], "dropped")
        fields = tuple(one for one in self.fields if one.name != field.name)
        if not {one.name for one in fields} - self.rules.generated_columns:
            raise context.error(
                InvalidTableDefinition, f"the only column cannot be dropped: {field.name}", columns[0]
            )
        rules = replace(
            self.rules,
            defaults=tuple(one for one in self.rules.defaults if one[0] != field.name),
            generated=tuple(one for one in self.rules.generated if one.column != field.name),
        )
        return self._altered(fields, rules)

    def _reject_dependents(self, field: Field, node: exp.Expr, what: str) -> None:
        """Refuse a change of a column that rules of the table are made of."""
        rules = self.rules
        dependents = [
            *(f"{key.kind} ({', '.join(key.columns)})" for key in rules.keys if field.name in key.columns),
            *(f"CHECK ({check.text})" for check in rules.checks if field.name in check.columns),
            *(f"column {one.column}" for one in rules.generated if field.name in one.columns),
            *("FOREIGN KEY" for key in rules.foreign_keys if field.name in key.columns),
        ]
        if dependents:
            raise self.context.error(
                DependentObjects, f"column cannot be {what}: {field.name} is needed by {dependents[0]}", node
            )

    def _rename_column(self, node: exp.RenameColumn) -> Statement:
        context = self.context
        context.reject_other(node, "this", "to")
        field, new = self._field(node.this), node.args["to"].name
        for one in self.fields:
            if one.name.lower() == new.lower() and one.name != field.name:
                raise context.error(DuplicateColumn, f"column exists already: {new}", node.args["to"])
        return self._altered(
            self._changed(field, name=new),
            _renamed_rules(self.rules, field.name, new),
            kept={new: field.name},
        )

    def _alter_column(self, node: exp.AlterColumn) -> Statement:
        context = self.context
        context.reject_other(node, "this", "dtype", "using", "default", "drop", "allow_null")
        field = self._field(node.this)
        generated = field.name in self.rules.generated_columns
        if generated:
            raise context.unsupported("ALTER of a generated column", node.this)
        if node.args.get("dtype") is not None:
            return self._change_type(field, node)
        if node.args.get("default") is not None:
            made = TableDefinition(self.queries, self.target.table.name, list(self.fields))
            bind_default(made, node, node.args["default"], field.name)
            kept = tuple(one for one in self.rules.defaults if one[0] != field.name)
            return self._altered(rules=replace(self.rules, defaults=(*kept, *made.defaults)))
        allow_null = node.args.get("allow_null")
        if allow_null is None:
            kept = tuple(one for one in self.rules.defaults if one[0] != field.name)
            return self._altered(rules=replace(self.rules, defaults=kept))
        primary = self.rules.primary_key
        if allow_null and primary is not None and field.name in primary.columns:
            raise context.error(
                DependentObjects, f"column is part of the primary key: {field.name}", node.this
            )
        return self._altered(self._changed(field, nullable=bool(allow_null)))

    def _change_type(self, field: Field, node: exp.AlterColumn) -> Statement:
        from gpuql_planner.sql.bind_expressions import ExpressionBinder

        context = self.context
        self._reject_dependents(field, node.this, "changed in type")
        changed = replace(field, dtype=bind_type(context, node.args["dtype"]))
        source = scan(self.target.table)
        names = [one.name for one in self.fields]
        relation = relation_of(self.target.alias, names, source.outputs)
        using = node.args.get("using") or exp.column(exp.to_identifier(field.name, quoted=True))
        bound = ExpressionBinder(context, Scope([relation]), self.queries, "USING").bind(using)
        value = assigned(context, bound, changed, node.args.get("using") or node.this)
        attribute = Attribute.fresh(field.name, changed.dtype)
        query = Query(Project(source, ((attribute, coerce(value, changed.dtype)),)), (field.name,))
        return self._altered(self._changed(field, dtype=changed.dtype), computed=(field.name, query))

    # --- constraints ---

    def _add_constraint(self, node: exp.AddConstraint) -> Statement:
        context = self.context
        made = TableDefinition(self.queries, self.target.table.name, list(self.fields))
        made.keys = list(self.rules.keys)
        for one in node.expressions:
            bind_table_constraint(made, one)
        if made.checks or made.foreign_keys:
            raise context.unsupported("adding a CHECK or FOREIGN KEY to a table", node)
        added = tuple(key for key in made.keys if key not in self.rules.keys)
        if not added:
            raise context.error(
                InvalidTableDefinition, f"table has this key already: {self.target.name}", node
            )
        fields = tuple(made.fields)
        return self._altered(fields, replace(self.rules, keys=tuple(made.keys)), keys=added)


def _renamed_rules(rules: TableRules, old: str, new: str) -> TableRules:
    """The rules after a column was renamed."""

    def rename(name: str) -> str:
        return new if name == old else name

    def all_of(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(rename(name) for name in names)

    def text_of(text: str, columns: tuple[str, ...]) -> str:
        return renamed_column(text, old, new) if old in columns else text

    return TableRules(
        tuple((rename(name), text) for name, text in rules.defaults),
        tuple(
            replace(
                one,
                column=rename(one.column),
                text=text_of(one.text, one.columns),
                columns=all_of(one.columns),
            )
            for one in rules.generated
        ),
        tuple(
            replace(one, text=text_of(one.text, one.columns), columns=all_of(one.columns))
            for one in rules.checks
        ),
        tuple(replace(key, columns=all_of(key.columns)) for key in rules.keys),
        tuple(replace(key, columns=all_of(key.columns)) for key in rules.foreign_keys),
    )
