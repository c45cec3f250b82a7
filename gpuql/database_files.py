"""EXPORT and IMPORT DATABASE: a folder with ``schema.sql``, ``load.sql`` and a file for each table, as DuckDB's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from gpuql.catalog.catalog import SessionCatalog
from gpuql_planner.catalog import View
from gpuql_planner.definitions import Macro
from gpuql_planner.errors import InputError
from gpuql_planner.sql.statements import ExportDatabase
from gpuql_planner.table_rules import rules_of

_COPY = re.compile(r"(?im)^(COPY\s.*?\sFROM\s+)'((?:[^']|'')*)'")
_CSV = {"delimiter": "delimiter ','", "quote": "quote '\"'", "header": "header true"}
#: Options of COPY TO that COPY FROM takes as well, under their first names.
_READ = {"delim": "delimiter", "sep": "delimiter", "null": "nullstr"}
_READ_OPTIONS = frozenset(
    {"delimiter", "quote", "escape", "nullstr", "header", "dateformat", "timestampformat"}
)


class ScriptHost(Protocol):
    """What scripts need of a connection."""

    @property
    def catalog(self) -> SessionCatalog:
        """Everything with a name."""

    def run_text(self, text: str, parameters: Any) -> Any:
        """Rows of the last statement of a text."""


def export_database(statement: ExportDatabase, host: ScriptHost) -> None:
    """Write the scripts and the rows. Temporary things stay out. Errors: InputError, those of COPY."""
    folder = Path(statement.path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"folder cannot be made: {folder} ({error.strerror})") from None
    tables = _tables(host)
    loads = []
    given = {_READ.get(name, name): text for name, text in statement.options}
    options = {**_CSV, **given} if statement.format == "csv" else given
    kept = [text for name, text in options.items() if name in _READ_OPTIONS and statement.format == "csv"]
    if statement.format == "csv":
        kept.append("allow_quoted_nulls false")
    writing = ", ".join([f"FORMAT '{statement.format}'", *options.values()])
    reading = ", ".join([f"FORMAT '{statement.format}'", *kept])
    for schema, name, columns in tables:
        parts = [name] if schema == "main" else [schema, name]
        file = folder / f"{_file_name(parts, tables)}.{statement.format}"
        table = ".".join(map(_quoted, parts))
        written = "(" + ", ".join(map(_quoted, columns)) + ")" if columns else ""
        host.run_text(f"COPY {table}{written} TO {_text(str(file))} ({writing})", None)
        loads.append(f"COPY {table}{written} FROM {_text(str(file))} ({reading});")
    _write(folder / "schema.sql", _schema(host))
    _write(folder / "load.sql", loads)


def import_database(path: str, host: ScriptHost) -> None:
    """Run both scripts; files that are not where the script says are looked for in the folder itself."""
    folder = Path(path)
    scripts = []
    for name in ("schema.sql", "load.sql"):
        try:
            scripts.append((folder / name).read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"no exported database: {folder / name} ({error.strerror})") from None

    def found(match: re.Match[str]) -> str:
        file = Path(match[2].replace("''", "'"))
        here = folder / file.name
        return match[1] + _text(str(here if here.exists() else file))

    for script in (scripts[0], _COPY.sub(found, scripts[1])):
        if script.strip():
            host.run_text(script, None)


def _write(file: Path, statements: list[str]) -> None:
    try:
        file.write_text("".join(f"{one}\n" for one in statements), encoding="utf-8")
    except OSError as error:
        raise InputError(f"file cannot be written: {file} ({error.strerror})") from None


def _rows(host: ScriptHost, query: str) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = host.run_text(query, None).fetchall()
    return found


def _tables(host: ScriptHost) -> list[tuple[str, str, list[str]]]:
    """Schema and name of each table, those that others refer to first; its columns if some are computed."""
    rows = _rows(host, "SELECT schema_name, table_name FROM gpuql_tables() WHERE NOT temporary")
    refers = _rows(
        host,
        "SELECT schema_name, table_name, referenced_table FROM gpuql_constraints() "
        "WHERE constraint_type = 'FOREIGN KEY'",
    )
    needs: dict[tuple[str, str], set[str]] = {(schema, name): set() for schema, name in rows}
    for schema, name, other in refers:
        if other != name and (schema, name) in needs:
            needs[schema, name].add(other)
    ordered: list[tuple[str, str]] = []
    while needs:
        ready = [one for one, others in needs.items() if not others & {name for _, name in needs}]
        for one in ready or list(needs):
            ordered.append(one)
            del needs[one]
    return [(schema, name, _stored_columns(host, schema, name)) for schema, name in ordered]


def _stored_columns(host: ScriptHost, schema: str, name: str) -> list[str]:
    """Columns whose values are kept, if there are others; else none."""
    relation = host.catalog.resolve(name if schema == "main" else f"{schema}.{name}")
    assert relation is not None, "the catalog has just named it"
    assert not isinstance(relation, View), "views are no tables"
    computed = {one.column for one in rules_of(relation).generated}
    fields = [field.name for field in relation.fields]
    return [field for field in fields if field not in computed] if computed else []


def _schema(host: ScriptHost) -> list[str]:
    """Everything with a name as CREATE statements, in an order in which they can run."""
    made = [
        row[0]
        for row in _rows(host, "SELECT sql FROM gpuql_schemas() WHERE NOT internal AND sql IS NOT NULL")
    ]
    made += _sequences(host.catalog)
    made += [
        f"CREATE TYPE {_name(one.name)} AS {one.dtype};" for one in host.catalog.definitions("type").values()
    ]
    tables = {
        (schema, name): sql
        for schema, name, sql in _rows(
            host, "SELECT schema_name, table_name, sql FROM gpuql_tables() WHERE NOT temporary"
        )
    }
    made += [tables[schema, name] for schema, name, _ in _tables(host)]
    made += _macros(host.catalog)
    views = _rows(
        host, "SELECT sql FROM gpuql_views() WHERE NOT internal AND NOT temporary AND sql IS NOT NULL"
    )
    return made + [sql for (sql,) in views]


def _sequences(catalog: SessionCatalog) -> Iterator[str]:
    for sequence in catalog.definitions("sequence").values():
        options = sequence.options
        if options.temporary:
            continue
        last = sequence.last_value
        start = options.start if last is None else last + options.increment
        if not options.minimum <= start <= options.maximum:
            start = options.minimum if options.increment > 0 else options.maximum
        yield (
            f"CREATE SEQUENCE {_name(options.name)} INCREMENT BY {options.increment} MINVALUE {options.minimum} "
            f"MAXVALUE {options.maximum} START {start} {'CYCLE' if options.cycle else 'NO CYCLE'};"
        )


def _macros(catalog: SessionCatalog) -> Iterator[str]:
    for kind in ("macro", "table macro"):
        for macro in catalog.definitions(kind).values():
            if isinstance(macro, Macro) and not macro.temporary:
                table = "TABLE " if macro.is_table else ""
                bodies = [
                    f"{overload} AS {table}{overload.body if macro.is_table else f'({overload.body})'}"
                    for overload in macro.overloads
                ]
                yield f"CREATE MACRO {_name(macro.name)}{', '.join(bodies)};"


def _file_name(parts: list[str], tables: list[tuple[str, str, list[str]]]) -> str:
    """A name for the file of a table: letters and digits of its own; others are numbered."""
    name = "_".join(re.sub(r"[^A-Za-z0-9]", "_", part).lower() for part in parts)
    alike = [
        one
        for one in ([name] if schema == "main" else [schema, name] for schema, name, _ in tables)
        if "_".join(re.sub(r"[^A-Za-z0-9]", "_", part).lower() for part in one) == name
    ]
    return name if len(alike) < 2 else f"{name}_{alike.index(parts)}"


def _name(name: str) -> str:
    return ".".join(map(_quoted, name.split(".")))


def _quoted(name: str) -> str:
    return name if name.isidentifier() and name.islower() else '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
