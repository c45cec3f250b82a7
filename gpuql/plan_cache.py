"""Bound statements by their text, or their shape, so that a repeated statement is neither parsed nor planned again.

An entry is right as long as every name that its binding looked up still means the same object: tables are immutable
(a changed table is another object), so comparing identities is enough.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from gpuql_planner.catalog import Catalog, PlanRunner, Table, View

Entry = TypeVar("Entry")
Relation = Table | View | None
#: A question to the catalog, and what it answered.
Dependency = tuple[Callable[[Catalog], Relation | Mapping[str, Any]], Relation | Mapping[str, Any]]
Parameters = Sequence[object] | Mapping[str, object] | None


class RecordingCatalog:
    """Passes questions on to a catalog and remembers them with their answers."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._resolved: dict[str, Relation] = {}
        self._functions: list[Dependency] = []
        self._definitions: dict[str, Mapping[str, Any]] = {}

    def resolve(self, name: str) -> Relation:
        """As the catalog; the same name gets the same answer throughout one statement."""
        if name not in self._resolved:
            self._resolved[name] = self._catalog.resolve(name)
        return self._resolved[name]

    def table_function(
        self, name: str, arguments: Sequence[object], named: dict[str, object]
    ) -> Table | None:
        """As the catalog."""
        table = self._catalog.table_function(name, arguments, named)
        self._functions.append((lambda catalog: catalog.table_function(name, arguments, named), table))
        return table

    def rows_of(self, plan: Any, names: tuple[str, ...]) -> Sequence[Sequence[object]]:
        """As the catalog: rows of tables that are remembered already, and that never change."""
        assert isinstance(self._catalog, PlanRunner), (
            "statements of a connection are bound in its own catalog"
        )
        return self._catalog.rows_of(plan, names)

    def relation_names(self) -> list[str]:
        """As the catalog."""
        return self._catalog.relation_names()

    def definitions(self, kind: str) -> Mapping[str, Any]:
        """As the catalog; the same kind gets the same answer throughout one statement."""
        if kind not in self._definitions:
            self._definitions[kind] = self._catalog.definitions(kind)
        return self._definitions[kind]

    def search_path(self) -> tuple[str, ...]:
        """As the catalog. Not noted: plans are kept by search path."""
        return self._catalog.search_path()

    @property
    def dependencies(self) -> tuple[Dependency, ...]:
        """What was asked and answered so far."""
        names = ((partial(_resolve, name), answer) for name, answer in self._resolved.items())
        kinds = ((partial(_definitions, kind), answer) for kind, answer in self._definitions.items())
        return (*names, *self._functions, *kinds)


def _resolve(name: str, catalog: Catalog) -> Relation:
    return catalog.resolve(name)


def _definitions(kind: str, catalog: Catalog) -> Mapping[str, Any]:
    return catalog.definitions(kind)


@dataclass(frozen=True)
class _Cached(Generic[Entry]):
    entry: Entry
    dependencies: tuple[Dependency, ...]


class PlanCache(Generic[Entry]):
    """Least recently used keys are dropped beyond ``capacity``. Thread-safe.

    Parameters
    ----------
    capacity : keys kept.
    variants : entries kept per key, the latest ones; :meth:`get` chooses among them.
    """

    def __init__(self, capacity: int, variants: int = 1) -> None:
        self._capacity = capacity
        self._variants = variants
        self._entries: OrderedDict[Hashable, tuple[_Cached[Entry], ...]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def get(
        self, key: Hashable, catalog: Catalog, accepts: Callable[[Entry], bool] | None = None
    ) -> tuple[Entry, tuple[Dependency, ...]] | None:
        """An entry of ``key`` that is accepted, with what it depends on, if that is unchanged in ``catalog``."""
        with self._lock:
            variants = self._entries.get(key, ())
            if variants:
                self._entries.move_to_end(key)
        for cached in variants:
            if accepts is not None and not accepts(cached.entry):
                continue
            for ask, answer in cached.dependencies:
                current = ask(catalog)
                if current is not answer and not (isinstance(current, View) and current == answer):
                    self._remove(key, cached)
                    break
            else:
                return cached.entry, cached.dependencies
        return None

    def put(self, key: Hashable, entry: Entry, dependencies: tuple[Dependency, ...]) -> None:
        """Keep ``entry``."""
        with self._lock:
            others = self._entries.get(key, ())[: self._variants - 1]
            self._entries[key] = (_Cached(entry, dependencies), *others)
            self._entries.move_to_end(key)
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)

    def forget(self, relation_name: str) -> None:
        """Drop what was bound to a relation of this name, and so let go of its data."""
        folded = relation_name.lower()
        with self._lock:
            for key, variants in list(self._entries.items()):
                self._keep(key, tuple(cached for cached in variants if not _names(cached, folded)))

    def clear(self) -> None:
        """Forget everything, and so let go of the tables that plans hold."""
        with self._lock:
            self._entries.clear()

    def _remove(self, key: Hashable, stale: _Cached[Entry]) -> None:
        with self._lock:
            self._keep(key, tuple(cached for cached in self._entries.get(key, ()) if cached is not stale))

    def _keep(self, key: Hashable, variants: tuple[_Cached[Entry], ...]) -> None:
        if variants:
            self._entries[key] = variants
        else:
            self._entries.pop(key, None)


def _names(cached: _Cached[Entry], folded: str) -> bool:
    return any(
        answer is not None and not isinstance(answer, Mapping) and answer.name.lower() == folded
        for _, answer in cached.dependencies
    )


@dataclass(frozen=True)
class PlanCacheCounts:
    """How often a connection was asked for a query, by what it took to answer.

    ``repeated``: the same text and parameters were known. ``reused``: a plan made for other constants fitted.
    ``planned``: the query was parsed, bound and planned.
    """

    repeated: int = 0
    reused: int = 0
    planned: int = 0


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
