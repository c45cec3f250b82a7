"""Window calls by the order of rows that they need: calls that one sort serves are computed together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gpuql_planner.logical.expressions import Attribute, Expression, SortKey
from gpuql_planner.logical.window_calls import FrameUnit, WindowCall

Call = tuple[Attribute, WindowCall]

#: Functions whose value does not depend on the order of rows that are equal in all order keys.
_BLIND_TO_TIES = frozenset(
    (
        *("rank", "dense_rank", "percent_rank", "cume_dist"),
        *("count", "count_star", "count_if", "sum", "avg", "min", "max", "bool_and", "bool_or"),
        *("bit_and", "bit_or", "bit_xor", "stddev_samp", "stddev_pop", "var_samp", "var_pop", "product"),
        *("median", "quantile_cont", "quantile_disc"),
    )
)


@dataclass
class WindowStep:
    """Calls computed from rows in the order of ``keys``."""

    keys: tuple[SortKey, ...]
    calls: list[Call] = field(default_factory=list)


def window_steps(calls: Iterable[Call]) -> list[WindowStep]:
    """Steps in the order in which they run: what depends on the order of the input comes first.

    Each step sorts its rows stably, so that a step without keys must see them before any other sorted them.
    """
    steps: list[WindowStep] = []
    for call in sorted(calls, key=lambda item: -len(_own_keys(item[1]))):
        step = next((step for step in steps if _serves(step, call[1])), None)
        if step is None:
            step = WindowStep(_own_keys(call[1]))
            steps.append(step)
        step.calls.append(call)
    return sorted(steps, key=lambda step: len(step.keys))


def _own_keys(call: WindowCall) -> tuple[SortKey, ...]:
    """Partition keys, then order keys that these do not settle."""
    keys = {expression: SortKey(expression) for expression in call.partition_by}
    for key in call.order_by:
        keys.setdefault(key.expression, key)
    return tuple(keys.values())


def _serves(step: WindowStep, call: WindowCall) -> bool:
    """Whether the rows of a step are in an order that a call can be computed from."""
    partition = set(call.partition_by)
    if {key.expression for key in step.keys[: len(partition)]} != partition:
        return False
    order = _own_keys(call)[len(partition) :]
    rest = step.keys[len(partition) :]
    if rest == order:
        return True
    blind = (
        call.function in _BLIND_TO_TIES and call.frame.unit is not FrameUnit.ROWS and not call.argument_order
    )
    return blind and rest[: len(order)] == order and not _has_offsets(call)


def _has_offsets(call: WindowCall) -> bool:
    """Whether bounds may differ among rows that are equal in all order keys."""
    bounds: tuple[Expression | None, ...] = (call.frame.start.value, call.frame.end.value)
    return any(bound is not None for bound in bounds)
