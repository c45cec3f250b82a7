"""Bound statements by their text, so that a repeated statement is neither parsed nor planned again.

An entry is right as long as every name that its binding looked up still means the same object: tables are immutable
(a changed table is another object), so comparing identities is enough.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gpuql_planner.catalog import Catalog, Table, View

Entry = TypeVar("Entry")
Dependencies = tuple[tuple[str, "Table | View | None"], ...]
Parameters = Sequence[object] | Mapping[str, object] | None


class RecordingCatalog:
    """Passes questions on to a catalog and remembers them with their answers."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._resolved: dict[str, Table | View | None] = {}
        self._cacheable = True

    def resolve(self, name: str) -> Table | View | None:
        """As the catalog; the same name gets the same answer throughout one statement."""
        if name not in self._resolved:
            self._resolved[name] = self._catalog.resolve(name)
        return self._resolved[name]

    def table_function(
        self, name: str, arguments: Sequence[object], named: dict[str, object]
    ) -> Table | None:
        """As the catalog. A statement that calls one is not cached: the files must be looked at anew."""
        self._cacheable = False
        return self._catalog.table_function(name, arguments, named)

    def relation_names(self) -> list[str]:
        """As the catalog."""
        return self._catalog.relation_names()

    @property
    def dependencies(self) -> Dependencies | None:
        """Names looked up and what they meant; None if the binding must not be used again."""
        return tuple(self._resolved.items()) if self._cacheable else None


@dataclass(frozen=True)
class _Cached(Generic[Entry]):
    entry: Entry
    dependencies: Dependencies


class PlanCache(Generic[Entry]):
    """Least recently used entries are dropped beyond ``capacity``. Thread-safe."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[Hashable, _Cached[Entry]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable, catalog: Catalog) -> Entry | None:
        """The entry of ``key`` if all that it depends on is unchanged in ``catalog``."""
        with self._lock:
            cached = self._entries.get(key)
            if cached is None:
                return None
            self._entries.move_to_end(key)
        for name, meaning in cached.dependencies:
            current = catalog.resolve(name)
            if current is not meaning and not (isinstance(current, View) and current == meaning):
                with self._lock:
                    self._entries.pop(key, None)
                return None
        return cached.entry

    def put(self, key: Hashable, entry: Entry, dependencies: Dependencies) -> None:
        """Keep ``entry``."""
        with self._lock:
            self._entries[key] = _Cached(entry, dependencies)
            self._entries.move_to_end(key)
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget everything, and so let go of the tables that plans hold."""
        with self._lock:
            self._entries.clear()


def cache_key(text: str, parameters: Parameters, *others: Hashable) -> Hashable | None:
    """Key of a statement; None if a parameter cannot be part of one. Values of different types are different keys."""
    if not parameters:
        return (text, None, *others)
    if isinstance(parameters, Mapping):
        parts: tuple[object, ...] = tuple((name, _part(value)) for name, value in parameters.items())
    else:
        parts = tuple(_part(value) for value in parameters)
    key = (text, parts, *others)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _part(value: object) -> tuple[type, object]:
    # repr tells -0.0 from 0.0 and finds NaN equal to itself.
    return type(value), repr(value) if isinstance(value, float) else value
