"""INSERT, UPDATE, DELETE, MERGE and TRUNCATE: a query finds the rows, rules are checked, another version is made.

Nothing is visible to anyone before the new version is put under the table's name, so a statement that fails leaves
nothing behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeGuard

from gpuql.columnar.table import ColumnHandle, ResidentTable
from gpuql.memory.table_builder import TableBuilder
from gpuql.row_changes import SortedChanges, apply_changes
from gpuql.table_checks import RuleChecker, quoted, quoted_list, referring_tables, text_query
from gpuql_planner.catalog import Field, Table
from gpuql_planner.errors import IntegrityError, NotSupportedError
from gpuql_planner.logical.nodes import LogicalNode, Scan
from gpuql_planner.logical.visit import transform_plan
from gpuql_planner.sql.change_statements import (
    Action,
    AlterTable,
    ChangeRows,
    Insert,
    OnConflict,
    Returning,
    Truncate,
)
from gpuql_planner.sql.statements import Query
from gpuql_planner.table_rules import NO_RULES, Key, PendingTable, rules_of
from gpuql_planner.types import BIGINT, INTEGER, VARCHAR

if TYPE_CHECKING:
    from gpuql.api.result import Result
    from gpuql.commands import CommandHost


def looks_before_it_changes(statement: object) -> TypeGuard[Insert | ChangeRows | Truncate | AlterTable]:
    """Whether what a statement stores depends on rows that are there: not so for an INSERT without keys."""
    if isinstance(statement, Insert):
        rules = NO_RULES if statement.target is None else rules_of(statement.target)
        return bool(rules.keys or rules.foreign_keys)
    return isinstance(statement, ChangeRows | Truncate | AlterTable)


def insert(statement: Insert, host: CommandHost) -> Result | int:
    """Put rows behind those of a table. The result is their number, or RETURNING."""
    before = there = host.catalog.growing_table(statement.table)
    rows = collected(host, statement.table, there.fields, statement.query)
    updated: ResidentTable | None = None
    num_updated = 0
    conflict = statement.conflict
    if conflict is not None:
        rows, free = _without_repeated_keys(conflict, rows, there, host)
        if conflict.update is not None:
            query = _with_table(conflict.update.query, conflict.rows, rows)
            change = replace(conflict.update, query=query, target=there, returning=statement.returning)
            pending = _change(change, host)
            updated, num_updated = pending.changed, pending.num_changed
            there = pending.version
        rows = free
    if there.rules != NO_RULES:
        checker = checker_of(there, host)
        checker.checks(rows)
        checker.keys_of_inserted(rows, there)
        checker.references(rows, _appended(there, rows))
    answer: Result | int = rows.num_rows + num_updated
    if statement.returning is not None:
        answer = _returning(statement.returning, [updated, rows], host)
    if num_updated:
        host.catalog.replace_table(before, _appended(there, rows))
    else:
        host.catalog.append_rows(before, rows)
    return answer


def change_rows(statement: ChangeRows, host: CommandHost) -> Result | int:
    """Carry out UPDATE, DELETE or MERGE. The result is the number of rows, or RETURNING."""
    pending = _change(statement, host)
    answer: Result | int = pending.num_changed
    if statement.returning is not None:
        answer = _returning(statement.returning, [pending.changed], host)
    if pending.num_changed:
        host.catalog.replace_table(pending.target, pending.version)
    return answer


def truncate(statement: Truncate, host: CommandHost) -> int:
    """Remove all rows of a table. The result is how many there were."""
    table = host.catalog.growing_table(statement.table)
    with TableBuilder(host.memory.columns, table.name, table.fields) as builder:
        empty = _table(host, table.name, table.fields, builder)
    empty = empty.version(rules=table.rules)
    _check_referrers(table, None, empty, host)
    host.catalog.replace_table(table, empty)
    return table.num_rows


# --- UPDATE, DELETE, MERGE ---


@dataclass(frozen=True)
class _Pending:
    """A version of a table that is right but not yet under the table's name; ``changed`` are rows for RETURNING."""

    target: ResidentTable
    version: ResidentTable
    changed: ResidentTable
    num_changed: int


def _change(statement: ChangeRows, host: CommandHost) -> _Pending:
    """What the statement makes of its table, all rules checked."""
    target = host.catalog.growing_table(statement.table)
    changes = collected(host, "changes", _change_fields(statement), statement.query)
    deletes = statement.verb == "DELETE"
    added: ResidentTable | None = None
    if not statement.is_sorted:
        actions = _actions(changes, host)
        if Action.ERROR in actions:
            raise _error_of_clause(statement, changes, host)
        deletes = Action.DELETE in actions
        if Action.INSERT in actions:
            added = _of_actions(host, changes, changes.fields, Action.INSERT)
        changes = _of_actions(host, changes, changes.fields, Action.UPDATE, Action.DELETE)
    wanted = target.rules != NO_RULES or statement.returning is not None or _is_referred_to(host, target)
    rewritten = [field.name for field in target.fields] if deletes else list(statement.rewritten)
    number, action = changes.fields[0].name, changes.fields[1].name
    order = SortedChanges(changes, number, action, statement.repeated)
    if not changes.num_rows:
        deletes, rewritten = False, []
    effective = TableBuilder(host.memory.columns, "changes", _nullable(statement.columns))
    with effective, host.interruptible() as check:
        memory = host.memory.open_query(check)
        try:
            applied = apply_changes(
                target, order, rewritten, host.memory.columns, memory, effective if wanted else None, check
            )
        finally:
            memory.close()
        changed = _table(host, "changes", effective.fields, effective)
    columns: dict[str, ColumnHandle] = dict(applied.columns)
    if deletes:
        keeping = host.memory.columns.for_table
        version = ResidentTable(target.name, target.fields, applied.num_rows, columns, keeping, target.rules)
    else:
        version = target.version(columns=columns)
    checker = checker_of(target, host)
    if applied.updated:
        checker.checks(changed, statement.rewritten)
        checker.keys_of_updated(changed, version, statement.rewritten)
    if added is not None:
        rows = collected(host, target.name, target.fields, _columns_of(host, added, target.fields))
        checker.checks(rows)
        checker.keys_of_inserted(rows, version)
        version = _appended(version, rows)
        checker.references(rows, version)
        if statement.returning is not None:
            more = collected(host, "changes", changed.fields, _columns_of(host, added, statement.columns))
            changed = _appended(changed, more)
    if applied.updated:
        checker.references(changed, version, statement.rewritten)
    if deletes or any(not set(statement.rewritten).isdisjoint(key.columns) for key in target.rules.keys):
        gone = changed if statement.verb == "DELETE" else None
        _check_referrers(target, gone, version, host)
    num_added = 0 if added is None else added.num_rows
    return _Pending(target, version, changed, applied.updated + applied.deleted + num_added)


def _change_fields(statement: ChangeRows) -> tuple[Field, ...]:
    first, second, *rest = statement.query.names
    fields = (Field(first, BIGINT), Field(second, INTEGER), *_nullable(statement.columns))
    return (*fields, Field(rest[-1], VARCHAR)) if statement.has_message else fields


def _actions(changes: ResidentTable, host: CommandHost) -> set[Action]:
    """Which actions the rows ask for."""
    action = quoted(changes.fields[1].name)
    query = _text(host, f"SELECT DISTINCT {action} FROM changes", changes)
    return {Action(row[0]) for row in host.run_query(query).iter_rows()}


def _of_actions(
    host: CommandHost, changes: ResidentTable, fields: Sequence[Field], *actions: Action
) -> ResidentTable:
    """Rows with some actions; those that change rows of the target by number."""
    number, action = quoted(changes.fields[0].name), quoted(changes.fields[1].name)
    listed = ", ".join(str(int(one)) for one in actions)
    order = "" if Action.INSERT in actions else f" ORDER BY {number}"
    names = quoted_list([field.name for field in fields])
    text = f"SELECT {names} FROM changes WHERE {action} IN ({listed}){order}"
    return collected(host, "changes", fields, _text(host, text, changes))


def _columns_of(host: CommandHost, rows: ResidentTable, fields: Sequence[Field]) -> Query:
    names = quoted_list([field.name for field in fields])
    return _text(host, f"SELECT {names} FROM changes", rows)


def _error_of_clause(statement: ChangeRows, changes: ResidentTable, host: CommandHost) -> IntegrityError:
    """What a WHEN … THEN ERROR says."""
    if not statement.has_message:
        return IntegrityError(f"MERGE INTO {statement.table} met a row that is an error")
    action, message = quoted(changes.fields[1].name), quoted(changes.fields[-1].name)
    text = f"SELECT {message} FROM changes WHERE {action} = {int(Action.ERROR)} LIMIT 1"
    for row in host.run_query(_text(host, text, changes)).iter_rows():
        return IntegrityError(f"MERGE INTO {statement.table} met a row that is an error: {row[0]}")
    return IntegrityError(f"MERGE INTO {statement.table} met a row that is an error")


# --- ON CONFLICT ---


def _without_repeated_keys(
    conflict: OnConflict, rows: ResidentTable, there: ResidentTable, host: CommandHost
) -> tuple[ResidentTable, ResidentTable]:
    """Rows of which no two agree in a key (the first of them stays), and of these those that agree with none there."""
    dropping = 0
    for key in conflict.keys:
        distinct = _first_of_each(key, rows, host)
        dropping += distinct.num_rows < rows.num_rows
        rows = distinct
    if dropping > 1:
        raise NotSupportedError(
            f"rows to insert into {there.name} conflict with each other in several keys",
            hint="name one of them: ON CONFLICT (columns)",
        )
    free = rows
    for key in conflict.keys:
        if free.num_rows and there.num_rows:
            names = quoted_list([field.name for field in rows.fields])
            columns = quoted_list(key.columns)
            text = f"SELECT {names} FROM changes ANTI JOIN there USING ({columns})"
            query = text_query(host.catalog, text, changes=free, there=there)
            free = collected(host, there.name, there.fields, query)
    return rows, free


def _first_of_each(key: Key, rows: ResidentTable, host: CommandHost) -> ResidentTable:
    """The rows without those that have the key of one before them."""
    if rows.num_rows < 2:
        return rows
    columns = quoted_list(key.columns)
    repeated = text_query(
        host.catalog,
        f"SELECT {columns} FROM changes WHERE "
        + " AND ".join(f"{quoted(name)} IS NOT NULL" for name in key.columns)
        + f" GROUP BY {columns} HAVING count(*) > 1 LIMIT 1",
        changes=rows,
    )
    if not host.run_query(repeated).num_rows:
        return rows
    numbered = rows.numbered()
    number = quoted(numbered.number_name)
    names = quoted_list([field.name for field in rows.fields])
    present = " OR ".join(f"{quoted(name)} IS NULL" for name in key.columns)
    text = (
        f"SELECT {names} FROM changes WHERE {present} "
        f"OR {number} IN (SELECT min({number}) FROM changes GROUP BY {columns}) ORDER BY {number}"
    )
    query = text_query(host.catalog, text, changes=numbered)
    return collected(host, rows.name, rows.fields, query)


# --- rules ---


def checker_of(table: ResidentTable, host: CommandHost) -> RuleChecker:
    """What checks rows of a table."""
    return RuleChecker(
        table.name,
        table.rules,
        host.catalog,
        lambda query: list(host.run_query(query).iter_rows()),
        host.catalog.rely_on,
    )


def _is_referred_to(host: CommandHost, table: ResidentTable) -> bool:
    return bool(table.rules.keys) and any(True for _ in referring_tables(host.catalog, table.name))


def _check_referrers(
    table: ResidentTable, gone: ResidentTable | None, version: ResidentTable, host: CommandHost
) -> None:
    """Refuse to lose rows to which others refer; ``gone`` holds those that go, or any may (None)."""
    if _is_referred_to(host, table):
        checker_of(table, host).referrers(table if gone is None else gone, version)


# --- tables ---


def _nullable(fields: Sequence[Field]) -> tuple[Field, ...]:
    return tuple(replace(field, nullable=True) for field in fields)


def collected(host: CommandHost, name: str, fields: Sequence[Field], query: Query) -> ResidentTable:
    """The rows of a query as a table."""
    with TableBuilder(host.memory.columns, name, fields) as builder:
        host.run_query_into(query, builder)
        return _table(host, name, fields, builder)


def _table(host: CommandHost, name: str, fields: Sequence[Field], builder: TableBuilder) -> ResidentTable:
    return ResidentTable(name, fields, builder.num_rows, builder.finish(), host.memory.columns.for_table)


def _appended(table: ResidentTable, rows: ResidentTable) -> ResidentTable:
    return table.append([rows.handle(field.name) for field in table.fields], rows.num_rows)


def _text(host: CommandHost, text: str, changes: ResidentTable) -> Query:
    return text_query(host.catalog, text, changes=changes)


def _with_table(query: Query, pending: PendingTable, table: Table) -> Query:
    """The query with rows in place of what stood for them."""

    def scan_of_rows(node: LogicalNode) -> LogicalNode:
        return replace(node, table=table) if isinstance(node, Scan) and node.table is pending else node

    return replace(query, plan=transform_plan(query.plan, scan_of_rows))


def _returning(returning: Returning, parts: Sequence[ResidentTable | None], host: CommandHost) -> Result:
    """The RETURNING clause over the rows of all parts."""
    fields = returning.rows.fields
    rows: ResidentTable | None = None
    for part in parts:
        if part is not None:
            rows = part if rows is None else _appended(rows, part)
    assert rows is not None, "RETURNING has rows"
    shown = ResidentTable(
        returning.rows.name,
        fields,
        rows.num_rows,
        {field.name: rows.handle(field.name) for field in fields},
        host.memory.columns.for_table,
    )
    return host.run_query(_with_table(returning.query, returning.rows, shown))
