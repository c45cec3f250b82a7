"""Joins of the DataFrame API: keys, kinds, and which columns come out."""

from __future__ import annotations

from collections.abc import Sequence

from gpuql.api.binding import Scope, bind
from gpuql.api.expressions import ColumnExpr, Expr
from gpuql_planner import functions
from gpuql_planner.errors import BinderError, did_you_mean
from gpuql_planner.logical.expressions import Attribute, AttributeRef
from gpuql_planner.logical.nodes import Join, JoinKind, LogicalNode, Project
from gpuql_planner.statement_errors import InvalidParameterValue, RepeatedColumn

Relation = tuple[LogicalNode, Sequence[str]]

KINDS = {
    "inner": JoinKind.INNER,
    "left": JoinKind.LEFT,
    "right": JoinKind.RIGHT,
    "full": JoinKind.FULL,
    "outer": JoinKind.FULL,
    "semi": JoinKind.SEMI,
    "anti": JoinKind.ANTI,
    "cross": JoinKind.CROSS,
}


def join_plans(
    left: Relation,
    right: Relation,
    left_keys: Sequence[Expr],
    right_keys: Sequence[Expr],
    how: str,
    suffix: str,
) -> tuple[LogicalNode, list[str]]:
    """Join two plans (which share no attribute) and name what comes out.

    Column order is that of Polars: left columns, then right ones. Plain key columns come out once, from the side
    that is never NULL-extended; a full join keeps both sides' keys.
    """
    kind = KINDS.get(how.lower())
    if kind is None:
        raise InvalidParameterValue(
            f"unknown kind of join: {how}", hint=did_you_mean(how, list(KINDS)) or ", ".join(KINDS)
        )
    if len(left_keys) != len(right_keys):
        raise BinderError(f"join keys differ in number: {len(left_keys)} left, {len(right_keys)} right")
    if bool(left_keys) == (kind is JoinKind.CROSS):
        raise BinderError(
            "a cross join takes no keys" if left_keys else "join needs keys: on, or left_on and right_on"
        )
    left_plan, left_names = left
    right_plan, right_names = right
    left_scope = Scope(tuple(left_names), left_plan.outputs)
    right_scope = Scope(tuple(right_names), right_plan.outputs)
    conditions = tuple(
        functions.make_call("eq", [bind(one, left_scope), bind(other, right_scope)])
        for one, other in zip(left_keys, right_keys, strict=True)
    )
    joined = Join(left_plan, right_plan, kind, conditions)
    if kind in (JoinKind.SEMI, JoinKind.ANTI):
        return joined, list(left_names)
    dropped = _redundant_keys(kind, left_scope, right_scope, left_keys, right_keys)
    names: list[str] = []
    kept: list[Attribute] = []
    for name, attribute in zip(left_names, left_plan.outputs, strict=True):
        if attribute not in dropped:
            names.append(name)
            kept.append(attribute)
    taken = set(names)
    for name, attribute in zip(right_names, right_plan.outputs, strict=True):
        if attribute not in dropped:
            spelled = name + suffix if name in taken else name
            if spelled in names:
                raise RepeatedColumn(
                    f"column name appears twice after the join: {spelled}", hint="choose another suffix"
                )
            names.append(spelled)
            kept.append(attribute)
    if not dropped:
        return joined, names
    return Project(joined, tuple((attribute, AttributeRef(attribute)) for attribute in kept)), names


def _redundant_keys(
    kind: JoinKind, left: Scope, right: Scope, left_keys: Sequence[Expr], right_keys: Sequence[Expr]
) -> set[Attribute]:
    """Key columns whose value is that of the other side's key."""
    if kind in (JoinKind.FULL, JoinKind.CROSS):
        return set()
    scope, keys = (left, left_keys) if kind is JoinKind.RIGHT else (right, right_keys)
    return {scope.attributes[scope.find(key.name)] for key in keys if isinstance(key, ColumnExpr)}
