"""Bound statements: what the session executes. A query is a logical plan; the rest is data about the catalog."""

from __future__ import annotations

from dataclasses import dataclass

from gpuql_planner.catalog import Field
from gpuql_planner.logical.nodes import LogicalNode
from gpuql_planner.sql.change_statements import ChangeRows, Insert, Truncate


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
class Describe:
    """DESCRIBE query-or-table: names, types and nullability of ``query``'s outputs."""

    query: Query


@dataclass(frozen=True)
class ShowTables:
    """SHOW TABLES."""


@dataclass(frozen=True)
class SetVariable:
    """SET name = value; RESET name has ``value`` None. The session checks both."""

    name: str
    value: object


@dataclass(frozen=True)
class ShowPlacement:
    """SHOW PLACEMENT: what the choice of a device is based on."""


Statement = (
    Query
    | CreateTable
    | CreateView
    | Drop
    | Insert
    | ChangeRows
    | Truncate
    | Explain
    | Describe
    | ShowTables
    | ShowPlacement
    | SetVariable
)
