"""The time zone of the session that a statement is bound for, and the time at which it is bound.

Binding passes through hundreds of functions that have nothing to do with time zones; the few that do ask here. What
they find becomes part of the plan, so that nothing depends on it later.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from gpuql_planner.errors import InternalError


@dataclass(frozen=True)
class _Session:
    zone: str
    now: datetime.datetime


_SESSION: ContextVar[_Session | None] = ContextVar("session", default=None)


def session_zone() -> str:
    """Name of the zone, as the database spells it. Errors: InternalError outside of :func:`binding_in_zone`."""
    return _session().zone


def statement_time() -> datetime.datetime:
    """Now, in UTC and without a zone, as constants are kept; the same throughout a statement."""
    return _session().now


def _session() -> _Session:
    session = _SESSION.get()
    if session is None:
        raise InternalError("time zone is asked for where no statement is bound")
    return session


@contextmanager
def binding_in_zone(zone: str, began: datetime.datetime | None = None) -> Iterator[None]:
    """What is bound inside is bound for a session of this zone; empty leaves it as it is.

    ``began`` is when its transaction did, in UTC and without a zone; None for one that begins now.
    """
    outer = _SESSION.get()
    if outer is not None and zone in ("", outer.zone) and began is None:
        yield
        return
    now = began or (outer.now if outer else datetime.datetime.now(datetime.UTC).replace(tzinfo=None))
    token = _SESSION.set(_Session(zone, now) if zone else None)
    try:
        yield
    finally:
        _SESSION.reset(token)
