"""ALTER TABLE: another version of a table, which shares with it the columns that stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpuql.changes import checker_of, collected
from gpuql.columnar.table import ColumnHandle, ResidentTable
from gpuql.table_checks import quoted, referring_tables, text_query
from gpuql_planner.errors import NotNullViolation
from gpuql_planner.statement_errors import DependentObjects

if TYPE_CHECKING:
    from gpuql.commands import CommandHost
    from gpuql_planner.sql.change_statements import AlterTable


def alter_table(statement: AlterTable, host: CommandHost) -> None:
    """Put the altered table under the name. Errors: IntegrityError if its rows do not obey new rules."""
    table = host.catalog.growing_table(statement.table)
    _check_referrers(statement, table, host)
    columns: dict[str, ColumnHandle] = {}
    for new, old in statement.sources:
        if new != old:
            columns[new] = table.handle(old)
    _check_not_null(statement, table, host)
    if statement.computed is not None:
        name, query = statement.computed
        fields = [field for field in statement.fields if field.name == name]
        columns[name] = collected(host, table.name, fields, query).handle(name)
    version = table.version(fields=statement.fields, columns=columns, rules=statement.rules)
    checker_of(version, host).all_keys(version, statement.keys)
    host.catalog.replace_table(table, version)


def _check_not_null(statement: AlterTable, table: ResidentTable, host: CommandHost) -> None:
    """Look for NULLs in columns that held them and may not from now on."""
    fields = {field.name: field for field in table.fields}
    sources = dict(statement.sources)
    for field in statement.fields:
        old = sources.get(field.name)
        if old is not None and not field.nullable and fields[old].nullable:
            text = f"SELECT 1 FROM there WHERE {quoted(old)} IS NULL LIMIT 1"
            if host.run_query(text_query(host.catalog, text, there=table)).num_rows:
                raise NotNullViolation(f"NOT NULL constraint failed: {table.name}.{field.name}")


def _check_referrers(statement: AlterTable, table: ResidentTable, host: CommandHost) -> None:
    """Columns to which foreign keys refer stay as they are."""
    kept = {new for new, old in statement.sources if new == old}
    for child, key in referring_tables(host.catalog, table.name):
        for name in key.referenced:
            if name not in kept:
                raise DependentObjects(
                    f"column is referred to by a FOREIGN KEY: {table.name}.{name} (of {child.name})"
                )
