"""Joins of every kind, with ON, USING and NATURAL."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.errors import BinderError, did_you_mean
from gpuql_planner.functions import as_condition, make_call, make_comparison, split_conjuncts
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Expression
from gpuql_planner.logical.nodes import DependentJoin, Filter, Join, JoinKind, LogicalNode, Project, Unnest
from gpuql_planner.logical.visit import TRUE
from gpuql_planner.sql.asof_joins import asof_join, positional_join
from gpuql_planner.sql.bind_from import FromItem, bind_source
from gpuql_planner.sql.bind_values import ONE_ROW
from gpuql_planner.sql.scope import Relation, Scope
from gpuql_planner.statement_errors import UndefinedColumn

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder

_SIDES = {"LEFT": JoinKind.LEFT, "RIGHT": JoinKind.RIGHT, "FULL": JoinKind.FULL}


def bind_join(queries: QueryBinder, left: FromItem, node: exp.Join) -> FromItem:
    """``left`` joined with one more source."""
    context = queries.context
    context.reject_other(node, "this", "method", "side", "kind", "on", "using")
    kind = _kind(queries, node)
    seen_by_lateral = Scope(
        list(left.scope.relations), parent=left.scope.parent, merged=dict(left.scope.merged)
    )
    right = bind_source(queries, node.this, seen_by_lateral)
    if right.lateral and kind not in (JoinKind.INNER, JoinKind.CROSS, JoinKind.LEFT):
        raise context.unsupported(f"LATERAL on the right of a {kind.value} join", node)
    return _Joiner(queries, left, right, kind, node).bind()


def _kind(queries: QueryBinder, node: exp.Join) -> JoinKind:
    method = str(node.args.get("method") or "").upper()
    if method not in ("", "NATURAL", "HASH", "MERGE", "ASOF", "POSITIONAL"):
        raise queries.context.unsupported(f"{method} JOIN", node)
    side = str(node.args.get("side") or "").upper()
    word = str(node.args.get("kind") or "").upper()
    if word in ("SEMI", "ANTI"):
        return JoinKind.SEMI if word == "SEMI" else JoinKind.ANTI
    if side in _SIDES:
        return _SIDES[side]
    if word == "OUTER":
        return JoinKind.FULL
    if word not in ("", "INNER", "CROSS"):
        raise queries.context.unsupported(f"{word} JOIN", node)
    conditioned = node.args.get("on") is not None or node.args.get("using") or method == "NATURAL"
    if word == "INNER" and not conditioned:
        raise queries.context.error(BinderError, "join without a condition", node, hint="add ON or USING")
    if word == "CROSS" and conditioned:
        raise queries.context.error(BinderError, "a CROSS JOIN takes no condition", node.this)
    return JoinKind.INNER if conditioned else JoinKind.CROSS


def join_items(queries: QueryBinder, left: FromItem, right: FromItem, node: exp.Join) -> FromItem:
    """``left`` joined with a source that is bound already."""
    return _Joiner(queries, left, right, _kind(queries, node), node).bind()


class _Joiner:
    """One join in the making."""

    def __init__(
        self, queries: QueryBinder, left: FromItem, right: FromItem, kind: JoinKind, node: exp.Join
    ) -> None:
        self.queries, self.context = queries, queries.context
        self.left, self.right, self.kind, self.node = left, right, kind, node
        self.method = str(node.args.get("method") or "").upper()

    def bind(self) -> FromItem:
        """Plan and scope of the join."""
        names = self._using_names()
        conditions: list[Expression] = []
        pairs: list[tuple[str, Attribute, Attribute]] = []
        for name in names:
            left, right = self._using_side(self.left, name), self._using_side(self.right, name)
            pairs.append((name, left, right))
            nearest = self.method == "ASOF" and name is names[-1]
            with self.context.locating(self.node):
                comparison = "ge" if nearest else "eq"
                conditions.append(make_comparison(comparison, AttributeRef(left), AttributeRef(right)))
        scope = self._scope(pairs)
        if self.node.args.get("on") is not None:
            conditions.extend(self._on_conditions())
        elif not names and self.kind not in (JoinKind.CROSS, JoinKind.INNER):
            raise self.context.error(
                BinderError, f"{self.kind.value} join without a condition", self.node, hint="add ON or USING"
            )
        plan = self._plan(tuple(conditions))
        if self.kind is JoinKind.FULL and pairs:
            plan = self._merge_full(plan, scope, pairs)
        return FromItem(plan, scope)

    def _plan(self, conditions: tuple[Expression, ...]) -> LogicalNode:
        if self.method in ("ASOF", "POSITIONAL"):
            if self.right.lateral:
                raise self.context.unsupported(f"LATERAL on the right of a {self.method} join", self.node)
            if self.method == "POSITIONAL":
                if conditions:
                    raise self.context.error(BinderError, "POSITIONAL join takes no condition", self.node)
                return positional_join(self.left.plan, self.right.plan)
            return asof_join(self.context, self.node, self.left.plan, self.right.plan, self.kind, conditions)
        unnested = self._unnested(conditions)
        if unnested is not None:
            return unnested
        node = DependentJoin if self.right.lateral else Join
        return node(self.left.plan, self.right.plan, self.kind, conditions)

    def _unnested(self, conditions: tuple[Expression, ...]) -> LogicalNode | None:
        """Rows of the left with the elements of their own lists; None if the right side is no UNNEST of them."""
        right = self.right.plan
        if not (self.right.lateral and isinstance(right, Unnest) and right.input == ONE_ROW):
            return None
        if self.kind is JoinKind.LEFT and all(condition == TRUE for condition in conditions):
            return replace(right, input=self.left.plan, keep_empty=True)
        if self.kind not in (JoinKind.INNER, JoinKind.CROSS):
            return None
        plan: LogicalNode = replace(right, input=self.left.plan)
        return Filter(plan, conditions) if conditions else plan

    def _on_conditions(self) -> tuple[Expression, ...]:
        from gpuql_planner.sql.bind_expressions import ExpressionBinder

        # The condition sees both sides as they are, not yet filled with NULLs, and also the right side of a semi join.
        visible = Scope(
            [*self.left.scope.relations, *self.right.scope.relations],
            parent=self.left.scope.parent,
            merged=dict(self.left.scope.merged),
        )
        binder = ExpressionBinder(self.context, visible, self.queries, "JOIN conditions")
        condition = as_condition(binder.bind(self.node.args["on"]))
        return split_conjuncts(condition)

    def _using_names(self) -> list[str]:
        using = self.node.args.get("using")
        if using:
            return [str(identifier.name) for identifier in using]
        if str(self.node.args.get("method") or "").upper() != "NATURAL":
            return []
        right = {name.lower() for name in _visible_names(self.right.scope)}
        names = list(dict.fromkeys(n for n in _visible_names(self.left.scope) if n.lower() in right))
        if not names:
            raise self.context.error(
                UndefinedColumn, "natural join of tables with no column name in common", self.node
            )
        return names

    def _using_side(self, item: FromItem, name: str) -> Attribute:
        with self.context.locating(self.node):
            attribute = item.scope.find_local(name, None)
        if attribute is None:
            known = item.scope.column_names()
            raise self.context.error(
                UndefinedColumn,
                f"column of USING not found on both sides: {name}",
                self.node,
                hint=did_you_mean(name, known),
            )
        return attribute

    def _scope(self, pairs: list[tuple[str, Attribute, Attribute]]) -> Scope:
        left, right = self.left.scope, self.right.scope
        if self.kind in (JoinKind.SEMI, JoinKind.ANTI):
            merged = {name.lower(): attribute for name, attribute, _ in pairs}
            return replace(left, merged={**left.merged, **merged})
        hidden = frozenset(name.lower() for name, _, _ in pairs)
        scope = Scope(parent=left.parent)
        positional = self.method == "POSITIONAL"
        left_nullable = positional or self.kind in (JoinKind.RIGHT, JoinKind.FULL)
        right_nullable = positional or self.kind in (JoinKind.LEFT, JoinKind.FULL)
        with self.context.locating(self.node):
            for relation in left.relations:
                scope.add(relation.as_nullable() if left_nullable else relation)
            for relation in right.relations:
                kept = Relation(relation.name, relation.columns, relation.hidden | hidden)
                scope.add(kept.as_nullable() if right_nullable else kept)
        scope.merged = {**right.merged, **left.merged}
        scope.replaced = {**left.replaced, **right.replaced}
        for name, left_attribute, right_attribute in pairs:
            if self.kind is JoinKind.RIGHT:
                scope.merged[name.lower()] = right_attribute
                scope.replaced[left_attribute] = right_attribute
            else:
                scope.merged[name.lower()] = left_attribute
        return scope

    def _merge_full(
        self, plan: LogicalNode, scope: Scope, pairs: list[tuple[str, Attribute, Attribute]]
    ) -> LogicalNode:
        """A FULL join's USING column is whichever side is there."""
        items: list[tuple[Attribute, Expression]] = [(a, AttributeRef(a)) for a in plan.outputs]
        for name, left, right in pairs:
            value = make_call("coalesce", (AttributeRef(left), AttributeRef(right)))
            merged = Attribute.fresh(name, value.dtype)
            items.append((merged, value))
            scope.merged[name.lower()] = merged
            scope.replaced[left] = merged
        return Project(plan, tuple(items))


def _visible_names(scope: Scope) -> list[str]:
    return [
        column.name
        for relation in scope.relations
        for column in relation.columns
        if column.name.lower() not in relation.hidden
    ]
