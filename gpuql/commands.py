"""Statements that are not queries: definitions, inserts, settings and questions about the catalog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from gpuql.alterations import alter_table
from gpuql.api.dbapi import Parameters
from gpuql.api.result import Result
from gpuql.catalog.catalog import SessionCatalog
from gpuql.changes import change_rows, insert, truncate
from gpuql.columnar.batch import Batch
from gpuql.columnar.construct import column_from_python
from gpuql.device import Device
from gpuql.memory.connection_memory import ConnectionMemory
from gpuql.memory.table_builder import TableBuilder
from gpuql_planner.catalog import View
from gpuql_planner.definitions import NamedType, Variable
from gpuql_planner.errors import BinderError, NotSupportedError
from gpuql_planner.logical.expressions import Attribute, Literal
from gpuql_planner.sql.change_statements import (
    AlterTable,
    ChangeRows,
    Insert,
    RenameRelation,
    TransactionStatement,
    Truncate,
)
from gpuql_planner.sql.statements import (
    CopyTo,
    CreateTable,
    CreateView,
    Define,
    DefineEnum,
    Drop,
    ExecutePrepared,
    Explain,
    ExportDatabase,
    ImportDatabase,
    NoOperation,
    Query,
    SetSearchPath,
    SetSessionVariable,
    SetVariable,
    ShowPlacement,
    Statement,
    Undefine,
)
from gpuql_planner.statement_errors import InvalidParameterValue
from gpuql_planner.types import BIGINT, VARCHAR, DataType, enum_of


class CommandHost(Protocol):
    """What commands need of a connection."""

    @property
    def catalog(self) -> SessionCatalog:
        """Where tables and views live."""

    @property
    def device(self) -> Device:
        """Where queries run as far as the settings say."""

    @property
    def memory(self) -> ConnectionMemory:
        """Who keeps the columns of tables."""

    def run_query(self, query: Query) -> Result:
        """Rows of a query."""

    def run_query_into(self, query: Query, rows: TableBuilder) -> None:
        """Let ``rows`` take the rows of a query as they come."""

    def run_text(self, text: str, parameters: Parameters) -> Result:
        """Rows of the last statement of a text."""

    def explain_query(self, query: Query, mode: str) -> str:
        """Plan of a query as text."""

    def interruptible(self) -> AbstractContextManager[Callable[[], None]]:
        """Let :meth:`Connection.interrupt` and Ctrl-C stop what runs inside: it calls what it is given."""

    def change_transaction(self, kind: str) -> None:
        """Begin or end a transaction; see ``TransactionStatement``."""

    def set_variable(self, name: str, value: object) -> None:
        """Change a setting."""


def table_of_values(columns: Sequence[tuple[str, DataType, Sequence[Any]]]) -> Result:
    """A result made of Python values."""
    outputs = tuple(Attribute.fresh(name, dtype) for name, dtype, _ in columns)
    num_rows = len(columns[0][2]) if columns else 0
    batch = Batch(
        {
            attribute.id: column_from_python(values, dtype)
            for attribute, (_, dtype, values) in zip(outputs, columns, strict=True)
        },
        num_rows,
    )
    return Result(outputs, tuple(name for name, _, _ in columns), [batch])


def run_command(statement: Statement, host: CommandHost) -> Result:
    """Carry out any statement but a query. Its result says what it did: a Count of rows, or no columns."""
    match statement:
        case Query():
            return host.run_query(statement)
        case Explain(statement=inner, mode=mode):
            return _explain(inner, mode, host)
        case ExecutePrepared():
            return _execute_prepared(statement, host)
        case SetSessionVariable(name=name, query=query):
            variable = Variable(name, _one_row(host.run_query(query))[0])
            host.catalog.define(Define("variable", name, variable, or_replace=True))
            return table_of_values([])
        case SetSearchPath(schemas=schemas):
            host.catalog.set_search_path(schemas)
            return table_of_values([])
        case Define():
            host.catalog.define(statement)
            return table_of_values([])
        case DefineEnum():
            _define_enum(statement, host)
            return table_of_values([])
        case Undefine():
            host.catalog.undefine(statement)
            return table_of_values([])
        case CopyTo():
            return _copy_to(statement, host)
        case ExportDatabase():
            from gpuql.database_files import export_database

            export_database(statement, host)
            return table_of_values([])
        case ImportDatabase(path=path):
            from gpuql.database_files import import_database

            import_database(path, host)
            return table_of_values([])
        case NoOperation():
            return table_of_values([])
        case ShowPlacement():
            return _show_placement(host)
        case SetVariable(name=name, value=value):
            host.set_variable(name, value)
            return table_of_values([])
        case CreateTable():
            return _create_table(statement, host)
        case Insert():
            return _counted(insert(statement, host))
        case ChangeRows():
            return _counted(change_rows(statement, host))
        case Truncate():
            return _counted(truncate(statement, host))
        case AlterTable():
            alter_table(statement, host)
            return table_of_values([])
        case RenameRelation(name=name, new_name=new_name):
            host.catalog.rename(name, new_name)
            return table_of_values([])
        case TransactionStatement(kind=kind):
            host.change_transaction(kind)
            return table_of_values([])
        case CreateView(name=name, sql=sql, column_names=names, or_replace=replace, if_not_exists=lenient):
            view = View(name, sql, names)
            host.catalog.create_view(view, or_replace=replace, if_not_exists=lenient)
            return table_of_values([])
        case Drop(kind=kind, name=name, if_exists=if_exists):
            host.catalog.drop(kind, name, if_exists=if_exists)
            return table_of_values([])
    raise NotSupportedError(f"statement is not supported: {type(statement).__name__}")


def _show_placement(host: CommandHost) -> Result:
    from gpuql.device.calibration import calibration_file, cost_rows, load_calibration

    calibration = load_calibration()
    rows = [
        ("device", host.device.name, host.device.reason),
        *((name, f"{value:.6g}", origin) for name, value, origin in cost_rows(calibration)),
        ("costs", calibration.source, str(calibration_file())),
    ]
    names, values, origins = zip(*rows, strict=True)
    return table_of_values(
        [("name", VARCHAR, names), ("value", VARCHAR, values), ("origin", VARCHAR, origins)]
    )


def _count(num_rows: int) -> Result:
    return table_of_values([("Count", BIGINT, [num_rows])])


def _counted(outcome: Result | int) -> Result:
    return _count(outcome) if isinstance(outcome, int) else outcome


def _explain(statement: Statement, mode: str, host: CommandHost) -> Result:
    """Plan of the query in ``statement``. ANALYZE runs that query only: nothing is created or inserted."""
    match statement:
        case Query() as query:
            text = host.explain_query(query, mode)
        case CreateTable(query=Query() as query) | Insert(query=query) | ChangeRows(query=query):
            text = host.explain_query(query, mode)
        case _:
            text = f"{type(statement).__name__}: nothing to plan"
    return table_of_values([("explain", VARCHAR, text.splitlines())])


def _execute_prepared(statement: ExecutePrepared, host: CommandHost) -> Result:
    values = _one_row(host.run_query(statement.arguments))
    names = statement.arguments.names
    if statement.by_name:
        return host.run_text(statement.text, dict(zip(names, values, strict=True)))
    return host.run_text(statement.text, values or None)


def _copy_to(statement: CopyTo, host: CommandHost) -> Result:
    from gpuql.io.write import write_rows

    with host.run_query(statement.query) as rows:
        reader = rows.to_arrow_reader()
        return _count(write_rows(reader, statement.path, statement.format, dict(statement.options)))


def _define_enum(statement: DefineEnum, host: CommandHost) -> None:
    labels = [row[0] for row in host.run_query(statement.query).fetchall()]
    if None in labels:
        raise InvalidParameterValue(f"label must not be NULL: {statement.name}")
    try:
        named = NamedType(statement.name, enum_of(labels))
    except ValueError as error:
        raise BinderError(f"{error} (type {statement.name})") from None
    flags = statement.or_replace, statement.if_not_exists
    host.catalog.define(Define("type", statement.name, named, *flags))


def _one_row(result: Result) -> list[Literal]:
    """The only row of a query of constants, with the types of its columns."""
    rows = result.fetchall()
    assert len(rows) == 1, "a query of values alone has one row"
    return [Literal(value, attribute.dtype) for value, attribute in zip(rows[0], result.outputs, strict=True)]


def _create_table(statement: CreateTable, host: CommandHost) -> Result:
    name, fields = statement.name, statement.fields
    or_replace, lenient = statement.or_replace, statement.if_not_exists
    if statement.query is None:
        host.catalog.create_table(
            name, fields, rules=statement.rules, or_replace=or_replace, if_not_exists=lenient
        )
        return table_of_values([])
    if not host.catalog.may_create_table(name, fields, or_replace=or_replace, if_not_exists=lenient):
        return _count(0)
    with TableBuilder(host.memory.columns, name, fields) as builder:
        host.run_query_into(statement.query, builder)
        created = host.catalog.create_built(builder, or_replace=or_replace, if_not_exists=lenient)
        return _count(builder.num_rows if created else 0)
