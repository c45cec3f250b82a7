"""Transactions over the names of a catalog: snapshot isolation, optimistic, the first to commit wins.

As tables are immutable, a snapshot is a copy of a dictionary. A transaction changes its own copy; to commit is to put
what it changed into the dictionary that all see, unless somebody else changed the same names since it began.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field

from gpuql.catalog.definitions import Definitions
from gpuql.columnar.table import ReadableTable, ResidentTable
from gpuql_planner.catalog import View
from gpuql_planner.definitions import Definition
from gpuql_planner.errors import TransactionError

Relation = ReadableTable | View
Relations = MutableMapping[str, Relation]


@dataclass(eq=False)
class Transaction:
    """Names as they were when it began, and as they are for it; names are folded.

    ``appended`` holds rows that were put behind those of a table and nothing else, so that they may as well be put
    behind rows that others appended meanwhile. ``relied_on`` are names that must not have changed either.
    """

    before: dict[str, Relation]
    now: dict[str, Relation]
    definitions_before: Mapping[str, Mapping[str, Definition]]
    definitions: Definitions
    read_only: bool = False
    is_aborted: bool = False
    appended: dict[str, tuple[Relation, list[ResidentTable]]] = field(default_factory=dict)
    relied_on: set[str] = field(default_factory=set)
    #: In UTC, without a zone: what now() is within it.
    started_at: datetime.datetime = field(
        default_factory=lambda: datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    )

    def note_appended(self, name: str, version: ResidentTable, rows: ResidentTable) -> None:
        """Say that ``rows`` were appended, which made ``version``."""
        known = self.appended.get(name)
        is_first = known is None and self.now.get(name) is self.before.get(name)
        if is_first:
            self.appended[name] = version, [rows]
        elif known is not None and known[0] is self.now.get(name):
            self.appended[name] = version, [*known[1], rows]

    def commit(self, committed: Relations, definitions: Definitions) -> set[str]:
        """Put what changed into ``committed``; its names. Errors: TransactionError, and then nothing is changed."""
        changes: dict[str, Relation | None] = {}
        for name in self.before.keys() | self.now.keys():
            mine = self.now.get(name)
            if mine is self.before.get(name):
                continue
            if committed.get(name) is not self.before.get(name):
                mine = self._merged(name, committed.get(name))
                if mine is None:
                    raise _conflict(name)
            changes[name] = mine
        for name in self.relied_on - changes.keys():
            if committed.get(name) is not self.before.get(name):
                raise _conflict(name)
        kinds = self._changed_definitions(definitions)
        definitions.adopt(kinds)
        for name, relation in changes.items():
            if relation is None:
                committed.pop(name, None)
            else:
                committed[name] = relation
        return set(changes)

    def _changed_definitions(self, committed: Definitions) -> dict[str, Mapping[str, Definition]]:
        """All definitions of the kinds that were changed. Errors: TransactionError if others changed them too."""
        changed = {
            kind: mine
            for kind, mine in self.definitions.state.items()
            if mine is not self.definitions_before[kind]
        }
        for kind in changed:
            if committed.state[kind] is not self.definitions_before[kind]:
                raise _conflict(f"definitions of kind {kind}")
        return changed

    def _merged(self, name: str, theirs: Relation | None) -> Relation | None:
        """Their table with our rows behind its own; None if more than that was done, or keys may clash."""
        ours, rows = self.appended.get(name, (None, []))
        before = self.before.get(name)
        if ours is None or ours is not self.now.get(name):
            return None
        if not isinstance(theirs, ResidentTable) or not isinstance(before, ResidentTable):
            return None
        if theirs.fields != before.fields or theirs.rules != before.rules or theirs.rules.keys:
            return None
        for added in rows:
            handles = [added.handle(one.name) for one in theirs.fields]
            theirs = theirs.append(handles, added.num_rows)
        return theirs


def _conflict(name: str) -> TransactionError:
    return TransactionError(
        f"transaction conflict: changed by another transaction meanwhile: {name}",
        hint="nothing of this transaction was kept; run it again",
    )


@dataclass(eq=False)
class Session:
    """Whose statements belong together: at most one transaction at a time."""

    transaction: Transaction | None = None
    autocommit: bool = True
