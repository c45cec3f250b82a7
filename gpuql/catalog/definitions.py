"""A session's definitions: macros, types, sequences, schemas, prepared statements, variables, comments."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType

from gpuql_planner.definitions import KINDS, MAIN_SCHEMA, Definition
from gpuql_planner.errors import did_you_mean
from gpuql_planner.statement_errors import duplicate, undefined

_NONE: Mapping[str, Definition] = MappingProxyType({})


class Definitions:
    """Definitions by kind and name. Thread-safe.

    What :meth:`of` gives never changes: a change puts another mapping in its place, so that plans can tell by identity
    whether what they were bound to still holds. :attr:`state` may be kept, and put back to undo changes.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.state: Mapping[str, Mapping[str, Definition]] = MappingProxyType(dict.fromkeys(KINDS, _NONE))

    def of(self, kind: str) -> Mapping[str, Definition]:
        """All definitions of a kind by folded name."""
        return self.state[kind]

    def define(
        self,
        kind: str,
        name: str,
        definition: Definition,
        *,
        or_replace: bool = False,
        if_not_exists: bool = False,
    ) -> bool:
        """Put a definition under a name; False if there is one and it may stay. Errors: CatalogError if it may not."""
        with self._lock:
            known = self.state[kind]
            if name.lower() in known:
                if if_not_exists:
                    return False
                if not or_replace:
                    hint = None if kind == "schema" else f"use CREATE OR REPLACE {kind.split()[-1].upper()}"
                    raise duplicate(kind)(f"{kind} exists already: {name}", hint=hint)
            self._put(kind, {**known, name.lower(): definition})
            return True

    def remove(self, kind: str, name: str | None, *, if_exists: bool = False) -> bool:
        """Take a definition away, or all of a kind; False if there is none and that is allowed."""
        with self._lock:
            known = self.state[kind]
            if name is None:
                self._put(kind, {})
                return bool(known)
            if name.lower() not in known:
                if if_exists:
                    return False
                hint = did_you_mean(name, [one.name for one in known.values()])
                raise undefined(kind)(f"{kind} does not exist: {name}", hint=hint)
            self._put(kind, {key: one for key, one in known.items() if key != name.lower()})
            return True

    def copy(self) -> Definitions:
        """The same definitions, to be changed apart."""
        other = Definitions()
        other.state = self.state
        return other

    def adopt(self, changes: Mapping[str, Mapping[str, Definition]]) -> None:
        """Put other definitions in the place of all those of some kinds."""
        with self._lock:
            self.state = MappingProxyType({**self.state, **changes})

    def in_schema(self, schema: str) -> list[tuple[str, str]]:
        """Kind and name of what lies in a schema other than main."""
        prefix = f"{schema.lower()}."
        return [
            (kind, one.name)
            for kind in ("macro", "table macro", "type", "sequence")
            for key, one in self.state[kind].items()
            if key.startswith(prefix) and schema.lower() != MAIN_SCHEMA
        ]

    def _put(self, kind: str, definitions: Mapping[str, Definition]) -> None:
        self.state = MappingProxyType({**self.state, kind: MappingProxyType(dict(definitions))})
