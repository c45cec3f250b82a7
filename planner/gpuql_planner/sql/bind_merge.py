"""MERGE INTO: target and source are joined once; each pair takes the first WHEN clause that fits it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.catalog import Field
from gpuql_planner.errors import BinderError
from gpuql_planner.functions import (
    as_condition,
    coerce,
    make_and,
    make_case,
    make_comparison,
    make_in_list,
    make_is_null,
    make_not,
)
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Expression, Literal
from gpuql_planner.logical.nodes import Filter, LogicalNode, Project
from gpuql_planner.logical.visit import FALSE, pass_through
from gpuql_planner.sql.bind_changes import bind_assignments, bind_value
from gpuql_planner.sql.bind_from import FromItem, bind_source
from gpuql_planner.sql.bind_joins import join_items
from gpuql_planner.sql.change_statements import Action, ChangeRows, Repeated
from gpuql_planner.sql.change_target import (
    NumberedRows,
    Target,
    assigned,
    bind_returning,
    bind_target,
    default_value,
    is_default,
    numbered_rows,
    with_generated,
)
from gpuql_planner.sql.scope import Scope, ScopeColumn
from gpuql_planner.sql.statements import Query
from gpuql_planner.statement_errors import RepeatedColumn
from gpuql_planner.types import BIGINT, INTEGER, VARCHAR

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder

_ACTION_COLUMN = "merge_action"
_ACTION_NAMES = {Action.INSERT: "INSERT", Action.UPDATE: "UPDATE", Action.DELETE: "DELETE"}


@dataclass(frozen=True)
class _Clause:
    """A bound WHEN clause: values of columns by name where it gives any; None for what it does to say DO NOTHING."""

    guard: Expression
    action: Action | None
    values: dict[str, Expression]
    message: Expression | None = None


def bind_merge(queries: QueryBinder, node: exp.Merge) -> ChangeRows:
    """MERGE INTO a target with a source, a condition and WHEN clauses."""
    return _MergeBinder(queries, node).bind()


class _MergeBinder:
    """Binds one MERGE."""

    def __init__(self, queries: QueryBinder, node: exp.Merge) -> None:
        self.context = queries.context
        self.context.reject_other(node, "this", "using", "on", "using_cond", "whens", "returning", "with_")
        with_ = node.args.get("with_")
        self.queries = queries if with_ is None else queries._with_tables(node, with_)
        self.node = node
        self.target: Target = bind_target(queries, node.this)
        self.rows: NumberedRows = numbered_rows(queries, self.target, node.this)
        source = bind_source(self.queries, node.args["using"], Scope(parent=queries.parent))
        #: True in all rows of the source, so NULL where a row of the target has no match.
        self.mark = Attribute.fresh("matched", INTEGER, nullable=False)
        items = (*pass_through(source.plan.outputs), (self.mark, Literal(1, INTEGER)))
        self.source = FromItem(Project(source.plan, items), source.scope)

    def bind(self) -> ChangeRows:
        """The statement."""
        whens = list(self.node.args["whens"].expressions)
        kinds = {_kind(when) for when in whens}
        side = {(True, True): "FULL", (True, False): "RIGHT", (False, True): "LEFT", (False, False): ""}[
            "target" in kinds, "source" in kinds
        ]
        join = exp.Join(
            side=side or None,
            on=self.node.args.get("on") or None,
            using=self.node.args.get("using_cond") or None,
        )
        if not (join.args.get("on") or join.args.get("using")):
            raise self.context.error(BinderError, "MERGE without a condition: ON or USING", self.node)
        item = join_items(self.queries, self.rows.item, self.source, join)
        self.number = AttributeRef(_seen_above(self.rows.number, item))
        self.marked = AttributeRef(_seen_above(self.mark, item))
        self.scope = item.scope
        self.target_columns = {
            name: AttributeRef(_seen_above(attribute, item)) for name, attribute in self.rows.columns.items()
        }
        clauses = [self._clause(when) for when in whens]
        extra = [] if self._has_action_column() else [Field(_ACTION_COLUMN, VARCHAR)]
        returning = bind_returning(self.queries, self.target, self.node.args.get("returning"), extra)
        query, has_message = self._query(item.plan, clauses, extra if returning is not None else [])
        columns = (*self.target.table.fields, *(extra if returning is not None else ()))
        changed = {name for clause in clauses if clause.action is Action.UPDATE for name in clause.values}
        for one in self.target.rules.generated:
            if not changed.isdisjoint(one.columns):
                changed.add(one.column)
        return ChangeRows(
            "MERGE",
            self.target.name,
            self.target.table,
            query,
            columns,
            tuple(field.name for field in self.target.table.fields if field.name in changed),
            Repeated.ERROR,
            has_message=has_message,
            returning=returning,
        )

    def _has_action_column(self) -> bool:
        return any(field.name.lower() == _ACTION_COLUMN for field in self.target.table.fields)

    # --- clauses ---

    def _clause(self, when: exp.Expr) -> _Clause:
        kind = _kind(when)
        scope = self._scope_of(kind)
        there = make_not(make_is_null(self.number))
        given = make_not(make_is_null(self.marked))
        guards = {
            "both": [there, given],
            "target": [make_is_null(self.number)],
            "source": [make_is_null(self.marked)],
        }[kind]
        condition = when.args.get("condition")
        if condition is not None:
            guards.append(as_condition(self._bind(condition, scope)))
        guard = make_and(guards)
        then = when.args["then"]
        if isinstance(then, exp.Update):
            if kind == "target":
                raise self.context.error(BinderError, "UPDATE needs a row of the target", then)
            return _Clause(guard, Action.UPDATE, self._update(then, scope))
        if isinstance(then, exp.Insert):
            return _Clause(guard, Action.INSERT, self._insert(then, scope))
        word = then.name.upper()
        if word == "DELETE":
            if kind == "target":
                raise self.context.error(BinderError, "DELETE needs a row of the target", then)
            return _Clause(guard, Action.DELETE, {})
        if word == "ERROR":
            text = then.args.get("expression")
            message = None if text is None else coerce(self._bind(text, scope), VARCHAR)
            return _Clause(guard, Action.ERROR, {}, message)
        return _Clause(guard, None, {})

    def _scope_of(self, kind: str) -> Scope:
        """What a clause sees: both sides, or the one that has a row."""
        if kind == "source":
            return Scope(list(self.scope.relations[:1]), parent=self.scope.parent)
        if kind == "target":
            return Scope(list(self.scope.relations[1:]), parent=self.scope.parent)
        return self.scope

    def _bind(self, node: exp.Expr, scope: Scope) -> Expression:
        from gpuql_planner.sql.bind_expressions import ExpressionBinder

        return ExpressionBinder(self.context, scope, self.queries, "MERGE").bind(node)

    def _source_columns(self) -> list[ScopeColumn]:
        return [column for relation in self.scope.relations[1:] for column in relation.columns]

    def _update(self, then: exp.Update, scope: Scope) -> dict[str, Expression]:
        if then.expressions:
            assignments = bind_assignments(self.queries, self.target, then.expressions)
            return {one.field.name: bind_value(self.queries, self.target, scope, one) for one in assignments}
        return self._from_source(then, by_name=bool(then.meta.get("by_name")))

    def _insert(self, then: exp.Insert, scope: Scope) -> dict[str, Expression]:
        context, target = self.context, self.target
        values: dict[str, Expression] = {}
        columns, cells = then.this, then.args.get("expression")
        if then.meta.get("defaults"):
            pass
        elif cells is not None or isinstance(columns, exp.Tuple):
            fields = (
                [target.given_field(context, one.name, one) for one in columns.expressions]
                if isinstance(columns, exp.Tuple)
                else target.given_fields
            )
            nodes = [] if cells is None else list(cells.expressions)
            if cells is None:
                values = self._from_source(then, by_name=False, fields=fields)
            elif len(nodes) != len(fields):
                raise context.error(
                    BinderError, f"number of values and columns differ: {len(nodes)} and {len(fields)}", cells
                )
            for field, cell in zip(fields, nodes, strict=bool(nodes)) if nodes else ():
                if field.name in values:
                    raise context.error(RepeatedColumn, f"column given twice: {field.name}", then)
                values[field.name] = (
                    default_value(context, target, field)
                    if is_default(cell)
                    else assigned(context, self._bind(cell, scope), field, cell)
                )
        else:
            values = self._from_source(then, by_name=bool(then.meta.get("by_name")))
        for field in target.given_fields:
            if field.name not in values:
                values[field.name] = default_value(context, target, field)
        return values

    def _from_source(
        self, node: exp.Expr, *, by_name: bool, fields: Sequence[Field] | None = None
    ) -> dict[str, Expression]:
        """Values of all columns of the source, by their names or their places."""
        context, columns = self.context, self._source_columns()
        if by_name:
            fields = [self.target.given_field(context, column.name, node) for column in columns]
        elif fields is None:
            fields = self.target.given_fields
        if len(fields) != len(columns):
            raise context.error(
                BinderError,
                f"number of values and columns differ: {len(columns)} and {len(fields)} "
                f"(table {self.target.table.name})",
                node,
            )
        return {
            field.name: assigned(context, AttributeRef(column.attribute), field, node)
            for field, column in zip(fields, columns, strict=True)
        }

    # --- the query ---

    def _query(
        self, plan: LogicalNode, clauses: Sequence[_Clause], extra: Sequence[Field]
    ) -> tuple[Query, bool]:
        """Number, action and values of all pairs that a clause does something to."""
        chosen = Attribute.fresh("clause", INTEGER)
        numbers = [Literal(index, INTEGER) for index in range(len(clauses))]
        which = make_case([(one.guard, number) for one, number in zip(clauses, numbers, strict=True)])
        plan = Project(plan, (*pass_through(plan.outputs), (chosen, coerce(which, INTEGER))))
        acting = [number for one, number in zip(clauses, numbers, strict=True) if one.action is not None]
        clause = AttributeRef(chosen)
        keep = make_in_list(clause, acting) if acting else FALSE
        plan = Filter(plan, (keep,))

        def by_clause(values: Sequence[Expression | None], otherwise: Expression) -> Expression:
            branches = [
                (make_comparison("eq", clause, number), value)
                for number, value in zip(numbers, values, strict=True)
                if value is not None and value != otherwise
            ]
            return make_case(branches, otherwise) if branches else otherwise

        number = Attribute.fresh("number", BIGINT)
        inserted = [Literal(None, BIGINT) if one.action is Action.INSERT else None for one in clauses]
        action = Attribute.fresh("action", INTEGER)
        actions = [None if one.action is None else Literal(int(one.action), INTEGER) for one in clauses]
        items: list[tuple[Attribute, Expression]] = [
            (number, coerce(by_clause(inserted, self.number), BIGINT)),
            (action, coerce(by_clause(actions, Literal(None, INTEGER)), INTEGER)),
        ]
        values: dict[str, Attribute] = {}
        for field in self.target.given_fields:
            attribute = Attribute.fresh(field.name, field.dtype)
            given = [one.values.get(field.name) for one in clauses]
            items.append((attribute, coerce(by_clause(given, self.target_columns[field.name]), field.dtype)))
            values[field.name] = attribute
        shown: list[Attribute] = []
        for column in extra:
            spelled = [
                None if one.action not in _ACTION_NAMES else Literal(_ACTION_NAMES[one.action], VARCHAR)
                for one in clauses
            ]
            attribute = Attribute.fresh(column.name, column.dtype)
            items.append((attribute, coerce(by_clause(spelled, Literal(None, VARCHAR)), VARCHAR)))
            shown.append(attribute)
        has_message = any(one.message is not None for one in clauses)
        if has_message:
            message = Attribute.fresh("message", VARCHAR)
            texts = [one.message for one in clauses]
            items.append((message, coerce(by_clause(texts, Literal(None, VARCHAR)), VARCHAR)))
            shown.append(message)
        plan = Project(plan, tuple(items))
        plan, values = with_generated(self.context, self.target, plan, values)
        outputs = [number, action, *(values[field.name] for field in self.target.table.fields), *shown]
        names = ("number", "action", *(one.name for one in outputs[2:]))
        return Query(Project(plan, pass_through(outputs)), names), has_message


def _kind(when: exp.Expr) -> str:
    """Which rows a clause is for: "both", or those that only the source has ("target" is missing), or the target."""
    if when.args.get("matched"):
        return "both"
    return "source" if when.args.get("source") else "target"


def _seen_above(attribute: Attribute, item: FromItem) -> Attribute:
    """The attribute as it is above an outer join, where it may be NULL."""
    return Attribute(attribute.id, attribute.name, attribute.dtype, nullable=True)
