"""Tables about the session itself: ``information_schema``, ``gpuql_tables()`` and its siblings.

They are made anew whenever a statement names them, so they show the catalog as it is. Under DuckDB's names
(``duckdb_tables()``) they are the same tables, which have those of DuckDB's columns that mean something here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from gpuql.columnar.construct import column_from_python
from gpuql.columnar.table import ReadableTable, ResidentTable, resident_table
from gpuql.config import SETTINGS
from gpuql_planner.catalog import Field, Table, View
from gpuql_planner.definitions import (
    DATABASE,
    MAIN_SCHEMA,
    SYSTEM_SCHEMAS,
    TEMPORARY_SCHEMA,
    Comment,
    Macro,
    NamedType,
    PreparedText,
    Variable,
)
from gpuql_planner.definitions import (
    Sequence as SequenceDefinition,
)
from gpuql_planner.errors import GpuqlError, did_you_mean
from gpuql_planner.statement_errors import NoMatchingFunction, UndefinedTable
from gpuql_planner.table_rules import NO_RULES, TableRules, rules_of
from gpuql_planner.types import (
    BIGINT,
    BOOLEAN,
    INTEGER,
    INTEGER_LIMITS,
    VARCHAR,
    DataType,
    TypeId,
    list_of,
)

if TYPE_CHECKING:
    from gpuql.catalog.catalog import SessionCatalog

Row = tuple[object, ...]


@dataclass(frozen=True)
class SystemTable:
    """Columns, and who makes the rows."""

    columns: tuple[tuple[str, DataType], ...]
    rows: Callable[[SessionCatalog], Iterator[Row]]

    def table(self, name: str, catalog: SessionCatalog) -> ResidentTable:
        """The table as of now."""
        rows = list(self.rows(catalog))
        fields = [Field(column, dtype) for column, dtype in self.columns]
        columns = [
            column_from_python([row[place] for row in rows], dtype)
            for place, (_, dtype) in enumerate(self.columns)
        ]
        return resident_table(name, fields, columns, len(rows))


def system_function(catalog: SessionCatalog, name: str, arguments: Sequence[object]) -> ReadableTable | None:
    """The table of a function such as ``gpuql_tables()``; None if there is no such function."""
    folded = name.lower()
    if folded == "pragma_table_info":
        return _table_info(catalog, arguments)
    table = _FUNCTIONS.get(folded.replace("duckdb_", "gpuql_", 1) if folded.startswith("duckdb_") else folded)
    if table is None:
        return None
    if arguments:
        raise NoMatchingFunction(f"function takes no arguments: {folded}")
    return table.table(folded, catalog)


def _table_info(catalog: SessionCatalog, arguments: Sequence[object]) -> ReadableTable:
    """Columns of the table or view that the one argument names, as ``PRAGMA table_info`` shows them."""
    if len(arguments) != 1 or not isinstance(arguments[0], str):
        raise NoMatchingFunction("function takes the name of a table: pragma_table_info")
    wanted = arguments[0].lower()
    path = [TEMPORARY_SCHEMA, *(schema.lower() for schema in catalog.search_path()), MAIN_SCHEMA]
    for schema in path:
        for one in _shown(catalog):
            where = TEMPORARY_SCHEMA if one.temporary else one.schema.lower()
            if where == schema and wanted in (f"{where}.{one.name.lower()}", one.name.lower()):
                return SystemTable(_TABLE_INFO, partial(_column_rows, one)).table(
                    "pragma_table_info", catalog
                )
    raise UndefinedTable(
        f"table does not exist: {arguments[0]}", hint=did_you_mean(wanted, catalog.relation_names())
    )


def _column_rows(shown: _Shown, catalog: SessionCatalog) -> Iterator[Row]:
    for place, field in enumerate(_fields(catalog, shown)):
        rules = _rules(shown)
        primary = rules.key_word(field.name) == "PRI"
        yield (
            place,
            field.name,
            _type_text(field.dtype),
            not field.nullable,
            rules.shown(field.name),
            primary,
        )


_TABLE_INFO: tuple[tuple[str, DataType], ...] = (
    ("cid", INTEGER),
    ("name", VARCHAR),
    ("type", VARCHAR),
    ("notnull", BOOLEAN),
    ("dflt_value", VARCHAR),
    ("pk", BOOLEAN),
)


def system_relation(catalog: SessionCatalog, name: str) -> ReadableTable | None:
    """The table called ``information_schema.name``; None if there is none."""
    table = _RELATIONS.get(name.lower())
    return None if table is None else table.table(name, catalog)


def system_names() -> list[str]:
    """Names of all relations and functions here, for did-you-mean."""
    return [*_RELATIONS, *_FUNCTIONS]


@dataclass(frozen=True)
class _Shown:
    """A table or view by the parts of its name."""

    database: str
    schema: str
    name: str
    key: str
    relation: ReadableTable | View

    @property
    def temporary(self) -> bool:
        return self.database == TEMPORARY_SCHEMA

    @property
    def is_view(self) -> bool:
        return isinstance(self.relation, View)


def _shown(catalog: SessionCatalog) -> Iterator[_Shown]:
    schemas = {name: one.name for name, one in catalog.definitions("schema").items()}
    for relation in catalog.relations():
        prefix, _, rest = relation.name.partition(".")
        folded = prefix.lower()
        if rest and folded == TEMPORARY_SCHEMA:
            yield _Shown(TEMPORARY_SCHEMA, MAIN_SCHEMA, rest, relation.name, relation)
        elif rest and folded == MAIN_SCHEMA:
            yield _Shown(DATABASE, MAIN_SCHEMA, rest, relation.name, relation)
        elif rest and folded in schemas:
            yield _Shown(DATABASE, schemas[folded], rest, relation.name, relation)
        else:
            yield _Shown(DATABASE, MAIN_SCHEMA, relation.name, relation.name, relation)


def _fields(catalog: SessionCatalog, shown: _Shown) -> tuple[Field, ...]:
    """Columns of a table or view; none of a view that no longer means anything."""
    if not isinstance(shown.relation, View):
        return tuple(shown.relation.fields)
    from gpuql_planner.sql.bind import bind_query_text

    view = shown.relation
    try:
        query = bind_query_text(view.sql, catalog)
    except GpuqlError:
        return ()
    names = (*(view.column_names or ()), *query.names[len(view.column_names or ()) :])
    return tuple(Field(name, output.dtype) for name, output in zip(names, query.plan.outputs, strict=True))


def _rules(shown: _Shown) -> TableRules:
    return NO_RULES if isinstance(shown.relation, View) else rules_of(shown.relation)


def _comment(catalog: SessionCatalog, kind: str, key: str) -> str | None:
    found = catalog.definitions("comment").get(f"{kind} {key}".lower())
    return found.text if isinstance(found, Comment) else None


def _type_text(dtype: DataType) -> str:
    return '"NULL"' if dtype.id is TypeId.NULL else str(dtype)


def _precision(dtype: DataType) -> tuple[int | None, int | None, int | None]:
    """Precision, its radix, and scale of numbers."""
    if dtype.is_decimal:
        return dtype.width, 10, dtype.scale
    if dtype.id in INTEGER_LIMITS:
        low, high = INTEGER_LIMITS[dtype.id]
        return (high - low).bit_length(), 2, 0
    if dtype.is_float:
        return (24 if dtype.id is TypeId.REAL else 53), 2, 0
    return None, None, None


def _all_schemas(catalog: SessionCatalog) -> Iterator[tuple[str, str, bool]]:
    """Database, name, and whether it is the system's."""
    yield DATABASE, MAIN_SCHEMA, True
    for schema in catalog.definitions("schema").values():
        yield DATABASE, schema.name, False
    for name in (*SYSTEM_SCHEMAS, MAIN_SCHEMA):
        yield "system", name, True
    yield TEMPORARY_SCHEMA, MAIN_SCHEMA, True


def _shown_tables(catalog: SessionCatalog) -> Iterator[Row]:
    path = {MAIN_SCHEMA, *(schema.lower() for schema in catalog.search_path())}
    for one in _shown(catalog):
        fields = _fields(catalog, one)
        names = [field.name for field in fields]
        types = [_type_text(field.dtype) for field in fields]
        visible = one.temporary or one.schema.lower() in path
        yield one.database, one.schema, one.name, names, types, one.temporary, visible


def _tables(catalog: SessionCatalog) -> Iterator[Row]:
    for one in _shown(catalog):
        if isinstance(one.relation, View):
            continue
        fields = one.relation.fields
        qualified = one.name if one.schema == MAIN_SCHEMA else f"{_quoted(one.schema)}.{_quoted(one.name)}"
        word = "CREATE TEMP TABLE" if one.temporary else "CREATE TABLE"
        yield (
            one.database,
            one.schema,
            one.name,
            _comment(catalog, "table", one.key),
            False,
            one.temporary,
            one.relation.num_rows,
            len(fields),
            f"{word} {qualified}({', '.join(_definition(one.relation))});",
        )


def _definition(table: Table) -> Iterator[str]:
    """Columns and constraints of a table as CREATE TABLE writes them."""
    rules = rules_of(table)
    generated = {one.column: one.text for one in rules.generated}
    for field in table.fields:
        words = f"{_quoted(field.name)} {field.dtype}"
        default = rules.default(field.name)
        if field.name in generated:
            words += f" GENERATED ALWAYS AS ({generated[field.name]})"
        elif default is not None:
            words += f" DEFAULT({default})"
        key = rules.primary_key
        if not field.nullable and (key is None or field.name not in key.columns):
            words += " NOT NULL"
        yield words
    for one in _constraints(table):
        if one.kind != "NOT NULL":
            yield one.text


@dataclass(frozen=True)
class _Constraint:
    """A rule of a table. ``columns`` are those it is about; ``referenced`` a table and its columns."""

    kind: str
    text: str
    columns: tuple[str, ...]
    name: str
    expression: str | None = None
    referenced: tuple[str, tuple[str, ...]] | None = None


def _constraints(table: Table) -> Iterator[_Constraint]:
    rules, plain = rules_of(table), table.name.rpartition(".")[2]

    def named(columns: Sequence[str], ending: str, given: str | None) -> str:
        return given or "_".join((plain, *columns, ending))

    for key in rules.keys:
        listed = ", ".join(map(_quoted, key.columns))
        name = named(key.columns, "pkey" if key.primary else "key", key.name)
        yield _Constraint(key.kind, f"{key.kind}({listed})", key.columns, name)
    for check in rules.checks:
        name = named(check.columns, "check", check.name)
        yield _Constraint("CHECK", f"CHECK({check.text})", check.columns, name, check.text)
    for foreign in rules.foreign_keys:
        text = (
            f"FOREIGN KEY ({', '.join(map(_quoted, foreign.columns))}) REFERENCES {foreign.table}"
            f"({', '.join(map(_quoted, foreign.referenced))})"
        )
        name = named((*foreign.columns, *foreign.referenced), "fkey", foreign.name)
        yield _Constraint(
            "FOREIGN KEY", text, foreign.columns, name, referenced=(foreign.table, foreign.referenced)
        )
    for field in table.fields:
        if not field.nullable:
            yield _Constraint("NOT NULL", "NOT NULL", (field.name,), named((field.name,), "not_null", None))


def _all_constraints(catalog: SessionCatalog) -> Iterator[tuple[_Shown, int, _Constraint]]:
    for one in _shown(catalog):
        if not isinstance(one.relation, View):
            for index, constraint in enumerate(_constraints(one.relation)):
                yield one, index, constraint


def _constraint_rows(catalog: SessionCatalog) -> Iterator[Row]:
    for one, index, constraint in _all_constraints(catalog):
        table, columns = constraint.referenced or (None, ())
        yield (
            *(one.database, one.schema, one.name, index, constraint.kind, constraint.text),
            *(constraint.expression, list(constraint.columns), constraint.name, table, list(columns)),
        )


def _table_constraints(catalog: SessionCatalog) -> Iterator[Row]:
    for one, _, constraint in _all_constraints(catalog):
        kind = "CHECK" if constraint.kind == "NOT NULL" else constraint.kind
        place = one.database, one.schema
        yield *place, constraint.name, *place, one.name, kind, "NO", "NO", "YES", "YES"


def _key_column_usage(catalog: SessionCatalog) -> Iterator[Row]:
    for one, _, constraint in _all_constraints(catalog):
        if constraint.kind in ("PRIMARY KEY", "UNIQUE", "FOREIGN KEY"):
            for position, column in enumerate(constraint.columns, start=1):
                place = one.database, one.schema
                unique = position if constraint.referenced else None
                yield *place, constraint.name, *place, one.name, column, position, unique


def _quoted(name: str) -> str:
    plain = name.isidentifier() and name.islower()
    return name if plain else '"' + name.replace('"', '""') + '"'


def _columns(catalog: SessionCatalog) -> Iterator[Row]:
    for one in _shown(catalog):
        for index, field in enumerate(_fields(catalog, one), start=1):
            precision, radix, scale = _precision(field.dtype)
            yield (
                one.database,
                one.schema,
                one.name,
                field.name,
                index,
                _comment(catalog, "column", f"{one.key}.{field.name}"),
                False,
                _rules(one).shown(field.name),
                field.nullable,
                _type_text(field.dtype),
                None,
                precision,
                radix,
                scale,
            )


def _views(catalog: SessionCatalog) -> Iterator[Row]:
    for one in _shown(catalog):
        if isinstance(one.relation, View):
            count = len(_fields(catalog, one))
            names = one.relation.column_names
            columns = f" ({', '.join(map(_quoted, names))})" if names else ""
            qualified = (
                _quoted(one.name)
                if one.schema == MAIN_SCHEMA
                else f"{_quoted(one.schema)}.{_quoted(one.name)}"
            )
            sql = f"CREATE VIEW {qualified}{columns} AS {one.relation.sql};"
            comment = _comment(catalog, "view", one.key)
            yield one.database, one.schema, one.name, comment, False, one.temporary, count, sql


def _schemas(catalog: SessionCatalog) -> Iterator[Row]:
    for database, name, internal in _all_schemas(catalog):
        comment = _comment(catalog, "schema", name) if database == DATABASE else None
        yield database, name, comment, internal, None if internal else f"CREATE SCHEMA {_quoted(name)};"


def _databases(catalog: SessionCatalog) -> Iterator[Row]:
    yield DATABASE, None, None, False, "gpuql", False
    yield "system", None, None, True, "gpuql", False
    yield TEMPORARY_SCHEMA, None, None, True, "gpuql", False


def _types(catalog: SessionCatalog) -> Iterator[Row]:
    for type_id in TypeId:
        yield "system", MAIN_SCHEMA, type_id.value, type_id.value, None, True
    for named in catalog.definitions("type").values():
        if isinstance(named, NamedType):
            schema, name = _schema_and_name(catalog, named.name)
            comment = _comment(catalog, "type", named.name)
            yield DATABASE, schema, name, str(named.dtype), comment, False


def _schema_and_name(catalog: SessionCatalog, qualified: str) -> tuple[str, str]:
    prefix, _, rest = qualified.partition(".")
    if rest and (prefix.lower() in catalog.definitions("schema") or prefix.lower() == TEMPORARY_SCHEMA):
        return (MAIN_SCHEMA if prefix.lower() == TEMPORARY_SCHEMA else prefix), rest
    return MAIN_SCHEMA, qualified


def _sequences(catalog: SessionCatalog) -> Iterator[Row]:
    for sequence in catalog.definitions("sequence").values():
        if isinstance(sequence, SequenceDefinition):
            options = sequence.options
            schema, name = _schema_and_name(catalog, options.name)
            yield (
                TEMPORARY_SCHEMA if options.temporary else DATABASE,
                schema,
                name,
                _comment(catalog, "sequence", options.name),
                options.temporary,
                options.start,
                options.minimum,
                options.maximum,
                options.increment,
                options.cycle,
                sequence.last_value,
            )


def _settings(catalog: SessionCatalog) -> Iterator[Row]:
    values = catalog.definitions("setting")
    for name, setting in sorted(SETTINGS.items()):
        value = values.get(name)
        kind = "BOOLEAN" if isinstance(value, bool) else "BIGINT" if isinstance(value, int) else "VARCHAR"
        text = str(value).lower() if isinstance(value, bool) else None if value is None else str(value)
        yield name, text, setting.description, kind, "LOCAL"


def _variables(catalog: SessionCatalog) -> Iterator[Row]:
    for variable in catalog.definitions("variable").values():
        if isinstance(variable, Variable):
            value = variable.value
            plain = value.value
            text = None if plain is None else str(plain).lower() if isinstance(plain, bool) else str(plain)
            yield variable.name, text, _type_text(value.dtype)


def _prepared(catalog: SessionCatalog) -> Iterator[Row]:
    for prepared in catalog.definitions("prepared").values():
        if isinstance(prepared, PreparedText):
            yield prepared.name, prepared.text


def _functions(catalog: SessionCatalog) -> Iterator[Row]:
    from gpuql_planner.functions import AGGREGATE_FUNCTIONS, SCALAR_FUNCTIONS
    from gpuql_planner.functions.aggregates import AGGREGATE_ALIASES, APPROXIMATE, DERIVED_NAMES
    from gpuql_planner.functions.scalar import ALIASES
    from gpuql_planner.sql.bind_nested import LAMBDA_FUNCTIONS, NAMED_ARGUMENTS
    from gpuql_planner.sql.session_functions import SESSION_FUNCTIONS

    kinds = (
        ("scalar", SCALAR_FUNCTIONS, ALIASES),
        ("aggregate", AGGREGATE_FUNCTIONS, AGGREGATE_ALIASES),
    )
    by_grammar = {*LAMBDA_FUNCTIONS, *NAMED_ARGUMENTS, *SESSION_FUNCTIONS, "unnest", "generate_subscripts"}
    named = {"scalar": by_grammar, "aggregate": DERIVED_NAMES | APPROXIMATE}
    for kind, functions, aliases in kinds:
        for name in sorted({*functions, *aliases, *named[kind]}):
            yield "system", MAIN_SCHEMA, name, aliases.get(name), kind, None, None, True
    for name in sorted({*_FUNCTIONS, "json_each", "json_tree"}):
        yield "system", MAIN_SCHEMA, name, None, "table", None, None, True
    for kind in ("macro", "table macro"):
        for macro in catalog.definitions(kind).values():
            if isinstance(macro, Macro):
                schema, name = _schema_and_name(catalog, macro.name)
                label = "table_macro" if macro.is_table else "macro"
                database = TEMPORARY_SCHEMA if macro.temporary else DATABASE
                for overload in macro.overloads:
                    comment = _comment(catalog, "macro", macro.name)
                    yield database, schema, name, None, label, comment, overload.body, False


def _information_schemata(catalog: SessionCatalog) -> Iterator[Row]:
    for database, name, _ in _all_schemas(catalog):
        yield database, name, "gpuql", None, None, None, None


def _information_tables(catalog: SessionCatalog) -> Iterator[Row]:
    for one in _shown(catalog):
        kind = "VIEW" if one.is_view else "LOCAL TEMPORARY" if one.temporary else "BASE TABLE"
        writable = "NO" if one.is_view else "YES"
        comment = _comment(catalog, "view" if one.is_view else "table", one.key)
        action = "PRESERVE" if one.temporary and not one.is_view else None
        yield (
            *(one.database, one.schema, one.name, kind, None, None, None, None, None),
            *(writable, "NO", action, comment),
        )


def _information_columns(catalog: SessionCatalog) -> Iterator[Row]:
    for one in _shown(catalog):
        for index, field in enumerate(_fields(catalog, one), start=1):
            precision, radix, scale = _precision(field.dtype)
            nullable = "YES" if field.nullable else "NO"
            yield (
                *(
                    one.database,
                    one.schema,
                    one.name,
                    field.name,
                    index,
                    _rules(one).shown(field.name),
                    nullable,
                ),
                *(_type_text(field.dtype), None, None, precision, radix, scale, None),
                _comment(catalog, "column", f"{one.key}.{field.name}"),
            )


def _information_views(catalog: SessionCatalog) -> Iterator[Row]:
    for one in _shown(catalog):
        if isinstance(one.relation, View):
            yield one.database, one.schema, one.name, one.relation.sql, "NONE", "NO", "NO"


def _pg_tables(catalog: SessionCatalog) -> Iterator[Row]:
    for one in _shown(catalog):
        if not one.is_view:
            yield one.schema, one.name, "gpuql", None, False, False, False


def _version(catalog: SessionCatalog) -> Iterator[Row]:
    from gpuql import __version__

    yield f"v{__version__}", None, None


def _database_size(catalog: SessionCatalog) -> Iterator[Row]:
    yield DATABASE, "0 bytes", 0, 0, 0, 0, "0 bytes"


def _texts(*names: str) -> tuple[tuple[str, DataType], ...]:
    return tuple((name, VARCHAR) for name in names)


_PLACE = _texts("database_name", "schema_name")

_FUNCTIONS: dict[str, SystemTable] = {
    "gpuql_shown_tables": SystemTable(
        (
            *_texts("database", "schema", "name"),
            ("column_names", list_of(VARCHAR)),
            ("column_types", list_of(VARCHAR)),
            ("temporary", BOOLEAN),
            ("visible", BOOLEAN),
        ),
        _shown_tables,
    ),
    "gpuql_tables": SystemTable(
        (
            *_PLACE,
            *_texts("table_name", "comment"),
            ("internal", BOOLEAN),
            ("temporary", BOOLEAN),
            ("estimated_size", BIGINT),
            ("column_count", BIGINT),
            ("sql", VARCHAR),
        ),
        _tables,
    ),
    "gpuql_columns": SystemTable(
        (
            *_PLACE,
            *_texts("table_name", "column_name"),
            ("column_index", INTEGER),
            ("comment", VARCHAR),
            ("internal", BOOLEAN),
            ("column_default", VARCHAR),
            ("is_nullable", BOOLEAN),
            ("data_type", VARCHAR),
            ("character_maximum_length", INTEGER),
            ("numeric_precision", INTEGER),
            ("numeric_precision_radix", INTEGER),
            ("numeric_scale", INTEGER),
        ),
        _columns,
    ),
    "gpuql_constraints": SystemTable(
        (
            *_PLACE,
            ("table_name", VARCHAR),
            ("constraint_index", BIGINT),
            *_texts("constraint_type", "constraint_text", "expression"),
            ("constraint_column_names", list_of(VARCHAR)),
            *_texts("constraint_name", "referenced_table"),
            ("referenced_column_names", list_of(VARCHAR)),
        ),
        _constraint_rows,
    ),
    "gpuql_views": SystemTable(
        (
            *_PLACE,
            *_texts("view_name", "comment"),
            ("internal", BOOLEAN),
            ("temporary", BOOLEAN),
            ("column_count", BIGINT),
            ("sql", VARCHAR),
        ),
        _views,
    ),
    "gpuql_schemas": SystemTable(
        (*_PLACE, ("comment", VARCHAR), ("internal", BOOLEAN), ("sql", VARCHAR)), _schemas
    ),
    "gpuql_databases": SystemTable(
        (
            *_texts("database_name", "path", "comment"),
            ("internal", BOOLEAN),
            ("type", VARCHAR),
            ("readonly", BOOLEAN),
        ),
        _databases,
    ),
    "gpuql_types": SystemTable(
        (*_PLACE, *_texts("type_name", "logical_type", "comment"), ("internal", BOOLEAN)), _types
    ),
    "gpuql_sequences": SystemTable(
        (
            *_PLACE,
            *_texts("sequence_name", "comment"),
            ("temporary", BOOLEAN),
            *((name, BIGINT) for name in ("start_value", "min_value", "max_value", "increment_by")),
            ("cycle", BOOLEAN),
            ("last_value", BIGINT),
        ),
        _sequences,
    ),
    "gpuql_settings": SystemTable(_texts("name", "value", "description", "input_type", "scope"), _settings),
    "gpuql_variables": SystemTable(_texts("name", "value", "type"), _variables),
    "gpuql_prepared_statements": SystemTable(_texts("name", "statement"), _prepared),
    "gpuql_functions": SystemTable(
        (
            *_PLACE,
            *_texts("function_name", "alias_of", "function_type", "comment", "macro_definition"),
            ("internal", BOOLEAN),
        ),
        _functions,
    ),
    "pragma_version": SystemTable(_texts("library_version", "source_id", "codename"), _version),
    "pragma_database_size": SystemTable(
        (
            *_texts("database_name", "database_size"),
            *((name, BIGINT) for name in ("block_size", "total_blocks", "used_blocks", "free_blocks")),
            ("wal_size", VARCHAR),
        ),
        _database_size,
    ),
}

_RELATIONS: dict[str, SystemTable] = {
    "information_schema.schemata": SystemTable(
        _texts(
            "catalog_name",
            "schema_name",
            "schema_owner",
            "default_character_set_catalog",
            "default_character_set_schema",
            "default_character_set_name",
            "sql_path",
        ),
        _information_schemata,
    ),
    "information_schema.tables": SystemTable(
        _texts(
            "table_catalog",
            "table_schema",
            "table_name",
            "table_type",
            "self_referencing_column_name",
            "reference_generation",
            "user_defined_type_catalog",
            "user_defined_type_schema",
            "user_defined_type_name",
            "is_insertable_into",
            "is_typed",
            "commit_action",
            "TABLE_COMMENT",
        ),
        _information_tables,
    ),
    "information_schema.columns": SystemTable(
        (
            *_texts("table_catalog", "table_schema", "table_name", "column_name"),
            ("ordinal_position", INTEGER),
            *_texts("column_default", "is_nullable", "data_type"),
            *(
                (name, INTEGER)
                for name in (
                    "character_maximum_length",
                    "character_octet_length",
                    "numeric_precision",
                    "numeric_precision_radix",
                    "numeric_scale",
                    "datetime_precision",
                )
            ),
            ("COLUMN_COMMENT", VARCHAR),
        ),
        _information_columns,
    ),
    "information_schema.table_constraints": SystemTable(
        _texts(
            "constraint_catalog",
            "constraint_schema",
            "constraint_name",
            "table_catalog",
            "table_schema",
            "table_name",
            "constraint_type",
            "is_deferrable",
            "initially_deferred",
            "enforced",
            "nulls_distinct",
        ),
        _table_constraints,
    ),
    "information_schema.key_column_usage": SystemTable(
        (
            *_texts("constraint_catalog", "constraint_schema", "constraint_name"),
            *_texts("table_catalog", "table_schema", "table_name", "column_name"),
            ("ordinal_position", INTEGER),
            ("position_in_unique_constraint", INTEGER),
        ),
        _key_column_usage,
    ),
    "information_schema.views": SystemTable(
        _texts(
            "table_catalog",
            "table_schema",
            "table_name",
            "view_definition",
            "check_option",
            "is_updatable",
            "is_insertable_into",
        ),
        _information_views,
    ),
    "pg_catalog.pg_tables": SystemTable(
        (
            *_texts("schemaname", "tablename", "tableowner", "tablespace"),
            ("hasindexes", BOOLEAN),
            ("hasrules", BOOLEAN),
            ("hastriggers", BOOLEAN),
        ),
        _pg_tables,
    ),
}
