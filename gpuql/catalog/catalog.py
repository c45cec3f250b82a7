"""The session's catalog: names to tables, views, frames and files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, cast

from gpuql.catalog.definitions import Definitions
from gpuql.catalog.file_tables import FileTables
from gpuql.catalog.frame_tables import FrameTables
from gpuql.catalog.series_table import series_table
from gpuql.catalog.system_tables import system_function, system_relation
from gpuql.catalog.transactions import Relation, Session, Transaction
from gpuql.columnar.column import Column
from gpuql.columnar.construct import null_column
from gpuql.columnar.table import ReadableTable, ResidentTable, resident_table
from gpuql.memory.column_cache import ColumnCache
from gpuql.memory.table_builder import TableBuilder
from gpuql_planner.catalog import Field, Table, View
from gpuql_planner.definitions import MAIN_SCHEMA, SYSTEM_SCHEMAS, TEMPORARY_SCHEMA
from gpuql_planner.errors import (
    CatalogError,
    NotSupportedError,
    TransactionError,
    did_you_mean,
)
from gpuql_planner.sql.statements import Define, Undefine
from gpuql_planner.statement_errors import (
    ActiveTransaction,
    DependentObjects,
    DuplicateColumn,
    InvalidTableDefinition,
    NoActiveTransaction,
    ReadOnlyTransaction,
    ReservedName,
    UndefinedSchema,
    UndefinedTable,
    WrongObjectType,
    duplicate,
    undefined,
)
from gpuql_planner.table_rules import NO_RULES, TableRules

#: Kinds of definitions that a read-only transaction may change.
_OF_THE_SESSION = ("variable", "prepared")


class Acting:
    """Lets what a thread does inside belong to a session; see ``SessionCatalog.acting_as``."""

    __slots__ = ("_aborts", "_before", "_place", "_session")

    def __init__(self, place: threading.local, session: Session, usual: Session, *, aborts: bool) -> None:
        self._place = place
        self._session = session
        self._before = usual
        self._aborts = aborts

    def __enter__(self) -> None:
        self._before = getattr(self._place, "session", self._before)
        self._place.session = self._session

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._place.session = self._before
        if error is not None and self._aborts and self._session.transaction is not None:
            self._session.transaction.is_aborted = True


class SessionCatalog:
    """Implements ``gpuql_planner.catalog.Catalog``. Thread-safe.

    Tables are immutable: a change puts another object under the name, and statements keep the objects they
    were bound to. Names are case-insensitive and keep the spelling of their creator.

    Parameters
    ----------
    replacement : gives the object (such as a Python variable holding a frame) that stands for a name found nowhere
        else, or None.
    columns : has the columns of tables, frames and files in its charge; without it they stay in memory.
    settings : values of all settings; the same object as long as none changed.
    """

    def __init__(
        self,
        replacement: Callable[[str], object | None] | None = None,
        columns: ColumnCache | None = None,
        settings: Callable[[], Mapping[str, Any]] = dict,
        run: Callable[[Any, tuple[str, ...]], Sequence[Sequence[object]]] = lambda plan, names: (),
    ) -> None:
        self.rows_of = run
        self.replacement = replacement
        self._committed_definitions = Definitions()
        self._settings = settings
        self._search_path: tuple[str, ...] = (MAIN_SCHEMA,)
        self._keeping = None if columns is None else columns.for_table
        self._lock = threading.RLock()
        self._changing = threading.RLock()
        self._committed: dict[str, Relation] = {}
        self._own_session = Session()
        self._acting = threading.local()
        self._frames: dict[str, ReadableTable] = {}
        self._files = FileTables(columns)
        self._found_frames = FrameTables(columns)

    # --- sessions and their transactions
    # ------------------------------------------------------------------------------

    @property
    def session(self) -> Session:
        """Whose statement the calling thread is running."""
        acting: Session = getattr(self._acting, "session", self._own_session)
        return acting

    def acting_as(self, session: Session, *, aborts: bool = False) -> Acting:
        """Let what the calling thread does inside belong to ``session``; an error ``aborts`` its transaction."""
        return Acting(self._acting, session, self._own_session, aborts=aborts)

    @property
    def _relations(self) -> dict[str, Relation]:
        transaction = self.session.transaction
        return self._committed if transaction is None else transaction.now

    @property
    def definitions_made(self) -> Definitions:
        """Everything with a name but tables and views."""
        transaction = self.session.transaction
        return self._committed_definitions if transaction is None else transaction.definitions

    def begin(self, *, read_only: bool = False) -> None:
        """Begin a transaction. Errors: TransactionError within one."""
        session = self.session
        with self._lock:
            if session.transaction is not None:
                raise ActiveTransaction("transaction within a transaction: COMMIT or ROLLBACK the first one")
            session.transaction = Transaction(
                dict(self._committed),
                dict(self._committed),
                self._committed_definitions.state,
                self._committed_definitions.copy(),
                read_only,
            )

    def commit(self) -> set[str]:
        """End the transaction; folded names of what it changed. An aborted one is rolled back.

        Errors: TransactionError if there is none, or if others changed the same tables since it began; it is rolled
        back then.
        """
        transaction = self._ended("commit")
        if transaction.is_aborted:
            return set()
        with self._changing, self._lock:
            return transaction.commit(self._committed, self._committed_definitions)

    def rollback(self) -> set[str]:
        """End the transaction without a trace; folded names of what it had changed. Errors: as :meth:`commit`."""
        transaction = self._ended("roll back")
        names = transaction.before.keys() | transaction.now.keys()
        return {name for name in names if transaction.now.get(name) is not transaction.before.get(name)}

    def _ended(self, what: str) -> Transaction:
        session = self.session
        transaction, session.transaction = session.transaction, None
        if transaction is None:
            raise NoActiveTransaction(f"nothing to {what}: no transaction is active")
        return transaction

    @contextmanager
    def changing_rows(self) -> Iterator[None]:
        """Let nobody else change what all see before the end, so that rows can be looked at and then changed."""
        if self.session.transaction is not None:
            yield
            return
        with self._changing:
            yield

    def rely_on(self, name: str) -> None:
        """Say that the transaction is right only as long as nobody changes this table."""
        transaction = self.session.transaction
        if transaction is not None:
            transaction.relied_on.add(name.lower())

    def _check_writable(self, kind: str) -> None:
        transaction = self.session.transaction
        if transaction is not None and transaction.read_only and kind not in _OF_THE_SESSION:
            raise ReadOnlyTransaction("transaction is read-only")

    @contextmanager
    def _writing(self) -> Iterator[dict[str, Relation]]:
        """The names, to be changed. Errors: TransactionError if the transaction is read-only."""
        transaction = self.session.transaction
        if transaction is not None:
            self._check_writable("table")
            with self._lock:
                yield transaction.now
            return
        with self._changing, self._lock:
            yield self._committed

    # --- resolution
    # ------------------------------------------------------------------------------------------

    def resolve(self, name: str) -> ReadableTable | View | None:
        """Relation called ``name``: table or view, registered frame, file path, then replacement.

        None if absent.
        """
        folded = name.lower()
        with self._lock:
            known = self._relations.get(folded) or self._frames.get(folded)
        if known is not None:
            return known
        schema, _, rest = folded.partition(".")
        if rest and schema == MAIN_SCHEMA:
            name = name[len(schema) + 1 :]
        elif rest and schema in SYSTEM_SCHEMAS:
            return system_relation(self, folded)
        elif rest and (schema == TEMPORARY_SCHEMA or schema in self.definitions("schema")):
            return None
        file_table = self._files.by_path(name)
        if file_table is not None:
            return file_table
        found = self.replacement(name) if self.replacement is not None else None
        return None if found is None else self._found_frames.by_object(name, found)

    def table_function(
        self, name: str, arguments: Sequence[object], named: dict[str, object]
    ) -> ReadableTable | None:
        """Table of a series or of a file-reading function; None if there is no such function."""
        if name in ("range", "generate_series"):
            return series_table(name, range(*cast(Sequence[int], arguments)))
        table = self._files.by_function(name, arguments, named)
        return table if table is not None or named else system_function(self, name, arguments)

    def definitions(self, kind: str) -> Mapping[str, Any]:
        """See ``gpuql_planner.catalog.Catalog``."""
        return self._settings() if kind == "setting" else self.definitions_made.of(kind)

    def search_path(self) -> tuple[str, ...]:
        """See ``gpuql_planner.catalog.Catalog``."""
        return self._search_path

    def set_search_path(self, schemas: Sequence[str]) -> None:
        """Change where names of one part are looked for. Errors: CatalogError for a schema that does not exist."""
        known = (MAIN_SCHEMA, TEMPORARY_SCHEMA, *SYSTEM_SCHEMAS, *self.definitions("schema"))
        for schema in schemas:
            if schema.lower() not in known:
                raise UndefinedSchema(
                    f"schema does not exist: {schema}", hint=did_you_mean(schema, list(known))
                )
        self._search_path = tuple(schemas)

    def relations(self) -> list[ReadableTable | View]:
        """Tables, views and frames."""
        with self._lock:
            return [*self._relations.values(), *self._frames.values()]

    def define(self, statement: Define) -> bool:
        """Carry out CREATE of anything but a table or view; False if it was there and may be."""
        kind, name = statement.kind, statement.name
        self._check_writable(kind)
        if kind == "schema":
            with self._lock:
                if any(key.startswith(f"{name.lower()}.") for key in (*self._relations, *self._frames)):
                    if name.lower() not in self.definitions("schema"):
                        raise ReservedName(f"names of tables begin with the name of the schema: {name}.")
                    if statement.or_replace:
                        raise _not_empty(name)
        return self.definitions_made.define(
            kind,
            name,
            statement.definition,
            or_replace=statement.or_replace,
            if_not_exists=statement.if_not_exists,
        )

    def undefine(self, statement: Undefine) -> list[str]:
        """Carry out DROP of anything but a table or view; names of the tables and views that went with a schema."""
        kind, name = statement.kind, statement.name
        self._check_writable(kind)
        if kind != "schema" or name is None:
            self.definitions_made.remove(kind, name, if_exists=statement.if_exists)
            return []
        prefix = f"{name.lower()}."
        with self._writing() as relations:
            inside = [key for key in relations if key.startswith(prefix)]
            others = self.definitions_made.in_schema(name)
            if name.lower() in self.definitions("schema") and (inside or others) and not statement.cascade:
                raise _not_empty(name)
            if self.definitions_made.remove(kind, name, if_exists=statement.if_exists):
                for key in inside:
                    del relations[key]
                for other, definition in others:
                    self.definitions_made.remove(other, definition)
                kept = tuple(schema for schema in self._search_path if schema.lower() != name.lower())
                self._search_path = kept or (MAIN_SCHEMA,)
        return inside

    def relation_names(self) -> list[str]:
        """Names of tables, views and frames, sorted."""
        with self._lock:
            return sorted(relation.name for relation in (*self._relations.values(), *self._frames.values()))

    # --- changes
    # ---------------------------------------------------------------------------------------------

    def create_table(
        self,
        name: str,
        fields: Sequence[Field],
        columns: Sequence[Column] | None = None,
        num_rows: int = 0,
        *,
        rules: TableRules = NO_RULES,
        or_replace: bool = False,
        if_not_exists: bool = False,
    ) -> bool:
        """Create a table of ``columns`` in field order (empty if None); False if it was there and may be.

        Errors: CatalogError if the name is taken, IntegrityError for NULL in a NOT NULL column.
        """
        if not self.may_create_table(name, fields, or_replace=or_replace, if_not_exists=if_not_exists):
            return False
        if columns is None:
            columns = [null_column(field.dtype, 0) for field in fields]
        table = resident_table(name, fields, columns, num_rows, self._keeping).version(rules=rules)
        if not self.add_table(table, or_replace=or_replace, if_not_exists=if_not_exists):
            return False
        table.gather_in_background()
        return True

    def may_create_table(
        self, name: str, fields: Sequence[Field], *, or_replace: bool = False, if_not_exists: bool = False
    ) -> bool:
        """What :meth:`create_table` would say, with the same errors."""
        with self._lock:
            if not self._may_create(name, "table", or_replace=or_replace, if_not_exists=if_not_exists):
                return False
        _check_field_names(name, fields)
        return True

    def create_built(
        self, builder: TableBuilder, *, or_replace: bool = False, if_not_exists: bool = False
    ) -> bool:
        """Create a table of the rows that ``builder`` took; as :meth:`create_table`."""
        table = ResidentTable(builder.name, builder.fields, builder.num_rows, builder.finish(), self._keeping)
        if not self.add_table(table, or_replace=or_replace, if_not_exists=if_not_exists):
            return False
        table.gather_in_background()
        return True

    def add_table(
        self, table: ReadableTable, *, or_replace: bool = False, if_not_exists: bool = False
    ) -> bool:
        """Put a table made elsewhere under its name; as :meth:`create_table`."""
        with self._writing() as relations:
            if not self._may_create(table.name, "table", or_replace=or_replace, if_not_exists=if_not_exists):
                return False
            relations[table.name.lower()] = table
            return True

    def create_view(self, view: View, *, or_replace: bool = False, if_not_exists: bool = False) -> bool:
        """Create a view; False if it was there and may be. Errors: CatalogError if the name is taken."""
        with self._writing() as relations:
            if not self._may_create(view.name, "view", or_replace=or_replace, if_not_exists=if_not_exists):
                return False
            relations[view.name.lower()] = view
            return True

    def drop(self, kind: str, name: str, *, if_exists: bool = False) -> bool:
        """Remove a "table" or "view"; False if there was none and that is allowed.

        Errors: CatalogError if there is none, or one of the other kind.
        """
        with self._writing() as relations:
            known = relations.get(name.lower())
            if known is None:
                if if_exists:
                    return False
                raise self._missing(kind, name)
            if _kind(known) != kind:
                raise WrongObjectType(f"not a {kind} but a {_kind(known)}: {name}")
            self._check_no_referrers(known)
            del relations[name.lower()]
            return True

    def rename(self, name: str, new_name: str) -> None:
        """Give a table or view another name.

        Errors: CatalogError if there is none, the other name is taken, or foreign keys refer to the table.
        """
        with self._writing() as relations:
            known = relations.get(name.lower())
            if known is None:
                raise self._missing("table", name)
            taken = relations.get(new_name.lower())
            if taken is not None and taken is not known:
                raise duplicate(_kind(taken))(f"{_kind(taken)} exists already: {new_name}")
            if isinstance(known, View):
                renamed: Relation = replace(known, name=new_name)
            elif isinstance(known, ResidentTable):
                self._check_no_referrers(known)
                if any(key.table.lower() == name.lower() for key in known.rules.foreign_keys):
                    raise DependentObjects(f"table refers to itself by a FOREIGN KEY: {name}")
                renamed = known.version(name=new_name)
            else:
                raise NotSupportedError(f"this kind of table cannot be renamed: {name}")
            del relations[name.lower()]
            relations[new_name.lower()] = renamed

    def growing_table(self, name: str) -> ResidentTable:
        """The table to which rows may be appended.

        Errors: CatalogError if there is no such table, NotSupportedError if it cannot grow.
        """
        with self._lock:
            known = self._relations.get(name.lower())
            if known is None:
                raise self._missing("table", name)
            if isinstance(known, View):
                raise WrongObjectType(f"not a table but a view: {name}")
            if not isinstance(known, ResidentTable):
                raise NotSupportedError(f"rows cannot be inserted into this kind of table: {name}")
            return known

    def insert(self, name: str, columns: Sequence[Column], num_rows: int) -> None:
        """Append rows: columns in the table's order and of its types.

        Errors: as :meth:`growing_table`; IntegrityError for NULL in a NOT NULL column.
        """
        with self._writing() as relations:
            relations[name.lower()] = self.growing_table(name).append(columns, num_rows)

    def append_rows(self, table: ResidentTable, rows: ResidentTable) -> None:
        """Append ``rows`` to a table that was like ``table`` when they were made.

        Errors: TransactionError if columns or rules are others now, as :meth:`growing_table`.
        """
        with self._writing() as relations:
            now = self.growing_table(table.name)
            if now.fields != table.fields or now.rules != table.rules:
                raise TransactionError(f"table was altered while rows were made for it: {table.name}")
            added = [rows.handle(field.name) for field in now.fields]
            version = now.append(added, rows.num_rows)
            if self.session.transaction is not None:
                self.session.transaction.note_appended(table.name.lower(), version, rows)
            relations[table.name.lower()] = version

    def replace_table(self, table: ResidentTable, version: ResidentTable) -> None:
        """Put another version in the place of ``table``. Errors: TransactionError if it is not there any more."""
        with self._writing() as relations:
            if relations.get(table.name.lower()) is not table:
                raise TransactionError(f"table was changed meanwhile: {table.name}")
            relations[table.name.lower()] = version

    def register(self, name: str, frame: object) -> None:
        """Make a snapshot of ``frame`` known as ``name``, in place of an earlier one.

        Errors: CatalogError if a table or view has the name; see ``gpuql.io.arrow_source.table_from_object``.
        """
        table = self._found_frames.taken_over(name, frame)
        with self._lock:
            known = self._relations.get(name.lower())
            if known is not None:
                raise duplicate(_kind(known))(f"{_kind(known)} exists already: {name}")
            self._frames[name.lower()] = table

    def frame_table(self, frame: object) -> ResidentTable:
        """A table of ``frame`` without a name of its own. Errors: as :meth:`register`."""
        return self._found_frames.taken_over("frame", frame)

    def unregister(self, name: str) -> None:
        """Forget a registered frame. Errors: CatalogError if there is none."""
        with self._lock:
            if self._frames.pop(name.lower(), None) is None:
                raise UndefinedTable(f"no frame is registered as: {name}")

    def _check_no_referrers(self, relation: Relation) -> None:
        """Errors: CatalogError if a foreign key of another table refers to this one."""
        for other in self._relations.values():
            if other is relation or not isinstance(other, ResidentTable):
                continue
            for key in other.rules.foreign_keys:
                if key.table.lower() == relation.name.lower():
                    raise DependentObjects(
                        f"table is referred to by a FOREIGN KEY: {relation.name} (of {other.name})"
                    )

    def _missing(self, kind: str, name: str) -> CatalogError:
        if name.lower() in self._frames:
            return WrongObjectType(
                f"not a {kind} but a registered frame: {name}",
                hint="connection.unregister() forgets it, register() puts another in its place",
            )
        return undefined(kind)(
            f"{kind} does not exist: {name}", hint=did_you_mean(name, self.relation_names())
        )

    def _may_create(self, name: str, kind: str, *, or_replace: bool, if_not_exists: bool) -> bool:
        """True to go on, False to leave what exists; CatalogError if neither is asked for."""
        known = self._relations.get(name.lower())
        if known is None:
            return True
        if _kind(known) != kind:
            raise duplicate(_kind(known))(f"{_kind(known)} exists already: {name}")
        if if_not_exists:
            return False
        if or_replace:
            self._check_no_referrers(known)
            return True
        raise duplicate(kind)(f"{kind} exists already: {name}", hint=f"use CREATE OR REPLACE {kind.upper()}")


def _not_empty(schema: str) -> CatalogError:
    return DependentObjects(
        f"schema is not empty: {schema}", hint="DROP SCHEMA ... CASCADE drops what is in it as well"
    )


def _kind(relation: Table | View) -> str:
    return "view" if isinstance(relation, View) else "table"


def _check_field_names(name: str, fields: Sequence[Field]) -> None:
    if not fields:
        raise InvalidTableDefinition(f"table has no columns: {name}")
    seen: set[str] = set()
    for field in fields:
        if field.name.lower() in seen:
            raise DuplicateColumn(f"column name appears twice: {name}.{field.name}")
        seen.add(field.name.lower())
