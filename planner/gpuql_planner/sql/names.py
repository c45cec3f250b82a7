"""Names of tables: what ``[catalog.[schema.]]name`` stands for in the catalog.

The catalog knows a table of schema ``main`` by its name alone, and one of another schema as ``schema.name``. Temporary
tables are in the schema ``temp``. A name written in one part is looked for there, then along the search path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from gpuql_planner.definitions import DATABASE, MAIN_SCHEMA, SYSTEM_SCHEMAS, TEMPORARY_SCHEMA
from gpuql_planner.errors import ParserError, did_you_mean
from gpuql_planner.sql.context import BindContext
from gpuql_planner.statement_errors import (
    InvalidTableDefinition,
    ReservedName,
    UndefinedDatabase,
    UndefinedSchema,
)

if TYPE_CHECKING:
    from gpuql_planner.sql.bind_query import QueryBinder

_CATALOGS = (DATABASE, TEMPORARY_SCHEMA, "system")


def schema_names(context: BindContext) -> list[str]:
    """All schemas."""
    made = [definition.name for definition in context.catalog.definitions("schema").values()]
    return [MAIN_SCHEMA, TEMPORARY_SCHEMA, *SYSTEM_SCHEMAS, *made]


def joined_name(schema: str, name: str, schemas: Sequence[str] = ()) -> str:
    """A table's name in the catalog."""
    if schema.lower() != MAIN_SCHEMA:
        return f"{schema}.{name}"
    prefix = name.partition(".")[0].lower()
    taken = (MAIN_SCHEMA, TEMPORARY_SCHEMA, *SYSTEM_SCHEMAS, *(one.lower() for one in schemas))
    return f"{MAIN_SCHEMA}.{name}" if "." in name and prefix in taken else name


def known_name(queries: QueryBinder, node: exp.Table) -> str:
    """Name in the catalog of the table that ``node`` means; where there is none, of the one that it would be."""
    return find_name(queries.context, _parts(queries.context, node), node)


def find_name(context: BindContext, parts: Sequence[str], node: exp.Expr | None) -> str:
    """As :func:`known_name`, of the parts of a name."""
    schema, name = _split(context, parts, node)
    schemas = list(context.catalog.definitions("schema"))
    if schema is not None:
        hidden = joined_name(TEMPORARY_SCHEMA, name)
        if parts[0].lower() == MAIN_SCHEMA and context.catalog.resolve(hidden) is not None:
            return hidden  # as in DuckDB, whose temporary tables have a schema main of their own
        return joined_name(schema, name, schemas)
    for candidate in (TEMPORARY_SCHEMA, *context.catalog.search_path()):
        if candidate.lower() == MAIN_SCHEMA:
            continue
        qualified = joined_name(candidate, name, schemas)
        if context.catalog.resolve(qualified) is not None:
            return qualified
    return joined_name(MAIN_SCHEMA, name, schemas)


def new_name(queries: QueryBinder, node: exp.Table, *, temporary: bool = False) -> str:
    """Name in the catalog of a table or view to be created. CatalogError if its schema does not exist."""
    return make_name(queries.context, _parts(queries.context, node), node, temporary=temporary)


def make_name(
    context: BindContext, parts: Sequence[str], node: exp.Expr | None, *, temporary: bool = False
) -> str:
    """As :func:`new_name`, of the parts of a name."""
    schema, name = _split(context, parts, node)
    if temporary:
        if schema is not None and schema.lower() not in (TEMPORARY_SCHEMA, MAIN_SCHEMA):
            raise context.error(
                InvalidTableDefinition, f"temporary tables and views have no schema: {schema}", node
            )
        return joined_name(TEMPORARY_SCHEMA, name)
    if schema is None:
        schema = context.catalog.search_path()[0]
    if schema.lower() in SYSTEM_SCHEMAS:
        raise context.error(ReservedName, f"nothing can be created in a schema of the system: {schema}", node)
    return joined_name(schema, name, list(context.catalog.definitions("schema")))


def _parts(context: BindContext, node: exp.Table) -> list[str]:
    parts = [part.name for part in node.parts]
    if not node.name or any(not part for part in parts) or isinstance(node.args.get("db"), str):
        raise context.error(ParserError, "syntax error: name is incomplete", node)
    return parts


def _split(context: BindContext, parts: Sequence[str], node: exp.Expr | None) -> tuple[str | None, str]:
    """Schema, None if the search path decides, and name."""
    if len(parts) == 1:
        return None, parts[0]
    if len(parts) > 3:
        raise context.error(UndefinedDatabase, f"name has too many parts: {'.'.join(parts)}", node)
    name, qualifiers = parts[-1], [part.lower() for part in parts[:-1]]
    if len(qualifiers) == 2:
        if qualifiers[0] == TEMPORARY_SCHEMA and qualifiers[1] == MAIN_SCHEMA:
            return TEMPORARY_SCHEMA, name
        if qualifiers[0] not in _CATALOGS:
            hint = did_you_mean(parts[0], list(_CATALOGS))
            raise context.error(UndefinedDatabase, f"database does not exist: {parts[0]}", node, hint=hint)
        schema = parts[1]
    else:
        schema = MAIN_SCHEMA if qualifiers[0] == DATABASE else parts[0]
    known = schema_names(context)
    if schema.lower() not in (one.lower() for one in known):
        hint = did_you_mean(schema, known)
        raise context.error(UndefinedSchema, f"schema does not exist: {schema}", node, hint=hint)
    return schema, name
