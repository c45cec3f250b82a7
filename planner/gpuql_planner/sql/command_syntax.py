"""Statements that sqlglot's grammar has no tree for, as data: what :mod:`parse_commands` reads and binders take.

Expressions inside are sqlglot's. ``offset`` is where in the text the thing named begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

if TYPE_CHECKING:
    from gpuql_planner.sql.parse import ParsedStatement


@dataclass(frozen=True)
class Name:
    """``[catalog.[schema.]]name`` as written."""

    parts: tuple[str, ...]
    offset: int

    @property
    def text(self) -> str:
        """All parts with dots."""
        return ".".join(self.parts)


@dataclass(frozen=True)
class Argument:
    """A value, by position or by ``name :=``."""

    name: str | None
    value: exp.Expr
    offset: int


@dataclass(frozen=True)
class Option:
    """``NAME [value]`` in the options of COPY. ``value`` is None, an expression, or the names between parentheses."""

    name: str
    value: exp.Expr | tuple[Name, ...] | None
    offset: int


@dataclass(frozen=True)
class PrepareSyntax:
    """PREPARE name AS statement. ``text`` is the statement's."""

    name: Name
    text: str
    statement: ParsedStatement


@dataclass(frozen=True)
class ExecuteSyntax:
    """EXECUTE name [(arguments)]."""

    name: Name
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class DeallocateSyntax:
    """DEALLOCATE [PREPARE] name, or ALL (``name`` None)."""

    name: Name | None


@dataclass(frozen=True)
class PragmaSyntax:
    """PRAGMA name, ``name(arguments)`` or ``name = value``."""

    name: Name
    arguments: tuple[Argument, ...]
    value: exp.Expr | None


@dataclass(frozen=True)
class ShowSyntax:
    """SHOW words, such as ALL TABLES, or of a relation; ``of`` is the name after FROM."""

    words: tuple[str, ...]
    relation: exp.Expr | None
    of: Name | None
    offset: int


@dataclass(frozen=True)
class UseSyntax:
    """USE [catalog.]schema."""

    name: Name


@dataclass(frozen=True)
class MaintenanceSyntax:
    """CHECKPOINT, VACUUM or ANALYZE, of all tables or of one."""

    kind: str
    relation: Name | None


@dataclass(frozen=True)
class CreateSchemaSyntax:
    """CREATE SCHEMA."""

    name: Name
    or_replace: bool
    if_not_exists: bool


@dataclass(frozen=True)
class SequenceSyntax:
    """CREATE SEQUENCE. Options left out are None."""

    name: Name
    or_replace: bool
    if_not_exists: bool
    temporary: bool
    start: int | None = None
    increment: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    cycle: bool = False


@dataclass(frozen=True)
class MacroParameter:
    """A parameter of a macro; ``default`` is the text of its default."""

    name: str
    default: str | None = None


@dataclass(frozen=True)
class MacroOverload:
    """One body: the text of an expression, or of a query for a table macro."""

    parameters: tuple[MacroParameter, ...]
    body: str
    is_table: bool
    offset: int


@dataclass(frozen=True)
class MacroSyntax:
    """CREATE MACRO or FUNCTION."""

    name: Name
    overloads: tuple[MacroOverload, ...]
    or_replace: bool
    if_not_exists: bool
    temporary: bool


@dataclass(frozen=True)
class TypeSyntax:
    """CREATE TYPE name AS type, ENUM (labels) or ENUM (query); exactly one of the last three is given."""

    name: Name
    or_replace: bool
    if_not_exists: bool
    alias: exp.Expr | None = None
    labels: tuple[str, ...] | None = None
    query: exp.Expr | None = None


@dataclass(frozen=True)
class DropSyntax:
    """DROP of a schema, sequence, macro, table macro or type."""

    kind: str
    name: Name
    if_exists: bool
    cascade: bool


@dataclass(frozen=True)
class CommentSyntax:
    """COMMENT ON kind name IS text; None removes it."""

    kind: str
    name: Name
    text: str | None


@dataclass(frozen=True)
class CopySyntax:
    """COPY of a table or query to a file, or of a file to a table; ``path`` is an expression."""

    table: Name | None
    columns: tuple[Name, ...]
    query: exp.Expr | None
    to_file: bool
    path: exp.Expr
    options: tuple[Option, ...]
    offset: int


@dataclass(frozen=True)
class ExportSyntax:
    """EXPORT DATABASE to a folder; ``format`` names the files' format, ``options`` are name and text of others."""

    path: str
    format: str
    options: tuple[tuple[str, str], ...]
    offset: int


@dataclass(frozen=True)
class ImportSyntax:
    """IMPORT DATABASE from a folder."""

    path: str


CommandSyntax = (
    ExportSyntax
    | ImportSyntax
    | PrepareSyntax
    | ExecuteSyntax
    | DeallocateSyntax
    | PragmaSyntax
    | ShowSyntax
    | UseSyntax
    | MaintenanceSyntax
    | CreateSchemaSyntax
    | SequenceSyntax
    | MacroSyntax
    | TypeSyntax
    | DropSyntax
    | CommentSyntax
    | CopySyntax
)
