"""Moments in UTC and local time of a zone, whole columns at a time.

Times are int64 microseconds since 1970, local ones as if they were UTC. The two extremes of DuckDB's timestamps stand
for infinity and stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from gpuql.columnar.column import Array
from gpuql_planner.statement_errors import DatetimeOutOfRange
from gpuql_planner.time_zones import CYCLE_SECONDS, load_zone
from gpuql_planner.types import INFINITE_TIMESTAMP

_SECOND = 1_000_000
_CYCLE = CYCLE_SECONDS * _SECOND
#: Times nearer to the ends of 64 bits than the largest offset.
_FARTHEST = INFINITE_TIMESTAMP - 2 * 86_400 * _SECOND


@dataclass(frozen=True)
class _Offsets:
    """Microseconds: from when each offset holds, in UTC and in local time, and the offsets."""

    starts: Array
    local_starts: Array
    offsets: Array
    repeats: bool


@lru_cache(maxsize=256)
def _offsets(name: str) -> _Offsets:
    zone = load_zone(name)
    offsets = np.array(zone.offsets, np.int64) * _SECOND
    # The first holds before as well.
    starts = np.array([-INFINITE_TIMESTAMP, *(start * _SECOND for start in zone.starts[1:])], np.int64)
    local_starts = np.concatenate((starts[:1], starts[1:] + offsets[1:]))
    return _Offsets(starts, local_starts, offsets, zone.repeats)


def _looked_up(xp: Any, values: Array, starts: Array, zone: _Offsets) -> Array:
    if len(starts) == 1:
        return xp.full(1, int(zone.offsets[0]), xp.int64)
    if zone.repeats:
        last = int(starts[-1])
        over = xp.maximum(values, last) - last
        values = xp.where(values >= last, values - (over // _CYCLE + 1) * _CYCLE, values)
    places = xp.searchsorted(xp.asarray(starts), values, side="right") - 1
    return xp.asarray(zone.offsets)[xp.maximum(places, 0)]


def offset_at(xp: Any, zone: str, moments: Array) -> Array:
    """Offset of each moment, in microseconds; of length 1 if it is the same for all."""
    found = _offsets(zone)
    return _looked_up(xp, moments, found.starts, found)


def to_local(xp: Any, zone: str, moments: Array) -> Array:
    """Local time of moments in UTC."""
    return _moved(xp, moments, offset_at(xp, zone, moments))


def to_utc(xp: Any, zone: str, local: Array) -> Array:
    """Moments of local times: the later one of two; one that clocks skip as if they had not been changed."""
    found = _offsets(zone)
    return _moved(xp, local, -_looked_up(xp, local, found.local_starts, found))


def _moved(xp: Any, values: Array, offsets: Array) -> Array:
    far = (values > _FARTHEST) | (values < -_FARTHEST)
    if not bool(far.any()):
        return values + offsets
    infinite = (values == INFINITE_TIMESTAMP) | (values == -INFINITE_TIMESTAMP)
    inside = xp.where(far, 0, values) + xp.where(far, 0, offsets)
    # Python's numbers have no end: NULL rows and infinity aside, few values are so far out.
    size = xp.abs(xp.where(far & ~infinite, values, 0).astype(xp.float64) + offsets)
    if bool((size >= 2.0**63).any()):
        raise DatetimeOutOfRange("timestamp out of range in its time zone")
    return xp.where(infinite, values, xp.where(far, values + offsets, inside))
