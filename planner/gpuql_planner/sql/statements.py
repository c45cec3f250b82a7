"""Bound statements: what the session executes. A query is a logical plan; the rest is data about the catalog."""

from __future__ import annotations

from dataclasses import dataclass

from gpuql_planner.catalog import Field
from gpuql_planner.definitions import Definition
from gpuql_planner.logical.nodes import LogicalNode
from gpuql_planner.sql.change_statements import (
    AlterTable,
    ChangeRows,
    Insert,
    RenameRelation,
    TransactionStatement,
    Truncate,
)
from gpuql_planner.table_rules import NO_RULES, TableRules


@dataclass(frozen=True)
class Query:
    """A SELECT or VALUES. ``names`` are the result's column names, one per output; they may repeat."""

    plan: LogicalNode
    names: tuple[str, ...]


@dataclass(frozen=True)
class CreateTable:
    """CREATE [OR REPLACE] TABLE [IF NOT EXISTS] name (fields), or AS query (then ``fields`` is derived from it)."""

    name: str
    fields: tuple[Field, ...]
    query: Query | None = None
    or_replace: bool = False
    if_not_exists: bool = False
    rules: TableRules = NO_RULES


@dataclass(frozen=True)
class CreateView:
    """CREATE [OR REPLACE] VIEW; ``sql`` is the text of the query, already bound once to report its errors now."""

    name: str
    sql: str
    column_names: tuple[str, ...] | None = None
    or_replace: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True)
class Drop:
    """DROP TABLE or VIEW; ``kind`` is "table" or "view"."""

    kind: str
    name: str
    if_exists: bool = False


@dataclass(frozen=True)
class Explain:
    """EXPLAIN [ANALYZE] or EXPLAIN (CODEGEN) of a statement; ``mode`` is "plan", "analyze" or "codegen"."""

    statement: Statement
    mode: str = "plan"


@dataclass(frozen=True)
class SetVariable:
    """SET name = value; RESET name has ``value`` None. The session checks both."""

    name: str
    value: object


@dataclass(frozen=True)
class ShowPlacement:
    """SHOW PLACEMENT: what the choice of a device is based on."""


@dataclass(frozen=True)
class Define:
    """Put a definition (see ``gpuql_planner.definitions``) under a name; ``kind`` is one of its kinds."""

    kind: str
    name: str
    definition: Definition
    or_replace: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True)
class DefineEnum:
    """CREATE TYPE name AS ENUM (query): the labels are the rows of the only column of ``query``."""

    name: str
    query: Query
    or_replace: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True)
class Undefine:
    """Take a definition away; ``name`` None means all of the kind. ``cascade`` also drops what is in a schema."""

    kind: str
    name: str | None
    if_exists: bool = False
    cascade: bool = False


@dataclass(frozen=True)
class SetSessionVariable:
    """SET VARIABLE name = value: the value of the only column of the only row of ``query``."""

    name: str
    query: Query


@dataclass(frozen=True)
class SetSearchPath:
    """USE schema, SET search_path: where names are looked for; the first is where they are created."""

    schemas: tuple[str, ...]


@dataclass(frozen=True)
class ExecutePrepared:
    """EXECUTE: run ``text`` with the values of the one row of ``arguments``, by position or by their names."""

    name: str
    text: str
    arguments: Query
    by_name: bool = False


@dataclass(frozen=True)
class NoOperation:
    """A statement that has nothing to do, such as CHECKPOINT."""


@dataclass(frozen=True)
class CopyTo:
    """COPY TO: write the rows of ``query`` to ``path``. ``options`` are checked, and named as gpuql.io names them."""

    query: Query
    path: str
    format: str
    options: tuple[tuple[str, object], ...] = ()


@dataclass(frozen=True)
class ExportDatabase:
    """EXPORT DATABASE: everything with a name as SQL, and the rows of each table in a file.

    ``options`` are more options of COPY: their names, and the whole as it is written.
    """

    path: str
    format: str
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ImportDatabase:
    """IMPORT DATABASE: run the scripts that EXPORT DATABASE wrote into a folder."""

    path: str


Statement = (
    Query
    | ExportDatabase
    | ImportDatabase
    | CreateTable
    | CreateView
    | Drop
    | Insert
    | ChangeRows
    | Truncate
    | TransactionStatement
    | AlterTable
    | RenameRelation
    | Explain
    | ShowPlacement
    | SetVariable
    | SetSessionVariable
    | SetSearchPath
    | Define
    | DefineEnum
    | Undefine
    | ExecutePrepared
    | NoOperation
    | CopyTo
)
