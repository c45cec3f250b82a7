"""Whether rows obey the rules of their table: asked as queries, which run in as little memory as any."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from gpuql.columnar.growth import disjoint
from gpuql.columnar.table import ResidentTable
from gpuql_planner.catalog import Catalog, Table, View
from gpuql_planner.errors import (
    CheckViolation,
    ForeignKeyViolation,
    GpuqlError,
    InternalError,
    UniqueViolation,
)
from gpuql_planner.sql.bind import bind_query_text
from gpuql_planner.sql.statements import Query
from gpuql_planner.table_rules import Check, ForeignKey, Key, TableRules

Row = tuple[object, ...]
#: Rows of a query.
Ask = Callable[[Query], Sequence[Row]]


class OverlayCatalog:
    """A catalog in which some names mean other tables."""

    def __init__(self, catalog: Catalog, tables: Mapping[str, Table]) -> None:
        self._catalog = catalog
        self._tables = {name.lower(): table for name, table in tables.items()}

    def resolve(self, name: str) -> Table | View | None:
        """As the catalog, or one of the tables."""
        return self._tables.get(name.lower()) or self._catalog.resolve(name)

    def table_function(
        self, name: str, arguments: Sequence[object], named: dict[str, object]
    ) -> Table | None:
        """As the catalog."""
        return self._catalog.table_function(name, arguments, named)

    def relation_names(self) -> list[str]:
        """As the catalog."""
        return self._catalog.relation_names()

    def definitions(self, kind: str) -> Mapping[str, Any]:
        """As the catalog."""
        return self._catalog.definitions(kind)

    def search_path(self) -> tuple[str, ...]:
        """As the catalog."""
        return self._catalog.search_path()


def text_query(catalog: Catalog, text: str, **tables: Table) -> Query:
    """A query of our own in SQL over ``tables``, which are known by their keywords."""
    bound = bind_query_text(text, OverlayCatalog(catalog, tables))
    return Query(bound.plan, bound.names)


def last_part(name: str) -> str:
    """The name without its schema: what columns are qualified with."""
    return name.rpartition(".")[2]


def quoted(name: str) -> str:
    """The name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def quoted_list(names: Sequence[str], prefix: str = "") -> str:
    """Names separated by commas."""
    return ", ".join(prefix + quoted(name) for name in names)


class RuleChecker:
    """Checks rows of one table.

    Parameters
    ----------
    table : name of the table, for messages.
    ask : runs a query.
    rely_on : is told the names of other tables that were looked at.
    """

    def __init__(
        self, table: str, rules: TableRules, catalog: Catalog, ask: Ask, rely_on: Callable[[str], None]
    ) -> None:
        self._table, self._rules, self._catalog, self._ask = table, rules, catalog, ask
        self._rely_on = rely_on

    def checks(self, rows: ResidentTable, changed: Collection[str] | None = None) -> None:
        """CHECK of new rows, if one of its columns is ``changed``. Errors: CheckViolation."""
        for check in self._rules.checks:
            if rows.num_rows and _concerns(check.columns, changed):
                self._check(check, rows)

    def _check(self, check: Check, rows: ResidentTable) -> None:
        shown = quoted_list(check.columns) or "1"
        text = f"SELECT {shown} FROM changed AS {quoted(last_part(self._table))} WHERE NOT ({check.text}) LIMIT 1"
        name = f" {check.name}" if check.name else ""
        try:
            found = self._ask(text_query(self._catalog, text, changed=rows))
        except GpuqlError as error:
            error.position = error.statement = None
            error.hint = error.hint or f"in CHECK{name} ({check.text}) of table {self._table}"
            raise
        for row in found:
            raise CheckViolation(
                f"CHECK constraint{name} failed: {self._table}: {check.text} "
                f"(row with {_described(check.columns, row)})"
            )

    def keys_of_inserted(self, rows: ResidentTable, there: ResidentTable) -> None:
        """Keys of rows about to be put behind those of ``there``. Errors: UniqueViolation."""
        for key in self._rules.keys:
            if rows.num_rows > 1:
                self._distinct(key, self._ask(self._query(_repeated_text(key, "changed"), changed=rows)))
            if rows.num_rows and there.num_rows and not _are_apart(rows, there, key.columns):
                columns = quoted_list(key.columns)
                text = f"SELECT {columns} FROM existing SEMI JOIN changed USING ({columns}) LIMIT 1"
                self._distinct(key, self._ask(self._query(text, changed=rows, existing=there)))

    def keys_of_updated(self, rows: ResidentTable, version: ResidentTable, changed: Collection[str]) -> None:
        """Keys of rows that are part of ``version`` already, if ``changed``. Errors: UniqueViolation."""
        for key in self._rules.keys:
            if rows.num_rows and _concerns(key.columns, changed):
                columns = quoted_list(key.columns)
                source = f"(SELECT {columns} FROM version SEMI JOIN changed USING ({columns}))"
                text = _repeated_text(key, source)
                self._distinct(key, self._ask(self._query(text, changed=rows, version=version)))

    def all_keys(self, version: ResidentTable, keys: Sequence[Key]) -> None:
        """These keys over all rows of a table. Errors: UniqueViolation."""
        for key in keys:
            self._distinct(key, self._ask(self._query(_repeated_text(key, "version"), version=version)))

    def references(
        self, rows: ResidentTable, version: ResidentTable, changed: Collection[str] | None = None
    ) -> None:
        """FOREIGN KEY of new rows, which are part of ``version`` already. Errors: ForeignKeyViolation."""
        for key in self._rules.foreign_keys:
            if not rows.num_rows or not _concerns(key.columns, changed):
                continue
            pairs = _equal_pairs("c", key.columns, "p", key.referenced)
            present = " AND ".join(f"c.{quoted(name)} IS NOT NULL" for name in key.columns)
            text = (
                f"SELECT {quoted_list(key.columns, 'c.')} FROM changed AS c WHERE {present} "
                f"AND NOT EXISTS (SELECT 1 FROM parent AS p WHERE {pairs}) LIMIT 1"
            )
            parent = version if key.table.lower() == self._table.lower() else self._parent(key)
            for row in self._ask(self._query(text, changed=rows, parent=parent)):
                raise ForeignKeyViolation(
                    f"FOREIGN KEY constraint failed: {self._table}: no row of {key.table} has "
                    f"{_described(key.referenced, row)}"
                )

    def _parent(self, key: ForeignKey) -> Table:
        self._rely_on(key.table)
        parent = self._catalog.resolve(key.table)
        if parent is None or isinstance(parent, View):
            raise InternalError(f"table with references was dropped: {key.table}")
        return parent

    def referrers(self, gone: ResidentTable, version: ResidentTable) -> None:
        """Rows of other tables that refer to rows which are not there any more. Errors: ForeignKeyViolation.

        ``gone`` holds the keys as they were, ``version`` all rows as they will be.
        """
        for child, key in referring_tables(self._catalog, self._table):
            self._rely_on(child.name)
            if not gone.num_rows or not child.num_rows:
                continue
            rows = version if child.name.lower() == self._table.lower() else child
            pairs = _equal_pairs("c", key.columns, "p", key.referenced)
            text = (
                f"SELECT {quoted_list(key.columns, 'c.')} FROM referring AS c "
                f"WHERE EXISTS (SELECT 1 FROM gone AS p WHERE {pairs}) "
                f"AND NOT EXISTS (SELECT 1 FROM version AS p WHERE {pairs}) LIMIT 1"
            )
            for row in self._ask(self._query(text, gone=gone, version=version, referring=rows)):
                raise ForeignKeyViolation(
                    f"FOREIGN KEY constraint failed: {self._table}: a row of {child.name} refers to "
                    f"{_described(key.referenced, row)}"
                )

    def _query(self, text: str, **tables: Table) -> Query:
        return text_query(self._catalog, text, **tables)

    def _distinct(self, key: Key, found: Sequence[Row]) -> None:
        for row in found:
            name = f" {key.name}" if key.name else ""
            raise UniqueViolation(
                f"{key.kind} constraint{name} failed: {self._table}: several rows with "
                f"{_described(key.columns, row)}"
            )


def referring_tables(catalog: Catalog, table: str) -> Iterator[tuple[ResidentTable, ForeignKey]]:
    """Tables with foreign keys that refer to ``table``."""
    for name in catalog.relation_names():
        child = catalog.resolve(name)
        if isinstance(child, ResidentTable):
            for key in child.rules.foreign_keys:
                if key.table.lower() == table.lower():
                    yield child, key


def _are_apart(rows: ResidentTable, others: ResidentTable, columns: Sequence[str]) -> bool:
    """Whether the ranges of some column show that no row has the key of another, as where keys ascend."""
    return any(disjoint(rows.statistics(name), others.statistics(name)) for name in columns)


def _concerns(columns: Sequence[str], changed: Collection[str] | None) -> bool:
    return changed is None or not set(columns).isdisjoint(changed)


def _repeated_text(key: Key, source: str) -> str:
    columns = quoted_list(key.columns)
    present = " AND ".join(f"{quoted(name)} IS NOT NULL" for name in key.columns)
    return f"SELECT {columns} FROM {source} WHERE {present} GROUP BY {columns} HAVING count(*) > 1 LIMIT 1"


def _equal_pairs(left: str, columns: Sequence[str], right: str, others: Sequence[str]) -> str:
    return " AND ".join(
        f"{left}.{quoted(one)} = {right}.{quoted(other)}" for one, other in zip(columns, others, strict=True)
    )


def _described(names: Sequence[str], row: Row) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in zip(names, row, strict=False))
