"""Timing several engines so that none profits from its place in the order."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def time_once(action: Callable[[], Any]) -> tuple[Any, float]:
    """Result of ``action`` and its wall time in milliseconds."""
    started = time.perf_counter_ns()
    result = action()
    return result, (time.perf_counter_ns() - started) / 1e6


def time_interleaved(actions: Mapping[str, Callable[[], Any]], runs: int) -> dict[str, list[float]]:
    """Milliseconds of ``runs`` runs of each action, taking turns; the garbage collector rests meanwhile."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(runs):
            for name, action in actions.items():
                times[name].append(time_once(action)[1])
    finally:
        if was_enabled:
            gc.enable()
    return times


def median(times: list[float]) -> float:
    """Median of times."""
    return statistics.median(times)


def geometric_mean(values: list[float]) -> float | None:
    """Geometric mean, or None of nothing."""
    return statistics.geometric_mean(values) if values else None
