"""Rewrites a logical plan into an equal, cheaper one: an ordered tuple of rules, one file each.

In: a bound plan. Out: a plan without subquery expressions and dependent joins, for ``physical.lower``.
"""

from __future__ import annotations

from collections.abc import Callable

from gpuql_planner.logical.nodes import LogicalNode
from gpuql_planner.logical.verify import verify as verify_plan
from gpuql_planner.logical.visit import with_outputs
from gpuql_planner.optimizer.aggregate_before_join import aggregate_before_join
from gpuql_planner.optimizer.comparable import refuse_uncomparable
from gpuql_planner.optimizer.count_rows import count_rows
from gpuql_planner.optimizer.fold_constants import fold_constants
from gpuql_planner.optimizer.join_order import order_joins
from gpuql_planner.optimizer.limit_windows import limit_windows
from gpuql_planner.optimizer.prune_columns import prune_columns
from gpuql_planner.optimizer.push_filters import push_filters
from gpuql_planner.optimizer.push_limits import push_limits
from gpuql_planner.optimizer.reduce_group_keys import reduce_group_keys
from gpuql_planner.optimizer.reduce_inputs import reduce_inputs
from gpuql_planner.optimizer.share_subplans import inline_single_uses, share_subplans
from gpuql_planner.optimizer.split_distinct import split_distinct
from gpuql_planner.optimizer.unnest_subqueries import unnest_subqueries

Rule = Callable[[LogicalNode], LogicalNode]

#: Called with the name of a rule, the plan before it and the plan after it.
Trace = Callable[[str, LogicalNode, LogicalNode], None]

#: All rules in the order in which they run.
RULES: tuple[Rule, ...] = (
    fold_constants,
    unnest_subqueries,
    inline_single_uses,
    push_filters,
    prune_columns,
    order_joins,
    aggregate_before_join,
    reduce_inputs,
    reduce_group_keys,
    split_distinct,
    count_rows,
    push_limits,
    limit_windows,
    share_subplans,
    prune_columns,
)

#: What execution cannot do without: the rules of the unoptimised mode.
NECESSARY_RULES: tuple[Rule, ...] = (unnest_subqueries,)


def optimize(
    plan: LogicalNode, *, trace: Trace | None = None, verify: bool = False, enabled: bool = True
) -> LogicalNode:
    """An equal plan that is ready to be lowered.

    Parameters
    ----------
    plan : as bound.
    trace : told of every rule that ran.
    verify : check the plan's invariants before the first rule and after each one.
    enabled : False runs only :data:`NECESSARY_RULES`, so that tests can compare results with and without the rest.

    Returns
    -------
    LogicalNode
        Same outputs in the same order.

    Raises
    ------
    NotSupportedError
        The plan compares values that have no order here.
    """
    if verify:
        verify_plan(plan)
    unnested = False
    for rule in RULES if enabled else NECESSARY_RULES:
        before, plan = plan, with_outputs(rule(plan), plan.outputs)
        unnested = unnested or rule is unnest_subqueries
        if verify:
            verify_plan(plan, unnested=unnested)
        if trace is not None:
            trace(rule.__name__, before, plan)
    refuse_uncomparable(plan)
    return plan
